"""Machines whose demand has left the level it had: a step that stays, as a new release makes, or days that creep up or down.

The joint paths replay the past, so after a change they fall back to a level that is gone. Of a machine whose change stands out from all it did
before, the past is read at today's level. Whether it stays nobody knows: what has lasted for a while lasts as long again in half of
the paths (Gott 1993), the others go back to the past as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pro.core.arrays import Bools, Floats, Ints, Singles

PARTS = 12
"""Parts of a day that are compared with the same part of other days."""
LEAST_DAYS, RECENT_DAYS = 5, 3
"""Days without which nobody knows what is usual; days after which a step is part of the past as any other."""
FIRM, ODD = 0.1, 0.98
"""A step counts where all but this share of the parts after it lie farther from usual than this share of those before it."""
FIRST = 1.5
"""A step that is one part old must stand out so many times as much."""
LEAST_STEP, LEAST_CREEP = 1.25, 1.2
"""Times as much, or as little, from which a change matters."""
STEADY = 0.8
"""Kendall's tau of days with time from which they creep."""
CREEP_DAYS = 6
BUSY = 0.9
"""A day's busy parts are those above this share of its parts."""
MOST = 4.0
"""No past value is read as more than so many times what it was, or less than one part of so many."""
LASTED_DAYS = 1.0
"""So old a drift is what a machine's own record is made of, too."""
HALF_KNOWN = 0.5
"""Whoever is less known than this is not judged."""
FLOOR = 0.1
"""Share of a machine's mean that is added to all, so that nothing divides by idleness."""
NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Drift:
    """Machines that drift.

    `rows` (n,) which; `factor` (n, N) what their past slots are multiplied by to be read at today's level; `growth` (n, T) what slots ahead
    are, if it goes on; `lasted` (n,) slots since it began.
    """

    rows: Ints
    factor: Singles
    growth: Singles
    lasted: Ints

    def mixed(self, plain: Singles, moved: Singles, stay: Floats) -> Singles:
        """(n, S, T) paths in which the change lasts as in `moved` for a while, then `plain` ones; `stay` (S,) spread evenly over 0..1.

        A rise never lowers a path, nor a fall raises it: a machine may have gone that far before.
        """
        ahead = np.arange(1, plain.shape[2] + 1)
        lasts = self.lasted[:, None] / (self.lasted[:, None] + ahead[None, :])
        moved = moved * self.growth[:, None, :]
        far = np.where(self.factor[:, :1, None] > 1, np.maximum(moved, plain), np.minimum(moved, plain))
        return np.where(stay[None, :, None] < lasts[:, None, :], far, plain)

    def lasting(self, per_day: int) -> Bools:
        """(n,) who drifts long enough for its own record to be read at today's level."""
        return np.asarray(self.lasted >= LASTED_DAYS * per_day)


def drifts(values: Singles, seen: Bools, per_day: int, slots: int) -> Drift:
    """Who of E machines drifts; `values` (E, N) slot means without holes, `seen` (E, N) which are known, `slots` looked ahead."""
    n = values.shape[1]
    each, days = per_day // PARTS, n // per_day
    rows = (
        np.flatnonzero(seen[:, n - days * per_day :].mean(axis=1) > HALF_KNOWN)
        if days >= LEAST_DAYS and each
        else NOBODY
    )
    recent = values[rows, n - days * per_day :].astype(np.float64)
    usual = recent.mean(axis=1, keepdims=True)
    rows, recent, usual = (x[usual[:, 0] > 0] for x in (rows, recent, usual))
    parts = np.log(recent.reshape(len(rows), days, PARTS, each).mean(axis=3) + FLOOR * usual[:, :, None])
    since, ratio = _steps(parts)
    slope = np.where(since == 0, _creeps(parts), 0.0)
    found = np.flatnonzero((since > 0) | (slope != 0))
    since, ratio, slope = since[found] * each, ratio[found], slope[found]
    ago = n - np.arange(n)
    away = np.where(since[:, None] > 0, ratio[:, None] * (ago > since[:, None]), slope[:, None] * ago / per_day)
    return Drift(
        rows[found],
        np.exp(np.clip(away, -np.log(MOST), np.log(MOST))).astype(np.float32),
        np.exp(slope[:, None] * np.arange(1, slots + 1) / per_day).astype(np.float32),
        np.where(since > 0, since, days * per_day),
    )


def _steps(parts: Floats) -> tuple[Ints, Floats]:
    """(n,) parts since the step, 0 where there is none, and (n,) the logarithm of how many times as much there is since.

    `parts` (n, D, PARTS) logarithms, the newest last. Each is held against the median of that part on the days before the step.
    """
    days = parts.shape[1]
    since, ratio = np.zeros(len(parts), np.int64), np.zeros(len(parts))
    # Days of which some part lies after a step of so many parts are no longer usual in that part.
    usual = [np.median(parts[:, : days - k], axis=1) for k in range(RECENT_DAYS + 1)] if len(parts) else []
    for count in range(1, min(RECENT_DAYS, days - LEAST_DAYS + 1) * PARTS + 1 if usual else 0):
        after = -(-(count - np.arange(PARTS)[::-1]) // PARTS)
        before = np.stack([usual[k][:, j] for j, k in enumerate(np.maximum(after, 0))], axis=1)
        away = (parts - before[:, None]).reshape(len(parts), -1)
        new = away[:, -count:]
        middle = np.median(new, axis=1)
        able = np.flatnonzero(np.abs(middle) > np.log(LEAST_STEP))
        odd = np.quantile(np.abs(away[able, :-count]), ODD, axis=1)
        firm = np.quantile(new[able] * np.sign(middle[able])[:, None], FIRM, axis=1)
        stands = able[firm > odd * (FIRST if count == 1 else 1.0)]
        since[stands], ratio[stands] = count, middle[stands]
    return since, ratio


def _creeps(parts: Floats) -> Floats:
    """(n,) how much the logarithm of a day rises each day, 0 where days do not creep enough to matter.

    The means of days must creep, and their busy parts too: idle hours alone are not the demand, and what they do says nothing of the peaks.
    """
    days = parts.shape[1]
    if days < CREEP_DAYS or not len(parts):
        return np.zeros(len(parts))
    (tau, slope), (busy_tau, busy_slope) = (
        _trend(daily) for daily in (np.log(np.exp(parts).mean(axis=2)), np.quantile(parts, BUSY, axis=2))
    )
    steady = (np.minimum(tau, busy_tau) >= STEADY) | (np.maximum(tau, busy_tau) <= -STEADY)
    least = np.where(np.abs(slope) < np.abs(busy_slope), slope, busy_slope)
    return np.where(steady & (np.abs(least) * days > np.log(LEAST_CREEP)), least, 0.0)


def _trend(daily: Floats) -> tuple[Floats, Floats]:
    """(n,) Kendall's tau of `daily` (n, D) with time, and (n,) its middle slope (Theil and Sen)."""
    first, last = np.triu_indices(daily.shape[1], 1)
    gaps = daily[:, last] - daily[:, first]
    return np.sign(gaps).mean(axis=1), np.median(gaps / (last - first), axis=1)
