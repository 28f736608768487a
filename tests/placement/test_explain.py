"""Every host is accounted for: allowed with its price, or refused with its reasons."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.fleet import Groups, RuleSpec
from pro.placement import referee
from pro.placement.constraints import build
from pro.placement.explain import explain
from pro.placement.objectives import Heat, Moves
from pro.placement.problem import Tier, compile_problem
from pro.placement.told import around
from pro.placement.whatif import Standing
from tests.builders import demand_of, fleet, stand
from tests.strategies import cases, placements


def amounts(a_fleet, rule, host_of):
    return sum(v.amount for v in rule.violations(a_fleet, host_of))


@given(cases(), st.data())
def test_an_allowed_host_breaks_no_rule_more_and_costs_what_is_said(case, data):
    a_fleet, _, rules, problem = case
    host_of = data.draw(placements(a_fleet))
    standing = Standing(a_fleet.host_of, host_of, a_fleet.n_hosts)
    now = sum(problem.costs(host_of))
    for v, told in enumerate(explain(a_fleet, rules, problem.tiers, host_of, range(a_fleet.n_vms))):
        for h, option in enumerate(told.options):
            there = standing.elsewhere(v, h)
            if option.allowed:
                assert all(amounts(a_fleet, r, there) <= amounts(a_fleet, r, host_of) for r in rules)
            if not option.chosen:
                assert sum(change.amount for change in option.changes) == sum(problem.costs(there)) - now


@given(cases(), st.data())
def test_of_a_large_fleet_a_vm_is_told_the_same_about_fewer_hosts(case, data):
    a_fleet, _, rules, problem = case
    host_of = data.draw(placements(a_fleet))
    a_fleet = replace(a_fleet, host_groups={"cluster": Groups(np.arange(a_fleet.n_hosts) % 3 - 1, ("a", "b"))})
    everywhere = explain(a_fleet, rules, problem.tiers, host_of, range(a_fleet.n_vms))
    with patch("pro.placement.told.EXPLAIN_LARGE", 0):
        hosts_for = around(a_fleet, host_of)
    for v, told in enumerate(explain(a_fleet, rules, problem.tiers, host_of, range(a_fleet.n_vms), hosts_for)):
        home = int(a_fleet.host_of[v])
        # Hosts 0, 3, 6 .. are of no cluster: each is one for itself.
        here = {h for h in range(a_fleet.n_hosts) if h == home or (home % 3 and h % 3 == home % 3)} | {int(host_of[v])}
        assert told.options == tuple(o for h, o in enumerate(everywhere[v].options) if h in here)


@given(cases(), st.data())
def test_every_refusal_says_why(case, data):
    a_fleet, _, rules, problem = case
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    names = {rule.name for rule in rules} | {referee.MOVABLE}
    for told in explain(a_fleet, rules, problem.tiers, host_of, range(a_fleet.n_vms)):
        assert [o.host for o in told.options if o.chosen] == [told.chosen]
        assert [o.host for o in told.options if o.home] == [told.home]
        for option in told.options:
            assert not (option.chosen and option.refusals)
            assert all(r.amount > 0 and r.text and r.rule in names for r in option.refusals)
            assert all(not r.text.endswith(" refuses") for r in option.refusals)
        json.dumps(asdict(told))


@given(cases(), st.data())
def test_the_words_are_those_of_the_rule_asked_about_the_whole_fleet(case, data):
    a_fleet, _, rules, problem = case
    host_of = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    standing = Standing(a_fleet.host_of, host_of, a_fleet.n_hosts)
    before = set(referee.check(a_fleet, rules, host_of))
    for v, told in enumerate(explain(a_fleet, rules, problem.tiers, host_of, range(a_fleet.n_vms))):
        for h, option in enumerate(told.options):
            new = {x.text for x in referee.check(a_fleet, rules, standing.elsewhere(v, h)) if x not in before}
            for refusal in option.refusals:
                if refusal.rule != referee.MOVABLE:
                    assert set(refusal.text.split("; ")) <= {piece for text in new for piece in text.split("; ")}


def story():
    a_fleet = fleet(
        "h1: a b | h2: c | h3: d | h4:",
        cpu=1_000,
        memory={"h3": 2_048, "h4": 8_192},
        vm_memory={"d": 1_500, "b": 1_024},
        clusters={"h1": "c", "h2": "c", "h3": "c", "h4": "other"},
        rules=[RuleSpec("apart", "spread", ("b", "c"), owner="database team")],
    )
    demand = demand_of(a_fleet, {"a": 600, "b": 400, "c": 100, "d": 200})
    rules = build(a_fleet)
    rows = [row for rule in rules for row in rule.rows(a_fleet)]
    tiers = [Tier(g.name, tuple(g.terms(a_fleet, demand))) for g in (Heat(), Moves())]
    return a_fleet, rules, compile_problem(a_fleet, rows, tiers)


def test_a_reader_learns_where_a_vm_could_have_gone():
    a_fleet, rules, problem = story()
    (told,) = explain(a_fleet, rules, problem.tiers, stand(a_fleet, "h2: a"))
    assert (told.vm, told.home, told.chosen, told.moved) == ("a", "h1", "h2", True)
    assert [option.text for option in told.options] == [
        "h1: allowed, heat from nothing, moves 100 % less",
        "h2: chosen",
        "h3: refused, memory capacity: h3 is 476 MiB short: its VMs hold 2,524 of 2,048 MiB",
        "h4: refused, cluster border: a left cluster c for h4",
    ]
    assert told.without.host == "h1"


def test_goals_that_share_a_tier_are_told_apart():
    a_fleet, rules, problem = story()
    shared = (problem.tiers[0], Tier("heat and moves", (*problem.tiers[1].terms, *problem.tiers[2].terms)))
    (told,) = explain(a_fleet, rules, shared, stand(a_fleet, "h2: a"))
    assert [change.tier for change in told.without.changes] == ["broken rules", "heat cpu", "moves"]
    assert told.without.text == "h1: allowed, heat cpu from nothing, moves 100 % less"


def test_a_vm_that_was_not_moved_can_be_asked_about():
    a_fleet, rules, problem = story()
    (told,) = explain(a_fleet, rules, problem.tiers, a_fleet.host_of, [a_fleet.vm_index("b")])
    assert not told.moved
    assert told.options[1].text == "h2: refused, apart: b and c stand together on h2"


def test_a_vm_that_cannot_be_migrated_is_refused_everywhere_else():
    a_fleet = fleet("h1: a | h2:", stuck=["a"])
    (told,) = explain(a_fleet, build(a_fleet), (), a_fleet.host_of, [0])
    assert [o.text for o in told.options] == ["h1: stays", "h2: refused, movable: a cannot be migrated"]


def test_a_budget_is_told_from_a_rule_that_is_called_like_it():
    """Of the fleet or of a group; a ban of that name is a ban."""
    a_fleet = fleet("h1: a b | h2: c", rules=[RuleSpec("move budget", "ban", ("b",), ("h2",))])
    rules = build(a_fleet, max_moves=0, max_moves_per={"role": 0})
    told = {e.vm: e for e in explain(a_fleet, rules, (), a_fleet.host_of, range(3))}
    spent = {vm: {r.spent for o in e.options for r in o.refusals} for vm, e in told.items()}
    assert spent["a"] == {True}
    assert spent["b"] == {True, False}
