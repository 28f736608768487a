"""Inner loop of the bound by sources, compiled by numba: who of a host's VMs leaves, at the least cost in all.

Depth first, branch and bound. Costs of use are convex, so what a departure saves only shrinks as others leave: whoever is not worth
its price now never is, and what a set saves is at most the sum of what each saves alone. The cheapest fractional set that could
save all there is to save is then a bound (a knapsack, solved by its ratios).
"""

from __future__ import annotations

import numpy as np
from numba import int64
from numba.types import UniTuple

from pro.core.compiled import kernel, making_entry
from pro.placement.engines.kernels import A, i

A2 = int64[:, ::1]


@kernel(i(A, A2, A2))
def _cost(use, knots, slopes):
    """What `use` (D,) costs over `knots` (J, D)."""
    total = 0
    for j in range(knots.shape[0]):
        for d in range(len(use)):
            if use[d] > knots[j, d]:
                total += slopes[j, d] * (use[d] - knots[j, d])
    return total


@kernel(i(A, A, A2, A2))
def _after(use, weight, knots, slopes):
    """What `use` less `weight` costs."""
    total = 0
    for j in range(knots.shape[0]):
        for d in range(len(use)):
            over = use[d] - weight[d] - knots[j, d]
            if over > 0:
                total += slopes[j, d] * over
    return total


@kernel(i(A, A2, A2, A2, A, i, i, A, A))
def _least_below(use, weight, knots, slopes, price, first, now, saves, rest):
    """At least so much do items from `first` on and the use they leave cost; `now`: what `use` costs. Fills `saves` (n,), 0 where an
    item is not worth its price. `rest` (D,) is overwritten."""
    for d in range(len(use)):
        rest[d] = use[d]
    for k in range(first, len(price)):
        saves[k] = now - _after(use, weight[k], knots, slopes)
        if saves[k] <= price[k]:
            saves[k] = 0
        else:
            for d in range(len(use)):
                rest[d] -= weight[k, d]
    need = now - _cost(rest, knots, slopes)
    total = now - need
    # Items are taken by ratio; those taken are marked by the sign.
    while need > 0:
        best = -1
        for k in range(first, len(price)):
            if saves[k] > 0 and (best < 0 or float(saves[k]) * price[best] > float(saves[best]) * price[k]):
                best = k
        if best < 0:
            break
        if saves[best] >= need:
            total += int64(np.floor(float(price[best]) * (float(need) / float(saves[best])) * (1 - 1e-9)))
        else:
            total += price[best]
        need -= saves[best]
        saves[best] = -saves[best]
    for k in range(first, len(price)):
        saves[k] = abs(saves[k])
    return total


@making_entry(UniTuple(int64, 2)(A, A2, A2, A2, A, i, A))
def least_leaving(use, weight, knots, slopes, price, limit, leaves):
    """(least cost found, proven lower bound) over sets of items that leave: what `use` (D,) less their `weight` (n, D) costs, and
    their `price` (n,), each > 0. At most `limit` nodes; items are tried in the order given. `leaves` (n,): 1 for those of the set."""
    n = len(price)
    u, rest, saves = use.copy(), np.empty(len(use), np.int64), np.zeros(n, np.int64)
    item, left = np.empty(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for k in range(n):
        leaves[k] = 0
    best = _cost(u, knots, slopes)
    low = best
    depth, first, paid, nodes, abandoned = 0, 0, 0, 0, False
    while True:
        now = _cost(u, knots, slopes)
        if paid + now < best:
            best = paid + now
            for k in range(n):
                leaves[k] = 0
            for k in range(depth):
                leaves[item[k]] = left[k]
        bound = paid + _least_below(u, weight, knots, slopes, price, first, now, saves, rest)
        branch = n
        if bound < best:
            if nodes >= limit:
                low = min(low, bound)
                abandoned = True
            else:
                for k in range(first, n):
                    if saves[k] > 0:
                        branch = k
                        break
        nodes += 1
        if branch < n:
            item[depth], left[depth] = branch, 1
            paid += price[branch]
            for d in range(len(u)):
                u[d] -= weight[branch, d]
            depth += 1
            first = branch + 1
            continue
        while depth > 0 and left[depth - 1] == 0:
            depth -= 1
        if depth == 0:
            break
        k = item[depth - 1]
        left[depth - 1] = 0
        paid -= price[k]
        for d in range(len(u)):
            u[d] += weight[k, d]
        first = k + 1
    return best, (min(low, best) if abandoned else best)
