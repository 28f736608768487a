"""A migration's gain is the plain difference of costs without it, in people's units; a host's story is plain sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.core.text import plain
from pro.fleet import RuleSpec
from pro.placement.explain import explain
from pro.placement.gains import fewer, gains
from pro.placement.hosts import stories
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.place import place
from pro.placement.placement import Placement
from pro.placement.policy import Policy, percent_hours
from pro.placement.question import prepare
from pro.placement.referee import check
from pro.placement.weights import Weights
from pro.placement.words import say, say_changes, units
from tests.builders import demand_of, fleet, stand
from tests.strategies import cases, placements


@given(cases(), st.sampled_from(("balance", "consolidate", "repair")), st.data())
@settings(deadline=None, max_examples=60)
def test_a_gain_is_the_difference_of_plain_costs(case, goal, data):
    a_fleet, demand, _, _ = case
    question = prepare(a_fleet, demand, Policy(goal=goal))
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    told = explain(a_fleet, question.constraints, question.problem.tiers, host_of)
    found = gains(question, told)
    assert {g.vm for g in found} == {a_fleet.vms[v] for v in np.flatnonzero(host_of != a_fleet.host_of)}
    heat = "heat" if goal == "repair" else "heat cpu"
    plain = {
        heat: (Heat(threshold=question.policy.threshold), percent_hours(demand)),
        **({"balance": (Balance(), 1e7)} if goal != "repair" else {}),
        "memory moved": (Moves(0, 1), 1.0),
        "moves": (Moves(), 1.0),
        "hosts on": (HostsOn(), 1.0),
    }
    for gain in found:
        dropped = host_of.copy()
        v = a_fleet.vm_index(gain.vm)
        dropped[v] = a_fleet.host_of[v]
        said = {w.goal: w.amount for w in gain.worse}
        for goal_name, (objective, per) in plain.items():
            worse = (objective.value(a_fleet, demand, dropped) - objective.value(a_fleet, demand, host_of)) / per
            if goal_name != "hosts on" or goal == "consolidate":
                assert said.get(goal_name, 0) == pytest.approx(worse, abs=0.0011, rel=1e-6)
        for rule in question.constraints:
            more = sum(x.amount for x in rule.violations(a_fleet, dropped)) - sum(
                x.amount for x in rule.violations(a_fleet, host_of)
            )
            if more > 0:
                assert rule.name in {r.rule for r in gain.refusals}


def warm_and_cool(**more):
    a_fleet = fleet("h1: a b | h2: | h3:", cpu=1_000, **more)
    return a_fleet, demand_of(a_fleet, {"a": 600, "b": 500}, step_s=3600)


def answer(a_fleet, demand, text, minimal=True, **policy):
    question = prepare(a_fleet, demand, Policy(**policy))
    host_of = stand(a_fleet, text)
    told = explain(a_fleet, question.constraints, question.problem.tiers, host_of)
    placement = Placement(host_of, (), (), None, None, minimal, "by hand", 1, 0.0)
    found = gains(question, told)
    return found, fewer(question, placement, found, int((host_of != a_fleet.host_of).sum()))


def test_a_reader_learns_what_one_migration_is_good_for():
    found, few = answer(*warm_and_cool(), "h2: a")
    assert [g.text for g in found] == ["without a: heat cpu +35.60 % x hours, balance +371 % over the cluster's mean"]
    assert few.text.startswith("Proven: no placement that repairs and cools as much needs fewer than 1 migration.")
    assert few.drop == "a"


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        ({"weights": Weights(disturbance=20)}, ()),
        ({"goal": "consolidate"}, ()),
        ({"memory_placement_mib": 4096}, ()),
        ({}, (RuleSpec("near", "prefer", ("b",), ("h2",), soft=True),)),
    ],
)
def test_a_proof_about_more_than_heat_says_so(policy, written):
    _, few = answer(*warm_and_cool(rules=written), "h2: a", **policy)
    assert few.text.startswith(
        "Proven: no placement that repairs as much and is as good by all that is weighed needs fewer than 1 migration."
    )


@given(cases(), st.data())
@settings(deadline=None, max_examples=40)
def test_who_is_missed_least_costs_least_by_all_that_is_weighed(case, data):
    a_fleet, demand, _, _ = case
    question = prepare(a_fleet, demand, Policy(goal="consolidate", weights=Weights(disturbance=2, ratio=1)))
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    told = explain(a_fleet, question.constraints, question.problem.tiers, host_of)
    found = [g for g in gains(question, told) if not g.refusals]
    price = []
    for gain in found:
        without = host_of.copy()
        v = a_fleet.vm_index(gain.vm)
        without[v] = a_fleet.host_of[v]
        price.append((*question.problem.costs(without)[:2], gain.heat))
    assert price == sorted(price, reverse=True)
    few = fewer(question, Placement(host_of, (), (), None, None, None, "by hand", 1, 0.0), found, len(told))
    assert few.drop == (found[-1].vm if found else None)


@given(cases(), st.data())
@settings(deadline=None, max_examples=30)
def test_a_gain_and_an_explanation_say_it_in_the_same_words(case, data):
    a_fleet, demand, _, _ = case
    question = prepare(a_fleet, demand, Policy())
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    told = explain(
        a_fleet, question.constraints, question.problem.tiers, host_of, range(a_fleet.n_vms), units=units(question)
    )
    there = {t.vm: t.without.text for t in told}
    for gain in gains(question, told):
        for worse in gain.worse:
            assert gain.refusals or say(worse.goal, worse.amount, worse.unit) in there[gain.vm]


def test_a_change_is_told_in_people_s_units_where_they_are_known_and_in_percent():
    table = {
        "heat cpu": (36_000.0, "% x hours"),
        "moves": (500.0, "migrations"),
        "other": (500.0, "migrations it is worth"),
    }
    changes = [("heat cpu", 1_281_600, None), ("moves", -500, -100.0), ("balance", 0, 0.0), ("near", 1_250, 0.2)]
    assert say_changes(changes, table) == (
        "heat cpu +35.60 % x hours (from nothing), moves -1 migrations (100 % less), "
        "near +2.50 migrations it is worth (a trace more)"
    )
    assert say_changes(changes, {}) == "heat cpu from nothing, moves 100 % less, near a trace more"


def test_a_migration_that_is_good_for_nothing_is_called_so():
    found, few = answer(*warm_and_cool(), "h2: a | h3: b", minimal=None)
    assert few.minimal is False
    assert few.text.startswith("Fewer than 2 migrations would do.")
    assert all(not g.refusals for g in found)


def test_a_repair_says_which_rule_would_be_broken():
    a_fleet, demand = warm_and_cool(rules=[RuleSpec("apart", "spread", ("a", "b"))])
    found, few = answer(a_fleet, demand, "h2: a", minimal=None)
    assert found[0].text.startswith("without a: breaks apart (a and b stand together on h1), heat cpu +35.60")
    assert few.text == "Not proven that fewer than 1 migration would not do."
    assert few.drop is None


def test_a_real_answer_never_says_that_fewer_would_do():
    a_fleet, demand = warm_and_cool()
    placement, question = place(a_fleet, demand, Policy(seconds=2, steps=4))
    told = explain(a_fleet, question.constraints, question.problem.tiers, placement.host_of)
    moved = int((placement.host_of != a_fleet.host_of).sum())
    assert fewer(question, placement, gains(question, told), moved).minimal
    assert not check(a_fleet, question.constraints, placement.host_of)


def placed(case, data):
    """A fleet, its demand, the question about them, and a placement that keeps what cannot move."""
    a_fleet, demand, _, _ = case
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    return a_fleet, demand, prepare(a_fleet, demand, Policy(memory_reserve_mib=3)), host_of


@given(cases(), st.data())
@settings(deadline=None, max_examples=40)
def test_the_story_of_a_host_is_plain_sums(case, data):
    a_fleet, demand, question, host_of = placed(case, data)
    told = explain(a_fleet, question.constraints, question.problem.tiers, host_of, range(a_fleet.n_vms))
    for h, story in enumerate(stories(question, host_of, range(a_fleet.n_hosts), told)):
        for p in (*story.comes, *story.goes):
            v, other = a_fleet.vm_index(p.vm), a_fleet.host_index(p.host)
            assert (int(a_fleet.host_of[v]), int(host_of[v])) in ((other, h), (h, other))
        assert len(story.comes) == sum(host_of[v] == h != a_fleet.host_of[v] for v in range(a_fleet.n_vms))
        for r, fill in enumerate(story.fills):
            best = 0.0
            for t in range(demand.slots):
                moments = [s * demand.slots + t for s in range(demand.scenarios)]
                use = [
                    demand.base[h, r, k]
                    + sum(int(demand.use[v, r, k]) for v in range(a_fleet.n_vms) if host_of[v] == h)
                    for k in moments
                ]
                best = max(best, sum(use) / len(use))
            assert fill.use_after == pytest.approx(best, abs=0.051)
        refused = {r.rule for t in told for r in t.options[h].refusals}
        assert {r.rule for r in story.refused} <= refused


@given(cases(), st.data())
@settings(deadline=None, max_examples=40)
def test_a_host_tells_of_vms_that_were_told_of_it_alone(case, data):
    """Of a large fleet a VM is told about the hosts of its cluster, so the tenth option need not be the tenth host."""
    a_fleet, _, question, host_of = placed(case, data)
    near = np.array(data.draw(st.lists(st.integers(0, 1), min_size=a_fleet.n_hosts, max_size=a_fleet.n_hosts)))
    told = explain(
        a_fleet, question.constraints, question.problem.tiers, host_of, range(a_fleet.n_vms),
        lambda v: np.flatnonzero(near == near[a_fleet.host_of[v]]),
    )  # fmt: skip
    found = stories(question, host_of, range(a_fleet.n_hosts), told)
    for h, story in enumerate(found):
        here = [(t.vm_name, o.refusals) for t in told for o in t.options if o.host == a_fleet.hosts[h]]
        for refused in story.refused:
            names = [name for name, refusals in here if refused.rule in {r.rule for r in refusals}]
            assert refused.vms <= len(names)
            assert all(any(plain(name) in text for name in names) for text in refused.examples)
            assert not any(
                text.startswith(f"{plain(name)}: {plain(name)} ") for name in names for text in refused.examples
            )
        rules = {r.rule for _, refusals in here for r in refusals if r.rule != "move budget"}
        assert rules <= {r.rule for r in story.refused}


def test_a_spent_budget_is_told_only_where_nothing_else_refuses():
    a_fleet = fleet("h1: a | h2: b | h3: c", rules=[RuleSpec("off", "ban", ("b",), ("h3",))])
    demand = demand_of(a_fleet, {"a": 1})
    question = replace(prepare(a_fleet, demand, Policy(max_moves=0)))
    told = explain(a_fleet, question.constraints, question.problem.tiers, a_fleet.host_of, range(3))
    (story,) = stories(question, a_fleet.host_of, [2], told)
    assert [(r.rule, r.vms) for r in story.refused] == [("move budget", 1), ("off", 1)]


def test_a_rule_that_is_called_like_the_budget_is_told_wherever_it_refuses():
    a_fleet = fleet("h1: a | h2: b | h3: c", rules=[RuleSpec("move budget", "ban", ("b",), ("h3",))])
    question = prepare(a_fleet, demand_of(a_fleet, {"a": 1}), Policy(max_moves=0))
    told = explain(a_fleet, question.constraints, question.problem.tiers, a_fleet.host_of, [1])
    (story,) = stories(question, a_fleet.host_of, [2], told)
    assert [(r.rule, r.vms, r.examples) for r in story.refused] == [("move budget", 1, ("b is banned from h3",))]


def test_a_vm_is_named_once_also_where_names_are_parts_of_names():
    """The limit names three of five VMs, and not x, though the name of each ends in it; the ban names x."""
    rules = [RuleSpec("few", "limit", (), ("h3",), most=4), RuleSpec("off", "ban", ("x",), ("h3",))]
    a_fleet = fleet("h1: x | h3: a-x b-x c-x d-x", rules=rules)
    question = prepare(a_fleet, demand_of(a_fleet, {"x": 1}), Policy(max_moves=9))
    told = explain(a_fleet, question.constraints, question.problem.tiers, a_fleet.host_of, [a_fleet.vm_index("x")])
    (story,) = stories(question, a_fleet.host_of, [a_fleet.host_index("h3")], told)
    assert {r.rule: r.examples for r in story.refused} == {
        "few": ("x: h3 holds 5 (a-x, b-x, c-x and 2 more), at most 4 allowed",),
        "off": ("x is banned from h3",),
    }
