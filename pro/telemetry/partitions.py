"""Daily Parquet partitions: written whole, read one counter at a time."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.core.units import COUNTERS
from pro.telemetry.arrow import as_boolean, codes, column, numbers
from pro.telemetry.readers.times import from_us, to_us
from pro.telemetry.samples import samples_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from pro.telemetry.store import Store

FILE = "samples.parquet"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class Coverage:
    """What is known of one counter of one entity; `share` of the grid of 300 s over the days asked for."""

    counter: str
    entity: str
    first: datetime
    newest: datetime
    share: float


def path_of(root: Path, day: date) -> Path:
    return root / "samples" / f"date={day.isoformat()}" / FILE


def stored_days(root: Path) -> list[date]:
    """Days with a partition, ascending."""
    names = (path.parent.name.removeprefix("date=") for path in root.glob(f"samples/date=*/{FILE}"))
    return sorted(date.fromisoformat(name) for name in names if _DAY.fullmatch(name))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Make the file at `path` by `write(temporary path)`, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write(path: Path, table: pa.Table, groups: Sequence[int]) -> None:
    """Write one day; `groups` are the row numbers at which a new counter starts, each becomes a row group of its own.

    Instants are delta-coded, values byte-split (both compress far better so), names in dictionaries.
    """
    import pyarrow.parquet as pq

    def put(temporary: Path) -> None:
        with pq.ParquetWriter(
            temporary,
            table.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["entity", "counter", "part", "span_s"],
            column_encoding={"time": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
            write_statistics=["time", "counter"],
            store_schema=True,
        ) as writer:
            for start, stop in zip(groups, [*groups[1:], table.num_rows], strict=True):
                writer.write_table(table.slice(start, stop - start))

    replace(path, put)


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A partition to read from.

    Raises
    ------
    InputError
        The file is damaged (a kill cannot do that; a bad disk or another program can).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"a partition of the store is damaged ({reason})",
            expected="delete it and ingest that day again",
            where=path,
        ) from None


def read(path: Path, counters: Sequence[str] | None = None) -> pa.Table:
    """One partition, or only the row groups of some counters."""
    import pyarrow as pa

    with opened(path) as file:
        at = file.schema_arrow.get_field_index("counter")
        chosen = [
            k
            for k in range(file.num_row_groups)
            if counters is None or file.metadata.row_group(k).column(at).statistics.min in counters
        ]
        if not chosen:
            return samples_schema().empty_table()
        table = file.read_row_groups(chosen, use_threads=False)
    return pa.Table.from_arrays(table.columns, schema=samples_schema())


def samples(
    root: Path, counters: Sequence[str], since: datetime | None, until: datetime | None, entities: set[str] | None
) -> pa.Table:
    """Samples of `counters` with since < time <= until, sorted by (entity, part, span, counter, time)."""
    import pyarrow as pa

    pieces = []
    for day in stored_days(root):
        if (since is not None and day < since.date()) or (until is not None and day > until.date()):
            continue
        piece = of_day(root, day, counters, since, until)
        if piece is not None:
            pieces.append(piece)
    if not pieces:
        return samples_schema().empty_table()
    table = pa.concat_tables(pieces)
    if entities is not None:
        which, words = codes(table.column("entity"))
        table = table.filter(as_boolean(np.array([word in entities for word in words], dtype=bool)[which]))
    return table.take(column(_order(table)))


def of_day(
    root: Path, day: date, counters: Sequence[str], since: datetime | None, until: datetime | None
) -> pa.Table | None:
    """Samples of `counters` of one day with since < time <= until, as the partition has them; None where there are none."""
    path = path_of(root, day)
    if not path.is_file():
        return None
    table = read(path, counters)
    keep = None
    time_us = numbers(table.column("time"))
    if since is not None:
        keep = time_us > to_us(since)
    if until is not None:
        early = time_us <= to_us(until)
        keep = early if keep is None else keep & early
    if keep is not None and not keep.all():
        table = table.filter(as_boolean(keep))
    return table if table.num_rows else None


def _order(table: pa.Table) -> NDArray[np.int64]:
    """Stable order by (entity, part, span, counter); time is already ascending within each, partition after partition."""
    return np.lexsort(
        [
            ranked(table, "counter")[0],
            numbers(table.column("span_s")),
            ranked(table, "part")[0],
            ranked(table, "entity")[0],
        ]
    )


def ranked(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Codes of a name column in the order of its words, and the words, sorted."""
    which, words = codes(table.column(name))
    order = sorted(range(len(words)), key=words.__getitem__)
    if order == list(range(len(words))):
        return which.astype(np.int64), words
    rank = np.empty(len(words), dtype=np.int64)
    rank[order] = np.arange(len(words))
    return rank[which], [words[k] for k in order]


def newest(root: Path, until: datetime | None) -> datetime | None:
    """The newest instant stored, at or before `until`."""
    limit = None if until is None else to_us(until)
    for day in reversed(stored_days(root)):
        if until is not None and day > until.date():
            continue
        with opened(path_of(root, day)) as file:
            time_us = numbers(file.read(columns=["time"], use_threads=False).column("time"))
        if limit is not None:
            time_us = time_us[time_us <= limit]
        if len(time_us):
            return from_us(int(time_us.max()))
    return None


def present(root: Path, since: datetime, until: datetime) -> set[str]:
    """Names of the counters that have samples on the days from `since` on, none later than `until`. Reads no sample."""
    found = set()
    for day in stored_days(root):
        if not since.date() <= day <= until.date():
            continue
        with opened(path_of(root, day)) as file:
            name, time = (file.schema_arrow.get_field_index(column) for column in ("counter", "time"))
            for k in range(file.num_row_groups):
                group = file.metadata.row_group(k)
                if group.column(time).statistics.min <= until:
                    found.add(str(group.column(name).statistics.min))
    return found


def coverage(store: Store, until: datetime | None, days: float) -> list[Coverage]:
    """See `Store.coverage`."""
    until = until or store.newest()
    if until is None:
        return []
    rows = []
    for name in COUNTERS:
        grid = store.grid(name, until, days)
        share = dict(zip(grid.entities, (~np.isnan(grid.values)).mean(axis=1).tolist(), strict=True))
        for entity, first, last in _extent(samples(store.root, (name,), until - timedelta(days=days), until, None)):
            rows.append(Coverage(name, entity, first, last, share.get(entity, 0.0)))
    return rows


def _extent(table: pa.Table) -> Iterator[tuple[str, datetime, datetime]]:
    """(entity, first, newest instant), by entity; the table is sorted by entity."""
    if not table.num_rows:
        return
    which, names = ranked(table, "entity")
    time_us = numbers(table.column("time"))
    starts = np.flatnonzero(np.r_[True, which[1:] != which[:-1]])
    first, last = np.minimum.reduceat(time_us, starts), np.maximum.reduceat(time_us, starts)
    for k, start in enumerate(starts.tolist()):
        yield names[which[start]], from_us(int(first[k])), from_us(int(last[k]))
