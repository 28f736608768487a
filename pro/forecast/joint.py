"""Joint scenarios: every path replays one past stretch of time for all entities and counters together, brought up to today's level.

A path that starts at past instant `o` is

    path(t) = actual(o + t) + w(t) * (level(now) - level(o))

where `level` is the mean of the entity's last hours and `w(t)` how much of a deviation from its usual self an entity still
shows t slots later, learned from the same history. At w = 1 this is the recent level with past changes added, at w = 0 a past
day as it was. All entities and counters use the same instants, so what peaked together peaks together in the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import COUNTERS
from pro.forecast.history import History, history
from pro.forecast.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.telemetry.grid import Grid

LEVEL_S = 7_200


def forecast(
    grids: Mapping[str, Grid], *, horizon_s: int, scenarios: int, seed: int, slot_s: int = 1800
) -> dict[str, Scenarios]:
    """Joint paths per counter over `horizon_s` from the newest cutoff among `grids`.

    Path s of every counter and entity replays the same past instants. Raises ValueError for a horizon that is no multiple of
    `slot_s`, or a slot that does not fit the grids.
    """
    if horizon_s % slot_s or horizon_s <= 0:
        raise ValueError(f"horizon_s {horizon_s} must be a positive multiple of slot_s {slot_s}")
    if scenarios < 1:
        raise ValueError("at least one scenario")
    if not grids:
        return {}
    cutoff = max(g.cutoff for g in grids.values())
    slots = horizon_s // slot_s
    pasts = {c: history(g, cutoff, slot_s, least_s=horizon_s + LEVEL_S) for c, g in sorted(grids.items())}
    back = draw_origins(max(p.values.shape[1] for p in pasts.values()), slots, scenarios, seed, slot_s)
    return {c: _one(grids[c], past, cutoff, slot_s, slots, back, seed) for c, past in pasts.items()}


def draw_origins(history_slots: int, slots: int, scenarios: int, seed: int, slot_s: int) -> NDArray[np.int64]:
    """(S,) past origins as slots before the cutoff, each with `slots` known slots after it; depends on time and seed only."""
    rng = np.random.default_rng(seed)
    per_day = 86_400 // slot_s
    last = history_slots - max(LEVEL_S // slot_s, 1)
    days = np.arange(per_day * -(-slots // per_day), last + 1, per_day)
    if days.size == 0:
        return np.full(scenarios, last, dtype=np.int64)
    picked = days[(np.arange(scenarios) + rng.integers(days.size)) % days.size]
    shift = rng.integers(-per_day // 24, per_day // 24 + 1, size=scenarios)
    return np.asarray(np.clip(picked + shift, slots, last), dtype=np.int64)


def _one(
    grid: Grid, past: History, cutoff: datetime, slot_s: int, slots: int, back: NDArray[np.int64], seed: int
) -> Scenarios:
    x = past.values
    n = x.shape[1]
    span = max(LEVEL_S // slot_s, 1)
    origins = np.clip(n - back, span, n - slots)
    weight = carry_over(x, slots, span)
    then = np.stack([x[:, o - span : o].mean(axis=1) for o in origins], axis=1)
    now = x[:, n - span :].mean(axis=1)
    paths = (
        x[:, origins[:, None] + np.arange(slots)[None, :]] + weight[None, None, :] * (now[:, None] - then)[:, :, None]
    )
    unseen = np.asarray(~past.seen.any(axis=1), dtype=bool)
    if unseen.any():
        paths[unseen] = np.median(paths[~unseen], axis=0) if (~unseen).any() else 0.0
    counter = COUNTERS[grid.counter]
    top = np.minimum(np.maximum(np.nanmax(x, axis=1, initial=0.0), 100.0 if counter.unit == "%" else 0.0), counter.high)
    top[unseen] = counter.high
    paths = np.clip(paths, counter.low, top[:, None, None]).astype(np.float32)
    model = tuple("unknown" if u else "blend" for u in unseen)
    point = np.median(paths, axis=1).astype(np.float32)
    return Scenarios(grid.counter, grid.entities, cutoff, slot_s, paths, point, past.share, model, seed)


def carry_over(x: NDArray[np.float32], slots: int, span: int) -> NDArray[np.float64]:
    """(T,) how much of a deviation of the level from the entity's mean remains t slots later; pooled over entities, in 0..1."""
    n = x.shape[1]
    starts = np.arange(span, n - slots + 1, max(span, 1))
    usual = x.mean(axis=1, keepdims=True)
    size = x.std(axis=1, keepdims=True)
    live = np.isfinite(size[:, 0]) & (size[:, 0] > 0)
    if starts.size < 2 or not live.any():
        return np.zeros(slots)
    z = (x[live] - usual[live]) / size[live]
    level = np.stack([z[:, o - span : o].mean(axis=1) for o in starts], axis=1)
    later = z[:, starts[:, None] + np.arange(slots)[None, :]]
    slope = np.einsum("eo,eot->t", level, later) / max(float((level**2).sum()), 1e-12)
    return np.clip(np.minimum.accumulate(slope), 0.0, 1.0)
