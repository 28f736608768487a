"""Small inventories for the tests of this room: files as people write them, and drawn ones."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

AT = datetime(2013, 8, 19, tzinfo=UTC)


def host(name: str, **columns: object) -> dict[str, Any]:
    """A host of 10 cores of 1,000 MHz and 16 GiB, in cluster `c`."""
    row = {"host": name, "cluster": "c", "cores": 10, "core_mhz": 1000, "memory_mib": 16384, "migration_mbps": 1000}
    return row | columns


def vm(name: str, on: str, **columns: object) -> dict[str, Any]:
    """A VM of 2 processors, 2,000 MHz and 1 GiB."""
    return {"vm": name, "host": on, "vcpus": 2, "cpu_cap_mhz": 2000, "memory_mib": 1024} | columns


def as_csv(rows: Sequence[Mapping[str, Any]], delimiter: str = ",", newline: str = "\r\n") -> str:
    """The rows as one CSV, all columns of all rows."""
    columns = list(dict.fromkeys(k for row in rows for k in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
    writer.writerow(columns)
    writer.writerows([["" if row.get(c) is None else row[c] for c in columns] for row in rows])
    return out.getvalue()


def folder(
    where: Path, hosts: Sequence[Mapping[str, Any]], vms: Sequence[Mapping[str, Any]], rules: object = None
) -> Path:
    """hosts.csv, vms.csv and, if there are any, rules.json in `where`."""
    where.mkdir(parents=True, exist_ok=True)
    (where / "hosts.csv").write_text(as_csv(hosts), "utf-8", newline="")
    (where / "vms.csv").write_text(
        as_csv(vms) if vms else as_csv([vm("", "")]).splitlines()[0] + "\r\n", "utf-8", newline=""
    )
    if rules is not None:
        (where / "rules.json").write_text(json.dumps(rules), "utf-8")
    return where


LABELS = st.sampled_from(["", "A", "B", "b"])
NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12
) | st.sampled_from(["*", "=1+1", "'=x", "''", "a,b", 'q"q', "two\r\nlines", "\ufeffx", "null", "-", "h/x"])


@st.composite
def estates(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """(hosts, VMs, rules) that fit together; ids are plain, names are whatever text allows."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(0, 6))
    size = st.integers(1, 64)
    hosts = [
        host(
            draw(NAMES),
            id=f"host-{i}",
            cluster=draw(LABELS),
            site=draw(LABELS),
            rack=draw(LABELS),
            cores=draw(size),
            core_mhz=draw(size) * 50,
            memory_mib=draw(size) * 1024,
            state=draw(st.sampled_from(["ok", "Maintenance", "paused", "down", "restricted", ""])),
            disk_kibps=draw(st.none() | size),
            power_feed=draw(LABELS),
        )
        for i in range(n)
    ]
    vms = [
        vm(
            draw(NAMES),
            f"host-{draw(st.integers(0, n - 1))}",
            id=f"vm-{i}",
            vcpus=draw(size),
            cpu_cap_mhz=draw(st.none() | size),
            memory_mib=draw(size),
            role=draw(LABELS),
            highly_available=draw(st.sampled_from([None, True, False])),
            snapshot_gib=draw(st.none() | st.floats(0, 100, width=16)),
            oldest_snapshot=draw(st.none() | st.just(datetime(2013, 8, 1, tzinfo=timezone(timedelta(hours=2))))),
        )
        for i in range(m)
    ]
    rules = [
        {
            "rule": draw(NAMES),
            "kind": "spread",
            "members": draw(st.lists(st.sampled_from([v["id"] for v in vms]), min_size=1, max_size=3, unique=True)),
        }
        for _ in range(draw(st.integers(0, 2)) if vms else 0)
    ]
    return hosts, vms, rules
