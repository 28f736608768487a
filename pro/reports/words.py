"""Figures as people say them, and the sentence at the top of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pro.reports.report import Report


def percent(fraction: float, digits: int = 0) -> str:
    """0.853 -> "85 %", with a space that does not break."""
    return f"{100 * fraction:.{digits}f}\u00a0%"


def count(number: int, one: str, many: str = "") -> str:
    """2, "host" -> "2 hosts"."""
    return f"{number:,}\u00a0{one if number == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """A duration with at most two units: "0.4 s", "6 min", "2 h 5 min", "3 d"."""
    if seconds < 10:
        return f"{seconds:.1f}\u00a0s"
    if seconds < 90:
        return f"{seconds:.0f}\u00a0s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes}\u00a0min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}\u00a0h {minutes}\u00a0min" if minutes else f"{hours}\u00a0h"
    days, hours = divmod(hours, 24)
    return f"{days}\u00a0d {hours}\u00a0h" if hours else f"{days}\u00a0d"


def horizon(seconds: int) -> str:
    """A look-ahead in hours up to two days, then in days: "24 h", "7 d"."""
    if seconds <= 48 * 3600 or seconds % 86400:
        return f"{seconds / 3600:g}\u00a0h"
    return f"{seconds // 86400}\u00a0d"


def size(mib: float) -> str:
    """Mebibytes in the unit that keeps it short."""
    if mib < 1024:
        return f"{mib:.0f}\u00a0MiB"
    gib = mib / 1024
    return f"{gib:.1f}\u00a0GiB" if gib < 10 else f"{gib:,.0f}\u00a0GiB" if gib < 10240 else f"{gib / 1024:,.1f}\u00a0TiB"


def minutes(number: float) -> str:
    """Host-minutes: whole, and "less than 1" rather than 0 where there are some."""
    return "less than 1" if 0 < number < 0.5 else f"{number:,.0f}"


def instant(at: datetime) -> str:
    """Day and time, UTC."""
    return f"{at:%Y-%m-%d %H:%M}\u00a0UTC"


def plan_seconds(report: Report) -> float:
    """When the last migration of the plan ends, in seconds after its start."""
    return max((m.starts_s + m.seconds for m in report.plan.migrations), default=0.0)


def headline(report: Report) -> str:
    """What is wrong, what to do, what improves. Holds no name, so it needs no escaping beyond the surface's own."""
    wrong = _wrong(report)
    moves = report.plan.migrations
    if wrong == "" and not moves:
        return f"No host is expected to run above {percent(report.threshold)} in the next {horizon(report.horizon_s)}; nothing to do."
    if not moves:
        return f"{wrong}; no migration was found that would pay."
    cost = f"{count(len(moves), 'migration')} ({size(sum(m.mib for m in moves))}, {span(plan_seconds(report))})"
    effect = _effect(report)
    if wrong == "":
        return f"No host is expected to run above {percent(report.threshold)}; {cost} {effect}."
    return f"{wrong}; {cost} {effect}."


def _wrong(report: Report) -> str:
    parts = []
    if report.before.hot_hosts:
        one = report.before.hot_hosts == 1
        parts.append(
            f"{count(report.before.hot_hosts, 'host')} {'is' if one else 'are'} expected to run above "
            f"{percent(report.threshold)} for {minutes(report.before.hot_minutes)} minutes in the next "
            f"{horizon(report.horizon_s)}"
        )
    broken = len(report.repaired) + len(report.placement.violations)
    if broken:
        parts.append(f"{count(broken, 'rule')} {'is' if broken == 1 else 'are'} broken")
    return " and ".join(parts)


def _effect(report: Report) -> str:
    parts = []
    if report.before.hot_hosts:
        parts.append(f"bring that to {minutes(report.after.hot_minutes)}")
    if report.repaired:
        parts.append(f"repair {count(len(report.repaired), 'rule')}")
    if not parts:
        parts.append({"consolidate": "free hosts that can be switched off", "balance": "even out the load"}.get(report.plan.goal, "keep the rules"))
    text = " and ".join(parts)
    if len(report.plan.migrations) == 1:
        verb, _, rest = text.partition(" ")
        text = f"{verb}s {rest}"
    return text
