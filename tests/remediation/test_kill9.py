"""Real processes, really killed. (Every moment there is: benchmarks/kill9.py; every point in simulated time: test_crashes.)"""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pro.core.files import OsLock
from pro.remediation import status
from tests.remediation.killing import Count, count, die_at, finish, kill, prepare, recover, start

if TYPE_CHECKING:
    from pathlib import Path

WAYS = ("before", "inside", "after")


def test_killed_at_every_write_of_the_journal_it_resumes_to_the_same_end(tmp_path: Path) -> None:
    counted = Count()
    for n in itertools.count(1):
        folder = tmp_path / str(n)
        prepare(folder, seed=3, speed=40.0)
        killed = die_at(folder, "apply", n, WAYS[n % 3])
        counted.kills += killed
        recover(folder)
        count(folder, counted)
        if not killed:  # it came to its end before its n-th write
            break
    assert counted.kills >= 8
    assert counted.harm == 0, counted


def test_killed_at_every_write_of_the_resume_as_well(tmp_path: Path) -> None:
    counted = Count()
    for n in range(1, 6):
        folder = tmp_path / str(n)
        prepare(folder, seed=4, faults=("lost_ack,attempt=1",))
        counted.kills += die_at(folder, "apply", 2 + n % 3, "after")
        counted.kills += die_at(folder, "resume", n, WAYS[n % 3])
        recover(folder)
        count(folder, counted)
    assert counted.kills == 10
    assert counted.harm == 0, counted


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_paused_holder_keeps_the_lock_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    prepare(tmp_path, seed=1, speed=5.0)
    holder = start("apply", tmp_path)
    wait_until_moving(tmp_path)
    pause(holder.pid, tmp_path)
    refused = finish(start("resume", tmp_path))
    assert refused["exit_code"] == 4
    assert str(holder.pid) in str(refused["reasons"])
    assert status(tmp_path / "journal.sqlite").driven
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate(timeout=60)
    assert status(tmp_path / "journal.sqlite").interrupted
    refused = finish(start("apply", tmp_path))
    assert refused["exit_code"] == 4
    assert "pro resume" in str(refused["reasons"])
    assert finish(start("resume", tmp_path))["exit_code"] == 0
    counted = Count()
    count(tmp_path, counted)
    assert counted.harm == 0, counted


def test_killed_at_a_few_moments_of_the_clock(tmp_path: Path) -> None:
    counted = Count()
    for n, moment in enumerate((0.15, 0.3, 0.5)):
        folder = tmp_path / str(n)
        prepare(folder, seed=n, speed=30.0, faults=("slow,attempt=0",))
        victim = start("apply", folder)
        wait_until_moving(folder)
        time.sleep(moment)
        kill(victim)
        counted.kills += 1
        recover(folder)
        count(folder, counted)
    assert counted.kills == 3
    assert counted.harm == 0, counted


def pause(pid: int, folder: Path) -> None:
    """Stop a process, but not in the few milliseconds in which it holds the simulator: that would stop the estate itself."""
    estate = OsLock(folder / "state.json.lock")
    for _ in range(1000):
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        if estate.try_acquire():
            estate.release()
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.003)
    raise AssertionError("the process never lets go of the simulator")


def wait_until_moving(folder: Path) -> None:
    """Until the journal says that something is under way."""
    for _ in range(1000):
        now = status(folder / "journal.sqlite") if (folder / "journal.sqlite").exists() else None
        if now is not None and now.in_flight:
            return
        time.sleep(0.02)
    raise AssertionError("nothing was begun")
