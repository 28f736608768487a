"""Between Arrow columns and numpy arrays, without copies where there need be none.

`pa.array(...)` and `to_numpy()` import pandas as a side effect, which costs more than reading 300,000 samples; these do not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """A numeric or timestamp column without nulls as numpy; timestamps as int64 in their own unit.

    Raises
    ------
    ValueError
        The column has nulls.
    """
    import pyarrow as pa

    if column.null_count:
        raise ValueError("a column with nulls has no plain numpy form")
    kind = np.dtype(np.int64) if pa.types.is_timestamp(column.type) else np.dtype(column.type.to_pandas_dtype())
    if column.num_chunks == 0:
        return np.zeros(0, dtype=kind)
    pieces = [
        np.frombuffer(chunk.buffers()[1], dtype=kind)[chunk.offset : chunk.offset + len(chunk)]
        if len(chunk)
        else np.zeros(0, dtype=kind)
        for chunk in column.chunks
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A float64 column as numpy, NaN where it is null."""
    if column.null_count == 0:
        plain: NDArray[np.float64] = numbers(column)
        return plain
    pieces = []
    for chunk in column.chunks:
        validity, data = chunk.buffers()
        span = slice(chunk.offset, chunk.offset + len(chunk))
        values = np.frombuffer(data, dtype=np.float64)[span].copy()
        if chunk.null_count:
            values[np.unpackbits(np.frombuffer(validity, dtype=np.uint8), bitorder="little")[span] == 0] = np.nan
        pieces.append(values)
    return np.concatenate(pieces)


def column(values: NDArray[Any], kind: pa.DataType | None = None) -> pa.Array:
    """A numpy array as an Arrow array of its own type, or of `kind` (of the same width)."""
    import pyarrow as pa

    array = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind or pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])


def as_boolean(mask: NDArray[np.bool_]) -> pa.Array:
    """A mask as Arrow keeps it, one bit a row."""
    import pyarrow as pa

    bits = np.packbits(mask, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(bits)])


def strings(words: Sequence[str]) -> pa.Array:
    """Texts as an Arrow string array."""
    import pyarrow as pa

    encoded = [word.encode("utf-8") for word in words]
    offsets = np.zeros(len(words) + 1, dtype=np.int32)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    return pa.Array.from_buffers(
        pa.string(), len(words), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def coded(codes: NDArray[np.int32], words: Sequence[str]) -> pa.DictionaryArray:
    """Codes into `words` as an Arrow dictionary column."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(column(codes.astype(np.int32, copy=False)), strings(words))


def codes(column_: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """The codes and words of a dictionary column; words as they stand in it, in no special order."""
    import pyarrow as pa

    if column_.num_chunks == 0:
        return np.zeros(0, dtype=np.int32), []
    if column_.num_chunks > 1:
        column_ = column_.unify_dictionaries()
    indices = pa.chunked_array([chunk.indices for chunk in column_.chunks])
    return numbers(indices), column_.chunk(0).dictionary.to_pylist()


def distinct(columns: Sequence[NDArray[Any]], sizes: Sequence[int]) -> tuple[list[list[int]], NDArray[np.int32]]:
    """The distinct combinations of several code columns.

    Parameters
    ----------
    columns
        Arrays (n,) of codes; those of column k are in 0..sizes[k]-1.

    Returns
    -------
    (combinations, back): one list of codes per combination, ascending; and (n,) which of them each row is. Linear in n
    where the combinations are few, as names of counters are.
    """
    combined: NDArray[np.int64] = np.zeros(len(columns[0]), dtype=np.int64)
    for codes_, size in zip(columns, sizes, strict=True):
        if size > 1:
            combined = combined * size + codes_
    room = math.prod(max(size, 1) for size in sizes)
    if room <= max(4 * len(combined), 65_536):
        used = np.zeros(room, dtype=bool)
        used[combined] = True
        found = np.flatnonzero(used)
        slot = np.zeros(room, dtype=np.int32)
        slot[found] = np.arange(len(found), dtype=np.int32)
        back = slot[combined]
    else:
        found, inverse = np.unique(combined, return_inverse=True)
        back = inverse.astype(np.int32)
    axes = np.unravel_index(found, [max(size, 1) for size in sizes])
    return [list(row) for row in zip(*(axis.tolist() for axis in axes), strict=True)], back
