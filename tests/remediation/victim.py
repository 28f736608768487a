"""A process that applies or resumes a plan and may kill itself, for real, at the n-th transaction of the journal.

    victim.py apply|resume FOLDER [--die N] [--after]

FOLDER holds plan.json, and state.json of the simulator. `--die`: SIGKILL (on Windows TerminateProcess) before the n-th
transaction is begun; with `--after`, after it is on disk; with `--inside`, while it is open.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pro.backends import open_backend
from pro.core.clock import SystemClock
from pro.planning.io import loads
from pro.remediation import ApplyResult, Limits, apply, resume
from pro.remediation.journal import Journal

LIMITS = Limits(concurrent=2, per_host=2, poll_s=0.02, settle_s=0.05, grace_s=20.0, attempts=9)


def die() -> None:
    """End at once, with nothing cleaned up."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def arm(at: int, when: str) -> None:
    """Make the journal kill this process at its `at`-th transaction."""
    commit, counted = Journal._commit, [0]

    def deadly(self: Journal, statements: Any, event: Any) -> None:
        counted[0] += 1
        if counted[0] == at and when == "before":
            die()
        if counted[0] == at and when == "inside":
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(*statements[0])
            die()
        commit(self, statements, event)
        if counted[0] == at and when == "after":
            die()

    Journal._commit = deadly  # type: ignore[method-assign]


def go(verb: str, folder: Path) -> ApplyResult:
    """Apply, or resume."""
    clock = SystemClock()
    backend = open_backend(f"simulated:{folder / 'state.json'}", clock=clock)
    journal = folder / "journal.sqlite"
    if verb == "apply":
        return apply(loads((folder / "plan.json").read_text()), backend, journal, clock=clock, limits=LIMITS)
    return resume(backend, journal, clock=clock, limits=LIMITS)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("apply", "resume"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die", type=int, default=0)
    parser.add_argument("--when", choices=("before", "inside", "after"), default="before")
    options = parser.parse_args()
    if options.die:
        arm(options.die, options.when)
    result = go(options.verb, options.folder)
    print(json.dumps(result.to_json()))
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
