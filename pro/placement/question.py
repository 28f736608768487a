"""A placement problem with its rules still in words, compiled from a fleet, its demand and a policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import InputError
from pro.core.text import plain
from pro.placement.constraints import Headroom, build, preferences
from pro.placement.failover.hold import failover_of
from pro.placement.language import Soft
from pro.placement.objectives import Heat
from pro.placement.policy import Policy, budget, migration, steadied, tiers
from pro.placement.problem import Problem, Tier, compile_problem
from pro.placement.referee import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet
    from pro.placement.failover import Failover
    from pro.placement.language import Term
    from pro.placement.rules import Constraint, Violation


@dataclass(frozen=True)
class Question:
    """A placement problem with its rules still in words: what the referee, `explain` and the planner need beside it.

    `preferences` are rules that may be broken, at a price. `failover`: the rule that hosts may fail, apart from the others
    because it is made of them; None: not asked for. `heat`: the terms of heat, which are large and wanted again for the account.
    """

    fleet: Fleet
    demand: Demand
    policy: Policy
    constraints: tuple[Constraint, ...]
    problem: Problem
    preferences: tuple[Constraint, ...] = ()
    failover: Failover | None = None
    heat: tuple[Term, ...] = ()


def prepare(fleet: Fleet, demand: Demand, policy: Policy) -> Question:
    """Compile rules and goals. Raises InputError for an unknown cluster or host."""
    policy = steadied(policy, fleet, demand)
    constraints = build(fleet, **asked(policy, fleet))
    rows = [row for rule in constraints for row in rule.rows(fleet)]
    wanted: list[Tier] = []
    heat: tuple[Term, ...] = ()
    for name, objectives in tiers(policy, fleet, demand):
        terms_of = [(objective.name, tuple(objective.terms(fleet, demand))) for objective in objectives]
        wanted.append(Tier(name, tuple(term for _, terms in terms_of for term in terms)))
        heat = heat or next((terms for what, terms in terms_of if what == Heat.name), ())
    wished = preferences(fleet)
    goal, terms = wanted[0].name, [*wanted[0].terms]
    for wish in wished:
        price = round(wish.worth * migration(policy, demand)) + 1
        terms += [Soft(row, price, f"preference {plain(row.label)}") for row in wish.rule.rows(fleet)]
    wanted[0] = Tier(goal, tuple(terms))
    problem = replace(compile_problem(fleet, rows, wanted), movable=_movable(fleet, policy))
    soft = [wish.rule for wish in wished]
    if policy.ladder[2] > policy.ladder[1]:
        headroom = Headroom(policy.ladder[2])
        soft.insert(0, headroom)
        problem = _guarded(problem, fleet, headroom)
    # Restarts keep to what binds; what is only wished for they may break.
    stand_by = failover_of(policy, constraints)
    return Question(fleet, demand, policy, tuple(constraints), problem, tuple(soft), stand_by, heat)


def asked(policy: Policy, fleet: Fleet) -> dict[str, Any]:
    """What `policy` tells `build`, as JSON."""
    return {
        "memory_reserve_mib": policy.memory_reserve_mib, "memory_start_mib": policy.ladder[1],
        "max_moves": budget(policy, fleet.n_vms), "max_gib": policy.max_gib, "max_moves_per": policy.max_moves_per,
        "evacuate": list(policy.evacuate),
    }  # fmt: skip


def _guarded(problem: Problem, fleet: Fleet, headroom: Headroom) -> Problem:
    """`problem` where the placement reserve comes after the repair of broken rules and before everything else."""
    repair, *rest = problem.tiers
    # Nothing that the reserve could cost outweighs one unit of a broken rule.
    first = int(fleet.memory_mib.sum()) + 1
    terms = [replace(t, price=first) if isinstance(t, Soft) else t for t in repair.terms]
    terms += [Soft(row, 1, row.label) for row in headroom.rows(fleet)]
    return replace(problem, tiers=(Tier(repair.name, tuple(terms)), *rest))


def unkept(question: Question, host_of: Ints) -> tuple[Violation, ...]:
    """The preferences that `host_of` (V,) does not keep, and by how much."""
    return tuple(check(question.fleet, question.preferences, host_of))


def _movable(fleet: Fleet, policy: Policy) -> NDArray[np.bool_]:
    if policy.cluster is None:
        return fleet.movable
    clusters = fleet.host_groups.get("cluster")
    if clusters is None or policy.cluster not in clusters.names:
        known = ", ".join(clusters.names) if clusters else "none"
        raise InputError("unknown cluster", got=policy.cluster, expected=f"one of {known}", where="--cluster")
    code = clusters.names.index(policy.cluster)
    inside: NDArray[np.bool_] = clusters.code[fleet.host_of] == code
    return np.logical_and(fleet.movable, inside)
