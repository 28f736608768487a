"""What is said of one machine at a time: quantiles of its paths, drawn to what its own past says of it.

Paths are made for plans: they keep who peaks with whom, come from few instants of the past, and reach a day ahead as far as plans
need. For one machine alone its own record is the better witness (docs/forecasts.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS
from pro.forecast.record import TAIL, TAILS, middle, tails

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.core.arrays import Ints, Singles
    from pro.forecast.history import History
    from pro.forecast.teaching import Bounds

FAR_S = 10_800
USUAL, NEAR = 2 / 3, 0.5
"""Up to three hours ahead the tails of what is said of one machine are half those of its own record; later they are, to two parts in three, those of
all it has ever done: paths come from fewer instants than it has lived through."""
EDGE = 0.05
"""The middle is drawn to the record between the paths' quantiles of this level, and the quantiles between them go with it."""
MOST, MOST_CELLS = 1024, 250_000
"""At most so many entities, and cells of what is said, at a time: memory stays flat in the fleet."""


@dataclass(frozen=True)
class OwnPast:
    """What the past of E entities says of each alone; nothing is worked out before it is asked for.

    Attributes
    ----------
    past, bounds
        The past of all entities, and what is possible.
    told
        Rows of those whose record counts: their newest slot is known.
    slots, step_s
        Slots ahead, T, and seconds of a slot.
    usual
        (E, L) quantiles at `LEVELS` of all that an entity did in the past looked at; NaN where the paths alone are to be believed.
    """

    past: History
    bounds: Bounds
    told: Ints
    slots: int
    step_s: int
    usual: Singles

    @property
    def near(self) -> int:
        """Slots up to three hours ahead."""
        return min(FAR_S // self.step_s, self.slots)

    @cached_property
    def middle(self) -> Singles:
        """(E, T) where simple levels with a good record lie; NaN for all others."""
        return self._asked(middle, (self.slots,))

    @cached_property
    def tails(self) -> Singles:
        """(E, near, L) quantiles at `TAILS` by simple levels with a good record; NaN for all others."""
        found = self._asked(tails, (self.near, len(TAILS)))
        found[self.told] = self.bounds.apply(found[self.told], self.told)
        return found

    def _asked(self, record: Callable[[Singles, Ints, int], Singles], shape: tuple[int, ...]) -> Singles:
        out = np.full((len(self.past.values), *shape), np.nan, np.float32)
        first = int(np.argmax(self.past.seen.any(axis=0)))
        each = min(max(MOST_CELLS // max(math.prod(shape), 1), 1), MOST)
        for begin in range(0, self.told.size if shape[0] else 0, each):
            part = self.told[begin : begin + each]
            out[part] = record(self.past.values[part, first:], np.arange(shape[0]), self.past.per_day)
        return out


def quantile(paths: Singles, own: OwnPast | None, q: float) -> Singles:
    """(E, T) what each entity stays under with probability `q`, rising in `q`.

    Of the S `paths` (E, S, T) in order, the i-th stands for (i + 1/2) / S (Hazen).
    """
    if own is None:
        return np.asarray(np.quantile(paths, q, axis=1, method="hazen"), dtype=np.float32)
    asked, quartile, median, low, high = np.quantile(
        paths, (q, TAIL if q < 0.5 else 1 - TAIL, 0.5, EDGE, 1 - EDGE), axis=1, method="hazen"
    ).astype(np.float32)
    centre = np.where(np.isfinite(own.middle), np.clip(own.middle, low, high), median)
    outer = low if q < 0.5 else high

    def drawn(x: Singles) -> Singles:
        """`x` between the paths' median and their outer quantile, as the median is drawn to `centre`."""
        reach = outer - median
        part = np.divide(x - median, reach, out=np.zeros_like(x), where=reach != 0)
        return np.asarray(centre + part * (outer - centre))

    found = drawn(asked) if EDGE < q < 1 - EDGE else asked
    if TAIL <= q <= 1 - TAIL:
        return found
    near = slice(own.near)
    _lean(found[:, near], _at(own.tails, TAILS, q), NEAR)
    _lean(found[:, own.near :], _at(own.usual, LEVELS, q)[:, None], USUAL)
    return np.asarray((np.minimum if q < 0.5 else np.maximum)(found, drawn(quartile)))


def _lean(found: Singles, said: Singles, share: float) -> None:
    """Draw `found` to what is `said`, where something is."""
    found += np.where(np.isfinite(said), np.float32(share) * (said - found), np.float32(0))


def _at(table: Singles, levels: tuple[float, ...], q: float) -> Singles:
    """`table` (..., L) at a level of the tails between the `levels` that lie on its side; the outermost stand for all beyond."""
    side = [k for k, level in enumerate(levels) if (level < 0.5) == (q < 0.5)]
    at = float(np.interp(q, [levels[k] for k in side], side))
    low = min(int(at), side[-2])
    return np.asarray(table[..., low] + np.float32(at - low) * (table[..., low + 1] - table[..., low]))
