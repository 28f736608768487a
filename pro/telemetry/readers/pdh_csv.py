"""PerfMon logs as PDH-CSV or PDH-TSV 4.0 (typeperf, relog -f CSV, logman, Export-Counter, esxtop -b): one column a counter."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np

from pro.telemetry.arrow import floats
from pro.telemetry.readers import times
from pro.telemetry.readers.pdh_header import MARK, Header, code_page, parse_header, parse_path
from pro.telemetry.readers.scom_rows import number, storable
from pro.telemetry.readers.series import IGNORED, NAMELESS, SeriesBook
from pro.telemetry.readers.stream import Block, Source, blocks, refine
from pro.telemetry.samples import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.telemetry.readers.options import ReadOptions
    from pro.telemetry.samples import ReadReport

MISSING = ("", " ")


class PdhCsv:
    """Wide logs. Times are local; the header's bias turns them into UTC.

    Where the header does not state the bias, `options.tz` does; failing that the times are taken as UTC, with a
    warning. Files neither marked nor UTF-8 are read in `options.encoding`, or in a guessed code page, with a warning.
    A blank cell is not known. A row cut short keeps the cells that are surely complete; it is quarantined all the same.
    """

    name = "PerfMon CSV"
    describe = "PerfMon log as PDH-CSV or PDH-TSV 4.0 (relog, typeperf, logman)"

    def __init__(self, options: ReadOptions) -> None:
        self.options = options

    def sniff(self, head: bytes, path: Path) -> bool:
        del path
        return MARK.match(head) is not None

    def read(self, path: Path, report: ReadReport) -> Iterator[pa.Table]:
        source = Source(path)
        try:
            self._choose_encoding(source, report)
            body: _Body | None = None
            for block in blocks(source):
                pieces = block.records(1) if body is None else iter((block,))
                if body is None:
                    body = _Body(
                        path,
                        parse_header(next(pieces).data.decode("utf-8", "replace"), path),
                        self.options.zone,
                        report,
                    )
                for piece in pieces:
                    yield from refine(piece, body.fast, body.slow)
            if source.damage is not None:
                report.rows += 1
                report.reject(Rejected(str(path), 0, source.damage, ""))
            if body is not None:
                body.finish()
        finally:
            source.close()

    def _choose_encoding(self, source: Source, report: ReadReport) -> None:
        if source.bom is not None:
            return
        if self.options.page is not None:
            source.use(self.options.page)
            return
        page, guessed = code_page(source.first_line())
        source.use(page)
        if guessed:
            report.warnings.append(f"neither UTF-8 nor marked; read as {page}, which is a guess")


@dataclass
class _Body:
    """Turns blocks of rows into tables, column by column."""

    path: Path
    header: Header
    zone: ZoneInfo | None
    report: ReadReport
    book: SeriesBook = field(init=False)
    used: dict[int, int] = field(init=False)
    """column (1 is the first behind the time) -> series"""
    _newest: int = -(2**62)
    _backwards: int = 0

    def __post_init__(self) -> None:
        self.book = SeriesBook(self.report)
        self.used = {}
        for at, name in enumerate(self.header.names, start=1):
            series = self._series(at, name)
            if series is not None:
                self.used[at] = series
        if self.header.bias_minutes is None:
            how = f"taken as local time of {self.zone.key}" if self.zone else "taken as UTC"
            self.report.warnings.append(f"the header does not state the offset from UTC; times are {how}")

    def _series(self, at: int, name: str) -> int | None:
        """The series of a column; None for columns that are not used or name no counter (those are quarantined once)."""
        path = parse_path(name)
        if path is None and not name.strip():
            return None
        series = NAMELESS if path is None else self.book.series(path.computer, path.object, path.counter, path.instance)
        if series == NAMELESS:
            self.report.rows += 1
            self.report.reject(
                Rejected(str(self.path), 1, f"column {at + 1} is no counter of a computer", storable(name))
            )
            return None
        return None if series == IGNORED else series

    # fast ------------------------------------------------------------------------------------------------------

    def fast(self, block: Block) -> list[pa.Table] | None:
        """Tables of a block in which every cell is plain; None otherwise."""
        table = self._parse(block)
        if table is None:
            return None
        try:
            stamps = [self._utc(text) for text in table.column("c0").to_pylist()]
        except (ValueError, OverflowError):
            return None
        time_us = np.array(stamps, dtype=np.int64)
        pieces = []
        filled = 0
        for at, series in self.used.items():
            column = table.column(f"c{at}")
            value = floats(column) * self.book.factor(series)
            known = ~np.isnan(value)
            value = value[known]
            low, high = self.book.bounds(series)
            count = len(time_us) - column.null_count
            if len(value) != count or not ((value >= low) & (value <= high)).all():
                return None
            filled += count
            pieces.append((time_us[known], np.full(count, series, dtype=np.int32), value))
        names = [f"c{at}" for at in range(1, len(self.header.names) + 1) if at not in self.used]
        unused = sum(len(time_us) - table.column(name).null_count for name in names)
        self.report.rows += filled + unused
        self.report.ignored += unused
        self._watch(time_us, block.line)
        if not filled:
            return []
        time_all, series_all, value_all = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        return [self.book.table(time_all, series_all, value_all, 0)]

    def _parse(self, block: Block) -> pa.Table | None:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        names = [f"c{at}" for at in range(len(self.header.names) + 1)]
        kinds = {name: pa.float64() if at in self.used else pa.string() for at, name in enumerate(names)}
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(block.data),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, column_names=names, block_size=len(block.data) + 1
                ),
                parse_options=arrow_csv.ParseOptions(delimiter=self.header.delimiter),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=kinds, null_values=list(MISSING), strings_can_be_null=True
                ),
            )
        except pa.ArrowInvalid:
            return None

    def _utc(self, text: str | None) -> int:
        """Microseconds since 1970 of a row's stamp."""
        local = times.month_first(text or "")
        if self.header.bias_minutes is not None:
            utc = local + self.header.bias_minutes * 60_000_000
        elif self.zone is not None:
            utc = times.to_us(times.from_us(local).replace(tzinfo=self.zone).astimezone(UTC))
        else:
            utc = local
        if not times.EARLIEST_US <= utc < times.LATEST_US:
            raise ValueError("time outside 1990..2100")
        return utc

    def _watch(self, time_us: NDArray[np.int64], line: int) -> None:
        """Notice when the clock runs backwards: the bias is frozen, so a change to winter time repeats an hour."""
        if not len(time_us):
            return
        steps = np.diff(np.concatenate(([self._newest], time_us)))
        if self._backwards == 0 and (steps < 0).any():
            self._backwards = line + int(np.argmax(steps < 0))
        self._newest = int(time_us[-1])

    # slow ------------------------------------------------------------------------------------------------------

    def slow(self, block: Block) -> list[pa.Table]:
        """Tables of a block, row by row and cell by cell."""
        found: list[tuple[int, int, float]] = []
        line = block.line
        for raw in block.data.decode("utf-8", "surrogateescape").split("\n"):
            if raw.strip():
                last = line == block.line + block.lines
                found += self._row(raw.rstrip("\r"), line, ended=not last)
            line += 1
        if not found:
            return []
        time_us, series, value = zip(*found, strict=True)
        return [
            self.book.table(
                np.array(time_us, dtype=np.int64),
                np.array(series, dtype=np.int32),
                np.array(value, dtype=np.float64),
                0,
            )
        ]

    def _row(self, raw: str, line: int, *, ended: bool) -> list[tuple[int, int, float]]:
        """(time_us, series, value) of one row."""
        width = len(self.header.names) + 1
        try:
            cells = next(csv.reader([raw], delimiter=self.header.delimiter))
            closed = raw.count('"') % 2 == 0 and (ended or raw.endswith('"'))
            if len(cells) > width:
                raise ValueError(f"{len(cells)} cells instead of {width}")
            time_us = self._utc(cells[0])
        except (ValueError, OverflowError, csv.Error) as error:
            self.report.rows += 1
            self.report.reject(Rejected(str(self.path), line, str(error), storable(raw)))
            return []
        if len(cells) < width or not closed:
            cells = cells if closed else cells[:-1]
            self.report.rows += 1
            reason = f"the row is cut short: {max(len(cells) - 1, 0)} of {width - 1} counters are complete, and kept"
            self.report.reject(Rejected(str(self.path), line, reason, storable(raw)))
        self._watch(np.array([time_us]), line)
        out = []
        for at, cell in enumerate(cells[1:], start=1):
            value = self._cell(at, cell, line)
            if value is not None:
                out.append((time_us, self.used[at], value))
        return out

    def _cell(self, at: int, cell: str, line: int) -> float | None:
        """One cell's value; None when it is blank, not used, or wrong."""
        if cell in MISSING:
            return None
        self.report.rows += 1
        if at not in self.used:
            self.report.ignored += 1
            return None
        series = self.used[at]
        low, high = self.book.bounds(series)
        try:
            value = number(cell, "value") * self.book.factor(series)
            if not low <= value <= high:
                raise ValueError(f"value outside {low:g}..{high:g} ({self.book.canonical(series)})")
        except ValueError as error:
            text = f"{self.header.names[at - 1]}: {cell}"
            self.report.reject(Rejected(str(self.path), line, f"column {at + 1}: {error}", storable(text)))
            return None
        return value

    def finish(self) -> None:
        """Say what was odd about the file as a whole."""
        if self._backwards:
            self.report.warnings.append(
                f"time runs backwards at line {self._backwards}; the offset from UTC may have changed inside the file"
            )
