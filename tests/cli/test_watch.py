"""The hook: what it takes in, when it acts alone, when it asks, and that it may be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pro.actions.alone import cooling, gates_of, measured_hot
from pro.actions.watchers import alone, woken
from pro.actions.watching import Watch
from pro.config import load
from pro.fleet.entities import entity_of
from pro.remediation import status
from pro.remediation.contract import parse_contract
from pro.remediation.gates import moves_since
from pro.remediation.journal import Journal
from pro.remediation.records import RunState
from pro.workflow import policy_of, recommend
from tests.small import split

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.cli.conftest import Pro
    from tests.small import Estate

FAST = "simulated:sim.json?speed=10000"
CONTRACT = """
schema = "contract/1"
goals = ["balance", "repair"]
max_moves = {moves}
max_gib = 1000
max_blackout_s = 60
min_probability = 0.1
window = "always"
"""


@pytest.fixture
def inbox(home: Path) -> Path:
    """An empty inbox."""
    folder = home / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def contract(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A contract that allows what the small estate needs, of which a large part is hot, and whose counters are years old."""
    monkeypatch.setenv("PRO__APPLY__MOST_HOT", "1")
    monkeypatch.setenv("PRO__APPLY__PER_DAY", "60")
    monkeypatch.setenv("PRO__APPLY__COUNTERS_MINUTES", "1e9")
    path = home / "contract.toml"
    path.write_text(CONTRACT.format(moves=20), encoding="utf-8")
    return path


@pytest.fixture
def refusing(home: Path) -> Path:
    """A contract that allows one migration at most."""
    path = home / "refusing.toml"
    path.write_text(CONTRACT.format(moves=1), encoding="utf-8")
    return path


def look(pro: Pro, store: Path, *more: object, code: int = 0) -> Any:
    """`pro watch --once --json`."""
    said = pro("watch", "--once", "--json", "--backend", FAST, "--store", store, *more)
    assert said.code == code
    return said.json("watch/1")


def tips(pro: Pro, store: Path, *more: str) -> dict[int, Any]:
    """Tips by number."""
    return {t["id"]: t for t in pro("tips", "list", "--store", store, "--json", *more).json("tips/1")["tips"]}


def planned(found: Iterable[Any]) -> int:
    """The newest tip that has a plan to approve."""
    return max(t["id"] for t in found if t["plan_id"])


def _drop(body: Any, name: str) -> None:
    """Take everything about `name` out of a document."""
    if isinstance(body, dict):
        body.pop(name, None)
        for value in body.values():
            _drop(value, name)
    elif isinstance(body, list):
        body[:] = [x for x in body if x != name and not (isinstance(x, dict) and name in (x.get("vm"), x.get("id")))]
        for value in body:
            _drop(value, name)


def test_without_a_contract_it_raises_tips_and_moves_nothing(pro: Pro, past: Path) -> None:
    done = look(pro, past)
    assert done["migrations"] > 0
    assert done["applied"] == []
    assert any("no contract" in why for why in done["asked"])
    assert {t["state"] for t in done["tips"]} == {"new"}
    again = look(pro, past)
    assert [t["id"] for t in again["tips"]] == [t["id"] for t in done["tips"]]


def test_a_new_file_is_taken_in_once_and_left_where_it_is(pro: Pro, past: Path, small: Estate, inbox: Path) -> None:
    _, late = split(small, inbox.parent / "parts")
    first = look(pro, past, "--inbox", inbox)
    assert first["ingested"]["read"] == 0
    shutil.copy(late, inbox / "day.csv")
    second = look(pro, past, "--inbox", inbox)
    assert second["ingested"]["kept"] > 1000
    assert second["now"] > first["now"]
    third = look(pro, past, "--inbox", inbox)
    assert third["ingested"]["read"] == 0
    assert (inbox / "day.csv").exists()


def test_a_broken_file_is_told_of_and_does_not_stop_the_rest(pro: Pro, past: Path, small: Estate, inbox: Path) -> None:
    _, late = split(small, inbox.parent / "parts")
    (inbox / "a.csv").write_bytes(b"\x00\x01 this is no counter file")
    (inbox / "half.csv.part").write_text("still being written", encoding="utf-8")
    shutil.copy(late, inbox / "b.csv")
    done = look(pro, past, "--inbox", inbox)
    assert done["ingested"]["kept"] > 1000
    assert len(done["left"]) == 1
    assert "a.csv" in done["left"][0]
    assert look(pro, past, "--inbox", inbox)["left"] == []


def test_within_the_contract_it_acts_alone_and_only_once_on_the_same_counters(
    pro: Pro, past: Path, contract: Path
) -> None:
    done = look(pro, past, "--contract", contract)
    assert [a["state"] for a in done["applied"]] == ["done"], done["asked"]
    assert done["applied"][0]["moved"] == done["migrations"]
    assert {t["state"] for t in tips(pro, past, "--all").values()} >= {"resolved"}
    again = look(pro, past, "--contract", contract)
    assert again["applied"] == []
    assert again["migrations"] == 0 or any("newer" in why for why in again["asked"])


def test_beyond_the_contract_it_asks(pro: Pro, past: Path, refusing: Path) -> None:
    done = look(pro, past, "--contract", refusing)
    assert done["applied"] == []
    assert any("the contract allows 1" in why for why in done["asked"])
    assert {t["state"] for t in done["tips"]} == {"new"}


def test_counters_of_a_dead_collector_are_not_acted_on_alone(
    pro: Pro, past: Path, contract: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRO__APPLY__COUNTERS_MINUTES")
    done = look(pro, past, "--contract", contract)
    assert done["applied"] == []
    assert any("is the collector dead?" in why for why in done["asked"])


def test_before_it_acts_alone_every_gate_is_asked_with_what_was_seen(
    past: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many hosts are measured hot, when heat begins, by how much rules are mended, how VMs rest."""
    monkeypatch.setenv("PRO__APPLY__COOLDOWN_MINUTES", "77")
    monkeypatch.setenv("PRO__APPLY__LONGEST_MINUTES", "777")
    config = load(None)
    contract = parse_contract({"schema": "contract/1", "goals": ["balance"], "max_moves": 9, "max_gib": 99, "max_blackout_s": 9,
                               "min_probability": 0.1, "window": "always"}, "here")  # fmt: skip
    watch = Watch(past, None, FAST, contract, config)
    found = recommend(past, config, policy_of(config, seconds=2.0))
    gates: dict[str, Any] = {gate.name: gate for gate in gates_of(watch, found)}
    assert set(gates) == {
        "kill switch", "contract", "fresh counters", "hold when too much is hot", "later heat", "move budget", "cooldown", "freshness",
        "other balancer", "circuit breaker",
    }  # fmt: skip
    fleet, at = found.outlook.fleet, found.outlook.now
    cpu = fleet.resources.index("cpu")
    grid = found.outlook.history["cpu_pct"]
    vm = entity_of(fleet, grid.entities).vm
    used = np.zeros((fleet.n_hosts, 3))
    for e, v in enumerate(vm.tolist()):
        if v >= 0:
            used[fleet.host_of[v]] += np.nan_to_num(grid.values[e, -3:]) / 100 * fleet.cpu_cap_mhz[v]
    used += found.outlook.demand.base[:, cpu, :1]
    measured = int((used > config.heat.threshold * fleet.capacity[:, cpu, None]).all(axis=1).sum())
    assert gates["fresh counters"].newest == gates["later heat"].now == at
    assert gates["hold when too much is hot"].hot_hosts == gates["later heat"].measured == measured
    assert gates["later heat"].starts == min(h.starts for h in found.outlook.hotspots)
    assert gates["later heat"].broken == sum(v.amount for v in found.broken) - sum(
        v["amount"] for v in found.plan.violations if not v.get("preference")
    )
    assert gates["later heat"].broken > 0
    rests = gates["cooldown"].rules
    assert (rests.cooldown_minutes, rests.longest_minutes) == (77, 777)
    low = config.model_copy(update={"heat": config.heat.model_copy(update={"threshold": 0.05})})
    hot = measured_hot(found.outlook, low)
    assert hot
    assert found.outlook.readiness is not None
    blind = replace(found.outlook.readiness, blind=dict.fromkeys(fleet.hosts))
    unseen = replace(found.outlook, readiness=blind)
    assert measured_hot(unseen, low) == []
    packs = replace(watch, config=low, goal="consolidate")
    only = cooling(packs, replace(found.outlook, hotspots=())).fleet
    stands = np.array([fleet.hosts[h] in hot for h in fleet.host_of.tolist()])
    np.testing.assert_array_equal(only.movable, fleet.movable & stands)
    assert cooling(packs, unseen) is unseen
    assert cooling(replace(packs, goal="balance"), found.outlook) is found.outlook


def test_what_moved_lately_rests_and_is_planned_around(
    pro: Pro, past: Path, contract: Path, small: Estate, inbox: Path
) -> None:
    """The next day's counters ask for other migrations; nobody moves twice, and no plan is refused because somebody would."""
    _, late = split(small, inbox.parent / "parts")
    first = look(pro, past, "--contract", contract)
    assert [a["state"] for a in first["applied"]] == ["done"], first["asked"]
    shutil.copy(late, inbox / "day.csv")
    second = look(pro, past, "--contract", contract, "--inbox", inbox)
    moved: dict[int, set[str]] = {}
    for step in moves_since(past / "journal.sqlite", datetime(2000, 1, 1, tzinfo=UTC)):
        moved.setdefault(step.run, set()).add(step.vm)
    assert second["now"] > first["now"]
    assert second["migrations"] > 0
    assert [a["state"] for a in second["applied"]] == ["done"], second["asked"]
    assert len(moved) == 2
    assert not set.intersection(*moved.values())


def test_it_plans_with_what_is_left_of_the_day_and_asks_when_that_is_spent(
    pro: Pro, past: Path, contract: Path, monkeypatch: pytest.MonkeyPatch, small: Estate, inbox: Path
) -> None:
    monkeypatch.setenv("PRO__APPLY__PER_DAY", "2")
    wanted = look(pro, past)
    assert wanted["migrations"] > 2
    first = look(pro, past, "--contract", contract)
    assert [(a["state"], a["moved"]) for a in first["applied"]] == [("done", 2)], first["asked"]
    _, late = split(small, inbox.parent / "parts")
    shutil.copy(late, inbox / "day.csv")
    second = look(pro, past, "--contract", contract, "--inbox", inbox)
    assert second["applied"] == []
    assert any("migrations in 24 hours, the budget is 2" in why for why in second["asked"])
    assert "new" in {t["state"] for t in second["tips"]}


def test_what_a_person_dismissed_is_not_done_alone(pro: Pro, past: Path, contract: Path) -> None:
    """Other tips of the plan may be good, but who said no knows something: a person has to approve."""
    first = look(pro, past)
    refused = first["tips"][0]["id"]
    assert pro("tips", "dismiss", refused, "--reason", "known batch", "--store", past).code == 0
    done = look(pro, past, "--contract", contract)
    assert done["applied"] == []
    assert f"tip {refused} was dismissed: a person has to approve what else is to be moved" in done["asked"]
    assert pro("tips", "approve", planned(done["tips"]), "--store", past, "--as", "ann").code == 0
    (applied,) = look(pro, past, "--contract", contract)["applied"]
    assert applied["state"] == "done"
    assert tips(pro, past, "--all")[refused]["state"] == "dismissed"


def test_a_look_warns_of_what_a_plan_warns_of(pro: Pro, past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO__FORECAST__HISTORY_DAYS", "30")
    said = pro("plan", "--store", past).err.splitlines()
    warned = {line.removeprefix("warning: ") for line in said if line.startswith("warning: ")}
    assert warned
    assert warned <= set(look(pro, past)["warnings"])


def test_what_a_person_stopped_waits_for_a_person(pro: Pro, past: Path, contract: Path) -> None:
    """Neither approvals nor a contract begin again what somebody stopped; resumed or applied by a person it goes on."""
    number = planned(look(pro, past)["tips"])
    assert pro("tips", "approve", number, "-o", "a.json", "--store", past).code == 0
    begun = pro("apply", "a.json", "--backend", FAST, "--store", past, "--yes")
    assert begun.code == 0
    with Journal(past / "journal.sqlite", write=True) as journal:
        run = journal.latest()
        assert run is not None
        journal.ask_stop(run.run, "2026-01-01T00:00:00.000+00:00")
        journal.end_run(run.run, RunState.STOPPED, "2026-01-01T00:00:00.000+00:00", "")
    done = look(pro, past, "--contract", contract)
    assert done["applied"] == []
    assert any("a person stopped run 1" in why for why in done["asked"])


def test_what_was_approved_and_applied_by_hand_is_closed_as_applied(pro: Pro, past: Path) -> None:
    number = planned(look(pro, past)["tips"])
    assert pro("tips", "approve", number, "-o", "a.json", "--store", past).code == 0
    assert pro("apply", "a.json", "--backend", FAST, "--store", past, "--yes").code == 0
    done = look(pro, past)
    assert done["applied"] == []
    assert tips(pro, past, "--all")[number]["state"] == "resolved"


def test_a_vm_that_is_gone_from_the_backend_is_left_out_and_said(pro: Pro, past: Path, home: Path) -> None:
    first = look(pro, past)
    wanted = json.loads(pro("plan", "--store", past, "--json").out)
    gone = wanted["waves"][0]["migrations"][0]["vm"]
    simulated = json.loads((home / "sim.json").read_text("utf-8"))
    text = json.dumps(simulated)
    assert gone in text
    _drop(simulated, gone)
    (home / "sim.json").write_text(json.dumps(simulated), encoding="utf-8")
    said = pro("watch", "--once", "--json", "--backend", FAST, "--store", past)
    (warning,) = [w for w in said.json("watch/1")["warnings"] if w.startswith("not on the backend: ")]
    assert warning not in said.err
    number = planned(said.json("watch/1")["tips"])
    assert first["migrations"] > 0
    assert pro("tips", "approve", number, "--store", past).code == 0
    again = pro("watch", "--once", "--json", "--backend", FAST, "--store", past).json("watch/1")
    assert [(a["state"], a["reasons"]) for a in again["applied"]] == [("done", [])]


def test_an_interrupted_run_waits_while_the_kill_switch_is_thrown(pro: Pro, past: Path) -> None:
    look(pro, past)
    number = planned(tips(pro, past).values())
    assert pro("tips", "approve", number, "-o", "a.json", "--store", past).code == 0
    assert pro("apply", "a.json", "--backend", FAST, "--store", past, "--yes").code == 0
    with Journal(past / "journal.sqlite", write=True) as journal:
        run = journal.latest()
        assert run is not None
        journal.end_run(run.run, RunState.RUNNING, "2026-01-01T00:00:00.000+00:00", "")
    (past / "STOP").write_text("not today", encoding="utf-8")
    resumed = pro("resume", "--store", past)
    assert resumed.code == 4
    assert "not today" in resumed.out + resumed.err
    done = look(pro, past)
    assert done["resumed"] is None
    assert any("waits: the kill switch" in why for why in done["asked"])
    (past / "STOP").unlink()
    assert pro("resume", "--store", past).code == 0


def test_the_kill_switch_counts_for_the_contract_too(pro: Pro, past: Path, contract: Path) -> None:
    (past / "STOP").write_text("not today\n", encoding="utf-8")
    done = look(pro, past, "--contract", contract)
    assert all(a["run"] is None for a in done["applied"])
    (past / "STOP").unlink()
    assert [a["state"] for a in look(pro, past, "--contract", contract)["applied"]] == ["done"]


def test_what_a_person_approved_is_carried_out_at_the_next_look(pro: Pro, past: Path) -> None:
    number = planned(look(pro, past)["tips"])
    assert pro("tips", "approve", number, "--store", past, "--as", "ann").code == 0
    done = look(pro, past)
    assert [a["state"] for a in done["applied"]] == ["done"]
    assert tips(pro, past, "--all")[number]["state"] == "resolved"
    assert tips(pro, past, "--all")[number]["approver"] == "ann"


def test_an_approval_that_waited_too_long_has_expired(pro: Pro, past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO__APPLY__EXPIRES_MINUTES", "1")
    number = planned(look(pro, past)["tips"])
    assert pro("tips", "approve", number, "--store", past).code == 0
    book = sqlite3.connect(past / "tips.sqlite", isolation_level=None)
    book.execute("UPDATE tips SET updated = '2024-01-01T00:00:00+00:00' WHERE state = 'approved'")
    book.close()
    done = look(pro, past)
    assert number in done["expired"]
    assert done["applied"] == []


def test_two_watchers_of_one_store_are_one_too_many(pro: Pro, past: Path) -> None:
    lock = alone(past)
    assert lock is not None
    try:
        said = pro("watch", "--once", "--backend", FAST, "--store", past)
        assert (said.code, said.out) == (4, "")
        assert "another" in said.err
    finally:
        lock.release()
    assert pro("watch", "--once", "--backend", FAST, "--store", past).code == 0


def test_an_alert_brings_a_look_at_once(pro: Pro, past: Path) -> None:
    alert = "5f3a7c1e-0000-4000-8000-2b1d9e8f7a60"
    done = pro("hook", "--alert-id", alert, "--backend", FAST, "--store", past, "--json").json("watch/1")
    assert done["cause"] == f"alert {alert}"
    assert done["tips"]


def test_an_alert_wakes_the_watch_that_is_at_work(pro: Pro, past: Path) -> None:
    lock = alone(past)
    assert lock is not None
    try:
        said = pro("hook", "--alert-id", "abc-1", "--store", past, "--json")
        assert said.json("hook/1")["woken"] is True
    finally:
        lock.release()
    assert woken(past) == "alert abc-1"
    assert woken(past) is None


def test_an_alert_names_nothing_but_itself_once_a_watch_has_run(pro: Pro, past: Path) -> None:
    before = pro("hook", "--alert-id", "abc-1", "--store", past)
    assert before.code == 1
    assert "--backend" in before.err
    assert pro("watch", "--once", "--backend", FAST, "--store", past).code == 0
    done = pro("hook", "--alert-id", "abc-1", "--store", past, "--json").json("watch/1")
    assert done["cause"] == "alert abc-1"


@pytest.mark.parametrize(
    "alert", ["", "*", "'; Remove-VM -Force", "=1+1", "a\nb", "x" * 65, "../../etc", "$(reboot)", "\u2019"]
)
def test_an_alert_id_that_is_none_is_a_usage_error(alert: str, pro: Pro, past: Path) -> None:
    said = pro("hook", "--alert-id", alert, "--backend", FAST, "--store", past)
    assert (said.code, said.out) == (2, "")
    assert not (past / "tips.sqlite").exists()


def test_an_inbox_that_is_none_is_an_error(pro: Pro, past: Path, home: Path) -> None:
    said = pro("watch", "--once", "--backend", FAST, "--store", past, "--inbox", "no-such-folder")
    assert (said.code, said.out) == (1, "")
    assert "no-such-folder" in said.err


def test_people_read_what_a_look_did(pro: Pro, past: Path) -> None:
    said = pro("watch", "--once", "--backend", FAST, "--store", past)
    assert "hotspots" in said.out
    assert "tip 1" in said.out
    assert "not applied alone" in said.out


def test_killed_while_it_applies_the_next_look_takes_the_run_up(pro: Pro, past: Path, contract: Path) -> None:
    slow = "simulated:sim.json?speed=6"
    words = ["watch", "--once", "--backend", slow, "--store", str(past), "--contract", str(contract)]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "pro", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        until_moving(past / "journal.sqlite")
    finally:
        watcher.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        watcher.wait()
    begun = status(past / "journal.sqlite")
    assert begun is not None
    assert begun.interrupted
    assert "running" in {t["state"] for t in tips(pro, past).values()}
    done = look(pro, past, "--contract", contract)
    assert done["resumed"]["state"] == "done"
    assert done["applied"] == []
    assert "resolved" in {t["state"] for t in tips(pro, past, "--all").values()}
    where = {v["vm"]: v["hosts"] for v in world(pro)["vms"]}
    assert all(len(hosts) == 1 for hosts in where.values())
    assert all(where[s.vm] == [s.destination] for s in begun.steps)


def test_killed_before_it_applies_the_next_look_begins_anew(pro: Pro, past: Path, contract: Path) -> None:
    assert look(pro, past)["tips"]
    book = sqlite3.connect(past / "tips.sqlite", isolation_level=None)
    book.execute("UPDATE tips SET state = 'auto'")
    book.close()
    done = look(pro, past, "--contract", contract)
    assert [a["state"] for a in done["applied"]] == ["done"]
    states = [t["state"] for t in tips(pro, past, "--all").values()]
    assert "failed" in states
    assert "auto" not in states


def test_a_look_that_fails_does_not_end_the_watch(past: Path, home: Path) -> None:
    words = ["watch", "--every", "1s", "--backend", FAST, "--store", str(past), "--inbox", str(home / "late")]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "pro", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )  # fmt: skip
    assert watcher.stderr is not None
    assert watcher.stdout is not None
    try:
        line = next(line for line in watcher.stderr if "this look failed" in line)
        (home / "late").mkdir()
        report = watcher.stdout.readline()
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()
        watcher.stderr.close()
    assert "late" in line
    assert "hotspots" in report


def world(pro: Pro) -> Any:
    """Where VMs stand."""
    return pro("inventory", "discover", "--backend", FAST, "--json").json("inventory/1")


def until_moving(journal: Path) -> None:
    """Wait until a migration is under way."""
    for _ in range(1200):
        found = status(journal)
        if found is not None and found.in_flight:
            return
        time.sleep(0.05)
    raise AssertionError("no migration was begun")


def test_a_ledger_that_is_torn_is_named(pro: Pro, past: Path, inbox: Path) -> None:
    (past / "watch.json").write_text("{", encoding="utf-8")
    said = pro("watch", "--once", "--backend", FAST, "--store", past, "--inbox", inbox)
    assert (said.code, said.out) == (1, "")
    assert "watch.json" in said.err
    (past / "watch.json").write_text(json.dumps([1]), encoding="utf-8")
    assert pro("watch", "--once", "--backend", FAST, "--store", past, "--inbox", inbox).code == 1
