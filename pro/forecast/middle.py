"""Where the middle of one machine's future lies: simple levels of its own past, each believed as far as it was right about this very machine.

The newest value is the best guess for a machine that drifts and a bad one for a machine that flickers, for which a median of hours is
better. Nobody need be told which is which: what each level was off by in the machine's past, so many slots later, says it. Of means over
weights that fall with the error, a steep power comes close to choosing the best and is not thrown by ties (Bates and Granger 1969
weigh by the inverse of the squared error).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pro.forecast.marginals import DAY_S, INSTANTS, between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pro.core.arrays import Ints, Singles

MEANS_S, MEDIANS_S = (0, 900, 3600, 10_800), (3600, 10_800, 86_400)
"""Spans of the levels: the newest value is a mean over one slot."""
TRUST = 16
"""A level is believed in proportion to its error to this power, downwards."""
EXACT = 1e-3
"""Errors below this share of the mean error of all levels are alike."""
OFTEN = 6
"""Medians are taken so many times in their span."""
LEAST = 4
"""Instants without which an error says nothing about its distance: that of the distance before stands in."""


def middle(values: Singles, ahead: Ints, per_day: int) -> Singles:
    """(E, K) most likely middle for the slots `ahead` (K,), 0 being the first after the end of `values` (E, N), slot means without holes.

    NaN where the past is too short to have a record.
    """
    knots, low, high, part = between(ahead)
    said, errors = [], []
    for level, instants in _levels(values, per_day):
        if (off := _errors(values, level, instants, knots)) is not None:
            said.append(level[:, -1])
            errors.append((off[:, low] * (1 - part) + off[:, high] * part).astype(np.float32))
    if not said:
        return np.full((len(values), ahead.size), np.nan, dtype=np.float32)
    off = np.stack(errors)
    trust = -TRUST * np.log(off / np.maximum(off.mean(axis=0), np.float32(1e-12)) + np.float32(EXACT))
    weight = np.exp(trust - trust.max(axis=0))
    found = np.einsum("mek,me->ek", weight, np.stack(said).astype(np.float32)) / weight.sum(axis=0)
    return np.asarray(found, dtype=np.float32)


def _levels(values: Singles, per_day: int) -> Iterator[tuple[NDArray[np.float64], Ints]]:
    """(E, n) each level at n instants, the last of them the newest slot, and the instants (n,)."""
    n = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1, dtype=np.float64)], axis=1)
    for span in _spans(MEANS_S, per_day, least=1):
        if span <= n:
            t = np.arange(n - 1, span - 2, -max(-(-(n - span + 1) // INSTANTS), 1))[::-1]
            yield (sums[:, t + 1] - sums[:, t + 1 - span]) / span, t
    for span in _spans(MEDIANS_S, per_day, least=3):
        if span <= n:
            t = np.arange(n - 1, span - 2, -max(-(-(n - span + 1) // INSTANTS), span // OFTEN, 1))[::-1]
            windows = sliding_window_view(values, span, axis=1)[:, t + 1 - span]
            yield np.median(windows, axis=2).astype(np.float64), t


def _spans(seconds: tuple[int, ...], per_day: int, least: int) -> list[int]:
    """Slots in so many seconds, each once, the shortest left out where they are fewer than `least`."""
    spans = {max(s * per_day // DAY_S, 1) for s in seconds}
    return sorted(s for s in spans if s >= least)


def _errors(
    values: Singles, level: NDArray[np.float64], instants: Ints, knots: list[int]
) -> NDArray[np.float64] | None:
    """(E, D) mean distance of `level` from the value so many slots later; None where there is no record at all."""
    found: list[NDArray[np.float64]] = []
    for distance in knots:
        mine = instants[instants + distance < values.shape[1]]
        if mine.size >= LEAST:
            found.append(np.abs(values[:, mine + distance] - level[:, : mine.size]).mean(axis=1))
        elif found:
            found.append(found[-1])
        else:
            return None
    return np.stack(found, axis=1)
