"""What the disk does: full, forbidden, cut, a folder where a file should be. A message, an exit code, and nothing lost."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pro.core.errors import InputError
from pro.core.files import write_atomically
from pro.remediation.journal import Journal
from pro.remediation.tips import TipBook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro


def _large(path: Path) -> Path:
    """A journal of many pages."""
    Journal(path, write=True).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE filler (text TEXT)")
    db.executemany("INSERT INTO filler VALUES (?)", [("x" * 900,)] * 200)
    db.close()
    return path


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _scribbled(path: Path) -> None:
    path.write_bytes(b"this was a journal once" * 50)


@pytest.mark.parametrize("harm", [_cut, _scribbled])
@pytest.mark.parametrize("write", [False, True])
def test_a_damaged_journal_is_said_to_be_one_and_left_as_it_is(tmp_path: Path, harm: Any, write: bool) -> None:
    path = _large(tmp_path / "journal.sqlite")
    harm(path)
    left = path.read_bytes()
    with pytest.raises(InputError, match=r"journal\.sqlite: the journal is damaged: .*inventory discover"):
        Journal(path, write=write)
    assert path.read_bytes() == left


def test_a_damaged_tip_book_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "tips.sqlite"
    TipBook(path).close()
    _scribbled(path)
    with pytest.raises(InputError, match=r"the tip book is damaged: .*move it away"):
        TipBook(path)


@pytest.mark.parametrize("command", ["status", "resume", "stop"])
def test_no_command_shows_a_traceback_of_a_damaged_journal(pro: Pro, home: Path, command: str) -> None:
    store = home / "store"
    store.mkdir()
    _cut(_large(store / "journal.sqlite"))
    said = pro(command, "--store", store)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: ")
    assert "the journal is damaged" in said.err


def test_a_folder_where_a_file_should_be_is_named(pro: Pro, home: Path) -> None:
    (home / "store").mkdir()
    (home / "store" / "tips.sqlite").mkdir()
    said = pro("tips", "list", "--store", home / "store")
    assert said.code == 1
    assert said.err == "error: journal or tips: unable to open database file\n"


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b"old")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: .*plan\.json"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path, heard = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()))
    reader.start()
    write_atomically(path, b"a plan")
    reader.join()
    assert heard == [b"a plan"]
    assert path.is_fifo()
