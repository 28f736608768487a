"""Annealing's inner loops, compiled by numba: price a shift or an exchange in a few dozen nanoseconds, then mostly drop it.

P is the packed problem (lean.py), Q the packed state: a header of offsets, then HOST (V), CROWD (crowds, H), COUNT members per set
and scope item (item -1 first), SPREAD (sets, 2) items that hold a member, without and with item -1, LONELY (rows) or weight, USE counters of other blocks, OPENED,
MOVED_VMS per group, MOST (N, V + 2) how many groups have so many moved and last the most, GONE (V) VMs away from home in
any order and PLACE (V) of each among them; then three numbers: N_GONE of them, BAD, by how much hard rows are broken, COST. U (H, D) and X (H, E) are use after and in flight.
"""

from __future__ import annotations

from functools import partial
from math import exp
from typing import TYPE_CHECKING

import numpy as np
from numba import boolean, float64, int64, njit, uint64, void

from pro.placement.engines.flat import AT_LEAST, DURING, MOVED, NEAR, TOGETHER
from pro.placement.engines.lean import (
    ALLOWED,
    ANYWHERE,
    AWAY,
    B_DIMS,
    B_KNOT,
    B_KNOTS,
    B_KOFF,
    B_OFF,
    B_SCOPE,
    B_SLOPE,
    B_START,
    B_UPPER,
    B_WHEN,
    C_CROWD,
    C_PTR,
    C_UPPER,
    CLS,
    D_PLAIN,
    HOME,
    L_ROW,
    L_TABLE,
    MOVABLE,
    N_GROUP,
    N_LINEAR,
    N_MOST,
    N_MOVABLE,
    N_OFF,
    N_OPENED,
    N_PRICE,
    O_COST,
    O_OFF,
    O_SCOPE,
    R_BOUND,
    R_KIND,
    R_OTHER,
    R_PRICE,
    R_SET,
    R_WEIGHT,
    RARE,
    S_OFF,
    S_SCOPE,
    SCOPE,
    SLACK,
    SM_PTR,
    SM_SET,
    SR_PTR,
    SR_ROLE,
    SR_ROW,
    T_KNOTS,
    T_OFF,
    T_TABLE,
    WEIGHED,
    X_BLOCK,
    X_OFF,
    X_PTR,
    X_WEIGHT,
    H,
    V,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.placement.engines.lean import Lean

    Ints = NDArray[np.int64]

A, M, U64, F64, i, f, yes, none = int64[::1], int64[:, ::1], uint64[::1], float64[::1], int64, float64, boolean, void
entry = partial(njit, cache=True, error_model="numpy", nogil=True)
kernel = partial(njit, cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)

HOST, CROWD, COUNT, SPREAD, LONELY, USE, OPENED, MOVED_VMS, MOST, GONE, PLACE, N_GONE, BAD, COST = range(14)


def state_of(lean: Lean) -> Ints:
    """An empty state; `settle` fills it."""
    P = lean.packed
    v, h = int(P[V]), int(P[H])
    sets = int(P[S_OFF] - P[S_SCOPE])
    tallies = int(P[N_MOST]) * (v + 2)
    sizes = (v, lean.crowds * h, lean.counts, 2 * sets, lean.rows, lean.use, lean.opened, lean.most, tallies, v, v)
    Q = np.zeros(COST + 1 + sum(sizes), np.int64)
    Q[:N_GONE] = COST + 1 + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Q


@kernel(i(A, i, i))
def _item(P, scope, h):
    return P[P[SCOPE] + scope * P[H] + h]


@kernel(i(A, i, i, i))
def _table(P, d, h, u):
    """Cost of use `u` in a dimension with many knots."""
    n = P[P[T_KNOTS] + d]
    at = P[P[T_OFF] + d] + 3 * n * h + P[T_TABLE]
    lo, hi = 0, n
    while lo < hi:
        mid = (lo + hi) >> 1
        if P[at + 3 * mid] < u:
            lo = mid + 1
        else:
            hi = mid
    if lo == 0:
        return 0
    return P[at + 3 * lo - 2] * u - P[at + 3 * lo - 1]


@kernel(i(A, M, M, M, M, i, i, i))
def _use_cost(P, U, W, K, L, v, h, sign):
    """Change of cost on host h when v's weights are added (sign 1) or taken (-1)."""
    total = 0
    plain = P[D_PLAIN]
    for d in range(plain):
        over = U[h, d] - K[h, d]
        total += L[h, d] * (max(0, over + sign * W[v, d]) - max(0, over))
    for d in range(plain, W.shape[1]):
        if W[v, d] != 0:
            total += _table(P, d - plain, h, U[h, d] + sign * W[v, d]) - _table(P, d - plain, h, U[h, d])
    return total


@kernel(i(A, i, i))
def _where_cost(P, v, h):
    """Cost of v standing on h, whoever else does."""
    total = 0
    if h != P[P[HOME] + v]:
        total += P[P[AWAY] + v]
    for n in range(P[N_LINEAR]):
        total += P[P[L_TABLE] + P[P[L_ROW] + n * P[V] + v] * P[H] + h]
    return total


@kernel(yes(A, i, i))
def _may(P, v, h):
    return P[ANYWHERE] == 1 or P[P[ALLOWED] + P[P[CLS] + v] * P[H] + h] == 1


@kernel(yes(A, A, i, i, i))
def _crowded(P, Q, v, h, but):
    """Whether some crowd of v is full on h, not counting VM `but` (-1: counting everybody)."""
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        c = P[P[C_CROWD] + m]
        there = Q[Q[CROWD] + c * P[H] + h]
        if there >= P[P[C_UPPER] + c]:
            if but < 0:
                return True
            for k in range(P[P[C_PTR] + but], P[P[C_PTR] + but + 1]):
                if P[P[C_CROWD] + k] == c:
                    there -= 1
            if there >= P[P[C_UPPER] + c]:
                return True
    return False


@kernel(i(A, i, i, i))
def _broken(P, r, spread, lonely):
    """By how much group row r is broken, given the scope items its set is in, or those where it is lonely, or their weight."""
    if P[P[R_KIND] + r] == NEAR or P[P[R_KIND] + r] == WEIGHED:
        return max(0, lonely - P[P[R_BOUND] + r])
    if P[P[R_KIND] + r] == AT_LEAST:
        return max(0, P[P[R_BOUND] + r] - spread)
    return max(0, spread - P[P[R_BOUND] + r])


@kernel(none(A, A, i, i, i))
def _cross(P, Q, s, item, by):
    """A member of set s enters (by 1) or leaves (-1) scope item `item` (0: none); rows are told when it is the first or last."""
    at = Q[COUNT] + P[P[S_OFF] + s] + item
    Q[at] += by
    if Q[at] != (1 if by > 0 else 0):
        return
    inside = Q[SPREAD] + 2 * s
    somewhere = by if item > 0 else 0
    Q[inside] += somewhere
    Q[inside + 1] += by
    for m in range(P[P[SR_PTR] + s], P[P[SR_PTR] + s + 1]):
        r = P[P[SR_ROW] + m]
        if P[P[R_KIND] + r] == AT_LEAST:
            change = _broken(P, r, Q[inside], 0) - _broken(P, r, Q[inside] - somewhere, 0)
        elif P[P[R_KIND] + r] == TOGETHER:
            change = _broken(P, r, Q[inside + 1], 0) - _broken(P, r, Q[inside + 1] - by, 0)
        else:
            lonely = 0
            if P[P[R_KIND] + r] == WEIGHED:
                lonely = by * P[P[R_WEIGHT] + P[P[R_OTHER] + r] + item]
            elif P[P[SR_ROLE] + m] == 1:
                if Q[Q[COUNT] + P[P[S_OFF] + P[P[R_OTHER] + r]] + item] == 0:
                    lonely = somewhere
            elif Q[Q[COUNT] + P[P[S_OFF] + P[P[R_SET] + r]] + item] > 0:
                lonely = -somewhere
            if lonely == 0:
                continue
            Q[Q[LONELY] + r] += lonely
            change = _broken(P, r, 0, Q[Q[LONELY] + r]) - _broken(P, r, 0, Q[Q[LONELY] + r] - lonely)
        if change != 0:
            if P[P[R_PRICE] + r] == 0:
                Q[BAD] += change
            else:
                Q[COST] += P[P[R_PRICE] + r] * change


@kernel(none(A, A, i, i, i))
def _block_change(P, Q, m, item, sign):
    b = P[P[X_BLOCK] + m]
    dims, knots = P[P[B_DIMS] + b], P[P[B_KNOTS] + b]
    first = P[P[B_OFF] + b] + item * dims
    for d in range(dims):
        u = Q[Q[USE] + first + d]
        n = u + sign * P[P[X_WEIGHT] + P[P[X_OFF] + m] + d]
        Q[Q[USE] + first + d] = n
        upper = P[P[B_UPPER] + first + d]
        Q[BAD] += max(0, n - upper) - max(0, u - upper)
        k = P[P[B_KOFF] + b] + (item * dims + d) * knots
        for j in range(k, k + knots):
            knot = P[P[B_KNOT] + j]
            Q[COST] += P[P[B_SLOPE] + j] * (max(0, n - knot) - max(0, u - knot))


@kernel(none(A, A, i, i))
def _most_change(P, Q, v, by):
    last = P[V] + 1
    for n in range(P[N_MOST]):
        g = P[P[N_GROUP] + n * P[V] + v]
        if g < 0:
            continue
        at = Q[MOVED_VMS] + P[P[N_OFF] + n] + g
        tally = Q[MOST] + n * (P[V] + 2)
        k, top = Q[at], Q[tally + last]
        Q[at] = k + by
        Q[tally + k] -= 1
        Q[tally + k + by] += 1
        new = top
        if k + by > top:
            new = k + by
        elif by < 0 and k == top and Q[tally + top] == 0:
            new = top - 1
        Q[tally + last] = new
        Q[COST] += P[P[N_PRICE] + n] * (new - top)


@kernel(none(A, A, i, i, i))
def _rare(P, Q, v, a, h):
    """Everything but dimensions, crowds and linear costs, when v goes from a to h; -1 is nowhere. No checks."""
    home = P[P[HOME] + v]
    for m in range(P[P[SM_PTR] + v], P[P[SM_PTR] + v + 1]):
        s = P[P[SM_SET] + m]
        old = _item(P, P[P[S_SCOPE] + s], a) + 1 if a >= 0 else -1
        new = _item(P, P[P[S_SCOPE] + s], h) + 1 if h >= 0 else -1
        if old != new:
            if new >= 0:
                _cross(P, Q, s, new, 1)
            if old >= 0:
                _cross(P, Q, s, old, -1)
    for m in range(P[P[X_PTR] + v], P[P[X_PTR] + v + 1]):
        b = P[P[X_BLOCK] + m]
        when, scope = P[P[B_WHEN] + b], P[P[B_SCOPE] + b]
        old = _item(P, scope, a) if a >= 0 else -1
        new = _item(P, scope, h) if h >= 0 else -1
        if when == MOVED:
            old = -1 if a == home else old
            new = -1 if h == home else new
        elif when == DURING:
            start = _item(P, scope, home)
            old = -1 if old == start else old
            new = -1 if new == start else new
        if old != new:
            if old >= 0:
                _block_change(P, Q, m, old, -1)
            if new >= 0:
                _block_change(P, Q, m, new, 1)
    for n in range(P[N_OPENED]):
        for host, by in ((h, 1), (a, -1)):
            item = _item(P, P[P[O_SCOPE] + n], host) if host >= 0 else -1
            if item >= 0:
                at = P[P[O_OFF] + n] + item
                before = int(Q[Q[OPENED] + at] > 0)
                Q[Q[OPENED] + at] += by
                Q[COST] += P[P[O_COST] + at] * (int(Q[Q[OPENED] + at] > 0) - before)
    by = int(h >= 0 and h != home) - int(a >= 0 and a != home)
    if by != 0:
        _most_change(P, Q, v, by)


@kernel(yes(A, A, i, i, i))
def _stranded(P, Q, v, a, h):
    """Whether v, going from a to h, would plainly break a hard Near row: a look without a change, for most tries end here."""
    for m in range(P[P[SM_PTR] + v], P[P[SM_PTR] + v + 1]):
        s = P[P[SM_SET] + m]
        old, new = _item(P, P[P[S_SCOPE] + s], a) + 1, _item(P, P[P[S_SCOPE] + s], h) + 1
        if old == new:
            continue
        comes = new > 0 and Q[Q[COUNT] + P[P[S_OFF] + s] + new] == 0
        goes = old > 0 and Q[Q[COUNT] + P[P[S_OFF] + s] + old] == 1
        if not comes and not goes:
            continue
        for k in range(P[P[SR_PTR] + s], P[P[SR_PTR] + s + 1]):
            r = P[P[SR_ROW] + k]
            if P[P[R_KIND] + r] != NEAR or P[P[R_PRICE] + r] > 0 or Q[Q[LONELY] + r] < P[P[R_BOUND] + r]:
                continue
            if P[P[SR_ROLE] + k] == 1:
                if comes and Q[Q[COUNT] + P[P[S_OFF] + P[P[R_OTHER] + r]] + new] == 0:
                    return True
            elif goes and Q[Q[COUNT] + P[P[S_OFF] + P[P[R_SET] + r]] + old] > 0:
                return True
    return False


@kernel(none(A, A, M, M, M, M, i, i, i))
def _carry(P, Q, U, W, X, WX, v, a, h):
    """Dimensions, crowds and HOST when v goes from a to h. No checks, no costs."""
    home = P[P[HOME] + v]
    for d in range(W.shape[1]):
        U[h, d] += W[v, d]
    if h != home:
        for d in range(WX.shape[1]):
            X[h, d] += WX[v, d]
    if a >= 0:
        for d in range(W.shape[1]):
            U[a, d] -= W[v, d]
        if a != home:
            for d in range(WX.shape[1]):
                X[a, d] -= WX[v, d]
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        at = Q[CROWD] + P[P[C_CROWD] + m] * P[H]
        Q[at + h] += 1
        if a >= 0:
            Q[at + a] -= 1
    Q[Q[HOST] + v] = h
    was, now = a >= 0 and a != home, h != home
    if now and not was:
        Q[Q[GONE] + Q[N_GONE]] = v
        Q[Q[PLACE] + v] = Q[N_GONE]
        Q[N_GONE] += 1
    elif was and not now:
        Q[N_GONE] -= 1
        last = Q[Q[GONE] + Q[N_GONE]]
        Q[Q[GONE] + Q[Q[PLACE] + v]] = last
        Q[Q[PLACE] + last] = Q[Q[PLACE] + v]


@entry(none(A, A, M, M, M, M, M, M, A))
def settle(P, Q, U, W, X, WX, K, L, host_of):
    """Fill an empty state with `host_of`, and its cost."""
    for n in range(P[B_UPPER] - P[B_START]):
        Q[Q[USE] + n] = P[P[B_START] + n]
    for b in range(P[B_DIMS] - P[B_SCOPE]):
        knots = P[P[B_KNOTS] + b]
        for n in range(P[P[B_OFF] + b], P[P[B_OFF] + b + 1]):
            k = P[P[B_KOFF] + b] + (n - P[P[B_OFF] + b]) * knots
            Q[BAD] += max(0, Q[Q[USE] + n] - P[P[B_UPPER] + n])
            for j in range(k, k + knots):
                Q[COST] += P[P[B_SLOPE] + j] * max(0, Q[Q[USE] + n] - P[P[B_KNOT] + j])
    for r in range(P[R_SET] - P[R_KIND]):
        if P[P[R_PRICE] + r] == 0:
            Q[BAD] += _broken(P, r, 0, 0)
        else:
            Q[COST] += P[P[R_PRICE] + r] * _broken(P, r, 0, 0)
    for n in range(P[N_MOST]):
        Q[Q[MOST] + n * (P[V] + 2)] = P[P[N_OFF] + n + 1] - P[P[N_OFF] + n]
    for h in range(P[H]):
        for d in range(P[D_PLAIN]):
            Q[COST] += L[h, d] * max(0, U[h, d] - K[h, d])
        for d in range(P[D_PLAIN], W.shape[1]):
            Q[COST] += _table(P, d - P[D_PLAIN], h, U[h, d])
    for v in range(P[V]):
        for d in range(WX.shape[1]):
            X[P[P[HOME] + v], d] += WX[v, d]
    for v in range(P[V]):
        h = host_of[v]
        Q[COST] += _use_cost(P, U, W, K, L, v, h, 1) + _where_cost(P, v, h)
        _carry(P, Q, U, W, X, WX, v, -1, h)
        _rare(P, Q, v, -1, h)


@kernel(uint64(U64))
def _next(seed):
    x = seed[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    seed[0] = x
    return x


@kernel(i(U64, i))
def _below(seed, n):
    return np.int64(((_next(seed) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@kernel(f(U64))
def _chance(seed):
    return float(_next(seed) >> np.uint64(11)) * 1.1102230246251565e-16


@kernel(yes(U64, f, i))
def _accept(seed, heat, delta):
    """Metropolis: always what does not cost more, else with chance exp(-delta / heat)."""
    return delta <= 0 or (delta < 20 * heat and _chance(seed) < exp(-delta / heat))


@kernel(yes(M, M, M, M, M, M, i, i, i))
def _room(U, C, W, X, CX, WX, v, h, home):
    full = 0
    for d in range(W.shape[1]):
        full |= int(U[h, d] + W[v, d] > C[h, d])
    if full:
        return False
    if h != home:
        for d in range(WX.shape[1]):
            if X[h, d] + WX[v, d] > CX[h, d]:
                return False
    return True


@kernel(yes(M, M, M, M, M, M, i, i, i, i, i))
def _room_for_two(U, C, W, X, CX, WX, v, w, b, home_v, home_w):
    """Whether v fits on b once w has left it."""
    full = 0
    for d in range(W.shape[1]):
        full |= int(U[b, d] + W[v, d] - W[w, d] > C[b, d])
    if full:
        return False
    for d in range(WX.shape[1]):
        x = X[b, d]
        if b != home_v:
            x += WX[v, d]
        if b != home_w:
            x -= WX[w, d]
        if x > CX[b, d]:
            return False
    return True


@kernel(i(A, M, M, M, M, i, i, i))
def _exchange_cost(P, U, W, K, L, v, w, b):
    """Change of cost on host b when v comes and w goes."""
    total = 0
    plain = P[D_PLAIN]
    for d in range(plain):
        over = U[b, d] - K[b, d]
        total += L[b, d] * (max(0, over + W[v, d] - W[w, d]) - max(0, over))
    for d in range(plain, W.shape[1]):
        if W[v, d] != W[w, d]:
            total += _table(P, d - plain, b, U[b, d] + W[v, d] - W[w, d]) - _table(P, d - plain, b, U[b, d])
    return total


@kernel(none(A, A, A, A, i))
def _note(P, Q, best, log, v):
    """Remember that v has moved since `best` was written; log[0] counts, and passes V when too many did."""
    n = log[0]
    if n < P[V]:
        log[n + 1] = v
    log[0] = min(n + 1, P[V] + 1)


@kernel(none(A, A, A, A))
def _keep(P, Q, best, log):
    """best[:] = HOST, by the log of what moved."""
    if log[0] > P[V]:
        for v in range(P[V]):
            best[v] = Q[Q[HOST] + v]
    else:
        for n in range(log[0]):
            best[log[n + 1]] = Q[Q[HOST] + log[n + 1]]
    log[0] = 0


@entry(i(A, A, M, M, M, M, M, M, M, M, A, A, U64, f, i, i))
def anneal(P, Q, U, W, C, X, WX, CX, K, L, best, log, seed, heat, best_cost, tries):
    """`tries` proposals at one heat. `best` follows the best placement seen; returns its cost.

    Of 16 proposals 6 shift a VM anywhere, 2 send one home, 3 exchange two, 3 put one in the place of another that goes home
    and 2 of another that goes anywhere. Going home is what frees room that is held at both ends of a move.
    """
    free, hosts, rare = P[N_MOVABLE], P[H], P[RARE] == 1
    slack = P[SLACK]
    for _ in range(tries):
        what = _below(seed, 16)
        homing = 6 <= what < 8 or 11 <= what < 14
        if homing and Q[N_GONE] == 0:
            continue
        x = Q[Q[GONE] + _below(seed, Q[N_GONE])] if homing else P[P[MOVABLE] + _below(seed, free)]
        v, w, c = x, -1, -1
        if what >= 8:
            v, w = P[P[MOVABLE] + _below(seed, free)], x
        a = Q[Q[HOST] + v]
        home_v = P[P[HOME] + v]
        if what < 8:
            h = home_v if homing else _below(seed, hosts)
            if h == a or not _room(U, C, W, X, CX, WX, v, h, home_v) or not _may(P, v, h) or _crowded(P, Q, v, h, -1):
                continue
            delta = _use_cost(P, U, W, K, L, v, a, -1) + _use_cost(P, U, W, K, L, v, h, 1)
        else:
            h = Q[Q[HOST] + w]
            home_w = P[P[HOME] + w]
            c = a
            if what >= 11:
                c = home_w if homing else _below(seed, hosts)
            if h == a or c == h or not _room_for_two(U, C, W, X, CX, WX, v, w, h, home_v, home_w):
                continue
            if not _may(P, v, h) or not _may(P, w, c) or _crowded(P, Q, v, h, w):
                continue
            if c == a:
                if not _room_for_two(U, C, W, X, CX, WX, w, v, a, home_w, home_v) or _crowded(P, Q, w, a, v):
                    continue
                delta = _exchange_cost(P, U, W, K, L, w, v, a)
            else:
                if not _room(U, C, W, X, CX, WX, w, c, home_w) or _crowded(P, Q, w, c, -1):
                    continue
                delta = _use_cost(P, U, W, K, L, v, a, -1) + _use_cost(P, U, W, K, L, w, c, 1)
            delta += _exchange_cost(P, U, W, K, L, v, w, h) + _where_cost(P, w, c) - _where_cost(P, w, h)
        delta += _where_cost(P, v, h) - _where_cost(P, v, a)
        if not _accept(seed, heat, delta - 2 * slack):
            continue
        if rare:
            if _stranded(P, Q, v, a, h) or (w >= 0 and _stranded(P, Q, w, h, c)):
                continue
            before = Q[COST]
            _rare(P, Q, v, a, h)
            if w >= 0:
                _rare(P, Q, w, h, c)
            delta += Q[COST] - before
            Q[COST] = before
            if Q[BAD] > 0 or (slack > 0 and not _accept(seed, heat, delta)):
                if w >= 0:
                    _rare(P, Q, w, c, h)
                _rare(P, Q, v, h, a)
                Q[COST] = before
                continue
        _carry(P, Q, U, W, X, WX, v, a, h)
        _note(P, Q, best, log, v)
        if w >= 0:
            _carry(P, Q, U, W, X, WX, w, h, c)
            _note(P, Q, best, log, w)
        Q[COST] += delta
        if Q[COST] < best_cost:
            best_cost = Q[COST]
            _keep(P, Q, best, log)
    return best_cost


@entry(i(A, A, M, M, M, M, M, M, M, M, U64, A))
def probe(P, Q, U, W, C, X, WX, CX, K, L, seed, out):
    """Fill `out` with changes of cost, as they come, of shifts that have room; returns how many were found."""
    found = 0
    for _ in range(20 * len(out)):
        v = P[P[MOVABLE] + _below(seed, P[N_MOVABLE])]
        h = _below(seed, P[H])
        a = Q[Q[HOST] + v]
        if h == a or not _room(U, C, W, X, CX, WX, v, h, P[P[HOME] + v]) or not _may(P, v, h):
            continue
        delta = _use_cost(P, U, W, K, L, v, a, -1) + _use_cost(P, U, W, K, L, v, h, 1)
        out[found] = delta + _where_cost(P, v, h) - _where_cost(P, v, a)
        found += 1
        if found == len(out):
            break
    return found
