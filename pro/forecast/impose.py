"""Joint paths keep who is high together and when; their marginals become what a calibrated quantile function says.

The rank of each path among its fellows at a moment is kept (Schaake shuffle, Clark et al. 2004), so the sum over a host's VMs of path s
stays a sample path of the host. Among equal paths chance decides, for each entity anew and for all moments alike: a machine that has
always been idle is given the spread that such machines had on held-back days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS, levels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SEED = 5


def impose(paths: Floats, quantiles: Floats) -> Floats:
    """`paths` (E, S, T), each moved by how far `quantiles` (E, T, L) at `LEVELS` lie from the paths' own at its level; order kept.

    Where the two agree, nothing changes: a machine that is either idle or busy is not made half busy, as it would be by straight
    lines between a few levels. Between levels the move is straight; beyond the outermost it stays what it is there.
    """
    entities, n, _ = paths.shape
    chance = np.random.default_rng(SEED).random((entities, n)).argsort(axis=1)[:, None, :]
    across = np.take_along_axis(np.moveaxis(paths, 1, 2), chance, axis=2)
    order = np.argsort(across, axis=2, kind="stable")
    ordered = np.take_along_axis(across, order, axis=2)
    at = np.interp((np.arange(n) + 0.5) / n, LEVELS, np.arange(len(LEVELS)))
    low = np.minimum(at.astype(np.int64), len(LEVELS) - 2)
    part = (at - low).astype(np.float32)
    away = quantiles - levels_of(ordered)
    moved = ordered + away[..., low] + np.diff(away, axis=2)[..., low] * part
    return _dealt(np.take_along_axis(np.broadcast_to(chance, order.shape), order, axis=2), moved)


def in_order(ranks: NDArray[np.float64], values: Floats) -> Floats:
    """`values` (E, S, T) dealt out anew at each entity and moment: the smallest to the lowest of `ranks` (E, S, T)."""
    across = np.ascontiguousarray(np.moveaxis(ranks, 1, 2))
    return _dealt(np.argsort(across, axis=2, kind="stable"), np.moveaxis(values, 1, 2))


def middle_ranks(paths: NDArray[np.floating]) -> NDArray[np.float64]:
    """(E, S, T) rank from 0 of each path at each moment, the mean rank among equals."""
    across = np.ascontiguousarray(np.moveaxis(paths, 1, 2))
    order = np.argsort(across, axis=2, kind="stable")
    ordered = np.take_along_axis(across, order, axis=2)
    n = across.shape[2]
    place = np.arange(n, dtype=np.int32)
    same = np.zeros(across.shape, dtype=np.bool_)
    same[..., 1:] = ordered[..., 1:] == ordered[..., :-1]
    middle = np.broadcast_to(place, across.shape).astype(np.float64)
    if same.any():
        first = np.maximum.accumulate(np.where(same, 0, place), axis=2)
        ends = np.ones(across.shape, dtype=np.bool_)
        ends[..., :-1] = ~same[..., 1:]
        last = np.minimum.accumulate(np.where(ends, place, n)[..., ::-1], axis=2)[..., ::-1]
        middle = (first + last) / 2
    out = np.empty(middle.shape)
    np.put_along_axis(out, order, middle, axis=2)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1))


def _dealt(order: NDArray[np.int64], values: Floats) -> Floats:
    """(E, S, T) of `values` (E, T, S): the smallest to the path that comes first in `order` (E, T, S), and so on."""
    out = np.empty(values.shape, dtype=np.float32)
    np.put_along_axis(out, order, np.sort(values, axis=2), axis=2)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1))
