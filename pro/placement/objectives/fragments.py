"""Fragments: free cores that are of no use to a large VM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import Steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class Fragments:
    """Free cores beyond the last that a VM of `cores` can use: a sawtooth of what is free on a host.

    Which NUMA node a VM runs on is not known, so a host's VMs are taken to share its n nodes evenly, and every
    n * `cores` free ones hold such a VM on each node. Hosts of unknown cores, and those that gave all away, have no fragments.

    Parameters
    ----------
    cores
        Virtual processors of the VM for which there should be room on one NUMA node.
    per_core
        Virtual processors that one core is sold as.
    price
        Of one virtual processor that is free and of no use.
    """

    cores: int = 16
    per_core: int = 1
    price: int = 1
    name: str = "fragments"
    unit: str = "free virtual processors that hold no large VM"

    def __post_init__(self) -> None:
        if min(self.cores, self.per_core) < 1 or self.price < 0:
            raise ValueError("fragments need a VM of at least 1 core, and 1 virtual processor for a core")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Fragments of all hosts, times `price`."""
        total = 0
        for h in range(len(fleet.hosts)):
            used = sum(int(fleet.vcpus[v]) for v in range(len(fleet.vms)) if int(host_of[v]) == h)
            free = max(int(fleet.cores[h]) * self.per_core - used, 0)
            total += free % (self.cores * max(int(fleet.numa_nodes[h]), 1))
        return self.price * total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Steps]:
        """One term; every host is a scope item."""
        teeth = [self._teeth(int(c) * self.per_core, self.cores * max(int(n), 1))
                 for c, n in zip(fleet.cores, fleet.numa_nodes, strict=True)]  # fmt: skip
        depth = max((len(t) for t in teeth), default=0)
        knots, slopes = np.zeros((2, depth, fleet.n_hosts, 1), np.int64)
        for h, tooth in enumerate(teeth):
            for j, (knot, slope) in enumerate(tooth):
                knots[j, h, 0], slopes[j, h, 0] = knot, self.price * slope
        yield Steps(
            np.arange(fleet.n_vms), fleet.vcpus[:, None], np.arange(fleet.n_hosts), np.zeros((fleet.n_hosts, 1), np.int64),
            knots, slopes, self.name,
        )  # fmt: skip

    def _teeth(self, room: int, period: int) -> list[tuple[int, int]]:
        """(use, slope added) such that `use` costs (room - use) mod period up to `room` and nothing beyond."""
        first = room % period
        teeth = [(-1, first), (0, -first - 1)]
        for bottom in range(first, room, period):
            teeth += [(bottom, period), (bottom + 1, -period)]
        return [*teeth, (room, 1)]
