"""Annealing's inner loops, compiled by numba: price a shift or an exchange in some dozen nanoseconds, then mostly drop it.

Hard rows may be broken on the way, at a price that the kernel keeps adapting until each is broken only now and then; what is
kept as best breaks none. Without that, tight problems cannot be walked through.

P is the packed problem (lean.py), Q the packed state: a header of offsets, then HOST (V), CROWD (crowds, H), COUNT members per set
and scope item (item -1 first), SPREAD (sets, 2) items that hold a member, without and with item -1, LONELY (rows) or weight, USE counters of other blocks, OPENED,
MOVED_VMS per group, MOST (N, V + 2) how many groups have so many moved and last the most, GONE (V) VMs away from home in
any order and PLACE (V) of each among them; then three numbers: N_GONE of them, BAD, by how much hard rows are broken, COST.

Dense parts are floats that hold integers below 2^53, so sums are exact in any order. S (3, H, D): use less knot, use less
capacity, slope. W (V, D) weights. F (H, E), FW (V, E): use less capacity in flight, and weights. HC (H, 3): cost of a host's
use, the same with the price of what is over capacity, the price of what is over in flight. G (D + E + 3): price of one unit over
capacity, in flight, of one VM too many in a crowd, of BAD, and how many times linear costs count. OV (D + E + 2): on how many hosts each is over, VMs too many in crowds,
and last how many of all these there are. TU (H, T), TW (V, T): use and weights of dimensions with many knots. R (3 D + E + 1, H): S and F
turned, so that many hosts are priced at once, and the price of each host as it is; without columns where nobody does so.
"""

from __future__ import annotations

from functools import partial
from math import exp, log
from typing import TYPE_CHECKING

import numpy as np
from numba import boolean, float64, int64, uint64, void

from pro.core.compiled import entry, kernel, small
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
    C_AT,
    C_PTR,
    C_UPPER,
    CLS,
    HOME,
    L_AT,
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
    from pro.core.arrays import Ints
    from pro.placement.engines.lean import Lean


A, M, U64, F64, i, f, yes, none = int64[::1], int64[:, ::1], uint64[::1], float64[::1], int64, float64, boolean, void
M2, M3 = float64[:, ::1], float64[:, :, ::1]
dense = partial(kernel, fastmath={"reassoc", "nsz", "nnan", "ninf", "contract"})
small_dense = partial(dense, forceinline=True)

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


def movable(lean: Lean) -> Ints:
    """The VMs that may move."""
    P = lean.packed
    return P[P[MOVABLE] : P[MOVABLE] + P[N_MOVABLE]]


@small(i(A, i, i))
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


@small_dense(f(M3, F64, M2, i, i, f))
def _with(S, G, W, h, v, sign):
    """Price of host h's use when v's weights are added (sign 1) or taken (-1)."""
    total = 0.0
    for d in range(W.shape[1]):
        w = sign * W[v, d]
        total += S[2, h, d] * max(0.0, S[0, h, d] + w) + G[d] * max(0.0, S[1, h, d] + w)
    return total


@small_dense(f(M3, F64, M2, i, i, i))
def _with_two(S, G, W, h, v, w):
    """Price of host h's use when v comes and w goes."""
    total = 0.0
    for d in range(W.shape[1]):
        x = W[v, d] - W[w, d]
        total += S[2, h, d] * max(0.0, S[0, h, d] + x) + G[d] * max(0.0, S[1, h, d] + x)
    return total


@small_dense(f(M2, F64, M2, i, i, i, f, i, f))
def _flight(F, G, FW, first, h, v, a, w, b):
    """Price of host h in flight with `a` times v's weights and `b` times w's more; `first` is where its prices begin in G."""
    total = 0.0
    for d in range(FW.shape[1]):
        total += G[first + d] * max(0.0, F[h, d] + a * FW[v, d] + b * FW[w, d])
    return total


@kernel(i(A, M, M, i, i, i))
def _tables(P, TU, TW, h, v, sign):
    """Change of cost on host h, in dimensions with many knots, when v's weights are added (sign 1) or taken (-1)."""
    total = 0
    for d in range(TW.shape[1]):
        if TW[v, d] != 0:
            total += _table(P, d, h, TU[h, d] + sign * TW[v, d]) - _table(P, d, h, TU[h, d])
    return total


@kernel(i(A, M, M, i, i, i))
def _tables_two(P, TU, TW, h, v, w):
    """The same when v comes and w goes."""
    total = 0
    for d in range(TW.shape[1]):
        if TW[v, d] != TW[w, d]:
            total += _table(P, d, h, TU[h, d] + TW[v, d] - TW[w, d]) - _table(P, d, h, TU[h, d])
    return total


@small_dense(none(A, M3, M2, M2, F64, M2, i))
def _reprice(P, S, F, HC, G, R, h):
    """The cached prices of host h."""
    cost, price, flight = 0.0, 0.0, 0.0
    n = S.shape[2]
    for d in range(n):
        c = S[2, h, d] * max(0.0, S[0, h, d])
        cost += c
        price += c + G[d] * max(0.0, S[1, h, d])
    for d in range(F.shape[1]):
        flight += G[n + d] * max(0.0, F[h, d])
    HC[h, 0], HC[h, 1], HC[h, 2] = cost, price, flight
    if R.shape[1] > 0:
        R[len(R) - 1, h] = price + flight


@small(i(A, A, i, i))
def _in_crowd(P, Q, v, at):
    """Whether v belongs to the crowd whose counters begin there."""
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        if P[P[C_AT] + m] == at:
            return 1
    return 0


@small(i(A, A, i, i, i, i, i))
def _crowding(P, Q, v, a, h, w, c):
    """By how many VMs crowds are fuller when v goes from a to h, w having gone from h to c before (w -1: nobody has)."""
    change = 0
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        crowd = P[P[C_AT] + m]
        at, upper = Q[CROWD] + crowd, P[P[C_UPPER] + m]
        there, here = Q[at + h], Q[at + a]
        if w >= 0 and _in_crowd(P, Q, w, crowd) == 1:
            there -= 1
            if c == a:
                here += 1
        change += int(there >= upper) - int(here > upper)
    return change


@small(i(A, i, i))
def _where_cost(P, v, h):
    """Cost of v standing on h, whoever else does."""
    total = 0
    if h != P[P[HOME] + v]:
        total += P[P[AWAY] + v]
    for n in range(P[N_LINEAR]):
        total += P[P[L_TABLE] + P[P[L_AT] + v * P[N_LINEAR] + n] + h]
    return total


@small(f(A, F64, i, i))
def _stand(P, G, v, h):
    """The same as dear as it counts now."""
    return G[len(G) - 1] * _where_cost(P, v, h)


@small(yes(A, i, i))
def _may(P, v, h):
    return P[ANYWHERE] == 1 or P[P[ALLOWED] + P[P[CLS] + v] * P[H] + h] == 1


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


@kernel(yes(A, A, i, i, i, i, i, f, f))
def _rarely(P, Q, v, a, h, w, c, bad_price, room):
    """Do what is rare about v going from a to h and w (-1: nobody) from h to c, if it costs no more than `room`."""
    if bad_price - 2 * float(P[SLACK]) > room and (_stranded(P, Q, v, a, h) or (w >= 0 and _stranded(P, Q, w, h, c))):
        return False
    before, bad = Q[COST], Q[BAD]
    _rare(P, Q, v, a, h)
    if w >= 0:
        _rare(P, Q, w, h, c)
    if (Q[COST] - before) + bad_price * (Q[BAD] - bad) <= room:
        return True
    if w >= 0:
        _rare(P, Q, w, c, h)
    _rare(P, Q, v, h, a)
    Q[COST] = before
    return False


@small(uint64(U64))
def _next(seed):
    x = seed[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    seed[0] = x
    return x


@small(i(U64, i))
def _below(seed, n):
    return np.int64(((_next(seed) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@small(f(U64))
def _chance(seed):
    return float(_next(seed) >> np.uint64(11)) * 1.1102230246251565e-16


@small(none(A, A, A, A, i))
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


@kernel(none(A, A, M3, M2, M2, M2, M2, F64, A, M, M, M2, i, i, i))
def _go(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, v, a, h):
    """Move v from a (-1: nowhere) to h in all that is dense, crowds and HOST, and add to the cost what that changes."""
    home = P[P[HOME] + v]
    n, e = W.shape[1], FW.shape[1]
    change, over = 0.0, 0
    for host, sign in ((h, 1.0), (a, -1.0)):
        if host < 0:
            continue
        change -= HC[host, 0]
        Q[COST] += _tables(P, TU, TW, host, v, int(sign)) + int(sign) * _where_cost(P, v, host)
        for d in range(TW.shape[1]):
            TU[host, d] += int(sign) * TW[v, d]
        for d in range(n):
            w = sign * W[v, d]
            was = int(S[1, host, d] > 0)
            S[0, host, d] += w
            S[1, host, d] += w
            by = int(S[1, host, d] > 0) - was
            OV[d] += by
            over += by
        if host != home:
            for d in range(e):
                was = int(F[host, d] > 0)
                F[host, d] += sign * FW[v, d]
                by = int(F[host, d] > 0) - was
                OV[n + d] += by
                over += by
        if R.shape[1] > 0:
            for d in range(n):
                R[d, host], R[n + d, host] = S[0, host, d], S[1, host, d]
            for d in range(e):
                R[3 * n + d, host] = F[host, d]
        _reprice(P, S, F, HC, G, R, host)
        change += HC[host, 0]
        for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
            at, upper = Q[CROWD] + P[P[C_AT] + m] + host, P[P[C_UPPER] + m]
            was = max(0, Q[at] - upper)
            Q[at] += int(sign)
            by = max(0, Q[at] - upper) - was
            OV[n + e] += by
            over += by
    OV[n + e + 2] += over
    Q[COST] += np.int64(np.rint(change))
    Q[Q[HOST] + v] = h
    was_away, is_away = a >= 0 and a != home, h != home
    if is_away and not was_away:
        Q[Q[GONE] + Q[N_GONE]] = v
        Q[Q[PLACE] + v] = Q[N_GONE]
        Q[N_GONE] += 1
    elif was_away and not is_away:
        Q[N_GONE] -= 1
        last = Q[Q[GONE] + Q[N_GONE]]
        Q[Q[GONE] + Q[Q[PLACE] + v]] = last
        Q[Q[PLACE] + last] = Q[Q[PLACE] + v]


@entry(none(A, A, M3, M2, M2, M2, M2, F64, A, M, M, M2, A))
def settle(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, host_of):
    """Fill an empty state with `host_of`, and its cost. S and F hold use less what is there when every VM is in the hand."""
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
    d_all, e_all = W.shape[1], FW.shape[1]
    for v in range(P[V]):
        for d in range(e_all):
            F[P[P[HOME] + v], d] += FW[v, d]
    for h in range(P[H]):
        if R.shape[1] > 0:
            for d in range(d_all):
                R[d, h], R[d_all + d, h], R[2 * d_all + d, h] = S[0, h, d], S[1, h, d], S[2, h, d]
            for d in range(e_all):
                R[3 * d_all + d, h] = F[h, d]
        for d in range(d_all):
            by = int(S[1, h, d] > 0)
            OV[d] += by
            OV[d_all + e_all + 2] += by
        for d in range(e_all):
            by = int(F[h, d] > 0)
            OV[d_all + d] += by
            OV[d_all + e_all + 2] += by
        for d in range(TW.shape[1]):
            Q[COST] += _table(P, d, h, TU[h, d])
        _reprice(P, S, F, HC, G, R, h)
        Q[COST] += np.int64(np.rint(HC[h, 0]))
    for v in range(P[V]):
        _go(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, v, -1, host_of[v])
        _rare(P, Q, v, -1, host_of[v])


CLASSES = 16
TABLE = 1024


@small(i(A, U64))
def _pick(pick, seed):
    """A VM, by the odds of its class of size; see `anneal`."""
    c = pick[_below(seed, TABLE)]
    first, n = pick[TABLE + c], pick[TABLE + c + 1] - pick[TABLE + c]
    if n == 0:
        first, n = 0, pick[TABLE + CLASSES]
    return pick[TABLE + CLASSES + 1 + first + _below(seed, n)]


@small(i(A, U64, i, i))
def _alike(pick, seed, v, free):
    """A VM of about the size of v."""
    order = TABLE + CLASSES + 1
    r = _chance(seed)
    reach = 1 + int(r * r * r * free * 0.25)
    at = pick[order + free + v] + (reach if _next(seed) & np.uint64(1 << 40) else -reach)
    if at < 0 or at >= free:
        return v
    return pick[order + at]


@small(i(A, A, U64, i, i))
def _on(vms, host_of, seed, h, reach):
    """One of `vms` that stands on h, looked for among `reach` of them, from anywhere on; -1 where none is found."""
    first = _below(seed, len(vms))
    for k in range(first, min(first + reach, len(vms))):
        if host_of[vms[k]] == h:
            return vms[k]
    return -1


@entry(none(A, M3, M2, M2, F64, M2, A, A, f, f))
def adapt(P, S, F, HC, G, R, seen, counts, target, rate):
    """Make dearer what was over at more than `target` of the looks, and cheaper what was not; `counts` [0] looks."""
    if counts[0] == 0:
        return
    for d in range(len(G) - 1):
        G[d] *= exp(rate * (seen[d] / counts[0] - target))
        seen[d] = 0
    counts[0] = 0
    for h in range(P[H]):
        _reprice(P, S, F, HC, G, R, h)


WINDOW = 128
"""So many hosts at most are priced at once."""
NEVER = 1e300
"""The price of a host where a VM may not go."""
DRAWS = 3
"""Of the hosts priced at once so many are drawn at most, where rare things refuse the first."""
EVEN_ODDS = log(2)
"""What costs less, in units of heat, would rather be accepted than not."""


@dense(none(A, A, M2, M2, M2, F64, M2, M2, M, M, i, i, i, F64))
def _coming(P, Q, F, W, FW, G, HC, R, TU, TW, v, lo, hi, out):
    """out[j] becomes what it costs that v comes to host lo + j, rare things not counted; NEVER where it may not."""
    n, e, hosts, home = W.shape[1], FW.shape[1], P[H], P[P[HOME] + v]
    price, dear = R[len(R) - 1, lo:hi], G[len(G) - 1]
    away = dear * P[P[AWAY] + v]
    for j in range(len(price)):
        out[j] = away - price[j]
    for d in range(n):
        w, g = W[v, d], G[d]
        knot, room, slope = R[d, lo:hi], R[n + d, lo:hi], R[2 * n + d, lo:hi]
        for j in range(len(knot)):
            out[j] += slope[j] * max(0.0, knot[j] + w) + g * max(0.0, room[j] + w)
    for d in range(e):
        w, g = FW[v, d], G[n + d]
        room = R[3 * n + d, lo:hi]
        for j in range(len(room)):
            out[j] += g * max(0.0, room[j] + w)
    if lo <= home < hi:
        out[home - lo] += HC[home, 2] - away - _flight(F, G, FW, n, home, v, 1.0, v, 0.0)
    for k in range(P[N_LINEAR]):
        at = P[L_TABLE] + P[P[L_AT] + v * P[N_LINEAR] + k]
        row = P[at + lo : at + hi]
        for j in range(len(row)):
            out[j] += dear * row[j]
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        at, upper, g = Q[CROWD] + P[P[C_AT] + m], P[P[C_UPPER] + m], G[n + e]
        there = Q[at + lo : at + hi]
        for j in range(len(there)):
            out[j] += g if there[j] >= upper else 0.0
    if TW.shape[1] > 0:
        for h in range(lo, hi):
            out[h - lo] += _tables(P, TU, TW, h, v, 1)
    if P[ANYWHERE] == 0:
        at = P[ALLOWED] + P[P[CLS] + v] * hosts
        may = P[at + lo : at + hi]
        for j in range(len(may)):
            out[j] = out[j] if may[j] == 1 else NEVER


@kernel(i(F64, i, f))
def _count_below(out, n, most):
    count = 0
    for j in range(n):
        count += int(out[j] < most)
    return count


@kernel(i(F64, i, f, f, U64))
def _draw(out, n, base, heat, seed):
    """j by the odds of exp(-(base + out[j]) / heat) for j < n, against 1 for -1 (all stays as it is)."""
    least = -base
    for j in range(n):
        least = min(least, out[j])
    most = least + 16 * heat
    total, drawn = 0.0, -1
    if -base < most:
        total = exp((least + base) / heat)
    for j in range(n):
        if out[j] < most:
            odds = exp((least - out[j]) / heat)
            total += odds
            if _chance(seed) * total < odds:
                drawn = j
    return drawn


@kernel(f(A, A, M3, M2, M2, M2, M2, F64, M, M, i, i))
def _leaving(P, Q, S, W, F, FW, HC, G, TU, TW, v, a):
    """What it costs that v leaves its host a, rare things not counted."""
    n, e = W.shape[1], FW.shape[1]
    delta = _with(S, G, W, a, v, -1.0) - HC[a, 1] - _stand(P, G, v, a)
    if e > 0:
        away = 0.0 if a == P[P[HOME] + v] else -1.0
        delta += _flight(F, G, FW, n, a, v, away, v, 0.0) - HC[a, 2]
    if TW.shape[1] > 0:
        delta += _tables(P, TU, TW, a, v, -1)
    for m in range(P[P[C_PTR] + v], P[P[C_PTR] + v + 1]):
        delta -= G[n + e] * int(Q[Q[CROWD] + P[P[C_AT] + m] + a] > P[P[C_UPPER] + m])
    return delta


@kernel(f(A, A, M3, M2, M2, M2, M2, F64, M, M, i, i, i))
def _ousting(P, Q, S, W, F, FW, HC, G, TU, TW, v, a, w):
    """What it costs that v goes from a to the host of w, and w to nowhere, rare things not counted."""
    n, e, h = W.shape[1], FW.shape[1], Q[Q[HOST] + w]
    delta = _with(S, G, W, a, v, -1.0) - HC[a, 1] + _with_two(S, G, W, h, v, w) - HC[h, 1]
    delta += _stand(P, G, v, h) - _stand(P, G, v, a) - _stand(P, G, w, h)
    if e > 0:
        away = 0.0 if a == P[P[HOME] + v] else -1.0
        come, leave = 0.0 if h == P[P[HOME] + v] else 1.0, 0.0 if h == P[P[HOME] + w] else -1.0
        delta += _flight(F, G, FW, n, a, v, away, v, 0.0) - HC[a, 2]
        delta += _flight(F, G, FW, n, h, v, come, w, leave) - HC[h, 2]
    if TW.shape[1] > 0:
        delta += _tables(P, TU, TW, a, v, -1) + _tables_two(P, TU, TW, h, v, w)
    crowding = _crowding(P, Q, v, a, h, w, -1)
    for m in range(P[P[C_PTR] + w], P[P[C_PTR] + w + 1]):
        crowding -= int(Q[Q[CROWD] + P[P[C_AT] + m] + h] > P[P[C_UPPER] + m])
    return delta + G[n + e] * crowding


@kernel(i(A, A, M3, M2, M2, M2, M2, F64, M, M, M2, F64, A, U64, f, i, i))
def _scan(P, Q, S, W, F, FW, HC, G, TU, TW, R, out, counts, seed, heat, v, w):
    """Draw a host for v (w < 0), or for w while v takes its place, by heat bath over up to WINDOW hosts; -1: all stays.

    What is rare is done already if a host is returned, the rest is not. counts [0] hosts priced, [1] those within reach.
    """
    hosts, lo, n, e = P[H], 0, W.shape[1], FW.shape[1]
    if hosts > WINDOW:
        lo = _below(seed, hosts + WINDOW) - WINDOW
    hi = min(hosts, lo + WINDOW)
    lo = max(0, lo)
    a = Q[Q[HOST] + v]
    x, h = (v, a) if w < 0 else (w, Q[Q[HOST] + w])
    counts[0], counts[1] = hi - lo, 0
    if hi <= lo or (w >= 0 and (h == a or not _may(P, v, h))):
        return -1
    if w < 0:
        base = _leaving(P, Q, S, W, F, FW, HC, G, TU, TW, v, a)
    else:
        base = _ousting(P, Q, S, W, F, FW, HC, G, TU, TW, v, a, w)
    _coming(P, Q, F, W, FW, G, HC, R, TU, TW, x, lo, hi, out)
    for host in (a, h):  # exchanges are tried one by one
        if lo <= host < hi:
            out[host - lo] = NEVER
    counts[1] = _count_below(out, hi - lo, EVEN_ODDS * heat - base)
    for _ in range(DRAWS):
        to = _draw(out, hi - lo, base, heat, seed)
        if to < 0:
            return -1
        room = -heat * log(_chance(seed) + 1e-300)
        if P[RARE] == 0 or _rarely(P, Q, v, a, h if w >= 0 else lo + to, w, lo + to, G[n + e + 1], room):
            return lo + to
        out[to] = NEVER
    return -1


@entry(i(A, A, M3, M2, M2, M2, M2, F64, A, M, M, M2, F64, A, A, A, A, A, M, A, U64, f, i, i, yes, i))
def anneal(
    P,
    Q,
    S,
    W,
    F,
    FW,
    HC,
    G,
    OV,
    TU,
    TW,
    R,
    out,
    priced,
    best,
    log_,
    seen,
    counts,
    tally,
    pick,
    seed,
    heat,
    best_cost,
    tries,
    homing_often,
    looked_at,
):
    """`tries` proposals at one heat. `best` follows the best placement seen that breaks nothing; returns its cost.

    Of 16 proposals 6 shift a VM anywhere, 2 send one home, 3 exchange two, 3 put one in the place of another that goes home
    and 2 of another that goes anywhere. One of those that take the place of who goes home comes from there, if it is found among
    `looked_at` VMs: where no room in flight is left, who goes home needs none. Going home is what frees room that is held at both ends of a move; where such room
    is limited, small VMs that wander fill it; with `homing_often` more go home (4, 4, 2, 4, 2). Kinds come in a fixed turn, which the
    processor learns to foresee. `out` and `priced` are room for `_scan`.
    """
    free, hosts, rare, slack = P[N_MOVABLE], P[H], P[RARE] == 1, float(P[SLACK])
    n, e = W.shape[1], FW.shape[1]
    tabled = TW.shape[1] > 0
    shifts, homes, swaps, returns = (4, 8, 10, 14) if homing_often else (6, 8, 11, 14)
    crowd_price, bad_price, order = n + e, n + e + 1, TABLE + CLASSES + 1 + free
    kinds, scans = pick[order + P[V] : order + 2 * P[V]], pick[order + 2 * P[V] :]
    host_of, home_of = Q[Q[HOST] : Q[HOST] + P[V]], P[P[HOME] : P[HOME] + P[V]]
    movable, gone = P[P[MOVABLE] : P[MOVABLE] + free], Q[Q[GONE] : Q[GONE] + P[V]]
    for t in range(tries):
        if t & 63 == 0:
            counts[0] += 1
            for d in range(n + e + 1):
                seen[d] += int(OV[d] > 0)
            seen[bad_price] += int(Q[BAD] > 0)
        what = t * 7 & 15
        homing = shifts <= what < homes or swaps <= what < returns
        if homing and Q[N_GONE] == 0:
            continue
        x = gone[_below(seed, Q[N_GONE])] if homing else _pick(pick, seed)
        v, w, c = x, -1, -1
        if what >= homes:
            v, w = -1, x
            if what < swaps - 1:
                v = _alike(pick, seed, x, free)
            elif what == swaps and looked_at > 0:
                v = _on(movable, host_of, seed, home_of[x], looked_at)
            if v < 0:
                v = movable[_below(seed, free)]
        a = host_of[v]
        home_v = home_of[v]
        away = 0.0 if a == home_v else 1.0
        scan = (what < shifts or what >= returns) and scans[kinds[x]] == 1
        if scan:
            to = _scan(P, Q, S, W, F, FW, HC, G, TU, TW, R, out, priced, seed, heat, v, w)
            if w < 0:
                c = kinds[v]
                tally[0, c] += priced[0]
                tally[1, c] += priced[1]
            if to < 0:
                continue
            h, c = (to, -1) if w < 0 else (host_of[w], to)
        elif what < homes:
            h = home_v if homing else _below(seed, hosts)
            if what < shifts:
                tally[0, kinds[v]] += 1
            if h == a or not _may(P, v, h):
                continue
            delta = _with(S, G, W, a, v, -1.0) + _with(S, G, W, h, v, 1.0) - HC[a, 1] - HC[h, 1]
            if e > 0:
                come = 0.0 if h == home_v else 1.0
                delta += _flight(F, G, FW, n, a, v, -away, v, 0.0) + _flight(F, G, FW, n, h, v, come, v, 0.0)
                delta -= HC[a, 2] + HC[h, 2]
            if tabled:
                delta += _tables(P, TU, TW, a, v, -1) + _tables(P, TU, TW, h, v, 1)
            crowding = _crowding(P, Q, v, a, h, -1, -1)
        else:
            h = host_of[w]
            home_w = home_of[w]
            c = a
            if what >= swaps:
                c = home_w if homing else _below(seed, hosts)
            if h == a or c == h or not _may(P, v, h) or not _may(P, w, c):
                continue
            delta = _with_two(S, G, W, h, v, w) - HC[h, 1] - HC[a, 1]
            come, leave = 0.0 if h == home_v else 1.0, 0.0 if h == home_w else -1.0
            reach = 0.0 if c == home_w else 1.0
            if e > 0:
                delta += _flight(F, G, FW, n, h, v, come, w, leave) - HC[h, 2] - HC[a, 2]
            if tabled:
                delta += _tables_two(P, TU, TW, h, v, w)
            if c == a:
                delta += _with_two(S, G, W, a, w, v)
                if e > 0:
                    delta += _flight(F, G, FW, n, a, v, -away, w, reach)
                if tabled:
                    delta += _tables_two(P, TU, TW, a, w, v)
            else:
                delta += _with(S, G, W, a, v, -1.0) + _with(S, G, W, c, w, 1.0) - HC[c, 1]
                if e > 0:
                    delta += _flight(F, G, FW, n, a, v, -away, v, 0.0) + _flight(F, G, FW, n, c, w, reach, w, 0.0)
                    delta -= HC[c, 2]
                if tabled:
                    delta += _tables(P, TU, TW, a, v, -1) + _tables(P, TU, TW, c, w, 1)
            crowding = _crowding(P, Q, w, h, c, -1, -1) + _crowding(P, Q, v, a, h, w, c)
            delta += _stand(P, G, w, c) - _stand(P, G, w, h)
        if not scan:
            delta += G[crowd_price] * crowding + _stand(P, G, v, h) - _stand(P, G, v, a)
            most = delta - 2 * slack
            if Q[BAD] > 0:
                most -= 4 * G[bad_price]
            if most > 20 * heat:
                continue
            accepted = -heat * log(_chance(seed) + 1e-300)
            if most > accepted or (rare and not _rarely(P, Q, v, a, h, w, c, G[bad_price], accepted - delta)):
                continue
        if what < shifts and not scan:
            tally[1, kinds[v]] += 1
        if w >= 0:
            _go(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, w, h, c)
            _note(P, Q, best, log_, w)
        _go(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, v, a, h)
        _note(P, Q, best, log_, v)
        if Q[COST] < best_cost and Q[BAD] == 0 and OV[n + e + 2] == 0:
            best_cost = Q[COST]
            _keep(P, Q, best, log_)
    return best_cost


@entry(i(A, A, M3, M2, M2, M2, M2, F64, A, M, M, M2, U64, F64))
def probe(P, Q, S, W, F, FW, HC, G, OV, TU, TW, R, seed, out):
    """Fill `out` with changes of cost, as they come, of shifts, room or not; returns how many were found."""
    found = 0
    for _ in range(20 * len(out)):
        v = P[P[MOVABLE] + _below(seed, P[N_MOVABLE])]
        h = _below(seed, P[H])
        a = Q[Q[HOST] + v]
        if h == a or not _may(P, v, h):
            continue
        delta = float(_where_cost(P, v, h) - _where_cost(P, v, a))
        for d in range(W.shape[1]):
            delta += S[2, h, d] * (max(0.0, S[0, h, d] + W[v, d]) - max(0.0, S[0, h, d]))
            delta += S[2, a, d] * (max(0.0, S[0, a, d] - W[v, d]) - max(0.0, S[0, a, d]))
        out[found] = delta + _tables(P, TU, TW, a, v, -1) + _tables(P, TU, TW, h, v, 1)
        found += 1
        if found == len(out):
            break
    return found
