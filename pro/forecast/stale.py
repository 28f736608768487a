"""Whether what was learned is still true: the days after a training judge it, as held-back days judged it then.

A model that was taught on a level, or a timetable, that is gone goes on as if nothing had happened. It is not used any more where its record of
the last days is clearly worse than the one it was chosen for, and no longer good enough to be chosen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import minute
from pro.forecast.history import DAY_S, history
from pro.forecast.learned import Learned
from pro.forecast.teaching import MARGIN, bounds_of, tried

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.forecast.taught import Lesson, Taught
    from pro.telemetry.grid import Grid

LAST_DAYS = 2
"""Whole days after the training that judge it, at most; the newest."""
WORSE = 1.5
"""Times its loss in training from which a model is clearly worse."""


def believed(taught: Taught, grids: Mapping[str, Grid], cutoff: datetime) -> tuple[Taught, tuple[str, ...]]:
    """`taught` without lessons that the days up to `cutoff` contradict, and what is said of these. All of them before a whole horizon has passed."""
    kept, said = {}, []
    for counter, lesson in taught.lessons.items():
        found = since(taught, lesson, grids[counter], cutoff) if counter in grids else None
        if found is None or not stale(lesson, *found):
            kept[counter] = lesson
            continue
        plain, learned = found
        said.append(
            f"what was learned of {counter} up to {minute(taught.until.isoformat())} is true no more and not used before `pro train` runs again: in the "
            f"days since, it was off by {learned:.2f} (CRPS), by {lesson.learned:.2f} when it was trained, and it is by {plain:.2f} without it"
        )
    return replace(taught, lessons=kept), tuple(said)


def stale(lesson: Lesson, plain: float, learned: float) -> bool:
    """Whether a record of `plain` and `learned` paths contradicts what `lesson` was chosen for."""
    return learned > WORSE * lesson.learned and learned > MARGIN * plain


def since(taught: Taught, lesson: Lesson, grid: Grid, cutoff: datetime) -> tuple[float, float] | None:
    """Mean CRPS of plain and of learned paths, over whom `lesson` serves, on the newest days after its training; None where there is none yet."""
    slots, slot_s = lesson.slots, taught.slot_s
    past = history(grid, cutoff, slot_s, slots * slot_s + DAY_S)
    n, fresh = past.values.shape[1], int((cutoff - taught.until).total_seconds() // slot_s)
    ends = [n - slots - k * past.per_day for k in range(LAST_DAYS) if slots + k * past.per_day <= fresh]
    ends = [end for end in ends if end >= slots + past.per_day]
    serves = set(lesson.entities)
    rows = np.array([e for e, name in enumerate(grid.entities) if name in serves and past.seen[e].any()], np.int64)
    if not ends or not rows.size or lesson.per_day != past.per_day:
        return None
    model, bounds = Learned(lesson.trees, past.per_day, slots), bounds_of(grid)
    losses = np.array([tried(model, past, rows, end, slots, bounds) for end in ends])
    known = np.isfinite(losses).all(axis=1)
    if not known.any():
        return None
    plain, learned = (float(losses[:, k][known].mean()) for k in (0, 1))
    return plain, learned
