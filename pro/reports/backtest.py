"""A backtest as one HTML file: the verdict, every policy's row, and pictures over time. Knows numbers, not how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.reports import svg
from pro.reports.html import environment
from pro.reports.pictures import BELOW, MAX_HOSTS, classes, hour_axis, spells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from pro.core.arrays import Floats

    Box = tuple[float, float, float, float]

BUCKETS = 384
"""Columns of a picture at most; more instants are put together, and the worst of them is drawn."""
LEFT, RIGHT, WIDTH, ROW = 118.0, 128.0, 960.0, 17.0
LETTER = 7.0
"""Width of a letter of a label, about."""
HOT_CLASSES = ("k0", "hot0", "hot1")


@dataclass(frozen=True)
class Course:
    """One policy to draw. `share` (H, T) use of hosts as a fraction of capacity; `moves` (M,) column of every migration's end."""

    name: str
    share: Floats
    moves: tuple[int, ...]


@dataclass(frozen=True)
class Page:
    """What the page shows. `document` is "backtest/1"; `courses` in the order of its policies; column 0 ends `step_s` after `start`."""

    document: Mapping[str, Any]
    courses: tuple[Course, ...]
    hosts: tuple[str, ...]
    start: datetime
    step_s: int


def render(page: Page) -> str:
    """The complete HTML document: no script, no reference to anything outside the file."""
    document = page.document
    best = next(c for c in page.courses if c.name == document["best"])
    nothing = page.courses[0]
    shown = _worst_hosts(nothing.share, document["threshold"])
    maps = [host_map(page, nothing, shown, "CPU use of hosts if nothing is done")]
    if best is not nothing:
        maps.append(host_map(page, best, shown, f"CPU use of hosts under {best.name}"))
    return str(
        environment().get_template("backtest.html.j2").render(
            d=document, strips=strips(page), maps=maps, trade=trade(document),
            legend=[(_kind(i, document["threshold"]), words) for i, (_, words) in enumerate(classes(document["threshold"]))],
            best=next(p for p in document["policies"] if p["name"] == document["best"]), nothing=document["policies"][0],
            days=_seconds(page) / 86_400, shown=len(shown),
        )
    )  # fmt: skip


def strips(page: Page) -> Markup:
    """A strip for every policy: how many hosts are hot, over time, and a tick for every migration."""
    top, row, tall = 26.0, 26.0, 13.0
    plot, over = WIDTH - LEFT - RIGHT, page.document["threshold"]
    parts: list[Markup] = [svg.label(LEFT, 12, "Hot hosts over time, and migrations", "caption")]
    parts += [
        svg.label(WIDTH - 68, 12, "hot minutes", "axis", "end"),
        svg.label(WIDTH, 12, "migrations", "axis", "end"),
    ]
    marks: dict[str, list[tuple[float, float, float, float]]] = {}
    ticks = []
    y = top
    for course, said in zip(page.courses, page.document["policies"], strict=True):
        hot = _buckets((course.share > over).sum(axis=0)[None, :].astype(np.float64))[0]
        cell = plot / len(hot)
        kinds = np.minimum(hot, 2).astype(np.int64)
        for first, last in spells(kinds):
            marks.setdefault(HOT_CLASSES[kinds[first]], []).append(
                (LEFT + first * cell, y, (last - first) * cell, tall)
            )
        columns = course.share.shape[1]
        ticks += [(LEFT + plot * m / columns - 0.5, y + tall + 1.5, 1.0, 5.0) for m in course.moves]
        kind = "name best" if course.name == page.document["best"] else "name"
        parts += [
            svg.label(LEFT - 8, y + 11, course.name, kind, "end", 17),
            svg.label(WIDTH - 68, y + 11, f"{said['hot_minutes']:,}", "peak", "end"),
            svg.label(WIDTH, y + 11, f"{said['migrations']:,}", "peak", "end"),
        ]
        y += row
    cells = [svg.cells(runs, kind) for kind, runs in sorted(marks.items())]
    axis = hour_axis(page.start, _seconds(page), LEFT, plot, y + 12, 12)
    return svg.picture(
        WIDTH,
        y + 18,
        "Hot hosts over time under every policy",
        *cells,
        svg.cells(ticks, "tick"),
        *parts,
        *axis,
        least=680,
    )


def host_map(page: Page, course: Course, hosts: Sequence[int], title: str) -> Markup:
    """Measured use of hosts over time; what is drawn of several instants is the highest."""
    top, plot = 22.0, WIDTH - LEFT - 78
    over = page.document["threshold"]
    share = _buckets(course.share)
    cell = plot / share.shape[1]
    bounds = [low for low, _ in classes(over)]
    marks: dict[str, list[tuple[float, float, float, float]]] = {}
    parts: list[Markup] = [svg.label(LEFT, 12, title, "caption"), svg.label(WIDTH - 68, 12, "highest", "axis")]
    y = top
    for h in hosts:
        kinds = np.clip(np.searchsorted(bounds, share[h], side="right") - 1, 0, None)
        for first, last in spells(kinds):
            marks.setdefault(_kind(int(kinds[first]), over), []).append(
                (LEFT + first * cell, y, (last - first) * cell, ROW - 1.5)
            )
        peak = float(course.share[h].max())
        parts += [
            svg.label(LEFT - 8, y + ROW - 5, page.hosts[h], "name", "end", 17),
            svg.label(WIDTH - 68, y + ROW - 5, f"{100 * peak:.0f} %", "peak hot" if peak > over else "peak"),
        ]
        y += ROW
    cells = [svg.cells(runs, kind) for kind, runs in sorted(marks.items())]
    axis = hour_axis(page.start, _seconds(page), LEFT, plot, y + 14, 12)
    return svg.picture(WIDTH, y + 20, title, *cells, *parts, *axis, least=680)


def trade(document: Mapping[str, Any]) -> Markup:
    """What heat is left for how many migrations a day: lower and further left is better. Policies on one spot share a label."""
    height, top, bottom = 250.0, 30.0, 40.0
    rows = document["policies"]
    most_x = _round_up(max(p["migrations_per_day"] for p in rows))
    most_y = _round_up(max(p["hot_minutes"] for p in rows))
    plot, tall = WIDTH - LEFT - 2 * RIGHT, height - top - bottom
    title = "Hot host-minutes left, against migrations a day"
    parts: list[Markup] = [svg.label(LEFT, 12, title, "caption")]
    for part in (0.0, 0.5, 1.0):
        y, x = top + tall * (1 - part), LEFT + plot * part
        parts += [
            svg.line(LEFT, y, LEFT + plot, y, "grid"),
            svg.label(LEFT - 8, y + 4, f"{most_y * part:,.0f}", "axis", "end"),
            svg.label(x, height - bottom + 18, f"{most_x * part:.3g}", "axis", "middle"),
        ]
    parts.append(svg.label(LEFT + plot / 2, height - 4, "migrations a day", "axis", "middle"))
    spots: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for p in rows:
        x = LEFT + plot * p["migrations_per_day"] / most_x
        y = top + tall * (1 - p["hot_minutes"] / most_y)
        spots.setdefault((round(x / 10), round(y / 10)), []).append({**p, "x": x, "y": y})
    taken = [(p["x"] - 5, p["y"] - 5, p["x"] + 5, p["y"] + 5) for group in spots.values() for p in group]
    taken.append((0.0, height - bottom + 6, WIDTH, height))
    for group in spots.values():
        best = any(p["name"] == document["best"] for p in group)
        parts += [
            svg.box(p["x"] - 4, p["y"] - 4, 8, 8, "mark best" if p["name"] == document["best"] else "mark", round_=4)
            for p in group
        ]
        words = ", ".join(p["name"] for p in group)
        x, y = _free_spot(max(p["x"] for p in group), group[0]["y"], min(len(words), 40) * LETTER, taken)
        parts.append(svg.label(x, y, words, "name best" if best else "name", limit=40))
    return svg.picture(WIDTH, height, title, *parts, least=680)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 10, 20, ... whose half is easy to read as well."""
    power = 10.0 ** np.floor(np.log10(max(value, 1.0)))
    return float(next(power * m for m in (1, 2, 4, 6, 10) if power * m >= value))


def _free_spot(x: float, y: float, wide: float, taken: list[Box]) -> tuple[float, float]:
    """Where a label of width `wide` beside the mark at (x, y) hides nothing that is `taken`, to which it is then added."""
    offers = [
        (x + 9, y + 4),
        (x + 9, y + 17),
        (x + 9, y - 9),
        (x - wide / 2, y + 17),
        (x - wide - 9, y + 4),
        (x + 9, y + 30),
        (x + 9, y - 22),
        (x + 9, y - 35),
        (x + 9, y - 48),
    ]
    for left, line in offers:
        box = (left, line - 10, left + wide, line + 2)
        if left >= LEFT and not any(_meet(box, other) for other in taken):
            break
    taken.append(box)
    return left, line


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _kind(index: int, threshold: float) -> str:
    """CSS class of the heat map's class number `index`."""
    cool = len(classes(threshold)) - 2
    return f"k{index + len(BELOW) - cool}" if index < cool else f"hot{index - cool}"


def _buckets(values: Floats) -> Floats:
    """(H, B) the highest value of each of at most `BUCKETS` stretches of `values` (H, T)."""
    edges = np.unique(np.linspace(0, values.shape[1], min(BUCKETS, values.shape[1]) + 1).astype(np.int64))[:-1]
    out: Floats = np.maximum.reduceat(values, edges, axis=1)
    return out


def _worst_hosts(share: Floats, threshold: float) -> list[int]:
    """Hosts to draw, in their order: all, or those that are hot for longest and then the busiest."""
    rank = np.lexsort((-share.mean(axis=1), -(share > threshold).sum(axis=1)))[:MAX_HOSTS]
    return sorted(rank.tolist())


def _seconds(page: Page) -> float:
    return float(page.courses[0].share.shape[1] * page.step_s)
