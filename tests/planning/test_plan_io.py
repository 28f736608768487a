"""plan.json: read back equal, and refused when it is not what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.placement.constraints import Capacity, Gather
from pro.planning import Plan, dumps, loads, make_plan
from pro.planning.identity import content_id
from tests.builders import fleet, stand
from tests.conftest import HOSTILE_NAMES
from tests.planning.worlds import CONTEXT, World, worlds

SCHEMA = json.loads(resources.files("pro.planning").joinpath("schemas/plan-1.json").read_text())


def full_plan() -> Plan:
    """A plan with every part in it."""
    f = fleet("h1: a b | h2: c | h3: | h4: s", memory=4096, stuck=["s"], vm_memory={"c": 4000})
    rules = (Capacity(), Gather("pair", ("a", "b")))
    context = replace(
        CONTEXT,
        constraints=rules,
        tiers=[{"name": "heat", "unit": "MHz s", "before": np.int64(9), "after": 3}],
        proof={"engine": "local search", "bound": None, "gap": 0.5, "minimal_moves": True},
        before={"hot_hosts": 1, "hosts": {"h1": {"cpu": np.float64(0.9)}}},
        after={"hot_hosts": 0, "path": np.array([1, 2])},
        explain={"a": {"without": "h1 runs hot"}},
        violations=[{"rule": "x", "text": "y", "amount": 1}],
        policy={
            "memory_reserve_mib": 0, "memory_start_mib": 0, "max_moves": np.int64(3), "max_gib": None,
            "max_moves_per": {"service": 2}, "evacuate": [], "failover": {"hosts": 1, "granted": {"c": 2}},
        },
    )  # fmt: skip
    return make_plan(f, None, stand(f, "h3: a b | h1: s"), context)


def edited(path: str, value: Any) -> str:
    """The full plan as text, with one field set (or, with `...`, removed) and the id kept."""
    body = json.loads(dumps(full_plan()))
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place = body
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(body)


@given(worlds())
def test_what_is_written_is_read_back_equal(world: World) -> None:
    plan = world.plan()
    assert loads(dumps(plan)) == plan
    assert dumps(loads(dumps(plan))) == dumps(plan)


@given(worlds())
def test_what_is_written_fits_the_schema(world: World) -> None:
    jsonschema.validate(json.loads(dumps(world.plan())), SCHEMA)


def test_every_part_survives() -> None:
    plan = full_plan()
    assert loads(dumps(plan)) == plan
    assert plan.blocked
    assert plan.waves
    assert plan.tiers[0]["before"] == 9
    assert plan.after["path"] == [1, 2]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(dumps(plan)), SCHEMA)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_survive_as_they_are_and_the_file_is_ascii(name: str) -> None:
    f = fleet("h1: a | h2:", names={"a": name, "h2": name})
    text = dumps(make_plan(f, None, stand(f, "h2: a"), CONTEXT))
    assert text.isascii()
    assert loads(text).migrations[0].vm_name == name


@given(worlds())
def test_the_id_is_the_content(world: World) -> None:
    plan = world.plan()
    assert plan.id == content_id(plan) == world.plan(created_at="another day").id
    assert plan.id != world.plan(goal="consolidate").id


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("goal", ..., "plan", "field 'goal' is missing"),
        ("surprise", 1, "plan", "unknown field"),
        ("schema", "plan/9", "plan.schema", "no such schema"),
        ("id", "abc", "plan.id", "SHA-256"),
        ("id", "z" * 64, "plan.id", "SHA-256"),
        ("goal", 3, "plan.goal", "not text"),
        ("goal", "else", "plan.id", "the plan was edited"),
        ("waves", {}, "plan.waves", "not a list"),
        ("waves.0", [], "plan.waves[0]", "not an object"),
        ("waves.0.migrations", [], "plan.waves[0]", "without migrations"),
        ("waves.0.migrations.0.vm", "", "plan.waves[0].migrations[0].vm", "must not be empty"),
        ("waves.0.migrations.0.seconds", -1, "plan.waves[0].migrations[0].seconds", "at least 0"),
        ("waves.0.migrations.0.seconds", True, "plan.waves[0].migrations[0].seconds", "at least 0"),
        ("waves.0.migrations.0.memory_mib", 1.5, "plan.waves[0].migrations[0].memory_mib", "whole number"),
        ("waves.0.migrations.0.memory_mib", False, "plan.waves[0].migrations[0].memory_mib", "whole number"),
        ("waves.0.migrations.0.kind", "storage", "plan.waves[0].migrations[0].kind", "unknown kind"),
        ("waves.0.migrations.0.stopover", 1, "plan.waves[0].migrations[0].stopover", "not true or false"),
        ("waves.0.migrations.0.destination", "h1", "plan.waves[0].migrations[0]", "same host"),
        ("waves.0.migrations.1.vm", "a", "plan.waves[0].migrations[1].vm", "moves twice in one wave"),
        ("blocked.0.vm", "a", "plan.blocked[0].vm", "a blocked VM moves"),
        ("blocked.0", "s", "plan.blocked[0]", "not an object"),
        ("tiers.0", 5, "plan.tiers[0]", "not an object"),
        ("facts.vms.a", ["h1"], "plan.facts.vms.a", "wrong number of entries"),
        ("facts.hosts.h3", [1, 4096, []], "plan.facts.hosts.h3[0]", "not true or false"),
        ("facts.rules", {"r": [["spread", "host", 0, ["a"], [7]]]}, "plan.facts.rules.r[0][4][0]", "not text"),
        ("policy.failover.hosts", -1, "plan.policy.failover.hosts", "whole number"),
        ("policy.max_moves", "many", "plan.policy.max_moves", "whole number"),
        ("policy.evacuate", ..., "plan.policy", "field 'evacuate' is missing"),
        ("policy", {}, "plan.id", "the plan was edited"),
        ("ends", {}, "plan.ends", "do not end where the plan promises"),
        ("ends.a", 4, "plan.ends.a", "not text"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: Any, where: str, what: str) -> None:
    text = edited(path, value)
    with pytest.raises(InputError) as caught:
        loads(text)
    assert caught.value.where == where
    assert what in str(caught.value)


def test_a_vm_that_is_not_where_its_next_step_starts_is_named() -> None:
    f = fleet("h1: a | h2: b | h3:", memory=1024)
    plan = make_plan(f, None, stand(f, "h2: a | h1: b"), CONTEXT)
    assert len(plan.waves) == 3
    body = json.loads(dumps(plan))
    body["waves"][2]["migrations"][0]["source"] = "h9"
    with pytest.raises(InputError, match="not there any more") as caught:
        loads(json.dumps(body))
    assert caught.value.where == "plan.waves[2].migrations[0].source"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["seconds", "gap"])
def test_numbers_that_are_not_finite_are_refused(number: str, field: str) -> None:
    body = json.loads(dumps(full_plan()))
    if field == "gap":
        body["proof"]["gap"] = "HERE"
    else:
        body["waves"][0]["migrations"][0]["seconds"] = "HERE"
    with pytest.raises(InputError, match="finite"):
        loads(json.dumps(body).replace('"HERE"', number))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not an object"),
        ("[" * 100_000, "too deeply"),
        ('{"schema": "plan/1", "schema": "plan/1"}', "field given twice"),
        ('{"schema": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        loads(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_json_is_refused_politely(value: Any) -> None:
    with pytest.raises(InputError):
        loads(json.dumps(value))


@given(st.data())
def test_any_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    plan = full_plan()
    text = dumps(plan)
    i = data.draw(st.integers(0, len(text) - 1))
    changed = text[:i] + data.draw(st.characters(min_codepoint=32, max_codepoint=126)) + text[i + 1 :]
    try:
        got = loads(changed)
    except InputError:
        return
    assert got == replace(plan, created_at=got.created_at)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, np.array([float("inf")])])
def test_what_is_not_json_cannot_be_copied_into_a_plan(value: Any) -> None:
    f = fleet("h1: a")
    with pytest.raises(InputError, match="before: not JSON"):
        make_plan(f, None, f.host_of, replace(CONTEXT, before={"x": value}))
