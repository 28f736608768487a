"""Annealing of few migrations: its own account is that of the language, it finds what brute force finds, and steps decide, not clocks."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.placement.engines import Few
from pro.placement.engines.few import GOAL, MANY, _read, _Walk
from pro.placement.engines.parts import parts_of
from pro.placement.engines.warm import _two
from pro.placement.language import Allow, Limit, Linear, Steps
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.strategies import problems
from tests.suites import engine_suite

if TYPE_CHECKING:
    from collections.abc import Callable


UNHURRIED = 1e6


@st.composite
def many_moments(draw: st.DrawFn) -> Problem:
    """Problems whose goal counts use at many moments, over one or several knots, and each host of some as an item."""
    problem = draw(problems())
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    moments, knots = MANY + draw(st.integers(0, 40)), draw(st.integers(1, 3))

    def widened(term: Steps) -> Steps:
        shape = (knots, len(term.base), moments)
        top = int(term.base.max(initial=0) + np.maximum(term.weight, 0).sum() + 1)
        return Steps(
            term.vms, rng.integers(0, top, (len(term.vms), moments)), term.scope, rng.integers(0, top, shape[1:]),
            np.broadcast_to(rng.integers(0, 2 * top, (*shape[:2], 1)), shape),
            np.broadcast_to(rng.integers(0, 5, (*shape[:2], 1)), shape), term.label,
        )  # fmt: skip

    vms, each = np.arange(len(problem.home)), np.arange(problem.hosts)
    one = np.ones((problem.hosts, 1), np.int64)
    plain = Steps(vms, np.ones((len(vms), 1), np.int64), each, one, one[None], one[None], "heat")
    goal = problem.tiers[GOAL]
    terms = [widened(t) if isinstance(t, Steps) and t.convex else t for t in goal.terms]
    wide = Tier(goal.name, (*terms, widened(plain)))
    return replace(problem, tiers=(*problem.tiers[:GOAL], wide, *problem.tiers[GOAL + 1 :]))


TestFew = engine_suite(Few, Stop(seconds=UNHURRIED, steps=1), many_moments())


@given(many_moments(), st.integers(1, 2**16))
@settings(deadline=None, max_examples=40)
def test_what_it_counts_is_what_the_language_says(problem: Problem, seed: int) -> None:
    if not Few().fits(problem):
        return
    for mask in parts_of(problem, GOAL + 1):
        part = replace(problem, movable=mask)
        walk = _Walk(part, _read(problem), np.random.default_rng(seed))
        walk.begin(problem.home)
        before = walk.least.copy()
        walk.run(0.5)
        assert part.feasible(walk.best)
        saved = np.subtract(problem.costs(problem.home), problem.costs(walk.best))[: GOAL + 1]
        assert (before - walk.least).tolist() == saved.tolist()


@given(many_moments(), st.integers(1, 2**16))
@settings(deadline=None, max_examples=40)
def test_no_try_is_ruled_out_that_would_have_been_taken(problem: Problem, seed: int) -> None:
    """Tangents say what a try costs at least: without them (never renewed, and nothing known of migrations) the walk is the same."""
    if not Few().fits(problem):
        return
    walks = [_Walk(problem, _read(problem), np.random.default_rng(seed)) for _ in range(2)]
    walks[1]._away = walks[1]._away[:0]
    for walk in walks:
        walk.begin(problem.home)
    stale = walks[1]._arrays[11]
    stale[:] = np.iinfo(np.int64).max // 2
    for walk in walks:
        walk.run(0.3)
    assert walks[0].best.tolist() == walks[1].best.tolist()
    assert walks[0].least.tolist() == walks[1].least.tolist()


@given(many_moments(), st.integers(1, 2**16))
@settings(deadline=None, max_examples=40)
def test_it_never_passes_brute_force(problem: Problem, seed: int) -> None:
    best, _ = oracles.best(problem)
    found = Few().improve(problem, problem.home, Stop(UNHURRIED, 4), np.random.default_rng(seed))
    costs = problem.costs(found)
    assert problem.feasible(found)
    assert best <= costs <= problem.costs(problem.home)


@given(many_moments(), st.integers(1, 2**16))
@settings(deadline=None, max_examples=20)
def test_with_time_for_its_steps_the_answer_does_not_depend_on_the_clock(problem: Problem, seed: int) -> None:
    def paced(by: float) -> Callable[[], float]:
        ticks = count()
        return lambda: by * next(ticks)

    answers = [
        Few(clock=paced(by)).improve(problem, problem.home, Stop(10.0, 4), np.random.default_rng(seed))
        for by in (0.0, 1.0)
    ]
    assert (answers[0] == answers[1]).all()


def test_a_clock_that_runs_out_ends_it_and_it_has_cooled_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, ticks, cooled = _two(MANY), count(), []
    monkeypatch.setattr(_Walk, "run", lambda _, share: cooled.append(share))
    few = Few(clock=lambda: float(next(ticks)))
    few.improve(problem, problem.home, Stop(seconds=11.0, steps=1_000), np.random.default_rng(1))
    # One tick goes before the walk, so it has ten of the eleven; then one goes for each step.
    assert cooled == pytest.approx([k / 10 for k in range(1, 10)])


def test_clusters_that_share_a_budget_are_cooled_whichever_it_is_that_needs_it() -> None:
    """Two clusters of two hosts, two VMs each on the first; with a budget of one the hotter is parted, with two both are."""
    use = np.repeat([[60], [60], [80], [80]], MANY, axis=1)
    shape = (1, 4, MANY)
    heat = Steps([0, 1, 2, 3], use, np.arange(4), np.zeros(shape[1:]), np.full(shape, 100), np.ones(shape), "heat")
    moves = Linear(np.ones(4, np.int64), None, None, "moves")
    borders = [
        Allow(np.array(vms), np.array(hosts), "border")
        for vms, hosts in (([0, 1], [1, 1, 0, 0]), ([2, 3], [0, 0, 1, 1]))
    ]
    for most, parted in ((0, []), (1, [2]), (2, [0, 2])):
        budget = Limit(
            np.arange(4), np.ones((4, 1)), np.zeros(4), np.zeros((1, 1)), np.full((1, 1), most), "moved", "budget"
        )
        goal = (Tier("rules", ()), Tier("goal", (heat, moves)))
        problem = Problem(np.array([0, 0, 2, 2]), 4, np.ones(4, bool), (*borders, budget), goal)
        found = Few().improve(problem, problem.home, Stop(UNHURRIED, 12), np.random.default_rng(1))
        assert [v for v in (0, 2) if found[v] != found[v + 1]] == parted


def test_two_vms_whose_peaks_meet_are_parted_and_no_third_one_moves() -> None:
    use = np.zeros((3, 2 * MANY), np.int64)
    use[:2, :MANY], use[2, MANY:] = 60, 60
    shape = (1, 2, 2 * MANY)
    heat = Steps([0, 1, 2], use, [0, 1], np.zeros(shape[1:]), np.full(shape, 100), np.ones(shape), "heat")
    moves = Linear(np.ones(3, np.int64), None, None, "moves")
    problem = Problem(np.zeros(3, np.int64), 2, np.ones(3, bool), (), (Tier("rules", ()), Tier("goal", (heat, moves))))
    found = Few().improve(problem, problem.home, Stop(UNHURRIED, 2), np.random.default_rng(1))
    assert found[0] != found[1]
    assert problem.costs(found) == (0, 1)


def test_no_steps_are_no_steps() -> None:
    problem = _two(MANY)
    assert (Few().improve(problem, problem.home, Stop(10.0, 0), np.random.default_rng(1)) == problem.home).all()
