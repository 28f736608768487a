"""place: the room's one public function. Rules and goals in, a refereed placement out."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.placement.constraints import build
from pro.placement.language import cost
from pro.placement.moments import fewer_moments, slots_together
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.placement import Placement, TierCost
from pro.placement.policy import Policy, budget, helpings, percent_hours, rounds, tiers
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


LARGE = 50_000
"""VM x host pairs from which on the wide search is asked."""

MOST_PAIRS = 12_000_000
"""VM x moment pairs that the wide search keeps; beyond them neighbouring slots are put together, and the answer is judged at all."""

BOUND_SHARE = 0.2
"""Share of the time that is kept for a lower bound of a large problem."""

AFTER_ENGINES = 2.5
"""How much longer the referee and the account take than a look at today's placement."""


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
    fleet: Fleet,
    demand: Demand,
    policy: Policy,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Placement, Question]:
    """Where every VM should stand; never worse than today.

    Engines run one after the other, each from where the last one ended: greedy repair, local search, and CP-SAT where the
    problem is small enough to prove something; for large fleets the wide search. Compiling rules and kernels is not part of
    `policy.seconds`, everything after it is. `tell` hears what is going on; `clock` counts the seconds of large
    fleets. Raises RefereeError if an engine's answer breaks a rule worse than today, which is a bug and is never passed on.
    """
    question = prepare(fleet, demand, policy)
    _ready(question, tell)
    searched, together = _searched(question)
    begun = clock()
    today = _figures(question, fleet.host_of)
    # Engines leave the referee and the account as long as a look at today's placement took.
    after_engines = AFTER_ENGINES * (clock() - begun)
    found, proof = _run(searched, max(policy.seconds - after_engines, policy.seconds / 2), tell, clock)
    problem = question.problem
    if together > 1:
        found, proof = _at_all_moments(problem, found, proof, together)
    verdict = require(fleet, question.constraints, found.host_of)
    after = problem.costs(found.host_of)
    return Placement(
        host_of=found.host_of,
        tiers=_account(today, _figures(question, found.host_of)),
        violations=verdict.still,
        bound=proof.bound,
        gap=None if proof.bound is None else round((after[1] - proof.bound) / max(after[1], 1), 6),
        minimal_moves=proof.minimal_moves,
        engine=found.engine,
        seed=policy.seed,
        seconds=clock() - begun,
    ), question


@dataclass(frozen=True)
class _Answer:
    host_of: Ints
    engine: str


def _searched(question: Question) -> tuple[Question, int]:
    """What the engines see: of a large fleet with many moments a question with some of them put together, and how many."""
    together = (
        slots_together(question.demand, MOST_PAIRS // max(question.fleet.n_vms, 1)) if large(question.problem) else 1
    )
    if together == 1:
        return question, 1
    return prepare(question.fleet, fewer_moments(question.demand, together), question.policy), together


def _at_all_moments(problem: Problem, found: _Answer, proof: Coarse, together: int) -> tuple[_Answer, Coarse]:
    """What was found with `together` slots as one, for the question as it was asked: if it is no better than today, today."""
    if problem.costs(found.host_of) > problem.costs(problem.home):
        found = replace(found, host_of=problem.home)
    if proof.bound is None:
        return found, proof
    # Prices of migrations and hosts are rounded, by less than 1 each.
    bound = together * (proof.bound - len(problem.home) - problem.hosts)
    return found, replace(proof, bound=max(bound, 0))


def large(problem: Problem) -> bool:
    """Whether so many VMs could go to so many hosts that a look at every pair is too long a step."""
    return len(problem.home) * problem.hosts > LARGE


def _ready(question: Question, tell: Callable[[str], None]) -> None:
    """Load the compiled kernels, before any clock runs."""
    from pro.placement.engines.warm import warm, warm_wide

    tell("preparing the engines")
    if large(question.problem):
        warm_wide()
    else:
        warm()


def _run(
    question: Question, seconds: float, tell: Callable[[str], None], clock: Callable[[], float]
) -> tuple[_Answer, Coarse]:
    """Wide search where the fleet is large; else greedy, local search, and CP-SAT where that proves something."""
    if large(question.problem):
        return _large(question, seconds, tell, clock)
    return _small(question, seconds, tell)


def _large(
    question: Question, seconds: float, tell: Callable[[str], None], clock: Callable[[], float]
) -> tuple[_Answer, Coarse]:
    """The wide search, and then a bound by what hosts would do alone."""
    from pro.placement.engines.exact import Coarse
    from pro.placement.engines.sources import source_bound
    from pro.placement.engines.wide import Wide, goal_tier

    problem, policy, begun = question.problem, question.policy, clock()
    engine = Wide(workers=policy.workers, clock=clock)
    tell(engine.name)
    steps = helpings(policy) if policy.steps is None else policy.steps
    stop = Stop(seconds * (1 - BOUND_SHARE), steps)
    found = engine.search(problem, problem.home, stop, np.random.default_rng(policy.seed))
    tell("lower bound")
    bound = None
    if goal_tier(problem) == 1:
        with ThreadPoolExecutor(policy.workers) as pool:
            bound = source_bound(
                problem, found.host_of, 1, found.price,
                each=pool.map, left=lambda: seconds - (clock() - begun),
            )  # fmt: skip
    fewest = not (found.host_of != problem.home).any() or None
    return _Answer(found.host_of, engine.name), Coarse(None if bound is None else bound.value, fewest)


def _small(question: Question, seconds: float, tell: Callable[[str], None]) -> tuple[_Answer, Coarse]:
    """Greedy, local search, then CP-SAT: on the whole problem if that is small, else on a coarser one for a bound."""
    from pro.placement.engines import Exact, Greedy, Local
    from pro.placement.engines.exact import Coarse

    problem, policy = question.problem, question.policy
    rng = np.random.default_rng(policy.seed)
    host_of, names = problem.home, []
    chain: Sequence[tuple[Engine, float]] = ((Greedy(), 1.0), (Local(), 0.7))
    for engine, share in chain:
        tell(engine.name)
        host_of = engine.improve(problem, host_of, Stop(seconds * share, rounds(policy, question.fleet)), rng)
        names.append(engine.name)
    exact, rest = Exact(), Stop(seconds * 0.3)
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
    return _account(_figures(question, question.fleet.host_of), _figures(question, host_of))


def _account(today: dict[str, float], after: dict[str, float]) -> tuple[TierCost, ...]:
    return tuple(TierCost(name, today[name], after[name], unit) for name, unit in UNITS.items())


UNITS = {
    "broken rules": "violations",
    "heat": "expected % x hours over the threshold, with margin",
    "migrations": "count",
    "memory moved": "GiB",
    "hosts on": "hosts",
    "balance": "% of a host over its cluster's mean, weighted",
}
"""The lines of the account, and what each is counted in."""


def _figures(question: Question, host_of: Ints) -> dict[str, float]:
    """What `host_of` costs, in the units of the account."""
    fleet, demand, home = question.fleet, question.demand, question.fleet.host_of
    heat = Heat(threshold=question.policy.threshold, resources=tuple(r for r in fleet.resources if r != "memory"))

    def of(objective: Objective, per: float) -> float:
        return round(sum(cost(term, home, host_of) for term in objective.terms(fleet, demand)) / per, 2)

    return {
        "broken rules": sum(v.amount for v in check(fleet, question.constraints, host_of)),
        "heat": of(heat, percent_hours(demand)),
        "migrations": of(Moves(), 1),
        "memory moved": round(float(fleet.memory_mib[host_of != home].sum()) / 1024, 2),
        "hosts on": of(HostsOn(), 1),
        "balance": of(Balance(), 1e7),
    }
