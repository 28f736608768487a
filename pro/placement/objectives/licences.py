"""Licence cost: software that is paid for by the cores of every host that holds any VM of its group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import Opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class LicenceCost:
    """For every licence rule of the fleet, the cores of the hosts that hold any of its members, however many they may be.

    Parameters
    ----------
    price
        Of one core.
    per_host
        Of one host, whatever its cores.
    """

    price: int = 1
    per_host: int = 0
    name: str = "licences"
    unit: str = "cores to be licensed"

    def __post_init__(self) -> None:
        if min(self.price, self.per_host) < 0:
            raise ValueError("the price of a licence must not be negative")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """What all licences cost."""
        total = 0
        for members in self._groups(fleet):
            for h in {int(host_of[v]) for v in members.tolist()}:
                total += self.per_host + self.price * int(fleet.cores[h])
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Opened]:
        """One term for each group."""
        for members in self._groups(fleet):
            yield Opened(np.arange(fleet.n_hosts), self.per_host + self.price * fleet.cores, self.name, members)

    def _groups(self, fleet: Fleet) -> list[Ints]:
        index = {vm: v for v, vm in enumerate(fleet.vms)}
        rules = (rule.members for rule in fleet.rules if rule.kind == "licence")
        groups = (sorted({index[m] for m in members if m in index}) for members in rules)
        return [np.array(group, np.int64) for group in groups if group]
