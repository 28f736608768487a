"""Samples of any order and number -> daily partitions, each merged with what it held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.telemetry import partitions
from pro.telemetry.arrow import coded, codes, column, distinct, numbers
from pro.telemetry.readers.times import EPOCH
from pro.telemetry.samples import samples_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

DAY_US = 86_400_000_000
FLUSH_ROWS = 4_000_000
"""Samples held in memory (20 bytes each) before they are merged into the partitions."""

Identity = tuple[str, str, str, int]
"""(counter, entity, part, span): what tells one series from another; partitions are sorted by it, then by time."""


@dataclass(frozen=True)
class Piece:
    """Samples as arrays (n,): microseconds since 1970, number of the series, value."""

    time_us: NDArray[np.int64]
    series: NDArray[np.int32]
    value: NDArray[np.float64]

    def pick(self, rows: NDArray[np.int64] | slice) -> Piece:
        return Piece(self.time_us[rows], self.series[rows], self.value[rows])


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces end to end."""
    return Piece(
        np.concatenate([piece.time_us for piece in pieces]),
        np.concatenate([piece.series for piece in pieces]),
        np.concatenate([piece.value for piece in pieces]),
    )


def in_order(values: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The stable order that sorts `values`; None when they are sorted already, as samples mostly come."""
    return None if (values[1:] >= values[:-1]).all() else np.argsort(values, kind="stable")


def sorted_by(rank: NDArray[np.int64], time_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order by (rank, time). Ranks are few: as 16-bit numbers numpy sorts them by counting, in linear time."""
    small = rank.astype(np.uint16) if len(rank) and int(rank.max()) < 65_536 else rank
    order = in_order(time_us)
    if order is None:
        return np.argsort(small, kind="stable")
    return order[np.argsort(small[order], kind="stable")]


@dataclass
class Tally:
    """What merging did to the samples that came: new; already there, or twice; and keys that came with several values.

    Maxima of aggregated intervals ride along with their averages and are not counted as kept or duplicate.
    """

    kept: int = 0
    duplicate: int = 0
    conflicts: int = 0


class Merger:
    """Collects samples as codes and merges them, day by day, into the partitions."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._series: dict[Identity, int] = {}
        self._pieces: list[Piece] = []
        self._rows = 0
        self.tally = Tally()
        self.known: set[tuple[str, str]] = set()
        """(counter, entity) seen in this ingest or in the partitions it touched."""

    def add(self, table: pa.Table) -> None:
        """Take samples in; merges on its own once many have come."""
        if not table.num_rows:
            return
        self._pieces.append(self._coded(table))
        self._rows += table.num_rows
        if self._rows >= FLUSH_ROWS:
            self.flush()

    def _coded(self, table: pa.Table) -> Piece:
        """A table of `samples_schema()` as codes; names are looked up once per distinct combination."""
        spans = numbers(table.column("span_s"))
        lengths = spans[:1] if (spans == spans[0]).all() else np.unique(spans)
        which, words = zip(*(codes(table.column(name)) for name in ("counter", "entity", "part")), strict=True)
        found, back = distinct([*which, np.searchsorted(lengths, spans)], [*map(len, words), len(lengths)])
        series = np.empty(len(found), dtype=np.int32)
        for k, (c, e, p, s) in enumerate(found):
            identity = (words[0][c], words[1][e], words[2][p], int(lengths[s]))
            series[k] = self._series.setdefault(identity, len(self._series))
        return Piece(numbers(table.column("time")), series[back], numbers(table.column("value")))

    def flush(self) -> None:
        """Merge everything collected into the partitions."""
        if not self._pieces:
            return
        every = joined(self._pieces)
        self._pieces, self._rows = [], 0
        day = every.time_us // DAY_US
        order = in_order(day)
        if order is not None:
            every, day = every.pick(order), day[order]
        starts = np.flatnonzero(np.r_[True, day[1:] != day[:-1]]).tolist()
        for start, stop in zip(starts, [*starts[1:], len(day)], strict=True):
            self._merge(int(day[start]), every.pick(slice(start, stop)))

    def _merge(self, number: int, new: Piece) -> None:
        """Merge the samples of one day (`number` days after 1970-01-01) into its partition."""
        path = partitions.path_of(self._root, _day(number))
        stored = self._coded(partitions.read(path)) if path.exists() else None
        every = new if stored is None else joined([stored, new])
        names = list(self._series)
        ordered = sorted(
            np.flatnonzero(np.bincount(every.series, minlength=len(names))).tolist(), key=names.__getitem__
        )
        rank = np.zeros(len(names), dtype=np.int64)
        rank[ordered] = np.arange(len(ordered))
        identities = [names[k] for k in ordered]
        self.known.update((name[0], name[1]) for name in identities)
        order = sorted_by(rank[every.series], every.time_us)
        key = rank[every.series[order]] * DAY_US + every.time_us[order] % DAY_US
        value = every.value[order]
        first = np.empty(len(key), dtype=bool)
        first[0] = True
        np.not_equal(key[1:], key[:-1], out=first[1:])
        old = 0 if stored is None else len(stored.value)
        self._count(key, first, order < old, [not name[0].endswith("_max") for name in identities])
        starts = np.flatnonzero(first)
        if len(starts) < len(key):
            largest, least = np.maximum.reduceat(value, starts), np.minimum.reduceat(value, starts)
            value, key = largest, key[starts]
            self.tally.conflicts += int((largest != least).sum())
        if stored is not None and len(key) == old and np.array_equal(stored.value, value):
            return
        table, groups = _partition(key, value, identities, number)
        partitions.write(path, table, groups)

    def _count(
        self,
        key: NDArray[np.int64],
        first: NDArray[np.bool_],
        old: NDArray[np.bool_],
        counted: list[bool],
    ) -> None:
        """Account for one day's merge; rows are sorted by key, `first` marks the first of each key, `old` the stored ones."""
        primary = np.array(counted)[key // DAY_US]
        arrived = int((primary & ~old).sum())
        kept = int((primary & first).sum()) - int((primary & old).sum())
        self.tally.kept += kept
        self.tally.duplicate += arrived - kept


def _day(number: int) -> date:
    return (EPOCH + timedelta(days=number)).date()


def _partition(
    key: NDArray[np.int64], value: NDArray[np.float64], names: list[Identity], day: int
) -> tuple[pa.Table, list[int]]:
    """The table of one day, and the rows at which a new counter starts. `names` are in key order.

    Dictionaries hold what the day needs, sorted: the bytes written depend on the samples alone, not on how they came.
    """
    import pyarrow as pa

    series = key // DAY_US
    schema = samples_schema()

    def named(position: int) -> pa.DictionaryArray:
        words = sorted({str(name[position]) for name in names})
        index = {word: k for k, word in enumerate(words)}
        mine = np.array([index[str(name[position])] for name in names], dtype=np.int32)
        return coded(mine[series], words)

    spans = np.array([name[3] for name in names], dtype=np.int32)
    table = pa.Table.from_arrays(
        [
            column(key % DAY_US + day * DAY_US, schema.field("time").type),
            named(1),
            named(0),
            named(2),
            column(value),
            column(spans[series]),
        ],
        schema=schema,
    )
    changes = [k for k, name in enumerate(names) if k == 0 or name[0] != names[k - 1][0]]
    return table, np.searchsorted(series, changes).tolist()
