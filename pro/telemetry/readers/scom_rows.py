"""SCOM rows one by one: the definition of what a row means, and what is wrong with those that mean nothing."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.telemetry.readers import times
from pro.telemetry.readers.series import IGNORED, NAMELESS, SeriesBook
from pro.telemetry.samples import ReadReport, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pro.telemetry.readers.scom_layout import Layout
    from pro.telemetry.readers.stream import Block

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LONGEST_RECORD = 64
"""Lines one record may span; beyond it, a quotation mark was left open."""
TOLERANCE = 1e-6
"""Relative: an hour's maximum may lie below its average by rounding."""


@dataclass
class RowReader:
    """Reads the rows of one file into (time_us, series, value, maximum); what is wrong goes to `report`."""

    path: Path
    layout: Layout
    book: SeriesBook
    report: ReadReport

    def rows(self, block: Block) -> list[tuple[int, int, float, float]]:
        """All good rows of `block`."""
        records = _records(block, self.layout)
        return [row for text, line, cells in records if (row := self._row(text, line, cells)) is not None]

    def _row(self, text: str, line: int, cells: list[str]) -> tuple[int, int, float, float] | None:
        """One record; None when it is ignored or rejected."""
        where = self.layout.where
        self.report.rows += 1
        try:
            if len(cells) != self.layout.width:
                raise ValueError(f"{len(cells)} cells instead of {self.layout.width}")
            _encodable(text)
            instance = cells[where["instance"]] if "instance" in where else ""
            series = self.book.series(cells[where["path"]], cells[where["object"]], cells[where["counter"]], instance)
            if series == IGNORED:
                self.report.ignored += 1
                return None
            if series == NAMELESS:
                raise ValueError("no computer name")
            time_us = _instant(self.layout, cells[where["time"]])
            low, high = self.book.bounds(series)
            factor = self.book.factor(series)
            value = number(cells[self.layout.number], "value") * factor
            if not low <= value <= high:
                raise ValueError(f"value outside {low:g}..{high:g} ({self.book.canonical(series)})")
            return time_us, series, value, self._extremes(cells, value, factor, high)
        except ValueError as error:
            self.report.reject(Rejected(str(self.path), line, str(error), storable(text)))
            return None

    def _extremes(self, cells: list[str], value: float, factor: float, high: float) -> float:
        where = self.layout.where
        if not self.layout.hourly:
            return value
        if "count" in where and number(cells[where["count"]], "sample count") < 1:
            raise ValueError("no samples in the hour")
        if "maximum" not in where:
            return value
        maximum = number(cells[where["maximum"]], "maximum") * factor
        if maximum > high:
            raise ValueError(f"maximum outside ..{high:g}")
        if maximum < value - TOLERANCE * abs(value):
            raise ValueError("maximum below the average")
        return maximum


def _records(block: Block, layout: Layout) -> Iterator[tuple[str, int, list[str]]]:
    """(raw text, line number, cells) of every record. A quotation mark left open spoils its own line only."""
    lines = block.data.decode("utf-8", "surrogateescape").split("\n")
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
            if used - first > 1 and (len(cells) != layout.width or used - first > LONGEST_RECORD):
                used = first + 1
                yield lines[first].rstrip("\r\n"), block.line + first, []
                break
            if lines[first].strip():
                yield "".join(lines[first:used]).rstrip("\r\n"), block.line + first, cells
        start = used


def _instant(layout: Layout, text: str) -> int:
    try:
        time_us = layout.parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError("not an instant in time") from None
    if not times.EARLIEST_US <= time_us < times.LATEST_US:
        raise ValueError("time outside 1990..2100")
    return time_us


def number(text: str, what: str) -> float:
    """A plain decimal number: no thousands, no decimal comma, no `nan`; `what` names it in the error."""
    if not _NUMBER.fullmatch(text.strip(" \t")):
        raise ValueError(f"{what} is not a number")
    return float(text)


def _encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8 text") from None


def storable(text: str) -> str:
    """`text` for the quarantine: at most 2,000 characters, always valid UTF-8."""
    return text[:2000].encode("utf-8", "backslashreplace").decode("utf-8")
