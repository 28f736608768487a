"""The inner loops of futures.py, compiled by numba."""

from __future__ import annotations

import math

import numpy as np
from numba import float32, float64, int32, int64, uint64, void

from pro.core.compiled import kernel, making_entry
from pro.heat.features import DWELL, FARTHEST, SMALLEST_SPREAD

SHARP, SOFT = 0.01, 0.05
"""Within how much of the limit a possible hour counts in part."""
QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)

i, f = int64, float64
Words, Doubles = int64[::1], float64[::1]


@kernel(uint64(uint64))
def _mixed(z):
    """A hash of 64 bits (the finisher of SplitMix64, Steele et al. 2014)."""
    one = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    two = (one ^ (one >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return two ^ (two >> np.uint64(31))


@kernel(f(Doubles, f, f))
def _share_over(peaks, limit, width):
    """Of `peaks` that are above `limit`, with those within about `width` of it counted in part."""
    total = 0.0
    for k in range(peaks.size):
        total += 0.5 * math.erfc((limit - peaks[k]) / (width * limit * math.sqrt(2.0)))
    return total / peaks.size


@making_entry(
    void(
        int32[:, :, ::1],
        int32[:, ::1],
        float32[:, ::1],
        i,
        Words,
        Doubles,
        Words,
        Words,
        Doubles,
        Doubles,
        float32[:, :, ::1],
    )
)
def sum_up(leaves, moments, paths, per, instants, cap, order, first, own, limit, out):
    """Into `out` (H, n, 8), `futures.NAMES`, what hosts stay over for a quarter of an hour, in `per` possible futures for each tree.

    `leaves` (V, n, R); `moments` (Q, M) rows of `paths` (., L); `order` VMs host by host, those of host h at [first[h], first[h + 1]).
    """
    trees, length, kept = leaves.shape[2], paths.shape[1], np.uint64(moments.shape[1])
    total = np.empty((trees * per, length))
    peaks = np.empty(trees * per)
    for h in range(first.size - 1):
        for t in range(instants.size):
            total[:] = own[h]
            for at in range(first[h], first[h + 1]):
                v = order[at]
                seed = _mixed(np.uint64(v) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(instants[t] + 1))
                for r in range(trees):
                    leaf = leaves[v, t, r]
                    for j in range(per):
                        k = r * per + j
                        path = moments[leaf, _mixed(seed + np.uint64(k)) % kept]
                        for s in range(length):
                            total[k, s] += paths[path, s] * cap[v]
            mean = square = 0.0
            for k in range(peaks.size):
                peaks[k] = 0.0
                for end in range(DWELL - 1, length):
                    least = total[k, end]
                    for back in range(1, DWELL):
                        least = min(least, total[k, end - back])
                    peaks[k] = max(peaks[k], least)
                mean += peaks[k]
                square += peaks[k] ** 2
            mean /= peaks.size
            spread = math.sqrt(max(square / peaks.size - mean**2, 0.0)) / limit[h]
            out[h, t, 0] = _share_over(peaks, limit[h], SHARP)
            out[h, t, 1] = _share_over(peaks, limit[h], SOFT)
            peaks.sort()
            for q in range(len(QUANTILES)):
                out[h, t, 2 + q] = peaks[int(QUANTILES[q] * (peaks.size - 1) + 0.5)] / limit[h]
            room = (mean / limit[h] - 1.0) / max(spread, SMALLEST_SPREAD)
            out[h, t, 7] = min(max(room, -FARTHEST), FARTHEST)
