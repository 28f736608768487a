"""A plan's question is asked again of its store: for what the file does not tell, with the same answers for what it does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pro.actions.asking import Again, answered, ask_again
from pro.config import Config
from pro.core.errors import InputError
from pro.decision import policy_of
from pro.fleet.archive import load_inventory, save_inventory
from pro.planning.identity import content_id
from pro.planning.io import dumps, loads
from pro.remediation.antiflap import staying
from pro.workflow import decide, look_ahead, silent

if TYPE_CHECKING:
    from pathlib import Path

    from pro.planning.plan import Plan
    from tests.cli.conftest import Pro
    from tests.small import Estate

ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"max_moves": 1, "goal": "repair"},
    {"goal": "consolidate", "aggressiveness": 5, "threshold": 0.7, "memory_placement_mib": 8_192, "failover": 0},
)
"""Policies: as it comes, too small a budget, and everything else."""


def planned(store: Path, small: Estate, **given: Any) -> Plan:
    """A plan as `pro plan` makes it, from a short search, and read back from its file."""
    outlook = look_ahead(store, Config(), small.now)
    found = decide(outlook, Config(), policy_of(Config(), seconds=0.5, **given))
    return loads(dumps(found.plan))


def again(plan: Plan, store: Path, **changed: Any) -> Again:
    """The question of `plan`, with other settings in force now than then."""
    other = Config().model_copy(update={"placement": Config().placement.model_copy(update={"aggressiveness": 1})})
    return ask_again(replace(plan, **changed), store, other, silent)


@pytest.mark.parametrize("given", ASKED, ids=["default", "repair", "consolidate"])
def test_what_the_file_tells_is_worked_out_the_same(store: Path, small: Estate, given: dict[str, Any]) -> None:
    plan = planned(store, small, **given)
    found = again(plan, store)
    assert found.remarks == ()
    assert plan.explain
    for name, of in (*((vm, e["vm_name"]) for vm, e in plan.explain.items()), *plan.answers["hosts"].items()):
        one = answered(found, name, seconds=0.1)
        assert one.answers["units"] == plan.answers["units"], of
        if name in plan.explain:
            assert as_json(one.explain[name]) == plan.explain[name]
        else:
            assert as_json(one.answers["hosts"][name]) == plan.answers["hosts"][name]
    for told in plan.answers["remedies"]:
        named = answered(found, told["about"][0], seconds=0.1).answers["remedies"]
        assert [r["wanted"] for r in named if r["about"] == tuple(told["about"])], "what cannot be had is the same"


def as_json(value: Any) -> Any:
    """As a file would have it."""
    return json.loads(json.dumps(value))


def test_any_vm_of_a_large_fleet_is_told_about_any_host(
    pro: Pro, store: Path, small: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = planned(store, small)
    monkeypatch.setattr("pro.placement.told.EXPLAIN_AT_MOST", 1)
    monkeypatch.setattr("pro.placement.told.EXPLAIN_LARGE", 100)
    assert pro("plan", "--store", store, "--now", small.now.isoformat(), "-o", "p.json").code == 0
    told = set(json.loads(pro("show", "p.json", "--json").out)["explain"])
    silent_of = sorted(whole.explain.keys() - told)
    assert silent_of
    assert "--store DIR" in pro("explain", "p.json", silent_of[0]).err
    for vm in silent_of[:2]:
        said = pro("explain", "p.json", vm, "--store", store, "--json").json("explain/1")
        full = {o["host"]: o for o in whole.explain[vm]["options"]}
        assert said["options"] == [full[o["host"]] for o in said["options"]]
        assert 1 < len(said["options"]) < len(full), "of a large fleet the hosts of its cluster"
        for host, option in list(full.items())[:: len(full) - 1]:
            on = pro("explain", "p.json", vm, "--store", store, "--on", host, "--json").json("explain/1")
            assert on["asked"] == option


def test_a_plan_made_from_an_inventory_younger_than_the_counters_is_checked_by_that_one(
    pro: Pro, store: Path, small: Estate
) -> None:
    plan = "p.json"
    then = load_inventory(store)
    moved = then.vms.copy()
    first, other = moved["host"].iloc[0], next(h for h in moved["host"] if h != moved["host"].iloc[0])
    assert first != other
    newest = json.loads(pro("hotspots", "--store", store, "--json").out)["now"]
    assert pro("plan", "--store", store, "-o", plan).code == 0
    movers = [m["vm"] for w in json.loads(pro("show", plan, "--json").out)["waves"] for m in w["migrations"]]
    vm, host = movers[0], loads(pro("show", plan, "--json").out).migrations[0].destination
    moved.loc[moved["id"] == vm, "host"] = host
    later = small.now.fromisoformat(newest) + timedelta(hours=1)
    assert save_inventory(store, replace(then, vms=moved, at=later))
    assert pro("plan", "--store", store, "-o", "later.json").code == 0
    for file in (plan, "later.json"):
        assert pro("verify", file, "--store", store).code == 0, "each by the inventory it was made from"
    stands = pro("explain", "later.json", vm, "--store", store, "--json").json("explain/1")
    assert stands["home"] == host


def test_a_store_that_knows_another_fleet_is_refused_and_other_counters_are_told(store: Path, small: Estate) -> None:
    plan = planned(store, small)
    assert again(plan, store).remarks == ()
    inventory = load_inventory(store, small.now)
    vms = inventory.vms.copy()
    mover = plan.migrations[0]
    vms.loc[vms["id"] == mover.vm, "host"] = mover.destination
    assert save_inventory(store, replace(inventory, vms=vms)), "another inventory of the same instant"
    with pytest.raises(InputError, match=f"{mover.vm} stands on {mover.destination}, the plan expects {mover.source}"):
        again(plan, store)
    assert save_inventory(store, inventory)
    (remark,) = again(plan, store, before={**plan.before, "hot_minutes": -1}).remarks
    assert "expects something else than when the plan was made" in remark


def test_rules_are_asked_for_by_name(pro: Pro, store: Path, small: Estate) -> None:
    made = pro(
        "plan", "--store", store, "--now", small.now.isoformat(), "--goal", "repair", "--max-moves", "0", "-o", "p.json"
    )
    assert made.code == 0
    document = json.loads(pro("show", "p.json", "--json").out)
    broken = {v["rule"] for v in document["violations"]}
    assert broken
    for rule in broken:
        known = pro("explain", "p.json", rule, "--json").json("explain/1")
        assert known["today"] is None
        told = pro("explain", "p.json", rule, "--store", store, "--json").json("explain/1")
        assert (
            told["after"]
            == known["after"]
            == told["today"]
            == [v["text"] for v in document["violations"] if v["rule"] == rule]
        )
        ways = {ref["rule"] for r in told["remedies"] for way in r["ways"] for ref in way["relax"]}
        assert ways == {"move budget"}
        said = pro("explain", "p.json", rule.upper(), "--store", store)
        assert said.code == 0
        assert "relax move budget" in said.out
    kept = pro("explain", "p.json", "memory capacity", "--store", store)
    assert "is in no file of rules" in kept.out
    assert "holds with the plan" in kept.out
    assert pro("explain", "p.json", "memory capacity").code == 1
    assert pro("explain", "p.json", rule, "--on", "HV01").code == 1


def test_a_host_tells_of_the_rules_broken_on_it(store: Path, small: Estate) -> None:
    plan = planned(store, small, max_moves=0)
    found = again(plan, store)
    about = {h for r in plan.answers["remedies"] for h in r["about"][1:]}
    assert about, "a broken rule names hosts"
    for host in about:
        story = answered(found, host, seconds=0.1)
        assert any(host in r["about"] for r in story.answers["remedies"])


def test_vms_that_were_not_to_move_are_still_not(store: Path, small: Estate) -> None:
    free = planned(store, small)
    vm = free.migrations[0].vm
    outlook = look_ahead(store, Config(), small.now)
    held = replace(outlook, fleet=staying(outlook.fleet, {vm: "rests until tomorrow"}))
    plan = decide(held, Config(), policy_of(Config(), seconds=0.5)).plan
    told = answered(again(plan, store), vm).explain[vm]
    refused = [r["text"] for o in told["options"] if not o["home"] for r in o["refusals"]]
    assert any("rests until tomorrow" in text for text in refused)


def test_looking_longer_needs_a_store(pro: Pro, plan: Path) -> None:
    said = pro("explain", plan, "HV01", "--seconds", "9")
    assert said.code == 2
    assert "--store" in said.err


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({}, "does not say how it was asked"),
        ({"policy": {"goal": "win"}}, "not understood"),
        ({"inventory": "yesterday"}, "not understood"),
        ({"forecast": {"horizon_h": -1}}, "not understood"),
        ({"heat": {"heat": 1}}, "not understood"),
        ({"still": 3}, "not understood"),
    ],
)
def test_a_plan_that_does_not_say_how_it_was_asked_is_refused_in_words(
    store: Path, small: Estate, asked: dict[str, Any], match: str
) -> None:
    plan = planned(store, small, max_moves=0)
    bent = replace(plan, asked={**plan.asked, **asked} if asked else {})
    bent = loads(dumps(replace(bent, id=content_id(bent))))
    with pytest.raises(InputError, match=match):
        again(bent, store)


def test_nobody_of_that_name(store: Path, small: Estate) -> None:
    found = again(planned(store, small, max_moves=0), store)
    name = found.question.fleet.vm_names[3]
    with pytest.raises(InputError, match=f"perhaps '{name}'"):
        answered(found, name + "x")
    with pytest.raises(InputError, match="pro failover"):
        answered(found, "N+1 failover")
