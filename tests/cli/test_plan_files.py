"""Looking at a plan: show, explain, verify, script; and files that are no plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro
    from tests.small import Estate


def migrations(plan: Path) -> list[dict[str, Any]]:
    """All migrations of a plan, in order."""
    return [m for wave in json.loads(plan.read_text("utf-8"))["waves"] for m in wave["migrations"]]


def test_a_plan_is_shown(pro: Pro, plan: Path) -> None:
    said = pro("show", plan)
    assert said.code == 0
    for m in migrations(plan):
        assert m["vm_name"] in said.out
    assert pro("show", plan, "--json").json("plan/1") == json.loads(plan.read_text("utf-8"))


def test_a_plan_may_come_through_a_pipe(pro: Pro, plan: Path) -> None:
    assert pro("show", "-", stdin=plan.read_text("utf-8")).out == pro("show", plan).out


def test_a_move_is_explained_by_id_and_by_name(pro: Pro, plan: Path) -> None:
    move = migrations(plan)[0]
    told = pro("explain", plan, move["vm"], "--json").json("explain/1")
    assert told["moves"][0]["destination"] == move["destination"]
    assert len(told["options"]) == 6
    assert pro("explain", plan, move["vm_name"], "--json").json("explain/1") == told
    said = pro("explain", plan, move["vm"])
    assert "Without this move" in said.out
    assert "Refused" in said.out or "Also allowed" in said.out


def test_upper_and_lower_case_do_not_matter(pro: Pro, plan: Path) -> None:
    move = migrations(plan)[0]
    assert move["vm_name"].lower() != move["vm_name"]
    assert pro("explain", plan, move["vm_name"].lower()).out == pro("explain", plan, move["vm"]).out


def test_of_a_large_fleet_hosts_are_explained_and_vms_that_matter(
    pro: Pro, store: Path, home: Path, monkeypatch: pytest.MonkeyPatch, small: Estate
) -> None:
    monkeypatch.setattr("pro.placement.told.EXPLAIN_AT_MOST", 1)
    monkeypatch.setattr("pro.placement.told.EXPLAIN_LARGE", 100)
    assert pro("plan", "--store", store, "--now", small.now.isoformat(), "-o", "large.json").code == 0
    document = json.loads((home / "large.json").read_text("utf-8"))
    told = document["answers"]["told"]
    assert (told["vms"], told["of"]) == (len(document["explain"]), 30)
    assert told["vms"] < 30
    for host in document["answers"]["hosts"]:
        assert pro("explain", "large.json", host).code == 0
    clusters = {len(e["options"]) for e in document["explain"].values()}
    assert max(clusters) < 6, "told about the hosts of its own cluster"
    unknown = pro("explain", "large.json", "DB999")
    assert unknown.code == 1
    assert f"one of the {told['vms']} of 30 VMs that move or cause heat" in unknown.err


def test_a_spent_budget_is_not_taken_for_a_host_that_cannot_be_used(
    pro: Pro, store: Path, home: Path, small: Estate
) -> None:
    now = small.now.isoformat()
    assert pro("plan", "--store", store, "--now", now, "--max-moves", "1", "-o", "one.json").code == 0
    document = json.loads((home / "one.json").read_text("utf-8"))
    only = {
        vm: e for vm, e in document["explain"].items()
        if any([r["rule"] for r in o["refusals"] if r["spent"]] == ["move budget"] and len(o["refusals"]) == 1 for o in e["options"])
        and all(o["refusals"] or o["home"] for o in e["options"]) and e["home"] == e["chosen"]
    }  # fmt: skip
    assert only
    for vm in only:
        said = pro("explain", "one.json", vm).out
        assert "the budget of migrations is spent" in said
        assert "with a larger one: " in said
        assert "no other host may take it" not in said


def test_staying_is_explained_too(pro: Pro, plan: Path, small: Estate) -> None:
    moving = {m["vm"] for m in migrations(plan)}
    known = json.loads(plan.read_text("utf-8"))["explain"]
    stays = next(vm for vm in known if vm not in moving)
    assert "stays on" in pro("explain", plan, stays).out


def test_why_not_on_that_host_is_answered(pro: Pro, plan: Path) -> None:
    move = migrations(plan)[0]
    told = pro("explain", plan, move["vm"], "--json").json("explain/1")
    assert told["gain"]["vm"] == move["vm"]
    assert told["gain"]["text"].startswith("without ")
    for option in told["options"]:
        said = pro("explain", plan, move["vm_name"], "--on", option["host_name"])
        asked = pro("explain", plan, move["vm"], "--on", option["host"], "--json").json("explain/1")["asked"]
        assert (said.code, asked["host"]) == (0, option["host"])
        for refusal in option["refusals"]:
            assert f"{refusal['rule']}, broken by {refusal['amount']:,}: " in said.out
        assert ("If that were allowed" in said.out) == bool(option["refusals"] and not option["chosen"])
    wrong = pro("explain", plan, move["vm"], "--on", told["options"][0]["host_name"] + "x")
    assert wrong.code == 1
    assert "perhaps" in wrong.err


def test_a_host_is_explained(pro: Pro, plan: Path) -> None:
    move = migrations(plan)[0]
    for host, key in ((move["source"], "goes"), (move["destination"], "comes")):
        told = pro("explain", plan, host, "--json").json("explain/1")
        assert move["vm"] in {p["vm"] for p in told[key]}
        assert told["binds"] in {f["resource"] for f in told["fills"]}
        said = pro("explain", plan, told["host_name"])
        assert said.code == 0
        assert move["vm_name"] in said.out
        assert "<- binds it" in said.out
    refused = pro("explain", plan, move["source"], "--on", move["destination"])
    assert (refused.code, refused.out) == (1, "")


def test_the_gain_of_every_migration_is_shown(pro: Pro, plan: Path) -> None:
    gains = json.loads(plan.read_text("utf-8"))["answers"]["gains"]
    said = pro("show", plan).out
    assert {g["vm"] for g in gains} == {m["vm"] for m in migrations(plan)}
    assert all(g["text"] in said for g in gains)


def test_a_plan_from_before_there_were_answers_and_a_policy_is_still_read(
    pro: Pro, plan: Path, store: Path, home: Path
) -> None:
    from dataclasses import replace

    from pro.planning.identity import content_id
    from pro.planning.io import dumps, loads

    found = replace(loads(plan.read_text("utf-8")), answers={}, policy={}, asked={})
    found = replace(found, id=content_id(found))
    document = json.loads(dumps(found))
    del document["answers"], document["policy"], document["asked"]
    old = home / "old.json"
    old.write_text(json.dumps(document), encoding="utf-8")
    move = migrations(plan)[0]
    assert pro("show", old).code == 0
    assert pro("verify", old, "--store", store).code == 0
    assert "Without this move" in pro("explain", old, move["vm"]).out


def test_a_vm_the_plan_does_not_know_brings_the_nearest_name(pro: Pro, plan: Path) -> None:
    name = migrations(plan)[0]["vm_name"]
    said = pro("explain", plan, name[:-1])
    assert (said.code, said.out) == (1, "")
    assert "perhaps" in said.err


def test_a_plan_holds_on_the_store_it_was_made_from(pro: Pro, plan: Path, store: Path) -> None:
    assert pro("verify", plan, "--store", store).out.startswith("the plan holds")
    told = pro("verify", plan, "--store", store, "--json").json("verify/1")
    assert (told["ok"], told["faults"]) == (True, [])
    assert {"memory capacity", "move budget", "N+1 failover"} <= set(told["rules"])


def test_a_plan_that_breaks_something_does_not_verify(pro: Pro, plan: Path, store: Path, home: Path) -> None:
    document = json.loads(plan.read_text("utf-8"))
    first = document["waves"][0]["migrations"][0]
    first["destination"] = first["source"]
    (home / "bent.json").write_text(json.dumps(document), encoding="utf-8")
    bent = pro("verify", "bent.json", "--store", store)
    assert (bent.code, bent.out) == (1, "")
    assert "migrations[0]: source and destination are the same host" in bent.err


@pytest.mark.parametrize("dialect", ["scvmm", "cluster", "hyperv"])
def test_a_script_in_every_dialect(dialect: str, pro: Pro, plan: Path, home: Path) -> None:
    said = pro("script", plan, "--dialect", dialect)
    assert said.code == 0
    for m in migrations(plan):
        assert m["vm"] in said.out
    assert pro("script", plan, "--dialect", dialect, "-o", "s.ps1").out == ""
    assert (home / "s.ps1").read_text("utf-8").strip() == said.out.strip()


def test_an_unknown_dialect_is_a_usage_error(pro: Pro, plan: Path) -> None:
    said = pro("script", plan, "--dialect", "esperanto")
    assert (said.code, said.out) == (2, "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "plan/9"}', '{"schema": "plan/1"}', "\ufeff{}"])
@pytest.mark.parametrize("command", ["show", "verify", "script", "apply"])
def test_what_is_no_plan_is_refused_in_words(command: str, text: str, pro: Pro, home: Path) -> None:
    (home / "p.json").write_text(text, encoding="utf-8")
    more = ("--backend", "simulated:s.json", "--yes") if command == "apply" else ()
    said = pro(command, "p.json", *more)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: ")
    assert not (home / "s.json").exists()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("destination", "elsewhere", "do not end"), ("blackout_s", 0.0, "plan.id"), ("memory_mib", "much", "memory_mib")],
)
def test_a_plan_that_was_changed_by_hand_is_refused(
    field: str, value: object, says: str, pro: Pro, plan: Path, home: Path
) -> None:
    document = json.loads(plan.read_text("utf-8"))
    document["waves"][0]["migrations"][0][field] = value
    (home / "p.json").write_text(json.dumps(document), encoding="utf-8")
    said = pro("show", "p.json")
    assert (said.code, said.out) == (1, "")
    assert says in said.err
