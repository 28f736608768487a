"""A backtest from a store to files: what to replay, and what is left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.actions.backtests import PAGE, RESULT, read_backtest, table_of
from pro.core.errors import InputError, RefusedError, UsageError
from pro.core.files import OsLock, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.replay.backtest import Backtest


HISTORY_DAYS = 3


@dataclass(frozen=True)
class Span:
    """What to replay. `begins` None: `HISTORY_DAYS` after the first sample; `ends` None: the newest."""

    begins: datetime | None
    ends: datetime | None
    every_s: float


@dataclass(frozen=True)
class Listener:
    """Who hears how it goes. `share`: how much is done, 0..1; `kept`: from which share it could go on if it were interrupted now;
    `remark`: what people should know of the files, in a sentence."""

    share: Callable[[float], None] = lambda _: None
    kept: Callable[[float], None] = lambda _: None
    remark: Callable[[str], None] = lambda _: None


def run_backtest(
    root: Path,
    config: Config,
    span: Span,
    files: Sequence[Path] = (),
    folder: Path | None = None,
    listener: Listener | None = None,
) -> Backtest:
    """Replay the store's past under the policies of `files`, or of all that are compared when nobody says.

    With `folder`, an interrupted backtest of the same goes on where it stopped, and the result is written there as
    `backtest.json`, `backtest.html` and, for every policy, `trajectory-NAME.parquet`, `probabilities-NAME.parquet` and `use-NAME.parquet`.
    An earlier result of something else is replaced, with its tables.
    """
    from pro.replay.backtest import Keep, backtest
    from pro.replay.past import STEP_S, read_past
    from pro.replay.policies import distinct, load_policies, side_by_side

    hears = listener or Listener()
    specs = distinct(load_policies(files)) if files else side_by_side()
    if span.every_s < STEP_S or span.every_s % STEP_S:
        raise UsageError(
            "no such pace", got=f"{span.every_s:g} s", expected=f"a multiple of {STEP_S} s", where="--every"
        )
    begins, ends = stretch(root, span)
    days = max(config.forecast.history_days, *(s.history_days for s in specs))
    past = read_past(root, begins, ends, days)
    if folder is None:
        return backtest(past, specs, config, every_s=span.every_s, tell=hears.share)
    folder.mkdir(parents=True, exist_ok=True)
    lock = OsLock(folder / ".backtest.lock")
    if not lock.try_acquire():
        raise RefusedError(f"another backtest is at work in {folder}")
    with lock:
        found = backtest(past, specs, config, every_s=span.every_s, keep=Keep(folder, hears.kept), tell=hears.share)
        if replaced := write_files(found, folder):
            hears.remark(replaced)
    return found


def stretch(root: Path, span: Span) -> tuple[datetime, datetime]:
    """The first and the last instant to replay."""
    from datetime import timedelta

    from pro.replay.past import LONGEST_DAYS, held
    from pro.telemetry.store import Store

    store = Store(root)
    newest = store.newest(span.ends)
    if newest is None and store.newest() is None:
        raise InputError("the store holds no samples to replay", expected="`pro ingest` first", where=root)
    if newest is None:
        raise InputError(
            "there are no samples to replay", got=span.ends and f"{span.ends:%Y-%m-%d %H:%M} UTC", expected=f"later: the store holds {held(store)}",
            where="--to",
        )  # fmt: skip
    if span.begins is not None:
        return span.begins, span.ends or newest
    begins = min(row.first for row in store.coverage(newest, LONGEST_DAYS)) + timedelta(days=HISTORY_DAYS)
    if begins >= newest:
        raise InputError(
            f"too little to replay: without --from, {HISTORY_DAYS} days are history only, and the store holds {held(store)}",
            expected="--from, or more samples" if span.ends is None else "--from, or a later --to", where=root,
        )  # fmt: skip
    return begins, span.ends or newest


def write_files(found: Backtest, folder: Path) -> str:
    """All files of a result; each is written whole or not at all. What is said of an earlier result that is replaced; "" if none was."""
    folder.mkdir(parents=True, exist_ok=True)
    document = found.to_json()
    replaced = _clear(folder, document)
    write_atomically(folder / RESULT, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(folder / PAGE, page_of(found, document).encode())
    for row in found.rows:
        write_tables(found, row.name, folder)
    return replaced


def _clear(folder: Path, document: dict[str, Any]) -> str:
    """Remove the tables of an earlier result that was another one, and say so. What no backtest wrote is left alone."""
    try:
        earlier = read_backtest(folder)
    except InputError:
        return ""
    if earlier.document == json.loads(json.dumps(document)):
        return ""
    for path in earlier.tables():
        path.unlink()
    begins, ends = (str(earlier.document.get(key, "?"))[:16].replace("T", " ") for key in ("from", "to"))
    return f"the earlier result in {folder} is replaced: {begins} to {ends} UTC under {', '.join(earlier.policies)}"


def page_of(found: Backtest, document: dict[str, Any]) -> str:
    """backtest.html."""
    from pro.replay.measure import shares
    from pro.replay.past import STEP_S
    from pro.reports.backtest import Course, Page, render

    past = found.past
    courses = tuple(
        Course(
            row.name,
            shares(past, row.runner.course.trail),
            tuple(min(m.column, past.last) - past.first for m in row.runner.course.trail),
        )
        for row in found.rows
    )
    return render(Page(document, courses, past.fleet.host_names, past.at(past.first), STEP_S))


def write_tables(found: Backtest, name: str, folder: Path) -> None:
    """trajectory-NAME.parquet (step, vm, host), probabilities-NAME.parquet (time, host, probability) and use-NAME.parquet (time, host, name, use)."""
    import pyarrow.parquet as pq

    from pro.replay.tables import probabilities, trajectory, use

    row = next(r for r in found.rows if r.name == name)
    for kind, table in (("trajectory", trajectory), ("probabilities", probabilities), ("use", use)):
        path = table_of(folder, kind, name)
        fresh = path.with_suffix(".parquet.tmp")
        pq.write_table(table(found, row), fresh, compression="zstd")
        fresh.replace(path)
