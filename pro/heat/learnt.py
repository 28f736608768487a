"""What `pro train` left in a store: read whole, and checked before any of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.forecast import taught as keep
from pro.heat.direct import HeatModel, from_arrays
from pro.heat.soon import COUNTER_OF

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class Learnt:
    """`taught`: what forecasts are made with. `heat`: resource -> hours ahead -> the classifier, of those that beat every simple rule.

    `tried`: how many classifiers there were; `threshold`: a host over it was called hot; `days` of counters were looked at.
    """

    taught: keep.Taught
    heat: Mapping[str, Mapping[int, HeatModel]]
    tried: int
    threshold: float

    @property
    def until(self) -> datetime:
        """Nothing later was seen."""
        return self.taught.until

    @property
    def days(self) -> float:
        """Of counters."""
        return self.taught.days

    @property
    def good(self) -> int:
        """How many classifiers beat every simple rule."""
        return sum(len(models) for models in self.heat.values())


def read(folder: Path) -> Learnt | None:
    """What lies in `folder`; None where nothing was ever trained, or an older PRO trained. Raises InputError for damage."""
    found = keep.read(folder)
    if found is None:
        return None
    with keep.refusing(folder / keep.PAGE):
        return learnt_from(*found)


def learnt_from(page: Mapping[str, Any], arrays: Mapping[str, Any]) -> Learnt:
    """From what `pro train` wrote. Raises something of `taught.DAMAGE` for anything else."""
    heat: dict[str, dict[int, HeatModel]] = {}
    for row in page["heat"]:
        resource, hours = row["resource"], int(row["hours"])
        if resource not in COUNTER_OF or hours <= 0:
            raise ValueError(f"heat on {resource!r} within {hours} h")
        if row["used"]:
            heat.setdefault(resource, {})[hours] = from_arrays(arrays, f"heat.{resource}.{hours}.")
    return Learnt(keep.taught_from(page, arrays), heat, len(page["heat"]), float(page["threshold"]))
