"""Ways to undo migrations that leave VMs without a place when a host fails, and as much of the problem as each look at them needs."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.language import Limit, Soft, Steps
from pro.placement.problem import members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.core.arrays import Bools, Ints
    from pro.placement.language import Row, Term
    from pro.placement.problem import Problem
    from pro.placement.question import Question

MANY = 1_000
"""VMs or scope items of a row or a term from which on it is worth cutting down."""
AFTERWARDS = 2
"""So many more placements are looked at when a choice has been made."""


class Undo:
    """Ways to undo migrations from `current` (V,) so that cluster `c` has fewer VMs without a place, and no repair is given up."""

    def __init__(self, question: Question, rows: Rows, current: Ints, c: int, left: Callable[[], float]) -> None:
        if question.failover is None:
            raise ValueError("nothing to undo: the question does not ask for failover")
        rule = question.failover
        self.question, self.rule, self.current, self.c = question, rule, current, c
        self.home, self._left, self._took = question.fleet.host_of, left, 0.0
        self.most = self._amount(current)
        drill = rule.drill(question.fleet)
        touched = (drill.cluster[self.home] == c) | (drill.cluster[current] == c)
        touched[drill.tied[c]] = True
        self.near: list[int] = np.flatnonzero(touched & (current != self.home)).tolist()
        self.problem = rows.about(current, touched)
        self.repairs = replace(self.problem, tiers=self.problem.tiers[:1])
        self.repaired = self.repairs.costs(current)[0]

    def left(self) -> float:
        """Seconds for looking at more placements: after the choice there are some to be looked at."""
        return self._left() - AFTERWARDS * self._took

    def _amount(self, host_of: Ints) -> int:
        before = self._left()
        found = self.rule.levels(self.question.fleet, host_of, [self.c], quick=self.left() <= 0)[self.c]
        if before < inf:
            self._took = max(self._took, before - self._left())
        return found.amount

    def without(self, vms: Sequence[int]) -> Ints:
        """`current` without the migrations of these VMs."""
        trial = self.current.copy()
        trial[vms] = self.home[vms]
        return trial

    def _may(self, vms: Sequence[int]) -> bool:
        """Whether no rule and no repair forbids to undo the migrations of these VMs."""
        trial = self.without(vms)
        return self.repairs.feasible(trial) and self.repairs.costs(trial)[0] <= self.repaired

    def one(self) -> Ints | None:
        """The best single migration undone; None where none helps, or where there is no time to tell."""
        amounts: dict[int, int] = {}
        for v in self.near:
            if self.left() > 0:
                amounts[v] = self._amount(self.without([v]))
        # Costs of a large fleet take long: only those of the best are asked for.
        for least in sorted({amount for amount in amounts.values() if amount < self.most}):
            ranks: list[tuple[tuple[int, ...], int]] = []
            for v, amount in amounts.items():
                if amount == least and (self.left() > 0 or not ranks) and self._may([v]):
                    ranks.append((self.problem.costs(self.without([v])), v))
            if ranks:
                return self.without([min(ranks)[-1]])
        return None

    def all(self) -> Ints | None:
        """All of them undone that can be together, less those that need not be; None where that does not help."""
        undone: list[int] = []

        def undo(vms: Sequence[int]) -> None:
            # By halves: few cannot be undone, and one look at a large fleet takes long.
            if self._may([*undone, *vms]):
                undone.extend(vms)
            elif len(vms) > 1:
                undo(vms[: len(vms) // 2])
                undo(vms[len(vms) // 2 :])

        undo(self.near)
        least = self._amount(self.without(undone))
        if least >= self.most:
            return None

        def redo(vms: Sequence[int]) -> None:
            rest = [v for v in undone if v not in vms]
            if self.left() > 0 and self._may(rest) and self._amount(self.without(rest)) <= least:
                undone[:] = rest
            elif len(vms) > 1:
                redo(vms[: len(vms) // 2])
                redo(vms[len(vms) // 2 :])

        for half in (undone[: len(undone) // 2], undone[len(undone) // 2 :]):
            redo(half)
        return self.without(undone)


class Rows:
    """A problem's rows, to be found by the VMs they speak of."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        # A budget of migrations is kept by whoever moves less.
        rows = [r for r in problem.rows if not (isinstance(r, Limit) and r.when == "moved")]
        who = [members(r) for r in rows]
        self._rows, self._who = rows, np.concatenate([np.zeros(0, np.int64), *who])
        self._number = np.repeat(np.arange(len(who)), [len(vms) for vms in who])
        self._by_host: dict[int, bool] = {}

    def about(self, current: Ints, vms: Bools) -> Problem:
        """The problem for placements between its home and `current` (V,), which keeps all rows, that differ in `vms` (V,) at most: costs
        less a constant, and the rows that can break. Of what is counted by host, only the hosts where these stand are left."""
        problem, hosts = self._problem, np.zeros(self._problem.hosts, bool)
        hosts[problem.home[vms]] = hosts[current[vms]] = True
        there = hosts[problem.home] | hosts[current]

        def changes(term: Term) -> bool:
            return not isinstance(term, Soft) or bool(vms[members(term.row)].any())

        rows = [self._rows[n] for n in np.unique(self._number[vms[self._who]]).tolist()]
        rows = [_alone(r, hosts, there) if self._long(r) else r for r in rows]
        tiers = [
            replace(t, terms=tuple(_alone(x, hosts, there) if self._long(x) else x for x in t.terms if changes(x)))
            for t in problem.tiers
        ]
        return replace(problem, rows=tuple(rows), tiers=tuple(tiers))

    def _long(self, part: Row | Term) -> bool:
        """Whether a part counts by host, and is worth cutting down."""
        if not isinstance(part, Limit | Steps) or max(len(part.vms), len(part.base)) < MANY:
            return False
        key = id(part.scope)
        if key not in self._by_host:
            inside = part.scope[part.scope >= 0]
            self._by_host[key] = len(np.unique(inside)) == len(inside)
        return self._by_host[key]


def _alone(part: Any, hosts: Bools, there: Bools) -> Any:
    """A Limit or a Steps that counts by host, on some `hosts` (H,) alone, where none but the VMs `there` (V,) ever stand."""
    items, some = np.sort(part.scope[hosts & (part.scope >= 0)]), there[part.vms]
    number = np.full(len(part.base) + 1, -1)
    number[items] = np.arange(len(items))
    same = {"vms": part.vms[some], "weight": part.weight[some], "scope": number[part.scope], "base": part.base[items]}
    if isinstance(part, Limit):
        return replace(part, **same, upper=part.upper[items])
    return replace(part, **same, knots=part.knots[:, items], slopes=part.slopes[:, items])
