"""Inventories on disk, one folder for each instant, with their history."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import FleetError, InputError
from pro.core.text import minute
from pro.fleet.columns import HOST_COLUMNS, VM_COLUMNS, schema
from pro.fleet.readers import Found
from pro.fleet.readers.rules import SCHEMA, RulesReader, rule_json
from pro.fleet.tables import Inventory, conform, to_pandas

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pro.fleet.fleet import RuleSpec

_STAMP = re.compile(r"(\d{8}T\d{6}\.\d{6})Z(?:-(\d+))?")
_FORMAT = "%Y%m%dT%H%M%S.%f"
SIZES = ("id", "cpu_cap_mhz", "vcpus")


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
        text = json.dumps({"schema": SCHEMA, "rules": [rule_json(r) for r in inventory.rules]}, indent=1)
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
    asked = minute(until.isoformat()) if until else ""
    warning = (
        f"no inventory is as old as {asked}; the earliest one, of {minute(inventory.at.isoformat())}, stands in for it"
    )
    return replace(inventory, warnings=(*inventory.warnings, warning))


def settled(root: Path, inventory: Inventory, hours: float = 48.0) -> dict[str, datetime]:
    """Host id -> since when the same VMs stand on it, as far as the store remembers and `hours` reach back.

    What a host spent before that instant must not be compared with what its VMs of today spent.
    """
    now = _standing_sets(inventory)
    unchanged = set(now)
    since = dict.fromkeys(now, datetime.min.replace(tzinfo=UTC))
    later, reach = inventory.at, inventory.at - timedelta(hours=hours)
    for (at, _), folder in sorted(_folders(root), reverse=True):
        if at > inventory.at:
            continue
        if not unchanged or later <= reach:
            break
        then = _standing_sets(_load(folder))
        for host in sorted(unchanged):
            if then.get(host) != now[host]:
                since[host] = later
                unchanged.discard(host)
        later = at
    return since


def resized(root: Path, inventory: Inventory, since: datetime) -> dict[str, tuple[tuple[datetime, float], ...]]:
    """VM id -> ((until, ratio), ...), oldest first, of VMs that had another size after `since`: before the first instant they had `ratio` times
    the processor they have now, and so on. Per cent of a VM's processor mean something else then. When between two
    inventories it was resized nobody knows: the later one counts.
    """
    now, later, last = _sizes(inventory.vms), inventory.at, None
    found: dict[str, list[tuple[datetime, float]]] = {}
    for (at, _), folder in sorted(_folders(root), reverse=True):
        if at > inventory.at:
            continue
        if later <= since:
            break
        table = _vm_sizes(folder)
        # Most inventories differ only in where VMs stand.
        for vm, then in _sizes(to_pandas(table)).items() if last is None or not table.equals(last) else ():
            pieces, ratio = found.get(vm, []), _ratio(then, now.get(vm, (0, 0)))
            if ratio != (pieces[-1][1] if pieces else 1.0):
                found[vm] = [*pieces, (later, ratio)]
        later, last = at, table
    return {vm: tuple(reversed(pieces)) for vm, pieces in found.items()}


def _sizes(vms: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """VM id -> (MHz it may use, 0 where nobody says, processors)."""
    cap, vcpus = (vms[name].fillna(0).to_numpy(np.int64).tolist() for name in SIZES[1:])
    return dict(zip(vms["id"].tolist(), zip(cap, vcpus, strict=True), strict=True))


def _ratio(then: tuple[int, int], now: tuple[int, int]) -> float:
    """How many times what it has now a VM had then. Where one does not state the MHz, the number of processors has to do; 1 where nobody knows."""
    k = 0 if then[0] > 0 and now[0] > 0 else 1
    return then[k] / now[k] if then[k] > 0 and now[k] > 0 else 1.0


def _vm_sizes(folder: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.ParquetFile(folder / "vms.parquet").read(columns=list(SIZES))


def _standing_sets(inventory: Inventory) -> dict[str, frozenset[str]]:
    sets: dict[str, set[str]] = {h: set() for h in inventory.hosts["id"].tolist()}
    ids = inventory.hosts["id"].tolist()
    for vm, row in zip(inventory.vms["id"].tolist(), inventory.standing(), strict=True):
        if row >= 0:
            sets[ids[row]].add(vm)
    return {h: frozenset(v) for h, v in sets.items()}


def _fingerprint(inventory: Inventory) -> str:
    """Of what the inventory says, not of its instant, nor of which file said it."""
    digest = hashlib.sha256()
    for frame in (inventory.hosts, inventory.vms):
        digest.update(
            frame.to_json(orient="split", index=False, date_format="iso", date_unit="us", double_precision=15).encode()
        )
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
        hosts=conform(to_pandas(pq.ParquetFile(folder / "hosts.parquet").read()), HOST_COLUMNS),
        vms=conform(to_pandas(pq.ParquetFile(folder / "vms.parquet").read()), VM_COLUMNS),
        rules=found_rules,
        at=datetime.strptime(match[1], _FORMAT).replace(tzinfo=UTC),
    )


def _stored_rules(folder: Path) -> tuple[RuleSpec, ...]:
    found = Found()
    RulesReader().read(folder / "rules.json", found)
    if found.problems:
        raise FleetError(tuple(str(p) for p in found.problems))
    return tuple(found.rules)
