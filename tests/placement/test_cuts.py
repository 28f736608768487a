"""Tangents: never above the cost, exact where they touch; bounds never above what brute force finds; answers never worse."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pro.fleet import RuleSpec
from pro.placement.engines import Cuts, Exact, Local
from pro.placement.engines.cuts import ENOUGH, GOAL, _Curve
from pro.placement.engines.exact import Model
from pro.placement.engines.parts import parts_of
from pro.placement.engines.relaxed import quiet, rows_of
from pro.placement.language import Allow, Linear, Soft, Steps, cost
from pro.placement.policy import Policy
from pro.placement.problem import Problem, Stop, Tier
from pro.placement.question import prepare
from tests import oracles
from tests.builders import demand_of, fleet
from tests.strategies import problems, stands

LONG = Stop(seconds=30)


@given(problems(), st.data())
@settings(deadline=None, max_examples=25)
def test_a_tangent_is_exact_where_it_touches_and_nowhere_above(problem: Problem, data: st.DataObject) -> None:
    free: list[dict[int, Any]] = [
        {h: _Column(v * problem.hosts + h) for h in range(problem.hosts)} for v in range(len(problem.home))
    ]
    here, there = data.draw(stands(problem)), data.draw(stands(problem))
    for term in (t for tier in problem.tiers for t in tier.terms if isinstance(t, Steps) and t.convex):
        curve = _Curve(term, free)
        at, to = (_values(problem, placed) for placed in (here, there))
        touched = [curve.tangent(s, at) for s in range(len(curve.column))]
        assert sum(value for value, _, _ in touched) == pytest.approx(cost(term, problem.home, here))
        for s, (value, constant, slope) in enumerate(touched):
            assert constant + slope @ at[curve.column[s]] == pytest.approx(value)
            for z in (to, (at + to) / 2):
                assert constant + slope @ z[curve.column[s]] <= curve.tangent(s, z)[0] + 1e-6


def test_an_answer_that_is_found_before_there_is_a_tree_counts_and_no_more_may_be_broken_than_at_the_start() -> None:
    somewhere = np.array([True, True, True, False])
    rows = (
        Allow(np.array([2]), np.array([True, False, False, False]), "reach"),
        Allow(np.array([3]), somewhere, "reach"),
    )
    wishes = (
        Soft(Allow(np.array([2]), np.array([False, False, True, True]), "reach"), 1, "reach"),
        Soft(Allow(np.array([3]), np.array([False, True, True, False]), "reach"), 1, "reach"),
    )
    slopes = np.array([[[0], [0], [0], [28_571]]])
    heat = Steps(np.arange(4), np.array([[595], [445], [357], [188]]), np.arange(4), np.zeros((4, 1), np.int64),
                 np.array([[[0], [0], [0], [280]]]), slopes, "heat")  # fmt: skip
    problem = Problem(
        np.zeros(4, np.int64), 4, np.ones(4, np.bool_), rows, (Tier("rules", wishes), Tier("heat", (heat,)))
    )
    start = np.array([3, 3, 0, 1])
    found, settled = Cuts().prove(problem, start, LONG, np.random.default_rng(1))
    assert problem.costs(start) > problem.costs(found) == oracles.best(problem)[0] == (1, 0)
    assert settled.bound == 0


@given(problems())
@settings(deadline=None, max_examples=25)
def test_rows_for_the_second_solver_say_what_the_model_says(problem: Problem) -> None:
    model = Model(problem, problem.home)
    model.aim(0)
    best, _ = oracles.best(problem)
    if not len(model.model.proto.variables):
        assert best[0] == model.model.proto.objective.offset
        return
    found = rows_of(model.model.proto).solve(whole=True, seconds=30, gap=0.0, nodes=10_000)
    assert found.status == 0
    assert round(found.fun + model.model.proto.objective.offset) == best[0]


@given(problems())
@settings(deadline=None, max_examples=25)
def test_a_bound_is_never_above_the_best_and_an_answer_never_worse(problem: Problem) -> None:
    best, _ = oracles.best(problem)
    start = min(oracles.feasible_placements(problem), key=lambda p: (problem.costs(p)[0], -problem.costs(p)[1]))
    found, settled = Cuts().prove(problem, start, LONG, np.random.default_rng(1))
    assert problem.feasible(found)
    assert best <= problem.costs(found) <= problem.costs(start)
    if settled.bound is not None:
        assert settled.bound <= best[GOAL]
        if all(not isinstance(t, Steps) or t.convex for t in problem.tiers[GOAL].terms):
            assert problem.costs(found)[GOAL] <= best[GOAL] * 1.005 + 1


@given(problems(), st.integers(0, 2), st.booleans())
@settings(deadline=None, max_examples=20)
def test_a_bound_holds_wherever_the_search_is_cut_short(problem: Problem, steps: int, polished: bool) -> None:
    best, _ = oracles.best(problem)
    start = min(oracles.feasible_placements(problem), key=lambda p: (problem.costs(p)[0], -problem.costs(p)[1]))
    engine = Cuts(Local() if polished else None)
    found, settled = engine.prove(problem, start, Stop(seconds=30, steps=steps), np.random.default_rng(1))
    assert problem.feasible(found)
    assert best <= problem.costs(found) <= problem.costs(start)
    assert settled.bound is None or 0 <= settled.bound <= best[GOAL]


@given(problems())
@settings(deadline=None, max_examples=25)
def test_fewest_is_never_claimed_wrongly(problem: Problem) -> None:
    found, settled = Cuts(Local()).prove(problem, problem.home, LONG, np.random.default_rng(1))
    if not settled.minimal_moves:
        return
    terms = [t for t in problem.tiers[GOAL].terms if not (isinstance(t, Linear) and t.table is None)]
    moved, costs = int((found != problem.home).sum()), problem.costs(found)
    for other in oracles.feasible_placements(problem):
        as_good = sum(cost(t, problem.home, other) for t in terms) <= sum(cost(t, problem.home, found) for t in terms)
        if as_good and problem.costs(other)[0] <= costs[0]:
            assert int((other != problem.home).sum()) >= moved


@given(problems())
@settings(deadline=None, max_examples=20)
def test_the_same_seed_gives_the_same_answer(problem: Problem) -> None:
    one, two = (Cuts(Local()).prove(problem, problem.home, LONG, np.random.default_rng(7)) for _ in range(2))
    assert one[0].tolist() == two[0].tolist()
    assert one[1] == two[1]


@given(problems())
@settings(deadline=None, max_examples=30)
def test_both_solvers_agree(problem: Problem) -> None:
    proof = Exact().prove(problem, problem.home, LONG, seed=1)
    _, settled = Cuts(Local()).prove(problem, proof.host_of, LONG, np.random.default_rng(1))
    if settled.bound is not None and all(proof.optimal):
        assert settled.bound <= problem.costs(proof.host_of)[GOAL]


def test_clusters_that_share_only_a_budget_are_parts_and_a_rule_over_both_makes_them_one() -> None:
    racks = {"h1": "r1", "h2": "r2", "h3": "r1", "h4": "r2"}
    clusters = {"h1": "x", "h2": "x", "h3": "y", "h4": "y"}
    over_both = [RuleSpec("apart", "spread", ("a", "c"), scope="rack")]
    for rules, parts in (((), 2), (over_both, 1)):
        a_fleet = fleet("h1: a b | h2: | h3: c d | h4:", cpu=1_000, clusters=clusters, racks=racks, rules=rules)
        demand = demand_of(a_fleet, {"a": 600, "b": [500, 600], "c": 550, "d": [600, 450]})
        problem = prepare(a_fleet, demand, Policy(max_moves=1, aggressiveness=5)).problem
        assert len(parts_of(problem, 2)) == parts
        start = min(oracles.feasible_placements(problem), key=lambda p: (problem.costs(p)[0], -problem.costs(p)[1]))
        found, settled = Cuts().prove(problem, start, LONG, np.random.default_rng(1))
        best, _ = oracles.best(problem)
        assert problem.costs(found)[:2] == best[:2]
        assert settled.bound is not None
        assert settled.bound <= best[GOAL]


@settings(deadline=None, max_examples=10)
@example([300, 300, 479, 300, 523, 300, 300, 329, 300, 603, 300, 603], 2)
@given(st.lists(st.integers(300, 700), min_size=12, max_size=12), st.integers(1, 3))
def test_what_a_spent_budget_is_worth_gives_a_bound_that_holds_and_says_more(use: list[int], room: int) -> None:
    clusters = {"h1": "x", "h2": "x", "h3": "y", "h4": "y"}
    a_fleet = fleet("h1: a b c | h2: | h3: d e f | h4:", cpu=1_000, clusters=clusters)
    demand = demand_of(a_fleet, {name: use[2 * k : 2 * k + 2] for k, name in enumerate("abcdef")})
    problem = prepare(a_fleet, demand, Policy(max_moves=room, aggressiveness=5)).problem
    best, where = oracles.best(problem)
    _, settled = Cuts().prove(problem, where, LONG, np.random.default_rng(1))
    assert settled.bound is not None
    assert settled.bound <= best[GOAL]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pro.placement.engines.cuts._budget", lambda _: None)
        _, free = Cuts().prove(problem, where, LONG, np.random.default_rng(1))
    assert free.bound is not None
    # Each of two parts ends where so much of its cost is open, the other standing at home.
    slack = 2 * ENOUGH * problem.costs(problem.home)[GOAL] + 1
    assert settled.bound >= free.bound - slack


def test_what_the_solver_prints_never_reaches_a_document(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    with quiet():
        library.printf(b"solver chatter\n")
    print("document")
    assert capfd.readouterr().out == "document\n"


class _Column:
    def __init__(self, index: int) -> None:
        self.index = index


def _values(problem: Problem, placed: np.ndarray) -> np.ndarray:
    z = np.zeros(len(placed) * problem.hosts)
    z[np.arange(len(placed)) * problem.hosts + placed] = 1
    return z
