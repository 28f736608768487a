"""Bounds of coarser problems: never above what brute force finds, and proofs that are never wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.placement.engines import Exact
from pro.placement.engines.bound import coarsen, quality
from pro.placement.language import Steps, cost
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.strategies import problems


@given(problems(), st.data())
def test_a_coarser_problem_never_costs_more(problem: Problem, data: st.DataObject) -> None:
    small = coarsen(problem, data.draw(st.integers(1, 2)), (problem.home,))
    count = len(problem.home)
    host_of = np.array(data.draw(st.lists(st.integers(0, problem.hosts - 1), min_size=count, max_size=count)), np.int64)
    assert all(a <= b for a, b in zip(small.costs(host_of), problem.costs(host_of), strict=True))


def test_a_cost_that_is_not_convex_is_bounded_by_the_least_it_can_be() -> None:
    """Two VMs of 4: what is left over of 10 is worth least at 4 and at 8, so one on each host is the best."""
    teeth = Steps([0, 1], [[4, 4], [4, 4]], [0, 1], np.zeros((2, 2)), np.full((2, 2, 2), [[[2]], [[5]]]),
                  np.full((2, 2, 2), [[[-3]], [[4]]]), "teeth")  # fmt: skip
    problem = Problem(np.array([0, 0]), 2, np.ones(2, bool), (), (Tier("", ()), Tier("goal", (teeth,))))
    bound = coarsen(problem, 1, (problem.home,)).costs(problem.home)
    assert not teeth.convex
    assert bound == (0, 4 * -9)
    assert bound <= oracles.best(problem)[0] == (0, 4 * -6)


@given(problems())
def test_a_coarse_bound_is_never_above_the_best(problem: Problem) -> None:
    best, host_of = oracles.best(problem)
    coarse = Exact().coarse(problem, host_of, Stop(seconds=4), seed=1, groups=2)
    assert coarse.bound is None or coarse.bound <= best[1]


@given(problems())
def test_a_proof_of_fewest_migrations_is_never_wrong(problem: Problem) -> None:
    best, host_of = oracles.best(problem)
    if not Exact().coarse(problem, host_of, Stop(seconds=4), seed=1, groups=2).minimal_moves:
        return
    moved = int((host_of != problem.home).sum())
    terms = quality(problem.tiers[1].terms)
    at_most = sum(cost(t, problem.home, host_of) for t in terms)
    for other in oracles.feasible_placements(problem):
        fewer = int((np.asarray(other) != problem.home).sum()) < moved
        as_good = sum(cost(t, problem.home, other) for t in terms) <= at_most and problem.costs(other)[0] <= best[0]
        assert not (fewer and as_good)
