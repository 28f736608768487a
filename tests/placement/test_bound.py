"""Bounds of coarser problems: never above what brute force finds, and proofs that are never wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.placement.engines import Exact
from pro.placement.engines.bound import coarsen, quality
from pro.placement.language import cost
from pro.placement.problem import Problem, Stop
from tests import oracles
from tests.strategies import problems


@given(problems(), st.data())
def test_a_coarser_problem_never_costs_more(problem: Problem, data: st.DataObject) -> None:
    small = coarsen(problem, 2, (problem.home,))
    count = len(problem.home)
    host_of = np.array(data.draw(st.lists(st.integers(0, problem.hosts - 1), min_size=count, max_size=count)), np.int64)
    assert all(a <= b for a, b in zip(small.costs(host_of), problem.costs(host_of), strict=True))


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
