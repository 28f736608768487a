"""SCOM raw and hourly rows as CSV (Perf.vPerfRaw, vPerfHourly, PerformanceDataAllView, and long files that look like them).

Two paths, one meaning. The fast path lets Arrow parse a whole block; rows in it that are not plain go through `RowReader`,
one by one, which is the definition. Where even the rows cannot be told apart, the block is split first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.telemetry.arrow import codes, distinct
from pro.telemetry.readers import times
from pro.telemetry.readers.scom_layout import Layout, layout_of
from pro.telemetry.readers.scom_parse import NAMES, Parsed, parse, single_out
from pro.telemetry.readers.scom_rows import TOLERANCE, RowReader, storable
from pro.telemetry.readers.series import IGNORED, NAMELESS, SeriesBook
from pro.telemetry.readers.stream import Block, Source, blocks, refine
from pro.telemetry.samples import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.core.arrays import Floats
    from pro.telemetry.samples import ReadReport


HOUR_S, DAY_US = 3600, 86_400_000_000


@dataclass(frozen=True)
class Rows:
    """Good rows as arrays (n,): microseconds since 1970, series, value, and the maximum inside the hour."""

    time_us: NDArray[np.int64]
    series: NDArray[np.int32]
    value: Floats
    maximum: Floats

    def pick(self, mask: NDArray[np.bool_]) -> Rows:
        return Rows(self.time_us[mask], self.series[mask], self.value[mask], self.maximum[mask])


class ScomCsv:
    """Long files, one sample a row: raw (`SampleValue`) or hourly (`AverageValue`, `MaxValue`; the time is the hour's start).

    Times are UTC. An hourly row becomes a sample at the *end* of its hour with `span_s` 3600, for only then it is known,
    and its maximum the counter's `_max` companion. Rows of counters PRO does not use are counted as ignored.
    """

    name = "SCOM CSV"
    describe = "SCOM raw or hourly rows as CSV, plain or gzipped (columns DateTime, Path, ObjectName, CounterName, InstanceName, SampleValue or AverageValue)"

    def sniff(self, head: bytes, path: Path) -> bool:
        try:
            return layout_of(head, path) is not None
        except InputError:
            return True

    def read(self, path: Path, report: ReadReport) -> Iterator[pa.Table]:
        source = Source(path)
        try:
            layout = layout_of(source.head, path)
            if layout is None:
                raise InputError("not a SCOM counter file", where=path)
            rows = _Rows(path, layout, report)
            header = True
            for block in blocks(source):
                pieces = block.records(1) if header else iter((block,))
                if header:
                    next(pieces)
                    header = False
                for piece in pieces:
                    if piece.whole or source.damage is None:
                        yield from refine(piece, rows.fast, rows.slow)
                    else:
                        report.rows += 1
                        text = storable(piece.data.decode("utf-8", "surrogateescape"))
                        report.reject(Rejected(str(path), piece.line, "the file ends inside this row", text))
            if source.damage is not None:
                report.rows += 1
                report.reject(Rejected(str(path), 0, source.damage, ""))
            yield from rows.finish()
        finally:
            source.close()


class _Rows:
    """Turns blocks of one file into tables."""

    def __init__(self, path: Path, layout: Layout, report: ReadReport) -> None:
        self._path, self._layout, self._report = path, layout, report
        self._book = SeriesBook(report)
        self._rows = RowReader(path, layout, self._book, report)
        self._held: list[pa.Table] = []
        """Tables of a file that may yet turn out to hold days, not hours."""
        self._days: set[int] = set()
        self._off_midnight = False

    def fast(self, block: Block) -> list[pa.Table] | None:
        """Tables of a block, by Arrow but for its odd rows; None when they cannot be told apart."""
        for strict in (True, False):
            parsed = parse(block, self._layout, strict=strict)
            if parsed is not None and (tables := self._take(block, parsed)) is not None:
                return tables
        return None

    def slow(self, block: Block) -> list[pa.Table]:
        """Tables of a block, row by row."""
        return self._tables(self._by_row([block]))

    def _by_row(self, odd: list[Block]) -> Rows:
        rows = [row for block in odd for row in self._rows.rows(block)]
        time_us = np.array([row[0] for row in rows], dtype=np.int64)
        series = np.array([row[1] for row in rows], dtype=np.int32)
        value, maximum = (np.array([row[k] for row in rows], dtype=np.float64) for k in (2, 3))
        return Rows(time_us, series, value, maximum)

    def _take(self, block: Block, parsed: Parsed) -> list[pa.Table] | None:
        series = self._series(parsed.table)
        value, maximum, sane = self._judge(series, parsed)
        odd = np.flatnonzero((series == NAMELESS) | ((series >= 0) & ~sane)).tolist()
        single: list[Block] | None = []
        if odd or parsed.skipped:
            single = single_out(block, len(series) + len(parsed.skipped), parsed.skipped, odd)
            if single is None:
                return None
        self._report.rows += len(series) - len(odd)
        self._report.ignored += int((series == IGNORED).sum())
        good = (series >= 0) & sane
        taken = Rows(parsed.time_us, series, value, maximum)
        tables = self._tables(taken if good.all() else taken.pick(good))
        return tables + self._tables(self._by_row(single)) if single else tables

    def _judge(self, series: NDArray[np.int32], parsed: Parsed) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """(value, maximum, sane) in canonical units, where `series` >= 0; the value is its own maximum where none is given."""
        if not self._book:
            return np.zeros(len(series)), np.zeros(len(series)), np.zeros(len(series), dtype=bool)
        which = np.maximum(series, 0)
        factor, low, high = (self._book.column(k)[which] for k in (4, 5, 6))
        value = parsed.numbers["average" if self._layout.hourly else "value"] * factor
        time_us = parsed.time_us
        sane = (value >= low) & (value <= high) & (time_us >= times.EARLIEST_US) & (time_us < times.LATEST_US)
        maximum = value
        if "maximum" in parsed.numbers:
            maximum = parsed.numbers["maximum"] * factor
            sane &= (maximum <= high) & (maximum >= value - TOLERANCE * np.abs(value))
        if "count" in parsed.numbers:
            sane &= parsed.numbers["count"] >= 1
        return value, maximum, sane

    def _series(self, table: pa.Table) -> NDArray[np.int32]:
        """Series of every row: names are looked up once per distinct combination, rows only index."""
        have = [role for role in NAMES if role in table.column_names]
        which, words = zip(*(codes(table.column(role)) for role in have), strict=True)
        found, back = distinct(which, [len(w) for w in words])
        series = []
        for combination in found:
            names = dict.fromkeys(NAMES, "")
            names.update(zip(have, (w[k] for w, k in zip(words, combination, strict=True)), strict=True))
            series.append(self._book.series(**names))
        return np.array(series, dtype=np.int32)[back]

    def _tables(self, rows: Rows) -> list[pa.Table]:
        if not len(rows.series):
            return []
        if not self._layout.hourly:
            return [self._book.table(rows.time_us, rows.series, rows.value, 0)]
        ends = rows.time_us + HOUR_S * 1_000_000
        self._held.append(self._book.table(ends, rows.series, rows.value, HOUR_S))
        if self._layout.peaked:
            highest = np.maximum(rows.maximum, rows.value)
            self._held.append(self._book.table(ends, rows.series, highest, HOUR_S, maximum=True))
        if not self._off_midnight:
            self._off_midnight = bool((rows.time_us % DAY_US).any())
            self._days.update(np.unique(rows.time_us // DAY_US).tolist())
        return self._release() if self._off_midnight else []

    def _release(self) -> list[pa.Table]:
        held, self._held = self._held, []
        return held

    def finish(self) -> Iterator[pa.Table]:
        """What was held back.

        Raises
        ------
        InputError
            Every row of several days is at midnight: vPerfDaily, which looks like vPerfHourly but is not.
        """
        if self._layout.hourly and not self._off_midnight and len(self._days) > 1:
            raise InputError(
                "these are daily aggregates, too coarse for PRO", expected="raw or hourly rows", where=self._path
            )
        yield from self._release()
