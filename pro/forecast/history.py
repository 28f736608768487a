"""A grid of irregular knowledge -> slots counted back from the cutoff, with gaps filled by what the entity does, never by zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.telemetry.grid import Grid

DAY_S = 86_400
BEGUN = 0.1
"""Share of the entities that make a beginning."""


@dataclass(frozen=True)
class History:
    """One counter's past in slots.

    Attributes
    ----------
    values
        (E, N) float32 slot means, the newest slot last and ending at the cutoff. Unknown slots hold a stand-in (see `filled`);
        an entity that was never seen holds NaN throughout.
    seen
        (E, N) bool: whether the slot held any known value.
    share
        (E,) float32: share of the grid's points that were known.
    per_day
        Slots per day.
    """

    values: NDArray[np.float32]
    seen: NDArray[np.bool_]
    share: NDArray[np.float32]
    per_day: int

    def moved(self, rows: NDArray[np.int64], values: NDArray[np.float32]) -> History:
        """This past with other `values` (n, N) of some `rows` (n,)."""
        all_of_them = self.values.copy()
        all_of_them[rows] = values
        return replace(self, values=all_of_them)

    def lengthened(self, slots: int) -> History:
        """This past with at least `slots` slots: what is missing at its beginning is filled as any other hole."""
        short = slots - self.values.shape[1]
        if short <= 0:
            return self
        values = np.pad(self.values, ((0, 0), (short, 0)), constant_values=np.nan)
        seen = np.pad(self.seen, ((0, 0), (short, 0)), constant_values=False)
        return History(filled(values, seen, self.per_day), seen, self.share, self.per_day)


def history(grid: Grid, cutoff: datetime, slot_s: int, least_s: int = 0) -> History:
    """Slot means of `grid`, aligned so that the last slot ends at `cutoff` (not before the grid's own cutoff).

    Time before a tenth of the entities that are ever known have begun is no past: filled, it would be copies of the first day. A past
    shorter than `least_s` is lengthened backwards by the same stand-ins that fill gaps.
    Raises ValueError if `slot_s` is no multiple of the grid's step or does not divide a day.
    """
    if slot_s % grid.step_s or DAY_S % slot_s:
        raise ValueError(f"slot_s {slot_s} must be a multiple of the grid's step {grid.step_s} and divide a day")
    means, seen = slot_means(grid, cutoff, slot_s)
    # Who was only known before that is not forgotten.
    first = min(begun(seen, BEGUN), _ended(seen))
    means, seen = means[:, first:], seen[:, first:]
    points = grid.values.shape[1]
    share = np.isfinite(grid.values).sum(axis=1) / max(points, 1)
    past = History(filled(means, seen, DAY_S // slot_s), seen, share.astype(np.float32), DAY_S // slot_s)
    return past.lengthened(-(-least_s // slot_s))


def begun(known: NDArray[np.bool_], share: float) -> int:
    """The first column of `known` (E, N) by which this share of the rows that are ever true have been."""
    first = np.sort(known[known.any(axis=1)].argmax(axis=1))
    return int(first[math.ceil(share * first.size) - 1]) if first.size else 0


def _ended(known: NDArray[np.bool_]) -> int:
    """The first column of `known` (E, N) after which some row that is ever true is never true again; 0 where none is."""
    ever = known[known.any(axis=1)]
    return int((ever.shape[1] - 1 - ever[:, ::-1].argmax(axis=1)).min(initial=ever.shape[1])) if len(ever) else 0


def slot_means(grid: Grid, cutoff: datetime, slot_s: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(E, N) mean over the known points of each slot, and whether there were any. A slot without one is NaN."""
    each = slot_s // grid.step_s
    late = round((cutoff - grid.cutoff).total_seconds() / grid.step_s)
    entities, points = grid.values.shape
    slots = -(-(points + late) // each)
    padded = np.full((entities, slots * each), np.nan, dtype=np.float32)
    end = slots * each - late
    padded[:, end - points : end] = grid.values
    parts = padded.reshape(entities, slots, each)
    count = np.isfinite(parts).sum(axis=2)
    total = np.nansum(parts, axis=2, dtype=np.float64)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means.astype(np.float32), count > 0


def filled(values: NDArray[np.float32], seen: NDArray[np.bool_], per_day: int) -> NDArray[np.float32]:
    """`values` (E, N) without holes, as far as the entity was ever seen.

    A hole takes the value of the same time of day on the nearest day that knows it (the earlier of two equally near);
    where no day does, the entity's own known values are repeated in order. So an agent that was down for hours looks like
    that machine on another day, spread included, and not idle or constant.
    """
    entities, slots = values.shape
    days = -(-slots // per_day)
    lead = days * per_day - slots
    cube = np.pad(values, ((0, 0), (lead, 0)), constant_values=np.nan).reshape(entities, days, per_day)
    out = cube.copy()
    for gap in range(1, days):
        earlier = np.full_like(cube, np.nan)
        later = np.full_like(cube, np.nan)
        earlier[:, gap:] = cube[:, :-gap]
        later[:, :-gap] = cube[:, gap:]
        out = np.where(np.isnan(out), np.where(np.isnan(earlier), later, earlier), out)
    flat = out.reshape(entities, days * per_day)[:, lead:]
    for e in np.flatnonzero(np.isnan(flat).any(axis=1) & seen.any(axis=1)):
        own = values[e, seen[e]]
        holes = np.flatnonzero(np.isnan(flat[e]))
        flat[e, holes] = own[holes % own.size]
    return np.ascontiguousarray(flat)
