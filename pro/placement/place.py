"""place: the room's one public function. Rules and goals in, a refereed placement out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.core.text import plain
from pro.placement.constraints import Headroom, build, preferences
from pro.placement.failover.hold import failover_of, hold
from pro.placement.language import Soft, cost
from pro.placement.moments import fewer_moments, slots_together
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.placement import Placement, TierCost
from pro.placement.policy import Policy, budget, helpings, migration, percent_hours, rounds, steadied, tiers
from pro.placement.problem import Problem, Stop, Tier, compile_problem
from pro.placement.referee import check, require
from pro.placement.weights import weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pro.fleet import Demand, Fleet
    from pro.placement.engines.exact import Settled
    from pro.placement.engines.wide import Found
    from pro.placement.failover import Failover
    from pro.placement.language import Term
    from pro.placement.problem import Engine, Objective
    from pro.placement.rules import Constraint, Violation

    Ints = NDArray[np.int64]


LARGE = 50_000
"""VM x host pairs from which on the wide search is asked."""

MOST_PAIRS = 12_000_000
"""VM x moment pairs that the wide search keeps; beyond them neighbouring slots are put together, and the answer is judged at all."""

BOUND_SHARE = 0.2
"""Share of the time that is kept for a lower bound of a large problem."""

AFTER_ENGINES = 2.5
"""How much longer the referee and the account take than a look at today's placement."""

HOLD_SHARE, FINISH_SHARE = 0.25, 0.05
"""Share that is kept for undoing migrations of a large fleet that failover forbids, and for what was begun to finish."""

READINGS = 2
"""A bound gets its share of the time beyond so many readings of the fleet."""

SEARCH_SHARE = 0.6
"""Share of the time after greedy repair that annealing gets in a small fleet, where its steps do not end it before that."""

TIDY = 8
"""Rounds of local search after it, for what is decided last: memory moved, and balance."""

LEAST_SHARE = 0.15
"""Share of the time that the search gets even where reading the fleet has taken all of it."""


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
    constraints = build(
        fleet,
        memory_reserve_mib=policy.memory_reserve_mib,
        memory_start_mib=policy.ladder[1],
        max_moves=budget(policy, fleet.n_vms),
        max_gib=policy.max_gib,
        max_moves_per=policy.max_moves_per,
        evacuate=policy.evacuate,
    )
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


def place(
    fleet: Fleet,
    demand: Demand,
    policy: Policy,
    *,
    tell: Callable[[str], None] = lambda _: None,
    prove: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Placement, Question]:
    """Where every VM should stand; never worse than today.

    Engines run one after the other, each from where the last one ended: greedy repair, local search, and CP-SAT where the
    problem is small enough to prove something; for large fleets the wide search. Compiling rules and kernels is not part of
    `policy.seconds`, everything after it is. `tell` hears what is going on; without `prove` nothing is proven or bounded; `clock`
    counts the seconds of large fleets. Raises RefereeError if an engine's answer breaks a rule worse than today, which is a bug
    and is never passed on.
    """
    question = prepare(fleet, demand, policy)
    _ready(question, tell)
    searched, together = _searched(question)
    begun = clock()
    lines = _lines(question)
    today = _figures(question, lines, fleet.host_of, check(fleet, question.constraints, fleet.host_of))
    # Engines leave the referee and the account as long as a look at today's placement took.
    until = begun + policy.seconds - AFTER_ENGINES * (clock() - begun)

    def left() -> float:
        return until - clock()

    problem = question.problem
    if large(problem):
        found, proof = _large(question, searched, together, (left, tell, clock), prove=prove)
    else:
        from pro.placement.engines import Local

        found, proof = _held(question, *_small(question, tell, left, prove=prove), Local(), tell)
    verdict = require(fleet, question.constraints, found.host_of)
    after = problem.costs(found.host_of)
    return Placement(
        host_of=found.host_of,
        tiers=_account(today, _figures(question, lines, found.host_of, verdict.still)),
        violations=verdict.still,
        bound=proof.bound,
        gap=None if proof.bound is None else round((after[1] - proof.bound) / max(after[1], 1), 6),
        minimal_moves=proof.minimal_moves,
        engine=found.engine,
        seed=policy.seed,
        seconds=clock() - begun,
        unkept=unkept(question, found.host_of),
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


def _large(
    question: Question, searched: Question, together: int,
    watch: tuple[Callable[[], float], Callable[[str], None], Callable[[], float]], *, prove: bool,
) -> tuple[_Answer, Settled]:  # fmt: skip
    """The wide search, failover, and then a bound by what hosts would do alone. `searched` has so many slots `together`."""
    from pro.placement.engines.exact import Settled
    from pro.placement.engines.sources import priced_bound
    from pro.placement.engines.wide import Wide, goal_tier

    left, tell, clock = watch
    policy, problem, seen = question.policy, question.problem, searched.problem
    engine = Wide(workers=policy.workers, clock=clock)
    tell(engine.name)
    steps = helpings(policy) if policy.steps is None else policy.steps
    rest = left() - _drill_takes(question, clock)
    # The more time there is beyond reading the fleet, the more of it is left for failover and the bound.
    kept = (HOLD_SHARE if question.failover else 0.0) * rest + BOUND_SHARE * prove * max(
        rest - READINGS * (policy.seconds - left()), 0
    )
    stop = Stop(max(rest - kept, LEAST_SHARE * policy.seconds), steps)
    late = rest <= 0
    found = engine.search(seen, seen.home, stop, np.random.default_rng(policy.seed))
    # What was found for means of moments is judged at all of them: if it is no better than today, today.
    better = together == 1 or problem.costs(found.host_of) <= problem.costs(problem.home)
    answer = _Answer(found.host_of if better else problem.home, _said(engine.name, found, late=late))

    def in_time() -> float:
        # What was begun takes a while to finish.
        return left() - FINISH_SHARE * policy.seconds

    answer, _ = _held(question, answer, Settled(None, None), engine, tell, in_time)
    bound = None
    if prove and goal_tier(problem) == 1 and left() > 0:
        tell("lower bound")
        low = priced_bound(seen, answer.host_of, 1, found.price, left)
        # Prices of migrations and hosts are rounded, by less than 1 each.
        slack = 0 if together == 1 else len(problem.home) + problem.hosts
        bound = None if low is None else max(together * (low.value - slack), 0)
    fewest = not (answer.host_of != problem.home).any() or None
    return answer, Settled(bound, fewest)


def _drill_takes(question: Question, clock: Callable[[], float]) -> float:
    """Seconds that it will take to look at failover where something moved: by what the largest cluster takes as it is."""
    rule, fleet = question.failover, question.fleet
    if rule is None or not (drill := rule.drill(fleet)).clusters:
        return 0.0
    size = np.bincount(drill.cluster[drill.cluster >= 0])
    begun = clock()
    rule.levels(fleet, fleet.host_of, [int(np.argmax(size))])
    return 3 * (clock() - begun) * float((size.astype(float) ** 2).sum()) / float(size.max()) ** 2


def _said(name: str, found: Found, *, late: bool) -> str:
    """The engine's name, and what it had no time for."""
    if late:
        name += ", reading the fleet took all the time there was"
    if found.finished == found.parts:
        return name
    return f"{name}, time for {found.finished:,} of {found.parts:,} independent parts, the hottest first"


def _small(
    question: Question, tell: Callable[[str], None], left: Callable[[], float], *, prove: bool
) -> tuple[_Answer, Settled]:
    """Greedy, annealing, local search, then CP-SAT: on the whole problem if that is small, else on a coarser one for a bound."""
    from pro.placement.engines import Cuts, Exact, Few, Greedy, Local
    from pro.placement.engines.exact import Settled

    problem, policy, seconds = question.problem, question.policy, question.policy.seconds
    rng = np.random.default_rng(policy.seed)
    host_of, names = problem.home, []
    exact, cuts, few = Exact(), Cuts(), Few()
    whole = exact.entries(problem) <= exact.most_entries
    small = prove and not whole and cuts.fits(problem)
    many = rounds(policy, question.fleet)
    searches: Sequence[tuple[Engine, Stop]] = ((Local(), Stop(seconds * (0.35 if small else 0.7), many)),)
    if few.fits(problem):
        steps = few.steps(problem, seconds) if policy.steps is None else policy.steps
        searches = ((few, Stop(SEARCH_SHARE * seconds, steps)), (Local(), Stop(0.1 * seconds, min(many, TIDY))))
    chain: Sequence[tuple[Engine, Stop]] = ((Greedy(), Stop(seconds, many)), *searches)
    for engine, stop in chain:
        tell(engine.name)
        host_of = engine.improve(problem, host_of, replace(stop, seconds=max(min(stop.seconds, left()), 0)), rng)
        names.append(engine.name)
    if not prove:
        return _Answer(host_of, " + ".join(names)), Settled(None, None)
    share = max(min(seconds * (0.6 if small else 0.3), left()), 0)
    rest = Stop(share, Stop().steps if policy.steps is None else policy.steps)
    if small:
        tell(cuts.name)
        host_of, settled = cuts.prove(problem, host_of, rest, rng)
        return _Answer(host_of, " + ".join([*names, cuts.name])), settled
    if not whole:
        tell(exact.name)
        return _Answer(host_of, " + ".join(names)), exact.coarse(problem, host_of, rest, policy.seed)
    tell(exact.name)
    proof = exact.prove(problem, host_of, rest, policy.seed)
    moved = int((proof.host_of != problem.home).sum())
    # The goal's tier charges for migrations, so where it is solved to the end no placement as good has fewer.
    fewest = moved == 0 or proof.optimal[1] or None
    return _Answer(proof.host_of, " + ".join([*names, exact.name])), Settled(proof.bounds[1], fewest)


def _held(
    question: Question, found: _Answer, proof: Settled, engine: Engine,
    tell: Callable[[str], None], left: Callable[[], float] = lambda: inf,
) -> tuple[_Answer, Settled]:  # fmt: skip
    """The answer without what would make it worse in failover than today."""
    kept = hold(question, found.host_of, engine, tell, left)
    if kept is found.host_of:
        return found, proof
    moved = bool((kept != question.fleet.host_of).any())
    return _Answer(kept, f"{found.engine} + failover"), replace(proof, minimal_moves=None if moved else True)


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
    lines, fleet = _lines(question), question.fleet
    was, will = (_figures(question, lines, x, check(fleet, question.constraints, x)) for x in (fleet.host_of, host_of))
    return _account(was, will)


def _account(today: list[tuple[str, float, str]], after: list[tuple[str, float, str]]) -> tuple[TierCost, ...]:
    return tuple(TierCost(name, was, will, unit) for (name, was, unit), (_, will, _) in zip(today, after, strict=True))


@dataclass(frozen=True)
class _Line:
    """A line of the account: the cost of `terms`, in units of `per`."""

    name: str
    terms: tuple[Term, ...]
    per: float
    unit: str


def _lines(question: Question) -> list[_Line]:
    fleet, demand = question.fleet, question.demand

    def line(name: str, objective: Objective, per: float, unit: str) -> _Line:
        return _Line(name, tuple(objective.terms(fleet, demand)), per, unit)

    also = [] if question.policy.goal == "repair" else weighed(question.policy.weights, fleet, demand, 1)
    return [
        _Line("heat", question.heat, percent_hours(demand), "expected % x hours over the threshold, with margin"),
        line("migrations", Moves(), 1, "count"),
        line("hosts on", HostsOn(), 1, "hosts"),
        line("balance", Balance(), 1e7, "% of a host over its cluster's mean, weighted"),
        *(line(one.plain.name, one.plain, one.per, one.unit) for one in also),
    ]


def _figures(
    question: Question, lines: Sequence[_Line], host_of: Ints, broken: Sequence[Violation]
) -> list[tuple[str, float, str]]:
    """The lines of the account for `host_of`: what, how much, in which unit. `broken`: the rules it breaks."""
    fleet, home = question.fleet, question.fleet.host_of
    wishes = [("preferences not kept", sum(v.amount for v in unkept(question, host_of)), "violations")]
    found = [
        (line.name, round(sum(cost(t, home, host_of) for t in line.terms) / line.per, 2), line.unit) for line in lines
    ]
    moved = ("memory moved", round(float(fleet.memory_mib[host_of != home].sum()) / 1024, 2), "GiB")
    return [
        ("broken rules", sum(v.amount for v in broken), "violations"),
        *(wishes if question.preferences else []), *found[:2], moved, *found[2:],
    ]  # fmt: skip
