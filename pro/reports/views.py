"""Arrays ready to draw: use as a fraction of capacity, and which hosts are worth a line."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import MEMORY
from pro.fleet import host_use
from pro.heat.hotspots import MEMORY_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pro.core.arrays import Floats, Ints
    from pro.fleet import Demand, Fleet
    from pro.heat import Hotspot
    from pro.reports.report import Report


RISK = (0.1, 0.3, 0.5)
"""Shares of futures from which a picture marks a slot as one in which the host may be hot: a small dot, a larger, the largest."""


def expected_use(fleet: Fleet, demand: Demand, host_of: Ints) -> Floats:
    """(H, R, T) mean over scenarios of every host's use under `host_of`, as a fraction of capacity (0 where it has none)."""
    total = host_use(demand, host_of, fleet.n_hosts)
    mean = total.reshape(*total.shape[:2], demand.scenarios, demand.slots).mean(axis=2)
    capacity = fleet.capacity[:, :, None].astype(float)
    return np.asarray(np.divide(mean, capacity, out=np.zeros(mean.shape), where=capacity > 0))


def over_share(report: Report, host_of: Ints, resource: str) -> Floats:
    """(H, T) share of scenarios in which each host is above its limit in each slot."""
    fleet, demand, r = report.fleet, report.demand, report.fleet.resources.index(resource)
    total = host_use(demand, host_of, fleet.n_hosts)[:, r]
    over = (total > limit_of(report, resource) * fleet.capacity[:, r, None]) & (fleet.capacity[:, r, None] > 0)
    return np.asarray(over.reshape(fleet.n_hosts, demand.scenarios, demand.slots).mean(axis=1))


def limit_of(report: Report, resource: str) -> float:
    """The fraction of capacity above which a host counts as hot on `resource`."""
    return MEMORY_THRESHOLD if resource == MEMORY else report.threshold


def hot_hosts(hotspots: Sequence[Hotspot]) -> int:
    """How many hosts have at least one hotspot."""
    return len({s.host for s in hotspots})


def rules_broken(report: Report) -> tuple[int, int]:
    """How many rules are broken today, and with the plan; a rule that is broken in several places is one."""
    still = {v.rule for v in report.placement.violations}
    return len(still | {v.rule for v in report.repaired}), len(still)


def slot_ends(demand: Demand) -> list[datetime]:
    """T instants: when each slot ends, UTC."""
    return [demand.start + timedelta(seconds=demand.step_s * (t + 1)) for t in range(demand.slots)]


def touched_hosts(report: Report) -> list[int]:
    """Hosts that are hot today, hot afterwards, or take part in the plan; hottest first."""
    ids = [s.host for s in sorted((*report.hotspots, *report.hotspots_after), key=lambda s: -s.expected_hot_minutes)]
    for m in report.plan.migrations:
        ids += [m.source, m.destination]
    return [report.fleet.host_index(h) for h in dict.fromkeys(ids)]


def hosts_to_draw(report: Report, limit: int) -> list[int]:
    """At most `limit` hosts: those the plan is about, then the busiest; in order of cluster and name."""
    busiest = np.argsort(-report.before.peak[:, 0], kind="stable").tolist()
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
    return str(groups.names[int(groups.code[host])])
