"""Disturbance: do not shake one service with all the migrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import MostMoved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class Disturbance:
    """`cost` times the migrations of the group (by default the service) that has most of them."""

    group: str = "service"
    cost: int = 1
    name: str = "disturbance"
    unit: str = "migrations of the worst-hit service"

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """The cost of the worst-hit group; 0 when the fleet has no such groups."""
        groups = fleet.vm_groups.get(self.group)
        moved: dict[int, int] = {}
        for v in range(len(fleet.vms)):
            if groups is not None and groups.code[v] >= 0 and host_of[v] != fleet.host_of[v]:
                moved[int(groups.code[v])] = moved.get(int(groups.code[v]), 0) + 1
        return self.cost * max(moved.values(), default=0)

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[MostMoved]:
        """One term, or none without such groups."""
        groups = fleet.vm_groups.get(self.group)
        if groups is not None:
            yield MostMoved(np.asarray(groups.code), self.cost, self.name)
