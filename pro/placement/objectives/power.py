"""Power: what hosts draw, by how much they have to do; one that is off draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU
from pro.placement.language import Opened, Steps
from pro.placement.objectives.common import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet

Curve = tuple[tuple[float, float], ...]
"""(load as a fraction of capacity, watts), from load 0 (on and idle) on; straight lines between, level beyond the last."""

TYPICAL: Curve = ((0.0, 100.0), (0.2, 180.0), (0.5, 250.0), (1.0, 350.0))
"""An assumption for hosts nobody has measured: idle at a good quarter of the peak, and rising fast at first, as published
SPECpower_ssj2008 tables of two-socket servers do. Replace it with the tables of your own machines."""

MICRO = 1_000_000


@dataclass(frozen=True)
class Power:
    """Watts at the mean use over the moments. The curve may bend either way; for a straight one the mean is exact.

    Parameters
    ----------
    curves
        (CPU family as the inventory has it, curve) for kinds of host that were measured.
    otherwise
        Curve of all others.
    price
        Of one microwatt; prices of lines are rounded.
    """

    curves: tuple[tuple[str, Curve], ...] = ()
    otherwise: Curve = TYPICAL
    price: float = 1.0
    name: str = "power"
    unit: str = "microwatts"

    def __post_init__(self) -> None:
        for curve in (self.otherwise, *(c for _, c in self.curves)):
            loads, watts = [load for load, _ in curve], [w for _, w in curve]
            if len(curve) < 2 or loads[0] != 0 or any(a >= b for a, b in pairwise(loads)) or min(watts) < 0:
                raise ValueError(f"a power curve rises in load from 0 and has no negative watts, got {curve}")
            if any(a > b for a, b in pairwise(watts)):
                raise ValueError(f"a host draws no less with more to do, got {curve}")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Price of what all hosts that hold a VM draw."""
        (r,) = columns(fleet, (CPU,))
        total = 0
        for h in sorted({int(h) for h in host_of}):
            own = int(demand.base[h, r].sum(dtype=np.int64)) // demand.moments
            use = own
            for v in range(len(fleet.vms)):
                if int(host_of[v]) == h:
                    use += int(demand.use[v, r].sum(dtype=np.int64)) // demand.moments
            idle, lines = self._lines(fleet, h)
            total += idle + sum(rise * max(use - knot, 0) for knot, rise in lines)
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Opened | Steps]:
        """What a host draws for nothing but itself is the price of having it on; the rest is a Steps of what its VMs use."""
        (r,) = columns(fleet, (CPU,))
        own = demand.base[:, r].sum(axis=1, dtype=np.int64) // demand.moments
        mean = demand.use[:, r].sum(axis=1, dtype=np.int64) // demand.moments
        curves = [self._lines(fleet, h) for h in range(fleet.n_hosts)]
        on = [
            idle + sum(rise * max(int(o) - k, 0) for k, rise in lines)
            for (idle, lines), o in zip(curves, own, strict=True)
        ]
        yield Opened(np.arange(fleet.n_hosts), np.array(on, np.int64), self.name)
        depth = max((len(lines) for _, lines in curves), default=0)
        knots, slopes = np.zeros((2, depth, fleet.n_hosts, 1), np.int64)
        for h, (_, lines) in enumerate(curves):
            for j, (knot, rise) in enumerate(lines):
                knots[j, h, 0], slopes[j, h, 0] = max(knot - int(own[h]), 0), rise
        yield Steps(
            np.arange(fleet.n_vms), mean[:, None], np.arange(fleet.n_hosts), np.zeros((fleet.n_hosts, 1), np.int64),
            knots, slopes, self.name,
        )  # fmt: skip

    def _lines(self, fleet: Fleet, h: int) -> tuple[int, list[tuple[int, int]]]:
        """Price when idle; (MHz, price per MHz that is added to the slope from there on)."""
        families = fleet.host_groups.get("cpu_family")
        family = families.names[families.code[h]] if families is not None and families.code[h] >= 0 else None
        curve = dict(self.curves).get(family or "", self.otherwise)
        capacity = int(fleet.capacity[h, fleet.resources.index(CPU)])
        points = [(round(load * capacity), round(watts * MICRO * self.price)) for load, watts in curve]
        lines, before = [], 0
        for (x, y), (x2, y2) in pairwise(points):
            slope = (y2 - y) // (x2 - x) if x2 > x else 0
            lines.append((x, slope - before))
            before = slope
        return points[0][1], [*lines, (points[-1][0], -before)]
