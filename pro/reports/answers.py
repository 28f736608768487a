"""What a plan answers beyond its migrations, as tables: what each is good for, and which hosts may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.placement.failover.report import reason
from pro.reports.tables import Column, Table

if TYPE_CHECKING:
    from pro.placement.failover.report import Failure
    from pro.reports.report import Report

    Key = tuple[str, ...]


def gains(report: Report) -> Table:
    """One row per migration: what gets worse if it alone is left out, all others carried out; the most needed first."""
    columns = (
        Column("vm", "Migration of"), Column("heat", "More heat without it, % \u00d7 h", "number"),
        Column("rules", "Rules broken without it"), Column("all", "In full"), Column("vm_id", "VM id"),
    )  # fmt: skip
    rows = []
    for g in report.plan.answers.get("gains", ()):
        heat = sum(w["amount"] for w in g["worse"] if w["goal"].startswith("heat"))
        broken = "; ".join(f"{r['rule']} ({r['text']})" for r in g["refusals"])
        rows.append((g["vm_name"] or g["vm"], round(heat, 2), broken or "none", g["text"], g["vm"]))
    return Table("gains", "What is each migration good for?", columns, tuple(rows))


def failures(report: Report) -> Table:
    """One row per set of hosts that may not fail, today or with the plan: how many VMs would find no place, and why."""
    columns = (
        Column("hosts", "If these hosts fail"), Column("cluster", "Cluster"), Column("before", "VMs left down today", "whole"),
        Column("after", "with the plan", "whole"), Column("proven", "Proven"), Column("why", "Why"),
    )  # fmt: skip
    if report.failover is None:
        return Table("failures", "Which hosts may fail?", columns, ())
    before, after = ({f.hosts: f for f in part.failures} for part in report.failover)
    keys: list[Key] = list(dict.fromkeys([*after, *before]))
    rows = tuple(_failure(report, key, before.get(key), after.get(key)) for key in keys)
    return Table("failures", "Which hosts may fail?", columns, rows)


def _failure(report: Report, hosts: Key, before: Failure | None, after: Failure | None) -> tuple[str | int, ...]:
    told = after or before
    assert told is not None
    name = " and ".join(report.host_label.get(h, h) for h in hosts)
    why = reason(told.stranded[0], report.fleet) if told.stranded else "more are like the others"
    return (
        name, told.cluster, before.amount if before else 0, after.amount if after else 0, "yes" if told.proven else "no", why,
    )  # fmt: skip
