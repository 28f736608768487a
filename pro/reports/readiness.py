"""What is known of the data, as a sentence and tables: per counter, per host and VM, and whom that leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.fleet.readiness import FRESH_S, LEAST, STATES
from pro.reports import words
from pro.reports.tables import Column, Table

if TYPE_CHECKING:
    from datetime import datetime

    from pro.fleet.readiness import Coverage
    from pro.reports.report import Report

MEANING = (
    f"Sparse: less than {100 * LEAST:.0f}\u00a0% of the history is known. Stale: nothing for more than {FRESH_S // 60} minutes. Absent: never "
    "seen. What is not known is forecast from what is, never taken for idleness."
)
KINDS = {"host": "hosts", "vm": "VMs"}


def sentence(report: Report) -> str:
    """Whether the data can be trusted, in one line; holds no name."""
    ready = report.readiness
    if ready is None:
        return "No counters were used: every VM is taken to need 20\u00a0% of its cap."
    count = {s: sum(r.state == s for r in ready.rows) for s in STATES}
    total = sum(count.values())
    bad = [f"{count[s]:,} {s}" for s in STATES[1:] if count[s]]
    said = (
        f"Of {words.count(total, 'counter')} of hosts and VMs, {', '.join(bad)}"
        if bad
        else f"All {words.count(total, 'counter')} of hosts and VMs are known and fresh"
    )
    enough = max((r.enough_from for r in ready.rows if r.enough_from), default=None)
    until = f"; what comes in now is enough from {words.instant(enough)}" if enough else ""
    return f"{said}{until}; {left_alone(report) or 'every host is acted on'}."


def left_alone(report: Report) -> str:
    """How many hosts are not acted on; "" if all are."""
    if report.readiness is None or not report.readiness.hold:
        return ""
    count = len(report.readiness.hold)
    return f"{words.count(count, 'host')} of {report.fleet.n_hosts:,} {'is' if count == 1 else 'are'} left alone for want of data"


def counters(report: Report) -> Table:
    """One row per counter and kind."""
    columns = (
        Column("counter", "Counter"), Column("kind", "Of"), *(Column(s, s.capitalize(), "whole") for s in STATES),
        Column("newest", "Newest sample (UTC)", "instant"), Column("enough_from", "Enough from (UTC)"),
    )  # fmt: skip
    found = report.readiness.by_counter() if report.readiness else ()
    rows = tuple(
        (
            c.counter,
            KINDS[c.kind],
            *(c.states[s] for s in STATES),
            _iso(c.newest),
            enough(c.enough_from, c.states["ok"] == sum(c.states.values())),
        )
        for c in found
    )
    return Table("counters", "Which counters are known, and until when?", columns, rows)


def in_order(report: Report) -> list[Coverage]:
    """Every counter of every host and VM: the absent, the stale, the sparse, the rest; the least known first."""
    found = report.readiness.rows if report.readiness else ()
    return sorted(found, key=lambda r: (-STATES.index(r.state), r.known, r.kind, r.name, r.counter))


def coverage(report: Report, lacking: bool) -> Table:
    """One row per counter of a host or VM, least known first; `lacking`: only what is not ok."""
    columns = (
        Column("name", "Host or VM"), Column("kind", "Kind"), Column("counter", "Counter"), Column("state", "State"),
        Column("known", "History known", "percent"), Column("gap", "Longest gap"),
        Column("newest", "Newest sample (UTC)", "instant"), Column("enough_from", "Enough from (UTC)"),
        Column("entity", "Counted as"), Column("id", "Id"),
    )  # fmt: skip
    rows = tuple(
        (r.name, "VM" if r.kind == "vm" else r.kind, r.counter, r.state, r.known, words.span(r.gap_s) if r.gap_s else "none",
         _iso(r.newest), enough(r.enough_from, r.state == "ok"), r.entity, r.id)
        for r in in_order(report)
        if not lacking or r.state != "ok"
    )  # fmt: skip
    return Table("coverage", "Of whom is too little known?", columns, rows)


def held(report: Report) -> Table:
    """One row per host that is not acted on."""
    hold = report.readiness.hold if report.readiness else {}
    rows = tuple((report.host_label.get(h, h), why, h) for h, why in hold.items())
    return Table(
        "held",
        "Which hosts are left alone, and why?",
        (Column("host", "Host"), Column("why", "Why"), Column("id", "Id")),
        rows,
    )


def enough(since: datetime | None, now: bool) -> str:
    """From when on there is enough to act on, for people."""
    return words.instant(since) if since else "now" if now else "nothing comes in"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
