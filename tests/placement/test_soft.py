"""Preferences, the ladder of reserves and budgets of groups: what `place` makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.fleet import RuleSpec
from pro.placement.explain import explain
from pro.placement.language import Soft
from pro.placement.place import place
from pro.placement.policy import Policy
from pro.placement.question import prepare, unkept
from pro.placement.referee import check, judge
from tests.builders import demand_of, fleet, stand
from tests.strategies import demands, fleets, written

if TYPE_CHECKING:
    from pro.fleet import Fleet
    from pro.placement.placement import Placement
    from pro.placement.question import Question

QUICK: dict[str, Any] = {"seconds": 1.0, "steps": 4, "memory_reserve_mib": 0, "max_moves": 99}


def answer(found: Fleet, **policy: Any) -> tuple[Placement, Question]:
    return place(found, demand_of(found), Policy(**{**QUICK, **policy}))


@settings(max_examples=15)
@given(fleets(), st.lists(written(), max_size=3), st.data(), st.sampled_from(("balance", "repair")))
def test_a_preference_never_costs_a_rule_and_is_paid_as_it_says(
    found: Fleet, rules: list[RuleSpec], data: st.DataObject, goal: Any
) -> None:
    ruled = replace(found, rules=tuple(rules))
    placement, question = place(ruled, data.draw(demands(ruled)), Policy(goal=goal, **QUICK))
    assert judge(ruled, question.constraints, placement.host_of).accepted
    assert placement.unkept == tuple(check(ruled, question.preferences, placement.host_of))
    asked = {t.label for t in question.problem.tiers[1].terms if isinstance(t, Soft)}
    soft = [rule for rule in rules if rule.soft]
    assert len(question.preferences) == len(soft)
    assert all(label.startswith("preference ") for label in asked)
    account = {t.name: t for t in placement.tiers}
    assert ("preferences not kept" in account) == bool(soft)
    if soft:
        assert account["preferences not kept"].after == sum(v.amount for v in placement.unkept)


def apart(worth: float) -> Fleet:
    return fleet("h1: a b | h2:", rules=[RuleSpec("apart", "spread", ("a", "b"), soft=True, worth=worth)])


@pytest.mark.parametrize("goal", ["balance", "repair"])
def test_a_preference_is_worth_as_many_migrations_as_it_says(goal: str) -> None:
    """One migration repairs it."""
    assert answer(apart(1.0), goal=goal)[0].unkept == ()
    kept, question = answer(apart(0.4), goal=goal)
    assert kept.host_of.tolist() == question.fleet.host_of.tolist()
    assert [v.text for v in kept.unkept] == ["a and b stand together on h1"]
    assert kept.violations == ()


def test_two_migrations_are_not_made_for_a_preference_worth_one() -> None:
    """Only an exchange brings a to its first host: two migrations for one step of the order."""

    def full(worth: float) -> Fleet:
        rule = RuleSpec("first", "prefer", ("a",), ("h2", "h1"), soft=True, worth=worth)
        return fleet("h1: a | h2: b", memory=1_024, rules=[rule])

    assert answer(full(1.0))[0].host_of.tolist() == [0, 1]
    assert answer(full(2.0))[0].host_of.tolist() == [1, 0]


def test_a_hard_rule_is_repaired_even_if_that_costs_a_preference() -> None:
    rules = [
        RuleSpec("apart", "spread", ("a", "b")),
        RuleSpec("near", "gather", ("a", "b"), soft=True, worth=50.0),
    ]
    placement, _ = answer(fleet("h1: a b | h2:", rules=rules))
    assert placement.violations == ()
    assert [v.rule for v in placement.unkept] == ["near"]


def test_a_preference_is_told_where_a_vm_is_explained() -> None:
    ruled = apart(0.4)
    question = prepare(ruled, demand_of(ruled), Policy(**QUICK))
    (told,) = explain(ruled, question.constraints, question.problem.tiers, ruled.host_of, [0])
    (there,) = [option for option in told.options if option.host == "h2"]
    assert there.allowed
    assert "preference apart 100 % less" in there.text


LADDER: dict[str, Any] = {"memory_reserve_mib": 1_000, "memory_start_mib": 2_000, "memory_placement_mib": 4_000}


def test_a_host_with_less_than_the_start_reserve_is_relieved_but_no_further() -> None:
    """1,500 MiB free on h1: one VM of 1,000 goes, though the placement reserve is not reached."""
    short = fleet("h1: a b c | h2:", memory=10_000, vm_memory={"a": 1_000, "b": 1_000, "c": 6_500})
    placement, _ = answer(short, **LADDER)
    assert int((placement.host_of != short.host_of).sum()) == 1
    assert placement.violations == placement.unkept == ()
    easy = fleet("h1: a c | h2:", memory=10_000, vm_memory={"a": 1_000, "c": 6_500})
    assert answer(easy, **LADDER)[0].host_of.tolist() == easy.host_of.tolist()


def test_no_host_is_filled_beyond_the_placement_reserve_for_the_sake_of_a_goal() -> None:
    hot = fleet("h1: a b | h2: x", memory=10_000, vm_memory={"a": 2_000, "b": 2_000, "x": 5_000}, vm_cpu=10_000)
    demand = demand_of(hot, {"a": 6_000, "b": 6_000, "x": 0})
    for ladder, cooled in ((QUICK, True), ({**QUICK, **LADDER}, False)):
        placement, _ = place(hot, demand, Policy(**ladder))
        assert bool((placement.host_of != hot.host_of).any()) == cooled


def test_the_placement_reserve_yields_to_a_repair_and_is_told() -> None:
    full = fleet("h1: a | h2: x", memory=10_000, vm_memory={"a": 2_000, "x": 5_000})
    placement, question = answer(full, **LADDER, evacuate=("h1",))
    assert placement.host_of.tolist() == [1, 1]
    assert placement.violations == ()
    assert [v.text for v in placement.unkept] == ["h2 keeps 3,000 of 4,000 MiB free"]
    assert unkept(question, full.host_of) == ()


def test_where_there_is_a_choice_a_repair_keeps_the_placement_reserve() -> None:
    full = fleet("h1: a | h2: x | h3: y", memory=10_000, vm_memory={"a": 2_000, "x": 5_000, "y": 4_000})
    placement, _ = answer(full, **LADDER, evacuate=("h1",))
    assert placement.host_of.tolist() == [2, 1, 2]
    assert placement.unkept == ()


def test_reserves_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="reserves of memory must rise"):
        Policy(memory_reserve_mib=2_048, memory_start_mib=1_024)


def test_a_budget_of_a_service_leaves_the_rest_of_it_where_it_is() -> None:
    leaving = fleet("h1: a b c | h2:", services=dict.fromkeys("abc", "web"), leaving=["h1"])
    placement, _ = answer(leaving, max_moves_per_service=2)
    assert int((placement.host_of != leaving.host_of).sum()) == 2
    assert np.array_equal(answer(leaving)[0].host_of, stand(leaving, "h2: a b c"))
