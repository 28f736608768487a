"""Which reader understands a file: decided by its content, never by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.telemetry.readers import readers
from pro.telemetry.readers.stream import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pro.telemetry.readers.options import ReadOptions
    from pro.telemetry.samples import Reader


_BINARY_LOG = re.compile(rb"\x00\x00\x01\x00\x00\x00\x00\x00")
"""How BLG files begin. No library outside Windows reads them."""


def detect(path: Path, options: ReadOptions | None = None) -> Reader:
    """The reader for the file at `path`.

    Raises
    ------
    InputError
        The file is absent, empty, unreadable, or of no known format.
    """
    try:
        source = Source(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=path) from None
    head = source.head
    source.close()
    if _BINARY_LOG.match(head):
        raise InputError(
            "a binary PerfMon log, which only Windows can read",
            expected=f"text: run `relog {path.name} -f CSV -o out.csv` on a Windows machine and ingest out.csv",
            where=path,
        )
    for reader in readers(options):
        if reader.sniff(head, path):
            return reader
    understood = "; ".join(reader.describe for reader in readers(options))
    raise InputError("not a counter file that PRO understands", expected=f"one of: {understood}", where=path)


def expand(sources: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Every file meant by `sources`, in a fixed order, and whether it was named itself (or found in a directory).

    Raises
    ------
    InputError
        A source does not exist.
    """
    found: dict[Path, bool] = {}
    for source in sources:
        if source.is_dir():
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                if not any(piece.startswith(".") for piece in path.relative_to(source).parts):
                    found.setdefault(path, False)
        elif source.exists():
            found[source] = True
        else:
            raise InputError("no such file or directory", where=source)
    return list(found.items())
