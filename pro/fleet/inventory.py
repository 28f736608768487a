"""The inventory: hosts, VMs and rules as they were said to be at one instant, kept in the store with their history."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pro.core.clock import SystemClock
from pro.core.errors import FleetError, InputError
from pro.fleet.columns import HOST_COLUMNS, VM_COLUMNS, Column, schema
from pro.fleet.names import Names, quoted
from pro.fleet.problems import Problem as Problem
from pro.fleet.problems import find_problems as find_problems
from pro.fleet.readers import read_sources
from pro.fleet.readers.rules import RulesReader, rule_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from pro.fleet.fleet import RuleSpec

_STAMP = re.compile(r"(\d{8}T\d{6}\.\d{6})Z(?:-(\d+))?")
_FORMAT = "%Y%m%dT%H%M%S.%f"


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


@dataclass(frozen=True)
class InventoryReport:
    """What an import found and did."""

    hosts: int
    vms: int
    rules: int
    at: datetime
    stored: bool
    """False when the store already held exactly this."""
    files: tuple[str, ...]
    skipped: tuple[str, ...]
    problems: tuple[Problem, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema": "inventory-import/1",
            "hosts": self.hosts,
            "vms": self.vms,
            "rules": self.rules,
            "at": self.at.isoformat(),
            "stored": self.stored,
            "files": list(self.files),
            "skipped": list(self.skipped),
            "problems": [{"severity": p.severity, "text": p.text} for p in self.problems],
        }


def import_inventory(
    root: Path, sources: Sequence[Path], at: datetime | None = None, *, leave_out: bool = False
) -> InventoryReport:
    """Read `sources` and store them under `root` as the inventory of instant `at` (None: now).

    Importing what is already the newest inventory at that instant adds nothing. Raises FleetError with everything that
    is wrong at once: cells that cannot be read, and contradictions of severity "error". With `leave_out`, contradictions
    are stored as they are and reported; cells that cannot be read are always refused.
    """
    inventory, report, unreadable = _read(sources, at or SystemClock().now())
    problems = find_problems(inventory)
    errors = tuple(p.text for p in problems if p.severity == "error")
    if unreadable or (errors and not leave_out):
        raise FleetError((*unreadable, *errors))
    stored = save_inventory(root, inventory)
    return replace(report, stored=stored, problems=tuple(problems))


def read_inventory(sources: Sequence[Path], at: datetime) -> Inventory:
    """The inventory `sources` describe, without storing it. Raises FleetError with every cell that cannot be read."""
    inventory, _, unreadable = _read(sources, at)
    if unreadable:
        raise FleetError(unreadable)
    return inventory


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


def save_inventory(root: Path, inventory: Inventory) -> bool:
    """Store `inventory` atomically; False when the newest one at its instant says exactly the same.

    Layout: `root/inventory/<UTC stamp>/{hosts.parquet, vms.parquet, rules.json}`. A second, different inventory of the same
    instant is kept beside the first and wins.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    before = _newest(root, inventory.at)
    if before is not None and _fingerprint(_load(before)) == _fingerprint(inventory):
        return False
    folder = root / "inventory"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        for name, frame, columns in (("hosts", inventory.hosts, HOST_COLUMNS), ("vms", inventory.vms, VM_COLUMNS)):
            attributes = [str(c) for c in frame.columns[len(columns) :]]
            table = pa.Table.from_pandas(frame, schema(columns, attributes), preserve_index=False)
            pq.write_table(table.replace_schema_metadata(None), temporary / f"{name}.parquet", compression="zstd")
        text = json.dumps({"schema": "rules/1", "rules": [rule_json(r) for r in inventory.rules]}, indent=1)
        (temporary / "rules.json").write_text(text, "utf-8", newline="\n")
        for path in temporary.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _publish(temporary, folder, inventory.at.strftime(_FORMAT) + "Z")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def load_inventory(root: Path, until: datetime | None = None) -> Inventory:
    """The newest inventory at or before `until` (None: the newest).

    If every one is younger, the earliest, with a warning: a store with one inventory can still be replayed. Raises
    InputError when the store has none.
    """
    folder = _newest(root, until)
    if folder is not None:
        return _load(folder)
    earliest = min(_folders(root), default=None)
    if earliest is None:
        raise InputError("the store has no inventory", expected="`pro inventory import` first", where=str(root))
    inventory = _load(earliest[1])
    asked = until.astimezone(UTC).isoformat() if until else ""
    warning = f"no inventory is as old as {asked}; the earliest one, of {inventory.at.isoformat()}, stands in for it"
    return replace(inventory, warnings=(*inventory.warnings, warning))


def with_placement(inventory: Inventory, where: Mapping[str, str], at: datetime) -> Inventory:
    """`inventory` with its VMs standing on the hosts of `where` (VM id -> host id), as seen at `at`.

    A VM that changed cluster with its host is of the new cluster. VMs that `where` does not name stay where they are;
    names on either side that the inventory does not know are warned of and change nothing.
    """
    vms, hosts = inventory.vms.copy(), inventory.hosts
    host_row = {h: i for i, h in enumerate(hosts["id"].tolist())}
    old, clusters = inventory.standing(), hosts["cluster"].tolist()
    stands, belongs = vms["host"].tolist(), vms["cluster"].tolist()
    row_of = {v: i for i, v in enumerate(vms["id"].tolist())}
    odd = []
    for vm, host in sorted(where.items()):
        row, target = row_of.get(vm), host_row.get(host)
        if row is None:
            odd.append(f"VM {quoted(vm)} was seen on host {quoted(host)} but is not in the inventory")
        elif target is None:
            odd.append(f"VM {quoted(vm)} was seen on host {quoted(host)}, which is not in the inventory")
        elif target != old[row]:
            stands[row] = host
            if belongs[row]:
                belongs[row] = clusters[target]
    vms["host"], vms["cluster"] = stands, belongs
    vms = vms.astype({"host": "str", "cluster": "str"})
    return replace(inventory, vms=vms, at=at.astimezone(UTC), warnings=(*inventory.warnings, *odd))


def settled(root: Path, inventory: Inventory) -> dict[str, datetime]:
    """Host id -> since when the same VMs stand on it, as far as the store remembers.

    What a host spent before that instant must not be compared with what its VMs of today spent.
    """
    now = _standing_sets(inventory)
    since = dict.fromkeys(now, datetime.min.replace(tzinfo=UTC))
    later, open_hosts = inventory.at, set(now)
    for at, folder in sorted(((s[0], f) for s, f in _folders(root)), reverse=True):
        if at > inventory.at or not open_hosts:
            continue
        then = _standing_sets(_load(folder))
        for host in sorted(open_hosts):
            if then.get(host) != now[host]:
                since[host] = later
                open_hosts.discard(host)
        later = at
    return since


def _standing_sets(inventory: Inventory) -> dict[str, frozenset[str]]:
    sets: dict[str, set[str]] = {h: set() for h in inventory.hosts["id"].tolist()}
    ids = inventory.hosts["id"].tolist()
    for vm, row in zip(inventory.vms["id"].tolist(), inventory.standing(), strict=True):
        if row >= 0:
            sets[ids[row]].add(vm)
    return {h: frozenset(v) for h, v in sets.items()}


def _read(sources: Sequence[Path], at: datetime) -> tuple[Inventory, InventoryReport, tuple[str, ...]]:
    found = read_sources(sources)
    inventory = build_inventory(found.hosts, found.vms, found.rules, at)
    counts = len(inventory.hosts), len(inventory.vms), len(inventory.rules)
    report = InventoryReport(*counts, inventory.at, False, tuple(found.files), tuple(found.skipped))
    return inventory, report, tuple(str(p) for p in found.problems)


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
    return _pandas(pa.Table.from_arrays(arrays, schema=kinds))


def _cell(value: Any, text: bool) -> Any:
    return str(value if value is not None else "") if text else value


def _pandas(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.float64(): pd.Float64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    text = {f.name: "str" for f in table.schema if pa.types.is_string(f.type)}
    return frame.astype(text)


def _fingerprint(inventory: Inventory) -> str:
    """Of what the inventory says, not of its instant, nor of which file said it."""
    digest = hashlib.sha256()
    for frame in (inventory.hosts, inventory.vms):
        digest.update(frame.to_json(orient="split", index=False, date_unit="us", double_precision=15).encode())
    rules = [{k: v for k, v in rule_json(r).items() if k != "origin"} for r in inventory.rules]
    digest.update(json.dumps(rules, sort_keys=True).encode())
    return digest.hexdigest()


def _publish(temporary: Path, folder: Path, stamp: str) -> None:
    """Rename into place; if another inventory of the same instant is there, as its successor."""
    number = 1
    while True:
        target = folder / (stamp if number == 1 else f"{stamp}-{number}")
        if not target.exists():
            try:
                temporary.rename(target)
                return
            except OSError:
                if not target.exists():
                    raise
        number += 1


def _folders(root: Path) -> list[tuple[tuple[datetime, int], Path]]:
    """((instant, number), folder) of every inventory in the store."""
    folder = root / "inventory"
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _STAMP.fullmatch(path.name)
        if match:
            at = datetime.strptime(match[1], _FORMAT).replace(tzinfo=UTC)
            found.append(((at, int(match[2] or 1)), path))
    return found


def _newest(root: Path, until: datetime | None) -> Path | None:
    limit = until.astimezone(UTC) if until else datetime.max.replace(tzinfo=UTC)
    return max(((s, f) for s, f in _folders(root) if s[0] <= limit), default=(None, None))[1]


def _load(folder: Path) -> Inventory:
    import pyarrow.parquet as pq

    match = _STAMP.fullmatch(folder.name)
    if match is None:
        raise InputError("not an inventory folder", got=folder.name, where=str(folder.parent))
    found_rules = _stored_rules(folder)
    return Inventory(
        hosts=_pandas(pq.ParquetFile(folder / "hosts.parquet").read()),
        vms=_pandas(pq.ParquetFile(folder / "vms.parquet").read()),
        rules=found_rules,
        at=datetime.strptime(match[1], _FORMAT).replace(tzinfo=UTC),
    )


def _stored_rules(folder: Path) -> tuple[RuleSpec, ...]:
    from pro.fleet.readers import Found

    found = Found()
    RulesReader().read(folder / "rules.json", found)
    if found.problems:
        raise FleetError(tuple(str(p) for p in found.problems))
    return tuple(found.rules)
