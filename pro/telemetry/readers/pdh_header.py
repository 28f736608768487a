"""The first line of a PerfMon log: format, time zone, and what every column counts."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import pairwise

from pro.core.errors import InputError
from pro.telemetry.readers.catalogue import known_names

MARK = re.compile(rb'\s*"?\(PDH-([CT])SV 4\.0\)')
_BIAS = re.compile(r"\(([+-]?\d{1,4})\)\s*$")
CODE_PAGES = ("cp1251", "cp1252", "cp932", "gbk", "cp1250")
"""Tried in this order on files that are neither marked nor UTF-8; see `code_page`."""


@dataclass(frozen=True)
class CounterPath:
    """One column's counter path `\\\\computer\\object(instance)\\counter`; instance is empty for a singleton."""

    computer: str
    object: str
    instance: str
    counter: str


@dataclass(frozen=True)
class Header:
    """What the first line says.

    Attributes
    ----------
    delimiter
        `,` (PDH-CSV) or tab (PDH-TSV).
    bias_minutes
        Minutes to add to local time to get UTC, frozen when the log started; None where the line does not say: Windows
        cuts it off behind a time zone's name that is not plain English.
    names
        The columns behind the time, as they stand.
    """

    delimiter: str
    bias_minutes: int | None
    names: tuple[str, ...]


def parse_header(line: str, where: object) -> Header:
    """Read the first line.

    Raises
    ------
    InputError
        It is no PDH header.
    """
    mark = MARK.match(line.encode("utf-8", "replace"))
    if mark is None:
        raise InputError("not a PerfMon log", got=line[:60], expected='"(PDH-CSV 4.0) (zone)(bias)", ...', where=where)
    delimiter = "," if mark[1] == b"C" else "\t"
    try:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"the header cannot be read ({error})", where=where) from None
    bias = _BIAS.search(cells[0])
    return Header(delimiter, int(bias[1]) if bias else None, tuple(cells[1:]))


def parse_path(text: str) -> CounterPath | None:
    """Take a counter path apart, from the right and minding nested brackets; None when it is no counter path.

    Counters may end in a bracket (`Prozessorzeit (%)`) and instances may contain some (`web (old)`), so the instance is
    the last balanced bracket before the last backslash.
    """
    if not text.startswith("\\\\"):
        return None
    computer, slash, rest = text[2:].partition("\\")
    left, other, counter = rest.rpartition("\\")
    if not (slash and other and computer.strip() and left.strip() and counter.strip()):
        return None
    if not left.endswith(")"):
        return CounterPath(computer, left, "", counter)
    depth = 0
    for at in range(len(left) - 1, -1, -1):
        depth += (left[at] == ")") - (left[at] == "(")
        if depth == 0:
            return CounterPath(computer, left[:at], left[at + 1 : -1], counter)
    at = left.find("(")
    return (
        CounterPath(computer, left[:at], left[at + 1 : -1], counter)
        if at > 0
        else CounterPath(computer, left, "", counter)
    )


def code_page(line: bytes) -> tuple[str, bool]:
    """How the bytes of a header are encoded, and whether that is only a guess.

    UTF-8 where they are UTF-8. Otherwise the code page under which most object and counter names are known to the
    catalogue; where none is, Cyrillic if the bytes above 127 stand together as the letters of words do, else Western.
    """
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8", False
    scores = {page: _known(line, page) for page in CODE_PAGES}
    best = max(CODE_PAGES, key=lambda page: scores[page])
    if scores[best] == 0:
        high = [byte > 127 for byte in line]
        together = sum(a and b for a, b in pairwise(high))
        best = "cp1251" if 2 * together > sum(high) else "cp1252"
    return best, True


def _known(line: bytes, page: str) -> int:
    try:
        names = parse_header(line.decode(page), page).names
    except (UnicodeDecodeError, InputError):
        return 0
    paths = [parse_path(name) for name in names[:500]]
    return sum(known_names(path.object, path.counter) for path in paths if path is not None)
