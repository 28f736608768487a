"""An invented estate, in the dress SCOM and an inventory export would give it.

Everything follows from the seed. The estate is tight: some hosts run hot in the business hours of every working day, and
of the last day, unless VMs move; a spread and a fence are broken from the start; few migrations mend both. Counters have
the quirks of real ones: irregular seconds, optimised collection (only changes are stored), duplicates, CRLF, one agent
down for four hours. Hosts report what their VMs use plus a root share.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.telemetry.synthetic_estate import (
    CORE_MHZ,
    Host,
    Vm,
    break_spread,
    fit_loads,
    make_hosts,
    make_rules,
    make_vms,
    place,
)
from pro.telemetry.synthetic_loads import loads, smooth_noise

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SUNDAY = datetime(2024, 6, 2, tzinfo=UTC)
STEP_S = 300
DOMAIN = "fabrikam.test"
TARGET = {"HVC-PROD": 0.68, "HVC-DEV": 0.62}
HOT_HOSTS = {"HVC-PROD": 2, "HVC-DEV": 1}
OUTAGE_S = 4 * 3600
HEADER = ("DateTime", "ManagementGroup", "Path", "ObjectName", "CounterName", "InstanceName", "SampleValue")
LP = ("Hyper-V Hypervisor Logical Processor", "% Total Run Time", "_Total")
CPU = ("Processor", "% Processor Time", "_Total")
MEMORY = ("Memory", "Available MBytes", "")
DISK = ("LogicalDisk", "Disk Bytes/sec", "_Total")
NET = ("Network Interface", "Bytes Total/sec", "vmbus0")


@dataclass(frozen=True)
class Series:
    """One counter of one computer: values at the polls, and how far a value may drift before it is stored again."""

    path: str
    counter: tuple[str, str, str]
    values: NDArray[np.float64]
    decimals: int
    tolerance: float
    """Relative; 0 stores every poll. Otherwise at least one sample an hour is stored."""


def write_estate(
    folder: Path,
    *,
    seed: int,
    hosts: int = 12,
    vms: int = 120,
    days: int = 7,
    start: datetime = SUNDAY,
    io_every: int = 1,
) -> None:
    """Write hosts.csv, vms.csv, rules.json, counters.csv.gz and estate.json into `folder`.

    Parameters
    ----------
    seed
        Decides everything. The same arguments give the same bytes (on one zlib; the decompressed bytes always).
    hosts, vms, days
        Size; at least 4 hosts.
    start
        First instant; the default is a Sunday, so that five or six days end on a working day.
    io_every
        Disk and network counters for every n-th VM only (they make up most of the file); 0 for none.
    """
    rng = np.random.default_rng(seed)
    machines = make_hosts(hosts)
    guests = make_vms(rng, vms, machines)
    steps = days * 86_400 // STEP_S
    start_s = int(start.timestamp())
    raw = loads(rng, [vm.role for vm in guests], [vm.service for vm in guests], start_s, steps, STEP_S)
    day = (days - 1) * 86_400 // STEP_S
    business = slice(day + 9 * 3600 // STEP_S, day + 17 * 3600 // STEP_S)
    busy = fit_loads(raw, guests, machines, business, TARGET)
    host_of = place(busy, guests, machines, business, HOT_HOSTS)
    break_spread(guests, machines, host_of)
    rules = make_rules(guests, machines, host_of)
    series = _series(rng, machines, guests, host_of, busy, io_every)
    outage = machines[len(machines) // 2]
    down = (steps - 2 * 86_400 // STEP_S + 10 * 3600 // STEP_S) * STEP_S
    lines = _rows(rng, series, start_s, outage=f"{outage.name.lower()}.{DOMAIN}", down=(down, down + OUTAGE_S))
    folder.mkdir(parents=True, exist_ok=True)
    _write_counters(folder / "counters.csv.gz", lines)
    _write_inventory(folder, machines, guests, host_of, start + timedelta(days=days))
    (folder / "rules.json").write_text(json.dumps(rules, indent=1) + "\n", encoding="utf-8", newline="\n")
    about = {
        "name": "fabrikam",
        "seed": seed,
        "now": (start + timedelta(days=days)).isoformat(),
        "rows": len(lines),
        "vms": vms,
        "hosts": hosts,
        "agent_outage": outage.name,
    }
    (folder / "estate.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8", newline="\n")


def _series(
    rng: np.random.Generator,
    hosts: list[Host],
    vms: list[Vm],
    host_of: NDArray[np.int64],
    busy: NDArray[np.float64],
    io_every: int,
) -> list[Series]:
    """Every counter of every computer."""
    steps = busy.shape[1]
    drift = smooth_noise(rng, len(vms) + len(hosts), steps, 0.995)
    jitter = smooth_noise(rng, len(vms) + len(hosts), steps, 0.5)
    out = []
    for k, vm in enumerate(vms):
        path = f"{vm.name.lower()}.{DOMAIN}"
        free = vm.memory_mib * np.clip(0.35 + 0.06 * drift[k] - 0.1 * busy[k], 0.03, 0.95)
        out.append(Series(path, CPU, 100.0 * busy[k], 2, 0.0))
        out.append(Series(path, MEMORY, free, 0, 0.10))
        if io_every and k % io_every == 0:
            scale = np.exp(0.3 * jitter[k])
            out.append(Series(path, DISK, busy[k] * vm.vcpus * 2.0e6 * scale, 0, 0.35))
            out.append(Series(path, NET, busy[k] * vm.vcpus * 8.0e5 * scale, 0, 0.35))
    demand = busy * np.array([vm.mhz for vm in vms], dtype=np.float64)[:, None]
    for h, host in enumerate(hosts):
        path, here = f"{host.name.lower()}.{DOMAIN}", host_of == h
        noise = jitter[len(vms) + h]
        share = demand[here].sum(axis=0) / host.mhz
        total = 100.0 * np.clip(share + 0.02 + 0.01 * share + 0.003 * noise, 0.005, 1.0)
        used = sum(vm.memory_mib for vm, mine in zip(vms, here.tolist(), strict=True) if mine)
        out.append(Series(path, LP, total, 2, 0.0))
        out.append(Series(path, MEMORY, host.memory_mib - used - 2048 + 20.0 * noise, 0, 0.001))
    return out


def _rows(
    rng: np.random.Generator, series: list[Series], start_s: int, *, outage: str, down: tuple[int, int]
) -> list[tuple[str, ...]]:
    """All rows in the order of their time, a few of them twice."""
    kept: list[tuple[int, int, str]] = []
    for number, one in enumerate(series):
        poll = _stored(one)
        second = poll * STEP_S + rng.integers(0, 40, len(poll))
        if one.path == outage:
            up = (second < down[0]) | (second >= down[1])
            poll, second = poll[up], second[up]
        texts = [f"{value:.{one.decimals}f}" for value in one.values[poll].tolist()]
        kept += zip(second.tolist(), [number] * len(poll), texts, strict=True)
    twice = rng.choice(len(kept), len(kept) // 500, replace=False)
    kept += [kept[k] for k in twice.tolist()]
    kept.sort()
    begin = datetime.fromtimestamp(start_s, UTC)
    stamps: dict[int, str] = {}
    rows: list[tuple[str, ...]] = []
    for at, number, text in kept:
        if at not in stamps:
            stamps[at] = (begin + timedelta(seconds=at)).strftime("%Y-%m-%d %H:%M:%S")
        rows.append((stamps[at], "OM-FABRIKAM", series[number].path, *series[number].counter, text))
    return rows


def _stored(one: Series) -> NDArray[np.int64]:
    """The polls that optimised collection stores: the first, every change beyond the tolerance, and one an hour."""
    if one.tolerance == 0.0:
        return np.arange(len(one.values))
    keep, last, at = [], float("nan"), -(10**9)
    for poll, value in enumerate(one.values.tolist()):
        if not abs(value - last) <= one.tolerance * abs(last) or (poll - at) * STEP_S >= 3600:
            keep.append(poll)
            last, at = value, poll
    return np.array(keep, dtype=np.int64)


def _write_counters(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(rows)
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=9, mtime=0) as packed:
        packed.write(text.getvalue().encode("utf-8"))


def _write_inventory(folder: Path, hosts: list[Host], vms: list[Vm], host_of: NDArray[np.int64], now: datetime) -> None:
    hosts_header = (
        "host,fqdn,cluster,site,rack,hypervisor,cpu_vendor,cpu_family,cores,core_mhz,memory_mib,migration_mbps,state"
    )
    vms_header = "vm,fqdn,vcpus,cpu_cap_mhz,memory_mib,role,host,cluster,highly_available,cpu_compatibility_mode,oldest_snapshot,snapshot_gib"
    _write_csv(folder / "hosts.csv", hosts_header, [_host_row(host) for host in hosts])
    rows = [_vm_row(vm, hosts[h].name, now) for vm, h in zip(vms, host_of.tolist(), strict=True)]
    _write_csv(folder / "vms.csv", vms_header, rows)


def _host_row(host: Host) -> list[object]:
    where = [host.cluster, host.site, host.rack, "Hyper-V 2012", host.vendor, host.family]
    return [host.name, f"{host.name.lower()}.{DOMAIN}", *where, host.cores, CORE_MHZ, host.memory_mib, 10_000, "ok"]


def _vm_row(vm: Vm, host: str, now: datetime) -> list[object]:
    size = [vm.vcpus, vm.mhz, vm.memory_mib]
    taken = (now - timedelta(days=vm.snapshot_days)).isoformat() if vm.snapshot_days else ""
    snapshot = [taken, round(vm.snapshot_days / 12.0, 1)]
    return [vm.name, f"{vm.name.lower()}.{DOMAIN}", *size, vm.role, host, vm.cluster, True, vm.compatible, *snapshot]


def _write_csv(path: Path, header: str, rows: list[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
