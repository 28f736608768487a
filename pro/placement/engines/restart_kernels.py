"""Restarting the VMs of failed hosts, compiled by numba: first a quick packing, then repairs of it, and what can be proven cheaply.

`F` is one int64 array, as in kernels.py: a header of sizes and offsets, then the arrays end to end (see restart.py). The state is
`at` (V,): where each VM stands, -1 while it is down; `before` (V,): the same just before the failure, -1 for VMs that stay down;
`use` and `was`: what wide Limits count now and counted before that. Narrow rows are counted by looking at their few members.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, int64, void

from pro.core.compiled import kernel, making, making_entry

SIZES = ("V", "H", "USE", "MARKS", "MAIN")
ARRAYS = (
    "HA", "SIZE", "CLS",  # (V,) restarts when its host fails; weight in the main Limit; class
    "ALLOWED",  # (C, H) 0/1
    "OPEN", "CLUSTER",  # (H,) takes restarts; code, -1: none
    "SCOPE",  # (distinct scopes, H)
    "KIND", "R_SCOPE", "DIMS", "BOUND", "U_OFF", "L_OFF", "STRIDE", "W_OFF",  # (rows,); U_OFF -1: narrow
    "UPPER", "BASE",  # by L_OFF: [item][dim], or one item for all where STRIDE is 0
    "A_PTR", "A_VM", "B_PTR", "B_VM",  # members of rows; B_VM only for Near
    "WEIGHT",  # by W_OFF: [member][dim]
    "T_OFF", "HEAVY",  # (rows,), -1: every item weighs 1; what items weigh in a Together, item -1 first
    "M_PTR", "M_ROW", "M_OFF",  # rows of VMs: slices by VM, offset of the weights
)  # fmt: skip
(
    V, H, USE, MARKS, MAIN,
    HA, SIZE, CLS, ALLOWED, OPEN, CLUSTER, SCOPE,
    KIND, R_SCOPE, DIMS, BOUND, U_OFF, L_OFF, STRIDE, W_OFF, UPPER, BASE, A_PTR, A_VM, B_PTR, B_VM, WEIGHT,
    T_OFF, HEAVY, M_PTR, M_ROW, M_OFF,
) = range(len(SIZES) + len(ARRAYS))  # fmt: skip
LIMIT, AT_LEAST, TOGETHER, NEAR = 0, 1, 2, 3

A, i, yes, none = int64[::1], int64, boolean, void


@kernel(i(A, i, i))
def _item(F, r, h):
    """Scope item of host h in row r."""
    return F[F[SCOPE] + F[F[R_SCOPE] + r] * F[H] + h]


@kernel(none(A, A, i, i, i))
def _count(F, use, v, h, sign):
    """Count v on host h in every wide Limit."""
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        r = F[F[M_ROW] + m]
        offset = F[F[U_OFF] + r]
        if offset < 0:
            continue
        item = _item(F, r, h)
        if item >= 0:
            dims = F[F[DIMS] + r]
            for d in range(dims):
                use[offset + item * dims + d] += sign * F[F[WEIGHT] + F[F[M_OFF] + m] + d]


@kernel(i(A, A, A, i, i, i))
def _load(F, at, use, r, item, d):
    """What Limit r counts in an item, in dimension d."""
    dims = F[F[DIMS] + r]
    offset = F[F[U_OFF] + r]
    if offset >= 0:
        return use[offset + item * dims + d]
    total = F[F[BASE] + F[F[L_OFF] + r] + item * F[F[STRIDE] + r] + d]
    first = F[F[A_PTR] + r]
    for m in range(first, F[F[A_PTR] + r + 1]):
        u = F[F[A_VM] + m]
        if at[u] >= 0 and _item(F, r, at[u]) == item:
            total += F[F[WEIGHT] + F[F[W_OFF] + r] + (m - first) * dims + d]
    return total


@kernel(i(A, A, A, i, yes))
def _items(F, at, mark, r, outside):
    """How many different items the members of r stand in, or their weight; `outside`: hosts of no item count as one."""
    mark[0] += 1
    heavy = F[F[T_OFF] + r]
    found = 0
    for m in range(F[F[A_PTR] + r], F[F[A_PTR] + r + 1]):
        u = F[F[A_VM] + m]
        if at[u] < 0:
            continue
        item = _item(F, r, at[u])
        if (item >= 0 or outside) and mark[item + 2] != mark[0]:
            mark[item + 2] = mark[0]
            found += 1 if heavy < 0 else F[F[HEAVY] + heavy + item + 1]
    return found


@kernel(i(A, A, A, i))
def _lonely(F, at, mark, r):
    """How many items hold an `a` of r and no `b`."""
    mark[0] += 2
    near, alone = mark[0] - 1, mark[0]
    for m in range(F[F[B_PTR] + r], F[F[B_PTR] + r + 1]):
        u = F[F[B_VM] + m]
        if at[u] >= 0:
            mark[_item(F, r, at[u]) + 2] = near
    found = 0
    for m in range(F[F[A_PTR] + r], F[F[A_PTR] + r + 1]):
        u = F[F[A_VM] + m]
        if at[u] < 0:
            continue
        item = _item(F, r, at[u])
        if item >= 0 and mark[item + 2] != near and mark[item + 2] != alone:
            mark[item + 2] = alone
            found += 1
    return found


@kernel(i(A, A, A, i, i))
def _down(F, at, before, r, b):
    """How many members of r (its `b` if b is 1) are still to be restarted."""
    pointer, vms = (F[B_PTR], F[B_VM]) if b else (F[A_PTR], F[A_VM])
    found = 0
    for m in range(F[pointer + r], F[pointer + r + 1]):
        u = F[vms + m]
        if at[u] < 0 and before[u] >= 0:
            found += 1
    return found


@kernel(yes(A, A, A, A, A, A, i, i))
def _limit_holds(F, at, before, use, was, mark, m, h):
    """Whether the Limit of membership m stays within its bound, or within what was there before, with its VM at h."""
    r = F[F[M_ROW] + m]
    item = _item(F, r, h)
    if item < 0:
        return True
    wide = F[F[U_OFF] + r] >= 0
    for d in range(F[F[DIMS] + r]):
        weight = F[F[WEIGHT] + F[F[M_OFF] + m] + d]
        load = _load(F, at, use, r, item, d) + (weight if wide else 0)
        upper = F[F[UPPER] + F[F[L_OFF] + r] + item * F[F[STRIDE] + r] + d]
        if load > upper and weight > 0 and load > _load(F, before, was, r, item, d):
            return False
    return True


@kernel(yes(A, A, A, A, A, A, i, i))
def _fits(F, at, before, use, was, mark, v, h):
    """Whether v, which is down, may be restarted on h: then at[v] is h, else it is as before. Wide Limits are not counted yet."""
    at[v] = h
    for m in range(F[F[M_PTR] + v], F[F[M_PTR] + v + 1]):
        r = F[F[M_ROW] + m]
        kind, bound = F[F[KIND] + r], F[F[BOUND] + r]
        if kind == LIMIT:
            good = _limit_holds(F, at, before, use, was, mark, m, h)
        elif kind == AT_LEAST:
            lacking = bound - _down(F, at, before, r, 0)
            good = True
            if lacking > 0:
                stand = _items(F, at, mark, r, False)
                good = stand >= lacking or stand + _down(F, at, before, r, 0) >= _items(F, before, mark, r, False)
        elif kind == TOGETHER:
            stand = _items(F, at, mark, r, True)
            good = stand <= bound or stand <= _items(F, before, mark, r, True)
        else:
            alone = _lonely(F, at, mark, r) - _down(F, at, before, r, 1)
            good = alone <= bound or alone <= _lonely(F, before, mark, r)
        if not good:
            at[v] = -1
            return False
    return True


@kernel(yes(A, i, i))
def _allowed(F, v, h):
    return F[F[ALLOWED] + F[F[CLS] + v] * F[H] + h] == 1


@kernel(i(A, A, i))
def _room(F, use, h):
    """What is free on h by the main Limit, in its first dimension."""
    r = F[MAIN]
    if r < 0:
        return 0
    item = _item(F, r, h)
    if item < 0:
        return 0
    upper = F[F[UPPER] + F[F[L_OFF] + r] + item * F[F[STRIDE] + r]]
    return upper - use[F[F[U_OFF] + r] + item * F[F[DIMS] + r]]


@kernel(yes(A, A, A, A, A, A, i, A, i, yes, i))
def _restart(F, at, before, use, was, mark, v, hosts, n, tight, but):
    """Restart v on the allowed host with least room (`tight`) or most; not on host `but`."""
    best, choice = 0, -1
    for j in range(n):
        h = hosts[j]
        if h == but or not _allowed(F, v, h):
            continue
        score = _room(F, use, h) * (-1 if tight else 1)
        if choice >= 0 and score <= best:
            continue
        if _fits(F, at, before, use, was, mark, v, h):
            at[v] = -1
            best, choice = score, h
    if choice < 0:
        return False
    at[v] = choice
    _count(F, use, v, choice, 1)
    return True


@kernel(none(A, A, A, i))
def _take(F, at, use, v):
    _count(F, use, v, at[v], -1)
    at[v] = -1


@kernel(yes(A, A, A, A, A, A, i, A, i, A, i))
def _make_room(F, at, before, use, was, mark, v, hosts, n, order, lost):
    """Restart v in the place of another restarted VM that finds one elsewhere."""
    for j in range(n):
        h = hosts[j]
        if not _allowed(F, v, h):
            continue
        for q in range(lost):
            u = order[q]
            if at[u] != h:
                continue
            _take(F, at, use, u)
            if _fits(F, at, before, use, was, mark, v, h):
                _count(F, use, v, h, 1)
                if _restart(F, at, before, use, was, mark, u, hosts, n, True, h):
                    return True
                _take(F, at, use, v)
            at[u] = h
            _count(F, use, u, h, 1)
    return False


@kernel(i(A, A, A, A, A, A, A, i, A, i, yes))
def _pack(F, at, before, use, was, mark, order, lost, hosts, n, tight):
    """Restart everybody in turn, then make room for those left over; how many find no place."""
    left = 0
    for q in range(lost):
        if not _restart(F, at, before, use, was, mark, order[q], hosts, n, tight, -1):
            left += 1
    if left:
        for q in range(lost):
            if at[order[q]] < 0 and (
                _restart(F, at, before, use, was, mark, order[q], hosts, n, tight, -1)
                or _make_room(F, at, before, use, was, mark, order[q], hosts, n, order, lost)
            ):
                left -= 1
    return left


@kernel(i(A, A, A, A, A, A, A, i, A, i, A))
def _least(F, at, before, use, was, mark, order, lost, hosts, n, choices):
    """At least so many find no place, whoever packs: those no host takes even alone, and those for whom the sum of room is too little.

    `choices` (V,): how many hosts would take each alone. `order` is by falling size.
    """
    hopeless, need = 0, 0
    for q in range(lost):
        v = order[q]
        choices[v] = 0
        for j in range(n):
            if _allowed(F, v, hosts[j]) and _fits(F, at, before, use, was, mark, v, hosts[j]):
                at[v] = -1
                choices[v] += 1
        if choices[v] == 0:
            hopeless += 1
        else:
            need += max(F[F[SIZE] + v], 0)
    if F[MAIN] < 0:
        return hopeless
    room = 0
    for j in range(n):
        room += max(_room(F, use, hosts[j]), 0)
    for q in range(lost):
        if need <= room:
            break
        if choices[order[q]] > 0:
            need -= max(F[F[SIZE] + order[q]], 0)
            hopeless += 1
    return hopeless


@kernel(none(A, i, A))
def _sort(order, n, key):
    """`order[:n]` by rising key; stable. Few and nearly sorted: insertion."""
    for a in range(1, n):
        v = order[a]
        b = a - 1
        while b >= 0 and key[order[b]] > key[v]:
            order[b + 1] = order[b]
            b -= 1
        order[b + 1] = v


@kernel(none(A, A, A, A, A, A, A, i, A, i, A, A, A))
def _solve(F, at, before, use, was, mark, order, lost, hosts, n, key, best, out):
    """Pack the lost VMs twice, in two orders; `out` gets how many find no place, at most and at least; `best` the packing."""
    for q in range(lost):
        key[order[q]] = -F[F[SIZE] + order[q]]
    _sort(order, lost, key)
    most = _pack(F, at, before, use, was, mark, order, lost, hosts, n, True)
    for q in range(lost):
        best[order[q]] = at[order[q]]
        if at[order[q]] >= 0:
            _take(F, at, use, order[q])
    out[0], out[1] = most, 0
    if most == 0:
        return
    out[1] = _least(F, at, before, use, was, mark, order, lost, hosts, n, key)
    if out[1] == most:
        return
    _sort(order, lost, key)
    most = _pack(F, at, before, use, was, mark, order, lost, hosts, n, False)
    for q in range(lost):
        if most < out[0]:
            best[order[q]] = at[order[q]]
        if at[order[q]] >= 0:
            _take(F, at, use, order[q])
    out[0] = min(out[0], most)


@making(none(A, A, A, A))
def _by_host(F, host_of, first, on):
    """VMs of host h are `on[first[h]:first[h + 1]]`, ascending."""
    for v in range(F[V]):
        first[host_of[v] + 1] += 1
    for h in range(F[H]):
        first[h + 1] += first[h]
    filled = first.copy()
    for v in range(F[V]):
        on[filled[host_of[v]]] = v
        filled[host_of[v]] += 1


@kernel(none(A, A, A))
def _count_all(F, host_of, use):
    """What wide Limits count when VMs stand at `host_of`."""
    for r in range(F[R_SCOPE] - F[KIND]):
        if F[F[U_OFF] + r] >= 0:
            for x in range(F[F[L_OFF] + r + 1] - F[F[L_OFF] + r]):
                use[F[F[U_OFF] + r] + x] = F[F[BASE] + F[F[L_OFF] + r] + x]
    for v in range(F[V]):
        _count(F, use, v, host_of[v], 1)


@making(i(A, A, A))
def _survivors(F, failed, hosts):
    """How many hosts of the cluster of `failed` would take restarts; `hosts[:n]` are these."""
    n = 0
    for h in range(F[H]):
        if F[F[CLUSTER] + h] == F[F[CLUSTER] + failed[0]] and F[F[OPEN] + h] == 1 and not np.any(failed == h):
            hosts[n] = h
            n += 1
    return n


@kernel(i(A, A, A, A, A, A, A, A, A))
def _fall(F, failed, first, on, at, before, use, was, order):
    """Take all VMs of the failed hosts down; how many are to be restarted, `order[:n]`. The others leave no trace."""
    lost = 0
    for h in failed:
        for y in range(first[h] if h >= 0 else 0, first[h + 1] if h >= 0 else 0):
            v = on[y]
            _take(F, at, use, v)
            if F[F[HA] + v]:
                order[lost] = v
                lost += 1
            else:
                _take(F, before, was, v)
    return lost


@kernel(none(A, A, A, A, A, A, A, A))
def _recover(F, failed, first, on, at, before, use, was):
    """Undo `_fall`."""
    for h in failed:
        for y in range(first[h] if h >= 0 else 0, first[h + 1] if h >= 0 else 0):
            v = on[y]
            at[v] = h
            _count(F, use, v, h, 1)
            if before[v] < 0:
                before[v] = h
                _count(F, was, v, h, 1)


@making_entry(none(A, A, A, i, A, A))
def drill(F, host_of, sets, width, out, stands):
    """Let each set of hosts fail on its own. `sets` (N x width), -1: none; all hosts of a set of one cluster.

    `out` (N x 2): VMs that find no place, at most (what the packing left) and at least (proven). `stands` (V,): where the last
    set leaves every VM, -1 for those that are down.
    """
    before, at = host_of.copy(), host_of.copy()
    use, mark, key = np.zeros(F[USE], np.int64), np.zeros(F[MARKS], np.int64), np.zeros(F[V], np.int64)
    order, best, hosts = np.empty(F[V], np.int64), np.empty(F[V], np.int64), np.empty(F[H], np.int64)
    first, on = np.zeros(F[H] + 1, np.int64), np.empty(F[V], np.int64)
    _by_host(F, host_of, first, on)
    _count_all(F, host_of, use)
    was = use.copy()
    for s in range(len(sets) // width):
        failed = sets[s * width : (s + 1) * width]
        n = _survivors(F, failed, hosts)
        lost = _fall(F, failed, first, on, at, before, use, was, order)
        _solve(F, at, before, use, was, mark, order, lost, hosts, n, key, best, out[2 * s : 2 * s + 2])
        if s == len(sets) // width - 1:
            stands[:] = at
            for q in range(lost):
                stands[order[q]] = best[order[q]]
        _recover(F, failed, first, on, at, before, use, was)
