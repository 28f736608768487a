"""The local search's inner loops, compiled by numba. Incremental costs; no allocation on the hot path.

Two primitives change the state, `take` (a VM leaves its host) and `put` (it lands on one); `try_relocate` prices the
pair without changing anything. Costs are one int64 per tier, compared in order. A state is feasible when every VM stands
somewhere, every hard block is within `upper` (checked by whoever puts) and no hard group row is broken (`bad[0] == 0`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import boolean, int64, uint64, void
from numba.types import UniTuple

from pro.core.compiled import entry, kernel, making, making_entry
from pro.placement.engines.flat import (
    ALLOWED,
    AT_LEAST,
    B_DIMS,
    B_HARD,
    B_ITEMS,
    B_KNOTS,
    B_KOFF,
    B_OFF,
    B_SCOPE,
    B_TIER,
    B_WHEN,
    BASE,
    CLS,
    COUNTS,
    G_BOUND,
    G_ITEMS,
    G_KIND,
    G_OFF,
    G_PRICE,
    G_SCOPE,
    G_TIER,
    G_WEIGHT,
    GM_GROUP,
    GM_PTR,
    GM_ROLE,
    GV_PTR,
    GV_VM,
    HOME,
    KNOTS,
    L_AWAY,
    L_ROW,
    L_TABLE,
    L_TIER,
    M_BLOCK,
    M_OFF,
    M_PTR,
    MOST_WIDTH,
    MOVABLE,
    MOVED,
    N_BLOCKS,
    N_GROUP,
    N_GROUPS,
    N_LINEAR,
    N_MOST,
    N_OPENED,
    N_PRICE,
    N_TIER,
    N_WIDTH,
    NEAR,
    NO_TIER,
    O_COST,
    O_OFF,
    O_SCOPE,
    O_TIER,
    SCOPE,
    SLOPES,
    TOGETHER,
    UPPER,
    WEIGHT,
    H,
    T,
    V,
)

if TYPE_CHECKING:
    from pro.core.arrays import Ints


AWAY = -1
# Signatures are spelled out: left to itself, numba compiles a function anew for every constant it is called with.
A, U, i, yes, none, pair = int64[::1], uint64[::1], int64, boolean, void, UniTuple(int64, 2)


# The state is one int64 array as well: a header of offsets, then
#   HOST (V) where each VM stands, AWAY while in the hand     USE counters of blocks       COUNT members per group and item
#   SPREAD (G) weight of the items that hold a group, lonely ones for Near    BAD (1) by how much hard group rows are broken
#   OPENED VMs per opened item   MOVED (N, groups) moved VMs   MOST (N, V + 2) groups with so many moved; last: the maximum
#   COST (T)
HOST, USE, COUNT, SPREAD, BAD, OPENED, MOVED_VMS, MOST, COST = range(9)


def new_state(F: Ints, host_of: Ints) -> Ints:
    """The state of `host_of` under problem `F`, built VM by VM."""
    n = F[N_MOST]
    sizes = (
        F[V], F[UPPER] - F[BASE], F[COUNTS], F[N_GROUPS], 1, F[N_TIER] - F[O_COST], n * F[MOST_WIDTH],
        n * (F[V] + 2), F[T],
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(sizes)]) + len(sizes)
    S = np.zeros(offsets[-1], np.int64)
    S[: len(sizes)] = offsets[:-1]
    S[S[HOST] : S[USE]] = AWAY
    S[S[USE] : S[COUNT]] = F[F[BASE] : F[UPPER]]
    start(F, S)
    fill(F, S, host_of.astype(np.int64))
    return S


def placement(F: Ints, S: Ints) -> Ints:
    """(V,) a copy of where VMs stand."""
    return S[S[HOST] : S[HOST] + F[V]].copy()


def costs(F: Ints, S: Ints) -> Ints:
    """(T,) a copy of the cost of every tier."""
    return S[S[COST] : S[COST] + F[T]].copy()


@kernel(i(A, i, i))
def _item(F, scope, h):
    """Scope item of host h."""
    return F[F[SCOPE] + scope * F[H] + h]


@kernel(i(A, i, i))
def _allowed(F, v, h):
    return F[F[ALLOWED] + F[F[CLS] + v] * F[H] + h]


@kernel(pair(A, i, i, i, i))
def _leaves_enters(F, b, v, a, h):
    """(item left, item entered) in block b when v goes from host a to host h; AWAY is no host."""
    s = F[F[B_SCOPE] + b]
    old = _item(F, s, a) if a >= 0 else -1
    new = _item(F, s, h) if h >= 0 else -1
    when = F[F[B_WHEN] + b]
    if when == MOVED:
        if a == F[F[HOME] + v]:
            old = -1
        if h == F[F[HOME] + v]:
            new = -1
    elif when == 2:
        start = _item(F, s, F[F[HOME] + v])
        if a >= 0 and old == start:
            old = -1
        if h >= 0 and new == start:
            new = -1
    if old == new:
        return -1, -1
    return old, new


@kernel(i(A, A, i, i, i, i))
def _block_cost(F, S, b, item, w, sign):
    """Change of a block's cost in one item when weights at offset `w` are added (sign 1) or taken (-1)."""
    total = 0
    dims = F[F[B_DIMS] + b]
    knots = F[F[B_KNOTS] + b]
    u0 = F[F[B_OFF] + b] + item * dims
    k0 = F[F[B_KOFF] + b] + item * dims * knots
    for d in range(dims):
        u = S[S[USE] + u0 + d]
        n = u + sign * F[F[WEIGHT] + w + d]
        top = max(u, n)
        k = k0 + d * knots
        for j in range(k, k + knots):
            if top > F[F[KNOTS] + j]:
                total += F[F[SLOPES] + j] * (max(0, n - F[F[KNOTS] + j]) - max(0, u - F[F[KNOTS] + j]))
    return total


@kernel(none(A, i, i, A, i, i))
def _linear_cost(F, v, h, into, at, sign):
    if h < 0:
        return
    if h != F[F[HOME] + v]:
        for t in range(F[T]):
            into[at + t] += sign * F[F[L_AWAY] + t * F[V] + v]
    for i in range(F[N_LINEAR]):
        into[at + F[F[L_TIER] + i]] += sign * F[F[L_TABLE] + F[F[L_ROW] + i * F[V] + v] * F[H] + h]


@kernel(i(A, i, i))
def _group_broken(F, g, spread):
    if F[F[G_KIND] + g] == AT_LEAST:
        return max(F[F[G_BOUND] + g] - spread, 0)
    return max(spread - F[F[G_BOUND] + g], 0)


@kernel(none(A, A, i, i))
def _charge_group(F, S, g, change):
    if F[F[G_TIER] + g] == NO_TIER:
        S[S[BAD]] += change
    else:
        S[S[COST] + F[F[G_TIER] + g]] += F[F[G_PRICE] + g] * change


@kernel(i(A, A, i, i, i, i))
def _group_after(F, S, g, role, a, h):
    """`spread[g]` after a member with `role` goes from host a to host h."""
    s = F[F[G_SCOPE] + g]
    old = _item(F, s, a) + 1 if a >= 0 else -1
    new = _item(F, s, h) + 1 if h >= 0 else -1
    if old == new:
        return S[S[SPREAD] + g]
    off = F[F[G_OFF] + g]
    spread = S[S[SPREAD] + g]
    if F[F[G_KIND] + g] == NEAR:
        other = off + F[F[G_ITEMS] + g] + 1
        da = 1 if role & 1 else 0
        db = 1 if role & 2 else 0
        if old > 0:
            na, nb = S[S[COUNT] + off + old], S[S[COUNT] + other + old]
            spread += int(na - da > 0 and nb - db == 0) - int(na > 0 and nb == 0)
        if new > 0:
            na, nb = S[S[COUNT] + off + new], S[S[COUNT] + other + new]
            spread += int(na + da > 0 and nb + db == 0) - int(na > 0 and nb == 0)
        return spread
    if old >= 0 and S[S[COUNT] + off + old] == 1:
        spread -= F[F[G_WEIGHT] + off + old]
    if new >= 0 and S[S[COUNT] + off + new] == 0:
        spread += F[F[G_WEIGHT] + off + new]
    return spread


@kernel(none(A, A, i, i, i, i))
def _change_group(F, S, g, role, a, h):
    after = _group_after(F, S, g, role, a, h)
    s = F[F[G_SCOPE] + g]
    off = F[F[G_OFF] + g]
    for host, sign in ((a, -1), (h, 1)):
        if host >= 0:
            item = _item(F, s, host) + 1
            if F[F[G_KIND] + g] != NEAR or role & 1:
                S[S[COUNT] + off + item] += sign
            if F[F[G_KIND] + g] == NEAR and role & 2:
                S[S[COUNT] + off + F[F[G_ITEMS] + g] + 1 + item] += sign
    _charge_group(F, S, g, _group_broken(F, g, after) - _group_broken(F, g, S[S[SPREAD] + g]))
    S[S[SPREAD] + g] = after


@kernel(none(A, A, i, i))
def _change_most(F, S, v, by):
    last = F[V] + 1
    for n in range(F[N_MOST]):
        g = F[F[N_GROUP] + n * F[V] + v]
        if g < 0:
            continue
        k = S[S[MOVED_VMS] + n * F[MOST_WIDTH] + g]
        S[S[MOST] + n * (F[V] + 2) + k] -= 1
        S[S[MOST] + n * (F[V] + 2) + k + by] += 1
        S[S[MOVED_VMS] + n * F[MOST_WIDTH] + g] = k + by
        top = S[S[MOST] + n * (F[V] + 2) + last]
        new = top
        if k + by > top:
            new = k + by
        elif k == top and S[S[MOST] + n * (F[V] + 2) + top] == 0:
            new = top - 1
        S[S[MOST] + n * (F[V] + 2) + last] = new
        S[S[COST] + F[F[N_TIER] + n]] += F[F[N_PRICE] + n] * (new - top)


@kernel(none(A, A, i, i, i))
def _change(F, S, v, a, h):
    """Put the consequences of v going from a to h into the state (either may be AWAY). No checks."""
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        b = F[F[M_BLOCK] + m]
        old, new = _leaves_enters(F, b, v, a, h)
        tier = F[F[B_TIER] + b]
        w = F[F[M_OFF] + m]
        for item, sign in ((old, -1), (new, 1)):
            if item >= 0:
                if tier != NO_TIER:
                    S[S[COST] + tier] += _block_cost(F, S, b, item, w, sign)
                u0 = F[F[B_OFF] + b] + item * F[F[B_DIMS] + b]
                for d in range(F[F[B_DIMS] + b]):
                    S[S[USE] + u0 + d] += sign * F[F[WEIGHT] + w + d]
    for m in range(F[F[GM_PTR] + v], F[F[GM_PTR] + v + 1]):
        _change_group(F, S, F[F[GM_GROUP] + m], F[F[GM_ROLE] + m], a, h)
    _linear_cost(F, v, a, S, S[COST], -1)
    _linear_cost(F, v, h, S, S[COST], 1)
    for i in range(F[N_OPENED]):
        for host, sign in ((a, -1), (h, 1)):
            item = _item(F, F[F[O_SCOPE] + i], host) if host >= 0 else -1
            if item >= 0:
                at = F[F[O_OFF] + i] + item
                before = S[S[OPENED] + at] > 0
                S[S[OPENED] + at] += sign
                S[S[COST] + F[F[O_TIER] + i]] += F[F[O_COST] + at] * (int(S[S[OPENED] + at] > 0) - int(before))
    was, now = int(a >= 0 and a != F[F[HOME] + v]), int(h >= 0 and h != F[F[HOME] + v])
    if was != now:
        _change_most(F, S, v, now - was)


@entry(none(A, A, i, i))
def put(F, S, v, h):
    """Set v, which is in the hand, down on h. No checks."""
    _change(F, S, v, AWAY, h)
    S[S[HOST] + v] = h


@entry(none(A, A, A))
def fill(F, S, host_of):
    for v in range(len(host_of)):
        put(F, S, v, host_of[v])


@entry(none(A, A))
def start(F, S):
    """Costs of a fleet with no VM in it: base use may already pass a knot, and AtLeast rows miss everything."""
    for b in range(F[N_BLOCKS]):
        tier = F[F[B_TIER] + b]
        if tier == NO_TIER:
            continue
        n = F[F[B_ITEMS] + b] * F[F[B_DIMS] + b]
        for i in range(n):
            u = S[S[USE] + F[F[B_OFF] + b] + i]
            k = F[F[B_KOFF] + b] + i * F[F[B_KNOTS] + b]
            for j in range(F[F[B_KNOTS] + b]):
                S[S[COST] + tier] += F[F[SLOPES] + k + j] * max(0, u - F[F[KNOTS] + k + j])
    for g in range(F[N_GROUPS]):
        _charge_group(F, S, g, _group_broken(F, g, 0))
    for n in range(F[N_MOST]):
        S[S[MOST] + n * (F[V] + 2)] = F[F[N_WIDTH] + n]


@kernel(yes(A, A, i, i, i))
def _fits(F, S, b, item, w):
    dims = F[F[B_DIMS] + b]
    u0 = F[F[B_OFF] + b] + item * dims
    for d in range(dims):
        add = F[F[WEIGHT] + w + d]
        if add > 0 and S[S[USE] + u0 + d] + add > F[F[UPPER] + u0 + d]:
            return False
    return True


@entry(i(A, A, i))
def take(F, S, v):
    """Lift v off its host; returns the host."""
    a = S[S[HOST] + v]
    _change(F, S, v, a, AWAY)
    S[S[HOST] + v] = AWAY
    return a


@kernel(yes(A, A, i, i, i))
def room(F, S, v, a, h):
    """Whether v may stand on h and fits there now, coming from a (AWAY: from the hand). Group rows apart."""
    if _allowed(F, v, h) == 0 or (F[F[MOVABLE] + v] == 0 and h != F[F[HOME] + v]):
        return False
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        b = F[F[M_BLOCK] + m]
        if F[F[B_HARD] + b]:
            _, new = _leaves_enters(F, b, v, a, h)
            if new >= 0 and not _fits(F, S, b, new, F[F[M_OFF] + m]):
                return False
    return True


@kernel(none(A, A, i, A))
def gain_of_leaving(F, S, v, into):
    """Per tier, the change of block costs when v is lifted off its host; computed once for all destinations."""
    a = S[S[HOST] + v]
    for t in range(F[T]):
        into[t] = 0
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        b = F[F[M_BLOCK] + m]
        tier = F[F[B_TIER] + b]
        if tier != NO_TIER:
            old, _ = _leaves_enters(F, b, v, a, AWAY)
            if old >= 0:
                into[tier] += _block_cost(F, S, b, old, F[F[M_OFF] + m], -1)


@kernel(none(A, A, i, i, i, A))
def _price_opened_and_most(F, S, v, a, h, out):
    for i in range(F[N_OPENED]):
        old = _item(F, F[F[O_SCOPE] + i], a) if a >= 0 else -1
        new = _item(F, F[F[O_SCOPE] + i], h)
        if old != new:
            if old >= 0 and S[S[OPENED] + F[F[O_OFF] + i] + old] == 1:
                out[F[F[O_TIER] + i]] -= F[F[O_COST] + F[F[O_OFF] + i] + old]
            if new >= 0 and S[S[OPENED] + F[F[O_OFF] + i] + new] == 0:
                out[F[F[O_TIER] + i]] += F[F[O_COST] + F[F[O_OFF] + i] + new]
    by = int(h != F[F[HOME] + v]) - int(a >= 0 and a != F[F[HOME] + v])
    last = F[V] + 1
    for n in range(F[N_MOST]):
        g = F[F[N_GROUP] + n * F[V] + v]
        if g >= 0 and by != 0:
            k = S[S[MOVED_VMS] + n * F[MOST_WIDTH] + g]
            top = S[S[MOST] + n * (F[V] + 2) + last]
            if by > 0 and k == top:
                out[F[F[N_TIER] + n]] += F[F[N_PRICE] + n]
            elif by < 0 and k == top and S[S[MOST] + n * (F[V] + 2) + top] == 1:
                out[F[F[N_TIER] + n]] -= F[F[N_PRICE] + n]


@kernel(yes(A, A, i, i, A, A))
def try_relocate(F, S, v, h, leaving, out):
    """Price v going to h into `out` (T,). False if a hard row forbids it. `leaving` comes from `gain_of_leaving`."""
    a = S[S[HOST] + v]
    if not room(F, S, v, a, h):
        return False
    for t in range(F[T]):
        out[t] = leaving[t]
    bad = 0
    for m in range(F[F[GM_PTR] + v], F[F[GM_PTR] + v + 1]):
        g = F[F[GM_GROUP] + m]
        after = _group_after(F, S, g, F[F[GM_ROLE] + m], a, h)
        change = _group_broken(F, g, after) - _group_broken(F, g, S[S[SPREAD] + g])
        if F[F[G_TIER] + g] == NO_TIER:
            bad += change
        else:
            out[F[F[G_TIER] + g]] += F[F[G_PRICE] + g] * change
    if S[S[BAD]] + bad > 0:
        return False
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        b = F[F[M_BLOCK] + m]
        tier = F[F[B_TIER] + b]
        if tier != NO_TIER:
            old, new = _leaves_enters(F, b, v, a, h)
            if new >= 0:
                out[tier] += _block_cost(F, S, b, new, F[F[M_OFF] + m], 1)
            else:
                # The move stays inside the item it was said to leave (a rack, or a host counted in flight): undo that.
                alone, _ = _leaves_enters(F, b, v, a, AWAY)
                if alone >= 0 and old < 0:
                    out[tier] -= _block_cost(F, S, b, alone, F[F[M_OFF] + m], -1)
    _linear_cost(F, v, a, out, 0, -1)
    _linear_cost(F, v, h, out, 0, 1)
    _price_opened_and_most(F, S, v, a, h, out)
    return True


@kernel(none(A))
def clear(a):
    """a[:] = 0."""
    for i in range(len(a)):
        a[i] = 0


@kernel(none(A, A))
def assign(into, source):
    """into[:] = source, in a form that compiles quickly."""
    for i in range(len(into)):
        into[i] = source[i]


@kernel(none(A, A, A))
def note_cost(F, S, out):
    """(T,) `out` becomes the cost of every tier."""
    for t in range(F[T]):
        out[t] = S[S[COST] + t]


@making(A(A, A))
def cost_now(F, S):
    """(T,) a copy of the cost of every tier."""
    out = np.empty(F[T], np.int64)
    note_cost(F, S, out)
    return out


@kernel(yes(A, A, A))
def cheaper(F, S, than):
    """Whether the state costs less than `than` (T,)."""
    for t in range(F[T]):
        if S[S[COST] + t] != than[t]:
            return S[S[COST] + t] < than[t]
    return False


@kernel(yes(A, A))
def less(a, b):
    """Lexicographic a < b."""
    for t in range(len(a)):
        if a[t] != b[t]:
            return a[t] < b[t]
    return False


@kernel(i(U, i))
def random_below(seed, n):
    """A number in 0..n-1 from a xorshift64 state (1,) uint64."""
    x = seed[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    seed[0] = x
    return np.int64(x >> np.uint64(11)) % n


@kernel(none(A, U))
def shuffle(order, seed):
    """Permute `order` in place."""
    for i in range(len(order) - 1, 0, -1):
        j = random_below(seed, i + 1)
        order[i], order[j] = order[j], order[i]


@making(i(A, A, i, A))
def best_host(F, S, v, best):
    """(host or AWAY, `best` filled with its price): the cheapest destination of v that is cheaper than staying."""
    leaving = np.empty(F[T], np.int64)
    price = np.empty(F[T], np.int64)
    clear(best)
    gain_of_leaving(F, S, v, leaving)
    where = AWAY
    for h in range(F[H]):
        if h != S[S[HOST] + v] and try_relocate(F, S, v, h, leaving, price) and less(price, best):
            assign(best, price)
            where = h
    return where


@making_entry(i(A, A, i))
def steepest(F, S, limit):
    """Apply the single relocation that helps most, again and again. Returns how many were applied."""
    price = np.empty(F[T], np.int64)
    best = np.empty(F[T], np.int64)
    for step in range(limit):
        clear(best)
        who, where = AWAY, AWAY
        for v in range(F[V]):
            if F[F[MOVABLE] + v]:
                h = best_host(F, S, v, price)
                if h != AWAY and less(price, best):
                    assign(best, price)
                    who, where = v, h
        if who == AWAY:
            return step
        take(F, S, who)
        put(F, S, who, where)
    return limit


@making_entry(none(A, A, A, U))
def descend(F, S, order, seed):
    """Relocate VMs in random order, each to its best host, until none gains."""
    price = np.empty(F[T], np.int64)
    again = True
    while again:
        again = False
        shuffle(order, seed)
        for i in range(len(order)):
            v = order[i]
            h = best_host(F, S, v, price)
            if h != AWAY:
                take(F, S, v)
                put(F, S, v, h)
                again = True


@kernel(none(A, A, A))
def costly_hosts(F, S, out):
    """(H,) 1 where some scope item that the host belongs to costs something in tier 0 or 1."""
    clear(out)
    for b in range(F[N_BLOCKS]):
        if F[F[B_TIER] + b] == NO_TIER or F[F[B_TIER] + b] > 1:
            continue
        dims, knots = F[F[B_DIMS] + b], F[F[B_KNOTS] + b]
        for h in range(len(out)):
            item = _item(F, F[F[B_SCOPE] + b], h)
            if item < 0 or out[h]:
                continue
            for d in range(dims):
                u = S[S[USE] + F[F[B_OFF] + b] + item * dims + d]
                k = F[F[B_KOFF] + b] + (item * dims + d) * knots
                for j in range(k, k + knots):
                    if u > F[F[KNOTS] + j] and F[F[SLOPES] + j] > 0:
                        out[h] = 1
                        break
                if out[h]:
                    break


@making(yes(A, A, i, A))
def best_swap(F, S, second, hot):
    """Exchange `second` with the VM on a costly host with which that gains most. True if one was applied."""
    tiers = F[T]
    zero = np.zeros(tiers, np.int64)
    leaving = np.empty(tiers, np.int64)
    price = np.empty(tiers, np.int64)
    back = np.empty(tiers, np.int64)
    best = cost_now(F, S)
    partner = AWAY
    b = take(F, S, second)
    for first in range(F[V]):
        a = S[S[HOST] + first]
        if first == second or a == b or not F[F[MOVABLE] + first] or not (hot[a] or hot[b]):
            continue
        if _allowed(F, second, a) == 0 or _allowed(F, first, b) == 0:
            continue
        gain_of_leaving(F, S, first, leaving)
        bad = S[S[BAD]]
        S[S[BAD]] = 0  # the row that misses `second` is judged once it has landed
        ok = try_relocate(F, S, first, b, leaving, price)
        S[S[BAD]] = bad
        if not ok:
            continue
        clear(back)
        _linear_cost(F, second, a, back, 0, 1)
        for t in range(tiers):
            price[t] += S[S[COST] + t] + back[t]
        if not less(price, best):
            continue
        take(F, S, first)
        put(F, S, first, b)
        if try_relocate(F, S, second, a, zero, price):
            for t in range(tiers):
                price[t] += S[S[COST] + t]
            if less(price, best):
                assign(best, price)
                partner = first
        take(F, S, first)
        put(F, S, first, a)
    if partner == AWAY:
        put(F, S, second, b)
        return False
    a = take(F, S, partner)
    put(F, S, partner, b)
    put(F, S, second, a)
    return True


@making_entry(i(A, A, A, U))
def swaps(F, S, order, seed):
    """One pass of exchanges over all VMs in random order. Returns how many were applied."""
    hot = np.empty(F[H], np.int64)
    costly_hosts(F, S, hot)
    shuffle(order, seed)
    applied = 0
    for i in range(len(order)):
        if best_swap(F, S, order[i], hot):
            applied += 1
            costly_hosts(F, S, hot)
    return applied


@making(yes(A, A, i, i))
def move_group(F, S, g, h):
    """Move all members of group row g to host h if that is allowed and cheaper. True if applied."""
    lo, hi = F[F[GV_PTR] + g], F[F[GV_PTR] + g + 1]
    start = cost_now(F, S)
    old = np.empty(hi - lo, np.int64)
    for i in range(lo, hi):
        old[i - lo] = take(F, S, F[F[GV_VM] + i])
    placed = 0
    for i in range(lo, hi):
        v = F[F[GV_VM] + i]
        if not room(F, S, v, AWAY, h) or (not F[F[MOVABLE] + v] and old[i - lo] != h):
            break
        put(F, S, v, h)
        placed += 1
    if placed == hi - lo and S[S[BAD]] == 0 and cheaper(F, S, start):
        return True
    for i in range(lo, hi):
        v = F[F[GV_VM] + i]
        if S[S[HOST] + v] != AWAY:
            take(F, S, v)
        put(F, S, v, old[i - lo])
    return False


@making(i(A, A, i, i, A))
def best_landing(F, S, v, but, best):
    """The cheapest host but one for v, which is in the hand; `best` is filled with its price. AWAY if none has room."""
    none = np.zeros(F[T], np.int64)
    price = np.empty(F[T], np.int64)
    where = AWAY
    bad = S[S[BAD]]
    S[S[BAD]] = 0  # group rows are judged once everybody has landed
    for h in range(F[H]):
        if h != but and try_relocate(F, S, v, h, none, price) and (where == AWAY or less(price, best)):
            assign(best, price)
            where = h
    S[S[BAD]] = bad
    return where


@making(yes(A, A, i, A, i))
def rehouse(F, S, h, gone, n):
    """Put the VMs gone[:n], all of host h, elsewhere, each where it costs least, if all together that is cheaper. True if applied."""
    start = cost_now(F, S)
    price = np.empty(F[T], np.int64)
    for i in range(n):
        take(F, S, gone[i])
    landed = 0
    for i in range(n):
        where = best_landing(F, S, gone[i], h, price)
        if where == AWAY:
            break
        put(F, S, gone[i], where)
        landed += 1
    if n > 0 and landed == n and S[S[BAD]] == 0 and cheaper(F, S, start):
        return True
    for i in range(n):
        if S[S[HOST] + gone[i]] != AWAY:
            take(F, S, gone[i])
        put(F, S, gone[i], h)
    return False


@making(yes(A, A, i))
def empty_host(F, S, h):
    """`rehouse` for every VM of host h."""
    gone = np.empty(F[V], np.int64)
    n = 0
    for v in range(F[V]):
        if S[S[HOST] + v] == h:
            gone[n] = v
            n += 1
    return rehouse(F, S, h, gone, n)


@making(yes(A, A, i, i))
def clear_of_group(F, S, g, h):
    """`rehouse` for the members of group row g on host h: what frees a licence, or brings a group together, is the last one."""
    lo, hi = F[F[GV_PTR] + g], F[F[GV_PTR] + g + 1]
    gone = np.empty(hi - lo, np.int64)
    n = 0
    for i in range(lo, hi):
        if S[S[HOST] + F[F[GV_VM] + i]] == h:
            gone[n] = F[F[GV_VM] + i]
            n += 1
    return n > 0 and rehouse(F, S, h, gone, n)


@making_entry(i(A, A))
def empty_hosts(F, S):
    """Where an empty host is worth something, try to empty each, the one with the fewest VMs first. Returns how many."""
    if F[N_OPENED] == 0:
        return 0
    held = np.zeros(F[H], np.int64)
    for v in range(F[V]):
        held[S[S[HOST] + v]] += 1
    applied = 0
    for _ in range(F[H]):
        least = AWAY
        for h in range(F[H]):
            if held[h] > 0 and (least == AWAY or held[h] < held[least]):
                least = h
        if least == AWAY:
            break
        held[least] = 0
        if empty_host(F, S, least):
            applied += 1
    return applied


@entry(i(A, A))
def move_groups(F, S):
    """Try every group row as a whole on every host, and to clear every host of it. Returns how often something moved."""
    applied = 0
    for g in range(F[N_GROUPS]):
        for h in range(F[H]):
            if move_group(F, S, g, h):
                applied += 1
            if F[F[G_KIND] + g] == TOGETHER and clear_of_group(F, S, g, h):
                applied += 1
    return applied


@kernel(none(A, A, A))
def restore(F, S, host_of):
    """Bring the state back to `host_of`."""
    for v in range(len(host_of)):
        if S[S[HOST] + v] != host_of[v]:
            take(F, S, v)
    for v in range(len(host_of)):
        if S[S[HOST] + v] == AWAY:
            put(F, S, v, host_of[v])


@kernel(none(A, A, i, i, A, A))
def _force(F, S, v, h, price, leaving):
    """Move v to h whatever it costs, if no hard row forbids it."""
    if h == S[S[HOST] + v] or not F[F[MOVABLE] + v]:
        return
    gain_of_leaving(F, S, v, leaving)
    if try_relocate(F, S, v, h, leaving, price):
        take(F, S, v)
        put(F, S, v, h)


@making(none(A, A, i, A, U))
def kick(F, S, strength, hot, seed):
    """A few random steps: send a moved VM home, push a VM off a costly host, or move any VM anywhere."""
    price = np.empty(F[T], np.int64)
    leaving = np.empty(F[T], np.int64)
    v_count, hosts = F[V], F[H]
    costly_hosts(F, S, hot)
    for _ in range(strength):
        what = random_below(seed, 4)
        v = random_below(seed, v_count)
        for _try in range(v_count):
            moved = S[S[HOST] + v] != F[F[HOME] + v]
            if (what <= 1 and moved) or (what == 2 and hot[S[S[HOST] + v]]) or what == 3:
                break
            v = (v + 1) % v_count
        h = F[F[HOME] + v] if what <= 1 else random_below(seed, hosts)
        _force(F, S, v, h, price, leaving)


@kernel(yes(A, A, i))
def _near(cost, best, r):
    """Whether `cost` is close enough to `best` to go on from: within 4 % in the tier that differs, less as rounds pass."""
    margin = 0.04 / (1 + (r % 64) / 8)
    for t in range(len(cost)):
        if cost[t] != best[t]:
            return t > 0 and cost[t] <= best[t] * (1 + margin)
    return True


@making_entry(none(A, A, A, A, A, U, i, i))
def search(F, S, best, best_cost, order, seed, first_round, rounds):
    """Iterated local search: kick, descend, exchange now and then; a worse end is kept within a shrinking margin.

    `best` (V,) and `best_cost` (T,) are updated in place. Rounds are numbered across calls, so that the same rounds in
    smaller helpings give the same answer.
    """
    hot = np.empty(F[H], np.int64)
    for r in range(first_round, first_round + rounds):
        kick(F, S, 1 + random_below(seed, 4), hot, seed)
        descend(F, S, order, seed)
        if r % 8 == 0 or cheaper(F, S, best_cost):
            if swaps(F, S, order, seed):
                descend(F, S, order, seed)
            if move_groups(F, S) + empty_hosts(F, S):
                descend(F, S, order, seed)
        if cheaper(F, S, best_cost) and S[S[BAD]] == 0:
            assign(best_cost, cost_now(F, S))
            for v in range(F[V]):
                best[v] = S[S[HOST] + v]
        elif not _near(cost_now(F, S), best_cost, r):
            restore(F, S, best)
