"""Carrying out: what is refused, what is repeated, what is stopped; on a simulator that keeps its state in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pro.core.text import counted
from pro.fleet.archive import load_inventory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro

FAST = "simulated:sim.json?speed=10000"


def standing(pro: Pro) -> dict[str, str]:
    """VM id -> host id, as the backend says."""
    world = pro("inventory", "discover", "--backend", "simulated:sim.json", "--json").json("inventory/1")
    return {v["vm"]: v["host"] for v in world["vms"]}


def promised(plan: Path) -> dict[str, str]:
    """VM id -> host id at the end of the plan, for VMs that move."""
    waves = json.loads(plan.read_text("utf-8"))["waves"]
    return {m["vm"]: m["destination"] for w in waves for m in w["migrations"]}


def apply(pro: Pro, plan: Path, store: Path, url: str = FAST, *more: str) -> Any:
    """`pro apply --yes`."""
    return pro("apply", plan, "--backend", url, "--store", store, "--yes", *more)


def test_a_plan_is_carried_out_once(pro: Pro, plan: Path, store: Path) -> None:
    first = apply(pro, plan, store, FAST, "--json")
    assert first.code == 0
    assert first.json("apply/1")["moved"] == len(promised(plan))
    assert " -> " in first.err
    where = standing(pro)
    assert {vm: where[vm] for vm in promised(plan)} == promised(plan)
    again = apply(pro, plan, store, FAST, "--json")
    assert again.code == 0
    assert again.json("apply/1")["moved"] == 0
    assert standing(pro) == where


def test_what_apply_does_is_told_line_by_line(pro: Pro, store: Path, plan: Path) -> None:
    lines = [line.split("  ", 1)[1] for line in apply(pro, plan, store).err.splitlines()]
    assert len(lines) == len(set(lines))
    for m in json.loads(plan.read_text("utf-8"))["waves"][0]["migrations"]:
        assert [line.split()[0] for line in lines if f" {m['vm_name']}: " in line] == ["intent", "sent", "done"]


def test_the_store_knows_afterwards_where_vms_stand(pro: Pro, plan: Path, store: Path) -> None:
    assert apply(pro, plan, store).code == 0
    inventory = load_inventory(store)
    hosts = inventory.hosts["id"].tolist()
    noted = {vm: hosts[at] for vm, at in zip(inventory.vms["id"].tolist(), inventory.standing(), strict=True)}
    assert noted == standing(pro)
    assert {vm: noted[vm] for vm in promised(plan)} == promised(plan)


def test_status_tells_of_the_newest_run(pro: Pro, plan: Path, store: Path) -> None:
    assert apply(pro, plan, store).code == 0
    status = pro("status", "--store", store, "--json").json("status/1")
    assert (status["state"], status["interrupted"], status["driven"]) == ("done", False, False)
    assert {s["vm"] for s in status["steps"]} == set(promised(plan))
    said = pro("status", "--store", store)
    assert said.code == 0
    assert f"{len(promised(plan))} of {counted(len(promised(plan)), 'migration')} done" in said.out


def test_status_stop_and_resume_find_the_newest_apply_from_any_folder(
    pro: Pro, plan: Path, store: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert apply(pro, plan, store).code == 0
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert pro("status", "--json").json("status/1")["state"] == "done"
    assert pro("stop").out == "nothing is under way\n"
    resumed = pro("resume")
    assert resumed.code == 0
    assert resumed.out.startswith("nothing to do\n  nothing to resume: run 1 ended")


@pytest.mark.parametrize("command", ["status", "stop", "resume"])
def test_where_nothing_was_applied_there_is_nothing_to_tell(command: str, pro: Pro) -> None:
    said = pro(command)
    assert (said.code, said.out) == (1, "")
    assert "nothing was applied" in said.err


def test_without_a_yes_nothing_is_asked_for(pro: Pro, plan: Path, store: Path, home: Path) -> None:
    said = pro("apply", plan, "--backend", FAST, "--store", store)
    assert (said.code, said.out) == (4, "")
    assert "--yes" in said.err
    assert not (home / "sim.json").exists()


def test_a_stale_plan_is_refused_with_what_has_changed(pro: Pro, plan: Path, store: Path, home: Path) -> None:
    standing_before = pro("inventory", "discover", "--backend", FAST, "--store", store, "--json").json("inventory/1")
    vm, target = next(iter(promised(plan).items()))
    other = next(
        h["host"]
        for h in standing_before["hosts"]
        if h["host"] not in (target, next(v["host"] for v in standing_before["vms"] if v["vm"] == vm))
    )
    state = json.loads((home / "sim.json").read_text("utf-8"))
    (home / "sim.json").write_text(json.dumps(moved(state, vm, other)), encoding="utf-8")
    said = apply(pro, plan, store, FAST, "--json")
    assert said.code == 4
    result = said.json("apply/1")
    assert (result["state"], result["run"], result["moved"]) == ("refused", None, 0)
    assert any(vm in reason for reason in result["reasons"])
    assert standing(pro)[vm] == other


def moved(state: Any, vm: str, host: str) -> Any:
    """The simulator's state with one VM put elsewhere by somebody else."""
    state["vms"][vm]["hosts"] = [host]
    return state


def test_the_kill_switch_stops_every_apply(pro: Pro, plan: Path, store: Path) -> None:
    (store / "STOP").write_text("the auditors are here\n", encoding="utf-8")
    said = apply(pro, plan, store)
    assert said.code == 4
    assert "the auditors are here" in said.out
    (store / "STOP").unlink()
    assert apply(pro, plan, store).code == 0


def test_another_apply_at_work_is_a_refusal(pro: Pro, plan: Path, store: Path) -> None:
    from datetime import UTC, datetime

    from pro.remediation.lock import WriterLock

    with WriterLock(store / "journal.sqlite", "a test", datetime.now(UTC)):
        said = apply(pro, plan, store)
    assert said.code == 4
    assert apply(pro, plan, store).code == 0


def test_a_migration_that_fails_ends_in_part_and_harms_nothing(pro: Pro, plan: Path, store: Path) -> None:
    vm = list(promised(plan))[-1]
    before = pro("inventory", "discover", "--backend", FAST, "--store", store, "--json").json("inventory/1")
    said = apply(pro, plan, store, f"{FAST}&fault=fail,vm={vm}", "--json")
    assert said.code == 5
    result = said.json("apply/1")
    assert result["reasons"]
    home_of = {v["vm"]: v["host"] for v in before["vms"]}
    assert standing(pro)[vm] == home_of[vm]


def test_a_plan_without_migrations_is_done_at_once(pro: Pro, store: Path, home: Path) -> None:
    made = pro("plan", "--store", store, "--max-moves", 0, "-o", "none.json")
    assert made.code == 0
    said = pro("apply", "none.json", "--backend", FAST, "--store", store, "--json")
    assert said.code == 0
    assert said.json("apply/1")["moved"] == 0
