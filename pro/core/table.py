"""Arrow schemas whose fields carry their unit and meaning, so that a Parquet file explains itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def field(name: str, kind: pa.DataType, unit: str, doc: str) -> pa.Field:
    """One column: its name, Arrow type, unit (empty when it has none) and meaning."""
    import pyarrow as pa

    return pa.field(name, kind, metadata={"unit": unit, "doc": doc})


def describe(schema: pa.Schema) -> list[tuple[str, str, str, str]]:
    """Rows (name, type, unit, meaning) of `schema`, for the data dictionary."""
    rows = []
    for f in schema:
        meta = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        rows.append((f.name, str(f.type), meta.get("unit", ""), meta.get("doc", "")))
    return rows
