"""survives: may any k hosts of a cluster fail?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import RESOURCES
from pro.placement.failover.drill import Drill
from pro.placement.failover.report import Failure, Report
from pro.placement.failover.why import strand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.failover.drill import Loss
    from pro.placement.rules import Constraint


DETAILS = 50
"""Failures that are explained VM by VM; of the others, only how many VMs they leave down."""


def survives(
    fleet: Fleet, rules: Iterable[Constraint], host_of: Ints | None = None, k: int = 1, *, details: int = DETAILS
) -> Report:
    """Whether any `k` hosts of one cluster, or fewer, may fail while VMs stand at `host_of` (V,); None: where they stand now.

    It survives if every highly available VM of the failed hosts can be restarted on another host of the cluster that takes
    VMs, while what runs stays, and no rule that binds restarts is broken by more than before. All sets of one and of two hosts
    are checked, of more hosts as many as `drill.MOST_SETS` a cluster; the report says how many. Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    drill = Drill(fleet, rules)
    placed = fleet.host_of if host_of is None else np.asarray(host_of, np.int64)
    return report_of(drill, placed, k, details=details)


def report_of(drill: Drill, host_of: Ints, k: int, *, details: int = DETAILS) -> Report:
    """The same for a drill that is ready."""
    found = drill.clusters_of(host_of, k)
    fleet = replace(drill.fleet, host_of=host_of)
    losses = sorted((x for f in found.values() for x in f.losses), key=lambda x: (len(x.hosts), -x.most, x.hosts))
    units = _units(drill.rules)
    return Report(
        k=k,
        hosts=int((drill.cluster >= 0).sum()),
        sets=sum(f.sets for f in found.values()),
        checked=sum(f.checked for f in found.values()),
        failures=tuple(_failure(drill, fleet, x, units, explain=n < details) for n, x in enumerate(losses)),
    )


def _units(rules: Iterable[Constraint]) -> Mapping[str, str]:
    """The unit in which a rule's amounts are, where it says so by naming a resource."""
    resource = {rule.name: getattr(rule, "resource", None) for rule in rules}
    return {name: RESOURCES[r].unit for name, r in resource.items() if r in RESOURCES}


def _failure(drill: Drill, fleet: Fleet, loss: Loss, units: Mapping[str, str], *, explain: bool) -> Failure:
    cluster = int(drill.cluster[loss.hosts[0]])
    hosts = tuple(fleet.hosts[h] for h in loss.hosts)
    name = fleet.host_groups["cluster"].names[cluster]
    if not explain:
        return Failure(hosts, name, loss.most, loss.least, 0)
    stands = drill.stands(fleet.host_of, loss)
    told = strand(fleet, drill.ready, loss.hosts, stands, units)
    memory = sum(int(fleet.memory_mib[fleet.vm_index(s.vm)]) for s in told)
    return Failure(hosts, name, loss.most, loss.least, memory, told)
