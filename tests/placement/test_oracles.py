"""The judges are judged: brute force keeps the engine laws, and the laws catch engines that cheat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from pro.placement.constraints import Ban, Capacity, Spread, build
from pro.placement.objectives import Heat, Moves
from pro.placement.problem import Tier, compile_problem
from tests.builders import demand_of, fleet, stand
from tests.oracles import best, feasible_placements
from tests.strategies import members, problems, some_hosts
from tests.suites import constraint_suite, engine_suite, objective_suite


class BruteForce:
    name = "brute force"

    def improve(self, problem, start, stop, rng):
        return min(best(problem), (problem.costs(start), start), key=lambda pair: pair[0])[1]


class Scatter:
    name = "puts VMs anywhere"

    def improve(self, problem, start, stop, rng):
        return rng.integers(0, problem.hosts, len(start))


class Grumpy:
    name = "returns the worst"

    def improve(self, problem, start, stop, rng):
        return max(feasible_placements(problem), key=problem.costs)


class Moody:
    name = "feasible but never the same"
    _calls = 0

    def improve(self, problem, start, stop, rng):
        Moody._calls += 1
        found = [p for p in feasible_placements(problem) if problem.costs(p) <= problem.costs(start)]
        return found[Moody._calls % len(found)]


SMALL = problems(max_hosts=2, max_vms=3)
EAGER = settings(max_examples=300, database=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
TestBruteForce = engine_suite(BruteForce, strategy=SMALL)


@pytest.mark.parametrize(
    ("engine", "law"),
    [
        (Scatter, "test_an_answer_is_feasible_and_never_worse"),
        (Scatter, "test_only_movable_vms_move_and_the_start_is_left_alone"),
        (Grumpy, "test_an_answer_is_feasible_and_never_worse"),
        (Moody, "test_same_seed_and_same_steps_give_the_same_answer"),
    ],
)
def test_an_engine_that_cheats_is_caught(engine, law):
    suite = engine_suite(engine, strategy=SMALL)
    with pytest.raises(AssertionError):
        EAGER(getattr(suite, law))(suite())


def test_brute_force_finds_the_swap_that_no_single_migration_does():
    full = fleet("h1: a b | h2: c d", cpu=1_000, memory=2_048)
    demand = demand_of(full, {"a": 500, "b": 500, "c": 100, "d": 100})
    rows = [row for rule in build(full) for row in rule.rows(full)]
    problem = compile_problem(full, rows, [Tier(g.name, tuple(g.terms(full, demand))) for g in (Heat(), Moves())])
    costs, host_of = best(problem)
    assert costs == (0, 0, 2)
    assert problem.costs(stand(full, "h2: b | h1: c")) == costs
    assert np.count_nonzero(host_of != full.host_of) == 2


class LaxRows(Spread):
    """Says one thing to people and nothing to engines."""

    def rows(self, fleet):
        return iter(())


class AmountOff(Capacity):
    """Right about whether, wrong about how much."""

    def violations(self, fleet, host_of):
        return [replace(v, amount=v.amount + 1) for v in super().violations(fleet, host_of)]


class NoNames(Ban):
    """Does not say which rule it is."""

    def violations(self, fleet, host_of):
        return [replace(v, rule="") for v in super().violations(fleet, host_of)]


@pytest.mark.parametrize(
    ("strategy", "law"),
    [
        (st.builds(LaxRows, st.just("r"), members()), "test_rows_and_violations_say_the_same"),
        (st.builds(AmountOff), "test_rows_and_violations_say_the_same"),
        (
            st.builds(NoNames, st.just("r"), members(), some_hosts()),
            "test_a_violation_names_the_rule_and_ids_of_the_fleet",
        ),
    ],
)
def test_a_rule_that_lies_is_caught(strategy, law):
    suite = constraint_suite(strategy)
    with pytest.raises(AssertionError):
        EAGER(getattr(suite, law))(suite())


class ForgetsOne(Heat):
    """Forgets the last VM."""

    def value(self, fleet, demand, host_of):
        return super().value(fleet, demand, np.where(np.arange(fleet.n_vms) == fleet.n_vms - 1, fleet.host_of, host_of))


def test_a_goal_that_lies_is_caught():
    suite = objective_suite(st.builds(ForgetsOne, threshold=st.just(0.1)))
    with pytest.raises(AssertionError):
        EAGER(suite.test_value_and_terms_say_the_same)(suite())
