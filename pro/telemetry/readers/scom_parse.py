"""Blocks of SCOM rows -> arrays, by Arrow. Strict first; where that fails, leniently, so that few odd rows stay few."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.telemetry.arrow import codes, floats, numbers
from pro.telemetry.readers.stream import Block, boundaries, lone_returns

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.core.arrays import Floats
    from pro.telemetry.readers.scom_layout import Layout


NAMES = ("path", "object", "counter", "instance")
NUMBERS = ("value", "average", "maximum", "count")
UNREADABLE = np.iinfo(np.int64).min
"""Instant of a row whose time cannot be read."""
_PLAIN = r"^-?(\d{1,15}(\.\d{0,25})?|\.\d{1,25})([eE][+-]?\d{1,2})?$"
"""Numbers that certainly convert. Rows with others go one by one; that is slower, not wrong."""


@dataclass(frozen=True)
class Parsed:
    """The rows of a block that have the right number of cells; all arrays (n,).

    Numbers are NaN, and `time_us` is `UNREADABLE`, where they cannot be read. `skipped` are the positions, among the
    block's records, of those with a wrong number of cells.
    """

    table: pa.Table
    time_us: NDArray[np.int64]
    numbers: dict[str, Floats]
    skipped: list[int] = field(default_factory=list)


def parse(block: Block, layout: Layout, *, strict: bool) -> Parsed | None:
    """The block's rows; None where Arrow would see other rows than the csv module, or (strict) where any row is odd."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    quoted = b'"' in block.data
    if (quoted or not strict) and lone_returns(block.data):
        return None
    skipped: list[int] = []

    def skip(row: Any) -> str:
        skipped.append(row.number - 1)
        return "skip"

    wanted = {role: at for role, at in layout.where.items() if role in NAMES or role == "time" or _used(layout, role)}
    kinds = _kinds(layout, strict=strict)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(block.data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                column_names=[f"c{at}" for at in range(layout.width)],
                block_size=len(block.data) + 1,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=quoted, invalid_row_handler=None if strict else skip
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={f"c{at}": kinds[role] for role, at in wanted.items()},
                include_columns=[f"c{at}" for at in wanted.values()],
                null_values=["", "NULL"],
            ),
        ).rename_columns(list(wanted))
    except pa.ArrowInvalid:
        return None
    # a lone carriage return ends a row for Arrow, but not for us
    if strict and not quoted and table.num_rows != block.lines and lone_returns(block.data):
        return None
    time_us = _instants(table.column("time"), layout)
    if time_us is None:
        return None
    read = floats if strict else lenient
    return Parsed(table, time_us, {role: read(table.column(role)) for role in NUMBERS if role in wanted}, skipped)


def _used(layout: Layout, role: str) -> bool:
    return layout.hourly if role in ("average", "maximum", "count") else role == "value"


def _kinds(layout: Layout, *, strict: bool) -> dict[str, pa.DataType]:
    """The Arrow type of every role."""
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    kinds = dict.fromkeys(NAMES, words) | dict.fromkeys(NUMBERS, pa.float64() if strict else pa.string())
    kinds["time"] = words
    if strict and layout.order == "iso" and layout.digits <= 9:
        kinds["time"] = pa.timestamp("us" if layout.digits <= 6 else "ns")
    return kinds


def _instants(column: pa.ChunkedArray, layout: Layout) -> NDArray[np.int64] | None:
    """Microseconds since 1970; None where a strict column has nulls."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        if column.null_count:
            return None
        ticks: NDArray[np.int64] = numbers(column)
        return ticks // 1000 if column.type.unit == "ns" else ticks
    which, texts = codes(column)
    known = np.full(max(len(texts), 1), UNREADABLE, dtype=np.int64)
    for at, text in enumerate(texts):
        try:
            known[at] = layout.parse_time(text)
        except (ValueError, OverflowError):
            continue  # stays unreadable: the row is looked at one by one, and rejected there
    return known[which]


def lenient(column: pa.ChunkedArray) -> Floats:
    """A text column as numbers, NaN where one is not plain."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = []
    for chunk in column.chunks:
        plain = pc.match_substring_regex(chunk, pattern=_PLAIN)
        chunks.append(pc.cast(pc.if_else(plain, chunk, pa.nulls(len(chunk), pa.string())), pa.float64()))
    return floats(pa.chunked_array(chunks, pa.float64()))


def single_out(block: Block, count: int, skipped: list[int], odd: list[int]) -> list[Block] | None:
    """Some records of a block, one block each, in order.

    Parameters
    ----------
    count
        How many records the block should have, blank lines aside; None is returned where it has not.
    skipped
        Positions of records that Arrow left out.
    odd
        Positions among the others.
    """
    ends = boundaries(block.data)
    starts = np.concatenate(([0], ends[:-1]))
    bytes_ = np.frombuffer(block.data, dtype=np.uint8)
    length = ends - starts
    full = (length > 2) | ((length == 2) & (bytes_[starts] != 13))
    starts, ends = starts[full], ends[full]
    if len(starts) != count:
        return None
    others = np.delete(np.arange(count), skipped)
    chosen = np.sort(np.concatenate((others[odd], np.array(skipped, dtype=np.int64))))
    starts, ends = starts[chosen], ends[chosen]
    lines = block.line + np.searchsorted(np.flatnonzero(bytes_ == 10), starts)
    return [
        Block(block.data[a:b], n, 0) for a, b, n in zip(starts.tolist(), ends.tolist(), lines.tolist(), strict=True)
    ]
