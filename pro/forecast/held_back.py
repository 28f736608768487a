"""Forecasts of stretches that lie in the past, made of what came before each: what the ways of looking are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.blend import Blend, fit
from pro.forecast.history import filled
from pro.forecast.marginals import WAYS, ways
from pro.forecast.origins import draw_origins
from pro.forecast.paths import draw, level_paths, persistence
from pro.forecast.together import common, in_a_new_day, strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints, Singles
    from pro.forecast.history import History


ENTITIES, ORIGINS, DISTANCES, PATHS = 300, 16, 16, 24
"""At most so many entities, held-back instants, slots ahead and paths: enough to weigh seven ways."""
SUMMED = 100
SEED = 9


@dataclass(frozen=True)
class Trial:
    """What was forecast at held-back instants: `found` (M, N, K, L), what came `actual` (N, K), and the `size` (N,) of the entities."""

    found: Singles
    actual: Singles
    ahead: Ints
    size: NDArray[np.float64]
    group: Ints
    per_day: int
    paths: Singles
    days: float
    """Days between the first instant and the end of what was held back."""

    def blend(self) -> Blend:
        """The weights that served best."""
        return fit(WAYS, self.found, self.actual, self.ahead, self.size, self.group, self.per_day)

    def strength(self, blend: Blend) -> float:
        """How much everything moves together beyond the replayed past, in a day that none of the held-back ones is."""
        rng = np.random.default_rng(SEED)
        near = slice(None, None, 2)
        trials, mass = [], []
        for g in np.unique(self.group):
            mine = np.flatnonzero(self.group == g)
            mine = mine[:: -(-mine.size // SUMMED)]
            quantiles = blend.apply(self.found[:, mine, near], self.ahead[near])
            trials.append((self.paths[mine][:, :, near], quantiles, self.actual[mine, near]))
            mass.append(1 / self.size[mine])
        return in_a_new_day(strength(trials, mass, common(self.paths.shape[1], rng)), self.days)


def held_back(past: History, slots: int, free: float, relative: bool) -> Trial | None:
    """Forecast up to `ORIGINS` stretches of `slots` inside `past`; None where it is too short to hold any back.

    Nothing after an instant is used for it: holes are filled anew from what lies before. `relative`: losses count in parts of
    an entity's size, for counters whose entities differ by orders of magnitude.
    """
    raw = np.where(past.seen, past.values, np.nan)
    chosen = _chosen(raw, past.seen)
    ends = _ends(past, slots)
    if not len(ends) or not chosen.size:
        return None
    ahead = np.unique(np.geomspace(1, slots, DISTANCES).round().astype(np.int64)) - 1
    found, actual, size, group, drawn_paths = [], [], [], [], []
    for number, end in enumerate(ends):
        before, seen = raw[chosen, :end], past.seen[chosen, :end]
        able = seen.any(axis=1)
        before, seen = before[able], seen[able]
        least = slots + past.per_day
        short = max(least - end, 0)
        before = np.pad(before, ((0, 0), (short, 0)), constant_values=np.nan)
        seen = np.pad(seen, ((0, 0), (short, 0)), constant_values=False)
        values = filled(before, seen, past.per_day)
        rng = np.random.default_rng(SEED)
        drawn = draw(draw_origins(values.shape[1], slots, PATHS, past.per_day, free, rng), rng)
        span = max(past.per_day // 48, 1)
        paths = level_paths(values, seen, persistence(values, slots, span), drawn, span)
        paths = paths[:, :, ahead]
        drawn_paths.append(paths)
        found.append(ways(values, paths, ahead, past.per_day))
        actual.append(raw[chosen[able]][:, end + ahead])
        size.append(values.mean(axis=1) + values.std(axis=1) + 1e-6 if relative else np.ones(len(values)))
        group.append(np.full(len(values), number))
    return Trial(
        np.concatenate(found, axis=1),
        np.concatenate(actual),
        ahead,
        np.concatenate(size),
        np.concatenate(group),
        past.per_day,
        np.concatenate(drawn_paths),
        (raw.shape[1] - int(ends[0])) / past.per_day,
    )


def _chosen(raw: Singles, seen: NDArray[np.bool_]) -> Ints:
    """Entities to judge by, in an order that depends on their values alone: at most `ENTITIES`, of all sizes of change."""
    known = np.flatnonzero(seen.any(axis=1))
    mean, spread = np.nanmean(raw[known], axis=1), np.nanstd(raw[known], axis=1)
    ordered = known[np.lexsort((mean, spread))][::-1]
    at = np.linspace(0, max(ordered.size - 1, 0), min(ordered.size, ENTITIES)).round().astype(np.int64)
    return np.asarray(ordered[at])


def _ends(past: History, slots: int) -> Ints:
    """Ends of the pasts to forecast from, in slots from the beginning: a third of what is known lies before each."""
    n = past.values.shape[1]
    first = int(np.argmax(past.seen.any(axis=0)))
    least = first + max((n - first) // 3, min(past.per_day, (n - first) // 2), 3)
    last = n - slots
    if last < least:
        return np.zeros(0, dtype=np.int64)
    count = min(ORIGINS, last - least + 1)
    return np.unique(np.linspace(least, last, count).round().astype(np.int64))
