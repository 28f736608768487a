"""Annealing where few VMs move and a cost of use is counted at thousands of moments, compiled by numba.

Uses, weights and costs of the convex terms are whole numbers in floats (exact below 2**53), in rows that SIMD runs over. Moments
come in blocks of `WIDE`; for each the greatest use of every item and the greatest weight of every VM are kept, so that a block
in which nothing reaches the lowest knot is passed over unread. Everything else is priced by kernels.py.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import boolean, float64, void

from pro.core.compiled import entry, kernel
from pro.placement.engines.flat import HOME
from pro.placement.engines.kernels import (
    COST,
    HOST,
    A,
    U,
    gain_of_leaving,
    i,
    put,
    random_below,
    take,
    try_relocate,
)

WIDE = 32
"""Moments in a block."""
HOMEWARD, EXCHANGE, ONWARD, ACROSS, SWAP = 8, 40, 55, 65, 80
"""Of a hundred proposals 8 send a moved VM home, 32 let another VM of its home go in its place, 15 send it elsewhere, 10 let two
moved VMs change places, 15 any two, and 20 move any."""
PLACES = 1 << 30
PATIENCE = 6
"""So often is an item asked for before the tangents of its cost are worked out anew: that takes as long as some prices do."""
NOWHERE = 1e300
"""Below every use; no infinity, which fast arithmetic may assume away."""

f, none, yes = float64, void, boolean
R, B, C = float64[::1], float64[:, ::1], float64[:, :, ::1]
fast_entry, fast = partial(entry, fastmath=True), partial(kernel, fastmath=True)


@fast(f(B, B, B, B, C, C, R, i, i, f, i, f))
def _heat(use, top, weight, most, knots, slopes, over, s, v, sv, u, su):
    """What item s would cost with `sv` times VM v and `su` times VM u on top."""
    total = 0.0
    for b in range(top.shape[1]):
        high = top[s, b]
        if sv > 0:
            high += most[v, b]
        if su > 0:
            high += most[u, b]
        if high <= knots[s, b, 0]:
            continue
        first = b * WIDE
        for d in range(WIDE):
            over[d] = use[s, first + d]
        if sv != 0:
            for d in range(WIDE):
                over[d] += sv * weight[v, first + d]
        if su != 0:
            for d in range(WIDE):
                over[d] += su * weight[u, first + d]
        for j in range(knots.shape[2]):
            knot = knots[s, b, j]
            if high <= knot:
                break
            part = 0.0
            for d in range(WIDE):
                part += max(over[d] - knot, 0.0)
            total += slopes[s, b, j] * part
    return total


@fast(none(B, B, B, i, i, f))
def _add(use, top, weight, s, v, sign):
    """Item s with `sign` times VM v more."""
    for b in range(top.shape[1]):
        high = -NOWHERE
        for d in range(b * WIDE, (b + 1) * WIDE):
            use[s, d] += sign * weight[v, d]
            high = max(high, use[s, d])
        top[s, b] = high


@kernel(none(A, A, i, i))
def _note(moved, place, v, there):
    """Put v on the list of moved VMs, or off it; moved[-1] counts them."""
    last = len(moved) - 1
    if there and place[v] < 0:
        place[v] = moved[last]
        moved[moved[last]] = v
        moved[last] += 1
    elif not there and place[v] >= 0:
        moved[last] -= 1
        w = moved[moved[last]]
        moved[place[v]] = w
        place[w] = place[v]
        place[v] = -1


@fast_entry(none(A, A, B, B, B, B, C, C, A, R, B, A, A, A, R, A))
def settle(F, S, use, top, weight, most, knots, slopes, scope, cost, lean, stale, moved, place, over, free):
    """Uses, costs and the list of those of the `free` VMs that moved for the placement in S, from the bases that `use` holds."""
    moved[len(moved) - 1] = 0
    for v in range(len(place)):
        place[v] = -1
        h = S[S[HOST] + v]
        if scope[h] >= 0:
            for d in range(use.shape[1]):
                use[scope[h], d] += weight[v, d]
    for v in free:
        _note(moved, place, v, int(S[S[HOST] + v] != F[F[HOME] + v]))
    for s in range(use.shape[0]):
        stale[s] = PATIENCE
        for b in range(top.shape[1]):
            top[s, b] = -NOWHERE
            for d in range(b * WIDE, (b + 1) * WIDE):
                top[s, b] = max(top[s, b], use[s, d])
        cost[s] = _heat(use, top, weight, most, knots, slopes, over, s, 0, 0.0, 0, 0.0)


@fast(none(B, B, B, C, C, R, A, B, i))
def _lean(use, top, weight, knots, slopes, over, free, lean, s):
    """How fast the cost of item s rises with each of the `free` VMs, into `lean` (S, V): what its tangent says."""
    lean[s] = 0.0
    for b in range(top.shape[1]):
        if top[s, b] <= knots[s, b, 0]:
            continue
        first = b * WIDE
        for d in range(WIDE):
            over[d] = 0.0
        for j in range(knots.shape[2]):
            knot, slope = knots[s, b, j], slopes[s, b, j]
            if top[s, b] <= knot:
                break
            for d in range(WIDE):
                over[d] += slope if use[s, first + d] > knot else 0.0
        for v in free:
            part = 0.0
            for d in range(WIDE):
                part += over[d] * weight[v, first + d]
            lean[s, v] += part


@fast(f(B, B, B, C, C, R, A, R, B, A, A, i, i, R, R, R))
def _at_least(use, top, weight, knots, slopes, over, free, cost, lean, stale, item, v, u, sv, su, low):
    """What the items' costs change by at least, each into `low`: by tangents, which are renewed where they are asked for often."""
    total = 0.0
    for k in range(4):
        s = item[k]
        if s < 0:
            continue
        low[k] = 0.0 if sv[k] >= 0 and su[k] >= 0 else -cost[s]
        if stale[s] > 0:
            stale[s] -= 1
            if stale[s] == 0:
                _lean(use, top, weight, knots, slopes, over, free, lean, s)
        if stale[s] == 0:
            low[k] = max(low[k], sv[k] * lean[s, v] + su[k] * lean[s, u])
        total += low[k]
    return total


@kernel(none(A, A, i, i))
def _shift(F, S, v, h):
    take(F, S, v)
    put(F, S, v, h)


@fast(yes(A, A, A, A, A, A, A, U, A))
def _propose(F, S, moved, free, ptr, hosts, mates, seed, two):
    """A VM and where it goes into `two`, then another and where that goes, -1 for none. False: it came to nothing."""
    kind, count = random_below(seed, 100), moved[len(moved) - 1]
    two[2] = -1
    if count == 0:
        kind = 99
    if kind < ACROSS:
        v = moved[random_below(seed, count)]
        if kind >= ONWARD:
            two[2] = moved[random_below(seed, count)]
        elif kind < EXCHANGE:
            two[1] = F[F[HOME] + v]
            if kind >= HOMEWARD:
                at = len(free) + two[1]
                two[2] = mates[mates[at] + random_below(seed, mates[at + 1] - mates[at])]
                if S[S[HOST] + two[2]] != two[1]:
                    return False
    else:
        v = free[random_below(seed, len(free))]
        if kind < SWAP:
            two[2] = free[random_below(seed, len(free))]
    two[0] = v
    if two[2] >= 0:
        two[1], two[3] = S[S[HOST] + two[2]], S[S[HOST] + v]
    elif kind >= EXCHANGE:
        two[1] = hosts[ptr[v] + random_below(seed, ptr[v + 1] - ptr[v])]
    return two[1] != S[S[HOST] + v]


@fast(yes(A, A, A, A, A))
def _price_rest(F, S, two, leaving, out):
    """What the proposal changes beside costs of use, into `out` (T,). Where there are two VMs the first has moved afterwards.
    False: a row forbids it, and nothing has moved."""
    v, h, u, g = two[0], two[1], two[2], two[3]
    gain_of_leaving(F, S, v, leaving)
    if not try_relocate(F, S, v, h, leaving, out):
        return False
    if u < 0:
        return True
    a, broken, change = S[S[HOST] + v], out[0], out[1]
    _shift(F, S, v, h)
    gain_of_leaving(F, S, u, leaving)
    if not try_relocate(F, S, u, g, leaving, out):
        _shift(F, S, v, a)
        return False
    out[0] += broken
    out[1] += change
    return True


@fast(f(A, A, R, A))
def _steps_away(F, S, away, two):
    """What leaving home, or coming back, changes by `away` (V,)."""
    total = 0.0
    for k in range(0, 4, 2):
        if two[k] >= 0:
            v = two[k]
            home = F[F[HOME] + v]
            total += away[v] * (int(two[k + 1] != home) - int(S[S[HOST] + v] != home))
    return total


@kernel(none(A, A, i, i, A, R, R))
def _touched(scope, two, a, c, item, sv, su):
    """The items whose use changes (4,), -1 for none, and how many times each of the two VMs they get; v left a, u leaves c."""
    for k in range(4):
        host = (a, two[1], c, two[3])[k] if two[2] >= 0 or k < 2 else -1
        s = scope[host] if host >= 0 else -1
        item[k] = s
        for m in range(k):
            if item[m] == s:
                item[k] = -1
        if item[k] >= 0:
            sv[k] = float(int(scope[two[1]] == s) - int(scope[a] == s))
            su[k] = float(int(scope[two[3]] == s) - int(scope[c] == s)) if two[2] >= 0 else 0.0
            if sv[k] == 0 and su[k] == 0:
                item[k] = -1


@fast_entry(none(A, A, B, B, B, B, C, C, A, R, B, A, A, A, R, A, A, R, R, R, R, A, A, R, A, A, A, A, U, A, R, f, f, i))
def anneal(
    F, S, use, top, weight, most, knots, slopes, scope, cost, lean, stale, moved, place, over, two, item, sv, su, fresh, low, leaving, out,
    away, free, ptr, hosts, mates, seed, best, least, heat, repair, tries,
):  # fmt: skip
    """`tries` proposals at `heat`, where a unit of the first tier is worth `repair`. `free` VMs may move, each to
    `hosts[ptr[v] : ptr[v + 1]]`; `mates`: them by home, and where each home's begin. The best goes into `best` (V,), its costs into
    `least` (2,).
    """
    now = cost.sum()
    for _ in range(tries):
        if not _propose(F, S, moved, free, ptr, hosts, mates, seed, two):
            continue
        v, h, u, g = two[0], two[1], two[2], two[3]
        a, c = S[S[HOST] + v], S[S[HOST] + max(u, 0)]
        bar = -heat * np.log((1 + random_below(seed, PLACES)) / PLACES)
        _touched(scope, two, a, c, item, sv, su)
        change = _at_least(
            use, top, weight, knots, slopes, over, free, cost, lean, stale, item, v, max(u, 0), sv, su, low
        )
        if len(away) > 0 and S[S[COST]] == 0 and change + _steps_away(F, S, away, two) > bar:
            continue
        if not _price_rest(F, S, two, leaving, out):
            continue
        change += float(out[1]) + repair * out[0]
        # Givers first: what only receives cannot get cheaper.
        for receives in range(2):
            for k in range(4):
                if item[k] >= 0 and (sv[k] >= 0 and su[k] >= 0) == (receives == 1) and change <= bar:
                    fresh[k] = _heat(use, top, weight, most, knots, slopes, over, item[k], v, sv[k], max(u, 0), su[k])
                    change += fresh[k] - cost[item[k]] - low[k]
        if change > bar:
            if u >= 0:
                _shift(F, S, v, a)
            continue
        if u < 0:
            _shift(F, S, v, h)
        else:
            _shift(F, S, u, g)
            _note(moved, place, u, int(g != F[F[HOME] + u]))
        _note(moved, place, v, int(h != F[F[HOME] + v]))
        for k in range(4):
            if item[k] >= 0:
                s = item[k]
                now += fresh[k] - cost[s]
                cost[s] = fresh[k]
                stale[s] = PATIENCE
                if sv[k] != 0:
                    _add(use, top, weight, s, v, sv[k])
                if su[k] != 0:
                    _add(use, top, weight, s, u, su[k])
        broken, goal = float(S[S[COST]]), now + float(S[S[COST] + 1])
        if broken < least[0] or (broken == least[0] and goal < least[1]):
            least[0], least[1] = broken, goal
            for w in range(len(best)):
                best[w] = S[S[HOST] + w]
