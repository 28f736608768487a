"""The four pictures of the report, as SVG without scripts: heat map, fan, timeline, bars of peaks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pro.core import text
from pro.reports import svg, views, words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from markupsafe import Markup
    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints
    from pro.planning.plan import Migration
    from pro.reports.report import Report

    Mark = tuple[float, float, float, float]

BELOW = (0.0, 0.3, 0.5, 0.65)
"""Lower bounds of the cool classes of the heat map; the last cool class ends at the threshold."""

DOTS = (1.6, 3.0, 4.6)
"""Sides of the marks for `views.RISK`."""
MAX_HOSTS = 48
MAX_STEPS = 80


def classes(threshold: float) -> list[tuple[float, str]]:
    """(lower bound, label) of every class of the heat map: cool ones up to the threshold, two hot ones above it."""
    middle = threshold + (1 - threshold) / 2 if threshold < 1 else threshold * 1.1
    bounds = [b for b in BELOW if b < threshold] + [threshold, middle]
    tops = [*bounds[1:], None]
    return [
        (low, f"{100 * low:.0f}\u2013{100 * top:.0f} %" if top else f"over {100 * low:.0f} %")
        for low, top in zip(bounds, tops, strict=True)
    ]


def heat_kind(report: Report, index: int) -> str:
    """CSS class of the heat map's class number `index`: k0, k1, ... cool; hot0, hot1 over the threshold."""
    cool = len(classes(report.threshold)) - 2
    return f"k{index + len(BELOW) - cool}" if index < cool else f"hot{index - cool}"


def heat_map(report: Report, host_of: Ints, hosts: Sequence[int], title: str) -> Markup:
    """Expected CPU use of `hosts` over the horizon under `host_of`; dots say in how many futures a slot is hot."""
    left, right, top, width, row = 118.0, 78.0, 22.0, 960.0, 17.0
    expected = views.expected_use(report.fleet, report.demand, host_of)[:, 0]
    risk = views.over_share(report, host_of, "cpu")
    plot, slots = width - left - right, expected.shape[1]
    cell = plot / slots
    bounds = [low for low, _ in classes(report.threshold)]
    runs: dict[int, list[Mark]] = {}
    words_: list[Markup] = []
    on_hot: list[Mark] = []
    on_cool: list[Mark] = []
    y, cluster = top, None
    for h in hosts:
        if (name := views.cluster_of(report.fleet, h)) != cluster:
            cluster, y = name, y + (14 if name else 0)
            words_.append(svg.label(0, y - 4, name, "cluster", limit=40))
        kinds = np.clip(np.searchsorted(bounds, expected[h], side="right") - 1, 0, None)
        for first, last in spells(kinds):
            runs.setdefault(int(kinds[first]), []).append((left + first * cell, y, (last - first) * cell, row - 1.5))
        for t in np.flatnonzero(risk[h] >= views.RISK[0]):
            mark = _dot(left + (t + 0.5) * cell, y + (row - 1.5) / 2, float(risk[h, t]))
            (on_hot if expected[h, t] > report.threshold else on_cool).append(mark)
        peak = float(expected[h].max())
        words_.append(svg.label(left - 8, y + row - 5, report.fleet.host_names[h], "name", "end", 17))
        hot = "peak hot" if peak > report.threshold else "peak"
        words_.append(svg.label(width - right + 10, y + row - 5, f"{100 * peak:.0f} %", hot))
        y += row
    grid = [svg.cells(r, heat_kind(report, k)) for k, r in sorted(runs.items())]
    axis = hour_axis(report.demand.start, slots * report.demand.step_s, left, plot, y + 16, 12)
    head = [svg.label(left, 12, title, "caption"), svg.label(width - right + 10, 12, "highest", "axis")]
    return svg.picture(
        width,
        y + 22,
        title,
        *head,
        *grid,
        svg.cells(on_cool, "risk"),
        svg.cells(on_hot, "dot"),
        *words_,
        *axis,
        least=680,
    )


def _dot(x: float, y: float, risk: float) -> Mark:
    """A square around a point, the larger the likelier."""
    side = DOTS[sum(risk >= level for level in views.RISK) - 1]
    return x - side / 2, y - side / 2, side, side


def spells(kinds: NDArray[np.int64]) -> list[tuple[int, int]]:
    """[first, last) of stretches of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    return list(pairwise(edges))


def hour_axis(start: datetime, seconds: float, left: float, plot: float, y: float, room: int) -> list[Markup]:
    """Names of hours or days below a plot of width `plot` that begins at `left`; at most `room` of them."""
    return [
        svg.label(
            left + plot * at / seconds, y, word, "axis", "start" if at == 0 else "end" if at == seconds else "middle"
        )
        for at, word in svg.hours(start, seconds, room)
    ]


def fan(report: Report, bands: Floats, levels: tuple[float, float], title: str) -> Markup:
    """Forecast of one host: `bands` (5, T) are the 5, 25, 50, 75 and 95 % quantiles of its use as a fraction of capacity, `levels` the
    line above which it is hot and the top of the axis."""
    left, right, top, width, height = 38.0, 10.0, 26.0, 440.0, 190.0
    plot, tall = width - left - right, height - top - 24
    limit, ceiling = levels
    slots = bands.shape[1]
    xs = [left + plot * (t + 0.5) / slots for t in range(slots)]

    def ys(values: Floats) -> list[float]:
        return [top + tall * (1 - float(v) / ceiling) for v in values]

    def band(low: int, high: int, kind: str) -> Markup:
        return svg.path(
            [*zip(xs, ys(bands[high]), strict=True), *reversed([*zip(xs, ys(bands[low]), strict=True)])],
            kind,
            closed=True,
        )

    level = top + tall * (1 - limit / ceiling)
    grid = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + tall * (1 - value / ceiling)
        grid += [
            svg.line(left, y, width - right, y, "grid"),
            svg.label(left - 6, y + 4, f"{100 * value:.0f}", "axis", "end"),
        ]
    return svg.picture(
        width,
        height,
        title,
        svg.label(left, 13, title, "caption", limit=52),
        *grid,
        band(0, 4, "band outer"),
        band(1, 3, "band inner"),
        svg.path([*zip(xs, ys(bands[2]), strict=True)], "median"),
        svg.line(left, level, width - right, level, "threshold"),
        svg.label(width - right, level - 5, f"{100 * limit:.0f} %", "threshold-label", "end"),
        *hour_axis(report.demand.start, slots * report.demand.step_s, left, plot, height - 6, 6),
    )


def timeline(report: Report) -> Markup:
    """Every migration as a bar from its start to its end, its blackout at the end of the bar, waves as bands."""
    frame = _Frame(max((m.starts_s + m.seconds for m in report.plan.migrations[:MAX_STEPS]), default=1.0))
    bands: list[Markup] = []
    marks: list[Markup] = []
    y, room = frame.top, MAX_STEPS
    for number, wave in enumerate(report.plan.waves, 1):
        steps = wave.migrations[:room]
        if not steps:
            break
        room -= len(steps)
        bands.append(svg.box(0, y, frame.width, frame.row * len(steps), "wave odd" if number % 2 else "wave"))
        marks.append(svg.label(10, y + 15, f"{number}", "wave-label"))
        for m in steps:
            marks += _step(report, m, y, frame)
            y += frame.row
    ticks = svg.seconds_ticks(frame.total, 8)
    grid = [svg.line(frame.x(at), frame.top - 4, frame.x(at), y, "grid") for at, _ in ticks]
    heads = ((10.0, "wave"), (frame.vm, "VM"), (frame.route, "from \u2192 to"), (frame.end + 14, "blackout"))
    axis = [svg.label(x, frame.top - 10, word, "axis") for x, word in heads]
    axis += [svg.label(frame.x(at), frame.top - 10, word, "axis", "middle" if at else "start") for at, word in ticks]
    return svg.picture(frame.width, y + 4, "Migrations over time", *bands, *grid, *marks, *axis, least=760)


@dataclass(frozen=True)
class _Frame:
    """Where things stand in the timeline, in picture units; `total` seconds fill the plot."""

    total: float
    width: float = 960.0
    top: float = 28.0
    row: float = 22.0
    vm: float = 54.0
    route: float = 190.0
    left: float = 370.0
    end: float = 880.0

    def x(self, seconds: float) -> float:
        return self.left + (self.end - self.left) * seconds / self.total


def _step(report: Report, m: Migration, y: float, frame: _Frame) -> list[Markup]:
    name = m.vm_name or report.vm_label.get(m.vm, m.vm)
    source, destination = report.host_label.get(m.source, m.source), report.host_label.get(m.destination, m.destination)
    start, end = frame.x(m.starts_s), frame.x(m.starts_s + m.seconds)
    pause = max(frame.x(m.blackout_s) - frame.x(0), 2.5)
    tip = f"{name}: {source} to {destination}, {words.span(m.seconds)}, blackout {words.span(m.blackout_s)}"
    kind = "move quick" if m.kind == "quick" else "move stopover" if m.stopover else "move"
    return [
        svg.label(frame.vm, y + 15, name, "name", limit=17),
        svg.label(frame.route, y + 15, f"{text.plain(source, 10)} \u2192 {text.plain(destination, 10)}", "route"),
        svg.box(start, y + 5, end - start, frame.row - 10, kind, tip=tip, round_=2),
        svg.box(max(end - pause, start), y + 5, pause, frame.row - 10, "blackout"),
        svg.label(frame.end + 14, y + 15, words.span(m.blackout_s), "axis"),
    ]


def peaks(report: Report, resource: str, hosts: Sequence[int]) -> Markup:
    """Expected peak of `resource` on every host, two bars each: if nothing is done, and with the plan."""
    left, right, top, width, row = 118.0, 92.0, 24.0, 470.0, 22.0
    r, limit = report.fleet.resources.index(resource), views.limit_of(report, resource)
    before, after = report.before.peak[:, r], report.after.peak[:, r]
    ceiling = max(1.0, float(before[list(hosts)].max(initial=0)), float(after[list(hosts)].max(initial=0)))
    scale = (width - left - right) / ceiling
    parts = []
    y = top
    for h in hosts:
        parts += [
            svg.label(left - 8, y + 14, report.fleet.host_names[h], "name", "end", 16),
            svg.box(left, y + 2, float(before[h]) * scale, 8, "was hot" if before[h] > limit else "was"),
            svg.box(left, y + 11, float(after[h]) * scale, 8, "becomes hot" if after[h] > limit else "becomes"),
            svg.label(width, y + 14, _change(float(before[h]), float(after[h])), "peak", "end"),
        ]
        y += row
    level = left + limit * scale
    title = f"{words.RESOURCE_TITLES[resource]}, expected peak"
    mark = [
        svg.line(level, top - 4, level, y, "threshold"),
        svg.label(level, top - 8, f"{100 * limit:.0f} %", "threshold-label", "middle"),
    ]
    return svg.picture(width, y + 4, title, svg.label(0, 12, title, "caption"), *parts, *mark)


def _change(before: float, after: float) -> str:
    old, new = f"{100 * before:.0f}", f"{100 * after:.0f}"
    return f"{old} %" if old == new else f"{old} \u2192 {new} %"
