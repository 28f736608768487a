"""Inner loops of the pattern engine, compiled by numba: fill a host, price patterns, list those that waste little.

A *pattern* is a set of VMs that fit on one host of a kind together. `size` (n, D) and `room` (D,) are integers.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, float64, int64

from pro.core.compiled import kernel, making, making_entry

DEEPEST = 64
"""A pattern holds no more VMs than this."""
FULL = 1 << 60

A, M, F, i, f, yes = int64[::1], int64[:, ::1], float64[::1], int64, float64, boolean


@kernel(yes(M, i, A))
def _fits(size, v, left):
    d = 0
    while d < len(left) and size[v, d] <= left[d]:
        d += 1
    return d == len(left)


@making_entry(i(M, A, F, F, A))
def fill(size, room, weight, liking, bin_of):
    """Fill one bin after the other, each time with the VM whose size points most into the room that is left (Panigrahy et
    al. 2011, "Heuristics for vector bin packing", dot product). `weight` (D,) of dimensions, `liking` (n,) of VMs: a factor on their score.
    `bin_of` (n,) is filled in; -1 for VMs that fit nowhere. Returns the number of bins. O(n^2 D).
    """
    n, dims = size.shape
    rest = np.arange(n)
    left = np.empty(dims, np.int64)
    bins, waiting = 0, n
    for v in range(n):
        bin_of[v] = -1
    while waiting > 0:
        for d in range(dims):
            left[d] = room[d]
        held = 0
        while True:
            best, at = -1.0, -1
            for k in range(waiting):
                v = rest[k]
                if _fits(size, v, left):
                    score = 1e-9
                    for d in range(dims):
                        score += weight[d] * size[v, d] * left[d]
                    score *= liking[v]
                    if score > best:
                        best, at = score, k
            if at < 0:
                break
            v = rest[at]
            bin_of[v] = bins
            held += 1
            for d in range(dims):
                left[d] -= size[v, d]
            waiting -= 1
            rest[at] = rest[waiting]
        if held == 0:
            break
        bins += 1
    return bins


@making(M(M))
def _least_after(size):
    """(n + 1, D) the least size in each dimension among VMs k, k + 1, ..."""
    n, dims = size.shape
    least = np.empty((n + 1, dims), np.int64)
    for d in range(dims):
        least[n, d] = FULL
        for v in range(n - 1, -1, -1):
            least[v, d] = min(least[v + 1, d], size[v, d])
    return least


@making_entry(i(M, A, F, F, f, i, i, M, A, A))
def price(size, room, value, share, need, most_looks, all_looks, out, lengths, cut):
    """Patterns worth more than `need`: for each VM the best that begins with it, found by depth-first search.

    VMs come in falling order of value for the share of a host they take, `share` (n,) with sums of at most 1 in a pattern: what
    is left of the share times the next VM's ratio bounds what can be added. At most `most_looks` looks at VMs for each first
    one and about `all_looks` together; `cut` (1,) counts those for which that did not do. `out` (m, DEEPEST) and `lengths` (m,) are
    filled in. Returns how many were found.
    """
    n, dims = size.shape
    cut[0] = 0
    least = _least_after(size)
    chosen = np.empty(DEEPEST, np.int64)
    left = np.empty((DEEPEST + 1, dims), np.int64)
    worth = np.zeros(DEEPEST + 1)
    used = np.zeros(DEEPEST + 1)
    found = 0
    for d in range(dims):
        left[0, d] = room[d]
    for first in range(n):
        if value[first] <= need * share[first] or found == len(lengths):
            break
        if not _fits(size, first, left[0]):
            continue
        if all_looks <= 0:
            cut[0] += 1
            break
        best, depth, at, looks = need, 0, first, 0
        lengths[found] = 0
        while looks < most_looks:
            step = -1
            if depth == 0:
                step = first if at == first else -1
            elif depth < DEEPEST:
                while at < n:
                    looks += 1
                    if worth[depth] + (1.0 - used[depth]) * value[at] / share[at] <= best:
                        break
                    if _fits(size, at, left[depth]):
                        step = at
                        break
                    if looks % 16 == 0 and not _fits(least, at, left[depth]):
                        break
                    at += 1
            if step >= 0:
                chosen[depth] = step
                for d in range(dims):
                    left[depth + 1, d] = left[depth, d] - size[step, d]
                worth[depth + 1] = worth[depth] + value[step]
                used[depth + 1] = used[depth] + share[step]
                depth += 1
                if worth[depth] > best:
                    best = worth[depth]
                    lengths[found] = depth
                    for k in range(depth):
                        out[found, k] = chosen[k]
                at = step + 1
                if not _fits(least, at, left[depth]):
                    at = n
            else:
                if depth <= 1:
                    break
                depth -= 1
                at = chosen[depth] + 1
        all_looks -= looks
        if looks >= most_looks:
            cut[0] += 1
        if lengths[found] > 0:
            found += 1
    return found


@making_entry(yes(M, A, A, i, M, A, A, M))
def tight(size, room, least, looks, out, lengths, state, left):
    """Patterns that use at least `least` (D,) of the room, each once, for about so many `looks` at VMs. VMs with a negative size
    come first. True when there are no more, or more than `out` holds.

    `state` (3 + DEEPEST,), zeros to begin with, and `left` (DEEPEST + 1, D) are where it goes on the next time; state[0]
    counts the patterns, -1: too many.
    """
    n, dims = size.shape
    smallest = _least_after(size)
    depth, at, chosen = state[1], state[2], state[3:]
    for d in range(dims):
        left[0, d] = room[d]
    while looks > 0:
        step = -1
        while at < n and depth < DEEPEST:
            looks -= 1
            if _fits(size, at, left[depth]):
                step = at
                break
            at += 1
        if step < 0:
            if depth == 0:
                return True
            depth -= 1
            at = chosen[depth] + 1
            continue
        chosen[depth] = step
        enough = True
        for d in range(dims):
            left[depth + 1, d] = left[depth, d] - size[step, d]
            if left[depth + 1, d] > room[d] - least[d]:
                enough = False
        depth += 1
        at = step + 1
        if enough:
            if state[0] == len(lengths):
                state[0] = -1
                return True
            lengths[state[0]] = depth
            for k in range(depth):
                out[state[0], k] = chosen[k]
            state[0] += 1
        if not _fits(smallest, at, left[depth]):
            at = n
    state[1], state[2] = depth, at
    return False
