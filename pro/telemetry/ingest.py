"""One ingest: files -> readers -> merge into daily partitions -> report."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.core.table import field as column
from pro.telemetry import partitions
from pro.telemetry.readers.times import EPOCH
from pro.telemetry.samples import ReadReport, Rejected, samples_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.telemetry.readers.options import ReadOptions
    from pro.telemetry.samples import Reader

DAY_US = 86_400_000_000
FLUSH_ROWS = 4_000_000
"""Samples held in memory (20 bytes each) before they are merged into the partitions."""


@dataclass(frozen=True)
class FileReport:
    """What became of one file. `read` = stored or duplicate + `ignored` + `quarantined`."""

    file: str
    format: str
    read: int
    ignored: int
    quarantined: int
    warnings: tuple[str, ...] = ()


@dataclass
class IngestReport:
    """What became of every row: read = kept + duplicate + ignored + quarantined."""

    read: int = 0
    kept: int = 0
    """Samples the store did not have before."""
    duplicate: int = 0
    """Samples it had, or that came twice."""
    ignored: int = 0
    """Samples of counters PRO does not use."""
    quarantined: int = 0
    """Rows that could not be read; see the store's `quarantine` folder for file, line, reason and text."""
    conflicts: int = 0
    """Duplicates whose values differed; the larger one is kept."""
    files: list[FileReport] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Files of a directory that are no counter files."""
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {"schema": "ingest/1", **asdict(self)}


def quarantine_schema() -> pa.Schema:
    """Schema of the quarantine: what could not be read."""
    import pyarrow as pa

    return pa.schema(
        [
            column("file", pa.string(), "", "file as it was named"),
            column("line", pa.int64(), "", "1-based line in the decompressed file; 0: the file as a whole"),
            column("reason", pa.string(), "", "why it could not be read"),
            column("text", pa.string(), "", "the record as it stands in the file, at most 2,000 characters"),
        ]
    )


def run(
    root: Path, sources: Sequence[Path], progress: Callable[[str, float], None] | None, options: ReadOptions | None
) -> IngestReport:
    """See `Store.ingest`; the caller holds the lock."""
    report = IngestReport()
    chosen = _choose(sources, options, report)
    total = sum(max(path.stat().st_size, 1) for path, _ in chosen)
    done = 0
    merger = Merger(root, report)
    hypervisors: set[str] = set()
    for path, reader in chosen:
        if progress is not None:
            progress(str(path), done / total)
        detail = ReadReport()
        try:
            for table in reader.read(path, detail):
                merger.add(table)
        except InputError as error:
            if len(chosen) == 1:
                raise
            detail.rows += 1
            detail.reject(Rejected(str(path), 0, str(error), ""))
        hypervisors |= detail.hypervisors
        quarantine(root, path, detail.rejected)
        _account(report, path, reader, detail)
        done += max(path.stat().st_size, 1)
    merger.flush()
    _warn_hypervisors(report, hypervisors, merger)
    if progress is not None:
        progress("", 1.0)
    return report


def _choose(sources: Sequence[Path], options: ReadOptions | None, report: IngestReport) -> list[tuple[Path, Reader]]:
    """Files with their readers; foreign files in a directory are skipped, foreign files named themselves are an error."""
    from pro.telemetry.readers.detect import detect, expand

    chosen: list[tuple[Path, Reader]] = []
    problem: InputError | None = None
    for path, named in expand(sources):
        try:
            chosen.append((path, detect(path, options)))
        except InputError as error:
            if named:
                raise
            problem = problem or error
            report.skipped.append(str(path))
    if not chosen:
        raise problem or InputError("no files to ingest", got=[str(source) for source in sources])
    return chosen


def _account(report: IngestReport, path: Path, reader: Reader, detail: ReadReport) -> None:
    report.read += detail.rows
    report.ignored += detail.ignored
    report.quarantined += detail.rejected_count
    report.warnings += [f"{path}: {warning}" for warning in detail.warnings]
    report.files.append(
        FileReport(str(path), reader.name, detail.rows, detail.ignored, detail.rejected_count, tuple(detail.warnings))
    )


def _warn_hypervisors(report: IngestReport, hypervisors: set[str], merger: Merger) -> None:
    blind = sorted(host for host in hypervisors if ("host_cpu_pct", host) not in merger.known)
    if blind:
        more = f" and {len(blind) - 5} more" if len(blind) > 5 else ""
        report.warnings.append(
            f"{len(blind)} Hyper-V host(s) without 'Hyper-V Hypervisor Logical Processor(_Total)\\% Total Run Time': "
            f"{', '.join(blind[:5])}{more}. Their 'Processor' counter sees the root partition only, not the guests"
        )
    if report.conflicts:
        report.warnings.append(f"{report.conflicts} samples came twice with different values; the larger one is kept")


def quarantine(root: Path, path: Path, rejected: Sequence[Rejected]) -> None:
    """Keep what could not be read. The same rejects of the same file replace themselves."""
    if not rejected:
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [[getattr(row, name) for row in rejected] for name in ("file", "line", "reason", "text")]
    table = pa.Table.from_arrays([pa.array(c) for c in columns], schema=quarantine_schema())
    digest = hashlib.sha256(repr(columns).encode("utf-8", "backslashreplace")).hexdigest()[:24]
    partitions.replace(
        root / "quarantine" / f"{digest}.parquet", lambda target: pq.write_table(table, target, compression="zstd")
    )


class Merger:
    """Collects samples as codes and merges them, day by day, into the partitions."""

    def __init__(self, root: Path, report: IngestReport) -> None:
        self._root, self._report = root, report
        self._series: dict[tuple[str, str, str, int], int] = {}
        """(counter, entity, part, span) -> number"""
        self._pieces: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]] = []
        self._rows = 0
        self.known: set[tuple[str, str]] = set()
        """(counter, entity) seen in this ingest or in the partitions it touched."""

    def add(self, table: pa.Table) -> None:
        """Take samples in; merges on its own once many have come."""
        if not table.num_rows:
            return
        self._pieces.append(self._coded(table))
        self._rows += table.num_rows
        if self._rows >= FLUSH_ROWS:
            self.flush()

    def _coded(self, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """(time_us, series, value) of a table of `samples_schema()`; names are looked up once per distinct combination."""
        import pyarrow as pa

        table = table.unify_dictionaries().combine_chunks()
        span = table.column("span_s").to_numpy()
        spans, span_code = (span[:1], 0) if (span == span[0]).all() else np.unique(span, return_inverse=True)
        combined = np.zeros(table.num_rows, dtype=np.int64) + span_code
        words: list[list[str]] = []
        for name in ("counter", "entity", "part"):
            coded = table.column(name).chunk(0)
            words.append(coded.dictionary.to_pylist())
            combined = combined * len(words[-1]) + coded.indices.to_numpy()
        shape = [len(spans), *map(len, words)]
        size = int(np.prod(shape))
        if size <= max(4 * table.num_rows, 65536):
            used = np.zeros(size, dtype=bool)
            used[combined] = True
            distinct = np.flatnonzero(used)
            slot = np.zeros(size, dtype=np.int32)
            slot[distinct] = np.arange(len(distinct), dtype=np.int32)
            back = slot[combined]
        else:
            distinct, back = np.unique(combined, return_inverse=True)
        numbers = np.empty(len(distinct), dtype=np.int32)
        for k, (s, c, e, p) in enumerate(
            zip(*(axis.tolist() for axis in np.unravel_index(distinct, shape)), strict=True)
        ):
            identity = (words[0][c], words[1][e], words[2][p], int(spans[s]))
            numbers[k] = self._series.setdefault(identity, len(self._series))
        time_us = table.column("time").cast(pa.int64()).to_numpy()
        return time_us, numbers[back], table.column("value").to_numpy()

    def flush(self) -> None:
        """Merge everything collected into the partitions."""
        if not self._pieces:
            return
        time_us, series, value = (np.concatenate(arrays) for arrays in zip(*self._pieces, strict=True))
        self._pieces, self._rows = [], 0
        day = (time_us // DAY_US).astype(np.int32)
        first, last = int(day.min()), int(day.max())
        for number in range(first, last + 1) if last - first < 400 else np.unique(day).tolist():
            mine = np.flatnonzero(day == number)
            if len(mine):
                self._merge((EPOCH + timedelta(days=number)).date(), time_us[mine], series[mine], value[mine])

    def _merge(
        self, day: date, time_us: NDArray[np.int64], series: NDArray[np.int32], value: NDArray[np.float64]
    ) -> None:
        path = partitions.path_of(self._root, day)
        old = 0
        before = None
        if path.exists():
            stored = self._coded(partitions.read(path))
            old, before = len(stored[0]), stored[2]
            time_us, series, value = (
                np.concatenate(pair) for pair in zip(stored, (time_us, series, value), strict=True)
            )
        names = list(self._series)
        used = np.flatnonzero(np.bincount(series, minlength=len(names)))
        ordered = sorted(used.tolist(), key=names.__getitem__)
        rank = np.zeros(len(names), dtype=np.int64)
        rank[ordered] = np.arange(len(ordered))
        key = rank[series] * DAY_US + time_us % DAY_US
        order = np.argsort(key, kind="stable")
        key, value = key[order], value[order]
        first = np.empty(len(key), dtype=bool)
        first[0] = True
        np.not_equal(key[1:], key[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        primary = np.array([not names[k][0].endswith("_max") for k in ordered])
        self._count(key, value, order, first, primary, old)
        if len(starts) != len(key):
            value = np.maximum.reduceat(value, starts)
            key = key[starts]
        self.known.update((names[k][0], names[k][1]) for k in ordered)
        if before is not None and len(key) == old and np.array_equal(before, value):
            return
        table, groups = _partition(key, value, [names[k] for k in ordered], int(day.toordinal()) - EPOCH.toordinal())
        partitions.write(path, table, groups)

    def _count(
        self,
        key: NDArray[np.int64],
        value: NDArray[np.float64],
        order: NDArray[np.int64],
        first: NDArray[np.bool_],
        primary: NDArray[np.bool_],
        old: int,
    ) -> None:
        """Account for one day's merge: what is new, what is a duplicate, what conflicts."""
        counted = primary[key // DAY_US]
        arrived = int((counted & (order >= old)).sum())
        kept = int((counted & first).sum()) - int((counted & (order < old)).sum())
        self._report.kept += kept
        self._report.duplicate += arrived - kept
        self._report.conflicts += int((counted[1:] & ~first[1:] & (value[1:] != value[:-1])).sum())


def _partition(
    key: NDArray[np.int64], value: NDArray[np.float64], names: list[tuple[str, str, str, int]], day: int
) -> tuple[pa.Table, list[int]]:
    """The table of one day, and the rows at which a new counter starts. `names` are in key order."""
    import pyarrow as pa

    series = key // DAY_US
    schema = samples_schema()

    def coded(position: int) -> pa.DictionaryArray:
        words = sorted({str(name[position]) for name in names})
        index = {word: k for k, word in enumerate(words)}
        codes = np.array([index[str(name[position])] for name in names], dtype=np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(codes[series]), pa.array(words, pa.string()))

    spans = np.array([name[3] for name in names], dtype=np.int32)
    table = pa.Table.from_arrays(
        [
            pa.array(key % DAY_US + day * DAY_US).view(schema.field("time").type),
            coded(1),
            coded(0),
            coded(2),
            pa.array(value),
            pa.array(spans[series]),
        ],
        schema=schema,
    )
    changes = [k for k, name in enumerate(names) if k == 0 or name[0] != names[k - 1][0]]
    return table, np.searchsorted(series, changes).tolist()
