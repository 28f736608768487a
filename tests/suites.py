"""Conformance suites: whoever writes a rule, a goal or an engine gets its laws for free.

TestSpread = constraint_suite(st.builds(Spread, vm_names(), members()))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.core.text import plain
from pro.placement.language import Soft, broken, cost
from pro.placement.problem import Stop, loosen
from tests.strategies import demands, fleets, placements, problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.placement.problem import Constraint, Engine, Objective, Problem


def constraint_suite(strategy: st.SearchStrategy[Constraint]) -> type:
    """Laws of a rule."""

    class Suite:
        @given(strategy, fleets(), st.data())
        def test_rows_and_violations_say_the_same(self, rule: Constraint, fleet: Any, data: st.DataObject) -> None:
            host_of = data.draw(placements(fleet))
            found = rule.violations(fleet, host_of)
            rows = [broken(row, fleet.host_of, host_of) for row in rule.rows(fleet)]
            assert bool(found) == any(rows)
            assert sum(v.amount for v in found) == sum(rows)
            soft = [cost(Soft(row, 3, row.label), fleet.host_of, host_of) for row in rule.rows(fleet)]
            assert soft == [3 * amount for amount in rows]

        @given(strategy, fleets(), st.data())
        def test_a_violation_names_the_rule_and_ids_of_the_fleet(
            self, rule: Constraint, fleet: Any, data: st.DataObject
        ) -> None:
            assert {row.label for row in rule.rows(fleet)} <= {rule.name}
            for violation in rule.violations(fleet, data.draw(placements(fleet))):
                assert violation.rule == rule.name
                assert violation.amount > 0
                assert violation.text == plain(violation.text, limit=10**6)
                assert set(violation.vms) <= set(fleet.vms)
                assert set(violation.hosts) <= set(fleet.hosts)

        @given(strategy, fleets(), st.data())
        def test_loosened_the_rule_holds_today_and_never_gets_worse(
            self, rule: Constraint, fleet: Any, data: st.DataObject
        ) -> None:
            home, host_of = fleet.host_of, data.draw(placements(fleet))
            for row in rule.rows(fleet):
                held = loosen(row, home)
                assert all(broken(h, home, home) == 0 for h in held)
                if all(broken(h, home, host_of) == 0 for h in held):
                    assert broken(row, home, host_of) <= broken(row, home, home)
                if broken(row, home, host_of) == 0:
                    assert all(broken(h, home, host_of) == 0 for h in held)

    return Suite


def objective_suite(strategy: st.SearchStrategy[Objective]) -> type:
    """Laws of a goal."""

    class Suite:
        @given(strategy, fleets(), st.data())
        def test_value_and_terms_say_the_same(self, goal: Objective, fleet: Any, data: st.DataObject) -> None:
            demand, host_of = data.draw(demands(fleet)), data.draw(placements(fleet))
            terms = list(goal.terms(fleet, demand))
            assert goal.value(fleet, demand, host_of) == sum(cost(t, fleet.host_of, host_of) for t in terms)

        @given(strategy, fleets(), st.data())
        def test_a_cost_is_never_negative_and_inputs_stay_as_they_were(
            self, goal: Objective, fleet: Any, data: st.DataObject
        ) -> None:
            demand, host_of = data.draw(demands(fleet)), data.draw(placements(fleet))
            before = host_of.copy()
            assert goal.value(fleet, demand, host_of) >= 0
            assert np.array_equal(before, host_of)

    return Suite


def engine_suite(
    make: Callable[[], Engine], stop: Stop | None = None, strategy: st.SearchStrategy[Problem] | None = None
) -> type:
    """Laws of an engine: never worse, feasible, deterministic, and only movable VMs move.

    `stop` must be reached by its steps, not by its seconds. `strategy` draws the problems; small ones by default.
    """
    limit = stop or Stop(seconds=60.0, steps=200)
    some = problems() if strategy is None else strategy

    class Suite:
        @given(some, st.integers(0, 2**16))
        def test_an_answer_is_feasible_and_never_worse(self, problem: Problem, seed: int) -> None:
            host_of = make().improve(problem, problem.home, limit, np.random.default_rng(seed))
            assert host_of.shape == problem.home.shape
            assert problem.feasible(host_of)
            assert problem.costs(host_of) <= problem.costs(problem.home)

        @given(some, st.integers(0, 2**16))
        def test_engines_chain(self, problem: Problem, seed: int) -> None:
            first = make().improve(problem, problem.home, limit, np.random.default_rng(seed))
            second = make().improve(problem, first, limit, np.random.default_rng(seed + 1))
            assert problem.feasible(second)
            assert problem.costs(second) <= problem.costs(first)

        @given(some, st.integers(0, 2**16))
        def test_same_seed_and_same_steps_give_the_same_answer(self, problem: Problem, seed: int) -> None:
            answers = [make().improve(problem, problem.home, limit, np.random.default_rng(seed)) for _ in range(2)]
            assert np.array_equal(*answers)

        @given(some)
        def test_only_movable_vms_move_and_the_start_is_left_alone(self, problem: Problem) -> None:
            start = problem.home.copy()
            host_of = make().improve(problem, start, limit, np.random.default_rng(0))
            assert np.array_equal(start, problem.home)
            assert not np.any((host_of != problem.home) & ~problem.movable)

    return Suite
