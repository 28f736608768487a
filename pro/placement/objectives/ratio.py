"""Ratio: what is left of two resources on a host should be of use together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU, MEMORY
from pro.placement.language import Steps
from pro.placement.objectives.common import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet

SCALE = 1000


@dataclass(frozen=True)
class Ratio:
    """CPU that is left on a host without memory to go with it: max(0, target * left(first) - left(second)), summed over hosts,
    at the mean use over the moments. (The balance cost of ROADEF/EURO 2012.)

    Parameters
    ----------
    first, second
        Resources.
    target
        Units of the second that belong to one of the first, to three digits; None: as much as the fleet has.
    price
        Of a thousandth of a unit of the second.
    """

    first: str = CPU
    second: str = MEMORY
    target: float | None = None
    price: int = 1
    name: str = "ratio"
    unit: str = "thousandths of MiB that are missing beside the CPU that is left"

    def __post_init__(self) -> None:
        if self.price < 0 or (self.target is not None and self.target < 0):
            raise ValueError("neither the target of a ratio nor its price may be negative")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Thousandths of a unit of the second resource that are missing, times `price`."""
        a, b = columns(fleet, (self.first, self.second))
        target, total = self._target(fleet, a, b), 0
        for h in range(len(fleet.hosts)):
            left = []
            for r in (a, b):
                use = int(demand.base[h, r].sum(dtype=np.int64)) // demand.moments
                for v in range(len(fleet.vms)):
                    if int(host_of[v]) == h:
                        use += int(demand.use[v, r].sum(dtype=np.int64)) // demand.moments
                left.append(int(fleet.capacity[h, r]) - use)
            total += max(0, target * left[0] - SCALE * left[1])
        return self.price * total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Steps]:
        """One term, with weights of either sign."""
        a, b = columns(fleet, (self.first, self.second))
        target = self._target(fleet, a, b)
        use = demand.use.sum(axis=2, dtype=np.int64) // demand.moments
        base = demand.base.sum(axis=2, dtype=np.int64) // demand.moments
        knots = SCALE * fleet.capacity[:, b] - target * fleet.capacity[:, a]
        yield Steps(
            vms=np.arange(fleet.n_vms),
            weight=(SCALE * use[:, b] - target * use[:, a])[:, None],
            scope=np.arange(fleet.n_hosts),
            base=(SCALE * base[:, b] - target * base[:, a])[:, None],
            knots=knots[None, :, None],
            slopes=np.full((1, fleet.n_hosts, 1), self.price),
            label=self.name,
        )

    def _target(self, fleet: Fleet, a: int, b: int) -> int:
        if self.target is not None:
            return round(SCALE * self.target)
        return SCALE * int(fleet.capacity[:, b].sum()) // max(int(fleet.capacity[:, a].sum()), 1)
