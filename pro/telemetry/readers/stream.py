"""Files as clean UTF-8 bytes: decompressed, without byte order mark, cut between records."""

from __future__ import annotations

import codecs
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

HEAD = 64 * 1024
BLOCK = 8 * 1024 * 1024
SMALL, PIECES = 48 * 1024, 16
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
        from isal import igzip
        from isal.isal_zlib import error as isal_error

        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        self.path = path
        self.damage: str | None = None
        self._delivered = 0
        self._broken: tuple[type[Exception], ...] = (OSError, EOFError, cast("type[Exception]", isal_error))
        self._stream: Any = igzip.open(path, "rb") if packed else path.open("rb")
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

    def first_line(self) -> bytes:
        """The first line as it stands in the file, undecoded; reads ahead if need be, before the first `read`."""
        while b"\n" not in self.head_raw and (more := self._raw(HEAD)):
            self.head_raw += more
        self.use(self.encoding)
        return self.head_raw.partition(b"\n")[0]

    def _raw(self, size: int) -> bytes:
        if self.damage is not None:
            return b""
        try:
            data: bytes = self._stream.read(size)
        except self._broken as error:
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


def newlines(data: bytes) -> int:
    """How many lines end in `data`. (`bytes.count` takes ten times as long on short lines; pieces stay in the cache.)"""
    bytes_, piece = np.frombuffer(data, dtype=np.uint8), 256 * 1024
    return sum(int(np.count_nonzero(bytes_[at : at + piece] == 10)) for at in range(0, len(bytes_), piece))


def lone_returns(data: bytes) -> bool:
    """Whether some carriage return is not part of CR LF."""
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    returns = bytes_ == 13
    return int(np.count_nonzero(returns)) != int(np.count_nonzero(returns[:-1] & (bytes_[1:] == 10)))


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


@dataclass(frozen=True)
class Block:
    """A run of whole records: the bytes, the 1-based number of the first line, how many lines end in it.

    `whole` is False where the last record may be cut: at the end of a file without a final newline.
    """

    data: bytes
    line: int
    lines: int
    whole: bool = True

    def split(self, cuts: Sequence[int]) -> Iterator[Block]:
        """The block in pieces that end at `cuts` (ascending positions; the last piece is what remains)."""
        start, line = 0, self.line
        for end in [*cuts, len(self.data)]:
            if end > start:
                piece = self.data[start:end]
                lines = newlines(piece)
                yield Block(piece, line, lines, self.whole or end < len(self.data))
                start, line = end, line + lines

    def records(self, count: int) -> Iterator[Block]:
        """The first `count` records, one block each where they are complete, and the rest."""
        return self.split(boundaries(self.data)[:count].tolist())


def refine(
    block: Block, fast: Callable[[Block], list[pa.Table] | None], slow: Callable[[Block], list[pa.Table]]
) -> Iterator[pa.Table]:
    """What `fast` makes of `block`. Where it declines, the block is split, until the odd piece is small enough for `slow`."""
    if block.data.isspace():
        return
    if block.whole and (tables := fast(block)) is not None:
        yield from tables
        return
    cuts = boundaries(block.data)
    if len(block.data) <= SMALL or len(cuts) < PIECES:
        yield from slow(block)
        return
    for piece in block.split(cuts[len(cuts) // PIECES - 1 :: len(cuts) // PIECES].tolist()):
        yield from refine(piece, fast, slow)


def blocks(source: Source) -> Iterator[Block]:
    """The file in blocks of whole records.

    A quotation mark that is never closed cannot swallow the file: after two blocks without a record's end the cut is
    made at a plain newline.
    """
    rest, line, size = b"", 1, BLOCK
    while data := source.read(size):
        joined = rest + data if b'"' in rest or b'"' in data else None
        if joined is None:
            cut = data.rfind(b"\n") + 1
            block, rest = (b"".join((rest, memoryview(data)[:cut])), data[cut:]) if cut else (b"", rest + data)
        else:
            cut = last_boundary(joined)
            if cut == 0 and len(joined) > 2 * size:
                cut = joined.rfind(b"\n") + 1
            block, rest = joined[:cut], joined[cut:]
        if block:
            lines = newlines(block)
            yield Block(block, line, lines)
            line += lines
    if rest:
        yield Block(rest, line, newlines(rest), whole=False)
