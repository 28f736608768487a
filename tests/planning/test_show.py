"""A plan as text: everything is said, and nothing in a name does anything."""

from __future__ import annotations

from dataclasses import replace
from unicodedata import category

import pytest
from hypothesis import given

from pro.planning import make_plan
from pro.planning.show import duration, show
from tests.builders import fleet, stand
from tests.conftest import HOSTILE_NAMES
from tests.planning.test_plan_io import full_plan
from tests.planning.worlds import CONTEXT, World, worlds


def test_a_plan_is_told_wave_by_wave() -> None:
    f = fleet("h1: a | h2: b | h3:", memory=1024, names={"a": "WEB01"})
    plan = make_plan(f, None, stand(f, "h2: a | h1: b"), CONTEXT)
    assert show(plan)[2:] == [
        "wave  starts  takes  blackout  VM     from  to",
        "1     +0.0 s  9.5 s  0.2 s     WEB01  h1    h3  " + plan.migrations[0].reason,
        "2     +9.5 s  9.5 s  0.2 s     b      h2    h1  " + plan.migrations[1].reason,
        "3     +19 s   9.5 s  0.2 s     WEB01  h3    h2  " + plan.migrations[2].reason,
        "",
        "3 migrations in 28 s; longest blackout 0.2 s; memory at most 100% (on h3).",
    ]


def test_broken_rules_are_counted_and_not_added_up() -> None:
    tier = {
        "name": "broken rules",
        "unit": "violations",
        "before": 206_211,
        "after": 83_330,
        "rules": [3, 2],
        "places": [9, 4],
    }
    text = "\n".join(show(replace(full_plan(), tiers=(tier,))))
    assert "first:\n  broken rules: 3 -> 2 rules\n  broken rules, where: 9 -> 4 places\n" in text
    assert "206" not in text


def test_what_is_blocked_costs_and_stays_broken_is_told() -> None:
    text = "\n".join(show(full_plan()))
    for said in (
        "Blocked:\n  s: this VM cannot be migrated",
        "Costs, most important first:\n  heat: 9 -> 3 MHz s",
        "Before -> after:\n  hosts over the threshold at some moment, expected: 1 -> 0",
        "Still broken:\n  x: y",
        "apart on the way: pair",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"gap": 0.2053}, "could be at most 20.5% lower"),
        ({"gap": 0.0}, "Proven: by all that is weighed after repairs nothing within the rules"),
        ({"gap": None}, "is not known: there is no bound"),
        ({}, ""),
        ({"gap": "much"}, ""),
    ],
)
def test_how_far_from_the_best_it_may_be_is_said(proof: dict[str, object], said: str) -> None:
    lines = show(replace(full_plan(), proof=proof))
    assert [said in line for line in lines if "Bound:" in line or "Proven:" in line or "no bound" in line] == [
        True
    ] * bool(said)


def test_nothing_to_move_is_said() -> None:
    f = fleet("h1: a")
    assert "Nothing to move." in show(make_plan(f, None, f.host_of, CONTEXT))


@given(worlds())
def test_any_plan_is_shown_in_lines_without_control_characters(world: World) -> None:
    for line in show(world.plan()):
        assert not [c for c in line if category(c) in ("Cc", "Zl", "Zp")]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_stay_on_their_line_and_short(name: str) -> None:
    f = fleet("h1: a | h2:", names={"a": name, "h1": name, "h2": name})
    plan = make_plan(f, None, stand(f, "h2: a"), replace(CONTEXT, goal=name))
    lines = show(plan)
    assert len(lines) == 6
    assert all(line.isprintable() and len(line) < 600 for line in lines)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0.2 s"), (9.96, "10.0 s"), (45, "45 s"), (59.6, "1 min 0 s"), (295, "4 min 55 s"), (4321, "1 h 12 min")],
)
def test_durations_are_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert duration(seconds) == said
