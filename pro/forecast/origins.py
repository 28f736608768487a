"""Which past instants the paths replay. Depends on time, seed and how daily the data are; never on an entity's name or order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pro.forecast.history import History

NOT_DAILY, DAILY = 0.15, 0.5
"""Season strengths below which the time of day says nothing, and above which it says all. Measured: real VM traces
without office hours lie at -0.2..0.15, data-centre averages of three clouds at 0.2..0.75."""
FREE_SHARE = 0.5
"""Share of paths that may start at any time of day where the time of day says nothing."""
SHIFT_S = 3600


def season_strength(values: NDArray[np.float32], per_day: int) -> NDArray[np.float64]:
    """(E,) how much closer an entity is to itself a whole day earlier than to itself at another time of day.

    1 - E(x(t) - x(t-24h))^2 / E(x(t) - x(t-k))^2 over k around 6..18 h and 30..42 h: 1 is a perfect daily pattern, 0 none.
    Zero for an entity that never changes, and for all when there are less than two days.
    """
    daily, other = _gaps(values, per_day)
    return np.asarray(1.0 - np.divide(daily, other, out=np.ones_like(daily), where=other > 0))


def pooled_strength(pasts: Sequence[History]) -> float:
    """Season strength of all entities together: variances pooled within a counter, plain mean over counters that vary."""
    each = []
    for past in pasts:
        daily, other = _gaps(past.values[past.seen.any(axis=1)], past.per_day)
        if other.sum() > 0:
            each.append(1.0 - daily.sum() / other.sum())
    return round(float(np.mean(each)), 9) if each else 0.0


def _gaps(values: NDArray[np.float32], per_day: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    entities, slots = values.shape
    if slots < 2 * per_day or entities == 0:
        return np.zeros(entities), np.zeros(entities)

    def gap(lag: int) -> NDArray[np.float64]:
        return np.asarray(np.square(values[:, lag:] - values[:, :-lag], dtype=np.float64).mean(axis=1))

    lags = {round(per_day * part) for part in (0.25, 0.33, 0.42, 0.5, 0.58, 0.67, 0.75)} - {0}
    lags |= {per_day + lag for lag in lags if slots > 1.5 * per_day + lag}
    others = [gap(lag) for lag in sorted(lags) if lag % per_day]
    if not others:
        return np.zeros(entities), np.zeros(entities)
    return gap(per_day), np.mean(others, axis=0)


def free_share(strength: float) -> float:
    """Share of paths that start at any time of day, given the pooled season strength."""
    return FREE_SHARE * min(max((DAILY - strength) / (DAILY - NOT_DAILY), 0.0), 1.0)


def draw_origins(
    history_slots: int, slots: int, scenarios: int, per_day: int, free: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(S,) past origins, in slots before the cutoff, each with all of its `slots` slots inside the past.

    A share `free` is spread evenly over the whole past; the rest lie whole days back, within an hour, every day equally often.
    With less than a day to choose from, all start as early as the past allows.
    """
    last = max(history_slots - 1, slots)
    spread = round(scenarios * free)
    step = per_day * -(-slots // per_day)
    days = np.arange(step, last + 1, per_day)
    if days.size == 0:
        days = np.array([last])
    aligned = days[(np.arange(scenarios - spread) + rng.integers(days.size)) % days.size]
    shift = max(per_day * SHIFT_S // 86_400, 0)
    aligned = aligned + rng.integers(-shift, shift + 1, size=aligned.size)
    anywhere = slots + (np.arange(spread) + rng.random(spread)) / max(spread, 1) * (last - slots)
    drawn = np.concatenate([aligned, anywhere.astype(np.int64)])
    return np.asarray(np.clip(rng.permutation(drawn), slots, last), dtype=np.int64)
