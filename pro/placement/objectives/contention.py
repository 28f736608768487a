"""Contention: what VMs ask for and do not get, in their own units, wherever it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU
from pro.placement.language import Steps
from pro.placement.objectives.common import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class Contention:
    """Demand over the capacity of hosts, summed over moments. A MHz that a VM does not get weighs the same on a large host
    and on a small one, and an uneven fleet in which everybody gets what they ask for costs nothing: this is not balance.

    Parameters
    ----------
    resources
        Whose demand counts.
    first
        Names of services whose VMs a host serves first (shares, reservations): they lack only what is over the capacity by
        themselves, and each unit of that costs `favour` more.
    favour
        See `first`.
    price
        Of one unit.
    """

    resources: tuple[str, ...] = (CPU,)
    first: tuple[str, ...] = ()
    favour: int = 3
    price: int = 1
    name: str = "contention"
    unit: str = "MHz (KiB/s) asked for and not given, summed over moments"

    def __post_init__(self) -> None:
        if min(self.favour, self.price) < 0:
            raise ValueError("the price of contention must not be negative")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Units over capacity, the favoured ones `1 + favour` times, times `price`."""
        total = 0
        for r in columns(fleet, self.resources):
            for who, weight in self._classes(fleet):
                use = [demand.base[h, r].astype(np.int64) for h in range(len(fleet.hosts))]
                for v in who.tolist():
                    use[int(host_of[v])] += demand.use[v, r]
                for h in range(len(fleet.hosts)):
                    if fleet.capacity[h, r] > 0:
                        total += weight * self.price * int(np.maximum(use[h] - int(fleet.capacity[h, r]), 0).sum())
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Steps]:
        """A term per resource and class of VMs; every host is a scope item, every moment a dimension."""
        for r in columns(fleet, self.resources):
            full = (1, fleet.n_hosts, demand.moments)
            capacity = fleet.capacity[None, :, r, None]
            for who, weight in self._classes(fleet):
                yield Steps(
                    vms=who,
                    weight=demand.use[who, r, :].astype(np.int64),
                    scope=np.arange(fleet.n_hosts),
                    base=demand.base[:, r, :].astype(np.int64),
                    knots=np.broadcast_to(capacity, full),
                    slopes=np.broadcast_to(np.where(capacity > 0, weight * self.price, 0), full),
                    label=f"{self.name} {fleet.resources[r]}",
                )

    def _classes(self, fleet: Fleet) -> list[tuple[Ints, int]]:
        """VMs that compete for a host's capacity, and what a unit they lack costs: all, then the favoured among themselves."""
        classes = [(np.arange(fleet.n_vms), 1)]
        services = fleet.vm_groups.get("service")
        if self.first and services is not None:
            codes = [c for c, name in enumerate(services.names) if name in self.first]
            classes.append((np.flatnonzero(np.isin(services.code, codes)), self.favour))
        return classes
