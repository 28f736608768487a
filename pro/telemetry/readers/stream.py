"""Files as clean UTF-8 bytes: decompressed, without byte order mark, cut between records."""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = 64 * 1024
BLOCK = 8 * 1024 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Source:
    """A counter file opened for reading.

    `read(n)` gives the next bytes as UTF-8. A damaged or cut compressed stream ends early: `damage` then says how, and
    everything before it was delivered.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        import pyarrow as pa

        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        self.path = path
        self.damage: str | None = None
        self._delivered = 0
        self._stream = pa.input_stream(str(path), compression="gzip" if packed else None)
        first = self._raw(HEAD)
        self.bom: str | None = None
        for mark, name in _BOMS:
            if first.startswith(mark):
                self.bom, first = name, first[len(mark) :]
                break
        self.head_raw = first
        self.use(encoding or self.bom or "utf-8")

    def use(self, encoding: str) -> None:
        """Decode with `encoding` from the start on; only before the first `read`. A byte order mark has the last word."""
        self.encoding = self.bom or encoding
        self._decoder = (
            None
            if codecs.lookup(self.encoding).name == "utf-8"
            else codecs.getincrementaldecoder(self.encoding)("replace")
        )
        self._pending: bytes | None = self._utf8(self.head_raw)
        self.head = self._pending

    def _raw(self, size: int) -> bytes:
        if self.damage is not None:
            return b""
        try:
            data = bytes(self._stream.read(size))
        except OSError as error:
            self.damage = f"the compressed file is damaged or cut short ({error})"
            data = _salvage(self.path, self._delivered)
        self._delivered += len(data)
        return data

    def _utf8(self, data: bytes) -> bytes:
        return data if self._decoder is None else self._decoder.decode(data).encode("utf-8", "replace")

    def read(self, size: int) -> bytes:
        """At most about `size` bytes; empty at the end."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            if pending:
                return pending
        data = self._raw(size)
        if data:
            return self._utf8(data) or self.read(size)
        return b"" if self._decoder is None else self._decoder.decode(b"", True).encode("utf-8", "replace")

    def close(self) -> None:
        self._stream.close()


def _salvage(path: Path, skip: int) -> bytes:
    """What a broken gzip file still holds behind its first `skip` bytes."""
    out, seen = bytearray(), 0
    unpack = zlib.decompressobj(31)
    with path.open("rb") as raw:
        while chunk := raw.read(64 * 1024):
            try:
                data = unpack.decompress(chunk)
            except zlib.error:
                break
            out += data[max(skip - seen, 0) :]
            seen += len(data)
    return bytes(out)


def boundaries(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Positions just behind every newline that ends a record, i.e. one outside quotation marks (RFC 4180)."""
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    newlines = np.flatnonzero(bytes_ == 10)
    if b'"' in data:
        quotes = np.flatnonzero(bytes_ == 34)
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    return newlines + 1


def last_boundary(data: bytes) -> int:
    """Position behind the last record that is surely complete; 0 when there is none."""
    if b'"' not in data:
        return data.rfind(b"\n") + 1
    ends = boundaries(data)
    return int(ends[-1]) if len(ends) else 0


def blocks(source: Source, size: int = BLOCK) -> Iterator[tuple[bytes, int, bool]]:
    """Yield (bytes, 1-based line number of its first line, whether it ends with a complete record).

    A quotation mark that is never closed cannot swallow the file: after two blocks without a record's end the cut is
    made at a plain newline.
    """
    rest, line = b"", 1
    while data := source.read(size):
        rest += data
        cut = last_boundary(rest)
        if cut == 0 and len(rest) > 2 * size:
            cut = rest.rfind(b"\n") + 1
        if cut:
            block, rest = rest[:cut], rest[cut:]
            yield block, line, True
            line += block.count(b"\n")
    if rest:
        yield rest, line, False
