"""The journal: what was intended, asked for and seen, on disk before the next thing happens.

SQLite in WAL mode with synchronous=FULL. Every change is one transaction that moves a step or a run *and* appends to the
audit trail, a chain in which each row carries the SHA-256 of its predecessor and itself. One process writes (it holds
`lock.WriterLock`); anybody may read or ask for a stop meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.remediation.damage import look_through, undamaged
from pro.remediation.records import IN_FLIGHT, NEXT, UNFINISHED, Run, RunState, Step, StepState

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
_SCHEMA = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, plan_id TEXT NOT NULL, plan TEXT NOT NULL, backend TEXT NOT NULL, started TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT '', state TEXT NOT NULL, stop_at TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    options TEXT NOT NULL DEFAULT '{}') STRICT;
CREATE TABLE steps (
    run INTEGER NOT NULL REFERENCES runs(run), step INTEGER NOT NULL, wave INTEGER NOT NULL, vm TEXT NOT NULL,
    vm_name TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL, kind TEXT NOT NULL, expected_s REAL NOT NULL, expected_mib INTEGER NOT NULL,
    state TEXT NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, ticket TEXT NOT NULL DEFAULT '',
    vm_state TEXT NOT NULL DEFAULT '', intent_at TEXT NOT NULL DEFAULT '', ended_at TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '', seconds REAL, blackout_s REAL, mib INTEGER, PRIMARY KEY (run, step)) STRICT;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, run INTEGER NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE INDEX steps_by_vm ON steps (vm, intent_at);
"""
_STEP_COLUMNS = ", ".join(Step.__dataclass_fields__)
_RUN_COLUMNS = ", ".join(Run.__dataclass_fields__)
GENESIS = "0" * 64
_PUT_ASIDE = "move it away, and see where VMs stand (`pro inventory discover`) before you apply again: nothing is known of what was in flight"


class Journal:
    """An open journal. `path` may be ":memory:". Read-only unless `write`; the file is made when writing."""

    def __init__(self, path: Path | str, *, write: bool = False) -> None:
        self.path = Path(path)
        with undamaged(path, "the journal", _PUT_ASIDE):
            self._open(path, write=write)
            look_through(self._db)

    def _open(self, path: Path | str, *, write: bool) -> None:
        if write:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self._prepare()
        else:
            if not self.path.exists():
                raise InputError("there is no journal here; nothing has been applied", got=str(path))
            self._db = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10.0
            )
            if self._version() == 0:  # its first writer has not got round to the tables, or died before
                self._db.close()
                self._db = sqlite3.connect(":memory:", isolation_level=None)
                self._prepare()
            self._db.execute("PRAGMA query_only=ON")
            self._check_version()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        if self._version() == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")
        self._check_version()

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _check_version(self) -> None:
        found = self._version()
        if found != VERSION:
            raise InputError(
                "this journal was written by another version of PRO", got=found, expected=VERSION, where=self.path
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    def _commit(self, statements: Sequence[tuple[str, Sequence[Any]]], event: tuple[str, int, int, str, str]) -> None:
        """All of `statements` and the event that tells of them, or nothing. The only place that writes.

        Raises ValueError when a statement finds nothing to change: the caller was wrong about the present state.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                if self._db.execute(sql, values).rowcount == 0:
                    raise ValueError(
                        f"not a legal change of the journal: {event[3]} of step {event[2]} in run {event[1]}"
                    )
            row = self._db.execute("SELECT hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            self._db.execute(
                "INSERT INTO events (at, run, step, kind, text, hash) VALUES (?,?,?,?,?,?)",
                (*event, chain(row[0] if row else GENESIS, event)),
            )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def start_run(self, run: Run, steps: Sequence[Step]) -> None:
        """Write a run and all its steps, before anything is done. `run.run` comes from `next_run`."""
        marks = ",".join("?" * len(Run.__dataclass_fields__))
        rows = [(f"INSERT INTO runs ({_RUN_COLUMNS}) VALUES ({marks})", tuple(vars(run).values()))]
        marks = ",".join("?" * len(Step.__dataclass_fields__))
        rows += [(f"INSERT INTO steps ({_STEP_COLUMNS}) VALUES ({marks})", tuple(vars(s).values())) for s in steps]
        self._commit(rows, (run.started, run.run, -1, "run started", seal(run)))

    def next_run(self) -> int:
        """The number of the run to come."""
        return int(self._db.execute("SELECT COALESCE(MAX(run), 0) + 1 FROM runs").fetchone()[0])

    def change(self, step: Step, state: StepState, at: str, **fields: Any) -> None:
        """Move `step` to `state`, with new values of other columns. Raises ValueError if `state` may not follow."""
        if state not in NEXT[step.state]:
            raise ValueError(f"{state} may not follow {step.state}")
        if state not in (StepState.PENDING, *IN_FLIGHT):
            fields["ended_at"] = at
        elif state == StepState.INTENT:
            fields["intent_at"] = at
        columns = "".join(f", {name}=?" for name in fields)
        update = f"UPDATE steps SET state=?{columns} WHERE run=? AND step=? AND state=?"
        values = (state.value, *fields.values(), step.run, step.step, step.state.value)
        self._commit([(update, values)], (at, step.run, step.step, state.value, json.dumps(fields, sort_keys=True)))

    def end_run(self, run: int, state: RunState, at: str, reason: str = "") -> None:
        """Write how a run ended, or that it goes on, with RUNNING: then nobody's wish to stop it is left."""
        goes_on = state == RunState.RUNNING
        update = "UPDATE runs SET state=?, ended=?, reason=?, stop_at=CASE WHEN ? THEN '' ELSE stop_at END WHERE run=?"
        values = (state.value, "" if goes_on else at, reason, goes_on, run)
        self._commit([(update, values)], (at, run, -1, f"run {state.value}", reason))

    def ask_stop(self, run: int, at: str) -> None:
        """Ask the driver of `run` to make no new call. The one change that a process without the lock may make."""
        update = "UPDATE runs SET stop_at=? WHERE run=?"
        self._commit([(update, (at, run))], (at, run, -1, "stop asked for", ""))

    # -- reading ------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [_run(r) for r in self._db.execute(f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY run")]

    def latest(self) -> Run | None:
        """The newest run."""
        row = self._db.execute(f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        return None if row is None else _run(row)

    def unfinished(self) -> Run | None:
        """The run that has to be resumed or abandoned before anything else is applied."""
        run = self.latest()
        return run if run is not None and run.state in UNFINISHED else None

    def steps(self, run: int) -> list[Step]:
        """Steps of `run` in the plan's order."""
        rows = self._db.execute(f"SELECT {_STEP_COLUMNS} FROM steps WHERE run=? ORDER BY step", (run,))
        return [_step(r) for r in rows]

    def step(self, run: int, step: int) -> Step:
        """One step."""
        row = self._db.execute(f"SELECT {_STEP_COLUMNS} FROM steps WHERE run=? AND step=?", (run, step)).fetchone()
        return _step(row)

    def moves_since(self, at: str, vm: str | None = None) -> list[Step]:
        """Steps asked for since `at` (ISO 8601), whatever became of them, oldest first; of one VM if given."""
        only, values = ("", (at,)) if vm is None else (" AND vm=?", (at, vm))
        sql = f"SELECT {_STEP_COLUMNS} FROM steps WHERE attempt > 0 AND intent_at >= ?{only} ORDER BY intent_at"
        return [_step(r) for r in self._db.execute(sql, values)]

    def stop_asked(self, run: int) -> bool:
        """Whether somebody asked `run` to stop."""
        row = self._db.execute("SELECT stop_at FROM runs WHERE run=?", (run,)).fetchone()
        return row is not None and row[0] != ""

    def events(self, run: int | None = None) -> list[dict[str, Any]]:
        """The audit trail as rows (seq, at, run, step, kind, text, hash); of one run if given."""
        only, values = ("", ()) if run is None else (" WHERE run=?", (run,))
        rows = self._db.execute(f"SELECT seq, at, run, step, kind, text, hash FROM events{only} ORDER BY seq", values)
        return [dict(zip(("seq", "at", "run", "step", "kind", "text", "hash"), r, strict=True)) for r in rows]

    def verify(self, anchor: tuple[int, str] | None = None) -> list[str]:
        """What is wrong with the audit trail; an empty list when every row is as it was written.

        Finds rows edited, dropped or reordered, plans edited, and steps not in the state their last event says. Cutting off
        the tail shows only against an `anchor`: a (seq, hash) from `head`, kept elsewhere.
        """
        problems, previous, last = [], GENESIS, {}
        runs = {r.run: r for r in self.runs()}
        for expected, row in enumerate(self.events(), start=1):
            content = (row["at"], row["run"], row["step"], row["kind"], row["text"])
            if row["seq"] != expected:
                problems.append(f"event {expected} is missing; the next one is {row['seq']}")
                break
            if chain(previous, content) != row["hash"]:
                problems.append(f"event {row['seq']} is not what was written")
                break
            previous = row["hash"]
            last[row["run"], row["step"]] = row["kind"]
            run = runs.get(row["run"])
            if row["kind"] == "run started" and (run is None or row["text"] != seal(run)):
                problems.append(f"the plan or the backend of run {row['run']} is not what was written")
            if anchor is not None and row["seq"] == anchor[0] and row["hash"] != anchor[1]:
                problems.append(f"event {anchor[0]} is not the one that was anchored")
        if anchor is not None and self.head()[0] < anchor[0]:
            problems.append(f"the trail ends at event {self.head()[0]}, before the anchor at {anchor[0]}")
        for step in [s for r in runs for s in self.steps(r)]:
            said = last.get((step.run, step.step))
            if said is not None and said != step.state.value and not problems:
                problems.append(f"step {step.step} of run {step.run} is {step.state.value}, its last event says {said}")
        return problems

    def head(self) -> tuple[int, str]:
        """(seq, hash) of the newest event: an anchor for `verify`."""
        row = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return (0, GENESIS) if row is None else (int(row[0]), str(row[1]))


def chain(previous: str, content: Sequence[object]) -> str:
    """The hash of an event: SHA-256 over its predecessor's hash and its own content as canonical JSON."""
    body = json.dumps([previous, *content], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def seal(run: Run) -> str:
    """What the trail says of a run: enough to notice another plan in its place."""
    return f"plan {run.plan_id} ({hashlib.sha256(run.plan.encode()).hexdigest()}) on {run.backend}"


def _step(row: Sequence[Any]) -> Step:
    values = dict(zip(Step.__dataclass_fields__, row, strict=True))
    return Step(**{**values, "state": StepState(values["state"])})


def _run(row: Sequence[Any]) -> Run:
    values = dict(zip(Run.__dataclass_fields__, row, strict=True))
    return Run(**{**values, "state": RunState(values["state"])})
