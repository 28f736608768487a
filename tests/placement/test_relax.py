"""The smallest set of rules to relax: brute force over rules and placements finds the same; stories of who is to be asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings

from pro.fleet import RuleSpec
from pro.placement import relax
from pro.placement.answers import unasked
from pro.placement.constraints import build, written_as
from pro.placement.language import broken
from pro.placement.problem import loosen
from pro.placement.referee import MOVABLE
from pro.placement.relax import host_cool, remedy, rules_broken
from tests.builders import demand_of, fleet, stand
from tests.strategies import cases


def all_smallest(a_fleet, rules, wanted):
    """Every smallest set of rules (indices; a VM's id for one that cannot be migrated) in whose absence `wanted` can be had."""
    home = a_fleet.host_of
    asked = {v for v in wanted.vms if not a_fleet.movable[v]}
    held = {
        i: [k for row in r.rows(a_fleet) for k in loosen(row, home)] for i, r in enumerate(rules) if i != wanted.rule
    }
    found = set()
    for choice in product(range(a_fleet.n_hosts), repeat=a_fleet.n_vms):
        host_of = np.array(choice, np.int64)
        moved = set(np.flatnonzero(host_of != home).tolist())
        if any(not a_fleet.movable[v] and v not in asked for v in moved):
            continue
        if any(broken(row, home, host_of) for row in wanted.rows):
            continue
        off = {i for i, rows in held.items() if any(broken(row, home, host_of) for row in rows)}
        found.add(frozenset(off | {a_fleet.vms[v] for v in moved & asked}))
    least = min(map(len, found), default=None)
    return {s for s in found if len(s) == least}


@given(cases(max_hosts=3, max_vms=4))
@settings(deadline=None, max_examples=50)
def test_no_smaller_set_will_do_and_none_is_forgotten(case):
    a_fleet, _, rules, _ = case
    for wanted in rules_broken(a_fleet, rules, a_fleet.host_of)[:2]:
        found = remedy(a_fleet, rules, wanted)
        best = all_smallest(a_fleet, rules, wanted)
        assert found.proven
        assert found.possible is bool(best)
        told = {tuple(sorted(ref.rule for ref in way.relax)) for way in found.ways}
        named = {tuple(sorted(MOVABLE if isinstance(i, str) else rules[i].name for i in s)) for s in best}
        assert told <= named
        assert len({len(way.relax) for way in found.ways}) <= 1
        if found.complete and len(best) <= 5:
            assert told == named


@given(cases(max_hosts=3, max_vms=4))
@settings(deadline=None, max_examples=40)
def test_the_migrations_told_do_it_and_break_nothing_but_what_is_relaxed(case):
    a_fleet, _, rules, _ = case
    for wanted in rules_broken(a_fleet, rules, a_fleet.host_of)[:2]:
        for way in remedy(a_fleet, rules, wanted).ways:
            host_of = a_fleet.host_of.copy()
            for step in way.migrations:
                host_of[a_fleet.vm_index(step.vm)] = a_fleet.host_index(step.host)
            relaxed = {ref.rule for ref in way.relax}
            assert not any(broken(row, a_fleet.host_of, host_of) for row in wanted.rows)
            for i, rule in enumerate(rules):
                if rule.name not in relaxed and i != wanted.rule:
                    today = [k for row in rule.rows(a_fleet) for k in loosen(row, a_fleet.host_of)]
                    assert not any(broken(row, a_fleet.host_of, host_of) for row in today)


def apart_but_fenced(**more):
    rules = [
        RuleSpec("apart", "spread", ("a", "b"), owner="database team", origin="rules.json: rule 1"),
        RuleSpec("licensed", "fence", ("a", "b"), ("h1",), owner="licence desk", origin="rules.json: rule 2"),
        RuleSpec("quiet", "ban", ("a",), ("h2",)),
    ]
    return fleet("h1: a b | h2:", rules=rules, **more)


def test_the_rule_in_the_way_is_named_with_its_owner_and_origin():
    a_fleet = apart_but_fenced()
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    assert remedy(a_fleet, rules, wanted).text == (
        "To repair apart (a and b stand together on h1): relax licensed (rules.json: rule 2, owner licence desk: b on h2 is "
        "outside the one host it may use). Then, for example, b to h2. Proven: it cannot be had with every rule in force."
    )


def test_of_rules_of_one_name_the_one_that_is_in_the_way_is_named():
    written = [
        RuleSpec("apart", "spread", ("a", "b"), owner="database team", origin="x: 1"),
        RuleSpec("reach", "ban", ("a",), ("h1",), owner="not asked", origin="x: 2"),
        RuleSpec("reach", "fence", ("a", "b"), ("h1", "h2"), owner="not asked", origin="x: 3"),
        RuleSpec("reach", "fence", ("a", "b"), ("h2",), owner="licence desk", origin="x: 4"),
        RuleSpec("reach", "ban", ("b",), ("h1",), owner="network desk", origin="x: 5"),
    ]
    a_fleet = fleet("h1: | h2: a b", rules=written)
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    ways = {tuple(r.owner for r in way.relax) for way in remedy(a_fleet, rules, wanted).ways}
    assert ways == {("not asked", "licence desk"), ("licence desk", "network desk")}
    assert written_as(a_fleet, rules)[-5:] == written
    assert not any(written_as(a_fleet, rules)[:-5])


def test_a_rule_that_people_call_like_a_built_in_one_is_theirs_and_the_built_in_one_is_nobody_s():
    a_fleet = fleet("h1: a b | h2:", rules=[RuleSpec("move budget", "fence", ("c",), ("h2",), owner="mallory")])
    rules = build(a_fleet, evacuate=["h1"], max_moves=1)
    wanted = rules_broken(a_fleet, rules, stand(a_fleet, "h2: a"))[0]
    ((ref,),) = [way.relax for way in remedy(a_fleet, rules, wanted).ways]
    assert (ref.rule, ref.kind, ref.owner) == ("move budget", "MoveBudget", "")


def test_two_rules_at_once_are_found_where_one_is_not_enough():
    a_fleet = apart_but_fenced(memory={"h2": 0})
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    found = remedy(a_fleet, rules, wanted)
    assert [[ref.rule for ref in way.relax] for way in found.ways] == [["memory capacity", "licensed"]]
    assert found.proven
    assert "fewer than 2 will not do" in found.text


def test_an_evacuation_that_cannot_finish_names_the_budget():
    a_fleet = fleet("h1: a b | h2:")
    rules = build(a_fleet, evacuate=["h1"], max_moves=1)
    wanted = rules_broken(a_fleet, rules, stand(a_fleet, "h2: a"))[0]
    (way,) = remedy(a_fleet, rules, wanted).ways
    assert [ref.rule for ref in way.relax] == ["move budget"]
    assert {(s.vm, s.host) for s in way.migrations} == {("a", "h2"), ("b", "h2")}


def test_what_no_relaxing_brings_is_said_to_be_impossible():
    a_fleet = fleet("h1: a b c | h2:", rules=[RuleSpec("apart", "spread", ("a", "b", "c"))])
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    found = remedy(a_fleet, rules, wanted)
    assert (found.possible, found.ways) == (False, ())
    assert "cannot be had" in found.text


def test_a_host_that_stays_hot_names_what_keeps_its_vms_there():
    a_fleet = fleet("h1: a b | h2: c", cpu=1_000, rules=[RuleSpec("pinned", "pin", ("a", "b"), owner="app team")])
    demand = demand_of(a_fleet, {"a": [500, 500], "b": [400, 500], "c": 200})
    rules = build(a_fleet)
    found = remedy(a_fleet, rules, host_cool(a_fleet, demand, 0, "cpu", 0.85))
    assert [[ref.rule for ref in way.relax] for way in found.ways] == [["pinned"]]
    assert found.ways[0].relax[0].owner == "app team"
    cool = demand_of(a_fleet, {"a": [500, 900, 500], "b": [400, 400, 400], "c": 200}, scenarios=3)
    assert len(host_cool(a_fleet, cool, 0, "cpu", 0.85, 0.3).rows[0].upper[0]) == 3
    assert len(host_cool(a_fleet, cool, 0, "cpu", 0.85, 0.5).rows[0].upper[0]) == 2
    crowded = demand_of(a_fleet, {"a": [500, 500], "b": [400, 500], "c": 600})
    assert remedy(a_fleet, rules, host_cool(a_fleet, crowded, 0, "cpu", 0.85)).possible is False


def test_what_the_plan_repairs_stays_repaired():
    a_fleet = fleet(
        "h1: a b | h2: c d | h3:",
        rules=[RuleSpec("one", "spread", ("a", "b")), RuleSpec("two", "spread", ("c", "d"))],
    )
    rules, done = build(a_fleet, max_moves=1), stand(a_fleet, "h3: a")
    (wanted,) = rules_broken(a_fleet, rules, done)
    assert remedy(a_fleet, rules, wanted).ways[0].relax == ()
    sets = {tuple(ref.rule for ref in way.relax) for way in remedy(a_fleet, rules, wanted, done).ways}
    assert sets == {("move budget",), ("one",)}


def test_where_the_plan_itself_makes_a_host_hot_that_is_said():
    a_fleet = fleet("h1: a b | h2: c", cpu=1_000)
    demand, plan = demand_of(a_fleet, {"a": 500, "b": 300, "c": 600}), stand(a_fleet, "h2: b")
    hot = host_cool(a_fleet, demand, 1, "cpu", 0.85, host_of=plan)
    assert remedy(a_fleet, build(a_fleet), hot, plan).text == (
        "To keep h2 from cpu above 85% in 30% of futures or more: so it is today, with every rule in force; it is the plan that "
        "makes the host hot. To do without that was not worth its price, or the search needs more time."
    )
    apart = fleet("h1: a b | h2: c", cpu=1_000, rules=[RuleSpec("apart", "spread", ("a", "b"))])
    said = remedy(apart, build(apart, max_moves=1), hot, plan).text
    assert (
        "relax apart (a and b stand together on h1). Then all may stand as today; it is the plan that makes the host hot. Proven"
        in said
    )


def test_what_was_not_looked_into_is_counted():
    a_fleet = fleet(
        "h1: a b | h2: c d", rules=[RuleSpec("one", "spread", ("a", "b")), RuleSpec("two", "spread", ("c", "d"))]
    )
    rules = rules_broken(a_fleet, build(a_fleet), a_fleet.host_of)
    hot = host_cool(a_fleet, demand_of(a_fleet, 500), 0, "cpu", 0.05)
    assert unasked([*rules, hot]) == "Not looked into: 2 broken rules and 1 hot spot more."
    assert unasked(rules[:1]) == "Not looked into: 1 broken rule more."
    assert unasked([]) == ""


def test_where_nothing_is_in_the_way_that_is_said():
    a_fleet = fleet("h1: a b | h2:", rules=[RuleSpec("apart", "spread", ("a", "b"))])
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    found = remedy(a_fleet, rules, wanted)
    assert found.ways[0].relax == ()
    assert "no rule stands in the way" in found.text


def test_of_a_search_that_ended_early_only_what_is_needed_is_told(monkeypatch):
    """It may name rules that its placement keeps, a smaller set after a larger one, and one set twice."""
    from pro.placement.engines import relaxing

    here = fleet("h1: a b | h2: c | h3:", rules=[
        RuleSpec("apart", "spread", ("a", "b")), RuleSpec("not there", "ban", ("a",), ("h3",)), RuleSpec("nor b", "ban", ("b",), ("h2",)),
        RuleSpec("here", "fence", ("a", "b"), ("h1",)),
    ])  # fmt: skip
    rules = build(here, memory_reserve_mib=0)
    wanted = next(w for w in rules_broken(here, rules, here.host_of) if w.about[0] == "apart")
    index = {rule.name: i for i, rule in enumerate(r for j, r in enumerate(rules) if j != wanted.rule)}
    there, beside = stand(here, "h1: b | h2: c | h3: a"), stand(here, "h1: b | h2: a c")
    sets = (("not there", "nor b", "here"), ("nor b", "here"), ("here",))
    found = relaxing.Smallest(
        tuple(tuple(index[n] for n in names) for names in sets),
        (there, beside, beside),
        proven=False,
        complete=False,
        possible=True,
    )
    monkeypatch.setattr(relaxing, "smallest", lambda *_, **__: found)
    said = remedy(here, rules, wanted)
    assert [[ref.rule for ref in way.relax] for way in said.ways] == [["here"]]
    assert "relax here (" in said.text
    assert "Not proven that fewer than 1 will not do." in said.text


def test_a_set_of_which_nothing_is_needed_means_that_no_rule_stands_in_the_way(monkeypatch):
    from pro.placement.engines import relaxing

    here = fleet(
        "h1: a b | h2:", rules=[RuleSpec("apart", "spread", ("a", "b")), RuleSpec("nor b", "ban", ("b",), ("h2",))]
    )
    rules = build(here, memory_reserve_mib=0)
    wanted = next(w for w in rules_broken(here, rules, here.host_of) if w.about[0] == "apart")
    index = {rule.name: i for i, rule in enumerate(r for j, r in enumerate(rules) if j != wanted.rule)}
    beside = stand(here, "h1: b | h2: a")
    found = relaxing.Smallest(((index["nor b"],), ()), (beside, beside), proven=False, complete=False, possible=True)
    monkeypatch.setattr(relaxing, "smallest", lambda *_, **__: found)
    said = remedy(here, rules, wanted)
    assert [way.relax for way in said.ways] == [()]
    assert "no rule stands in the way (a to h2)" in said.text
    assert "or ." not in said.text


def test_where_no_rule_stands_in_the_way_the_reason_is_that_of_the_wish():
    """A hard rule has no price; who should have moved and finds no way in flight is named."""
    a_fleet = fleet("h1: a b | h2:", rules=[RuleSpec("apart", "spread", ("a", "b"))])
    rules = build(a_fleet)
    (wanted,) = rules_broken(a_fleet, rules, a_fleet.host_of)
    said = remedy(a_fleet, rules, wanted).text
    assert "no rule stands in the way" in said
    assert "what else the plan does came first, or the search needs more time" in said
    said = remedy(a_fleet, rules, replace(wanted, blocked="a: memory of h2 is full in flight")).text
    assert said.endswith("possible in the end, but there is no way there: a: memory of h2 is full in flight.")


def test_what_one_remedy_leaves_of_the_time_the_others_get(monkeypatch):
    here = fleet(
        "h1: a b | h2: c d | h3:",
        rules=[RuleSpec("apart", "spread", ("a", "b")), RuleSpec("too", "spread", ("c", "d"))],
    )
    rules = build(here, max_moves=0, memory_reserve_mib=0)
    wanted = rules_broken(here, rules, here.host_of)
    assert len(wanted) == 2
    whole = relax.remedies(here, rules, wanted, here.host_of, work=8.0)
    assert whole == [remedy(here, rules, w, work=4.0) for w in wanted]
    assert [[ref.rule for way in r.ways for ref in way.relax] for r in whole] == [["move budget"], ["move budget"]]
    given = []

    def slow(*_, work):
        given.append(work)
        return whole[0], (0.5, 9.0)[len(given) - 1]

    monkeypatch.setattr(relax, "_remedy", slow)
    relax.remedies(here, rules, wanted, here.host_of, work=3.0)
    assert given == [1.5, 2.5]


def test_what_the_plan_repairs_elsewhere_is_not_to_be_relaxed(monkeypatch):
    """Of a large fleet a part is looked at; the rest stays where the plan puts it, with the rules that it keeps there."""
    here = fleet(
        "h1: a b | h2: c | h3: x y | h4:",
        rules=[RuleSpec("apart", "spread", ("a", "b")), RuleSpec("far", "spread", ("x", "y")), RuleSpec("here", "fence", ("b",), ("h1",)),
               RuleSpec("a too", "fence", ("a",), ("h1",))],
    )  # fmt: skip
    rules = build(here, memory_reserve_mib=0)
    placed = stand(here, "h1: a b | h2: c | h3: x | h4: y")
    wanted = next(w for w in rules_broken(here, rules, placed) if w.about[0] == "apart")
    monkeypatch.setattr(relax, "MOST_CHOICES", 3 * here.n_hosts)
    told = remedy(here, rules, wanted, placed)
    assert {ref.rule for way in told.ways for ref in way.relax} == {"here", "a too"}
    assert all(len(way.relax) == 1 for way in told.ways)
    for way in told.ways:
        first, *others = [(s.vm, s.host) for s in way.migrations]
        assert first[0] in {"a", "b"}
        assert others == [("y", "h4")]
    assert not told.proven
