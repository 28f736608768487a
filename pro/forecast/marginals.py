"""How far one entity may go at one moment: quantiles by several simple ways of looking at its own past.

Every way reads only the past it is given and answers for any number of slots ahead. None is right everywhere: the last value wins
within the hour, the same time of day wins the upper tail a day ahead. `blend.py` weighs them by what they were worth on held-back days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pro.core.arrays import Ints, Singles

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
"""Levels at which a marginal is described; between them it is straight."""
PATHS, LAST, HOUR, HOURS, DAY, WHOLE, CLOCK = "paths", "last", "hour", "hours", "day", "whole", "clock"
WAYS = (PATHS, LAST, HOUR, HOURS, DAY, WHOLE, CLOCK)
"""The joint paths themselves; what is now (last slot, mean of 1 h, mean of 3 h) plus what such a level was off by in the past;
the last day; all there is; the same time of day over a week."""
DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96, 144, 192, 288, 384, 576)
"""Slots ahead at which changes are measured; in between they are interpolated."""
INSTANTS = 400
"""At most so many past instants per entity tell how far it moves away from a level."""
WEEK_DAYS = 7
AROUND_S = 1800
DAY_S = 86_400


def ways(values: Singles, paths: Singles, ahead: Ints, per_day: int) -> Singles:
    """(M, E, K, L) quantiles of each of `WAYS` for the slots `ahead` (K,), 0 being the first after the end of `values`.

    `values` (E, N) slot means without holes; `paths` (E, S, K) joint paths at the same slots.
    """
    entities = values.shape[0]
    hour = max(per_day // 24, 1)
    found = [levels_of(np.moveaxis(paths, 1, 2))]
    found += [_from_level(values, span, ahead) for span in (1, hour, 3 * hour)]
    for span in (per_day, values.shape[1]):
        flat = levels_of(values[:, -span:])
        found.append(np.broadcast_to(flat[:, None, :], (entities, ahead.size, len(LEVELS))))
    found.append(levels_of(_same_clock(values, ahead, per_day)))
    return np.stack(found)


def levels_of(sample: Singles) -> Singles:
    """(..., L) quantiles of `sample` (..., n) at `LEVELS`, the i-th of n in order standing for (i + 1/2) / n (Hazen)."""
    ordered = np.sort(sample, axis=-1)
    n = ordered.shape[-1]
    at = np.clip(np.array(LEVELS) * n - 0.5, 0, n - 1)
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32)
    return np.asarray(ordered[..., low] * (1 - part) + ordered[..., np.minimum(low + 1, n - 1)] * part)


def _from_level(values: Singles, span: int, ahead: Ints) -> Singles:
    """The mean of the last `span` slots, plus the quantiles of value minus such a mean, so many slots later."""
    n = values.shape[1]
    span = min(span, n)
    sums = np.concatenate([np.zeros((values.shape[0], 1)), np.cumsum(values, axis=1, dtype=np.float64)], axis=1)
    knots, low, high, part = between(ahead)
    table: list[Singles] = []
    level = ((sums[:, span:] - sums[:, : n + 1 - span]) / span).astype(np.float32)
    for distance in knots:
        count = n - distance + 1 - span
        if count <= 0:
            table.append(table[-1] if table else np.zeros((values.shape[0], len(LEVELS)), np.float32))
            continue
        each = -(-count // INSTANTS)
        table.append(levels_of(values[:, span + distance - 1 :: each] - level[:, :count:each]))
    spread = np.stack(table, axis=1)
    now = level[:, -1]
    part = part[None, :, None]
    return np.asarray(now[:, None, None] + spread[:, low] * (1 - part) + spread[:, high] * part, dtype=np.float32)


def between(ahead: Ints) -> tuple[list[int], Ints, Ints, Singles]:
    """Distances at which the past is measured for the slots `ahead` (K,), the places of those below and above each slot, and how far it lies between."""
    far = int(ahead.max()) + 1
    knots = [d for d in DISTANCES if d < far] + [far]
    at = np.interp(ahead + 1, knots, np.arange(len(knots)))
    low = np.floor(at).astype(np.int64)
    return knots, low, np.minimum(low + 1, len(knots) - 1), (at - low).astype(np.float32)


def _same_clock(values: Singles, ahead: Ints, per_day: int) -> Singles:
    """(E, K, n) values within half an hour of the same time of day, on the days there are, a week at most."""
    n = values.shape[1]
    near = max(per_day * AROUND_S // DAY_S, 1)
    shifts = np.unique(np.linspace(-near, near, 5).round().astype(np.int64))
    back = (1 + ahead // per_day) * per_day
    days = [d for d in range(WEEK_DAYS) if (n + ahead - back - d * per_day >= 0).all()] or [0]
    at = (n + ahead - back)[:, None] - (np.array(days) * per_day)[None, :]
    index = (at[:, :, None] + shifts).reshape(ahead.size, -1)
    return np.asarray(values[:, np.clip(index, 0, n - 1)])
