"""The inventory: hosts, VMs and rules as they were said to be at one instant, kept in the store with their history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pro.core.clock import SystemClock
from pro.core.errors import FleetError
from pro.fleet.archive import load_inventory as load_inventory
from pro.fleet.archive import resized as resized
from pro.fleet.archive import save_inventory as save_inventory
from pro.fleet.archive import settled as settled
from pro.fleet.names import quoted
from pro.fleet.problems import Problem as Problem
from pro.fleet.problems import find_problems as find_problems
from pro.fleet.readers import read_sources
from pro.fleet.tables import Inventory as Inventory
from pro.fleet.tables import build_inventory as build_inventory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
    errors = tuple(dict.fromkeys(p.text for p in problems if p.severity == "error"))
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


def _read(sources: Sequence[Path], at: datetime) -> tuple[Inventory, InventoryReport, tuple[str, ...]]:
    found = read_sources(sources)
    inventory = build_inventory(found.hosts, found.vms, found.rules, at)
    counts = len(inventory.hosts), len(inventory.vms), len(inventory.rules)
    report = InventoryReport(*counts, inventory.at, False, tuple(found.files), tuple(found.skipped))
    return inventory, report, tuple(str(p) for p in found.problems)
