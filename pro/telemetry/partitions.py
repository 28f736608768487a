"""Daily Parquet partitions: written whole, read one counter at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import COUNTERS
from pro.telemetry.readers.times import from_us, to_us
from pro.telemetry.samples import samples_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pro.telemetry.store import Store

FILE = "samples.parquet"


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
    return sorted(
        date.fromisoformat(path.parent.name.removeprefix("date=")) for path in root.glob(f"samples/date=*/{FILE}")
    )


def replace(path: Path, write: object) -> None:
    """Make the file at `path` by `write(temporary path)`, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)  # type: ignore[operator]
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


def read(path: Path, counters: Sequence[str] | None = None) -> pa.Table:
    """One partition, or only the row groups of some counters."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        column = file.schema_arrow.get_field_index("counter")
        chosen = [
            k
            for k in range(file.num_row_groups)
            if counters is None or file.metadata.row_group(k).column(column).statistics.min in counters
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
    import pyarrow.compute as pc

    pieces = []
    for day in stored_days(root):
        if (since is not None and day < since.date()) or (until is not None and day > until.date()):
            continue
        piece = read(path_of(root, day), counters)
        if piece.num_rows:
            pieces.append(piece)
    if not pieces:
        return samples_schema().empty_table()
    table = pa.concat_tables(pieces)
    keep = None
    time_us = table.column("time").cast(pa.int64()).to_numpy()
    if since is not None:
        keep = time_us > to_us(since)
    if until is not None:
        early = time_us <= to_us(until)
        keep = early if keep is None else keep & early
    if keep is not None and not keep.all():
        table = table.filter(pa.array(keep))
    if entities is not None:
        table = table.filter(
            pc.is_in(table.column("entity").cast(pa.string()), pa.array(sorted(entities), pa.string()))
        )
    return table.take(pa.array(_order(table.unify_dictionaries())))


def _order(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Stable order by (entity, part, span, counter); time is already ascending within each, partition after partition."""
    columns = []
    for name in ("counter", "span_s", "part", "entity"):
        column = table.column(name).combine_chunks()
        if name == "span_s":
            columns.append(column.to_numpy())
            continue
        words = column.dictionary.to_pylist()
        rank = np.empty(len(words), dtype=np.int32)
        rank[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
        columns.append(rank[column.indices.to_numpy()])
    return np.lexsort(columns)


def newest(root: Path, until: datetime | None) -> datetime | None:
    """The newest instant stored, at or before `until`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for day in reversed(stored_days(root)):
        if until is not None and day > until.date():
            continue
        table = pq.read_table(path_of(root, day), columns=["time"], partitioning=None, use_threads=False)
        time_us = table.column("time").cast(pa.int64()).to_numpy()
        if until is not None:
            time_us = time_us[time_us <= to_us(until)]
        if len(time_us):
            return from_us(int(time_us.max()))
    return None


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
    grouped = (
        table.select(["entity", "time"]).group_by("entity").aggregate([("time", "min"), ("time", "max")]).to_pylist()
    )
    for row in sorted(grouped, key=lambda r: str(r["entity"])):
        yield (
            row["entity"],
            row["time_min"].to_pydatetime() if hasattr(row["time_min"], "to_pydatetime") else row["time_min"],
            (row["time_max"].to_pydatetime() if hasattr(row["time_max"], "to_pydatetime") else row["time_max"]),
        )
