"""Set up an estate on disk, kill real processes that apply a plan to it, and count what must not happen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pro.backends import open_backend
from pro.core.clock import SystemClock
from pro.planning.io import dumps, loads
from pro.remediation.journal import Journal
from tests.remediation import victim
from tests.remediation.estate import final, random_case

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("victim.py")


@dataclass
class Count:
    """What happened to VMs, and how often the process was killed."""

    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    twice: int = 0
    misplaced: int = 0
    unfinished: int = 0
    second_apply_moves: int = 0
    broken_trails: int = 0

    @property
    def harm(self) -> int:
        """Everything that must be 0."""
        return sum(v for k, v in vars(self).items() if k != "kills")


def prepare(folder: Path, seed: int, *, speed: float = 20.0, faults: Sequence[str] = ()) -> None:
    """A plan and a simulator in `folder`. Migrations of about 4 s, `speed` times as fast."""
    folder.mkdir(parents=True, exist_ok=True)
    seen, plan = random_case(seed, waves=2)
    (folder / "plan.json").write_text(dumps(plan))
    (folder / "final.json").write_text(json.dumps(final(plan, seen)))
    query = "&".join([f"speed={speed:g}&overhead_s=2&jitter=0.5&seed={seed}", *(f"fault={f}" for f in faults)])
    open_backend(f"simulated:{folder / 'state.json'}?{query}", world=seen, clock=SystemClock())


def start(verb: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A process that applies or resumes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(VICTIM), verb, str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    """The result the process printed."""
    out, errors = process.communicate(timeout=120)
    assert out, errors
    return dict(json.loads(out))


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and nothing of it left."""
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate(timeout=60)


def die_at(folder: Path, verb: str, at: int, when: str) -> bool:
    """Run `verb` in a process of its own that kills itself at the `at`-th transaction; whether it came to that.

    A fork where there is one: as real a process, without the second that a new interpreter takes.
    """
    if not hasattr(os, "fork"):
        process = start(verb, folder, "--die", str(at), "--when", when)
        process.communicate(timeout=60)
        return process.returncode != 0
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            victim.arm(at, when)
            victim.go(verb, folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_after(folder: Path, verb: str, seconds: float) -> bool:
    """Run `verb` in a process of its own and kill it after `seconds`; whether it was still at work by then."""
    if not hasattr(os, "fork"):
        process = start(verb, folder)
        time.sleep(seconds + 0.5)
        working = process.poll() is None
        kill(process)
        return working
    child = os.fork()
    if child == 0:
        try:
            victim.go(verb, folder)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def recover(folder: Path) -> None:
    """What a person does after a crash: resume if there is a run, else apply."""
    victim.go("resume" if has_begun(folder) else "apply", folder)


def has_begun(folder: Path) -> bool:
    """Whether the journal knows of a run."""
    journal = folder / "journal.sqlite"
    if not journal.exists():
        return False
    with Journal(journal, write=True) as book:
        return book.latest() is not None


def count(folder: Path, counted: Count) -> None:
    """Look at what is on disk after recovery, apply once more, and add to `counted`."""
    plan = loads((folder / "plan.json").read_text())
    backend = open_backend(f"simulated:{folder / 'state.json'}", clock=SystemClock())
    world = backend.inventory()
    state = json.loads((folder / "state.json").read_text())
    seen = {vm: v.hosts for vm, v in world.vms.items()}
    expected = json.loads((folder / "final.json").read_text())
    counted.lost += sum(not seen.get(vm) for vm in expected)
    counted.duplicated += sum(len(hosts) > 1 for hosts in seen.values())
    counted.misplaced += sum(seen.get(vm) != (host,) for vm, host in expected.items())
    moves = [(h["vm"], h["destination"]) for h in state["history"] if h["by"] == "migration"]
    counted.twice += len(moves) - len(set(moves))
    counted.unfinished += len({(m.vm, m.destination) for m in plan.migrations} - set(moves))
    again = victim.go("apply", folder)
    counted.second_apply_moves += again.moved + (again.exit_code != 0)
    with Journal(folder / "journal.sqlite") as book:
        counted.broken_trails += len(book.verify())
