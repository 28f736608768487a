"""A lower bound for problems of any size: what every host would do alone, if whoever leaves it cost nothing where they go.

Whoever arrives can only raise a cost of use, and whoever leaves pays at least for the migration. So a host costs at least as
much as its best choice of who leaves, and the sum over hosts is a bound. Such a choice has a few VMs and is solved by CP-SAT;
where there is no time for that, a convex cost falls by at most the sum of what it falls by for each VM that leaves alone. A
budget of migrations is charged at `price` each (Lagrange), and so are repairs: staying where it breaks a rule. The bound is
tight where most hosts are cool, and loose where whole clusters are full: there nobody leaves for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.budgets import plain_count
from pro.placement.engines.flat import classes
from pro.placement.language import Allow, Limit, Linear, Soft, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from pro.placement.language import Term
    from pro.placement.problem import Problem

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

EFFORT = 0.2
"""Deterministic seconds that CP-SAT gets for one host."""


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
) -> SourceBound | None:
    """What `tier` costs at least, of all placements for which the tiers before it cost no more than for `found` (V,).

    `price`: what one migration of the budget is taken to be worth; any number gives a bound. None: some cost of the tier may
    fall when VMs arrive. `each` maps a function over hosts, for example that of a pool.
    """  # fmt: skip
    if not all(_rises(t) for t in problem.tiers[tier].terms):
        return None
    count = plain_count(problem, [r for r in problem.rows if isinstance(r, Limit) and r.when == "moved"])
    charge = 0 if count is None else max(price, 0)
    repair = charge + _usual_price(problem, tier)
    prices = _Prices.of(problem, tier, charge, repair)
    hosts = [h for h in _by_host(problem, tier, prices) if h is not None]
    free = prices.stays.copy()
    for h in hosts:
        free[h.vms] = 0
    total = int(np.minimum(free, np.where(problem.movable, prices.leaves, free)).sum())
    solved = list(each(lambda h: h.least(left), hosts))
    total += sum(value for value, _ in solved)
    value = total - charge * (count or 0) - repair * sum(problem.costs(found)[:tier])
    return SourceBound(max(value, 0), len(hosts), sum(done for _, done in solved))


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
class _Prices:
    """(V,) what each VM pays where it stands, and what it pays at least elsewhere, costs of use apart."""

    stays: Ints
    leaves: Ints

    @classmethod
    def of(cls, problem: Problem, tier: int, charge: int, repair: int) -> _Prices:
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
class _Host:
    """One host that costs something: (n, D) `weight` of the VMs that might leave, (D,) `use` as they stand, (J, D) costs of it,
    (n,) what each gains or pays for leaving besides; `fixed`: what those pay who stay in any case."""

    vms: Ints
    weight: Ints
    use: Ints
    knots: Ints
    slopes: Ints
    leaving: Ints
    fixed: int

    def least(self, left: Callable[[], float]) -> tuple[int, bool]:
        """The least cost of any choice of who leaves, and whether it is the exact one."""
        over = self.use[None] - self.knots
        today = int((self.slopes * np.maximum(over, 0)).sum())
        saves = np.array([today - int((self.slopes * np.maximum(over - w, 0)).sum()) for w in self.weight], np.int64)
        worth = np.flatnonzero(saves > self.leaving)
        apart = today - int((saves - self.leaving)[worth].sum())
        if len(worth) < 2:
            return self.fixed + apart, True
        if left() <= 0:
            return self.fixed + max(apart, int(np.minimum(self.leaving[worth], 0).sum())), False
        value, proven = self._solve(worth, over)
        return self.fixed + value, proven

    def _solve(self, worth: Ints, over: Ints) -> tuple[int, bool]:
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        leaves = [model.new_bool_var("") for _ in worth]
        terms, prices = list(leaves), self.leaving[worth].tolist()
        for j, d in zip(*np.nonzero((over > 0) & (self.slopes > 0)), strict=True):
            excess = int(over[j, d])
            rest = model.new_int_var(0, excess, "")
            model.add(rest + cp_model.LinearExpr.weighted_sum(leaves, self.weight[worth, d].tolist()) >= excess)
            terms.append(rest)
            prices.append(int(self.slopes[j, d]))
        model.minimize(cp_model.LinearExpr.weighted_sum(terms, prices))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = EFFORT
        status = solver.solve(model)
        # The bound is a float; it is rounded down by more than it can be wrong.
        low = solver.best_objective_bound
        return int(np.floor(low - 1e-9 * abs(low) - 1e-6)) if status != cp_model.OPTIMAL else round(
            solver.objective_value
        ), status == cp_model.OPTIMAL


def _by_host(problem: Problem, tier: int, prices: _Prices) -> Iterable[_Host | None]:
    """Hosts whose use costs something today, and who stands there."""
    terms = [t for t in problem.tiers[tier].terms if isinstance(t, Steps) and t.knots.size and _one_host_each(t.scope)]
    order = np.argsort(problem.home, kind="stable")
    first = np.searchsorted(problem.home[order], np.arange(problem.hosts + 1))
    full = []
    for t in terms:
        weight = np.zeros((len(problem.home), t.weight.shape[1]), np.int64)
        np.add.at(weight, t.vms, t.weight)
        full.append(weight)
    for h in range(problem.hosts):
        vms = order[first[h] : first[h + 1]]
        columns = [(t, w[vms], int(t.scope[h])) for t, w in zip(terms, full, strict=True) if t.scope[h] >= 0]
        if not columns:
            continue
        most = max(len(t.knots) for t, _, _ in columns)
        weight = np.concatenate([w for _, w, _ in columns], axis=1)
        base = np.concatenate([t.base[s] for t, _, s in columns])
        knots = np.concatenate([_padded(t.knots[:, s], most) for t, _, s in columns], axis=1)
        slopes = np.concatenate([_padded(t.slopes[:, s], most) for t, _, s in columns], axis=1)
        use = base + weight.sum(axis=0)
        hot = ((use[None] > knots) & (slopes > 0)).any(axis=0)
        if not hot.any():
            continue
        stays, may = prices.stays[vms], problem.movable[vms]
        yield _Host(
            vms=vms, weight=weight[may][:, hot], use=use[hot], knots=knots[:, hot], slopes=slopes[:, hot],
            leaving=(prices.leaves[vms] - stays)[may], fixed=int(stays.sum()),
        )  # fmt: skip


def _one_host_each(scope: Ints) -> bool:
    inside = scope[scope >= 0]
    return len(np.unique(inside)) == len(inside)


def _padded(rows: Ints, most: int) -> Ints:
    return np.concatenate([rows, np.zeros((most - len(rows), rows.shape[1]), np.int64)])
