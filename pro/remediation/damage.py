"""SQLite files that something else has cut, overwritten or swapped: said in words, and nothing is done with them."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def undamaged(path: Path | str, what: str, then: str) -> Iterator[None]:
    """While `what` in `path` is opened: damage becomes an InputError that says what to do `then`. A full disk stays what it is."""
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise InputError(f"{what} is damaged: {error}; {then}", where=path) from None


def look_through(db: sqlite3.Connection) -> None:
    """Read every page. Raises sqlite3.DatabaseError if one is not what it should be."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
