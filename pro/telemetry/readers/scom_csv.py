"""SCOM raw and hourly rows as CSV (Perf.vPerfRaw, vPerfHourly, PerformanceDataAllView, and long files that look like them).

Two paths, one meaning. The fast path lets Arrow parse a whole block; when anything in the block is not plain, the block
is split, and only the piece with the oddity goes through `RowReader`, row by row, which is the definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.telemetry.arrow import codes, distinct, numbers
from pro.telemetry.readers import times
from pro.telemetry.readers.scom_layout import Layout, layout_of
from pro.telemetry.readers.scom_rows import TOLERANCE, RowReader, storable
from pro.telemetry.readers.series import NAMELESS, SeriesBook
from pro.telemetry.readers.stream import Block, Source, blocks, lone_returns, refine
from pro.telemetry.samples import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.telemetry.samples import ReadReport

    Floats = NDArray[np.float64]
    Arrays = tuple[NDArray[np.int64], NDArray[np.int32], Floats, Floats | None]
    """time_us, series, value, maximum"""

HOUR_S, DAY_US = 3600, 86_400_000_000


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

    # fast ------------------------------------------------------------------------------------------------------

    def fast(self, block: Block) -> list[pa.Table] | None:
        arrays = self._fast(block)
        return None if arrays is None else self._tables(*arrays)

    def slow(self, block: Block) -> list[pa.Table]:
        return self._tables(*self._by_row(block))

    def _by_row(self, block: Block) -> Arrays:
        rows = self._rows.rows(block)
        time_us = np.array([row[0] for row in rows], dtype=np.int64)
        series = np.array([row[1] for row in rows], dtype=np.int32)
        value, maximum = (np.array([row[k] for row in rows], dtype=np.float64) for k in (2, 3))
        return time_us, series, value, maximum if self._layout.peaked else None

    def _parse(self, block: Block) -> pa.Table | None:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        data = block.data
        quoted = b'"' in data
        if quoted and lone_returns(data):
            return None
        layout = self._layout
        if layout.order == "iso" and layout.digits <= 9:
            stamp = pa.timestamp("us" if layout.digits <= 6 else "ns")
        else:
            stamp = pa.dictionary(pa.int32(), pa.string())
        kinds = dict.fromkeys(("path", "object", "counter", "instance"), pa.dictionary(pa.int32(), pa.string()))
        kinds |= dict.fromkeys(("value", "average", "maximum", "count"), pa.float64()) | {"time": stamp}
        if layout.hourly:
            wanted = layout.where
        else:
            wanted = {role: k for role, k in layout.where.items() if role not in ("average", "maximum", "count")}
        names = [f"c{k}" for k in range(layout.width)]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(data),
                read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
                parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=quoted),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={f"c{k}": kinds[role] for role, k in wanted.items()},
                    include_columns=[f"c{k}" for k in wanted.values()],
                    null_values=["", "NULL"],
                ),
            ).rename_columns(list(wanted))
        except pa.ArrowInvalid:
            return None
        # a lone carriage return ends a row for Arrow, but not for us
        return None if not quoted and table.num_rows != block.lines and lone_returns(data) else table

    def _fast(self, block: Block) -> Arrays | None:
        """Arrays (time_us, series, value, maximum) of a block in which nothing is odd; None when something is."""
        table = self._parse(block)
        if table is None:
            return None
        if any(table.column(role).null_count for role in table.column_names):
            return None
        time_us = self._times(table.column("time"))
        series = self._series(table)
        if time_us is None or bool((series == NAMELESS).any()):
            return None
        value = numbers(table.column("average" if self._layout.hourly else "value"))
        maximum = numbers(table.column("maximum")) if "maximum" in table.column_names else None
        count = numbers(table.column("count")) if "count" in table.column_names else None
        used = series >= 0
        if not used.all():
            time_us, series, value = time_us[used], series[used], value[used]
            maximum = None if maximum is None else maximum[used]
            count = None if count is None else count[used]
        if len(series):
            factor, low, high = (self._book.column(k)[series] for k in (4, 5, 6))
            value = value * factor
            sane = (value >= low) & (value <= high) & (time_us >= times.EARLIEST_US) & (time_us < times.LATEST_US)
            if maximum is not None:
                maximum = maximum * factor
                sane &= (maximum <= high) & (maximum >= value - TOLERANCE * np.abs(value))
            if count is not None:
                sane &= count >= 1
            if not sane.all():
                return None
        self._report.rows += len(used)
        self._report.ignored += len(used) - len(series)
        return time_us, series, value, maximum

    def _times(self, column: pa.ChunkedArray) -> NDArray[np.int64] | None:
        import pyarrow as pa

        if pa.types.is_timestamp(column.type):
            ticks: NDArray[np.int64] = numbers(column)
            return ticks // 1000 if column.type.unit == "ns" else ticks
        which, texts = codes(column)
        try:
            known = np.array([self._layout.parse_time(text) for text in texts], dtype=np.int64)
        except (ValueError, OverflowError):
            return None
        return known[which]

    def _series(self, table: pa.Table) -> NDArray[np.int32]:
        """Series of every row: names are looked up once per distinct combination, rows only index."""
        roles = ("path", "object", "counter", "instance")
        have = [role for role in roles if role in table.column_names]
        which, words = zip(*(codes(table.column(role)) for role in have), strict=True)
        found, back = distinct(which, [len(w) for w in words])
        series = []
        for combination in found:
            names = dict.fromkeys(roles, "")
            names.update(zip(have, (w[k] for w, k in zip(words, combination, strict=True)), strict=True))
            series.append(self._book.series(**names))
        return np.array(series, dtype=np.int32)[back]

    # both ------------------------------------------------------------------------------------------------------

    def _tables(
        self, time_us: NDArray[np.int64], series: NDArray[np.int32], value: Floats, maximum: Floats | None
    ) -> list[pa.Table]:
        if not len(series):
            return []
        if not self._layout.hourly:
            return [self._book.table(time_us, series, value, 0)]
        ends = time_us + HOUR_S * 1_000_000
        self._held.append(self._book.table(ends, series, value, HOUR_S))
        if maximum is not None:
            self._held.append(self._book.table(ends, series, np.maximum(maximum, value), HOUR_S, maximum=True))
        if not self._off_midnight:
            self._off_midnight = bool((time_us % DAY_US).any())
            self._days.update(np.unique(time_us // DAY_US).tolist())
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
