"""A test tip goes the whole way and moves nothing; what stops it is told, and neither it nor a watch trips over the other."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pro.actions.watchers import alone, answer_knock
from pro.core.clock import SystemClock
from pro.fleet.archive import load_inventory
from pro.remediation import status
from tests.cli.test_watch import CONTRACT, FAST, look, tips, world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro


def rehearse(pro: Pro, store: Path, *more: object, code: int = 0) -> Any:
    """`pro tips test --json`."""
    said = pro("tips", "test", "--json", "--backend", FAST, "--store", store, "--as", "ann", *more)
    assert said.code == code, said.err
    found = said.json("tips-test/1")
    assert found["exit_code"] == code
    return found


def test_it_is_raised_approved_carried_out_and_closed_and_nothing_moves(pro: Pro, past: Path) -> None:
    inventory = load_inventory(past)
    hosts = inventory.hosts["id"].tolist()
    before = {vm: [hosts[h]] for vm, h in zip(inventory.vms["id"], inventory.standing(), strict=True)}
    found = rehearse(pro, past)
    assert [h["after"] for h in found["tip"]["history"]] == ["new", "approved", "running", "resolved"]
    assert found["tip"]["title"].startswith("TEST")
    assert found["tip"]["approver"] == "ann"
    assert found["applied"]["run"] is None
    assert found["backend"] == {"url": found["backend"]["url"], "hosts": 6, "vms": 30, "ticket": "unknown"}
    assert {v["vm"]: v["hosts"] for v in world(pro)["vms"]} == before
    assert status(past / "journal.sqlite") is None
    assert tips(pro, past) == {}
    assert [t["state"] for t in tips(pro, past, "--all").values()] == ["resolved"]


def test_every_gate_is_asked_and_says_why(pro: Pro, past: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = {g["gate"]: g for g in rehearse(pro, past)["gates"]}
    assert "is the collector dead?" in without.pop("fresh counters")["reason"], "they are years old"
    assert {g for g, said in without.items() if not said["alone"]} == {"kill switch", "other balancer"}
    assert {g for g, said in without.items() if not said["allowed"]} == {"contract"}
    assert "no contract" in without["contract"]["reason"]
    path = home / "contract.toml"
    path.write_text(CONTRACT.format(moves=20), encoding="utf-8")
    monkeypatch.setenv("PRO__APPLY__COUNTERS_MINUTES", "1e9")
    assert all(g["allowed"] for g in rehearse(pro, past, "--contract", path)["gates"])
    path.write_text(CONTRACT.format(moves=20).replace("balance", "consolidate"), encoding="utf-8")
    refused = [g for g in rehearse(pro, past, "--contract", path)["gates"] if not g["allowed"]]
    assert [g["reason"] for g in refused] == ["the goal balance is not in the contract"]


def test_with_the_kill_switch_thrown_it_fails_and_says_so(pro: Pro, past: Path) -> None:
    (past / "STOP").write_text("maintenance\n", encoding="utf-8")
    found = rehearse(pro, past, code=4)
    assert found["tip"]["state"] == "failed"
    assert "maintenance" in found["tip"]["reason"]


def test_while_an_apply_is_at_work_it_fails_and_says_so(pro: Pro, past: Path) -> None:
    from pro.remediation.lock import WriterLock

    with WriterLock(past / "journal.sqlite", "apply of plan abc", SystemClock().now()):
        found = rehearse(pro, past, code=4)
    assert found["tip"]["state"] == "failed"
    assert "apply of plan abc" in found["tip"]["reason"]


def test_without_a_backend_it_asks_for_one_and_then_knows_the_watch_s(pro: Pro, past: Path) -> None:
    said = pro("tips", "test", "--store", past)
    assert (said.code, said.out) == (1, "")
    assert "--backend" in said.err
    assert pro("watch", "--once", "--backend", FAST, "--store", past).code == 0
    said = pro("tips", "test", "--store", past)
    assert said.code == 0
    assert "nothing was moved" in said.out
    assert "none is at work" in said.out


def test_a_backend_that_fails_closes_the_tip_as_failed(pro: Pro, past: Path) -> None:
    said = pro("tips", "test", "--store", past, "--backend", "carrier-pigeon:coop")
    assert (said.code, said.out) == (1, "")
    (tip,) = tips(pro, past, "--all").values()
    assert tip["state"] == "failed"
    assert "carrier-pigeon" in tip["reason"]


@pytest.mark.parametrize(("answers", "state"), [(True, "answers"), (False, "busy")])
def test_a_watch_at_work_is_asked_for_a_sign_of_life_and_not_for_a_look(
    pro: Pro, past: Path, monkeypatch: pytest.MonkeyPatch, answers: bool, state: str
) -> None:
    monkeypatch.setattr("pro.actions.rehearsal.ANSWER_S", 30.0 if answers else 0.1)
    lock, over = alone(past), threading.Event()
    assert lock is not None

    def watcher() -> None:
        while answers and not over.is_set():
            answer_knock(past)
            time.sleep(0.01)

    waits = threading.Thread(target=watcher)
    waits.start()
    try:
        assert rehearse(pro, past)["watch"]["state"] == state
    finally:
        over.set()
        waits.join()
        lock.release()
    assert not (past / ".wake").exists()
    assert not (past / ".knock").exists()


def test_what_killed_tests_left_a_watch_leaves_alone_and_the_next_test_closes(pro: Pro, past: Path) -> None:
    left = {rehearse(pro, past)["tip"]["id"]: state for state in ("new", "approved", "running")}
    with sqlite3.connect(past / "tips.sqlite") as book:
        book.executemany("UPDATE tips SET state=? WHERE id=?", [(state, number) for number, state in left.items()])
    book.close()
    done = look(pro, past)
    assert done["applied"] == []
    assert not left.keys() & {*done["cleared"], *done["expired"]}
    assert {n: tips(pro, past)[n]["state"] for n in left} == left
    assert rehearse(pro, past)["tip"]["state"] == "resolved"
    assert {tips(pro, past, "--all")[n]["state"] for n in left} == {"failed"}


def test_hostile_words_stay_words(pro: Pro, past: Path) -> None:
    said = pro("tips", "test", "--backend", FAST, "--store", past, "--as", "\x1b[2J=cmd|' /C calc'!A0")
    assert said.code == 0
    assert "\x1b" not in said.out + pro("tips", "show", "1", "--store", past).out
