"""One writer at a time: an OS lock on `JOURNAL.lock`, held for the whole life of an apply.

The kernel gives it back when the process ends, however it ends, and not before: a paused holder keeps it. There is no
lease to run out, because what a holder has in flight does not stop when its lease does.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

from pro.core.errors import RefusedError
from pro.core.files import OsLock, write_atomically

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

WAIT_S = 1.0


class LockHeldError(RefusedError):
    """Somebody else is at work; the message says who, as far as is known."""


class WriterLock:
    """The right to write a journal and to move VMs. Use as a context manager.

    `what` tells others what the holder is about ("apply plan 3f9c", ...).
    """

    def __init__(self, journal: Path, what: str, now: datetime) -> None:
        self._lock = OsLock(journal.with_name(journal.name + ".lock"))
        self._holder = holder_path(journal)
        self._about = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat(), "what": what}

    def __enter__(self) -> WriterLock:
        """Take the lock, or raise LockHeldError. Waits a second: `is_held` takes it for an instant to look."""
        self._lock.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.acquire(WAIT_S):
            raise LockHeldError(f"another apply is at work: {describe_holder(self._holder)}")
        write_atomically(self._holder, json.dumps(self._about).encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()


def holder_path(journal: Path) -> Path:
    """Where the holder says who it is. Means nothing while the lock is free: a killed holder leaves it behind."""
    return journal.with_name(journal.name + ".holder.json")


def describe_holder(path: Path) -> str:
    """Who holds the lock, in words."""
    try:
        about = json.loads(path.read_bytes())
        return f"{about['what']}, held by process {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "the holder has not said who it is"


def is_held(journal: Path) -> bool:
    """Whether an apply is at work on this journal now."""
    lock = OsLock(journal.with_name(journal.name + ".lock"))
    if not lock.path.exists():
        return False
    if lock.try_acquire():
        lock.release()
        return False
    return True
