"""Joint paths keep who is high together and when; their marginals become what a calibrated quantile function says.

The rank of each path among its fellows at a moment is kept (Schaake shuffle, Clark et al. 2004), so the sum over a host's VMs of path s
stays a sample path of the host. Equal paths share their middle rank: a machine that is idle in half of the paths stays so in these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def impose(paths: Floats, quantiles: Floats) -> Floats:
    """`paths` (E, S, T) with the marginals of `quantiles` (E, T, L) at `LEVELS`; straight between levels and beyond the outermost."""
    return impose_ranks(middle_ranks(paths), quantiles)


def impose_ranks(ranks: NDArray[np.float64], quantiles: Floats) -> Floats:
    """The same from ranks (E, S, T) that count from 0 in halves."""
    paths = ranks.shape[1]
    at = np.interp((np.arange(2 * paths - 1) / 2 + 0.5) / paths, LEVELS, np.arange(len(LEVELS)))
    low = np.minimum(at.astype(np.int64), len(LEVELS) - 2)
    part = (at - low).astype(np.float32)
    half = (2 * ranks).astype(np.int64)
    q = np.moveaxis(quantiles, 2, 1)
    step = np.diff(q, axis=1)
    return np.asarray(
        np.take_along_axis(q, low[half], axis=1) + np.take_along_axis(step, low[half], axis=1) * part[half],
        dtype=np.float32,
    )


def middle_ranks(paths: NDArray[np.floating]) -> NDArray[np.float64]:
    """(E, S, T) rank from 0 of each path at each moment, the mean rank among equals."""
    across = np.ascontiguousarray(np.moveaxis(paths, 1, 2))
    order = np.argsort(across, axis=2)
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
    out = np.empty(across.shape)
    np.put_along_axis(out, order, middle, axis=2)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1))
