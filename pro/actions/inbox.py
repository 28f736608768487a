"""The inbox: a folder where counter files arrive, and a ledger of what `pro watch` has seen of it and done about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pro.actions.places import WATCH
from pro.core.errors import InputError
from pro.core.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def take_in(inbox: Path | None, store: Path) -> tuple[dict[str, int], list[str]]:
    """Ingest files of the inbox that are new or have changed; returns the counts, and what was not taken in with the reason.

    Files are left where they lie. One that cannot be read is told of once, and tried again when it changes.
    """
    from pro.telemetry.store import Store

    if inbox is None:
        return {}, []
    if not inbox.is_dir():
        raise InputError("the inbox is no folder", got=str(inbox), where="--inbox")
    left: list[str] = []
    ledger = read_ledger(store)
    seen: dict[str, list[int]] = ledger.setdefault("files", {})
    total = {"read": 0, "kept": 0, "duplicate": 0, "ignored": 0, "quarantined": 0}
    for path in sorted(p for p in inbox.rglob("*") if p.is_file()):
        name = path.relative_to(inbox).as_posix()
        try:
            stat = path.stat()
            mark = [stat.st_size, stat.st_mtime_ns]
            if seen.get(name) == mark or path.name.startswith(".") or path.suffix in (".tmp", ".part"):
                continue
            report = Store(store).ingest([path])
        except InputError as error:
            left.append(str(error))
        except OSError as error:
            left.append(f"{name}: {error}; it is tried again at the next look")
            continue
        else:
            for key in total:
                total[key] += getattr(report, key)
        seen[name] = mark
        write_ledger(store, ledger)
    return total, left


def read_ledger(store: Path) -> dict[str, Any]:
    """`files` of the inbox with size and time as they were taken in; `acted_on`: the counters PRO last acted on alone."""
    path = store / WATCH
    if not path.is_file():
        return {}
    try:
        ledger = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"the watch ledger cannot be read ({error})", where=path) from None
    if not isinstance(ledger, dict):
        raise InputError("the watch ledger is no table of keys", where=path)
    return ledger


def write_ledger(store: Path, ledger: dict[str, Any]) -> None:
    """Replace the ledger, whole."""
    write_atomically(store / WATCH, json.dumps(ledger, indent=1).encode())
