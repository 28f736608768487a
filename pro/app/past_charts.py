"""Altair charts of a backtest. Names reach a chart as data only, as in `charts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from pro.app.charts import MAX_HOSTS, UTC, Palette, names_axis, ramp_of, rows_high, time_axis
from pro.core import text
from pro.reports import pictures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.actions.backtests import Grid

HOT = ("no host is hot", "one host", "two hosts or more")
CHANCES = (
    (0.0, "under 10 %"),
    (0.1, "10\u201330 %"),
    (0.3, "30\u201350 %"),
    (0.5, "50\u201380 %"),
    (0.8, "80 % and more"),
)
"""Lower bound and label of the classes of a probability."""


def strips(grids: Mapping[str, Grid], threshold: float, palette: Palette) -> alt.LayerChart:
    """How many hosts are hot over time, a row for every policy, and below it a tick where a migration ended."""
    rows, ticks = [], []
    for name, grid in grids.items():
        hot = (grid.values > threshold).sum(axis=0)
        for b, count in enumerate(hot.tolist()):
            rows.append({"policy": name, **_stretch(grid, b), "class": HOT[min(count, 2)], "hosts": count})
        ticks += [
            {"policy": name, "at": grid.edges[b + 1].isoformat(), "migrations": int(n), **_stretch(grid, b)}
            for b, n in enumerate(grid.moves.tolist()) if n
        ]  # fmt: skip
    scale = alt.Scale(domain=list(HOT), range=[palette.ramp[0], palette.ramp[4], palette.ramp[5]])
    y = alt.Y("policy:N", sort=list(grids), title=None, axis=names_axis())
    bars = alt.Chart(pd.DataFrame(rows)).mark_rect(height=alt.RelativeBandSize(0.6), yOffset=-3).encode(
        x=alt.X("from:T", scale=UTC, title=None, axis=time_axis()), x2="to:T", y=y,
        color=alt.Color("class:N", scale=scale, sort=None, legend=_legend(2)),
        tooltip=[alt.Tooltip("policy:N"), alt.Tooltip("when:N"), alt.Tooltip("hosts:Q", title="hosts hot at once, at most")],
    )  # fmt: skip
    if not ticks:
        return alt.layer(bars).properties(height=rows_high(len(grids), 34, 80))
    marks = alt.Chart(pd.DataFrame(ticks)).mark_tick(color=palette.ink, thickness=1.5, height=6, yOffset=11, orient="vertical").encode(
        x=alt.X("at:T", scale=UTC), y=y,
        tooltip=[alt.Tooltip("policy:N"), alt.Tooltip("when:N"), alt.Tooltip("migrations:Q")],
    )  # fmt: skip
    return alt.layer(bars, marks).properties(height=rows_high(len(grids), 34, 80))


def use_map(grid: Grid, threshold: float, palette: Palette) -> alt.Chart:
    """Measured use of hosts over time; of a stretch, the highest."""
    bounds = pictures.classes(threshold)
    return _map(grid, bounds, ramp_of(palette, len(bounds)), ("use", "highest use"))


def chance_map(grid: Grid, palette: Palette) -> alt.Chart:
    """How likely each host was to run hot within the hour after; of a stretch, the highest."""
    colours = [palette.ramp[i] for i in (0, 1, 2, 4, 5)]
    return _map(grid, CHANCES, colours, ("chance", "hot within the hour, highest"))


def _map(grid: Grid, bounds: Sequence[tuple[float, str]], colours: Sequence[str], said: tuple[str, str]) -> alt.Chart:
    shown = worst_hosts(grid)
    names = labels(grid)
    lows = np.array([low for low, _ in bounds])
    kinds = np.clip(np.searchsorted(lows, grid.values, side="right") - 1, 0, None)
    rows: list[dict[str, Any]] = [
        {"host": names[h], **_stretch(grid, b), "value": float(grid.values[h, b]), "class": bounds[kinds[h, b]][1]}
        for h in shown
        for b in range(grid.values.shape[1])
    ]
    scale = alt.Scale(domain=[label for _, label in bounds], range=list(colours))
    return alt.Chart(pd.DataFrame(rows)).mark_rect(height=alt.RelativeBandSize(0.9)).encode(
        x=alt.X("from:T", scale=UTC, title=None, axis=time_axis()), x2="to:T",
        y=alt.Y("host:N", sort=[names[h] for h in shown], title=None, axis=names_axis()),
        color=alt.Color("class:N", scale=scale, sort=None, legend=_legend()),
        tooltip=[alt.Tooltip("host:N"), alt.Tooltip("when:N"), alt.Tooltip("value:Q", format=".0%", title=said[1])],
    ).properties(height=rows_high(len(shown), 24, 80))  # fmt: skip


def worst_hosts(grid: Grid) -> list[int]:
    """Hosts to draw, in the order of their names: all, or those with the highest values."""
    rank = np.lexsort((-grid.values.mean(axis=1), -grid.values.max(axis=1)))[:MAX_HOSTS]
    return sorted(rank.tolist(), key=lambda h: (grid.names[h], grid.hosts[h]))


def labels(grid: Grid) -> list[str]:
    """What hosts are called in a chart: the name, with the id where two share one."""
    shown = [text.plain(name, 28) for name in grid.names]
    return [n if shown.count(n) == 1 else f"{n} ({text.plain(h, 12)})" for n, h in zip(shown, grid.hosts, strict=True)]


def _stretch(grid: Grid, b: int) -> dict[str, str]:
    begins, ends = grid.edges[b], grid.edges[b + 1]
    return {
        "from": begins.isoformat(),
        "to": ends.isoformat(),
        "when": f"{begins:%d %b %H:%M} to {ends:%d %b %H:%M} UTC",
    }


def _legend(columns: int = 3) -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", direction="horizontal", columns=columns)
