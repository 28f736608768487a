"""How a `Grid` is made of samples: plain numpy on whole arrays.

Raw samples are carried forward to the next grid points, no further than the counter's `carry_s`. Aggregated samples
(`span_s` > 0) fill exactly their own interval; where the interval's maximum is known, the maximum stands for 15
minutes and the rest is lowered so that the average stays right. An hourly average hides the 15-minute saturation that makes users
call; a flat hour at 60 % and an hour with a quarter at 100 % are different hours. Where raw and aggregated samples
both know, raw wins; of aggregates the shorter.

Parts of one entity (adapters, disks, processors) are gridded one by one, because they are not sampled at the same
second, and then added (bytes) or averaged (per cent) over the parts known at that point. A value for the whole beats
its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.telemetry.arrow import as_boolean, distinct, numbers
from pro.telemetry.grid import Grid
from pro.telemetry.merge import DAY_US
from pro.telemetry.partitions import of_day, ranked
from pro.telemetry.readers.catalogue import GROUP_ORDER
from pro.telemetry.readers.times import from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.core.arrays import Bools
    from pro.core.units import Counter

    Wanted = Callable[[Sequence[str]], Bools]
    """Names of entities -> which of them are wanted."""

PEAK_S = 900
"""How long the maximum of an aggregated interval is shown."""
NEVER = np.iinfo(np.int64).min
"""The instant of a sample that there is not."""


@dataclass(frozen=True)
class Window:
    """The grid points: `count` of them, `step_s` apart, the last at `last_us` (microseconds since 1970)."""

    last_us: int
    step_s: int
    count: int

    @classmethod
    def ending(cls, until: datetime, days: float, step_s: int) -> Window:
        """The grid whose last point is the last multiple of `step_s` not after `until`."""
        if until.tzinfo is None:
            raise ValueError("until needs a time zone")
        if step_s <= 0 or days <= 0:
            raise ValueError("days and step_s must be positive")
        step_us = step_s * 1_000_000
        return cls(to_us(until) // step_us * step_us, step_s, max(round(days * 86_400 / step_s), 1))

    @property
    def step_us(self) -> int:
        return self.step_s * 1_000_000

    @property
    def first_us(self) -> int:
        return self.last_us - (self.count - 1) * self.step_us

    def by_day(self) -> list[Window]:
        """The same points in pieces, one for every UTC day there is a point of."""
        day = (self.first_us + np.arange(self.count, dtype=np.int64) * self.step_us) // DAY_US
        starts = np.flatnonzero(np.r_[True, day[1:] != day[:-1]])
        ends = np.r_[starts[1:], self.count]
        return [
            Window(self.first_us + (end - 1) * self.step_us, self.step_s, end - start)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def reach_back(self, counter: Counter) -> datetime:
        """Samples at or before this instant cannot matter to any grid point."""
        return from_us(self.first_us) - timedelta(seconds=counter.carry_s, microseconds=1)


@dataclass(frozen=True)
class _Rows:
    """Samples of one counter: series number (sorted), instant, value, span; all (n,)."""

    series: NDArray[np.int64]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    span_s: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> _Rows:
        if mask.all():
            return self
        return _Rows(self.series[mask], self.time_us[mask], self.value[mask], self.span_s[mask])


def gridded(root: Path, counter: Counter, window: Window, until: datetime, about: Wanted | None = None) -> Grid:
    """`counter` on the points of `window`, from samples not after `until`; memory beside the grid is that of some days' samples.

    `about`: only of entities that it wants; None: of all.

    A day at a time: its own samples, those before it that are still carried, and averages of intervals that reach back into it. None is
    longer than a day.
    """
    wanted = (counter.name, counter.name + "_max")
    since = window.reach_back(counter)

    def read(day: date) -> pa.Table | None:
        return _about(of_day(root, day, wanted, since, until), about)

    behind: pa.Table | None = None
    day, now = since.date(), read(since.date())
    blocks = []
    for block in window.by_day():
        first = from_us(block.last_us).date()
        while day < first:
            behind = _later(_end_to_end(behind, now), block.reach_back(counter))
            day += timedelta(days=1)
            now = read(day)
        after = read(day + timedelta(days=1))
        blocks.append(build(counter, _end_to_end(behind, now, _averages(after)), block))
        behind, day, now = _end_to_end(behind, now), day + timedelta(days=1), after
        behind = _later(
            behind, from_us(block.last_us + block.step_us) - timedelta(seconds=counter.carry_s, microseconds=1)
        )
    return _side_by_side(blocks)


def _about(table: pa.Table | None, wanted: Wanted | None) -> pa.Table | None:
    """Rows of the entities that are wanted."""
    if table is None or wanted is None:
        return table
    entity, names = ranked(table, "entity")
    return table.filter(as_boolean(wanted(names)[entity]))


def _end_to_end(*tables: pa.Table | None) -> pa.Table | None:
    import pyarrow as pa

    filled = [table for table in tables if table is not None]
    return pa.concat_tables(filled) if filled else None


def _later(table: pa.Table | None, since: datetime) -> pa.Table | None:
    """Rows after an instant."""
    return None if table is None else table.filter(as_boolean(numbers(table.column("time")) > to_us(since)))


def _averages(table: pa.Table | None) -> pa.Table | None:
    """Rows that speak for an interval before them."""
    return None if table is None else table.filter(as_boolean(numbers(table.column("span_s")) > 0))


def _side_by_side(blocks: list[Grid]) -> Grid:
    """Grids of one counter, each beginning where the one before it ends, as one."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    names = tuple(sorted({name for block in blocks for name in block.entities}))
    row = {name: k for k, name in enumerate(names)}
    values = np.full((len(names), sum(block.values.shape[1] for block in blocks)), np.nan, dtype=np.float32)
    seen = np.full(len(names), NEVER, dtype=np.int64)
    at = 0
    for block in blocks:
        width = block.values.shape[1]
        rows = slice(None) if block.entities == names else np.array([row[n] for n in block.entities], dtype=np.int64)
        values[rows, at : at + width] = block.values
        if block.seen_us is not None:
            seen[rows] = np.maximum(seen[rows], block.seen_us)
        at += width
    values.flags.writeable = False
    return Grid(first.counter, names, first.start, first.step_s, values, seen)


def build(counter: Counter, table: pa.Table | None, window: Window) -> Grid:
    """Grid `table` (samples of `counter` and its `_max`, each series in the order of time).

    Instants after the last grid point are ignored, except that an aggregated interval belongs to the points inside
    it, and those lie before its end.
    """
    rows, peaks, owners = _split(counter, table)
    raw = carried(rows.where(rows.span_s == 0), len(owners), window, counter.carry_s)
    for span in sorted(set(rows.span_s[rows.span_s > 0].tolist())):
        wide = spread(
            rows.where(rows.span_s == span), peaks.where(peaks.span_s == span), len(owners), window, counter.low
        )
        np.copyto(raw, wide, where=np.isnan(raw))
    entities, values = _combine(raw, owners, average=counter.unit == "%")
    known: NDArray[np.bool_] = (~np.isnan(values)).sum(axis=1) > 0
    kept = tuple(name for name, seen in zip(entities, known.tolist(), strict=True) if seen)
    grid = np.ascontiguousarray(values[known], dtype=np.float32)
    grid.flags.writeable = False
    return Grid(
        counter.name, kept, from_us(window.first_us), window.step_s, grid, _newest(rows, owners, entities)[known]
    )


def _newest(rows: _Rows, owners: list[tuple[str, str]], entities: list[str]) -> NDArray[np.int64]:
    """(E,) the instant of the newest sample of any part of each entity, `NEVER` where there is none."""
    rank = {entity: k for k, entity in enumerate(entities)}
    entity = np.array([rank[owner] for owner, _ in owners], dtype=np.int64)
    seen = np.full(len(entities), NEVER, dtype=np.int64)
    np.maximum.at(seen, entity[rows.series], rows.time_us)
    return seen


def _split(counter: Counter, table: pa.Table | None) -> tuple[_Rows, _Rows, list[tuple[str, str]]]:
    """Samples, maxima, and the (entity, part) of every series."""
    if table is None or not table.num_rows:
        empty = np.zeros(0, dtype=np.int64)
        none = _Rows(empty, empty, empty.astype(np.float64), empty)
        return none, none, []
    entity, entities = ranked(table, "entity")
    part, parts = ranked(table, "part")
    name, names = ranked(table, "counter")
    found, series = distinct([entity, part], [len(entities), len(parts)])
    owners = [(entities[e], parts[p]) for e, p in found]
    rows = _Rows(
        series.astype(np.int64),
        numbers(table.column("time")),
        numbers(table.column("value")),
        numbers(table.column("span_s")).astype(np.int64),
    )
    main = name == names.index(counter.name) if counter.name in names else np.zeros(len(series), dtype=bool)
    return rows.where(main), rows.where(~main), owners


def carried(rows: _Rows, count: int, window: Window, carry_s: int) -> NDArray[np.float64]:
    """(count, T) last observation carried forward, at most `carry_s`; NaN where nothing is known. Needs rows sorted by time within a series."""
    if not len(rows.series):
        return np.full((count, window.count), np.nan)
    slot = np.maximum(-((window.first_us - rows.time_us) // window.step_us), 0)
    inside = np.flatnonzero(slot < window.count)
    newest = np.full((count, window.count), -1, dtype=np.int32)
    # rows of one series come in time order, so of several in one slot the last written is the newest
    newest.reshape(-1)[(rows.series * window.count + slot)[inside]] = inside
    if (newest < 0).any():
        newest = np.maximum.accumulate(newest, axis=1)
    points = window.first_us + np.arange(window.count, dtype=np.int64) * window.step_us
    out = rows.value[newest]
    out[(newest < 0) | (points - rows.time_us[newest] > carry_s * 1_000_000)] = np.nan
    return out


def spread(rows: _Rows, peaks: _Rows, count: int, window: Window, low: float) -> NDArray[np.float64]:
    """(count, T) of aggregated samples of one span: each fills the points p with time - span < p <= time."""
    out = np.full((count, window.count), np.nan)
    if not len(rows.series):
        return out
    span_us = int(rows.span_s[0]) * 1_000_000
    first = (rows.time_us - span_us - window.first_us) // window.step_us + 1
    after = (rows.time_us - window.first_us) // window.step_us + 1
    points = after - first
    peak = _peaks(rows, peaks)
    high, tall = _shape(rows.value, peak, points, low, max(round(PEAK_S / window.step_s), 1))
    rest = np.where(points > tall, (rows.value * points - high * tall) / np.maximum(points - tall, 1), high)
    lead = (points - tall) // 2
    for offset in range(int(points.max(initial=0))):
        column = first + offset
        ok = (offset < points) & (column >= 0) & (column < window.count)
        in_peak = (offset >= lead) & (offset < lead + tall)
        out[rows.series[ok], column[ok]] = np.where(in_peak, high, rest)[ok]
    return out


def _peaks(rows: _Rows, peaks: _Rows) -> NDArray[np.float64]:
    """(n,) the maximum known for each aggregated sample; its average where none is."""
    if not len(peaks.series):
        return rows.value
    # one key per row, looked up by bisection
    origin = min(int(rows.time_us.min()), int(peaks.time_us.min()))
    width = max(int(rows.time_us.max()), int(peaks.time_us.max())) - origin + 1
    have = peaks.series * width + (peaks.time_us - origin)
    order = np.argsort(have, kind="stable")
    have, top = have[order], peaks.value[order]
    want = rows.series * width + (rows.time_us - origin)
    at = np.minimum(np.searchsorted(have, want), len(have) - 1)
    return np.where(have[at] == want, np.maximum(top[at], rows.value), rows.value)


def _shape(
    mean: NDArray[np.float64], peak: NDArray[np.float64], points: NDArray[np.int64], low: float, tall: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Height and length (in points) of the peak: the maximum for `tall` points, or less high where the average forbids it."""
    length = np.minimum(tall, points)
    room = (mean * points - low * (points - length)) / np.maximum(length, 1)
    return np.minimum(peak, np.maximum(room, mean)), length


def _combine(
    values: NDArray[np.float64], owners: list[tuple[str, str]], *, average: bool
) -> tuple[list[str], NDArray[np.float64]]:
    """Parts -> entities: within a group add or average what is known; of groups take the first that knows."""
    entities = sorted({entity for entity, _ in owners})
    if len(entities) == len(owners):
        return entities, values
    row = {entity: k for k, entity in enumerate(entities)}
    out = np.full((len(entities), values.shape[1]), np.nan)
    groups = [part.partition(":")[0] for _, part in owners]
    for group in GROUP_ORDER:
        mine = [k for k, name in enumerate(groups) if name == group]
        if not mine:
            continue
        to = np.array([row[owners[k][0]] for k in mine])
        known = ~np.isnan(values[mine])
        total, number = np.zeros_like(out), np.zeros(out.shape, dtype=np.int64)
        np.add.at(total, to, np.where(known, values[mine], 0.0))
        np.add.at(number, to, known)
        combined = np.where(number > 0, total / np.maximum(number, 1) if average else total, np.nan)
        np.copyto(out, combined, where=np.isnan(out))
    return entities, out
