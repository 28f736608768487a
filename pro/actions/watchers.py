"""Who watches a store: one process at a time, what it was told to watch, and how others wake it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.actions.inbox import read_ledger, write_ledger
from pro.actions.places import KNOCK, WAKE, WATCH_LOCK, absolute, present
from pro.core.errors import InputError
from pro.core.files import OsLock, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from pro.actions.watching import Watch


def alone(store: Path) -> OsLock | None:
    """The lock of the one watcher of a store, taken; None if there is another. Raises InputError where there is no store."""
    present(store)
    lock = OsLock(store / WATCH_LOCK)
    return lock if lock.try_acquire() else None


def wake(store: Path, cause: str) -> None:
    """Ask the watcher that is at work on `store` to look at once. Several requests before it does are one."""
    write_atomically(store / WAKE, cause.encode("utf-8"))


def woken(store: Path) -> str | None:
    """Why somebody asked for a look, once; None if nobody did."""
    path = store / WAKE
    try:
        cause = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return cause


def knock(store: Path) -> Path:
    """Ask the watcher at work on `store` for a sign of life, without a look: it takes the returned file away."""
    path = store / KNOCK
    write_atomically(path, b"")
    return path


def answer_knock(store: Path) -> None:
    """Show whoever knocked that somebody is here."""
    (store / KNOCK).unlink(missing_ok=True)


def note_watch(watch: Watch, contract: Path | None) -> None:
    """Keep in the store what is watched and how, so that a hook needs to name nothing but its alert."""
    ledger = read_ledger(watch.store)
    ledger["watch"] = {
        "inbox": None if watch.inbox is None else str(watch.inbox.resolve()), "backend": absolute(watch.backend),
        "contract": None if contract is None else str(contract.resolve()), "goal": watch.goal,
    }  # fmt: skip
    write_ledger(watch.store, ledger)


def noted_watch(store: Path) -> dict[str, str | None]:
    """What `note_watch` kept. Raises InputError if nobody has watched this store yet."""
    noted = read_ledger(store).get("watch")
    if not isinstance(noted, dict):
        raise InputError(
            "no `pro watch` has run on this store yet", expected="--backend (and --inbox, --contract)", where=str(store)
        )
    return noted
