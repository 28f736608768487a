"""Rules, one a file. A rule says itself twice: in plain words for the referee, in rows for engines.

In: the fleet, its written rules, and what the caller asks. Out: constraints. Never: knows an engine or a goal.
To add a rule: a file here, a line in `CONSTRAINTS` (and in `WRITTEN` if people write it in rules.json), a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.placement.constraints.ban import Ban as Ban
from pro.placement.constraints.budget import MoveBudget as MoveBudget
from pro.placement.constraints.capacity import Capacity as Capacity
from pro.placement.constraints.cluster import ClusterBorder as ClusterBorder
from pro.placement.constraints.common import SCOPES
from pro.placement.constraints.cpu import CpuCompatibility as CpuCompatibility
from pro.placement.constraints.evacuate import Evacuate as Evacuate
from pro.placement.constraints.fence import Fence as Fence
from pro.placement.constraints.gather import Gather as Gather
from pro.placement.constraints.maintenance import Maintenance as Maintenance
from pro.placement.constraints.pin import Pin as Pin
from pro.placement.constraints.spread import Spread as Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pro.fleet import Fleet, RuleSpec
    from pro.placement.rules import Constraint

CONSTRAINTS: Mapping[str, type[Constraint]] = {
    "capacity": Capacity,
    "cluster": ClusterBorder,
    "cpu": CpuCompatibility,
    "maintenance": Maintenance,
    "evacuate": Evacuate,
    "budget": MoveBudget,
    "spread": Spread,
    "gather": Gather,
    "fence": Fence,
    "pin": Pin,
    "ban": Ban,
}
"""Every rule there is."""

WRITTEN: Mapping[str, Callable[[RuleSpec], Constraint]] = {
    "spread": Spread.of,
    "gather": Gather.of,
    "fence": Fence.of,
    "pin": Pin.of,
    "ban": Ban.of,
}
"""The kinds that people write in rules.json, and how each is read."""


def build(
    fleet: Fleet,
    *,
    memory_reserve_mib: int = 0,
    memory_reserve_percent: int = 0,
    max_moves: int | None = None,
    max_gib: int | None = None,
    evacuate: Sequence[str] = (),
) -> list[Constraint]:
    """Every rule that holds for `fleet`: what always holds, what the caller asks, what people wrote.

    `evacuate` are host ids. Raises `InputError` for a rule of an unknown kind or scope, a fence or ban without hosts,
    and for an evacuated host that the fleet does not hold: nothing is skipped in silence.
    """
    rules: list[Constraint] = [
        Capacity(reserve=memory_reserve_mib, reserve_percent=memory_reserve_percent),
        ClusterBorder(),
        CpuCompatibility(),
        Maintenance(),
    ]
    if evacuate:
        for host in evacuate:
            if host not in fleet.hosts:
                raise InputError("cannot evacuate a host that is not in the fleet", got=host)
        rules.append(Evacuate(tuple(sorted(set(evacuate)))))
    if max_moves is not None or max_gib is not None:
        rules.append(MoveBudget(max_moves, max_gib))
    return rules + [from_written(rule) for rule in fleet.rules]


def from_written(rule: RuleSpec) -> Constraint:
    """The constraint that a written rule asks for. Raises `InputError` when it cannot be read."""
    where = rule.origin or f"rule {rule.name!r}"
    if rule.kind not in WRITTEN:
        raise InputError("unknown kind of rule", got=rule.kind, expected=" | ".join(WRITTEN), where=where)
    if rule.kind in ("spread", "gather") and rule.scope not in SCOPES:
        raise InputError("unknown scope", got=rule.scope, expected=" | ".join(SCOPES), where=where)
    if rule.kind in ("fence", "ban") and not rule.hosts:
        raise InputError(f"a {rule.kind} needs at least one host", where=where)
    if rule.least < 0:
        raise InputError("least must not be negative", got=rule.least, where=where)
    return WRITTEN[rule.kind](rule)


def overlooked(fleet: Fleet) -> list[str]:
    """A sentence for every id that a written rule names and the fleet does not hold; such ids bind nobody."""
    vms, hosts = set(fleet.vms), set(fleet.hosts)
    said = []
    for rule in fleet.rules:
        said += [f"rule {rule.name} names VM {vm}, which is not here" for vm in rule.members if vm not in vms]
        said += [f"rule {rule.name} names host {h}, which is not here" for h in rule.hosts if h not in hosts]
    return said
