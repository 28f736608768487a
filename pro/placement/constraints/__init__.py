"""Rules, one a file. A rule says itself twice: in plain words for the referee, in rows for engines.

In: the fleet, its written rules, and what the caller asks. Out: constraints. Never: knows an engine or a goal.
To add a rule: a file here, a line in `CONSTRAINTS` (and in `WRITTEN` if people write it in rules.json), a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.fleet.rule_kinds import KINDS, SCOPES, contradictions
from pro.placement.constraints.ban import Ban as Ban
from pro.placement.constraints.budget import GroupBudget as GroupBudget
from pro.placement.constraints.budget import MoveBudget as MoveBudget
from pro.placement.constraints.capacity import Capacity as Capacity
from pro.placement.constraints.cluster import ClusterBorder as ClusterBorder
from pro.placement.constraints.cpu import CpuCompatibility as CpuCompatibility
from pro.placement.constraints.dedicate import Dedicate as Dedicate
from pro.placement.constraints.evacuate import Evacuate as Evacuate
from pro.placement.constraints.fence import Fence as Fence
from pro.placement.constraints.gather import Gather as Gather
from pro.placement.constraints.headroom import Headroom as Headroom
from pro.placement.constraints.licence import Licence as Licence
from pro.placement.constraints.limit import VmLimit as VmLimit
from pro.placement.constraints.maintenance import Maintenance as Maintenance
from pro.placement.constraints.numa import NumaFit as NumaFit
from pro.placement.constraints.pin import Pin as Pin
from pro.placement.constraints.prefer import Prefer as Prefer
from pro.placement.constraints.reach import Reach as Reach
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
    "group_budget": GroupBudget,
    "headroom": Headroom,
    "reach": Reach,
    "numa": NumaFit,
    "spread": Spread,
    "gather": Gather,
    "fence": Fence,
    "pin": Pin,
    "ban": Ban,
    "limit": VmLimit,
    "licence": Licence,
    "dedicate": Dedicate,
    "prefer": Prefer,
}
"""Every rule there is."""

WRITTEN: Mapping[str, Callable[[RuleSpec], Constraint]] = {
    "spread": Spread.of,
    "gather": Gather.of,
    "fence": Fence.of,
    "pin": Pin.of,
    "ban": Ban.of,
    "limit": VmLimit.of,
    "licence": Licence.of,
    "dedicate": Dedicate.of,
    "prefer": Prefer.of,
}
"""The kinds that people write in rules.json, and how each is read."""


def build(
    fleet: Fleet,
    *,
    memory_reserve_mib: int = 0,
    memory_start_mib: int = 0,
    max_moves: int | None = None,
    max_gib: int | None = None,
    max_moves_per: Mapping[str, int] | None = None,
    evacuate: Sequence[str] = (),
) -> list[Constraint]:
    """Every rule that holds for `fleet`: what always holds, what the caller asks, what people wrote; see `preferences`.

    `memory_start_mib`: where less is free, memory is short and to be freed. `max_moves_per`: group of VMs (service,
    cluster) -> migrations of one. `evacuate` are host ids. Raises `InputError` for a rule of an unknown kind or scope, a fence or ban without hosts,
    and for an evacuated host that the fleet does not hold: nothing is skipped in silence.
    """
    rules: list[Constraint] = [
        Capacity(reserve=memory_reserve_mib),
        ClusterBorder(),
        CpuCompatibility(),
        Maintenance(),
    ]
    if memory_start_mib > memory_reserve_mib:
        rules.insert(1, Capacity(reserve=memory_start_mib, name="memory start reserve"))
    rules += [rule for rule in (Reach(), NumaFit()) if rule.matters(fleet)]
    if evacuate:
        for host in evacuate:
            if host not in fleet.hosts:
                raise InputError("cannot evacuate a host that is not in the fleet", got=host)
        rules.append(Evacuate(tuple(sorted(set(evacuate)))))
    if max_moves is not None or max_gib is not None:
        rules.append(MoveBudget(max_moves, max_gib))
    rules += [GroupBudget(group, most) for group, most in (max_moves_per or {}).items()]
    return rules + [from_written(rule) for rule in fleet.rules if not rule.soft]


@dataclass(frozen=True)
class Preference:
    """A rule that may be broken: `worth` is how many migrations, at most, one unit less of it is worth."""

    rule: Constraint
    worth: float


def preferences(fleet: Fleet) -> list[Preference]:
    """The soft rules of `fleet`. Raises InputError as `build` does."""
    return [Preference(from_written(rule), rule.worth or 1.0) for rule in fleet.rules if rule.soft]


def written_as(fleet: Fleet, rules: Sequence[Constraint]) -> list[RuleSpec | None]:
    """For each of `rules` the hard rule of `fleet` that it was made from; None where nobody wrote it.

    By what they say, not by their names: names repeat, and people may call a rule "move budget". Of rules that say the same the first
    is the first that was written.
    """
    written: dict[Constraint, list[RuleSpec]] = {}
    for spec in fleet.rules:
        if not spec.soft:
            written.setdefault(from_written(spec), []).append(spec)
    left = {rule: iter(specs) for rule, specs in written.items()}
    return [next(left[rule], None) if rule in left else None for rule in rules]


def from_written(rule: RuleSpec) -> Constraint:
    """The constraint that a written rule asks for. Raises `InputError` when it cannot be read."""
    where = rule.origin or f"rule {rule.name!r}"
    for error in contradictions(rule, where):
        raise error
    if "scope" in KINDS[rule.kind].uses and rule.scope not in SCOPES:
        raise InputError("unknown scope", got=rule.scope, expected=" | ".join(SCOPES), where=where)
    return WRITTEN[rule.kind](rule)
