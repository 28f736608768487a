"""How a SCOM file is laid out: which column is what, in any order and under any of the usual names."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.telemetry.readers import times
from pro.telemetry.readers.catalogue import known_names

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass(frozen=True)
class Layout:
    """How one file is laid out.

    `width` cells a row; `where[role]` is the column of a role in `ALIASES`; `order` how instants are written
    (`times.order_of`), with at most `digits` digits behind the second's point.
    """

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
    def peaked(self) -> bool:
        """Whether rows carry the maximum inside the hour."""
        return self.hourly and "maximum" in self.where

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
