"""Inventory: hosts, VMs and rules as they were said to be at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.fleet.columns import HOST_COLUMNS, VM_COLUMNS, Column, schema
from pro.fleet.names import Names
from pro.fleet.readers.cells import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from pro.fleet.fleet import RuleSpec


@dataclass(frozen=True, eq=False)
class Inventory:
    """What there was at one instant.

    Attributes
    ----------
    hosts, vms
        pandas frames, one row each, sorted by id: the columns of `pro.fleet.columns` (text never missing, numbers and
        truth values nullable) and then the attributes PRO does not know, as text. `vms.host` is as written; `standing`
        resolves it. Treat them as read-only.
    rules
        As written; members and hosts are ids, names or DNS names until `snapshot` resolves them.
    at
        Instant it speaks for, UTC.
    warnings
        What was odd about finding it, such as "younger than the instant asked for".
    """

    hosts: pd.DataFrame
    vms: pd.DataFrame
    rules: tuple[RuleSpec, ...]
    at: datetime
    warnings: tuple[str, ...] = ()

    def host_names(self) -> Names:
        """Finds host rows."""
        return _names(self.hosts, "host")

    def vm_names(self) -> Names:
        """Finds VM rows."""
        return _names(self.vms, "vm")

    def standing(self) -> list[int]:
        """For every VM the row of its host; `names.UNKNOWN` or `names.AMBIGUOUS` where that cannot be told."""
        return self.host_names().find_all(self.vms["host"].tolist())


def build_inventory(
    hosts: Iterable[Mapping[str, Any]], vms: Iterable[Mapping[str, Any]], rules: Iterable[RuleSpec], at: datetime
) -> Inventory:
    """An inventory from rows with the column names of `pro.fleet.columns`; what a row lacks is missing."""
    if at.tzinfo is None:
        raise ValueError("an inventory needs an aware datetime")
    return Inventory(
        hosts=_frame([dict(r) for r in hosts], HOST_COLUMNS, "host"),
        vms=_frame([dict(r) for r in vms], VM_COLUMNS, "vm"),
        rules=tuple(sorted(rules, key=lambda r: (r.name, r.kind, r.members))),
        at=at.astimezone(UTC),
    )


def _names(frame: pd.DataFrame, name: str) -> Names:
    return Names(frame["id"].tolist(), frame[name].tolist(), frame["fqdn"].tolist())


def _frame(rows: list[dict[str, Any]], columns: Sequence[Column], name: str) -> pd.DataFrame:
    """Rows -> a frame of exactly `columns` and the attributes, sorted by id. The id, where there is none, is the name."""
    import pyarrow as pa

    for row in rows:
        row["id"] = row.get("id") or row.get(name) or ""
        row[name] = row.get(name) or row["id"]
    known = {c.name for c in columns}
    attributes = sorted({k for row in rows for k in row} - known)
    text = {c.name for c in columns if c.kind == "text"} | set(attributes)
    kinds = schema(columns, attributes)
    rows = sorted(rows, key=lambda r: (str(r["id"]), str(r[name])))
    arrays = [pa.array([_cell(r.get(f.name), f.name in text) for r in rows], f.type) for f in kinds]
    return to_pandas(pa.Table.from_arrays(arrays, schema=kinds))


def conform(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """A stored frame with exactly `columns` and then its attributes, as of today: stores outlive lists of columns.

    A column that is new is missing everywhere; one that was an attribute, and so text, is read as what it is now, and is
    missing where that cannot be.
    """
    if [c.name for c in columns] == [str(c) for c in frame.columns[: len(columns)]]:
        return frame
    known = {c.name: c for c in columns}
    rows = [dict(zip(frame.columns, values, strict=True)) for values in frame.astype(object).itertuples(index=False)]
    return _frame([{k: _value(v, known.get(k)) for k, v in row.items()} for row in rows], columns, str(columns[1].name))


def _value(value: Any, column: Column | None) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    if column is None or column.kind == "text" or not isinstance(value, str):
        return value
    try:
        return parse(value, column.kind)
    except InputError:
        return None


def _cell(value: Any, text: bool) -> Any:
    return str(value if value is not None else "") if text else value


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Nullable numbers and truth values, and text that is never missing."""
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.float64(): pd.Float64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    text = {f.name: "str" for f in table.schema if pa.types.is_string(f.type)}
    return frame.astype(text)
