"""Never worse in failover: what an engine found, less the migrations that would leave VMs without a place when a host fails.

No sum of rows says that the VMs of a failed host can be packed, so engines look without it, and their answer is mended: migrations
are undone, one at a time, until no cluster is worse than today; then the engine may search again with those migrations forbidden.
Repairs of broken rules are not given up: a spread that is repaired takes up a host that a restart could have used, and no repair at all
would be a poor way to be safe. Where nothing was broken, the last resort is to undo all, for today is never worse than today.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import RefereeError
from pro.placement.failover.rule import Failover
from pro.placement.language import Allow, Limit, Soft, Steps
from pro.placement.problem import Stop, members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.core.arrays import Bools, Ints
    from pro.placement.language import Row, Term
    from pro.placement.policy import Policy
    from pro.placement.problem import Engine, Problem
    from pro.placement.question import Question
    from pro.placement.rules import Constraint

ROUNDS = 3
MANY = 1_000
"""VMs or scope items of a row or a term from which on it is worth cutting down."""
AFTERWARDS = 2
"""So many more placements are looked at when a choice has been made."""
SHARE = 0.2
"""Share of the policy's seconds that one search for something else may take."""


def failover_of(policy: Policy, constraints: Sequence[Constraint]) -> Failover | None:
    """The rule that `policy` asks for, made of `constraints`."""
    return Failover(policy.failover, constraints, policy.take_restarts) if policy.failover else None


def hold(
    question: Question,
    host_of: Ints,
    engine: Engine,
    tell: Callable[[str], None] = lambda _: None,
    left: Callable[[], float] = lambda: inf,
) -> Ints:
    """(V,) `host_of`, or what is left of it where it is worse in failover than today; feasible, costs no more than today, and breaks
    no more rules than `host_of`.

    `engine` looks for other migrations instead of those that had to be undone. Where no seconds are `left`, all migrations of a
    cluster are undone at once, if it might be worse, and no others are looked for.
    """
    rule = question.failover
    if rule is None or np.array_equal(host_of, question.fleet.host_of):
        return host_of
    begun = left()
    suspects = rule.worse(question.fleet, host_of, quick=True)
    # Undoing takes about as long as this look did: what is left beyond that is for looking closer.
    kept_back = begun - left() if begun < inf else 0.0

    def spare() -> float:
        return left() - kept_back

    if not suspects or not _worse(question, rule, host_of, spare):
        return host_of
    tell(rule.name)
    kept, cuts = _retreat(question, rule, host_of, spare)
    for _ in range(ROUNDS):
        # A search that has not the time it may take is not begun: it would end too late.
        if left() < SHARE * question.policy.seconds:
            break
        found = _again(question, kept, cuts, engine, left)
        mended, more = _retreat(question, rule, found, spare)
        if _better(question, rule, mended, kept):
            kept = mended
        if not more:
            break
        cuts += more
    problem, home = question.problem, question.fleet.host_of
    unbroken = problem.costs(home)[0] == 0
    if (
        not problem.feasible(kept)
        or problem.costs(kept) > problem.costs(home)
        or (unbroken and _worse(question, rule, kept, spare))
    ):
        raise RefereeError("failover is worse than today after migrations were undone: a bug")
    return host_of if np.array_equal(kept, host_of) else kept


def _worse(question: Question, rule: Failover, host_of: Ints, left: Callable[[], float]) -> list[int]:
    """Clusters (codes) that are worse at `host_of` (V,) than today. A quick look says that most are not; of the others some only might be,
    where no time is `left` to tell."""
    suspects = rule.worse(question.fleet, host_of, quick=True)
    return [c for c in suspects if left() <= 0 or rule.worse(question.fleet, host_of, some=[c])]


def _better(question: Question, rule: Failover, new: Ints, old: Ints) -> bool:
    """Whether `new` costs less, and in no cluster has more VMs without a place than `old` or than today."""
    levels = [rule.levels(question.fleet, x) for x in (new, old, question.fleet.host_of)]
    safe = all(levels[0][c].amount <= max(levels[1][c].amount, levels[2][c].amount) for c in levels[0])
    return safe and question.problem.costs(new) < question.problem.costs(old)


def _again(question: Question, kept: Ints, cuts: Sequence[Allow], engine: Engine, left: Callable[[], float]) -> Ints:
    """What the engine makes of `kept` without the migrations that `cuts` forbid; in the clusters these are about."""
    fleet, policy = question.fleet, question.policy
    groups = fleet.host_groups.get("cluster")
    if groups is None or not cuts:
        return kept
    about = np.unique(groups.code[fleet.host_of[np.concatenate([cut.vms for cut in cuts])]])
    inside, home, hosts = np.isin(groups.code[fleet.host_of], about), fleet.host_of, np.arange(fleet.n_hosts)
    # Whoever was moved elsewhere stays there, or goes home: who cannot move at all stands at home.
    away = np.flatnonzero(~inside & (kept != home)).tolist()
    rows = [Allow(np.array([v]), (hosts == kept[v]) | (hosts == home[v]), "moved already") for v in away]
    movable = question.problem.movable & (inside | (kept != home))
    problem = replace(question.problem, rows=(*question.problem.rows, *cuts, *rows), movable=movable)
    steps = policy.steps if policy.steps is not None else 20
    found = engine.improve(
        problem, kept, Stop(min(policy.seconds * SHARE, left()), steps), np.random.default_rng(policy.seed)
    )
    return found if question.problem.feasible(found) else kept


def _retreat(question: Question, rule: Failover, host_of: Ints, left: Callable[[], float]) -> tuple[Ints, list[Allow]]:
    """`host_of` with as few migrations undone as a greedy choice finds, and those migrations as rows that forbid them.

    Cluster by cluster: the one migration whose undoing helps most, again and again; where none helps alone, all of the cluster's but
    those that repair a rule, less what turns out to be harmless. What is worse after that, repairs cost.
    """
    fleet, problem = question.fleet, question.problem
    home, current, given_up, rows = fleet.host_of, host_of.copy(), set[int](), _Rows(problem)
    while worse := [c for c in _worse(question, rule, current, left) if c not in given_up]:
        undo = _Undo(question, rule, rows, current, worse[0], left)
        better = undo.one()
        if better is None:
            better = undo.all()
        if better is None:
            given_up.add(worse[0])
        else:
            current = better
    if given_up and problem.costs(home)[0] <= problem.costs(current)[0]:
        current = home.copy()
    hosts = np.arange(fleet.n_hosts)
    undone = np.flatnonzero(current != host_of)
    return current, [Allow(np.array([v]), hosts != host_of[v], rule.name) for v in undone.tolist()]


class _Undo:
    """Ways to undo migrations from `current` (V,) so that cluster `c` has fewer VMs without a place, and no repair is given up."""

    def __init__(
        self, question: Question, rule: Failover, rows: _Rows, current: Ints, c: int, left: Callable[[], float]
    ) -> None:
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


class _Rows:
    """A problem's rows, to be found by the VMs they speak of."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        # A budget of migrations is kept by whoever moves less.
        rows = [
            r for r in problem.rows if not (isinstance(r, Limit) and r.when == "moved" and r.weight.min(initial=0) >= 0)
        ]
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
