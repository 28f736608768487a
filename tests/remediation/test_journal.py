"""The journal: legal changes only, all or nothing, and an audit trail that shows what was touched."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.remediation.journal import VERSION, Journal
from pro.remediation.records import NEXT, Run, RunState, Step, StepState

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-03-02T12:00:00.000+00:00"


def filled(path: Path | str, steps: int = 3) -> Journal:
    """A run of some steps, the first of which is done."""
    journal = Journal(path, write=True)
    rows = [Step(1, i, 0, f"v{i}", f"name {i}", "h0", "h1", "live", 4.0, 1024, StepState.PENDING) for i in range(steps)]
    journal.start_run(Run(1, "p1", "{}", "simulated:x", AT, "", RunState.RUNNING, "", "", "{}"), rows)
    journal.change(journal.step(1, 0), StepState.INTENT, AT, attempt=1)
    journal.change(journal.step(1, 0), StepState.SENT, AT, ticket="t1")
    journal.change(journal.step(1, 0), StepState.DONE, AT, seconds=3.5)
    return journal


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    with filled(tmp_path / "j.sqlite") as journal:
        first = journal.step(1, 0)
    assert (first.state, first.attempt, first.ticket, first.seconds) == (StepState.DONE, 1, "t1", 3.5)
    with Journal(tmp_path / "j.sqlite") as reader:
        assert reader.step(1, 0) == first
        assert reader.unfinished() is not None
        assert [s.vm for s in reader.moves_since(AT)] == ["v0"]
        assert reader.moves_since(AT, vm="v1") == []


@given(st.sampled_from(StepState), st.sampled_from(StepState))
def test_only_listed_changes_are_made(before: StepState, after: StepState) -> None:
    journal = filled(":memory:")
    journal._db.execute("UPDATE steps SET state=? WHERE step=1", (before.value,))
    events = len(journal.events())
    if after in NEXT[before]:
        journal.change(journal.step(1, 1), after, AT)
        assert journal.step(1, 1).state == after
        assert len(journal.events()) == events + 1
    else:
        with pytest.raises(ValueError, match="may not follow"):
            journal.change(journal.step(1, 1), after, AT)
        assert journal.step(1, 1).state == before
        assert len(journal.events()) == events


def test_a_change_from_a_state_that_is_no_longer_is_refused_whole(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j.sqlite")
    old = journal.step(1, 1)
    journal.change(old, StepState.INTENT, AT)
    before = journal.events()
    with pytest.raises(ValueError, match="not a legal change"):
        journal.change(old, StepState.SKIPPED, AT)
    assert journal.events() == before


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    filled(tmp_path / "j.sqlite").close()
    with Journal(tmp_path / "j.sqlite") as reader, pytest.raises(sqlite3.OperationalError):
        reader.end_run(1, RunState.DONE, AT)


def test_it_is_durable_by_its_settings(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j.sqlite")
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_another_version_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "j.sqlite").close()
    with sqlite3.connect(tmp_path / "j.sqlite") as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(InputError, match="another version"):
        Journal(tmp_path / "j.sqlite")


def test_an_empty_file_is_a_journal_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").touch()
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.runs() == []
    with pytest.raises(InputError):
        Journal(tmp_path / "none.sqlite")


TAMPERING = {
    "a text edited": "UPDATE events SET text='other' WHERE seq=3",
    "a time edited": "UPDATE events SET at='2020' WHERE seq=2",
    "a step edited": "UPDATE events SET step=2 WHERE seq=4",
    "a hash edited": "UPDATE events SET hash='0' WHERE seq=1",
    "one dropped": "DELETE FROM events WHERE seq=2",
    "the first dropped": "DELETE FROM events WHERE seq=1",
    "two swapped": "UPDATE events SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE seq END",
    "the run dropped": "DELETE FROM runs",
    "the plan edited": "UPDATE runs SET plan='[]'",
    "a step's state edited": "UPDATE steps SET state='pending' WHERE step=0",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_shows(how: str) -> None:
    journal = filled(":memory:")
    assert journal.verify() == []
    journal._db.execute(TAMPERING[how])
    journal._db.execute("UPDATE events SET seq = abs(seq)")
    assert journal.verify() != []


def test_a_cut_tail_shows_against_an_anchor_only() -> None:
    journal = filled(":memory:")
    anchor = journal.head()
    journal._db.execute("DELETE FROM events WHERE seq=?", (anchor[0],))
    journal._db.execute("UPDATE steps SET state='sent' WHERE step=0")
    assert journal.verify() == []
    assert journal.verify(anchor) != []


@given(st.data())
def test_every_flipped_character_shows(data: st.DataObject) -> None:
    journal = filled(":memory:")
    row = data.draw(st.sampled_from(journal.events()))
    column = data.draw(st.sampled_from(["at", "kind", "text", "hash"]))
    if not row[column]:
        return
    where = data.draw(st.integers(0, len(row[column]) - 1))
    flipped = row[column][:where] + chr(ord(row[column][where]) ^ 1) + row[column][where + 1 :]
    journal._db.execute(f"UPDATE events SET {column}=? WHERE seq=?", (flipped, row["seq"]))
    assert journal.verify() != []


def test_steps_keep_their_plan_order(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j.sqlite", steps=12)
    assert [s.step for s in journal.steps(1)] == list(range(12))
    assert replace(journal.step(1, 11), state=StepState.DONE).vm == "v11"
