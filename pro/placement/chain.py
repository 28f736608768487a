"""Engines one after the other, each from where the last one ended: which of them a problem gets, and how the time is shared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.failover.hold import hold
from pro.placement.moments import fewer_moments, slots_together
from pro.placement.policy import helpings, rounds
from pro.placement.problem import Problem, Stop
from pro.placement.question import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.core.arrays import Ints
    from pro.placement.engines.exact import Settled
    from pro.placement.engines.wide import Found
    from pro.placement.problem import Engine
    from pro.placement.question import Question


LARGE = 50_000
"""VM x host pairs from which on the wide search is asked."""

MOST_PAIRS = 12_000_000
"""VM x moment pairs that the wide search keeps; beyond them neighbouring slots are put together, and the answer is judged at all."""

BOUND_SHARE = 0.2
"""Share of the time that is kept for a lower bound of a large problem."""

HOLD_SHARE, FINISH_SHARE = 0.25, 0.05
"""Share that is kept for undoing migrations of a large fleet that failover forbids, and for what was begun to finish."""

READINGS = 2
"""A bound gets its share of the time beyond so many readings of the fleet."""

SEARCH_SHARE = 0.6
"""Share of the time after greedy repair that annealing gets in a small fleet, where its steps do not end it before that."""

TIDY, TIDY_SHARE = 8, 0.1
"""Rounds of local search after it, and their share, for what is decided last: memory moved, and balance. Where steps
are counted it goes downhill once and makes no rounds: in a month of looks two rounds, one and none came to nearly the same."""

TREE_SHARE, EXACT_SHARE = 0.6, 0.3
"""Share that local search alone leaves for tangents in one tree, which take all that is left, or for CP-SAT, which takes this."""

LEAST_SHARE = 0.15
"""Share of the time that the search gets even where reading the fleet has taken all of it."""


@dataclass(frozen=True)
class Answer:
    """Where every VM stands, and the engines that found it."""

    host_of: Ints
    engine: str


@dataclass(frozen=True)
class Pace:
    """How many seconds are `left`, who is told what goes on, and the clock."""

    left: Callable[[], float]
    tell: Callable[[str], None]
    clock: Callable[[], float]


def searched(question: Question) -> tuple[Question, int]:
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


def ready(question: Question, tell: Callable[[str], None]) -> None:
    """Load the compiled kernels, before any clock runs."""
    from pro.placement.engines.warm import warm, warm_wide

    tell("preparing the engines")
    if large(question.problem):
        warm_wide()
    else:
        warm()


def run(question: Question, seen: Question, together: int, pace: Pace, *, prove: bool) -> tuple[Answer, Settled]:
    """What the engines find, and what they prove about it. `seen` has so many slots `together`; see `searched`."""
    if large(question.problem):
        return _large(question, seen.problem, together, pace, prove=prove)
    from pro.placement.engines import Local

    return _held(question, *_small(question, pace, prove=prove), Local(), pace.tell)


def _large(question: Question, seen: Problem, together: int, pace: Pace, *, prove: bool) -> tuple[Answer, Settled]:
    """The wide search, failover, and then a bound by what hosts would do alone. `seen` has so many slots `together`."""
    from pro.placement.engines.exact import Settled
    from pro.placement.engines.sources import priced_bound
    from pro.placement.engines.wide import Wide, goal_tier

    left, tell, clock = pace.left, pace.tell, pace.clock
    policy, problem = question.policy, question.problem
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
    answer = Answer(found.host_of if better else problem.home, _said(engine.name, found, late=late))

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


def _small(question: Question, pace: Pace, *, prove: bool) -> tuple[Answer, Settled]:
    """Searches one after the other, each from where the last one ended, then a proof or at least a bound."""
    from pro.placement.engines import Cuts, Exact
    from pro.placement.engines.exact import Settled

    problem, policy = question.problem, question.policy
    rng, host_of, names = np.random.default_rng(policy.seed), problem.home, []
    exact, cuts = Exact(), Cuts()
    whole = exact.entries(problem) <= exact.most_entries
    tree = prove and not whole and cuts.fits(problem)

    def within(share: float, steps: int | None) -> Stop:
        return Stop(max(min(share * policy.seconds, pace.left()), 0), Stop().steps if steps is None else steps)

    for engine, share, steps in _searches(question, TREE_SHARE if tree else EXACT_SHARE):
        pace.tell(engine.name)
        host_of = engine.improve(problem, host_of, within(share, steps), rng)
        names.append(engine.name)
    host_of = _repaired(problem, host_of, rng)
    settled = Settled(None, None)
    if tree:
        pace.tell(cuts.name)
        names.append(cuts.name)
        host_of, settled = cuts.prove(problem, host_of, within(1.0, policy.steps), rng)
    elif prove:
        pace.tell(exact.name)
        rest = within(EXACT_SHARE, policy.steps)
        if whole:
            names.append(exact.name)
            host_of, settled = exact.settle(problem, host_of, rest, policy.seed)
        else:
            settled = exact.coarse(problem, host_of, rest, policy.seed)
    return Answer(host_of, " + ".join(names)), settled


def _repaired(problem: Problem, found: Ints, rng: np.random.Generator) -> Ints:
    """`found`, or where greedy repair ends if that mends more: engines begin before its end, for what it does last may be in their way, and a
    budget they have spent on heat is not there for rules."""
    from pro.placement.engines import Greedy

    if problem.costs(found)[0] == 0:
        return found
    mended = Greedy().improve(problem, problem.home, Stop(), rng)
    return min(found, mended, key=problem.costs)


def _searches(question: Question, kept: float) -> Sequence[tuple[Engine, float, int]]:
    """The engines that look for an answer of a small fleet, with the share of the time and the steps that each may take; so much
    is `kept` for a proof."""
    from pro.placement.engines import Few, Greedy, Local

    problem, policy = question.problem, question.policy
    few, many = Few(), rounds(policy, question.fleet)
    if not few.fits(problem):
        return (Greedy(), 1.0, many), (Local(), 1.0 - kept, many)
    steps, tidy = (few.steps(problem, policy.seconds), TIDY) if policy.steps is None else (policy.steps, 0)
    return (Greedy(), 1.0, many), (few, SEARCH_SHARE, steps), (Local(), TIDY_SHARE, min(many, tidy))


def _held(
    question: Question, found: Answer, proof: Settled, engine: Engine,
    tell: Callable[[str], None], left: Callable[[], float] = lambda: inf,
) -> tuple[Answer, Settled]:  # fmt: skip
    """The answer without what would make it worse in failover than today."""
    kept = hold(question, found.host_of, engine, tell, left)
    if kept is found.host_of:
        return found, proof
    moved = bool((kept != question.fleet.host_of).any())
    return Answer(kept, f"{found.engine} + failover"), replace(proof, minimal_moves=None if moved else True)
