"""Labels -> groups: the same for snapshots and for the judges of rules."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from pro.fleet.fleet import Groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def group(labels: Sequence[str]) -> Groups:
    """Group items by label, without regard to case or surrounding space; an empty label is no group (-1).

    Groups are in order of their folded label; each shows its most frequent spelling.
    """
    stripped = [t.strip() for t in labels]
    folded = sorted({t.casefold() for t in stripped if t})
    code_of = {"": -1, **{t: i for i, t in enumerate(folded)}}
    code = np.array([code_of[t.casefold()] for t in stripped], dtype=np.int64)
    shown: dict[str, str] = {}
    for spelling, _ in sorted(Counter(stripped).items(), key=lambda item: (-item[1], item[0])):
        shown.setdefault(spelling.casefold(), spelling)
    return Groups(code, tuple(shown[t] for t in folded))


_MAKERS = {"genuineintel": "Intel", "intel": "Intel", "intel(r)": "Intel", "authenticamd": "AMD", "amd": "AMD"}


def maker_labels(vendors: Iterable[str]) -> list[str]:
    """Makers of processors, each by one name."""
    return [_MAKERS.get(v.strip().casefold(), v) for v in vendors]


def rack_labels(sites: Iterable[str], racks: Iterable[str]) -> list[str]:
    """Racks with their sites: two sites may both have an R1."""
    both = zip(sites, racks, strict=True)
    return [f"{site.strip()}/{rack.strip()}" if site.strip() and rack.strip() else rack for site, rack in both]
