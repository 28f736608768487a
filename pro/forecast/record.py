"""Where one machine's future lies: simple levels of its own past, each believed as far as it was right about this very machine.

The newest value is the best guess for a machine that drifts and a bad one for a machine that flickers, for which a median of hours is
better; a machine with a timetable is where it was at this time on other days. Nobody need be told which is which: what each level was off
by in the machine's past, so many slots later, says it. Of means over weights that fall with the error, a steep power comes close to
choosing the best and is not thrown by ties (Bates and Granger 1969 weigh by the inverse of the squared error).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pro.forecast.marginals import DAY_S, INSTANTS, LEVELS, WEEK_DAYS, between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints, Singles

MEANS_S, MEDIANS_S = (0, 900, 3600, 10_800), (3600, 10_800, 86_400)
"""Spans of the levels: the newest value is a mean over one slot."""
TRUST, TAIL_TRUST = 16, 8
"""A level is believed in proportion to its error to this power, downwards."""
EXACT = 1e-3
"""Errors below this share of the mean error of all levels are alike."""
OFTEN = 6
"""Medians are taken so many times in their span."""
LEAST, TAIL_LEAST = 4, 20
"""Instants without which an error, or a tail of errors, says nothing about its distance: that of the distance before stands in."""
TAIL_INSTANTS = 200
FEW_DAYS = 0.5
"""Of k days that the time of day was tried on, it takes the error to be 1 + `FEW_DAYS` / k times what they show."""
TAIL = 0.25
TAILS = tuple(q for q in LEVELS if not TAIL <= q <= 1 - TAIL)
"""Levels of what `tails` says."""


def middle(values: Singles, ahead: Ints, per_day: int) -> Singles:
    """(E, K) most likely middle for the slots `ahead` (K,), 0 being the first after the end of `values` (E, N), slot means without holes.

    NaN where the past is too short to have a record.
    """
    knots = between(ahead)[0]
    said: list[Singles] = []
    errors: list[Singles] = []
    for level, instants in _levels(values, per_day):
        if (off := _errors(values, level, instants, knots)) is not None:
            said.append(level[:, -1:].astype(np.float32))
            errors.append(_ahead(off, ahead))
    if not said:
        return np.full((len(values), ahead.size), np.nan, dtype=np.float32)
    if (clock := _clock(values, per_day)) is not None:
        usual, missed, doubt = clock
        said.append(usual[:, ahead % per_day])
        errors.append(np.abs(missed).mean(axis=1)[:, None] * doubt)
    return _believed(said, errors, TRUST)


def tails(values: Singles, ahead: Ints, per_day: int) -> Singles:
    """(E, K, L) quantiles at `TAILS` for the slots `ahead` (K,), rising with the level; `values` (E, N) as for `middle`.

    A level is followed by the quantiles of what it was off by, and its error is their pinball loss. Beside the means over `MEANS_S` and the time of day
    stands all that the machine ever did.
    """
    knots = between(ahead)[0]
    said: list[Singles] = []
    errors: list[Singles] = []
    for level, instants in _means(values, per_day, TAIL_INSTANTS):
        reach: list[tuple[Singles, Singles]] = []
        for distance in knots:
            mine = instants[instants + distance < values.shape[1]]
            if mine.size >= TAIL_LEAST:
                reach.append(_tail(values[:, mine + distance] - level[:, : mine.size]))
            elif reach:
                reach.append(reach[-1])
        if reach:
            away, loss = (np.stack(each, axis=1) for each in zip(*reach, strict=True))
            said.append(level[:, -1:, None].astype(np.float32) + _ahead(away, ahead))
            errors.append(_ahead(loss, ahead))
    ever, loss = _tail(values[:, :: _every(values.shape[1])])
    said.append(np.repeat(ever[:, None], ahead.size, axis=1))
    errors.append(loss[:, None])
    if (clock := _clock(values, per_day)) is not None:
        usual, missed, doubt = clock
        away, loss = _tail(missed[:, :: _every(missed.shape[1])])
        said.append(usual[:, ahead % per_day, None] + away[:, None])
        errors.append(loss[:, None] * doubt)
    return np.asarray(np.sort(_believed(said, errors, TAIL_TRUST), axis=2))


def _believed(said: list[Singles], errors: list[Singles], trust: int) -> Singles:
    """Mean of what M levels said, each believed by its error; the arrays fit each other's shape."""
    shape = np.broadcast_shapes(*(s.shape for s in said), *(e.shape for e in errors))
    off = np.stack([np.broadcast_to(e, shape) for e in errors])
    belief = -trust * np.log(off / np.maximum(off.mean(axis=0), np.float32(1e-12)) + np.float32(EXACT))
    weight = np.exp(belief - belief.max(axis=0))
    found = np.zeros(shape, dtype=np.float32)
    for w, s in zip(weight, said, strict=True):
        found += w * s
    return np.asarray(found / weight.sum(axis=0))


def _ahead(measured: NDArray[np.floating], ahead: Ints) -> Singles:
    """(E, K, ...) what was `measured` (E, D, ...) at some distances, for the slots `ahead` between them."""
    _, low, high, part = between(ahead)
    part = part.reshape(-1, *[1] * (measured.ndim - 2))
    return np.asarray(measured[:, low] * (1 - part) + measured[:, high] * part, dtype=np.float32)


def _levels(values: Singles, per_day: int) -> Iterator[tuple[Floats, Ints]]:
    """(E, n) each level at n instants, the last of them the newest slot, and the instants (n,)."""
    n = values.shape[1]
    yield from _means(values, per_day, INSTANTS)
    for span in _spans(MEDIANS_S, per_day, least=3):
        if span <= n:
            t = np.arange(n - 1, span - 2, -max(-(-(n - span + 1) // INSTANTS), span // OFTEN, 1))[::-1]
            windows = sliding_window_view(values, span, axis=1)[:, t + 1 - span]
            yield np.median(windows, axis=2).astype(np.float64), t


def _means(values: Singles, per_day: int, most: int) -> Iterator[tuple[Floats, Ints]]:
    """(E, n) means over `MEANS_S` at n instants, not many more than `most`, the last of them the newest slot, and the instants (n,)."""
    n = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1, dtype=np.float64)], axis=1)
    for span in _spans(MEANS_S, per_day, least=1):
        if span <= n:
            t = np.arange(n - 1, span - 2, -max(-(-(n - span + 1) // most), 1))[::-1]
            yield (sums[:, t + 1] - sums[:, t + 1 - span]) / span, t


def _spans(seconds: tuple[int, ...], per_day: int, least: int) -> list[int]:
    """Slots in so many seconds, each once, the shortest left out where they are fewer than `least`."""
    spans = {max(s * per_day // DAY_S, 1) for s in seconds}
    return sorted(s for s in spans if s >= least)


def _errors(values: Singles, level: Floats, instants: Ints, knots: list[int]) -> NDArray[np.float64] | None:
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


def _clock(values: Singles, per_day: int) -> tuple[Singles, Singles, np.float32] | None:
    """(E, P) mean of each slot of the day over the last week, from the newest slot on; (E, D * P) what such a mean was off by on D days, a week
    at most; and by how much more to take it to be, for they are few."""
    days = values.shape[1] // per_day
    if days < 2:
        return None
    whole = values[:, values.shape[1] - days * per_day :].reshape(len(values), days, per_day)

    def usual(day: int) -> Singles:
        return np.asarray(whole[:, max(day - WEEK_DAYS, 0) : day].mean(axis=1))

    tried = range(max(days - WEEK_DAYS, 1), days)
    missed = np.concatenate([whole[:, day] - usual(day) for day in tried], axis=1)
    return usual(days), missed, np.float32(1 + FEW_DAYS / len(tried))


def _every(n: int) -> int:
    return max(n // TAIL_INSTANTS, 1)


def _tail(sample: NDArray[np.floating]) -> tuple[Singles, Singles]:
    """(E, L) quantiles of `sample` (E, n) at `TAILS` (Hazen), and their mean pinball loss over it.

    The loss q * (mean - x) + mean of what lies below x falls short of it, so sums of the ordered values are all that is needed.
    """
    ordered = np.sort(sample.astype(np.float32), axis=1)
    n = ordered.shape[1]
    q = np.array(TAILS, dtype=np.float32)
    at = np.clip(np.array(TAILS) * n - 0.5, 0, n - 1)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    x = ordered[:, low] * (1 - part) + ordered[:, np.minimum(low + 1, n - 1)] * part
    sums = np.cumsum(ordered, axis=1, dtype=np.float64)
    short = ((low + 1) * x - sums[:, low]) / n
    loss = q * (sums[:, -1:] / n - x) + short
    return np.asarray(x), np.maximum(loss, 0).astype(np.float32)
