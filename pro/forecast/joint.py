"""Joint scenarios: every path replays one past stretch of time for all entities and all counters together.

So what peaked together peaks together in the path, and the sum over a host's VMs of path s is a sample path of the host. Two
models make an entity's path out of that stretch: `level` (see paths.py), and `learned` (see learned.py) for entities with a
daily pattern on which it won on held-back days, and lost on none. Where the past is long enough to hold some of it back, the paths
keep their order, but how far they reach is calibrated (blend.py): `blend`. How much further their sums go is said beside them (together.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import COUNTERS
from pro.forecast.alone import OwnPast
from pro.forecast.drift import drifts
from pro.forecast.held_back import held_back
from pro.forecast.history import DAY_S, History, history
from pro.forecast.impose import impose
from pro.forecast.learned import Learned
from pro.forecast.marginals import LEVELS, WAYS, WHOLE, levels_of, ways
from pro.forecast.origins import draw_origins, free_share, pooled_strength
from pro.forecast.paths import LEVEL_S, Draw, draw, level_paths, persistence, widen
from pro.forecast.scenarios import Scenarios
from pro.forecast.teaching import bounds_of, teach
from pro.telemetry.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.forecast.base import Forecaster
    from pro.forecast.blend import Blend
    from pro.forecast.taught import Taught


UNKNOWN, LEVEL, BLEND, LEARNED = "unknown", "level", "blend", "learned"
CHUNK, MOST_CELLS = 4096, 2_000_000
"""At most so many entities, and quantile cells of one way, at a time: memory stays flat in the fleet."""


def forecast(
    grids: Mapping[str, Grid],
    *,
    horizon_s: int,
    scenarios: int,
    seed: int,
    slot_s: int = 1800,
    cutoff: datetime | None = None,
    taught: Taught | None = None,
) -> dict[str, Scenarios]:
    """Joint paths per counter over `horizon_s` seconds from the cutoff (the newest among `grids` if None).

    Parameters
    ----------
    grids
        Counter -> Grid, of one past; entities may differ from counter to counter.
    scenarios
        Number of paths S. Path s of every counter and entity replays the same past instants.
    slot_s
        Seconds per step of a path; grid points inside are averaged. Must divide a day and `horizon_s`, and be a multiple of
        the grids' step.
    taught
        What was learned from this store before; None: learned here and now, where days enough allow it.

    Returns
    -------
    Counter -> Scenarios with values (E, S, T). An entity without any known value follows the median of the others, moment by moment
    (0 where there are none), with `known` 0 and model "unknown".

    Raises ValueError for a horizon or a slot that does not fit.
    """
    forecaster: Forecaster = JointForecaster(slot_s=slot_s, cutoff=cutoff, taught=taught)
    return forecaster.fit(grids).scenarios(horizon_s, scenarios, seed)


@dataclass(frozen=True)
class Reach:
    """How far one counter's paths reach (`blend`; None: the past is too short to hold some back), and how much they move together."""

    blend: Blend | None
    tie: float


class JointForecaster:
    """The `Forecaster` PRO uses. `slot_s`, `cutoff` and `taught` as in `forecast`.

    `reach`: what `calibrate` found, for paths of the same length and slots, not long ago; None: found anew for each forecast.
    """

    def __init__(
        self,
        *,
        slot_s: int = 1800,
        cutoff: datetime | None = None,
        taught: Taught | None = None,
        reach: Mapping[str, Reach] | None = None,
    ) -> None:
        self.slot_s, self._until, self._taught, self._reach = slot_s, cutoff, taught, reach
        self._grids: dict[str, Grid] = {}

    def fit(self, grids: Mapping[str, Grid]) -> JointForecaster:
        """Keep what lies at or before the cutoff; returns itself."""
        self._grids = {c: cut(g, self._until) for c, g in sorted(grids.items())}
        return self

    def scenarios(self, horizon_s: int, n: int, seed: int) -> dict[str, Scenarios]:
        """`n` joint paths per counter over `horizon_s` seconds."""
        if n < 1:
            raise ValueError(f"scenarios must be at least 1, got {n}")
        self._check(horizon_s)
        if not self._grids:
            return {}
        frame, pasts = self._frame(horizon_s, n, seed)
        longest = next(iter(pasts.values())).values.shape[1]
        rng = np.random.default_rng(seed)
        drawn = draw(draw_origins(longest, frame.slots, n, frame.per_day, frame.free, rng), rng)
        reach = self._reach or {}
        return {c: _one(self._grids[c], p, frame, drawn, self._taught, reach.get(c)) for c, p in pasts.items()}

    def calibrate(self, horizon_s: int) -> dict[str, Reach]:
        """How far the paths of every counter reach, and how much they move together: most of what a small forecast costs."""
        self._check(horizon_s)
        if not self._grids:
            return {}
        frame, pasts = self._frame(horizon_s, 1, 0)
        return {c: _reach(past, frame, c) for c, past in pasts.items()}

    def _frame(self, horizon_s: int, n: int, seed: int) -> tuple[_Frame, dict[str, History]]:
        """What all counters share, and the past of each, all of one length."""
        cutoff = self._until or max(g.cutoff for g in self._grids.values())
        least_s = horizon_s + DAY_S
        pasts = {c: history(g, cutoff, self.slot_s, least_s) for c, g in self._grids.items()}
        longest = max(p.values.shape[1] for p in pasts.values())
        pasts = {c: p.lengthened(longest) for c, p in pasts.items()}
        free = free_share(pooled_strength(tuple(pasts.values())))
        return _Frame(cutoff, self.slot_s, horizon_s // self.slot_s, n, seed, free), pasts

    def _check(self, horizon_s: int) -> None:
        if horizon_s <= 0 or horizon_s % self.slot_s:
            raise ValueError(f"horizon_s {horizon_s} must be a positive multiple of slot_s {self.slot_s}")


@dataclass(frozen=True)
class _Frame:
    """What all counters of one forecast share."""

    cutoff: datetime
    slot_s: int
    slots: int
    scenarios: int
    seed: int
    free: float = 0.0

    @property
    def per_day(self) -> int:
        return DAY_S // self.slot_s

    @property
    def span(self) -> int:
        return max(LEVEL_S // self.slot_s, 1)


def cut(grid: Grid, until: datetime | None) -> Grid:
    """`grid` without anything later than `until`. A grid that begins later becomes one unknown point."""
    if until is None or grid.cutoff <= until:
        return grid
    points = int((until - grid.start) / timedelta(seconds=grid.step_s)) + 1
    if points < 1 or until < grid.start:
        nothing = np.full((len(grid.entities), 1), np.nan, dtype=np.float32)
        return Grid(grid.counter, grid.entities, until, grid.step_s, nothing)
    return Grid(grid.counter, grid.entities, grid.start, grid.step_s, grid.values[:, :points])


def _reach(past: History, frame: _Frame, counter: str) -> Reach:
    trial = held_back(past, frame.slots, frame.free, COUNTERS[counter].unit != "%")
    if trial is None:
        return Reach(None, 0.0)
    blend = trial.blend()
    return Reach(blend, trial.strength(blend))


def _one(
    grid: Grid, past: History, frame: _Frame, drawn: Draw, taught: Taught | None, reach: Reach | None
) -> Scenarios:
    entities = len(grid.entities)
    bounds = bounds_of(grid)
    known = past.seen.any(axis=1)
    keep = persistence(past.values[known], frame.slots, frame.span)
    paths = np.zeros((entities, frame.scenarios, frame.slots), dtype=np.float32)
    rows = np.flatnonzero(known)
    days = (past.values.shape[1] - frame.slots) // frame.per_day
    for begin in range(0, rows.size, CHUNK):
        part = rows[begin : begin + CHUNK]
        plain = level_paths(past.values[part], past.seen[part], keep[begin : begin + CHUNK], drawn, frame.span)
        paths[part] = bounds.apply(plain, part)
    if taught is None:
        lesson = teach(past, grid.entities, grid.counter, frame.slots, bounds)
    else:
        lesson = taught.lesson(grid.counter, frame.slots, frame.slot_s)
    serves = set(lesson.entities) if lesson is not None else set()
    won = np.array([e for e in rows if grid.entities[e] in serves], dtype=np.int64)
    if lesson is not None and won.size:
        better = Learned(lesson.trees, frame.per_day, frame.slots).paths(past.values[won], drawn.origins)
        paths[won] = bounds.apply(widen(better, days), won)
    drift = drifts(past.values, past.seen, frame.per_day, frame.slots)
    won = np.setdiff1d(won, drift.rows)
    reach = reach or _reach(past, frame, grid.counter)
    blend = reach.blend
    rest = np.setdiff1d(rows, won)
    each = max(MOST_CELLS // (frame.slots * len(LEVELS)), 1)
    ahead = np.arange(frame.slots)
    usual = np.full((entities, len(LEVELS)), np.nan, np.float32)
    for begin in range(0, rest.size, each):
        part = rest[begin : begin + each]
        if blend is None:
            paths[part] = bounds.apply(widen(paths[part], days), part)
            continue
        found = ways(past.values[part], paths[part], ahead, frame.per_day)
        paths[part] = bounds.apply(impose(paths[part], blend.apply(found, ahead)), part)
        usual[part] = bounds.apply(found[WAYS.index(WHOLE), :, None, 0], part)[:, 0]
    if drift.rows.size:
        level = past.values[drift.rows] * drift.factor
        keep = persistence(level, frame.slots, frame.span)
        moved = widen(level_paths(level, past.seen[drift.rows], keep, drawn, frame.span), days)
        paths[drift.rows] = bounds.apply(drift.mixed(paths[drift.rows], moved, drawn.stay), drift.rows)
        ever = levels_of(np.concatenate([past.values[drift.rows], level], axis=1))
        usual[drift.rows] = bounds.apply(ever[:, None], drift.rows)[:, 0]
        past = past.moved(drift.rows, np.where(drift.lasting(frame.per_day)[:, None], level, past.values[drift.rows]))
    if rows.size < entities:
        paths[~known] = np.median(paths[known], axis=0) if rows.size else np.float32(max(bounds.low, 0.0))
    model = np.where(known, LEVEL if blend is None else BLEND, UNKNOWN).astype(object)
    model[won] = LEARNED
    point = np.median(paths, axis=1).astype(np.float32)
    told = rest[past.seen[rest, -1]]
    own = None if blend is None else OwnPast(past, bounds, told, frame.slots, frame.slot_s, usual)
    return Scenarios(
        grid.counter,
        grid.entities,
        frame.cutoff,
        frame.slot_s,
        paths,
        point,
        past.share,
        tuple(model),
        frame.seed,
        reach.tie,
        own,
    )
