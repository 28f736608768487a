"""How good the forecasts have been: rolling origins over the user's own past, losses included, nothing from the future."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.forecast import losses
from pro.forecast.history import DAY_S, History, begun, history, slot_means
from pro.forecast.joint import cut, forecast
from pro.forecast.origins import draw_origins
from pro.forecast.paths import replay

if TYPE_CHECKING:
    from datetime import datetime

    from pro.core.arrays import Singles
    from pro.telemetry.grid import Grid


PATHS, HALF = 24, 0.5
ASKED = (0.05, 0.5, 0.9, 0.95)
OURS, LAST, SEASONAL = "pro", "last value", "seasonal naive"


@dataclass(frozen=True)
class Score:
    """One model's mean loss over entities, origins and slots with a known actual; in the counter's unit, lower is better.

    `coverage` is the share of actuals inside the 90 % interval (nominal 0.9); `crps` scores the whole spread. The two trivial
    models carry intervals too: their own errors at past instants.
    """

    model: str
    mae: float
    pinball_50: float
    pinball_90: float
    pinball_95: float
    crps: float
    coverage: float


@dataclass(frozen=True)
class Accuracy:
    """Scores of one counter. `series` entities counted, `origins` actually used (fewer where the past is short)."""

    counter: str
    horizon_s: int
    slot_s: int
    origins: tuple[datetime, ...]
    series: int
    rows: tuple[Score, ...]

    def to_json(self) -> dict[str, Any]:
        """The `accuracy/1` document; a loss that could not be computed is null."""
        rows = [{k: None if v != v else v for k, v in asdict(row).items()} for row in self.rows]
        return {
            "schema": "accuracy/1",
            "counter": self.counter,
            "horizon_s": self.horizon_s,
            "slot_s": self.slot_s,
            "origins": [o.isoformat() for o in self.origins],
            "series": self.series,
            "rows": rows,
        }


def rolling(grid: Grid, *, horizon_s: int, origins: int, seed: int, slot_s: int = 1800) -> Accuracy:
    """Forecast from up to `origins` instants inside `grid`, evenly spread, and score against what came.

    Every origin has at least two days of past (one where that is all there is), counted from where half of the entities that are ever known have
    begun, and its whole horizon inside the grid. Unknown actuals are left out, not counted as zero. With too short a grid there are no origins
    and no rows.
    """
    grid = _begun(grid)
    instants = _instants(grid, horizon_s, origins, slot_s)
    tables: dict[str, list[tuple[Singles, Singles, Singles]]] = {OURS: [], LAST: [], SEASONAL: []}
    actuals = []
    for at in instants:
        truth, seen = slot_means(
            cut(grid, at + timedelta(seconds=horizon_s)), at + timedelta(seconds=horizon_s), slot_s
        )
        slots = horizon_s // slot_s
        actuals.append(np.where(seen, truth, np.nan)[:, -slots:])
        past = cut(grid, at)
        ours = forecast({grid.counter: past}, horizon_s=horizon_s, scenarios=PATHS, seed=seed, slot_s=slot_s)[
            grid.counter
        ]
        tables[OURS].append((ours.quantile(0.5), ours.values, np.stack([ours.quantile(q) for q in ASKED])))
        known = history(past, at, slot_s, horizon_s + DAY_S)
        for name in (LAST, SEASONAL):
            point, paths = _trivial(name, known, slots, seed)
            tables[name].append((point, paths, np.quantile(paths, ASKED, axis=1, method="hazen")))
    if not instants:
        return Accuracy(grid.counter, horizon_s, slot_s, (), 0, ())
    actual = np.stack(actuals)
    rows = tuple(_score(name, actual, table) for name, table in tables.items())
    series = int(np.isfinite(actual).any(axis=(0, 2)).sum())
    return Accuracy(grid.counter, horizon_s, slot_s, tuple(instants), series, rows)


def _begun(grid: Grid) -> Grid:
    """`grid` without the time before half of its entities that are ever known have begun: nothing can be said then, and nobody was asked."""
    begin = begun(np.isfinite(grid.values), HALF)
    start = grid.start + timedelta(seconds=grid.step_s * begin)
    return replace(grid, start=start, values=grid.values[:, begin:])


def _instants(grid: Grid, horizon_s: int, origins: int, slot_s: int) -> list[datetime]:
    last = grid.cutoff - timedelta(seconds=horizon_s)
    room = (last - grid.start).total_seconds()
    first = grid.start + timedelta(seconds=2 * DAY_S if room >= 2 * DAY_S else DAY_S)
    if room < DAY_S or origins < 1:
        return []
    steps = round((last - first).total_seconds()) // slot_s
    return [
        last - timedelta(seconds=slot_s * k)
        for k in sorted({steps * i // origins for i in range(origins)}, reverse=True)
    ]


def _trivial(name: str, past: History, slots: int, seed: int) -> tuple[Singles, Singles]:
    """Point (E, T) and paths (E, S, T) of a trivial model: its forecast, plus what it got wrong at past instants."""
    x = np.nan_to_num(past.values)
    n = x.shape[1]
    rng = np.random.default_rng(seed)
    back = draw_origins(n - past.per_day, slots, PATHS, past.per_day, 1.0, rng)
    season = past.per_day * -(-slots // past.per_day)

    def point(end: int) -> Singles:
        if name == LAST:
            return np.repeat(x[:, end - 1 : end], slots, axis=1)
        start = end - season
        return x[:, np.maximum(np.arange(start, start + slots), 0)]

    errors = replay(x, back, slots) - np.stack([point(n - int(b)) for b in back], axis=1)
    now = point(n)
    return now, now[:, None, :] + errors


def _score(name: str, actual: Singles, table: list[tuple[Singles, Singles, Singles]]) -> Score:
    point, paths, quantiles = (np.stack(part) for part in zip(*table, strict=True))
    q05, q50, q90, q95 = np.moveaxis(quantiles, 1, 0)
    return Score(
        model=name,
        mae=losses.mae(actual, point),
        pinball_50=losses.pinball(actual, q50, 0.5),
        pinball_90=losses.pinball(actual, q90, 0.9),
        pinball_95=losses.pinball(actual, q95, 0.95),
        crps=losses.crps(actual, paths),
        coverage=losses.coverage(actual, q05, q95),
    )
