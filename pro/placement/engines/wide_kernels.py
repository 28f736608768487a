"""Inner loops of the wide search, compiled by numba: the flat kernels, with dense costs of use beside them.

F and S are the problem and the state of kernels.py; costs of segments go into the same totals. X, the dense part, is
(use, weight, knots, slopes, peak of each host and segment, greatest of each VM and segment, segments, reach_from, reach,
group_of, room for four costs (4, T), for hosts of a group), see wide_form.py. A *front* keeps, for every number of migrations, the best placement seen with so many: its costs
(M, T) and hosts (M, V); with one row, the best of all. `price` is a charge per migration in tier `tier`, on top of its costs.
"""

from __future__ import annotations

import numpy as np
from numba import float64, int32, int64
from numba.types import Tuple

from pro.core.compiled import entry, kernel, making
from pro.placement.engines.flat import (
    CLS,
    G_TIER,
    GM_GROUP,
    GM_PTR,
    GV_PTR,
    GV_VM,
    HOME,
    L_AWAY,
    MOVABLE,
    N_MOST,
    N_OPENED,
    NO_TIER,
    H,
    T,
    V,
)
from pro.placement.engines.kernels import (
    AWAY,
    BAD,
    COST,
    HOST,
    A,
    U,
    _linear_cost,
    assign,
    clear,
    cost_now,
    gain_of_leaving,
    i,
    less,
    none,
    note_cost,
    put,
    random_below,
    room,
    take,
    try_relocate,
    yes,
)

A2, B2, A3, f = int64[:, ::1], int32[:, ::1], int64[:, :, ::1], float64
DENSE = Tuple((B2, B2, A3, A3, A2, A2, A2, A, A, A, A2, A))
UNIT = 1 << 30
AWAY_TRIES = 4


@kernel(i(B2, B2, i, i, i, i, i))
def _rise(use, weight, h, v, first, end, knot):
    """What use of host h over `knot` grows by, summed over columns, when v arrives."""
    total = 0
    for d in range(first, end):
        u = int64(use[h, d]) - knot
        total += max(u + int64(weight[v, d]), 0) - max(u, 0)
    return total


@kernel(i(B2, B2, i, i, i, i, i))
def _fall(use, weight, h, v, first, end, knot):
    """What use of host h over `knot` shrinks by when v leaves."""
    total = 0
    for d in range(first, end):
        u = int64(use[h, d]) - knot
        total += max(u, 0) - max(u - int64(weight[v, d]), 0)
    return total


@kernel(none(DENSE, i, i, A, i))
def _arrive(X, v, h, out, at):
    """Add the change of each tier's dense cost when v arrives on h."""
    use, weight, knots, slopes, peak, top, segments = X[0], X[1], X[2], X[3], X[4], X[5], X[6]
    for s in range(segments.shape[0]):
        most = peak[h, s] + top[v, s]
        for j in range(segments[s, 3]):
            if most <= knots[s, h, j]:
                break
            out[at + segments[s, 2]] += slopes[s, h, j] * _rise(
                use, weight, h, v, segments[s, 0], segments[s, 1], knots[s, h, j]
            )


@kernel(none(DENSE, i, i, A, i))
def _depart(X, v, h, out, at):
    """Add the change of each tier's dense cost when v leaves h."""
    use, weight, knots, slopes, peak, segments = X[0], X[1], X[2], X[3], X[4], X[6]
    for s in range(segments.shape[0]):
        for j in range(segments[s, 3]):
            if peak[h, s] <= knots[s, h, j]:
                break
            out[at + segments[s, 2]] -= slopes[s, h, j] * _fall(
                use, weight, h, v, segments[s, 0], segments[s, 1], knots[s, h, j]
            )


@kernel(none(DENSE, i, i, i))
def _weigh(X, v, h, sign):
    """Put v's weight on host h (sign 1) or take it off (-1), and find its peaks again."""
    use, weight, peak, segments = X[0], X[1], X[4], X[6]
    for s in range(segments.shape[0]):
        highest = int64(-UNIT) * 4
        for d in range(segments[s, 0], segments[s, 1]):
            u = use[h, d] + int32(sign) * weight[v, d]
            use[h, d] = u
            highest = max(highest, int64(u))
        peak[h, s] = highest


@kernel(none(A, A, DENSE))
def _settle(F, S, X):
    """Bring the dense part to where S says that VMs stand, and add its costs."""
    use, knots, slopes, segments = X[0], X[2], X[3], X[6]
    for v in range(F[V]):
        _weigh(X, v, S[S[HOST] + v], 1)
    for h in range(F[H]):
        for s in range(segments.shape[0]):
            highest = int64(-UNIT) * 4
            for d in range(segments[s, 0], segments[s, 1]):
                highest = max(highest, int64(use[h, d]))
                for j in range(segments[s, 3]):
                    S[S[COST] + segments[s, 2]] += slopes[s, h, j] * max(int64(use[h, d]) - knots[s, h, j], 0)
            X[4][h, s] = highest


@kernel(i(A, A, DENSE, i))
def _lift(F, S, X, v):
    """Take v off its host; returns the host."""
    h = S[S[HOST] + v]
    _depart(X, v, h, S, S[COST])
    _weigh(X, v, h, -1)
    return take(F, S, v)


@kernel(none(A, A, DENSE, i, i))
def _drop(F, S, X, v, h):
    """Set v, which is in the hand, down on h. No checks."""
    _arrive(X, v, h, S, S[COST])
    _weigh(X, v, h, 1)
    put(F, S, v, h)


@kernel(none(A, A, DENSE, B2, i))
def _refill(F, S, X, placements, row):
    """Bring the state to a row of `placements`."""
    for v in range(F[V]):
        if S[S[HOST] + v] != placements[row, v]:
            _lift(F, S, X, v)
    for v in range(F[V]):
        if S[S[HOST] + v] == AWAY:
            _drop(F, S, X, v, placements[row, v])


@kernel(i(A, A))
def _moves(F, S):
    """How many VMs are not at home."""
    n = 0
    for v in range(F[V]):
        n += int(S[S[HOST] + v] != F[F[HOME] + v])
    return n


@kernel(none(A, A, A2, B2, i))
def _record(F, S, costs, placements, moved):
    """Keep the state in the front if it is the best with so many migrations."""
    row = moved if len(costs) > 1 else 0
    if S[S[BAD]] > 0 or row >= len(costs):
        return
    for t in range(F[T]):
        if S[S[COST] + t] != costs[row, t]:
            if S[S[COST] + t] > costs[row, t]:
                return
            for k in range(F[T]):
                costs[row, k] = S[S[COST] + k]
            for v in range(F[V]):
                placements[row, v] = S[S[HOST] + v]
            return


@kernel(none(A, A, DENSE, i, A))
def _leave(F, S, X, v, into):
    """Per tier, the change of block and dense costs when v is lifted off its host."""
    gain_of_leaving(F, S, v, into)
    _depart(X, v, S[S[HOST] + v], into, 0)


@kernel(yes(A, A, DENSE, i, i, A, A))
def _ask(F, S, X, v, h, leaving, out):
    """Price v going to h into `out`; False if a hard row forbids it. `leaving` comes from `leave`, or is 0 in the hand."""
    if not try_relocate(F, S, v, h, leaving, out):
        return False
    _arrive(X, v, h, out, 0)
    return True


@kernel(i(A, A, i, i))
def _more(F, S, v, h):
    """How many migrations more there are once v is on h."""
    home = F[F[HOME] + v]
    return int(h != home) - int(S[S[HOST] + v] != home)


@kernel(i(A, A, DENSE, i, i, i, A))
def _best_reach(F, S, X, v, tier, price, best):
    """(host or AWAY, `best` filled with its cost): the cheapest host in v's reach that is cheaper than staying."""
    leaving, out = X[10][0], X[10][1]
    clear(best)
    _leave(F, S, X, v, leaving)
    where = AWAY
    c = F[F[CLS] + v]
    for k in range(X[7][c], X[7][c + 1]):
        h = X[8][k]
        if h != S[S[HOST] + v] and _ask(F, S, X, v, h, leaving, out):
            out[tier] += price * _more(F, S, v, h)
            if less(out, best):
                assign(best, out)
                where = h
    return where


@kernel(i(A, A, DENSE, i, i, i, A, i))
def _may_gain(F, S, X, v, tier, price, most, falling):
    """Whether v's leaving could be worth anything, wherever it goes (a state of `_steepest`): a quick look that spares most VMs the long one.

    0: no; 3: `most`, as a cost, is what it could be worth; 1: that is not known, for where it arrives something may get cheaper: rows of
    groups, opened hosts, most moved, and, where `falling` is 1, costs of use."""
    if F[F[MOVABLE] + v] == 0:
        return 0
    soft = falling == 1 or F[N_OPENED] > 0 or F[N_MOST] > 0
    for m in range(F[F[GM_PTR] + v], F[F[GM_PTR] + v + 1]):
        soft |= F[F[G_TIER] + F[F[GM_GROUP] + m]] != NO_TIER
    if soft:
        return 1
    _leave(F, S, X, v, most)
    a = S[S[HOST] + v]
    _linear_cost(F, v, a, most, 0, -1)
    if a == F[F[HOME] + v]:
        for t in range(F[T]):
            most[t] += F[F[L_AWAY] + t * F[V] + v]
        most[tier] += price
    else:
        most[tier] -= price
    for t in range(F[T]):
        if most[t] != 0:
            return 3 if most[t] < 0 else 0
    return 0


@kernel(none(A, A, DENSE, i, i, A, A2, A, i, i))
def _spoil(F, S, X, v, a, state, best, where, tier, price):
    """v went from a to where it is: mark whose best host must be looked for again; who could gain looks at a."""
    h = S[S[HOST] + v]
    leaving, out = X[10][0], X[10][1]
    for m in range(F[F[GM_PTR] + v], F[F[GM_PTR] + v + 1]):
        g = F[F[GM_GROUP] + m]
        for k in range(F[F[GV_PTR] + g], F[F[GV_PTR] + g + 1]):
            state[F[F[GV_VM] + k]] = 2
    for u in range(F[V]):
        at = S[S[HOST] + u]
        if at in (a, h) or where[u] == a or where[u] == h:
            state[u] = 2
        elif state[u] == 1:
            _leave(F, S, X, u, leaving)
            if _ask(F, S, X, u, a, leaving, out):
                out[tier] += price * _more(F, S, u, a)
                if less(out, best[u]):
                    assign(best[u], out)
                    where[u] = a


@kernel(i(A, A, DENSE, A2, B2, A, A2, A, A))
def _steepest(F, S, X, costs, placements, state, best, where, given):
    """Apply the single relocation that helps most, again and again. Returns how many, fewer than the limit at the end.

    `state` (V,): 0 cannot gain, 1 `best` and `where` are known, 2 to be looked at, 3 `best` is what it could be worth at most: where to is
    asked only if nobody is known to be worth more. `given`: tier, price, limit, falling.
    """
    tier, price, limit, falling = given[0], given[1], given[2], given[3]
    leaving, out = X[10][2], X[10][3]
    moved = _moves(F, S)
    done, sure = 0, False
    while done < limit:
        who = AWAY
        for v in range(F[V]):
            if state[v] == 2:
                state[v] = _may_gain(F, S, X, v, tier, price, best[v], falling)
                where[v] = AWAY
                if state[v] == 1:
                    where[v] = _best_reach(F, S, X, v, tier, price, best[v])
            if (state[v] == 3 or where[v] != AWAY) and (who == AWAY or less(best[v], best[who])):
                who = v
        if who == AWAY:
            if sure:
                return done
            sure = True
            state[:] = 2
            continue
        if state[who] == 3:
            state[who] = 1
            where[who] = _best_reach(F, S, X, who, tier, price, best[who])
            continue
        _leave(F, S, X, who, leaving)
        h = where[who]
        fits = _ask(F, S, X, who, h, leaving, out)
        out[tier] += price * _more(F, S, who, h)
        if not fits or less(out, best[who]) or less(best[who], out):
            state[who] = 2
            continue
        moved += _more(F, S, who, h)
        a = _lift(F, S, X, who)
        _drop(F, S, X, who, h)
        _record(F, S, costs, placements, moved)
        where[who] = AWAY
        _spoil(F, S, X, who, a, state, best, where, tier, price)
        state[who] = 2
        done += 1
        sure = False
    return done


@kernel(yes(A, i, i, i, f, U))
def _accept(change, tier, price, more_moves, warmth, seed):
    """Metropolis in `tier`; tiers before it never get worse, tiers after it break ties."""
    for t in range(tier):
        if change[t] != 0:
            return change[t] < 0
    worse = change[tier] + price * more_moves
    if worse == 0:
        for t in range(tier + 1, len(change)):
            if change[t] != 0:
                return change[t] < 0 or random_below(seed, 8) == 0
        return True
    if worse < 0:
        return True
    if warmth <= 0.0 or worse > 30.0 * warmth:
        return False
    return random_below(seed, UNIT) < np.exp(-float(worse) / warmth) * UNIT


@kernel(none(A, A, DENSE, i, A, A, A))
def _look_around(F, S, X, tier, hot, first, order):
    """`hot` (H + 1,): dense cost of hosts in `tier` so far; `order` (V,) VMs by host, from `first` (H + 1,) on."""
    use, knots, slopes, segments = X[0], X[2], X[3], X[6]
    hot[0] = 0
    clear(first)
    for h in range(F[H]):
        cost = 0
        for s in range(segments.shape[0]):
            if segments[s, 2] == tier:
                for j in range(segments[s, 3]):
                    if X[4][h, s] <= knots[s, h, j]:
                        break
                    for d in range(segments[s, 0], segments[s, 1]):
                        cost += slopes[s, h, j] * max(int64(use[h, d]) - knots[s, h, j], 0)
        hot[h + 1] = hot[h] + (cost >> 10)
    for v in range(F[V]):
        first[S[S[HOST] + v] + 1] += 1
    for h in range(F[H]):
        first[h + 1] += first[h]
    for v in range(F[V]):
        h = S[S[HOST] + v]
        order[first[h]] = v
        first[h] += 1
    for h in range(F[H], 0, -1):
        first[h] = first[h - 1]
    first[0] = 0


@kernel(i(A, U))
def _by_heat(hot, seed):
    """A host, the hotter the likelier; any when none is."""
    hosts = len(hot) - 1
    if hot[hosts] <= 0 or random_below(seed, 8) == 0:
        return random_below(seed, hosts)
    x = random_below(seed, hot[hosts])
    low, high = 0, hosts
    while high - low > 1:
        middle = (low + high) // 2
        if hot[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@kernel(i(A, A, DENSE, i, U))
def _within_reach(F, S, X, v, seed):
    """A host in v's reach other than its own; AWAY if there is none."""
    c = F[F[CLS] + v]
    n = X[7][c + 1] - X[7][c]
    for _ in range(AWAY_TRIES):
        if n > 0:
            h = X[8][X[7][c] + random_below(seed, n)]
            if h != S[S[HOST] + v]:
                return h
    return AWAY


@kernel(i(A, A, DENSE, i, i, A, A, U))
def _shift(F, S, X, v, h, given, out, seed):
    """Try v on h. Returns how many migrations more, or 9: not done."""
    leaving = X[10][0]
    _leave(F, S, X, v, leaving)
    by = _more(F, S, v, h)
    if _ask(F, S, X, v, h, leaving, out) and _accept(out, given[0], given[1], by, float(given[2]), seed):
        _lift(F, S, X, v)
        _drop(F, S, X, v, h)
        return by
    return 9


@kernel(i(A, A, DENSE, i, i, A, A, U))
def _instead(F, S, X, u, v, given, out, seed):
    """Send u home, and v to where u was or elsewhere instead. Returns how many migrations more, or 9: not done."""
    b, home = S[S[HOST] + u], F[F[HOME] + u]
    leaving, before = X[10][0], X[10][1]
    note_cost(F, S, before)
    _leave(F, S, X, u, leaving)
    if not _ask(F, S, X, u, home, leaving, out):
        return 9
    _lift(F, S, X, u)
    _drop(F, S, X, u, home)
    h = b if random_below(seed, 2) == 0 else _within_reach(F, S, X, v, seed)
    if h != AWAY and h != S[S[HOST] + v]:
        _leave(F, S, X, v, leaving)
        by = _more(F, S, v, h) - 1
        if _ask(F, S, X, v, h, leaving, out):
            for t in range(F[T]):
                out[t] += S[S[COST] + t] - before[t]
            if _accept(out, given[0], given[1], by, float(given[2]), seed):
                _lift(F, S, X, v)
                _drop(F, S, X, v, h)
                return by
    _lift(F, S, X, u)
    _drop(F, S, X, u, b)
    return 9


@kernel(i(A, A, DENSE, i, i, A, A, U))
def _exchange(F, S, X, v, u, given, out, seed):
    """Exchange the hosts of v and u. Returns how many migrations more, or 9: not done."""
    a, b = S[S[HOST] + v], S[S[HOST] + u]
    by, before = _more(F, S, v, b) + _more(F, S, u, a), X[10][1]
    note_cost(F, S, before)
    _lift(F, S, X, u)
    _lift(F, S, X, v)
    done = False
    if room(F, S, v, AWAY, b):
        _drop(F, S, X, v, b)
        if room(F, S, u, AWAY, a):
            _drop(F, S, X, u, a)
            for t in range(F[T]):
                out[t] = S[S[COST] + t] - before[t]
            done = S[S[BAD]] == 0 and _accept(out, given[0], given[1], by, float(given[2]), seed)
            if not done:
                _lift(F, S, X, u)
        if not done:
            _lift(F, S, X, v)
    if done:
        return by
    _drop(F, S, X, v, a)
    _drop(F, S, X, u, b)
    return 9


@kernel(i(A, A, DENSE, i, i, A, A, U))
def _together(F, S, X, g, h, given, out, seed):
    """Move all of group row g to h. Returns how many migrations more, or 99: not done."""
    low, high = F[F[GV_PTR] + g], F[F[GV_PTR] + g + 1]
    by, before, old = 0, X[10][1], X[11]
    note_cost(F, S, before)
    for k in range(low, high):
        v = F[F[GV_VM] + k]
        by += _more(F, S, v, h)
        old[k - low] = _lift(F, S, X, v)
    landed = 0
    for k in range(low, high):
        v = F[F[GV_VM] + k]
        if not room(F, S, v, AWAY, h):
            break
        _drop(F, S, X, v, h)
        landed += 1
    if landed == high - low and S[S[BAD]] == 0:
        for t in range(F[T]):
            out[t] = S[S[COST] + t] - before[t]
        if _accept(out, given[0], given[1], by, float(given[2]), seed):
            return by
    for k in range(low, high):
        v = F[F[GV_VM] + k]
        if S[S[HOST] + v] != AWAY:
            _lift(F, S, X, v)
        _drop(F, S, X, v, old[k - low])
    return 99


@kernel(none(A, A, DENSE, A2, B2, A, U, A, A, A, A))
def _wander_with(F, S, X, costs, placements, given, seed, hot, first, order, away):
    """The same with room for how hot hosts are, where each one's VMs begin in their order by host, and VMs that have moved."""
    vms, out = F[V], X[10][3]
    moved, gone = _moves(F, S), 0
    for n in range(given[3]):
        if n & 1023 == 0:
            _look_around(F, S, X, given[0], hot, first, order)
            gone = 0
            for v in range(vms):
                if S[S[HOST] + v] != F[F[HOME] + v]:
                    away[gone] = v
                    gone += 1
        what = random_below(seed, 16)
        by = 9
        v = AWAY
        if what < 6 or gone == 0:
            h = _by_heat(hot, seed)
            if first[h + 1] > first[h]:
                v = order[first[h] + random_below(seed, first[h + 1] - first[h])]
        elif what < 13:
            v = away[random_below(seed, gone)]
        else:
            v = order[random_below(seed, vms)]
        if v == AWAY or F[F[MOVABLE] + v] == 0:
            continue
        home = F[F[HOME] + v]
        if what < 6 or gone == 0:
            to = _within_reach(F, S, X, v, seed)
            if to == AWAY:
                continue
            g = X[9][v]
            if g >= 0:
                by = _together(F, S, X, g, to, given, out, seed)
                by = 9 if by == 99 else by
                if by == 9:
                    continue
                moved += by
                _record(F, S, costs, placements, moved)
                continue
            if what == 0 and S[S[HOST] + v] != to and first[to + 1] > first[to]:
                u = order[first[to] + random_below(seed, first[to + 1] - first[to])]
                if F[F[MOVABLE] + u] and S[S[HOST] + u] != S[S[HOST] + v]:
                    by = _exchange(F, S, X, v, u, given, out, seed)
            else:
                by = _shift(F, S, X, v, to, given, out, seed)
        elif what < 8:
            if S[S[HOST] + v] != home:
                by = _shift(F, S, X, v, home, given, out, seed)
        elif what < 10:
            to = _within_reach(F, S, X, v, seed)
            if to != AWAY:
                by = _shift(F, S, X, v, to, given, out, seed)
        elif what < 13:
            if S[S[HOST] + v] != home:
                from_ = home if random_below(seed, 4) > 0 else _by_heat(hot, seed)
                if first[from_ + 1] > first[from_]:
                    u = order[first[from_] + random_below(seed, first[from_ + 1] - first[from_])]
                    if u != v and F[F[MOVABLE] + u]:
                        by = _instead(F, S, X, v, u, given, out, seed)
        else:
            to = _within_reach(F, S, X, v, seed)
            if to != AWAY:
                by = _shift(F, S, X, v, to, given, out, seed)
        if by != 9:
            moved += by
            _record(F, S, costs, placements, moved)


@making(none(A, A, DENSE, A2, B2, A, U))
def _wander(F, S, X, costs, placements, given, seed):
    """Many small tries, worse ones accepted while it is warm; what is best for its number of migrations goes to the front.

    `given`: tier, price, warmth (in units of cost), tries.
    """
    hot, first = np.empty(F[H] + 1, np.int64), np.empty(F[H] + 1, np.int64)
    order, away = np.empty(F[V], np.int64), np.empty(F[V], np.int64)
    _wander_with(F, S, X, costs, placements, given, seed, hot, first, order, away)


@kernel(i(A, A, DENSE, A2, B2, A, U))
def _gather(F, S, X, costs, placements, given, seed):
    """Try every group that must stand together as a whole on every host of the reach of its first. Returns how many moved."""
    out = X[10][3]
    moved, done, last = _moves(F, S), 0, -1
    for v in range(F[V]):
        g = X[9][v]
        if g < 0 or F[F[GV_VM] + F[F[GV_PTR] + g]] != v or g == last:
            continue
        last = g
        c = F[F[CLS] + v]
        for k in range(X[7][c], X[7][c + 1]):
            if X[8][k] != S[S[HOST] + v]:
                by = _together(F, S, X, g, X[8][k], given, out, seed)
                if by != 99:
                    moved += by
                    done += 1
                    _record(F, S, costs, placements, moved)
    return done


@making(i(A, A, DENSE, A2, B2, A))
def _empty(F, S, X, costs, placements, given):
    """Where an empty host is worth something, try to empty each of them. Returns how many were."""
    if F[N_OPENED] == 0:
        return 0
    none_ = np.zeros(F[T], np.int64)
    out = np.empty(F[T], np.int64)
    best = np.empty(F[T], np.int64)
    gone = np.empty(F[V], np.int64)
    held = np.zeros(F[H], np.int64)
    for v in range(F[V]):
        held[S[S[HOST] + v]] += 1
    done = 0
    for _ in range(F[H]):
        h = AWAY
        for k in range(F[H]):
            if held[k] > 0 and (h == AWAY or held[k] < held[h]):
                h = k
        if h == AWAY:
            break
        held[h] = 0
        before = cost_now(F, S)
        moved, n, landed = _moves(F, S), 0, 0
        for v in range(F[V]):
            if S[S[HOST] + v] == h:
                gone[n] = v
                n += 1
                _lift(F, S, X, v)
        for k in range(n):
            v, where = gone[k], AWAY
            bad = S[S[BAD]]
            S[S[BAD]] = 0
            c = F[F[CLS] + v]
            for r in range(X[7][c], X[7][c + 1]):
                if X[8][r] != h and _ask(F, S, X, v, X[8][r], none_, out) and (where == AWAY or less(out, best)):
                    assign(best, out)
                    where = X[8][r]
            S[S[BAD]] = bad
            if where == AWAY:
                break
            _drop(F, S, X, v, where)
            landed += 1
        by = _moves(F, S) - moved
        for t in range(F[T]):
            out[t] = S[S[COST] + t] - before[t]
        out[given[0]] += given[1] * by
        clear(none_)
        if n > 0 and landed == n and S[S[BAD]] == 0 and less(out, none_):
            done += 1
            _record(F, S, costs, placements, _moves(F, S))
            continue
        for k in range(n):
            if S[S[HOST] + gone[k]] != AWAY:
                _lift(F, S, X, gone[k])
            _drop(F, S, X, gone[k], h)
    return done


SETTLE, REFILL, STEEPEST, GATHER, EMPTY, WANDER = range(6)


@entry(i(A, A, DENSE, A2, B2, A, A2, A, A, U))
def work(F, S, X, costs, placements, state, best, where, given, seed):
    """The one way in, so that all this is compiled once. `given`: tier, price, and what `what` needs; last: `what`.

    SETTLE; REFILL: row of the front; STEEPEST: limit, falling; GATHER, EMPTY: 0 (cold); WANDER: warmth, tries.
    """
    what = given[len(given) - 1]
    if what == SETTLE:
        _settle(F, S, X)
        _record(F, S, costs, placements, _moves(F, S))
    elif what == REFILL:
        _refill(F, S, X, placements, given[2])
    elif what == STEEPEST:
        return _steepest(F, S, X, costs, placements, state, best, where, given)
    elif what == GATHER:
        return _gather(F, S, X, costs, placements, given, seed)
    elif what == EMPTY:
        return _empty(F, S, X, costs, placements, given)
    else:
        _wander(F, S, X, costs, placements, given, seed)
    return 0
