"""What people use today, for comparison: SCOM's consecutive samples over a threshold, and the hourly average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Bools
    from pro.heat.hotspot import Hotspot


def scom_rule(use: NDArray[np.floating], threshold: float, n: int = 3) -> Bools:
    """(H,) whether the newest `n` samples of `use` (H, T) are all over `threshold` (same unit). An unknown sample (NaN) is not.

    SCOM's "consecutive samples over threshold" monitor.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    if use.shape[1] < n:
        return np.zeros(use.shape[0], dtype=bool)
    return np.asarray((use[:, -n:] > threshold).all(axis=1))


def hourly_average(use: NDArray[np.floating], threshold: float, step_s: int = 300) -> Bools:
    """(H,) whether the mean of the known samples of the last hour of `use` (H, T) is over `threshold`; none known: no."""
    last = use[:, -max(3600 // step_s, 1) :]
    known = np.isfinite(last)
    count = known.sum(axis=1)
    total = np.where(known, last, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.zeros(use.shape[0]), where=count > 0) > threshold)


@dataclass(frozen=True)
class Comparison:
    """Hosts flagged by each way of looking, as ids in sorted order. `unseen`: without one sample in the last hour, so nobody can flag them."""

    scom_rule: tuple[str, ...]
    hourly_average: tuple[str, ...]
    forecast: tuple[str, ...]
    unseen: tuple[str, ...] = ()


def compare(
    hosts: Sequence[str],
    use: NDArray[np.floating],
    hotspots: Sequence[Hotspot],
    *,
    threshold: float = 0.85,
    n: int = 3,
    step_s: int = 300,
    resource: str = "cpu",
) -> Comparison:
    """Who is flagged by SCOM's rule and the hourly average on history, and by the forecast on the horizon.

    `use` (H, T) is the measured use of `hosts` as a fraction of capacity (a Grid in per cent divided by 100).
    """
    return Comparison(
        scom_rule=_named(hosts, scom_rule(use, threshold, n)),
        hourly_average=_named(hosts, hourly_average(use, threshold, step_s)),
        forecast=tuple(sorted({f.host for f in hotspots if f.resource == resource})),
        unseen=_named(hosts, ~np.isfinite(use[:, -max(3600 // step_s, 1) :]).any(axis=1)),
    )


def _named(hosts: Sequence[str], flagged: Bools) -> tuple[str, ...]:
    return tuple(sorted(h for h, f in zip(hosts, flagged, strict=True) if f))
