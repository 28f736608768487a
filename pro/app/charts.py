"""Altair charts of a report. Names reach a chart as data only: labels are drawn on a canvas, never as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from pro.core import text
from pro.heat.fans import host_fan
from pro.reports import pictures, views, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.reports.report import Report

UTC = alt.Scale(type="utc")
MAX_HOSTS = 60


@dataclass(frozen=True)
class Palette:
    """Colours for one scheme; the cool and hot ramps are told apart by people who confuse red and green."""

    ramp: tuple[str, ...]
    dot: str
    line: str
    outer: str
    inner: str
    hot: str
    was: str
    soft: str
    ink: str


LIGHT = Palette(
    ("#eef3f7", "#cfe0ec", "#9dc2db", "#5f9bc4", "#f0a03c", "#c9500e"),
    "#3b1600",
    "#0b5cad",
    "#cfe0ec",
    "#9dc2db",
    "#b8480b",
    "#9aa7b2",
    "#56636f",
    "#16202a",
)
DARK = Palette(
    ("#1d2831", "#21384b", "#2b5577", "#3f7fad", "#e0851f", "#ff6a2b"),
    "#ffffff",
    "#8cc6f7",
    "#1f3548",
    "#2f5d82",
    "#f59a4a",
    "#66737e",
    "#a4b0ba",
    "#e6ebef",
)


def labels(report: Report) -> Mapping[str, str]:
    """Host id -> label that is unique in a chart: the name, with the id where two hosts share one."""
    shown = {h: text.plain(name, 28) for h, name in report.host_label.items()}
    taken = pd.Series(shown).value_counts()
    return {h: name if taken[name] == 1 else f"{name} ({text.plain(h, 12)})" for h, name in shown.items()}


def heat_map(report: Report, *, planned: bool, cluster: str | None, palette: Palette) -> alt.Chart | alt.LayerChart:
    """Expected CPU use of hosts over the horizon; dots say in how many futures a slot is hot."""
    hosts = views.hosts_to_draw(report, report.fleet.n_hosts if cluster is not None else MAX_HOSTS)
    if cluster is not None:
        hosts = [h for h in hosts if views.cluster_of(report.fleet, h) == cluster][:MAX_HOSTS]
    host_of = report.host_of_after if planned else report.fleet.host_of
    use = views.expected_use(report.fleet, report.demand, host_of)[:, 0]
    over = views.over_share(report, host_of, "cpu")
    ends = views.slot_ends(report.demand)
    step = timedelta(seconds=report.demand.step_s)
    bounds = pictures.classes(report.threshold)
    names = labels(report)
    order = [names[report.fleet.hosts[h]] for h in hosts]
    rows = [
        {
            "host": names[report.fleet.hosts[h]],
            "cluster": text.plain(views.cluster_of(report.fleet, h), 40),
            "from": (end - step).isoformat(),
            "to": end.isoformat(),
            "middle": (end - step / 2).isoformat(),
            "when": f"{end - step:%d %b %H:%M} to {end:%H:%M} UTC",
            "use": float(use[h, t]),
            "class": next(label for low, label in reversed(bounds) if use[h, t] >= low or low == 0),
            "over": float(over[h, t]),
        }
        for h in hosts
        for t, end in enumerate(ends)
    ]
    tips = [
        alt.Tooltip("host:N"),
        alt.Tooltip("cluster:N"),
        alt.Tooltip("when:N"),
        alt.Tooltip("use:Q", format=".0%", title="expected use"),
        alt.Tooltip("over:Q", format=".0%", title=f"above {100 * report.threshold:.0f} %"),
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("host:N", sort=order, title=None, axis=names_axis()), tooltip=tips
    )
    scale = alt.Scale(domain=[label for _, label in bounds], range=ramp_of(palette, len(bounds)))
    cells = base.mark_rect(height=alt.RelativeBandSize(0.9)).encode(
        x=alt.X("from:T", scale=UTC, title=None, axis=time_axis()),
        x2="to:T",
        color=alt.Color(
            "class:N",
            scale=scale,
            sort=None,
            legend=alt.Legend(title=None, orient="bottom", direction="horizontal", columns=3),
        ),
    )
    dots = (
        base.transform_filter(f"datum.over >= {views.RISK[0]}")
        .mark_circle(opacity=1)
        .encode(
            x=alt.X("middle:T", scale=UTC),
            color=alt.condition(f"datum.use > {report.threshold}", alt.value(palette.dot), alt.value(palette.hot)),
            size=alt.Size(
                "over:Q", scale=alt.Scale(type="threshold", domain=list(views.RISK[1:]), range=[5, 16, 36]), legend=None
            ),
        )
    )
    return (cells + dots).properties(height=rows_high(len(order), 24, 80))


def ramp_of(palette: Palette, count: int) -> list[str]:
    """Colours for `count` classes of use, the last two of them hot."""
    return [*palette.ramp[6 - count : 4], *palette.ramp[4:]]


def rows_high(count: int, each: int, extra: int) -> int:
    """Height of a chart of `count` rows."""
    return max(count * each + extra, 160)


def names_axis() -> alt.Axis:
    """An axis of names: each is shown, none is a line."""
    return alt.Axis(
        labelLimit=200,
        labelOverlap=False,
        labelFlush=False,
        labelBound=False,
        labelPadding=8,
        ticks=False,
        domain=False,
        grid=False,
    )


def time_axis() -> alt.Axis:
    """An axis of instants, UTC: days at midnight, hours between."""
    return alt.Axis(
        grid=False,
        labelOverlap=True,
        labelExpr="utchours(datum.value) + utcminutes(datum.value) == 0 ? utcFormat(datum.value, '%d %b') : utcFormat(datum.value, '%H:%M')",
        tickCount=12,
    )


def fan(report: Report, host: str, resource: str, *, planned: bool, ceiling: float, palette: Palette) -> alt.LayerChart:
    """Forecast of one host (id): bands of 9 in 10 and of half the futures, the median, and the threshold."""
    host_of = report.host_of_after if planned else report.fleet.host_of
    bands = host_fan(report.fleet, report.demand, host, host_of, resource)
    half = timedelta(seconds=report.demand.step_s / 2)
    frame = pd.DataFrame(bands.T, columns=["q05", "q25", "q50", "q75", "q95"])
    frame["at"] = [(end - half).isoformat() for end in views.slot_ends(report.demand)]
    frame["when"] = [f"{end - half:%d %b %H:%M} UTC" for end in views.slot_ends(report.demand)]
    y = alt.Scale(domain=[0, ceiling], nice=False)
    tips = [
        alt.Tooltip("when:N"),
        *[
            alt.Tooltip(f"{q}:Q", format=".0%", title=title)
            for q, title in (("q95", "95 %"), ("q75", "75 %"), ("q50", "median"), ("q25", "25 %"), ("q05", "5 %"))
        ],
    ]
    base = alt.Chart(frame).encode(x=alt.X("at:T", scale=UTC, title=None, axis=time_axis()), tooltip=tips)
    axis = alt.Axis(format=".0%", tickCount=5)
    limit = views.limit_of(report, resource)
    rule = alt.Chart(pd.DataFrame([{"limit": limit, "word": f"threshold {100 * limit:.0f} %"}])).encode(
        y=alt.Y("limit:Q", scale=y)
    )
    return alt.layer(
        base.mark_area(color=palette.outer).encode(y=alt.Y("q05:Q", scale=y, title=None, axis=axis), y2="q95:Q"),
        base.mark_area(color=palette.inner).encode(y=alt.Y("q25:Q", scale=y), y2="q75:Q"),
        base.mark_line(color=palette.line, strokeWidth=2).encode(y=alt.Y("q50:Q", scale=y)),
        rule.mark_rule(color=palette.hot, strokeDash=[4, 3], strokeWidth=1.5),
        rule.mark_text(color=palette.hot, align="right", dy=-7, fontWeight=600).encode(
            text="word:N", x=alt.value("width")
        ),
    ).properties(height=240)


def ceiling(report: Report, host: str, resource: str) -> float:
    """The top of the axis that fits a host's fans before and after."""
    both = [
        host_fan(report.fleet, report.demand, host, host_of, resource).max()
        for host_of in (report.fleet.host_of, report.host_of_after)
    ]
    return max(1.0, float(max(both)) * 1.03)


def timeline(report: Report, palette: Palette) -> alt.LayerChart:
    """Migrations as bars over time; the dark end is the blackout."""
    rows: list[dict[str, Any]] = []
    unit, per = ("seconds", 1) if words.plan_seconds(report) < 300 else ("minutes", 60)
    for number, wave in enumerate(report.plan.waves, 1):
        for m in wave.migrations:
            name = text.plain(m.vm_name or report.vm_label.get(m.vm, m.vm), 30)
            rows.append(
                {
                    "step": f"{len(rows) + 1}. {name}",
                    "wave": number,
                    "route": f"{text.plain(report.host_label.get(m.source, m.source), 24)} \u2192 {text.plain(report.host_label.get(m.destination, m.destination), 24)}",
                    "from": m.starts_s / per,
                    "to": (m.starts_s + m.seconds) / per,
                    "pause": max(m.starts_s + m.seconds - m.blackout_s, m.starts_s) / per,
                    "takes": words.span(m.seconds),
                    "blackout": words.span(m.blackout_s),
                }
            )
    frame = pd.DataFrame(rows)
    base = alt.Chart(frame).encode(
        y=alt.Y("step:N", sort=list(frame["step"]), title=None, axis=names_axis()),
        tooltip=[
            alt.Tooltip("step:N"),
            alt.Tooltip("route:N"),
            alt.Tooltip("wave:O"),
            alt.Tooltip("takes:N"),
            alt.Tooltip("blackout:N"),
        ],
    )
    bars = base.mark_bar(color=palette.line, height=12, cornerRadius=2).encode(
        x=alt.X("from:Q", title=f"{unit} after the start", axis=alt.Axis(tickMinStep=1, tickCount=10)), x2="to:Q"
    )
    # A blackout of a fraction of a second would be invisible to scale, so its mark has a least width.
    pauses = base.mark_bar(color=palette.ink, height=12, minBandSize=3, stroke=palette.ink, strokeWidth=2).encode(
        x="pause:Q", x2="to:Q"
    )
    words_ = base.mark_text(align="left", dx=8, color=palette.soft).encode(x="to:Q", text="route:N")
    return alt.layer(bars, pauses, words_).properties(height=rows_high(len(rows), 26, 60))


def peaks(report: Report, resource: str, palette: Palette) -> alt.LayerChart:
    """Expected peak of `resource` on every drawn host: a hollow mark if nothing is done, a full one with the plan."""
    r, names = report.fleet.resources.index(resource), labels(report)
    hosts = views.hosts_to_draw(report, MAX_HOSTS)
    order = [names[report.fleet.hosts[h]] for h in hosts]
    rows: list[dict[str, Any]] = []
    for h in hosts:
        before, after = float(report.before.peak[h, r]), float(report.after.peak[h, r])
        rows.append({"host": names[report.fleet.hosts[h]], "before": before, "after": after})
    frame = pd.DataFrame(rows)
    long = frame.melt("host", ["before", "after"], var_name="future", value_name="peak")
    long["future"] = long["future"].map({"before": "if nothing is done", "after": "with the plan"})
    y = alt.Y("host:N", sort=order, title=None, axis=names_axis())
    x = alt.Axis(format=".0%", title=None, tickCount=5)
    limit = views.limit_of(report, resource)
    links = (
        alt.Chart(frame)
        .mark_rule(color=palette.was, strokeWidth=2)
        .encode(y=y, x=alt.X("before:Q", axis=x), x2="after:Q")
    )
    points = (
        alt.Chart(long)
        .mark_point(size=70, filled=True, opacity=1)
        .encode(
            y=y,
            x=alt.X("peak:Q", axis=x, scale=alt.Scale(domainMin=0)),
            color=alt.Color(
                "future:N",
                sort=None,
                scale=alt.Scale(range=[palette.was, palette.line]),
                legend=alt.Legend(title=None, orient="bottom"),
            ),
            shape=alt.Shape("future:N", sort=None, scale=alt.Scale(range=["diamond", "circle"])),
            tooltip=[
                alt.Tooltip("host:N"),
                alt.Tooltip("future:N"),
                alt.Tooltip("peak:Q", format=".0%", title="expected peak"),
            ],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame([{"limit": limit}])).mark_rule(color=palette.hot, strokeDash=[4, 3]).encode(x="limit:Q")
    )
    return alt.layer(rule, links, points).properties(height=rows_high(len(order), 24, 80))


def hours_between(starts: datetime, ends: datetime) -> str:
    """A window as people read it."""
    return f"{starts:%d %b %H:%M} to {ends:%d %b %H:%M}"
