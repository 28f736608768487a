"""The tip book: tips in SQLite, their lives, and who decided what.

There is one plan per cluster, and tips are views of it: approving one approves the plan, and with it every tip that shows
it. The rules, in one place:

- One active tip per trouble (`Tip.key`). A tip nobody has decided on follows the newest plan while that does the same
  moves; when the moves change it is SUPERSEDED by a new tip, so that a tip's number always means the same moves.
- A tip that is approved, or running, is left alone until it expires or ends: what was approved is what is done.
- A dismissed tip keeps its trouble quiet for `quiet_h` hours, unless it becomes more severe. A contract does not approve its
  plan through another of its tips; a person may, and should be told of it, for a plan is carried out whole.
- A tip is a view of a plan only if some of it is for the tip's trouble (`tip.parts`); else there is nothing to approve.
- Whatever may not happen raises TipRefusedError with the reason; a number that no tip has is an InputError.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.planning.io import dumps, loads
from pro.remediation.damage import look_through, undamaged
from pro.remediation.gates import stamp
from pro.remediation.tip import (
    ACTIVE,
    DECIDED,
    NEXT,
    SEVERITIES,
    Concern,
    Part,
    Tip,
    TipRefusedError,
    TipState,
    action_of,
    cost_of,
    moves_of,
    of_hotspot,
    of_test,
    parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pro.heat.hotspot import Hotspot
    from pro.planning.plan import Plan

VERSION = 1
_SCHEMA = """
CREATE TABLE tips (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL, host TEXT NOT NULL,
    cluster TEXT NOT NULL, title TEXT NOT NULL, problem TEXT NOT NULL, action TEXT NOT NULL, cost TEXT NOT NULL,
    ignored TEXT NOT NULL, probability REAL NOT NULL, plan_id TEXT NOT NULL, created TEXT NOT NULL,
    updated TEXT NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL, approver TEXT NOT NULL) STRICT;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY, tip INTEGER NOT NULL, at TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
    who TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE plans (id TEXT PRIMARY KEY, plan TEXT NOT NULL) STRICT;
CREATE INDEX tips_by_key ON tips (key, state);
"""
_COLUMNS = ", ".join(Tip.__dataclass_fields__)


class TipBook:
    """The tips in a file (`STORE/tips.sqlite`). `four_eyes`: who raised a tip may not approve it."""

    def __init__(self, path: Path, *, four_eyes: bool = False, quiet_h: float = 24.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.four_eyes, self.quiet_h = path, four_eyes, quiet_h
        with undamaged(path, "the tip book", "move it away: `pro watch` raises anew what is still wrong"):
            self._open(path)
            look_through(self._db)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            raise InputError(
                "this tip book was written by another version of PRO", got=found, expected=VERSION, where=path
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> TipBook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading ------------------------------------------------------------------------------------------------

    def tips(self, *, active: bool = False) -> list[Tip]:
        """All tips, the most severe first and of these the newest; only those that still call for something if `active`."""
        found = self._select("1") if not active else self._select(f"state IN ({_marks(ACTIVE)})", *ACTIVE)
        return sorted(found, key=lambda tip: -SEVERITIES.index(tip.severity))

    def _select(self, where: str, *values: str) -> list[Tip]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM tips WHERE {where} ORDER BY id DESC", values)
        return [_tip(r) for r in rows]

    def tip(self, number: int) -> Tip:
        """One tip. InputError if there is none with this number."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM tips WHERE id=?", (number,)).fetchone()
        if row is None:
            raise InputError(f"there is no tip {number}")
        return _tip(row)

    def plan(self, number: int) -> Plan:
        """The plan of a tip, checked against its id. TipRefusedError if it has none."""
        plan = self._plan(self.tip(number).plan_id)
        if plan is None:
            raise TipRefusedError(f"tip {number} has no plan: no migration was found that helps")
        return plan

    def _plan(self, plan_id: str) -> Plan | None:
        row = self._db.execute("SELECT plan FROM plans WHERE id=?", (plan_id,)).fetchone()
        return None if row is None else loads(row[0])

    def views(self, plan_id: str, *states: TipState) -> list[Tip]:
        """The tips that show a plan and are in one of `states` (none named: in any)."""
        wanted = states or tuple(TipState)
        return self._select(f"plan_id=? AND state IN ({_marks(wanted)})", plan_id, *wanted)

    def history(self, number: int) -> list[dict[str, str]]:
        """What became of a tip, oldest first: at, before, after, who, reason."""
        rows = self._db.execute(
            "SELECT at, before, after, who, reason FROM changes WHERE tip=? ORDER BY seq", (number,)
        )
        return [dict(zip(("at", "before", "after", "who", "reason"), r, strict=True)) for r in rows]

    # -- raising ------------------------------------------------------------------------------------------------

    def raise_or_refresh(
        self,
        hotspots: Sequence[Hotspot],
        plan: Plan | None,
        now: datetime,
        *,
        repairs: Sequence[Concern] = (),
        names: Mapping[str, str] | None = None,
        cluster: str = "",
    ) -> list[Tip]:
        """Tips for every hotspot and every broken rule (`tip.of_rule`), as views of `plan`; returns the active ones.

        What is quiet because somebody dismissed it is left out. Does not clear what is no longer hot: see `clear_missing`.
        """
        names = names or {}
        concerns = [of_hotspot(h, names) for h in hotspots] + list(repairs)
        with self._transaction():
            if plan is not None:
                self._db.execute("INSERT OR IGNORE INTO plans (id, plan) VALUES (?,?)", (plan.id, dumps(plan)))
            mine = parts(concerns, plan)
            told = ((c, plan if mine[c.key].own or c.action else None) for c in concerns)
            return [t for c, its in told if (t := self._raise(c, its, mine[c.key], now, names, cluster)) is not None]

    def raise_test(self, plan: Plan, now: datetime, who: str) -> Tip:
        """A test tip with the empty `plan`. The watch leaves it alone; `expire` does not."""
        (tip,) = self.raise_or_refresh((), plan, now, repairs=(of_test(who, stamp(now)),))
        return tip

    def _raise(
        self, concern: Concern, plan: Plan | None, part: Part, now: datetime, names: Mapping[str, str], cluster: str
    ) -> Tip | None:
        known = next(iter(self._select(f"key=? AND state IN ({_marks(ACTIVE)})", concern.key, *ACTIVE)), None)
        if known is not None and known.state != TipState.NEW:
            return known
        if known is None and self._quiet(concern, now):
            return None
        same = known is not None and moves_of(self._plan(known.plan_id)) == moves_of(plan)
        fields = {
            "severity": concern.severity,
            "title": concern.title,
            "problem": concern.problem,
            "action": action_of(concern, part, names),
            "cost": cost_of(part, plan),
            "ignored": concern.ignored,
            "probability": concern.probability,
            "plan_id": "" if plan is None else plan.id,
            "updated": stamp(now),
        }
        if known is not None and same:
            sets = ", ".join(f"{name}=?" for name in fields)
            self._db.execute(f"UPDATE tips SET {sets} WHERE id=?", (*fields.values(), known.id))
            return self.tip(known.id)
        fresh = self._insert(concern, {**fields, "cluster": cluster}, now)
        if known is not None:
            self._move(known, TipState.SUPERSEDED, now, "pro", f"by tip {fresh.id}: the plan has changed")
        return fresh

    def _insert(self, concern: Concern, fields: Mapping[str, Any], now: datetime) -> Tip:
        row = {
            "key": concern.key,
            "state": TipState.NEW.value,
            "host": concern.host,
            "created": stamp(now),
            "reason": "",
            "author": "pro",
            "approver": "",
            **fields,
        }
        marks = ",".join("?" * len(row))
        cursor = self._db.execute(f"INSERT INTO tips ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        number = int(cursor.lastrowid or 0)
        self._log(number, now, "", TipState.NEW.value, "pro", "")
        return self.tip(number)

    def dismissed(self, concerns: Iterable[Concern], now: datetime) -> list[int]:
        """Numbers of the dismissed tips because of which any of these is quiet."""
        return [number for concern in concerns for number in self._silencing(concern, now)]

    def _quiet(self, concern: Concern, now: datetime) -> bool:
        return bool(self._silencing(concern, now))

    def _silencing(self, concern: Concern, now: datetime) -> list[int]:
        since = stamp(now - timedelta(hours=self.quiet_h))
        rows = self._db.execute(
            "SELECT id, severity FROM tips WHERE key=? AND state=? AND updated > ?",
            (concern.key, TipState.DISMISSED.value, since),
        )
        return [r[0] for r in rows if SEVERITIES.index(concern.severity) <= SEVERITIES.index(r[1])]

    def clear_missing(self, keys: Iterable[str], now: datetime, *, cluster: str | None = None) -> list[Tip]:
        """Close, as CLEARED, every tip whose trouble is not among `keys` any more: it went away by itself.

        `cluster`: only tips of this one (None: of all).
        """
        present = set(keys)
        gone = [t for t in self._waiting() if t.key not in present and cluster in (None, t.cluster) and not t.test]
        return self._close(gone, TipState.CLEARED, now, "healthy again by itself")

    def expire(self, now: datetime, minutes: float = 60.0) -> list[Tip]:
        """Close, as EXPIRED, every tip that was neither refreshed nor carried out for `minutes`."""
        late = [t for t in self._waiting() if now - datetime.fromisoformat(t.updated) > timedelta(minutes=minutes)]
        return self._close(late, TipState.EXPIRED, now, f"not acted on for {minutes:g} minutes")

    # -- deciding -----------------------------------------------------------------------------------------------

    def approve(
        self, number: int, who: str, now: datetime, *, plan_id: str | None = None, reason: str = ""
    ) -> list[Tip]:
        """Approve the plan of a tip; returns all tips that are thereby approved.

        `plan_id`: the plan the person has seen; refused if the tip has another one by now.
        """
        with self._transaction():
            return self._decide(number, TipState.APPROVED, who, now, plan_id, reason)

    def approve_by_contract(self, number: int, now: datetime, reason: str) -> list[Tip]:
        """Mark the plan of a tip as one the contract allows; returns all tips that show it."""
        with self._transaction():
            return self._decide(number, TipState.AUTO, "contract", now, None, reason)

    def _decide(
        self, number: int, state: TipState, who: str, now: datetime, plan_id: str | None, reason: str
    ) -> list[Tip]:
        tip = self.tip(number)
        if not who.strip():
            raise TipRefusedError("an approval needs the name of whoever approves")
        if not tip.plan_id:
            raise TipRefusedError(f"tip {number} has no plan: no migration was found that helps")
        if plan_id is not None and plan_id != tip.plan_id:
            raise TipRefusedError(f"tip {number} has a new plan, {tip.plan_id}: look at it before approving")
        if self.four_eyes and state == TipState.APPROVED and who == tip.author:
            raise TipRefusedError(f"tip {number} was raised by {who}: somebody else has to approve it")
        views = self.views(tip.plan_id)
        if state == TipState.AUTO and (dismissed := self.views(tip.plan_id, TipState.DISMISSED)):
            raise TipRefusedError(f"tip {dismissed[0].id} of the same plan was dismissed: a person has to approve it")
        self._move(tip, state, now, who, reason)
        for other in views:
            if other.id != number and other.state == TipState.NEW:
                self._move(other, state, now, who, reason or f"with tip {number}")
        return [self.tip(t.id) for t in views if self.tip(t.id).state == state]

    def dismiss(self, number: int, who: str, now: datetime, reason: str) -> Tip:
        """Say no to a tip, with a reason."""
        if not reason.strip():
            raise TipRefusedError("dismissing a tip needs a reason")
        with self._transaction():
            self._move(self.tip(number), TipState.DISMISSED, now, who, reason)
        return self.tip(number)

    def start(self, plan_id: str, now: datetime) -> list[Tip]:
        """The plan is being applied: its approved tips are RUNNING. TipRefusedError if nobody has approved it."""
        views = self.views(plan_id, *DECIDED)
        if not views:
            raise TipRefusedError(f"nobody has approved plan {plan_id}")
        return self._close(views, TipState.RUNNING, now, "")

    def finish(self, plan_id: str, *, resolved: bool, now: datetime, reason: str = "") -> list[Tip]:
        """The plan was applied, or not wholly: its running tips are RESOLVED or FAILED."""
        views = self.views(plan_id, TipState.RUNNING)
        return self._close(views, TipState.RESOLVED if resolved else TipState.FAILED, now, reason)

    # -- writing ------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[Tip]:
        return [t for t in self.tips(active=True) if t.state != TipState.RUNNING]

    def _close(self, tips: Sequence[Tip], state: TipState, now: datetime, reason: str) -> list[Tip]:
        with self._transaction():
            for tip in tips:
                self._move(self.tip(tip.id), state, now, "pro", reason)
        return [self.tip(t.id) for t in tips]

    def _move(self, tip: Tip, state: TipState, now: datetime, who: str, reason: str) -> None:
        """Change a tip's state, or raise TipRefusedError. Inside a transaction."""
        if state not in NEXT.get(tip.state, ()):
            why = f" ({tip.reason})" if tip.reason else ""
            raise TipRefusedError(f"tip {tip.id} is {tip.state.value}{why}, it cannot become {state.value}")
        approver = who if state in DECIDED else tip.approver
        self._db.execute(
            "UPDATE tips SET state=?, updated=?, reason=?, approver=? WHERE id=?",
            (state.value, stamp(now), reason, approver, tip.id),
        )
        self._log(tip.id, now, tip.state.value, state.value, who, reason)

    def _log(self, number: int, now: datetime, before: str, after: str, who: str, reason: str) -> None:
        self._db.execute(
            "INSERT INTO changes (tip, at, before, after, who, reason) VALUES (?,?,?,?,?,?)",
            (number, stamp(now), before, after, who, reason),
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """All or nothing; the state read inside is the state written to."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _tip(row: Sequence[Any]) -> Tip:
    values = dict(zip(Tip.__dataclass_fields__, row, strict=True))
    return Tip(**{**values, "state": TipState(values["state"])})
