"""No crumbs: an answer that leaves hosts hot for longer than today must at least halve the heat, or it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import MEMORY
from pro.fleet.fleet import host_use
from pro.placement.objectives.common import BILLION
from pro.placement.policy import migration
from pro.placement.weights import Weights

if TYPE_CHECKING:
    from pro.core.arrays import Bools, Floats, Ints
    from pro.fleet import Fleet
    from pro.placement.question import Question

WORTH_LONGER = 0.5
"""Share of today's heat that may be left where hosts are hot for longer: a very hot host may become two warm ones."""


def worthwhile(question: Question, host_of: Ints) -> Ints:
    """`host_of` (V,) itself where it is worth its migrations to people, else what is left of it, or today's placement.

    Engines weigh how far hosts are over the threshold, people also read for how long. Where an answer lowers the first by little
    and raises the second, migrations are dropped, the one that lengthens it most first, until it does not. Asked only where
    nothing but heat is at stake: a rule that is repaired, a host that is emptied, a goal that somebody gave a weight may cost heat.
    """
    if not _only_heat(question, host_of):
        return host_of
    problem = question.problem
    hot = _Heat(question, problem.home)
    minutes, area = hot.minutes, hot.area

    def short(now: _Heat) -> bool:
        return now.minutes <= minutes or now.area <= WORTH_LONGER * area

    now, left = _Heat(question, host_of), host_of
    while not short(now):
        moved = np.flatnonzero(left != problem.home)
        lengthens = np.array([now.without(v, left[v], problem.home[v]) for v in moved.tolist()])
        order = moved[np.argsort(lengthens, kind="stable")][: int((lengthens < 0).sum())]
        shorter = (_back(left, v, problem.home) for v in order.tolist())
        found = next((x for x in shorter if problem.feasible(x)), None)
        if found is None:
            return problem.home
        left, now = found, _Heat(question, found)
    if left is host_of:
        return host_of
    return left if _pays(question, left, (area - now.area) * BILLION) else problem.home


def _pays(question: Question, host_of: Ints, cooled: float) -> bool:
    """Whether what is left of an answer is better than today, takes away enough heat over the threshold itself (`cooled`) for its
    migrations, and leaves no more VMs without a place when a host fails."""
    problem, rule = question.problem, question.failover
    price = migration(question.policy, question.demand) * int((host_of != problem.home).sum())
    better = cooled >= price and problem.costs(host_of) < problem.costs(problem.home)
    return better and (rule is None or not rule.worse(question.fleet, host_of))


def _only_heat(question: Question, host_of: Ints) -> bool:
    policy, problem = question.policy, question.problem
    return (
        policy.goal == "balance"
        and not policy.evacuate
        and not question.preferences
        and policy.weights == Weights()
        and problem.costs(host_of)[0] == problem.costs(problem.home)[0]
    )


def _back(host_of: Ints, v: int, home: Ints) -> Ints:
    """`host_of` with `v` at home."""
    moved = host_of.copy()
    moved[v] = home[v]
    return moved


def limits(fleet: Fleet, threshold: float) -> Floats:
    """(H, R) use from which a host is hot; infinite where nobody stated a capacity, and for memory, which is a rule."""
    limit = threshold * fleet.capacity.astype(np.float64)
    limit[:, [r == MEMORY for r in fleet.resources]] = np.inf
    limit[fleet.capacity <= 0] = np.inf
    return limit


class _Heat:
    """How long (in moments of hosts) and how far (in capacities, summed over moments) hosts are hot under `host_of`."""

    def __init__(self, question: Question, host_of: Ints) -> None:
        fleet, demand = question.fleet, question.demand
        self._demand, self._limit = demand, limits(fleet, question.policy.threshold)
        self._use = host_use(demand, host_of, fleet.n_hosts)
        over = self._use - self._limit[:, :, None]
        self._long = np.asarray((over > 0).any(axis=1).sum(axis=1))
        self.minutes = int(self._long.sum())
        capacity = np.maximum(fleet.capacity, 1)[:, :, None]
        self.area = float((np.maximum(over, 0) / capacity).sum())

    def without(self, v: int, there: int, home: int) -> int:
        """How many moments of hosts more are hot (fewer, if negative) with `v` back at `home`."""
        use = self._demand.use[v]
        return self._hot(there, -use) + self._hot(home, use) - int(self._long[there] + self._long[home])

    def _hot(self, host: int, more: Ints) -> int:
        over: Bools = self._use[host] + more > self._limit[host, :, None]
        return int(over.any(axis=0).sum())
