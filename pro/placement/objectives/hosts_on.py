"""Hosts that hold VMs draw power; an empty one can be switched off."""

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
class HostsOn:
    """`cost` for every host that holds at least one VM."""

    cost: int = 1
    name: str = "hosts on"
    unit: str = "hosts"

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """The cost of all hosts in use."""
        return self.cost * len({int(h) for h in host_of})

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Opened]:
        """One term."""
        yield Opened(np.arange(fleet.n_hosts), np.full(fleet.n_hosts, self.cost), self.name)
