"""Balance: the hosts of a cluster share its load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU
from pro.placement.language import Steps
from pro.placement.objectives.common import BILLION, columns, slope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class Balance:
    """Mean use over the moments, as a fraction of capacity, beyond the cluster's mean: convex, so that the fullest host
    counts most.

    Parameters
    ----------
    resources
        Whose use counts.
    knots
        (fraction of capacity above the cluster's mean, added weight). Hosts of no cluster have nobody to share with and
        cost nothing. The cluster's mean is today's; means are rounded down to the resource's unit.
    """

    resources: tuple[str, ...] = (CPU,)
    knots: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.05, 1.0), (0.10, 2.0), (0.20, 4.0))
    name: str = "balance"
    unit: str = "billionths of a host's capacity over the cluster's mean"

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Billionths of a host's capacity over the knots."""
        clusters = fleet.host_groups.get("cluster")
        total = 0
        for r in columns(fleet, self.resources):
            today, after = [0] * len(fleet.hosts), [0] * len(fleet.hosts)
            for h in range(len(fleet.hosts)):
                today[h] = after[h] = int(demand.base[h, r].sum(dtype=np.int64)) // demand.moments
            for v in range(len(fleet.vms)):
                mean = int(demand.use[v, r].sum(dtype=np.int64)) // demand.moments
                today[int(fleet.host_of[v])] += mean
                after[int(host_of[v])] += mean
            for h in range(len(fleet.hosts)):
                capacity = int(fleet.capacity[h, r])
                if clusters is None or clusters.code[h] < 0 or capacity == 0:
                    continue
                peers = [p for p in range(len(fleet.hosts)) if clusters.code[p] == clusters.code[h]]
                room = sum(int(fleet.capacity[p, r]) for p in peers)
                level = sum(today[p] for p in peers) * capacity // room
                for fraction, weight in self.knots:
                    price = max(round(weight * BILLION / capacity), 1) if weight > 0 else 0
                    total += price * max(after[h] - level - round(fraction * capacity), 0)
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Steps]:
        """One term; every host is a scope item, every resource a dimension."""
        cols = columns(fleet, self.resources)
        capacity = fleet.capacity[:, cols]
        mean = demand.use[:, cols].sum(axis=2, dtype=np.int64) // demand.moments
        base = demand.base[:, cols].sum(axis=2, dtype=np.int64) // demand.moments
        today = base.copy()
        np.add.at(today, fleet.host_of, mean)
        groups = fleet.host_groups.get("cluster")
        cluster = np.full(fleet.n_hosts, -1) if groups is None else groups.code
        level, shares = np.zeros_like(capacity), np.zeros_like(capacity)
        for code in np.unique(cluster[cluster >= 0]):
            peers = cluster == code
            room = np.maximum(capacity[peers].sum(axis=0), 1)
            level[peers] = today[peers].sum(axis=0) * capacity[peers] // room
            shares[peers] = capacity[peers]
        yield Steps(
            vms=np.arange(fleet.n_vms),
            weight=mean,
            scope=np.arange(fleet.n_hosts),
            base=base,
            knots=np.stack([level + np.rint(fraction * capacity).astype(np.int64) for fraction, _ in self.knots]),
            slopes=np.stack([slope(weight, shares) for _, weight in self.knots]),
            label=self.name,
        )
