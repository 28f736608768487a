"""Failover on the way: what may fail today may fail after each wave of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pro.fleet import Fleet
    from pro.placement.failover import Failover
    from pro.planning.plan import Plan

WHY = "on the way, or with the others blocked, {} would be worse than today"


def to_stay(plan: Plan, fleet: Fleet, rule: Failover, granted: NDArray[np.int64]) -> dict[str, str]:
    """VMs (ids) that must stay for now, and why: those of the first wave after which `rule` is worse than today and than at
    `granted` (V,), in the clusters where it is; empty when no wave leaves it worse."""
    host_of = fleet.host_of.copy()
    cluster = rule.drill(fleet).cluster
    for wave in plan.waves:
        for m in wave.migrations:
            host_of[fleet.vm_index(m.vm)] = fleet.host_index(m.destination)
        worse = set(rule.worse(fleet, host_of, granted))
        if worse:
            there = [m.vm for m in wave.migrations if int(cluster[fleet.host_index(m.destination)]) in worse]
            return dict.fromkeys(there or [m.vm for m in wave.migrations], WHY.format(rule.name))
    return {}
