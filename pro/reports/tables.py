"""The report as four tables, one question each, and those tables as CSV files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.core import text
from pro.core.units import RESOURCES
from pro.reports import words
from pro.reports.views import cluster_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pro.reports.report import Report

Value = str | int | float | bool | None

LIKELY = 0.05
"""What trained classifiers find less likely than this within every horizon is not listed."""


@dataclass(frozen=True)
class Column:
    """A column: `name` in files, `title` for people, `kind` text | whole | number | percent | instant (ISO 8601, UTC)."""

    name: str
    title: str
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """`question` is what the table answers. Rows hold plain values; fractions are 0..1; nothing is escaped yet."""

    name: str
    question: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]


def build(report: Report) -> tuple[Table, ...]:
    """hotspots, plan, hosts, vms."""
    return (hotspots(report), plan(report), hosts(report), vms(report))


def hotspots(report: Report) -> Table:
    """One row per hot host and VM that causes it."""
    rows: list[tuple[Value, ...]] = []
    for s in (*report.hotspots, *report.short):
        head = (
            report.host_label[s.host],
            s.what,
            s.severity,
            s.starts.isoformat(),
            s.ends.isoformat(),
            s.probability,
            s.expected_peak,
            s.expected_hot_minutes,
        )
        rows += [(*head, report.vm_label.get(c.vm, c.vm), c.share, s.host, c.vm) for c in s.vms]
        if not s.vms:
            rows.append((*head, None, None, s.host, None))
    columns = (
        Column("host", "Host"),
        Column("resource", "Resource"),
        Column("severity", "Severity"),
        Column("starts", "Hot from (UTC)", "instant"),
        Column("ends", "Hot until (UTC)", "instant"),
        Column("probability", "Probability", "percent"),
        Column("expected_peak", "Expected peak", "percent"),
        Column("expected_hot_minutes", "Expected minutes hot", "number"),
        Column("vm", "Caused by VM"),
        Column("share", "Share of the use", "percent"),
        Column("host_id", "Host id"),
        Column("vm_id", "VM id"),
    )
    return Table("hotspots", "Which hosts will run hot, when, and because of which VMs?", columns, tuple(rows))


def policies(document: Mapping[str, Any]) -> Table:
    """One row per policy of a backtest ("backtest/1")."""
    columns = (
        Column("name", "Policy"),
        Column("hot_minutes", "Hot minutes", "whole"),
        Column("hot_minutes_of_nothing", "of nothing\u2019s", "percent"),
        Column("area", "% \u00d7 h above", "number"),
        Column("area_of_nothing", "of nothing\u2019s", "percent"),
        Column("migrations", "Migrations", "whole"),
        Column("migrations_per_day", "a day", "number"),
        Column("undone", "Undone", "whole"),
        Column("peak", "Peak", "percent"),
        Column("contention_minutes", "Contention, min", "whole"),
        Column("gib", "GiB", "number"),
        Column("blackout_s", "Blackout, s", "number"),
        Column("moves_per_vm_week", "per VM, week", "number"),
        Column("hosts_on", "Hosts on", "number"),
        Column("energy_kwh", "kWh", "number"),
    )
    rows = tuple(tuple(p[c.name] for c in columns) for p in document["policies"])
    return Table("policies", "What would each policy have been good for?", columns, rows)


def migrations(report: Report) -> Table:
    """One row per migration, in order."""
    rows: list[tuple[Value, ...]] = []
    for number, wave in enumerate(report.plan.waves, 1):
        for m in wave.migrations:
            rows.append(
                (
                    number,
                    m.vm_name or report.vm_label.get(m.vm, m.vm),
                    report.host_label.get(m.source, m.source),
                    report.host_label.get(m.destination, m.destination),
                    "stop-over" if m.stopover else m.kind,
                    m.memory_mib,
                    m.mib,
                    m.starts_s,
                    m.seconds,
                    m.blackout_s,
                    m.reason,
                    m.vm,
                    m.source,
                    m.destination,
                )
            )
    columns = (
        Column("wave", "Wave", "whole"),
        Column("vm", "VM"),
        Column("source", "From"),
        Column("destination", "To"),
        Column("kind", "Kind"),
        Column("memory_mib", "Memory, MiB", "whole"),
        Column("wire_mib", "On the wire, MiB", "whole"),
        Column("starts_s", "Starts after, s", "number"),
        Column("seconds", "Takes, s", "number"),
        Column("blackout_s", "Blackout, s", "number"),
        Column("reason", "Reason"),
        Column("vm_id", "VM id"),
        Column("source_id", "From id"),
        Column("destination_id", "To id"),
    )
    return Table("plan", "What is to be moved, in which order, at what cost, and why?", columns, tuple(rows))


def soon(report: Report) -> Table:
    """One row per host and resource that trained classifiers find likely enough to run hot: how likely, within how many hours."""
    hours = sorted({h for s in report.soon for h in s.probability})
    columns = (
        Column("host", "Host"), Column("resource", "Resource"), *(Column(f"within_{h}h", f"Within {h} h", "percent") for h in hours),
        Column("vms", "Largest in the last hour"), Column("host_id", "Host id"),
    )  # fmt: skip
    rows = tuple(
        (
            report.host_label[s.host], s.resource, *(s.probability.get(h) for h in hours),
            ", ".join(f"{text.plain(report.vm_label.get(c.vm, c.vm), 30)} {words.percent(c.share)}" for c in s.vms[:3]), s.host,
        )
        for s in report.soon if max(s.probability.values()) >= LIKELY
    )  # fmt: skip
    return Table("soon", "Which hosts run hot within hours, by what was learned from these counters?", columns, rows)


def plan(report: Report) -> Table:
    """`migrations`, then one row per blocked VM."""
    moves = migrations(report)
    rows = [
        (None, report.vm_label.get(b.vm, b.vm), None, None, "blocked", *(None,) * 5, b.reason, b.vm, None, None)
        for b in report.plan.blocked
    ]
    return Table(moves.name, moves.question, moves.columns, (*moves.rows, *rows))


def hosts(report: Report) -> Table:
    """One row per host: size, what stands on it, and expected peaks, before and after."""
    fleet = report.fleet
    rows: list[tuple[Value, ...]] = []
    after = report.host_of_after
    for h in range(fleet.n_hosts):
        row: list[Value] = [
            fleet.host_names[h],
            cluster_of(fleet, h) or None,
            "leaving" if fleet.leaving[h] else "accepting" if fleet.accepting[h] else "closed",
            int((fleet.host_of == h).sum()),
            int((after == h).sum()),
        ]
        for r in range(len(fleet.resources)):
            row += [int(fleet.capacity[h, r]), float(report.before.peak[h, r]), float(report.after.peak[h, r])]
        row += [round(report.before.minutes[h].max()), round(report.after.minutes[h].max()), fleet.hosts[h]]
        rows.append(tuple(row))
    columns = [
        Column("host", "Host"),
        Column("cluster", "Cluster"),
        Column("state", "State"),
        Column("vms_before", "VMs", "whole"),
        Column("vms_after", "VMs after", "whole"),
    ]
    for name in fleet.resources:
        title = words.RESOURCE_TITLES[name]
        columns += [
            Column(f"{name}_capacity", f"{title}, {RESOURCES[name].unit}", "whole"),
            Column(f"{name}_peak_before", f"{title} peak", "percent"),
            Column(f"{name}_peak_after", f"{title} after", "percent"),
        ]
    columns += [
        Column("hot_minutes_before", "Min. hot", "whole"),
        Column("hot_minutes_after", "Min. after", "whole"),
    ]
    columns.append(Column("host_id", "Host id"))
    return Table("hosts", "How full is every host, before and after?", tuple(columns), tuple(rows))


def vms(report: Report) -> Table:
    """One row per VM: where it stands, where it will, its size and how well it is known."""
    fleet, after = report.fleet, report.host_of_after
    blocked = {b.vm: b.reason for b in report.plan.blocked}
    service = fleet.vm_groups.get("service")
    cpu = report.demand.use[:, fleet.resources.index("cpu")]
    mean, high = cpu.mean(axis=1), cpu.max(axis=1, initial=0)
    rows: list[tuple[Value, ...]] = [
        (
            fleet.vm_names[v],
            service.names[service.code[v]] if service is not None and service.code[v] >= 0 else None,
            fleet.host_names[fleet.host_of[v]],
            fleet.host_names[after[v]],
            bool(after[v] != fleet.host_of[v]),
            int(fleet.vcpus[v]),
            int(fleet.memory_mib[v]),
            float(mean[v]),
            int(high[v]),
            float(report.demand.known[v]),
            bool(fleet.movable[v]),
            blocked.get(fleet.vms[v]),
            fleet.vms[v],
        )
        for v in range(fleet.n_vms)
    ]
    columns = (
        Column("vm", "VM"),
        Column("service", "Service"),
        Column("host_before", "Host"),
        Column("host_after", "Host after"),
        Column("moves", "Moves"),
        Column("vcpus", "vCPUs", "whole"),
        Column("memory_mib", "Memory, MiB", "whole"),
        Column("cpu_mean_mhz", "Expected CPU, MHz", "number"),
        Column("cpu_highest_mhz", "Highest CPU, MHz", "whole"),
        Column("history_known", "History known", "percent"),
        Column("movable", "Movable"),
        Column("blocked", "Blocked because"),
        Column("vm_id", "VM id"),
    )
    return Table("vms", "Where does every VM stand, before and after?", columns, tuple(rows))


def write_csv(report: Report, folder: Path) -> list[Path]:
    """Write hotspots.csv, plan.csv, hosts.csv and vms.csv (UTF-8, RFC 4180) into `folder`; formulas are defused.

    `pro.core.text.uncell` undoes the escape on the way back in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in build(report):
        target = folder / f"{table.name}.csv"
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([c.name for c in table.columns])
            writer.writerows([_field(value) for value in row] for row in table.rows)
        written.append(target)
    return written


def _field(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return text.cell(value) if isinstance(value, str) else str(value)
