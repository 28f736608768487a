"""A small invented estate and stores of it: what the tests of commands and of the whole walk stand on."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import TYPE_CHECKING

from pro.fleet.inventory import import_inventory
from pro.telemetry.store import Store
from pro.telemetry.synthetic import write_estate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TABLES = ("hosts.csv", "vms.csv", "rules.json")


@dataclass(frozen=True)
class Estate:
    """Files of an estate in `folder`; `now` is a day before its last sample, so that a day is left to be judged on."""

    folder: Path
    now: datetime

    @property
    def counters(self) -> Path:
        """All counters in one file."""
        return self.folder / "counters.csv.gz"

    @property
    def tables(self) -> list[Path]:
        """The inventory's files."""
        return [self.folder / name for name in TABLES]


def write_small(folder: Path, seed: int = 8, hosts: int = 6, vms: int = 30, days: int = 4) -> Estate:
    """Six hosts, thirty VMs, four days: one host runs hot and some rules are broken."""
    write_estate(folder, seed=seed, hosts=hosts, vms=vms, days=days, io_every=8)
    return estate_in(folder)


def estate_in(folder: Path) -> Estate:
    """The estate whose files lie in `folder`."""
    end = datetime.fromisoformat(json.loads((folder / "estate.json").read_text("utf-8"))["now"])
    return Estate(folder, end - timedelta(days=1))


def fill(store: Path, estate: Estate, *, until_now: bool = False) -> Path:
    """A store of the estate. `until_now`: without the last day's samples, as it was known then."""
    source = estate.counters
    if until_now:
        source = split(estate, store.with_name(store.name + "-past"))[0]
    Store(store).ingest([source])
    import_inventory(store, estate.tables, estate.now)
    return store


def split(estate: Estate, folder: Path) -> tuple[Path, Path]:
    """The counters up to `now`, and those after it, as two files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = estate.now.strftime("%Y-%m-%d %H:%M:%S")
    with gzip.open(estate.counters, "rt", encoding="utf-8", newline="") as file:
        head, *rows = file.read().splitlines(keepends=True)
    early = [r for r in rows if r[: len(mark)] <= mark]
    late = [r for r in rows if r[: len(mark)] > mark]
    paths = (folder / "past.csv", folder / "next.csv")
    for path, part in zip(paths, (early, late), strict=True):
        path.write_text("".join([head, *part]), encoding="utf-8", newline="")
    return paths


def renamed(estate: Estate, folder: Path, names: Sequence[str], *, ids: bool, dns: bool = False) -> Estate:
    """The same estate under other names: every VM, host, cluster and rule is called something of `names`.

    `ids`: whether the inventory also has ids. Without them the name is the id. `dns`: whether DNS names, by which
    counters find their VM, are of `names` as well. Names are made distinct by a number at their end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    called = _caller(names)
    hosts = {row["host"]: called(row["host"]) for row in _read(estate.folder / "hosts.csv")}
    vms = {row["vm"]: called(row["vm"]) for row in _read(estate.folder / "vms.csv")}
    clusters = {row["cluster"]: called(row["cluster"]) for row in _read(estate.folder / "hosts.csv")}

    def fqdn(old: str) -> str:
        return called(old) if dns else old

    def host(row: dict[str, str]) -> dict[str, str]:
        own = {"id": row["host"]} if ids else {}
        names = {"host": hosts[row["host"]], "cluster": clusters[row["cluster"]], "fqdn": fqdn(row["fqdn"])}
        return {**own, **row, **names}

    def vm(row: dict[str, str]) -> dict[str, str]:
        own = {"id": row["vm"]} if ids else {}
        stands = row["host"] if ids else hosts[row["host"]]
        names = {"vm": vms[row["vm"]], "host": stands, "cluster": clusters[row["cluster"]], "fqdn": fqdn(row["fqdn"])}
        return {**own, **row, **names}

    _write(folder / "hosts.csv", [host(r) for r in _read(estate.folder / "hosts.csv")])
    _write(folder / "vms.csv", [vm(r) for r in _read(estate.folder / "vms.csv")])
    rules = json.loads((estate.folder / "rules.json").read_text("utf-8"))
    for rule in rules:
        rule["rule"] = called(rule["rule"])
        rule["members"] = [m if ids else vms[m] for m in rule["members"]]
        if "hosts" in rule:
            rule["hosts"] = [h if ids else hosts[h] for h in rule["hosts"]]
    (folder / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    if dns:
        _rename_counters(estate.counters, folder / "counters.csv.gz", called)
    else:
        shutil.copy(estate.counters, folder / "counters.csv.gz")
    shutil.copy(estate.folder / "estate.json", folder / "estate.json")
    return Estate(folder, estate.now)


def _rename_counters(source: Path, target: Path, called: Callable[[str], str]) -> None:
    with (
        gzip.open(source, "rt", encoding="utf-8", newline="") as old,
        gzip.open(target, "wt", encoding="utf-8", newline="", compresslevel=1) as new,
    ):
        rows = csv.DictReader(old)
        writer = csv.DictWriter(new, rows.fieldnames or ())
        writer.writeheader()
        writer.writerows({**row, "Path": called(row["Path"])} for row in rows)


def _caller(names: Sequence[str]) -> Callable[[str], str]:
    supply, given, count = cycle(names), {}, 0

    def called(old: str) -> str:
        nonlocal count
        if old not in given:
            count += 1
            name = next(supply)
            given[old] = f"{name[:196]}{count:03}" if len(name) > 100 or name in given.values() else f"{name}{count:03}"
        return given[old]

    return called


def _read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
