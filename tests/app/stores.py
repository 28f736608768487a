"""A small real store: a synthetic estate whose VMs bear hostile names, taken in as anybody would."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from pro.fleet.inventory import import_inventory
from pro.telemetry.store import Store
from pro.telemetry.synthetic import write_estate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def make_store(folder: Path, names: Sequence[str]) -> Path:
    """A store under `folder`: 6 hosts, 36 VMs, 3 days. The first VMs and hosts are called `names`; ids and counters are not."""
    estate, store = folder / "estate", folder / "store"
    write_estate(estate, seed=5, hosts=6, vms=36, days=3, io_every=0)
    rename(estate / "hosts.csv", "host", names)
    rename(estate / "vms.csv", "vm", names)
    Store(store).ingest([estate / "counters.csv.gz"])
    newest = Store(store).newest()
    assert newest is not None
    import_inventory(store, [estate / "hosts.csv", estate / "vms.csv", estate / "rules.json"], newest)
    return store


def rename(path: Path, column: str, names: Sequence[str]) -> None:
    """Give the first rows of a CSV the `names`; what they were called becomes their id."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["id"] = row[column]
        row[column] = names[i] if i < len(names) else row[column]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
