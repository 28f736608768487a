"""Where things lie in a store, and how a later command finds the run of an earlier one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.core.files import write_atomically

if TYPE_CHECKING:
    from pro.backends.base import World

DEFAULT_STORE = Path("pro-store")
JOURNAL, TIPS = "journal.sqlite", "tips.sqlite"
WATCH, WATCH_LOCK, WAKE, KNOCK = "watch.json", ".watch.lock", ".wake", ".knock"


def present(store: Path) -> Path:
    """`store`, if it is there. Who only reads does not make a store: a slip in its name would look like one with nothing in it."""
    if not store.is_dir():
        raise InputError(
            "there is no such store", expected="`pro ingest` and `pro inventory import` first", where=str(store)
        )
    return store


def journal_in(store: Path | None) -> Path:
    """Journal of `store` (None: the default store); its folder is made if need be."""
    folder = store or DEFAULT_STORE
    folder.mkdir(parents=True, exist_ok=True)
    return folder / JOURNAL


def find_journal(store: Path | None) -> Path:
    """The journal a person means: of `store`; else of the default store here; else of the newest apply of this account.

    So `pro status`, `pro stop` and `pro resume` work in any folder. Raises InputError when nothing was ever applied.
    """
    if store is not None:
        if not (store / JOURNAL).exists():
            raise InputError("nothing was applied from this store yet", where=store)
        return store / JOURNAL
    if (DEFAULT_STORE / JOURNAL).exists():
        return DEFAULT_STORE / JOURNAL
    pointer = _pointer()
    if pointer.is_file():
        path = Path(pointer.read_text(encoding="utf-8").strip())
        if path.exists():
            return path
    raise InputError("nothing was applied yet", expected="a store with a journal (--store)")


def remember(journal: Path) -> None:
    """Note that `journal` is the one of the newest apply. A folder that cannot be written to is no reason to stop."""
    pointer = _pointer()
    try:
        pointer.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(pointer, str(journal.resolve()).encode())
    except OSError as error:
        sys.stderr.write(f"warning: the place of the journal could not be noted ({error}); name it with --store\n")


def _pointer() -> Path:
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "pro" / "newest-journal"


def absolute(url: str) -> str:
    """`url` with a simulator's file made absolute, so that it means the same from any folder."""
    scheme, colon, rest = url.partition(":")
    if scheme != "simulated" or not colon:
        return url
    path, mark, query = rest.partition("?")
    if not path:
        return url
    return f"{scheme}:{Path(path).resolve()}{mark}{query}"


def world_in(store: Path | None) -> World | None:
    """The world according to the newest inventory in `store`; None if it has none."""
    from pro.backends.simulation import world_of
    from pro.fleet.archive import load_inventory
    from pro.fleet.snapshot import snapshot

    folder = store or DEFAULT_STORE
    if not (folder / "inventory").is_dir():
        return None
    inventory = load_inventory(folder)
    return world_of(snapshot(inventory, inventory.at, leave_out=True))
