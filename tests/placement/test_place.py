"""place: rules and goals in, a refereed answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.fleet import RuleSpec
from pro.placement import chain
from pro.placement.account import account
from pro.placement.engines import Cuts, Exact, Few, Local
from pro.placement.engines.exact import Proof, Settled
from pro.placement.engines.wide import Found, Wide
from pro.placement.moments import fewer_moments
from pro.placement.objectives import Heat
from pro.placement.place import place
from pro.placement.placement import TierCost, for_people
from pro.placement.policy import Policy, budget, default_moves
from pro.placement.question import prepare
from pro.placement.referee import judge
from tests.builders import demand_of, fleet, stand
from tests.strategies import demands, fleets, placements

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet
    from pro.placement.problem import Problem, Stop

QUICK: dict[str, Any] = {"seconds": 1.0, "steps": 4, "memory_reserve_mib": 0}


@st.composite
def estates(draw: st.DrawFn) -> tuple[Fleet, Demand]:
    """A fleet and its demand."""
    found = draw(fleets())
    return found, draw(demands(found))


@settings(max_examples=20)
@given(estates(), st.sampled_from(["balance", "consolidate", "repair"]))
def test_an_answer_is_never_worse_than_today(estate: tuple[Fleet, Demand], goal: str) -> None:
    found, demand = estate
    placement, question = place(found, demand, Policy(goal=goal, **QUICK))
    assert judge(found, question.constraints, placement.host_of).accepted
    assert question.problem.costs(placement.host_of) <= question.problem.costs(found.host_of)
    moved = int((placement.host_of != found.host_of).sum())
    assert moved <= (budget(question.policy, found.n_vms) or found.n_vms)
    assert {t.name: t.after for t in placement.tiers}["migrations"] == moved


@settings(max_examples=10)
@given(estates())
def test_the_same_seed_and_steps_give_the_same_answer(estate: tuple[Fleet, Demand]) -> None:
    found, demand = estate
    first, second = (place(found, demand, Policy(**QUICK))[0] for _ in range(2))
    assert np.array_equal(first.host_of, second.host_of)


@settings(max_examples=10)
@given(estates())
def test_a_second_look_at_a_repaired_and_cooled_fleet_finds_nothing_better_to_do(estate: tuple[Fleet, Demand]) -> None:
    """Applying an answer and asking again must not move VMs back and forth."""
    from dataclasses import replace

    found, demand = estate
    first, _question = place(found, demand, Policy(max_moves=99, **QUICK))
    again, then = place(replace(found, host_of=first.host_of), demand, Policy(max_moves=99, **QUICK))
    back = (again.host_of == found.host_of) & (first.host_of != found.host_of)
    if back.any():  # only for a real gain, which the first answer could not see from where it stood
        assert then.problem.costs(again.host_of) < then.problem.costs(first.host_of)


def test_a_quiet_fleet_is_left_alone() -> None:
    quiet = fleet("h1: a b | h2: c")
    placement, _ = place(quiet, demand_of(quiet), Policy(**QUICK))
    assert np.array_equal(placement.host_of, quiet.host_of)
    assert placement.minimal_moves is True


def test_with_a_margin_a_hot_host_is_brought_further_down_and_a_warm_fleet_is_left_alone() -> None:
    here = fleet("h1: big small | h2: | h3: other")
    asked = {"big": 6_000, "small": 900, "other": 2_000}
    careful = Policy(margin=0.05, aggressiveness=1, **QUICK)
    for base, moves in ((1_400, 0), (1_700, 1)):  # 83 % is warm, 86 % is hot
        demand = demand_of(here, asked, {"h1": base}, step_s=36_000)
        found, question = place(here, demand, careful)
        assert int((found.host_of != here.host_of).sum()) == moves
        assert question.policy.aim == pytest.approx(0.80 if moves else 0.85)


def test_an_unknown_cluster_is_an_error_that_names_those_there_are() -> None:
    small = fleet("h1: a | h2: b")
    with pytest.raises(InputError, match="unknown cluster"):
        prepare(small, demand_of(small), Policy(cluster="nowhere"))


def test_the_default_budget_is_a_tenth_of_the_vms_between_two_and_twenty() -> None:
    assert [default_moves(n) for n in (1, 20, 120, 1_000)] == [2, 2, 12, 20]


@pytest.mark.parametrize(("wasted", "moves"), [(0, 4), (1, 4), (3, 4), (0, 2), (2, 2)])
def test_a_budget_that_engines_spent_on_something_else_is_spent_on_rules(
    monkeypatch: pytest.MonkeyPatch, wasted: int, moves: int
) -> None:
    """Four VMs are to leave h1; an engine moves VMs of h2 for nothing, and then as many of h1 as the budget leaves."""

    class Spendthrift:
        name = "spendthrift"

        def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
            found = start.copy()
            found[4 : 4 + wasted] = 2
            found[: moves - wasted] = 2
            return found

    monkeypatch.setattr(chain, "_searches", lambda question, kept: [(Spendthrift(), 1.0, 1)])
    asked = fleet("h1: a b c d | h2: e f g | h3:", leaving=["h1"])
    policy = Policy(seconds=5, max_moves=moves, memory_reserve_mib=0)
    placement, _ = place(asked, demand_of(asked), policy, prove=False)
    assert sum(v.amount for v in placement.violations) == 4 - moves
    assert (placement.host_of[4:] == 1).all()


def test_an_evacuation_is_not_held_up_by_the_default_budget() -> None:
    assert budget(Policy(evacuate=("h1",)), 500) is None
    assert budget(Policy(evacuate=("h1",), max_moves=3), 500) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"goal": "win"}, {"aggressiveness": 6}, {"threshold": 0.0}, {"threshold": 1.5}, {"margin": 0.9}, {"margin": -0.1}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Policy(**wrong)  # type: ignore[arg-type]


@settings(max_examples=20)
@given(estates(), st.data())
def test_slots_put_together_cost_no_more(estate: tuple[Fleet, Demand], data: st.DataObject) -> None:
    found, demand = estate
    together = data.draw(st.sampled_from([g for g in range(1, demand.slots + 1) if demand.slots % g == 0]))
    few = fewer_moments(demand, together)
    assert (few.moments * together, few.slots * few.step_s) == (demand.moments, demand.slots * demand.step_s)
    host_of = data.draw(placements(found))
    heat = Heat(resources=found.resources)
    assert together * heat.value(found, few, host_of) <= heat.value(found, demand, host_of)


@settings(max_examples=5)
@given(estates(), st.integers(1, 60))
def test_an_answer_at_some_moments_is_judged_at_all(estate: tuple[Fleet, Demand], most: int) -> None:
    found, demand = estate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pro.placement.chain.LARGE", 0)
        patch.setattr("pro.placement.chain.MOST_PAIRS", most)
        placement, question = place(found, demand, Policy(**QUICK))
    problem = question.problem
    assert problem.costs(placement.host_of) <= problem.costs(found.host_of)
    assert placement.bound is None or placement.bound <= problem.costs(placement.host_of)[1]


@pytest.mark.parametrize(("finished", "bounded"), [(3, True), (2, False)])
def test_no_bound_is_looked_for_where_the_wide_search_had_no_time_for_all_parts(
    finished: int, bounded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot = fleet("h1: a b c d e f | h2: g | h3:")
    monkeypatch.setattr("pro.placement.chain.LARGE", 0)
    monkeypatch.setattr(Wide, "search", lambda self, problem, start, *_: Found(start, 0, 3, finished))
    answer, _ = place(hot, demand_of(hot, 2_000), Policy(seconds=60.0, memory_reserve_mib=0))
    assert (answer.bound is not None) == bounded


@pytest.mark.parametrize("whole", [True, False])
def test_engines_that_take_all_they_are_given_are_never_given_more_than_there_is(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, given = [0.0], []
    few_vms = fleet("h1: a b c | h2: d | h3:")
    demand = demand_of(few_vms, 2_000)
    monkeypatch.setattr(Exact, "entries", lambda *_: 0 if whole else 10**9)

    def slow(engine: type, name: str, result: Any) -> None:
        def run(self: Any, problem: Problem, start: Any, stop: Stop, *_: Any) -> Any:
            now[0] += stop.seconds
            given.append(engine.__name__)
            return result(problem, start)

        monkeypatch.setattr(engine, name, run)

    slow(Few, "improve", lambda _, start: start)
    slow(Local, "improve", lambda _, start: start)
    slow(Cuts, "prove", lambda _, start: (start, Settled(None, None)))
    slow(Exact, "prove", lambda p, start: Proof(start, (None,) * len(p.tiers), (False,) * len(p.tiers)))
    monkeypatch.setattr(Few, "fits", lambda *_: True)
    monkeypatch.setattr("pro.placement.chain.ready", lambda *_: None)  # it runs engines, before any clock
    place(few_vms, demand, Policy(seconds=4.0, failover=0), clock=lambda: now[0])
    assert given == ["Few", "Local", "Exact" if whole else "Cuts"]
    assert now[0] <= 4.0


def test_people_are_told_how_many_rules_are_broken_and_where_not_mib_and_vms_in_one_sum():
    rules = [RuleSpec("apart", "spread", ("a", "b")), RuleSpec("off", "ban", ("a", "b"), ("h1",))]
    a_fleet = fleet("h1: a b c | h2:", memory={"h1": 2_048, "h2": 1_024}, rules=rules)
    question = prepare(a_fleet, demand_of(a_fleet), Policy(memory_reserve_mib=0))
    first = account(question, stand(a_fleet, "h2: a"))[0]
    assert (first.before, first.after) == (1_024 + 1 + 2, 1)
    assert (first.rules, first.places) == ((3, 1), (4, 1))
    assert for_people(first.to_json()) == [("broken rules", 3, 1, "rules"), ("broken rules, where", 4, 1, "places")]
    assert for_people(TierCost("heat", 2.0, 1.0, "x").to_json()) == [("heat", 2.0, 1.0, "x")]
