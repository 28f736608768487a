"""Whether what was learned is still true: the days after a training judge it, as held-back days judged it then.

A model that was taught on a level, or a timetable, that is gone goes on as if nothing had happened. It is not used any more where its record of
the last days is clearly worse than the one it was chosen for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import minute
from pro.forecast.history import DAY_S, history
from pro.forecast.learned import Learned
from pro.forecast.teaching import bounds_of, tried

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.forecast.taught import Lesson, Taught
    from pro.telemetry.grid import Grid

LAST_DAYS = 2
"""Whole days after the training that judge it, at most; the newest."""
WORSE = 1.5
"""Times its loss in training, and times that against plain paths, from which a model is clearly worse."""
SURE = 4.0
"""Standard errors, over machines and days, by which it must have lost against plain paths."""
LEAST = 8
"""Machines times days without which nothing is said: few are unlucky together."""
EDGE = 1e-6
"""Losses below it are none."""


@dataclass(frozen=True)
class Record:
    """What a lesson came to after its training: mean CRPS of `plain` and `learned` paths over whom it serves, and by how many standard
    errors its part of the plain loss is larger than it was in training (`sure`)."""

    plain: float
    learned: float
    sure: float


def believed(taught: Taught, grids: Mapping[str, Grid], cutoff: datetime) -> tuple[Taught, tuple[str, ...]]:
    """`taught` without lessons that the days up to `cutoff` contradict, and what is said of these. None are before a whole horizon has passed."""
    kept, said = {}, []
    for counter, lesson in taught.lessons.items():
        found = record(taught, lesson, grids[counter], cutoff) if counter in grids else None
        if found is None or not stale(lesson, found):
            kept[counter] = lesson
            continue
        said.append(
            f"what was learned of {counter} up to {minute(taught.until.isoformat())} is true no more and not used before `pro train` runs again: it has "
            f"been off by {found.learned:.2f} (CRPS) since, by {lesson.learned:.2f} when it was trained; plain paths by {found.plain:.2f}, and {lesson.plain:.2f} then"
        )
    return replace(taught, lessons=kept), tuple(said)


def stale(lesson: Lesson, found: Record) -> bool:
    """Whether the record since contradicts what `lesson` was chosen for: worse than then, both by itself and against plain paths, and surely so.

    Days that are hard for everybody do not count against it.
    """
    part = found.learned * lesson.plain / max(found.plain * lesson.learned, EDGE)
    return found.learned > WORSE * lesson.learned and part > WORSE and found.sure > SURE


def record(taught: Taught, lesson: Lesson, grid: Grid, cutoff: datetime) -> Record | None:
    """Of `lesson` on the newest days after its training; None where there is none yet."""
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
    plain, learned = (
        np.concatenate(part)
        for part in zip(*(tried(model, past, rows, end, slots, bounds) for end in ends), strict=True)
    )
    known = np.isfinite(plain) & np.isfinite(learned)
    plain, learned = plain[known], learned[known]
    if plain.size < LEAST:
        return None
    part = np.log((learned + EDGE) / (plain + EDGE)) - np.log((lesson.learned + EDGE) / (lesson.plain + EDGE))
    error = part.std(ddof=1) / np.sqrt(part.size)
    return Record(float(plain.mean()), float(learned.mean()), float(part.mean() / max(error, EDGE)))
