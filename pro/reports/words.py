"""Figures as people say them, and the sentence at the top of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.text import counted
from pro.placement.failover.report import headline as told
from pro.reports.views import hot_hosts, rules_broken

if TYPE_CHECKING:
    from datetime import datetime

    from pro.reports.report import Report


TWO_WAYS = (
    "These are two ways of looking. Hotspots are counted in possible days drawn from the past, and plans are made by them; what was learned "
    "says how often a host ran hot after hours like these, and has beaten simple rules. No record sets the one against the other: where "
    "they differ, a host is worth a look if either finds it likely."
)
"""Where probabilities of both kinds stand side by side."""

RESOURCE_TITLES = {"cpu": "CPU", "memory": "Memory", "disk": "Disk", "net": "Network"}


def percent(fraction: float, digits: int = 0) -> str:
    """0.853 -> "85 %", with a space that does not break."""
    return f"{100 * fraction:.{digits}f}\u00a0%"


def count(number: int, one: str, many: str = "") -> str:
    """2, "host" -> "2 hosts", with a space that does not break."""
    return counted(number, one, many).replace(" ", "\u00a0")


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
    return (
        f"{gib:.1f}\u00a0GiB" if gib < 10 else f"{gib:,.0f}\u00a0GiB" if gib < 10240 else f"{gib / 1024:,.1f}\u00a0TiB"
    )


def minutes(number: float) -> str:
    """Host-minutes: whole, and "less than 1" rather than 0 where there are some."""
    return "less than 1" if 0 < number < 0.5 else f"{number:,.0f}"


def heat(area: float) -> str:
    """Capacity-hours above the threshold, as per cent of a host x hours."""
    return f"{figure(round(100 * area, 1))}\u00a0%\u00a0\u00d7\u00a0h"


def figure(number: float) -> str:
    """A cost in its own unit: whole where it is whole, else one decimal."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def instant(at: datetime) -> str:
    """Day and time, UTC."""
    return f"{at:%Y-%m-%d %H:%M}\u00a0UTC"


def plan_seconds(report: Report) -> float:
    """When the last migration of the plan ends, in seconds after its start."""
    return max((m.starts_s + m.seconds for m in report.plan.migrations), default=0.0)


def headline(report: Report) -> str:
    """What is wrong, what to do, what improves. Holds no name, so it needs no escaping beyond the surface's own."""
    wrong, moves = _wrong(report), report.plan.migrations
    cool = f"{no_host(report)} is expected to stay above {percent(report.threshold)} in the next {horizon(report.horizon_s)}"
    if not moves:
        lost = "would pay" if report.hotspots else "would repair that"
        if stuck := len(report.plan.blocked):
            return f"{wrong or cool}; {count(stuck, 'migration')} would help and {'has' if stuck == 1 else 'have'} no way there in flight."
        return f"{wrong}; no migration was found that {lost}." if wrong else f"{cool}; nothing to do."
    cost = f"{count(len(moves), 'migration')} ({size(sum(m.mib for m in moves))} sent, {span(plan_seconds(report))})"
    return f"{wrong or cool}; {cost} {_effect(report)}."


def no_host(report: Report) -> str:
    """Nothing is promised of hosts that nobody sees."""
    unseen = len(report.readiness.blind) if report.readiness else 0
    if not unseen:
        return "No host"
    seen = report.fleet.n_hosts - unseen
    return (
        f"No host of the {seen:,} that are seen" if seen else "No host is seen, and for all that was known before none"
    )


def memory(report: Report) -> str:
    """What is meant by measured memory, and what the plan makes of it; "" where no host is short of it, with the plan or without."""
    if not report.short and not report.short_after:
        return ""
    before, after = ({s.host: s.expected_peak for s in spots} for spots in (report.short, report.short_after))
    worse = [h for h, peak in after.items() if peak > before.get(h, 0.0)]
    now = (
        f"{count(len(before), 'host')} will run short of it by counters"
        if before
        else "No host will run short of it as VMs stand"
    )
    then = "as many" if len(after) == len(before) else f"{len(after):,}"
    burdened = f"; the plan brings more to {count(len(worse), 'host')} of these" if worse else ""
    return (
        f"Memory, measured: what hosts have in use by their counters, not what is assigned. {now}, {then} with the plan{burdened}. "
        "It is watched: plans go by what is assigned and do not act on it."
    )


def soon(report: Report) -> str:
    """What the probabilities of trained classifiers mean."""
    return (
        f"How likely a host is to stay above {percent(report.threshold)} for a quarter of an hour, by classifiers trained on these "
        f"counters. Only those are used that beat every simple rule on days they had not seen. {TWO_WAYS}"
    )


def failover(report: Report) -> str:
    """Which hosts may fail with the plan, and today where that is different; "" where nobody asked."""
    if report.failover is None:
        return ""
    before, after = report.failover
    if before == after:
        return told(after, report.fleet)
    lost = [sum(f.amount for f in part.failures) for part in report.failover]
    price = " That is the price of the rules it repairs." if lost[1] > lost[0] and report.repaired else ""
    return f"{told(after, report.fleet, 'with the plan')}.{price} {told(before, report.fleet, 'today')}."


def _wrong(report: Report) -> str:
    parts = []
    if hot := hot_hosts(report.hotspots):
        parts.append(
            f"{count(hot, 'host')} {'is' if hot == 1 else 'are'} expected to run hot in the next {horizon(report.horizon_s)}, "
            f"with {minutes(report.before.hot_minutes)} minutes above {percent(report.threshold)} over all hosts"
        )
    broken, _ = rules_broken(report)
    if broken:
        parts.append(f"{count(broken, 'rule')} {'is' if broken == 1 else 'are'} broken")
    return ", and ".join(parts)


def _effect(report: Report) -> str:
    """The verb agrees with the number of migrations: "2 migrations bring", "1 migration brings"."""
    s = "s" if len(report.plan.migrations) == 1 else ""
    parts = []
    if report.hotspots:
        before, after = report.before, report.after
        if round(after.hot_minutes) < round(before.hot_minutes) or after.area >= before.area:
            was, will = heat(before.area), heat(after.area)
            hotter = (
                f" while the heat above that rises from {was} to {will}"
                if after.area > before.area and was != will
                else ""
            )
            parts.append(f"bring{s} the minutes to {minutes(after.hot_minutes)}{hotter}")
        else:
            longer = round(after.hot_minutes) > round(before.hot_minutes)
            over = f"over {minutes(after.hot_minutes)} minutes" if longer else "over as many minutes"
            parts.append(f"bring{s} the heat above that from {heat(before.area)} to {heat(after.area)} {over}")
    today, still = rules_broken(report)
    if still < today:
        parts.append(f"repair{s} {count(today - still, 'rule')}")
    if not parts:
        parts.append(f"free{s} hosts" if report.plan.goal == "consolidate" else f"even{s} out the load")
    return " and ".join(parts)
