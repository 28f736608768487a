"""When a learned model is worth having: held-back days decide, entity by entity, and most entities go without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import COUNTERS
from pro.forecast.history import history
from pro.forecast.learned import Learned, learn
from pro.forecast.losses import crps_each
from pro.forecast.origins import draw_origins, free_share, pooled_strength, season_strength
from pro.forecast.paths import LEVEL_S, draw, level_paths, persistence
from pro.forecast.taught import Lesson, Taught

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.core.arrays import Singles
    from pro.forecast.history import History
    from pro.telemetry.grid import Grid


DAY_S = 86_400
PATTERN = 0.3
"""Season strength from which an entity is a candidate for the learned model; below, there is little to learn."""
CANDIDATES = 300
"""At most so many candidates per counter, the most variable ones: they are what makes hosts hot."""
HELD_BACK = 3
"""Days the learned model must prove itself on; it is then taught on all."""
MARGIN = 0.9
"""The learned model must bring an entity's loss below this part of the plain model's."""
HALF_KNOWN = 0.5
"""An entity less known than this is not worth teaching."""
SEED, PATHS = 9, 12


@dataclass(frozen=True)
class Bounds:
    """Lowest possible value, and (E,) the highest credible one: what was seen, or 100 % for a percentage, within physics."""

    low: float
    top: Singles

    def apply(self, paths: Singles, entities: NDArray[Any]) -> Singles:
        """`paths` of `entities` (indices) inside."""
        return np.asarray(np.clip(paths, np.float32(self.low), self.top[entities, None, None]), dtype=np.float32)


def bounds_of(grid: Grid) -> Bounds:
    """What no path of this counter may leave."""
    counter = COUNTERS[grid.counter]
    seen = np.max(grid.values, axis=1, initial=-np.inf, where=np.isfinite(grid.values))
    top = np.maximum(seen, 100.0) if counter.unit == "%" else seen
    return Bounds(counter.low, np.clip(top, counter.low, counter.high).astype(np.float32))


def train(grids: Mapping[str, Grid], cutoff: datetime, horizon_s: int, slot_s: int, days: float) -> Taught:
    """Teach every counter on what lies at or before `cutoff`. A counter on which nothing is won has no lesson."""
    lessons = {}
    for counter, grid in sorted(grids.items()):
        past = history(grid, cutoff, slot_s, horizon_s + DAY_S)
        lesson = teach(past, grid.entities, counter, horizon_s // slot_s, bounds_of(grid))
        if lesson is not None:
            lessons[counter] = lesson
    return Taught(cutoff, days, slot_s, lessons)


def tried(
    model: Learned, past: History, able: NDArray[np.int64], end: int, slots: int, bounds: Bounds
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CRPS of the plain and of the learned paths of `able` (n,) over the `slots` after slot `end`, with nothing after it used; (n,) each."""
    free, span = free_share(pooled_strength((past,))), max(LEVEL_S * past.per_day // DAY_S, 1)
    values, seen = past.values[able, :end], past.seen[able, :end]
    rng = np.random.default_rng(SEED)
    trial = draw(draw_origins(end, slots, PATHS, past.per_day, free, rng), rng)
    keep = persistence(values, slots, span)
    truth = np.where(past.seen[able, end : end + slots], past.values[able, end : end + slots], np.nan)
    plain = crps_each(truth, bounds.apply(level_paths(values, seen, keep, trial, span), able))
    return plain, crps_each(truth, bounds.apply(model.paths(values, trial.origins), able))


def teach(past: History, entities: tuple[str, ...], counter: str, slots: int, bounds: Bounds) -> Lesson | None:
    """The learned model and the entities for which it beat the plain one on held-back days; None where there is none."""
    from pro.forecast.trees import Trees

    step = past.per_day * -(-slots // past.per_day)
    rows, n = np.flatnonzero(past.seen.any(axis=1)), past.values.shape[1]
    taught = n - HELD_BACK * step
    if taught < max(2 * past.per_day, slots + past.per_day):
        return None
    season = season_strength(past.values[rows], past.per_day)
    able = rows[(season > PATTERN) & (past.seen[rows].mean(axis=1) > HALF_KNOWN)]
    able = able[np.argsort(-past.values[able].std(axis=1), kind="stable")[:CANDIDATES]]
    model = learn(past.values[able, :taught], slots, past.per_day, np.random.default_rng(SEED))
    if model is None:
        return None
    losses = [tried(model, past, able, n - back * step, slots, bounds) for back in range(1, HELD_BACK + 1)]
    plain_loss, learned_loss = np.moveaxis(np.array(losses), 1, 0)
    wins = (learned_loss.sum(axis=0) < MARGIN * plain_loss.sum(axis=0)) & (learned_loss <= plain_loss).all(axis=0)
    final = learn(past.values[able], slots, past.per_day, np.random.default_rng(SEED)) if wins.any() else None
    if final is None:
        return None
    return Lesson(
        counter, Trees.of(final.model), past.per_day, slots, tuple(sorted(entities[e] for e in able[wins])), able.size,
        float(plain_loss[:, wins].mean()), float(learned_loss[:, wins].mean()),
    )  # fmt: skip
