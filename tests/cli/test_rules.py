"""Every kind of rule from rules.json to an applied plan: imported, planned with, explained, verified, in force at the end."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pro.fleet.archive import load_inventory
from pro.fleet.readers import Found
from pro.fleet.readers.rules import RulesReader
from pro.fleet.rule_kinds import KINDS
from pro.fleet.snapshot import snapshot
from pro.placement.constraints import build, preferences
from pro.placement.referee import check

if TYPE_CHECKING:
    from tests.cli.conftest import Pro
    from tests.small import Estate

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
PROD = ["HV01", "HV02", "HV03", "HV04"]

RULES: list[dict[str, Any]] = [
    {"rule": "racks", "kind": "spread", "members": ["DC003", "DC011", "DC027"], "scope": "rack", "least": 2},
    {"rule": "web and app", "kind": "gather", "members": ["WEB008", "APP017"], "scope": "site"},
    {"rule": "web hosts", "kind": "fence", "members": ["WEB000", "WEB008", "WEB016"], "hosts": PROD[1:]},
    {"rule": "dongle", "kind": "pin", "members": ["FILE004"]},
    {"rule": "not there", "kind": "ban", "members": ["MAIL013"], "hosts": ["HV03"]},
    {"rule": "at most", "kind": "limit", "most": 9},
    {"rule": "big ones", "kind": "limit", "members": ["BI015", "BI023", "SQL010", "SQL018"], "most": 2},
    {"rule": "sql cores", "kind": "licence", "members": ["SQL010", "SQL018"], "most": 32},
    {"rule": "tenant", "kind": "dedicate", "members": ["BI007", "FILE012", "VDI014", "MAIL021", "WEB024", "SQL002", "SQL026"],
     "hosts": ["HV05"], "soft": True, "worth": 0.01},
    {"rule": "first", "kind": "prefer", "members": ["WEB000"], "hosts": ["HV03", "HV02"]},
    {"rule": "apart if it can be", "kind": "spread", "members": ["SQL010", "SQL018"], "soft": True},
]  # fmt: skip


def with_columns(source: Path, target: Path, more: dict[str, str]) -> None:
    """The table with more columns: networks, NUMA nodes."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = [{**row, **more} for row in csv.DictReader(file)]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def ruled(pro: Pro, past: Path, home: Path, small: Estate) -> Path:
    """The store, with these rules."""
    with_columns(small.folder / "hosts.csv", home / "hosts.csv", {"networks": "prod; backup", "numa_nodes": "2"})
    with_columns(small.folder / "vms.csv", home / "vms.csv", {"networks": "Prod", "numa_span": ""})
    (home / "rules.json").write_text(json.dumps(RULES), "utf-8")
    (home / "pro.toml").write_text(
        "[placement]\nmemory_start_mib = 4096\nmemory_placement_mib = 8192\nmax_moves_per_service = 2\n"
    )
    assert (
        pro("inventory", "import", home / "hosts.csv", home / "vms.csv", home / "rules.json", "--store", past).code == 0
    )
    return past


def test_the_rules_use_every_kind() -> None:
    assert {rule["kind"] for rule in RULES} == set(KINDS)


def test_a_plan_with_every_kind_of_rule_is_made_verified_and_applied(pro: Pro, ruled: Path, home: Path) -> None:
    said = pro("plan", "--store", ruled, "-o", home / "plan.json")
    assert said.code == 0
    plan = json.loads((home / "plan.json").read_text("utf-8"))
    assert plan["waves"]
    unkept = [v for v in plan["violations"] if v.get("preference")]
    assert "preferences not kept" in {tier["name"] for tier in plan["tiers"]}
    assert ("Preferences not kept:" in said.out) == bool(unkept)
    assert pro("verify", home / "plan.json", "--store", ruled).code == 0
    mover = plan["waves"][0]["migrations"][0]["vm"]
    assert "moves" in pro("explain", home / "plan.json", mover).out
    url = f"simulated:{home / 'world.json'}?speed=10000"
    assert pro("apply", home / "plan.json", "--backend", url, "--store", ruled, "--yes").code == 0
    inventory = load_inventory(ruled)
    before = snapshot(inventory, inventory.at)
    assert {rule.name for rule in before.rules} == {rule["rule"] for rule in RULES}
    after = before.host_of.copy()
    for vm, host in plan["ends"].items():
        after[before.vm_index(vm)] = before.host_index(host)
    hard = build(before, memory_reserve_mib=2048, memory_start_mib=4096, max_moves_per={"service": 2})
    assert {"reach", "NUMA fit"} <= {rule.name for rule in hard}
    broken_then = {v.rule for v in check(before, hard, after)}
    assert broken_then == {v["rule"] for v in plan["violations"] if not v.get("preference")}
    told = sorted(v.text for wish in preferences(before) for v in wish.rule.violations(before, after))
    assert told == sorted(v["text"] for v in unkept)


def test_a_rule_that_was_hard_and_is_soft_now_makes_a_plan_about_it_stale(pro: Pro, ruled: Path, home: Path) -> None:
    from pro.planning import changes, facts_now
    from pro.planning.io import loads

    pro("plan", "--store", ruled, "-o", home / "plan.json")
    plan = loads((home / "plan.json").read_text("utf-8"))
    inventory = load_inventory(ruled)
    fleet = snapshot(inventory, inventory.at)
    assert changes(plan.facts, facts_now(plan.facts, fleet, plan.ends)) == []
    softened = replace(fleet, rules=tuple(replace(r, soft=True) if r.name == "at most" else r for r in fleet.rules))
    assert changes(plan.facts, facts_now(plan.facts, softened, plan.ends)) == [
        "rule at most has changed since the plan was made"
    ]


def test_a_rule_half_understood_is_refused_with_its_place(pro: Pro, past: Path, home: Path, small: Estate) -> None:
    (home / "rules.json").write_text(json.dumps([{"kind": "licence", "members": ["SQL010"], "cores": 32}]), "utf-8")
    said = pro(
        "inventory",
        "import",
        small.folder / "hosts.csv",
        small.folder / "vms.csv",
        home / "rules.json",
        "--store",
        past,
    )
    assert said.code == 1
    assert "rules.json: rule 1" in said.err
    assert "'cores'" in said.err


def test_reserves_that_fall_are_refused(pro: Pro, past: Path, home: Path) -> None:
    (home / "pro.toml").write_text("[placement]\nmemory_placement_mib = 1024\n")
    said = pro("plan", "--store", past)
    assert said.code == 1
    assert "reserves of memory must rise" in said.err


def test_the_rules_of_the_documentation_are_read_and_are_of_every_kind(tmp_path: Path) -> None:
    text = DOCS.read_text("utf-8")
    block = re.search(r"^```json rules\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    path, found = tmp_path / "rules.json", Found()
    path.write_text(block[1], "utf-8")
    RulesReader().read(path, found)
    assert found.problems == []
    assert {rule.kind for rule in found.rules} == set(KINDS)
    assert all(f"| {kind} |" in text for kind in KINDS)
