"""A lower bound for problems of any size: what every host would do alone, if whoever leaves it cost nothing where they go.

Whoever arrives can only raise a cost of use, and whoever leaves pays at least for the migration. So a host costs at least as
much as its best choice of who leaves, and the sum over hosts is a bound. Such a choice has a few VMs and is found by branch and
bound (source_kernels.py); where there is no time for that, its first bound counts. A
budget of migrations is charged at `price` each (Lagrange), and so are repairs: staying where it breaks a rule. A VM that no
host takes for nothing pays for that as well (takers.py). The bound is tight where somebody takes each VM that leaves, and loose
where whole clusters are full and it takes several VMs to fill a host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.budgets import plain_count
from pro.placement.engines.flat import classes
from pro.placement.language import NEVER, Allow, Limit, Linear, Soft, Steps, add_by_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.language import Term
    from pro.placement.problem import Problem


NODES = 20_000
"""Nodes that branch and bound gets for one host."""

NARROW = 1.2
"""Prices of a migration that differ by less are not told apart."""


@dataclass(frozen=True)
class SourceBound:
    """`value`: the tier costs no less. `hosts`: how many could gain by somebody's leaving; `proven`: of how many of these the
    best choice is known; the others count with what they cost at least."""

    value: int
    hosts: int
    proven: int


def source_bound(
    problem: Problem,
    found: Ints,
    tier: int,
    price: int = 0,
    *,
    each: Callable[..., Iterable[Any]] = map,
    left: Callable[[], float] = lambda: 1.0,
    takers: bool = True,
) -> SourceBound | None:
    """What `tier` costs at least, of all placements for which the tiers before it cost no more than for `found` (V,).

    `price`: what one migration of the budget is taken to be worth; any number gives a bound. None: some cost of the tier may
    fall when VMs arrive. `each` maps a function over hosts, for example that of a pool. Without `takers`, whoever leaves costs nothing
    where he goes: quick, and lower.
    """  # fmt: skip
    if not all(_rises(t) for t in problem.tiers[tier].terms):
        return None
    count = plain_count(problem, [r for r in problem.rows if isinstance(r, Limit) and r.when == "moved"])
    charge = 0 if count is None else max(price, 0)
    repair = charge + _usual_price(problem, tier)
    prices = Prices.of(problem, tier, charge, repair)
    sites = Sites(problem, tier, prices)
    hosts = [sites.at(h) for h in sites.hot()]
    free = prices.stays.copy()
    for h in hosts:
        free[h.vms] = 0
    total = int(np.minimum(free, np.where(problem.movable, prices.leaves, free)).sum())
    solved = list(each(lambda h: h.least(left), hosts))
    if takers:
        from pro.placement.engines.takers import with_takers

        solved = with_takers(problem, sites, hosts, solved, each, left)
    total += sum(value for value, _ in solved)
    value = total - charge * (count or 0) - repair * sum(problem.costs(found)[:tier])
    return SourceBound(max(value, 0), len(hosts), sum(done for _, done in solved))


def priced_bound(
    problem: Problem, found: Ints, tier: int, price: int, left: Callable[[], float] = lambda: 1.0
) -> SourceBound | None:
    """The greatest `source_bound` over prices of a migration near `price`, as far as there is time.

    The bound is concave in the price, but for what branch and bound leaves open: quick bounds say where to begin, then one climbs.
    """
    quick: dict[int, SourceBound] = {}
    for charge in sorted({price >> shift for shift in range(4)}, reverse=True):
        if quick and left() <= 0:
            break
        bound = source_bound(problem, found, tier, charge, left=left, takers=False)
        if bound is None:
            return None
        quick[charge] = bound
    at = max(quick, key=lambda charge: quick[charge].value)
    best, factor, tried = quick[at], 2.0, set[int]()
    climbs = [at]
    while climbs and left() > 0:
        charge = climbs.pop(0)
        tried.add(charge)
        bound = source_bound(problem, found, tier, charge, left=left)
        if bound is not None and bound.value > best.value:
            best, at, climbs = bound, charge, []
        while not climbs and factor > NARROW and at:
            climbs = [c for c in (round(at * factor), round(at / factor)) if c not in tried]
            factor = factor if climbs else factor**0.5
    return best


def _rises(term: Term) -> bool:
    """Whether no arrival can make `term` cheaper, and it costs at least 0."""
    if isinstance(term, Steps):
        return term.convex and bool((term.weight >= 0).all())
    if isinstance(term, Linear):
        return bool((term.away >= 0).all()) and (term.table is None or bool((term.table >= 0).all()))
    return True


def _usual_price(problem: Problem, tier: int) -> int:
    """What most VMs pay for a migration; staying where it breaks a rule is charged as much."""
    away = [t.away[problem.movable] for t in problem.tiers[tier].terms if isinstance(t, Linear)]
    return int(np.median(sum(away))) if away and problem.movable.any() else 0


@dataclass(frozen=True)
class Prices:
    """(V,) what each VM pays where it stands, and what it pays at least elsewhere, costs of use apart."""

    stays: Ints
    leaves: Ints

    @classmethod
    def of(cls, problem: Problem, tier: int, charge: int, repair: int) -> Prices:
        v, home = len(problem.home), problem.home
        stays, leaves = np.zeros(v, np.int64), np.full(v, charge, np.int64)
        kinds, allowed = classes([r for r in problem.rows if isinstance(r, Allow)], v, problem.hosts)
        for term in problem.tiers[tier].terms:
            if isinstance(term, Linear):
                leaves += term.away
                if term.table is not None and term.row_of is not None:
                    stays += term.table[term.row_of, home]
                    leaves += term.table.min(axis=1)[term.row_of]
        for before in problem.tiers[:tier]:
            for soft in before.terms:
                if isinstance(soft, Soft) and isinstance(soft.row, Allow):
                    np.add.at(stays, soft.row.vms, np.where(soft.row.hosts[home[soft.row.vms]], 0, soft.price * repair))
        alone = ~problem.movable | (allowed.sum(axis=1)[kinds] < 2)
        leaves[alone] = np.iinfo(np.int64).max // 4
        return cls(stays, leaves)


@dataclass(frozen=True)
class Site:
    """One host: (n, D) `weight` of the VMs `may` (n,) that might leave, (D,) `use` as they stand, (J, D) costs of it, (n,) what
    each gains or pays for leaving besides; `fixed`: what those pay who stay in any case. `arriving` (m, D): VMs that might come,
    each for a `reward` (m,); the first `forced` of them do."""

    host: int
    vms: Ints
    may: Ints
    weight: Ints
    use: Ints
    knots: Ints
    slopes: Ints
    leaving: Ints
    fixed: int
    arriving: Ints
    reward: Ints
    forced: int = 0

    @property
    def idle(self) -> int:
        """What a host whose use costs nothing costs at least."""
        return self.fixed + int(np.minimum(self.leaving, 0).sum())

    def least(self, left: Callable[[], float], nodes: int = NODES) -> tuple[int, bool]:
        """The least cost of any choice of who leaves and who comes, and whether it is the exact one; where not, no more than it."""
        value, proven, _ = self.choice(nodes if left() > 0 else 1)
        return value, proven

    def choice(self, nodes: int) -> tuple[int, bool, NDArray[np.bool_]]:
        """The same, and which of `may` and then of those who might come are not there in a choice as good as any found.

        Whoever might come is there, has the reward, and may leave again for it.
        """
        from pro.placement.engines.source_kernels import least_leaving

        use = self.use + self.arriving.sum(axis=0)
        weight = np.concatenate([self.weight, self.arriving[self.forced :]])
        price = np.concatenate([self.leaving, self.reward[self.forced :]])
        known = self.fixed - int(self.reward[self.forced :].sum())
        gone = price <= 0
        use, known = use - weight[gone].sum(axis=0), known + int(price[gone].sum())
        weight, price = weight[~gone], price[~gone]
        # Costs are convex: the fuller the host, the more a departure is worth.
        dear = (use > self.knots).any(axis=0)
        use, knots, slopes, weight = use[dear], self.knots[:, dear], self.slopes[:, dear], weight[:, dear]
        full = int((slopes * np.maximum(use - knots, 0)).sum())
        saves = full - (slopes * np.maximum((use - weight)[:, None] - knots, 0)).sum(axis=(1, 2))
        worth = np.flatnonzero(saves > price)
        worth = worth[np.argsort(-saves[worth] / price[worth], kind="stable")]
        leaves = np.zeros(len(worth), np.int64)
        found, low = least_leaving(
            *map(np.ascontiguousarray, (use, weight[worth], knots, slopes, price[worth])), nodes, leaves
        )
        absent = gone.copy()
        absent[np.flatnonzero(~gone)[worth[leaves > 0]]] = True
        return known + low, found == low, absent

    def narrow(self, columns: int) -> Site:
        """With its dearest columns alone: costs no more."""
        if len(self.use) <= columns:
            return self
        full = self.use + self.arriving.sum(axis=0)
        cost = (self.slopes * np.maximum(full[None] - self.knots, 0)).sum(axis=0)
        some = np.sort(np.argsort(-cost, kind="stable")[:columns])
        return replace(self, weight=self.weight[:, some], use=self.use[some], knots=self.knots[:, some],
                       slopes=self.slopes[:, some], arriving=self.arriving[:, some])  # fmt: skip

    def glance(self) -> float:
        """No more than the least cost: its dearest column alone, and everyone in slices (a knapsack, solved by hand)."""
        one = self.narrow(1)
        if not one.use.size:
            return float(self.idle - one.reward[one.forced :].sum())
        # Whoever might come is there, has the reward, and may leave again for it.
        price = np.concatenate([one.leaving, one.reward[one.forced :]]).astype(float)
        weight = np.concatenate([one.weight[:, 0], one.arriving[one.forced :, 0]]).astype(float)
        some = weight > 0
        rest = float(np.minimum(price[~some], 0).sum()) - float(one.reward[one.forced :].sum())
        order = np.argsort(price[some] / weight[some])
        gone = np.concatenate([[0.0], np.cumsum(weight[some][order])])
        paid = np.concatenate([[0.0], np.cumsum(price[some][order])])
        full = float(one.use[0] + one.arriving[:, 0].sum())
        at = np.concatenate([gone, np.clip(full - one.knots[:, 0], 0, gone[-1])])
        over = np.maximum(full - at[None] - one.knots, 0)
        return self.fixed + rest + float((np.interp(at, gone, paid) + (one.slopes * over).sum(axis=0)).min())


class Sites:
    """Every host as a `Site`: what its use costs in the tier, and who stands there."""

    def __init__(self, problem: Problem, tier: int, prices: Prices) -> None:
        self.problem, self.prices = problem, prices
        terms = [
            t for t in problem.tiers[tier].terms if isinstance(t, Steps) and t.knots.size and _one_host_each(t.scope)
        ]
        self._order = np.argsort(problem.home, kind="stable")
        self._first = np.searchsorted(problem.home[self._order], np.arange(problem.hosts + 1))
        self.terms = [(t, _by_vm(t, len(problem.home))) for t in terms]

    def hot(self) -> list[int]:
        """Hosts whose use costs something today."""
        found = np.zeros(self.problem.hosts, bool)
        for t, weight in self.terms:
            use = t.base.copy()
            use.flags.writeable = True
            add_by_item(use, t.scope[self.problem.home], weight)
            dear = (use > np.where(t.slopes > 0, t.knots, NEVER).min(axis=0)).any(axis=1)
            found |= (t.scope >= 0) & dear[np.maximum(t.scope, 0)]
        hosts: list[int] = np.flatnonzero(found).tolist()
        return hosts

    def at(self, h: int, arriving: Ints | None = None, rewards: Ints | None = None, forced: int = 0) -> Site:
        """Host h; `rewards` (V,): what `arriving` get for coming, and those who stand here are charged for leaving."""
        vms, come = self._order[self._first[h] : self._first[h + 1]], np.zeros(0, np.int64)
        come = come if arriving is None else arriving
        prices, may = self.prices, vms[self.problem.movable[vms]]
        leaving, reward = prices.leaves[may] - prices.stays[may], np.zeros(len(come), np.int64)
        if rewards is not None:
            leaving, reward = leaving + rewards[may], rewards[come]
        use, knots, slopes, weight, more = self._columns(h, vms, may, come)
        return Site(h, vms, may, weight, use, knots, slopes, leaving, int(prices.stays[vms].sum()),
                    more, reward, forced)  # fmt: skip

    def _columns(self, h: int, vms: Ints, may: Ints, come: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        """Use, knots, slopes, weights of `may` and of `come`, in those columns that may cost something."""
        found: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []
        for t, weight in self.terms:
            s = int(t.scope[h])
            if s < 0:
                continue
            use = t.base[s] + weight[vms].sum(axis=0)
            full = use + weight[come].sum(axis=0)
            dear = ((full[None] > t.knots[:, s]) & (t.slopes[:, s] > 0)).any(axis=0)
            if dear.any():
                found.append(
                    (use[dear], t.knots[:, s, dear], t.slopes[:, s, dear], weight[may][:, dear], weight[come][:, dear])
                )
        if not found:
            none, flat = np.zeros(0, np.int64), np.zeros((1, 0), np.int64)
            return none, flat, flat, np.zeros((len(may), 0), np.int64), np.zeros((len(come), 0), np.int64)
        most = max(len(k) for _, k, *_ in found)
        return (
            np.concatenate([u for u, *_ in found]),
            np.concatenate([_padded(k, most) for _, k, *_ in found], axis=1),
            np.concatenate([_padded(c, most) for _, _, c, *_ in found], axis=1),
            np.concatenate([w for *_, w, _ in found], axis=1),
            np.concatenate([w for *_, w in found], axis=1),
        )


def _by_vm(term: Steps, vms: int) -> Ints:
    """(V, D) weight of every VM."""
    if len(term.vms) == vms and np.array_equal(term.vms, np.arange(vms)):
        return term.weight
    weight = np.zeros((vms, term.weight.shape[1]), np.int64)
    np.add.at(weight, term.vms, term.weight)
    return weight


def _one_host_each(scope: Ints) -> bool:
    inside = scope[scope >= 0]
    return len(np.unique(inside)) == len(inside)


def _padded(rows: Ints, most: int) -> Ints:
    return np.concatenate([rows, np.zeros((most - len(rows), rows.shape[1]), np.int64)])
