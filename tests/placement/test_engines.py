"""Engines: never worse, feasible, repeatable; CP-SAT agrees with brute force; local search never passes CP-SAT's bound."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.placement.engines import Exact, Greedy, Local
from pro.placement.engines.anneal import Anneal
from pro.placement.problem import Problem, Stop
from tests import oracles
from tests.strategies import problems
from tests.suites import engine_suite

FEW = Stop(seconds=60, steps=8)

TestGreedy = engine_suite(Greedy, FEW)
TestLocal = engine_suite(Local, FEW)
TestExact = engine_suite(Exact, Stop(seconds=3))


@given(problems())
def test_cp_sat_finds_what_brute_force_finds(problem: Problem) -> None:
    best, _ = oracles.best(problem)
    proof = Exact().prove(problem, problem.home, Stop(seconds=10), seed=1)
    assert problem.costs(proof.host_of) == best
    assert all(proof.optimal)
    assert proof.bounds == best


@given(problems(), st.integers(0, 2**32 - 1))
def test_local_search_is_never_worse_than_greedy_and_never_below_the_best(problem: Problem, seed: int) -> None:
    best, _ = oracles.best(problem)
    greedy = Greedy().improve(problem, problem.home, FEW, np.random.default_rng(seed))
    local = Local().improve(problem, greedy, FEW, np.random.default_rng(seed))
    assert best <= problem.costs(local) <= problem.costs(greedy) <= problem.costs(problem.home)


@settings(max_examples=15)
@given(problems(max_hosts=5, max_vms=9), st.integers(0, 2**32 - 1))
def test_incremental_costs_equal_the_plain_ones(problem: Problem, seed: int) -> None:
    """The kernels' running totals after a search are what the language says they are."""
    from pro.placement.engines import kernels
    from pro.placement.engines.flat import flatten

    flat = flatten(problem)
    state = kernels.new_state(flat, problem.home)
    assert tuple(kernels.costs(flat, state)) == problem.costs(problem.home)
    order = np.arange(len(problem.home))
    rng = np.random.default_rng(seed)
    noise = rng.integers(1, 2**63, 1, dtype=np.uint64)
    best = problem.home.copy()
    kernels.search(flat, state, best, kernels.costs(flat, state), order, noise, 0, 5)
    for host_of in (kernels.placement(flat, state), best):
        assert problem.feasible(host_of)
    assert tuple(kernels.costs(flat, state)) == problem.costs(kernels.placement(flat, state))


def test_same_seed_and_steps_same_answer_in_other_helpings() -> None:
    """The time limit may cut the rounds differently; the rounds themselves stay the same."""
    problem = _crowded()
    answers = [
        Local().improve(problem, problem.home, Stop(seconds=60, steps=n), np.random.default_rng(5)) for n in (16, 16)
    ]
    assert np.array_equal(*answers)


def _crowded() -> Problem:
    from pro.placement.language import Limit, Linear, Steps
    from pro.placement.problem import Tier

    rng = np.random.default_rng(3)
    home = np.repeat([0, 1, 2], [8, 2, 2])
    weight = rng.integers(1, 9, (12, 6))
    hosts = np.arange(3)
    heat = Steps(np.arange(12), weight, hosts, np.zeros((3, 6)), np.full((1, 3, 6), 14), np.ones((1, 3, 6)), "heat")
    fits = Limit(np.arange(12), np.ones((12, 1)), hosts, np.zeros((3, 1)), np.full((3, 1), 8), "after", "slots")
    return Problem(
        home, 3, np.ones(12, bool), (fits,), (Tier("goal", (heat, Linear(np.ones(12), None, None, "moves"))),)
    )


def test_a_licence_that_costs_by_host_is_gathered_on_the_cheapest() -> None:
    """Hosts of 8, 2 and 4 cores, a licensed VM on the first two: all engines see that the small host is enough."""
    from pro.placement.language import Linear, Opened
    from pro.placement.problem import Tier

    cores = Opened(np.arange(3), [8, 2, 4], "licensed cores", [0, 1])
    moves = Linear(np.ones(3), None, None, "moves")
    problem = Problem(np.array([0, 1, 2]), 3, np.ones(3, bool), (), (Tier("", ()), Tier("goal", (cores, moves))))
    for engine in (Greedy(), Local(), Exact(), Anneal()):
        assert engine.improve(problem, problem.home, FEW, np.random.default_rng(1)).tolist() == [1, 1, 2]
