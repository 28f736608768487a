"""Never worse in failover: what an engine found, less the migrations that would leave VMs without a place when a host fails.

No sum of rows says that the VMs of a failed host can be packed, so engines look without it, and their answer is mended: migrations
are undone, one at a time, until no cluster is worse than today; then the engine may search again with those migrations forbidden.
Repairs of broken rules are not given up: a spread that is repaired takes up a host that a restart could have used, and no repair at all
would be a poor way to be safe. Where nothing was broken, the last resort is to undo all, for today is never worse than today.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import RefereeError
from pro.placement.failover.rule import Failover
from pro.placement.failover.undo import Rows, Undo
from pro.placement.language import Allow
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.core.arrays import Ints
    from pro.placement.policy import Policy
    from pro.placement.problem import Engine
    from pro.placement.question import Question
    from pro.placement.rules import Constraint

ROUNDS = 3
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
    if not rule.worse(question.fleet, host_of, quick=True):
        return host_of
    # Undoing takes about as long as this look did: what is left beyond that is for looking closer.
    kept_back = begun - left() if begun < inf else 0.0

    def spare() -> float:
        return left() - kept_back

    if not _worse(question, rule, host_of, spare):
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
    home, current, given_up, rows = fleet.host_of, host_of.copy(), set[int](), Rows(problem)
    while worse := [c for c in _worse(question, rule, current, left) if c not in given_up]:
        undo = Undo(question, rows, current, worse[0], left)
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
