"""Joint paths keep who is high together and when; their marginals become what a calibrated quantile function says.

The rank of each path among its fellows at a moment is kept (Schaake shuffle, Clark et al. 2004), so the sum over a host's VMs of path s
stays a sample path of the host. Equal paths share their middle rank: a machine that is idle in half of the paths stays so in these. But
where they are to move apart by little, or nearly all are equal, chance tells them apart, for all moments alike: idle machines are given the
little spread that they had on held-back days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from pro.forecast.marginals import LEVELS, levels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Singles


NEARLY = 0.9
"""Share of the paths that are equal from which a machine counts as always the same."""
LITTLE = 0.1
"""Equal paths are told apart if that moves them apart by at most this share of how far the machine's paths reach."""


def impose(paths: Singles, quantiles: Singles) -> Singles:
    """`paths` (E, S, T), each moved by how far `quantiles` (E, T, L) at `LEVELS` lie from the paths' own at its level; order kept.

    Where the two agree, nothing changes: a machine that is either idle or busy is not made half busy, as it would be by straight
    lines between a few levels. Between levels the move is straight; beyond the outermost it stays what it is there.
    """
    n = paths.shape[1]
    chance = _chance(paths).argsort(axis=1, kind="stable")[:, None, :]
    across = np.take_along_axis(np.moveaxis(paths, 1, 2), chance, axis=2)
    order = np.argsort(across, axis=2, kind="stable")
    ordered = np.take_along_axis(across, order, axis=2)
    at = np.interp((np.arange(2 * n - 1) / 2 + 0.5) / n, LEVELS, np.arange(len(LEVELS)))
    low = np.minimum(at.astype(np.int64), len(LEVELS) - 2)
    part = (at - low).astype(np.float32)
    first, last = _equals(ordered)
    away = quantiles - levels_of(ordered)

    def moves(half: NDArray[np.int64]) -> Singles:
        below, step = (np.take_along_axis(x, low[half], axis=2) for x in (away, np.diff(away, axis=2)))
        return np.asarray(below + step * part[half])

    own, shared = moves(np.broadcast_to(2 * np.arange(n), order.shape)), moves(first + last)
    apart = np.take_along_axis(own, last, axis=2) - np.take_along_axis(own, first, axis=2)
    reach = (ordered[..., -1].max(axis=1) - ordered[..., 0].min(axis=1))[:, None, None]
    told = (np.abs(apart) <= LITTLE * reach) | (last - first + 1 > NEARLY * n)
    return _dealt(
        np.take_along_axis(np.broadcast_to(chance, order.shape), order, axis=2), ordered + np.where(told, own, shared)
    )


def _chance(paths: NDArray[np.floating]) -> NDArray[np.uint64]:
    """(E, S) numbers without a pattern that depend on an entity's own paths alone, so that twins stay twins in any order (splitmix64)."""
    rows = np.ascontiguousarray(paths).reshape(len(paths), -1)
    own = np.array([crc32(row.tobytes()) for row in rows], dtype=np.uint64)
    steps = np.arange(1, paths.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = np.left_shift(own, np.uint64(32))[:, None] + steps
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = np.bitwise_xor(x, np.right_shift(x, np.uint64(shift))) * np.uint64(factor)
    return np.asarray(np.bitwise_xor(x, np.right_shift(x, np.uint64(31))), dtype=np.uint64)


def in_order(ranks: NDArray[np.float64], values: Singles) -> Singles:
    """`values` (E, S, T) dealt out anew at each entity and moment: the smallest to the lowest of `ranks` (E, S, T)."""
    across = np.ascontiguousarray(np.moveaxis(ranks, 1, 2))
    return _dealt(np.argsort(across, axis=2, kind="stable"), np.moveaxis(values, 1, 2))


def middle_ranks(paths: NDArray[np.floating]) -> NDArray[np.float64]:
    """(E, S, T) rank from 0 of each path at each moment, the mean rank among equals."""
    across = np.ascontiguousarray(np.moveaxis(paths, 1, 2))
    order = np.argsort(across, axis=2, kind="stable")
    first, last = _equals(np.take_along_axis(across, order, axis=2))
    out = np.empty(across.shape)
    np.put_along_axis(out, order, (first + last) / 2, axis=2)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1))


def _equals(ordered: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(E, T, S) place of the first and the last among the equals of each in `ordered` (E, T, S)."""
    n = ordered.shape[2]
    place = np.broadcast_to(np.arange(n), ordered.shape)
    same = np.zeros(ordered.shape, dtype=np.bool_)
    same[..., 1:] = ordered[..., 1:] == ordered[..., :-1]
    if not same.any():
        return place, place
    first = np.maximum.accumulate(np.where(same, 0, place), axis=2)
    ends = np.ones(ordered.shape, dtype=np.bool_)
    ends[..., :-1] = ~same[..., 1:]
    last = np.minimum.accumulate(np.where(ends, place, n)[..., ::-1], axis=2)[..., ::-1]
    return first, last


def _dealt(order: NDArray[np.int64], values: Singles) -> Singles:
    """(E, S, T) of `values` (E, T, S): the smallest to the path that comes first in `order` (E, T, S), and so on."""
    out = np.empty(values.shape, dtype=np.float32)
    np.put_along_axis(out, order, np.sort(values, axis=2), axis=2)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1))
