"""SCOM raw and hourly rows as CSV (Perf.vPerfRaw, vPerfHourly, PerformanceDataAllView, and long files that look like them).

Two paths, one meaning. The fast path lets Arrow parse a whole block; when anything in the block is not plain, the block
is split, and only the piece with the oddity goes through the slow path, row by row in Python, which is the definition.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.telemetry.readers import times
from pro.telemetry.readers.catalogue import known_names
from pro.telemetry.readers.series import IGNORED, NAMELESS, SeriesBook
from pro.telemetry.readers.stream import Source, blocks, boundaries
from pro.telemetry.samples import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.telemetry.samples import ReadReport

ALIASES: dict[str, tuple[str, ...]] = {
    "time": ("DateTime", "TimeSampled", "TimeGenerated", "TimeGenerated [UTC]", "Timestamp", "SampleTime", "Date Time"),
    "path": ("Path", "Computer", "ComputerName", "Machine", "MachineName", "Server", "HostName"),
    "object": ("ObjectName", "Object", "PerfObject"),
    "counter": ("CounterName", "Counter", "PerfCounter"),
    "instance": ("InstanceName", "Instance", "PerfInstance"),
    "value": ("SampleValue", "CounterValue", "Value", "CookedValue"),
    "average": ("AverageValue", "Average", "Avg"),
    "maximum": ("MaxValue", "Max", "Maximum"),
    "count": ("SampleCount", "Samples"),
}
"""Column names understood, without regard to case. `instance`, `maximum` and `count` may be absent."""

HOUR_S, DAY_US = 3600, 86_400_000_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SMALL = 48 * 1024
_LONGEST_RECORD = 64
"""Lines one record may span; beyond it, a quotation mark was left open."""


@dataclass(frozen=True)
class Layout:
    """How one file is laid out: delimiter, width, and where each thing stands."""

    delimiter: str
    width: int
    where: dict[str, int]
    order: str
    digits: int

    @property
    def hourly(self) -> bool:
        return "value" not in self.where

    @property
    def number(self) -> int:
        """The column with the sample or its average."""
        return self.where["average" if self.hourly else "value"]

    @property
    def parse_time(self) -> Callable[[str], int]:
        parsers = {"iso": times.iso, "month_first": times.month_first, "day_first": times.day_first}
        return parsers[self.order]


def _columns(header: list[str]) -> dict[str, int]:
    names = [" ".join(name.casefold().split()) for name in header]
    where = {}
    for role, aliases in ALIASES.items():
        for alias in aliases:
            if alias.casefold() in names:
                where[role] = names.index(alias.casefold())
                break
    return where


def _complete(where: dict[str, int]) -> bool:
    return {"time", "path", "object", "counter"} <= set(where) and bool({"value", "average"} & set(where))


def _first_rows(head: bytes, delimiter: str) -> list[list[str]]:
    lines = head.decode("utf-8", "replace").splitlines(keepends=True)
    try:
        return [row for row in csv.reader(lines[:400], delimiter=delimiter) if row]
    except csv.Error:
        return []


def _headless(row: list[str]) -> bool:
    """Whether `row` is a data row of a file saved without a header (as Management Studio does)."""
    if len(row) < 5 or not any(re.match(r"\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}[/.]\d{4}", cell.strip()) for cell in row):
        return False
    return any(known_names(a, b) == 2 for a, b in pairwise(row))


def layout_of(head: bytes, where: object) -> Layout | None:
    """The layout of a file that begins with `head`, or None when it is not of this format.

    Raises
    ------
    InputError
        It is of this format, but has no header, or its dates can be read two ways.
    """
    for delimiter in ",;\t":
        rows = _first_rows(head, delimiter)
        if not rows:
            continue
        columns = _columns(rows[0])
        if _complete(columns):
            stamps = [row[columns["time"]] for row in rows[1:-1] or rows[1:] if len(row) > columns["time"]]
            american = "[utc]" in rows[0][columns["time"]].casefold()
            digits = max((len(re.split(r"[Z+]", s.partition(".")[2])[0]) for s in stamps), default=0)
            return Layout(delimiter, len(rows[0]), columns, times.order_of(stamps, where, american=american), digits)
        if _headless(rows[0]):
            raise InputError(
                "counter rows without a header line",
                got=delimiter.join(rows[0])[:120],
                expected="a first line that names the columns, e.g. DateTime,Path,ObjectName,CounterName,InstanceName,"
                "SampleValue (in Management Studio: Options > Query Results > Include column headers)",
                where=where,
            )
    return None


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
            for data, line, whole in blocks(source):
                if header:
                    skip = int(boundaries(data)[0]) if len(boundaries(data)) else len(data)
                    line += data[:skip].count(b"\n")
                    data, header = data[skip:], False
                yield from rows.block(data, line, plain=whole)
            if source.damage is not None:
                report.rows += 1
                report.reject(Rejected(str(path), 0, source.damage, ""))
            rows.finish()
        finally:
            source.close()


class _Rows:
    """Turns blocks of one file into tables."""

    def __init__(self, path: Path, layout: Layout, report: ReadReport) -> None:
        self._path, self._layout, self._report = path, layout, report
        self._book = SeriesBook(report)
        self._days: set[int] = set()
        self._off_midnight = False

    # fast ------------------------------------------------------------------------------------------------------

    def block(self, data: bytes, line: int, *, plain: bool = True) -> Iterator[pa.Table]:
        """All rows in `data`, which starts at `line`; `plain` False sends it through the slow path."""
        if not data.strip():
            return
        if plain and (arrays := self._fast(data)) is not None:
            yield from self._emit(*arrays)
            return
        cuts = boundaries(data) if len(data) > _SMALL else []
        if len(cuts) < 16:
            yield from self._slow(data, line)
            return
        start = 0
        for k in range(1, 17):
            end = int(cuts[len(cuts) * k // 16 - 1]) if k < 16 else len(data)
            yield from self.block(data[start:end], line, plain=plain or k < 16)
            line += data[start:end].count(b"\n")
            start = end

    def _parse(self, data: bytes) -> pa.Table | None:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if data.count(b"\r") != data.count(b"\r\n"):
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
            return arrow_csv.read_csv(
                pa.BufferReader(data),
                read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
                parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=b'"' in data),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={f"c{k}": kinds[role] for role, k in wanted.items()},
                    include_columns=[f"c{k}" for k in wanted.values()],
                    null_values=["", "NULL"],
                ),
            ).rename_columns(list(wanted))
        except pa.ArrowInvalid:
            return None

    def _fast(
        self, data: bytes
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64] | None] | None:
        """Arrays (time_us, series, value, maximum) of a block in which nothing is odd; None when something is."""
        table = self._parse(data)
        if table is None:
            return None
        if any(table.column(role).null_count for role in table.column_names):
            return None
        time_us = self._times(table.column("time"))
        series = self._series(table)
        if time_us is None or bool((series == NAMELESS).any()):
            return None
        value = table.column("average" if self._layout.hourly else "value").to_numpy()
        maximum = table.column("maximum").to_numpy() if "maximum" in table.column_names else None
        count = table.column("count").to_numpy() if "count" in table.column_names else None
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
                sane &= (maximum <= high) & (maximum >= value - 1e-6 * np.abs(value))
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
            ticks = column.cast(pa.int64()).to_numpy()
            return ticks // 1000 if column.type.unit == "ns" else ticks
        coded = column.combine_chunks()
        try:
            known = np.array([self._layout.parse_time(text) for text in coded.dictionary.to_pylist()], dtype=np.int64)
        except ValueError:
            return None
        return known[coded.indices.to_numpy()]

    def _series(self, table: pa.Table) -> NDArray[np.int32]:
        """Series of every row: names are looked up once per distinct combination, rows only index."""
        combined: NDArray[np.int64] = np.zeros(table.num_rows, dtype=np.int64)
        words: list[list[str]] = []
        for role in ("path", "object", "counter", "instance"):
            if role not in table.column_names:
                words.append([""])
                continue
            coded = table.column(role).combine_chunks()
            words.append(coded.dictionary.to_pylist())
            combined = combined * len(words[-1]) + coded.indices.to_numpy()
        size = math.prod(len(w) for w in words)
        if size <= max(4 * table.num_rows, 65536):
            present = np.zeros(size, dtype=bool)
            present[combined] = True
            distinct = np.flatnonzero(present)
            slot = np.zeros(size, dtype=np.int32)
            slot[distinct] = np.arange(len(distinct), dtype=np.int32)
            back = slot[combined]
        else:
            distinct, inverse = np.unique(combined, return_inverse=True)
            back = inverse.astype(np.int32)
        picks = np.unravel_index(distinct, [len(w) for w in words])
        numbers = [
            self._book.series(*(w[i] for w, i in zip(words, row, strict=True)))
            for row in zip(*(p.tolist() for p in picks), strict=True)
        ]
        return np.array(numbers, dtype=np.int32)[back]

    # slow ------------------------------------------------------------------------------------------------------

    def _slow(self, data: bytes, line: int) -> Iterator[pa.Table]:
        found = [row for text, at, cells in _records(data, line, self._layout) if (row := self._row(text, at, cells))]
        if not found:
            return
        columns = list(zip(*found, strict=True))
        maximum = (
            np.array(columns[3], dtype=np.float64) if self._layout.hourly and "maximum" in self._layout.where else None
        )
        yield from self._emit(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1], dtype=np.int32),
            np.array(columns[2], dtype=np.float64),
            maximum,
        )

    def _row(self, text: str, line: int, cells: list[str]) -> tuple[int, int, float, float] | None:
        """(time_us, series, value, maximum) of one record; None when it is ignored or rejected."""
        where = self._layout.where
        self._report.rows += 1
        try:
            if len(cells) != self._layout.width:
                raise ValueError(f"{len(cells)} cells instead of {self._layout.width}")
            _encodable(text)
            instance = cells[where["instance"]] if "instance" in where else ""
            series = self._book.series(cells[where["path"]], cells[where["object"]], cells[where["counter"]], instance)
            if series == IGNORED:
                self._report.ignored += 1
                return None
            if series == NAMELESS:
                raise ValueError("no computer name")
            time_us = _instant(self._layout, cells[where["time"]])
            low, high = self._book.bounds(series)
            factor = self._book.factor(series)
            value = _number(cells[self._layout.number], "value") * factor
            if not low <= value <= high:
                raise ValueError(f"value outside {low:g}..{high:g} ({self._book.canonical(series)})")
            return time_us, series, value, self._extremes(cells, value, factor, high)
        except ValueError as error:
            self._report.reject(Rejected(str(self._path), line, str(error), _storable(text)))
            return None

    def _extremes(self, cells: list[str], value: float, factor: float, high: float) -> float:
        where = self._layout.where
        if not self._layout.hourly:
            return value
        if "count" in where and _number(cells[where["count"]], "sample count") < 1:
            raise ValueError("no samples in the hour")
        if "maximum" not in where:
            return value
        maximum = _number(cells[where["maximum"]], "maximum") * factor
        if maximum > high:
            raise ValueError(f"maximum outside ..{high:g}")
        if maximum < value - 1e-6 * abs(value):
            raise ValueError("maximum below the average")
        return maximum

    # both ------------------------------------------------------------------------------------------------------

    def _emit(
        self,
        time_us: NDArray[np.int64],
        series: NDArray[np.int32],
        value: NDArray[np.float64],
        maximum: NDArray[np.float64] | None,
    ) -> Iterator[pa.Table]:
        if not len(series):
            return
        if not self._layout.hourly:
            yield self._book.table(time_us, series, value, 0)
            return
        days = np.unique(time_us)
        self._off_midnight |= bool((days % DAY_US).any())
        self._days.update((days // DAY_US).tolist())
        ends = time_us + HOUR_S * 1_000_000
        yield self._book.table(ends, series, value, HOUR_S)
        if maximum is not None:
            yield self._book.table(ends, series, np.maximum(maximum, value), HOUR_S, maximum=True)

    def finish(self) -> None:
        """Raise InputError when the file as a whole cannot be what it was taken for."""
        if self._layout.hourly and not self._off_midnight and len(self._days) > 1:
            raise InputError(
                "these are daily aggregates: too coarse for PRO", expected="raw or hourly rows", where=self._path
            )


def _records(data: bytes, line: int, layout: Layout) -> Iterator[tuple[str, int, list[str]]]:
    """(raw text, line number, cells) of every record. A quotation mark left open spoils its own line only."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    lines = [text + "\n" for text in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    start = 0
    while start < len(lines):
        reader = csv.reader(iter(lines[start:]), delimiter=layout.delimiter)
        base = used = start
        while used < len(lines):
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error:
                cells = []
            first, used = used, base + reader.line_num
            if used - first > 1 and (len(cells) != layout.width or used - first > _LONGEST_RECORD):
                used = first + 1
                yield lines[first].rstrip("\r\n"), line + first, []
                break
            if cells or lines[first].strip():
                yield "".join(lines[first:used]).rstrip("\r\n"), line + first, cells
        start = used


def _instant(layout: Layout, text: str) -> int:
    try:
        time_us = layout.parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError("not an instant in time") from None
    if not times.EARLIEST_US <= time_us < times.LATEST_US:
        raise ValueError("time outside 1990..2100")
    return time_us


def _number(text: str, what: str) -> float:
    if not _NUMBER.fullmatch(text.strip(" \t")):
        raise ValueError(f"{what} is not a number")
    return float(text)


def _encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8 text") from None


def _storable(text: str) -> str:
    return text[:2000].encode("utf-8", "backslashreplace").decode("utf-8")
