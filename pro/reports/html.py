"""One HTML file with everything in it: opens by double-click, needs no network, prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pro.core import text
from pro.fleet.readiness import STATES
from pro.heat.fans import host_fan
from pro.placement.placement import for_people
from pro.reports import answers, pictures, readiness, tables, views, words

if TYPE_CHECKING:
    from pro.reports.report import Report

MAX_FANS = 8
MAX_ROWS = 200
MAX_COVERAGE = 12


def render(report: Report) -> str:
    """The report as a complete HTML document. No script, no reference to anything outside the file."""
    return str(environment().get_template("report.html.j2").render(_context(report)))


def environment() -> Any:
    """Templates of this room, with its filters; everything is escaped."""
    import jinja2

    env = jinja2.Environment(
        loader=jinja2.PackageLoader("pro.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        percent=words.percent,
        span=words.span,
        size=words.size,
        minutes=words.minutes,
        instant=words.instant,
        figure=words.figure,
        for_people=for_people,
        heat=words.heat,
        enough=readiness.enough,
        count=_counted,
        plain=lambda name: text.plain(str(name), 80),
    )
    return env


def _counted(number: int, one: str) -> str:
    return words.count(number, one)


def _context(report: Report) -> dict[str, Any]:
    shown = views.hosts_to_draw(report, pictures.MAX_HOSTS)
    return {
        "r": report,
        "headline": words.headline(report),
        "no_host": words.no_host(report),
        "spots": (*report.hotspots, *report.short),
        "memory": words.memory(report),
        "horizon": words.horizon(report.horizon_s),
        "moves": report.plan.migrations,
        "moved_mib": sum(m.mib for m in report.plan.migrations),
        "plan_seconds": words.plan_seconds(report),
        "worst_blackout": max((m.blackout_s for m in report.plan.migrations), default=0.0),
        "fans": _fans(report),
        "timeline": pictures.timeline(report) if report.plan.migrations else None,
        "heat_before": pictures.heat_map(report, report.fleet.host_of, shown, "Expected CPU use if nothing is done"),
        "heat_after": pictures.heat_map(report, report.host_of_after, shown, "Expected CPU use with the plan")
        if report.plan.migrations
        else None,
        "risk": list(zip(views.RISK, pictures.DOTS, strict=True)),
        "legend": [
            (pictures.heat_kind(report, i), label) for i, (_, label) in enumerate(pictures.classes(report.threshold))
        ],
        "peaks": [pictures.peaks(report, name, shown) for name in report.fleet.resources[:2]],
        "hot_before": views.hot_hosts(report.hotspots),
        "hot_after": views.hot_hosts(report.hotspots_after),
        "broken_before": views.rules_broken(report)[0],
        "broken_after": views.rules_broken(report)[1],
        "hosts_shown": len(shown),
        "max_steps": pictures.MAX_STEPS,
        "max_rows": MAX_ROWS,
        "known": _known(report),
        "states": STATES,
        "trust": readiness.sentence(report),
        "meaning": readiness.MEANING,
        "alone": readiness.left_alone(report),
        "failover": words.failover(report),
        "failures": answers.failures(report).rows,
        "gains": answers.gains(report).rows,
        "soon": tables.soon(report),
        "soon_means": words.soon(report),
        "likely": tables.LIKELY,
    }


def _fans(report: Report) -> list[dict[str, Any]]:
    """The hottest hosts, each with its forecast if nothing is done and with the plan."""
    chosen = sorted(report.hotspots, key=lambda s: (-s.expected_hot_minutes, s.host))[:MAX_FANS]
    futures = [("if nothing is done", report.fleet.host_of)]
    if report.plan.migrations:
        futures.append(("with the plan", report.host_of_after))
    fans = []
    for spot in chosen:
        limit = views.limit_of(report, spot.resource)
        bands = [host_fan(report.fleet, report.demand, spot.host, host_of, spot.resource) for _, host_of in futures]
        ceiling = max(1.0, *(float(band.max()) * 1.02 for band in bands))
        pair = [
            pictures.fan(report, band, (limit, ceiling), title) for band, (title, _) in zip(bands, futures, strict=True)
        ]
        fans.append({"host": report.host_label[spot.host], "resource": spot.resource, "pictures": pair})
    return fans


def _known(report: Report) -> dict[str, Any] | None:
    """Counters by state, the least known, and the hosts to be left alone; None without counters."""
    if report.readiness is None:
        return None
    lacking = [r for r in readiness.in_order(report) if r.state != "ok"]
    return {
        "counters": [(c, readiness.KINDS[c.kind]) for c in report.readiness.by_counter()],
        "lacking": lacking[:MAX_COVERAGE],
        "more": max(len(lacking) - MAX_COVERAGE, 0),
        "hold": [(report.host_label.get(h, h), why) for h, why in report.readiness.hold.items()],
    }
