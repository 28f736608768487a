"""place: the room's one public function. Rules and goals in, a refereed placement out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.placement.constraints import build
from pro.placement.language import cost
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.placement import Placement, TierCost
from pro.placement.policy import Policy, budget, percent_hours, rounds, tiers
from pro.placement.problem import Problem, Stop, Tier, compile_problem
from pro.placement.referee import check, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pro.fleet import Demand, Fleet
    from pro.placement.engines.exact import Coarse
    from pro.placement.problem import Engine, Objective
    from pro.placement.rules import Constraint

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """A placement problem with its rules still in words: what the referee, `explain` and the planner need beside it."""

    fleet: Fleet
    demand: Demand
    policy: Policy
    constraints: tuple[Constraint, ...]
    problem: Problem


def prepare(fleet: Fleet, demand: Demand, policy: Policy) -> Question:
    """Compile rules and goals. Raises InputError for an unknown cluster or host."""
    constraints = build(
        fleet,
        memory_reserve_mib=policy.memory_reserve_mib,
        max_moves=budget(policy, fleet.n_vms),
        max_gib=policy.max_gib,
        evacuate=policy.evacuate,
    )
    rows = [row for rule in constraints for row in rule.rows(fleet)]
    wanted = [
        Tier(name, tuple(term for objective in objectives for term in objective.terms(fleet, demand)))
        for name, objectives in tiers(policy, fleet, demand)
    ]
    problem = replace(compile_problem(fleet, rows, wanted), movable=_movable(fleet, policy))
    return Question(fleet, demand, policy, tuple(constraints), problem)


def place(
    fleet: Fleet, demand: Demand, policy: Policy, *, tell: Callable[[str], None] = lambda _: None, prove: bool = True
) -> tuple[Placement, Question]:
    """Where every VM should stand; never worse than today.

    Engines run one after the other, each from where the last one ended: greedy repair, local search, and CP-SAT where the
    problem is small enough to prove something. `tell` hears what is going on; without `prove` CP-SAT is left out. Raises RefereeError if an engine's answer
    breaks a rule worse than today, which is a bug and is never passed on.
    """
    question = prepare(fleet, demand, policy)
    begun = time.monotonic()
    found, proof = _run(question, tell, prove)
    verdict = require(fleet, question.constraints, found.host_of)
    problem = question.problem
    after = problem.costs(found.host_of)
    return Placement(
        host_of=found.host_of,
        tiers=account(question, found.host_of),
        violations=verdict.still,
        bound=proof.bound,
        gap=None if proof.bound is None else round((after[1] - proof.bound) / max(after[1], 1), 6),
        minimal_moves=proof.minimal_moves,
        engine=found.engine,
        seed=policy.seed,
        seconds=time.monotonic() - begun,
    ), question


@dataclass(frozen=True)
class _Answer:
    host_of: Ints
    engine: str


def _run(question: Question, tell: Callable[[str], None], prove: bool) -> tuple[_Answer, Coarse]:
    """Greedy, local search, then CP-SAT: on the whole problem if that is small, else on a coarser one for a bound."""
    from pro.placement.engines import Exact, Greedy, Local, warm
    from pro.placement.engines.exact import Coarse

    problem, policy = question.problem, question.policy
    tell("preparing the engines")
    warm()
    rng = np.random.default_rng(policy.seed)
    host_of, names = problem.home, []
    chain: Sequence[tuple[Engine, float]] = ((Greedy(), 1.0), (Local(), 0.7))
    for engine, share in chain:
        tell(engine.name)
        host_of = engine.improve(problem, host_of, Stop(policy.seconds * share, rounds(policy, question.fleet)), rng)
        names.append(engine.name)
    if not prove:
        return _Answer(host_of, " + ".join(names)), Coarse(None, None)
    exact, rest = Exact(), Stop(policy.seconds * 0.3)
    tell(exact.name)
    if exact.entries(problem) > exact.most_entries:
        return _Answer(host_of, " + ".join(names)), exact.coarse(problem, host_of, rest, policy.seed)
    proof = exact.prove(problem, host_of, rest, policy.seed)
    moved = int((proof.host_of != problem.home).sum())
    # The goal's tier charges for migrations, so where it is solved to the end no placement as good has fewer.
    fewest = moved == 0 or proof.optimal[1] or None
    return _Answer(proof.host_of, " + ".join([*names, exact.name])), Coarse(proof.bounds[1], fewest)


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


def account(question: Question, host_of: Ints) -> tuple[TierCost, ...]:
    """The answer in people's units, most important first: what it was and what it will be."""
    fleet, demand, home = question.fleet, question.demand, question.fleet.host_of
    heat = Heat(threshold=question.policy.threshold, resources=tuple(r for r in fleet.resources if r != "memory"))

    def of(objective: Objective, placed: Ints) -> int:
        return sum(cost(term, home, placed) for term in objective.terms(fleet, demand))

    def line(name: str, unit: str, objective: Objective, per: float) -> TierCost:
        return TierCost(name, round(of(objective, home) / per, 2), round(of(objective, host_of) / per, 2), unit)

    broken_now = sum(v.amount for v in check(fleet, question.constraints, home))
    broken_then = sum(v.amount for v in check(fleet, question.constraints, host_of))
    gib = float(fleet.memory_mib[host_of != home].sum()) / 1024
    return (
        TierCost("broken rules", broken_now, broken_then, "violations"),
        line("heat", "expected % x hours over the threshold, with margin", heat, percent_hours(demand)),
        line("migrations", "count", Moves(), 1),
        TierCost("memory moved", 0.0, round(gib, 2), "GiB"),
        line("hosts on", "hosts", HostsOn(), 1),
        line("balance", "% of a host over its cluster's mean, weighted", Balance(), 1e7),
    )
