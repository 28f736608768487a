"""Arrays ready to draw: use as a fraction of capacity, fans, and which hosts are worth a line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pro.fleet import host_use

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.fleet import Demand, Fleet
    from pro.reports.report import Report

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of a fan: the outer band, the inner band, and the median between them."""


@dataclass(frozen=True)
class Use:
    """Use of every host under one placement: `fraction` (H, R, S, T) of capacity over S scenarios and T slots."""

    fraction: Floats

    @cached_property
    def expected(self) -> Floats:
        """(H, R, T) mean over scenarios."""
        return np.asarray(self.fraction.mean(axis=2))

    @cached_property
    def peak(self) -> Floats:
        """(H, R) expected peak: the mean over scenarios of the highest slot."""
        return np.asarray(self.fraction.max(axis=3).mean(axis=2))

    def fan(self, host: int, resource: int) -> Floats:
        """(5, T) quantiles `FAN` over scenarios."""
        return np.asarray(np.quantile(self.fraction[host, resource], FAN, axis=0))


def use(fleet: Fleet, demand: Demand, host_of: Ints) -> Use:
    """Use of every host under `host_of`; a resource of which a host has none counts as unused."""
    total = host_use(demand, host_of, fleet.n_hosts).astype(float)
    capacity = np.maximum(fleet.capacity, 1)[:, :, None]
    fraction = np.where(fleet.capacity[:, :, None] > 0, total / capacity, 0.0)
    return Use(fraction.reshape(*fraction.shape[:2], demand.scenarios, demand.slots))


def slot_ends(demand: Demand) -> list[datetime]:
    """T instants: when each slot ends, UTC."""
    return [demand.start + timedelta(seconds=demand.step_s * (t + 1)) for t in range(demand.slots)]


def touched_hosts(report: Report) -> list[int]:
    """Hosts that are hot today, hot afterwards, or take part in the plan; hottest first."""
    ids = [s.host for s in sorted((*report.hotspots, *report.hotspots_after), key=lambda s: -s.expected_hot_minutes)]
    for m in report.plan.migrations:
        ids += [m.source, m.destination]
    return [report.fleet.host_index(h) for h in dict.fromkeys(ids)]


def hosts_to_draw(report: Report, peak: Floats, limit: int) -> list[int]:
    """At most `limit` hosts: those the plan is about, then the busiest; in order of cluster and name.

    `peak` (H, R) as in `Use.peak`.
    """
    busiest = np.argsort(-peak[:, 0], kind="stable").tolist()
    chosen = list(dict.fromkeys([*touched_hosts(report), *busiest]))[:limit]
    return by_cluster(report.fleet, chosen)


def by_cluster(fleet: Fleet, hosts: Sequence[int]) -> list[int]:
    """`hosts` sorted by cluster, then name, then id."""
    return sorted(hosts, key=lambda h: (cluster_of(fleet, h), fleet.host_names[h], fleet.hosts[h]))


def cluster_of(fleet: Fleet, host: int) -> str:
    """Name of the host's cluster, "" when it is in none."""
    groups = fleet.host_groups.get("cluster")
    if groups is None or groups.code[host] < 0:
        return ""
    return groups.names[groups.code[host]]
