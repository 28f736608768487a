"""hosts.csv and vms.csv: columns in any order, under whatever file name, as spreadsheets and scripts write them."""

from __future__ import annotations

import codecs
import csv
import io
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.core.text import cell, uncell
from pro.fleet.columns import HOST_COLUMNS, VM_COLUMNS, Column
from pro.fleet.readers.cells import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pro.fleet.readers import Found

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(data: bytes, where: str) -> str:
    """Text of a file: by its byte order mark, else UTF-8, else Windows-1252. Raises InputError when none fits."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            tried: tuple[str, ...] = (encoding,)
            break
    else:
        tried = ("utf-8", "cp1252")
    for encoding in tried:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(
        "cannot tell the file's encoding", expected="UTF-8, UTF-16 with its mark, or Windows-1252", where=where
    )


def _header(text: str) -> tuple[list[str], str]:
    """Column names of the first line that is not blank, lower case with underscores, and the delimiter."""
    line = next((x for x in text.lstrip("\r\n\ufeff ").splitlines() if x.strip()), "")
    delimiter = max(",;\t", key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return [c.strip().casefold().replace(" ", "_") for c in cells], delimiter


def _kind(header: Sequence[str], name: str) -> str:
    """ "vms", "hosts" or "": what a table with this header holds; the file's name decides only where columns cannot."""
    columns = set(header)
    if "vm" in columns and columns & {"vcpus", "memory_mib", "host"}:
        return "vms"
    if "host" in columns and columns & {"cores", "core_mhz", "memory_mib"}:
        return "hosts"
    return {"hosts.csv": "hosts", "vms.csv": "vms"}.get(name.casefold(), "")


class CsvReader:
    """Hosts or VMs, told apart by their columns.

    Delimiter comma, semicolon or tab; UTF-8 with or without mark, UTF-16 with mark, Windows-1252; any line ends.
    Columns PRO does not know are kept as text. Apostrophes that `pro.core.text.cell` put before formula characters are
    taken away again, but only where every text cell of the file could have been written by it: a file that holds
    a bare `=...` was not escaped, and its names stay as they are, to the byte.
    """

    name = "hosts.csv or vms.csv"

    def sniff(self, head: bytes, path: Path) -> bool:
        """By columns. A head that stops inside a character still decodes: only the first line is looked at."""
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            text = head[: len(head) // 2 * 2].decode("utf-16", "replace")
        else:
            text = head.decode("utf-8-sig", "replace")
        return "\0" not in text.split("\n", 1)[0] and bool(_kind(_header(text)[0], path.name))

    def read(self, path: Path, found: Found) -> None:
        """Add the rows of one table to `found`."""
        try:
            text = decode(path.read_bytes(), path.name)
        except InputError as error:
            found.problems.append(error)
            return
        header, delimiter = _header(text)
        kind = _kind(header, path.name)
        columns = VM_COLUMNS if kind == "vms" else HOST_COLUMNS
        problems = _header_problems(header, columns, path.name)
        if problems:
            found.problems += problems
            return
        rows = list(_rows(text, delimiter, len(header), path.name, found.problems))
        _unescape(rows, header, columns)
        kinds = {c.name: c for c in columns}
        target = found.vms if kind == "vms" else found.hosts
        for line, cells in rows:
            target.append(_typed(dict(zip(header, cells, strict=True)), kinds, f"{path.name}:{line}", found.problems))


def _header_problems(header: list[str], columns: Sequence[Column], file: str) -> list[InputError]:
    missing = [c.name for c in columns if c.required and c.name not in header]
    twice = sorted({h for h in header if h and header.count(h) > 1})
    problems = []
    if missing:
        what = "column missing" if len(missing) == 1 else "columns missing"
        problems.append(InputError(what, got=", ".join(header), expected=", ".join(missing), where=file))
    if twice:
        problems.append(InputError("column named twice", got=", ".join(twice), where=file))
    return problems


def _rows(text: str, delimiter: str, width: int, file: str, problems: list[InputError]) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every data row; blank rows are passed over, rows of another width reported."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    header_seen, line = False, 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(c.strip() for c in cells):
                continue
            if not header_seen:
                header_seen = True
            elif len(cells) == width or (len(cells) > width and not any(cells[width:])):
                rows.append((start, cells[:width]))
            else:
                problems.append(
                    InputError("wrong number of cells", got=len(cells), expected=width, where=f"{file}:{start}")
                )
    except csv.Error as error:
        problems.append(InputError(f"cannot be read as CSV ({error})", where=f"{file}:{reader.line_num}"))
    return rows


def _unescape(rows: list[tuple[int, list[str]]], header: list[str], columns: Sequence[Column]) -> None:
    """Undo `cell` in place, if the whole file round-trips."""
    numbers = {c.name for c in columns if c.kind != "text"}
    text = [i for i, h in enumerate(header) if h not in numbers]
    if all(cell(uncell(cells[i])) == cells[i] for _, cells in rows for i in text):
        for _, cells in rows:
            for i in text:
                cells[i] = uncell(cells[i])


def _typed(row: dict[str, str], kinds: dict[str, Column], where: str, problems: list[InputError]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, text in row.items():
        column = kinds.get(name)
        if column is None:
            if name:
                typed[name] = text
            continue
        try:
            typed[name] = parse(text, column.kind)
            if column.required and column.kind != "text" and typed[name] is None:
                problems.append(InputError("no value", expected=f"a number ({column.doc})", where=f"{where}:{name}"))
        except InputError as error:
            typed[name] = None
            problems.append(InputError(error.what, got=error.got, expected=error.expected, where=f"{where}:{name}"))
    return typed
