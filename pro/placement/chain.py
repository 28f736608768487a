"""Engines one after the other, each from where the last one ended: which of them a problem gets, and how the time is shared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal

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
"""Share that is kept for undoing migrations that failover forbids, and for what was begun to finish."""

LOOKS = 7
"""Looks at all clusters that undoing takes about as long as."""

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
    return _small(question, pace, prove=prove)


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

    answer = _held(question, answer, engine, tell, in_time)
    bound = None
    # Where there was no time for all parts a bound would be far off.
    if prove and goal_tier(problem) == 1 and left() > 0 and found.finished == found.parts:
        tell("lower bound")
        low = priced_bound(seen, answer.host_of, 1, found.price, left)
        # Prices of migrations and hosts are rounded, by less than 1 each.
        slack = 0 if together == 1 else len(problem.home) + problem.hosts
        bound = None if low is None else max(together * (low.value - slack), 0)
    fewest = not (answer.host_of != problem.home).any() or None
    return answer, Settled(bound, fewest)


def _drill_takes(question: Question, clock: Callable[[], float]) -> float:
    """Seconds that it will take to look at failover where something moved, now and then, and to undo what makes it worse, which takes
    somewhat longer: by what one look at the largest cluster takes as it is."""
    rule, fleet = question.failover, question.fleet
    if rule is None or not (drill := rule.drill(fleet)).clusters:
        return 0.0
    size = np.bincount(drill.cluster[drill.cluster >= 0])
    begun = clock()
    rule.levels(fleet, fleet.host_of, [int(np.argmax(size))])
    return LOOKS * (clock() - begun) * float((size.astype(float) ** 2).sum()) / float(size.max()) ** 2


def _said(name: str, found: Found, *, late: bool) -> str:
    """The engine's name, and what it had no time for."""
    if late:
        name += ", reading the fleet took all the time there was"
    if found.finished == found.parts:
        return name
    return f"{name}, time for {found.finished:,} of {found.parts:,} independent parts, the hottest first"


def _small(question: Question, pace: Pace, *, prove: bool) -> tuple[Answer, Settled]:
    """Searches one after the other, each from where the last one ended; failover; then a proof or at least a bound.

    The proof begins where the searches ended, whatever failover makes of that, and what it finds beyond counts if failover lets it.
    """
    from pro.placement.engines import Cuts, Exact, Local
    from pro.placement.engines.exact import Settled

    problem, policy, rng = question.problem, question.policy, np.random.default_rng(question.policy.seed)
    exact = Exact()
    whole = exact.entries(problem) <= exact.most_entries
    tree = prove and not whole and Cuts().fits(problem)

    def held(answer: Answer, share: float) -> Answer:
        rest = max(pace.left() - share * policy.seconds, 0)
        # Where steps are counted nothing goes by the clock.
        left = (lambda: pace.left() - rest) if policy.steps is None else (lambda: inf)
        return _held(question, answer, Local(), pace.tell, left)

    found = _searched(question, TREE_SHARE if tree else EXACT_SHARE, pace, rng)
    answer = held(found, HOLD_SHARE if prove else 1.0)
    if not prove:
        return answer, Settled(None, None)
    better, proof, prover = _proven(
        question, found.host_of, pace, rng, "tree" if tree else "whole" if whole else "coarse"
    )
    answer = replace(answer, engine=answer.engine + prover)
    if not np.array_equal(better, found.host_of):
        answer = min(held(Answer(better, found.engine + prover), 1.0), answer, key=lambda x: problem.costs(x.host_of))
    if np.array_equal(answer.host_of, better):
        return answer, proof
    moved = bool((answer.host_of != problem.home).any())
    return answer, replace(proof, minimal_moves=None if moved else True)


def _proven(
    question: Question, found: Ints, pace: Pace, rng: np.random.Generator, how: Literal["tree", "whole", "coarse"]
) -> tuple[Ints, Settled, str]:
    """A placement at least as good as `found`, what is known about it, and who looked for it: tangents in one tree, or CP-SAT; nobody where
    CP-SAT sees a coarser problem."""
    from pro.placement.engines import Cuts, Exact

    problem, policy, exact, cuts = question.problem, question.policy, Exact(), Cuts()
    pace.tell(cuts.name if how == "tree" else exact.name)
    # Failover has a look at the end.
    seconds = max(pace.left() - (FINISH_SHARE * policy.seconds if question.failover else 0.0), 0)
    rest = Stop(seconds, Stop().steps if policy.steps is None else policy.steps)
    if how == "tree":
        return *cuts.prove(problem, found, rest, rng), f" + {cuts.name}"
    rest = replace(rest, seconds=min(seconds, EXACT_SHARE * policy.seconds))
    if how == "whole":
        return *exact.settle(problem, found, rest, policy.seed), f" + {exact.name}"
    return found, exact.coarse(problem, found, rest, policy.seed), ""


def _searched(question: Question, kept: float, pace: Pace, rng: np.random.Generator) -> Answer:
    """What the searches of a small fleet find; so much of the time is `kept` for a proof."""
    policy, host_of, names = question.policy, question.problem.home, []
    for engine, share, steps in _searches(question, kept):
        pace.tell(engine.name)
        stop = Stop(max(min(share * policy.seconds, pace.left()), 0), steps)
        host_of = engine.improve(question.problem, host_of, stop, rng)
        names.append(engine.name)
    return Answer(_repaired(question.problem, host_of, rng), " + ".join(names))


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
    question: Question, found: Answer, engine: Engine, tell: Callable[[str], None], left: Callable[[], float]
) -> Answer:
    """The answer without what would make it worse in failover than today."""
    kept = hold(question, found.host_of, engine, tell, left)
    return found if kept is found.host_of else Answer(kept, f"{found.engine} + failover")
