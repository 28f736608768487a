"""Never worse in failover: what an engine found, less the migrations that would cost a host its stand-by.

No sum of rows says that the VMs of a failed host can be packed, so engines look without it, and their answer is mended: migrations
are undone, one at a time, until no cluster is worse than today; then the engine may search again with those migrations forbidden.
The last resort is to undo all of them, for where VMs stand today is never worse than today.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import RefereeError
from pro.placement.failover.rule import Failover
from pro.placement.language import Allow
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.placement.place import Question
    from pro.placement.policy import Policy
    from pro.placement.problem import Engine
    from pro.placement.rules import Constraint, Ints

ROUNDS = 3
SHARE = 0.2
"""Share of the policy's seconds that one search for something else may take."""


def failover_of(policy: Policy, constraints: Sequence[Constraint]) -> Failover | None:
    """The rule that `policy` asks for, made of `constraints`."""
    return Failover(policy.failover, constraints, policy.take_restarts) if policy.failover else None


def hold(question: Question, host_of: Ints, engine: Engine, tell: Callable[[str], None] = lambda _: None) -> Ints:
    """(V,) `host_of`, or what is left of it where it is worse in failover than today; feasible, and costs no more than today.

    `engine` looks for other migrations instead of those that had to be undone.
    """
    rule = question.failover
    if rule is None or np.array_equal(host_of, question.fleet.host_of) or not rule.worse(question.fleet, host_of):
        return host_of
    tell(rule.name)
    kept, cuts = _retreat(question, rule, host_of)
    for _ in range(ROUNDS):
        found = _again(question, kept, cuts, engine)
        mended, more = _retreat(question, rule, found)
        if question.problem.costs(mended) < question.problem.costs(kept):
            kept = mended
        if not more:
            break
        cuts += more
    if rule.worse(question.fleet, kept) or not question.problem.feasible(kept):
        raise RefereeError("failover is worse than today after migrations were undone: a bug")
    return kept


def _again(question: Question, kept: Ints, cuts: Sequence[Allow], engine: Engine) -> Ints:
    """What the engine makes of `kept` without the migrations that `cuts` forbid; in the clusters these are about."""
    fleet, policy = question.fleet, question.policy
    groups = fleet.host_groups.get("cluster")
    if groups is None or not cuts:
        return kept
    about = np.unique(groups.code[fleet.host_of[np.concatenate([cut.vms for cut in cuts])]])
    inside = np.isin(groups.code[fleet.host_of], about)
    problem = replace(
        question.problem, rows=(*question.problem.rows, *cuts), movable=question.problem.movable & inside
    )
    steps = policy.steps if policy.steps is not None else 20
    found = engine.improve(problem, kept, Stop(policy.seconds * SHARE, steps), np.random.default_rng(policy.seed))
    return found if question.problem.feasible(found) else kept


def _retreat(question: Question, rule: Failover, host_of: Ints) -> tuple[Ints, list[Allow]]:
    """`host_of` with as few migrations undone as a greedy choice finds, and those migrations as rows that forbid them."""
    fleet, problem = question.fleet, question.problem
    current = host_of.copy()
    while worse := rule.worse(fleet, current):
        near = _near(rule, fleet.host_of, current, question, worse)
        best = min((_rank(question, rule, current, v, worse) for v in near.tolist()), default=None)
        if best is not None and best[0] < _amount(question, rule, current, worse):
            current[best[-1]] = fleet.host_of[best[-1]]
            continue
        trial = current.copy()
        trial[near] = fleet.host_of[near]
        current = trial if len(near) and problem.feasible(trial) else fleet.host_of.copy()
    if problem.costs(current) > problem.costs(fleet.host_of):
        current = fleet.host_of.copy()
    hosts = np.arange(fleet.n_hosts)
    undone = np.flatnonzero(current != host_of)
    return current, [Allow(np.array([v]), hosts != host_of[v], rule.name) for v in undone.tolist()]


def _near(rule: Failover, home: Ints, current: Ints, question: Question, worse: Sequence[int]) -> Ints:
    """(n,) migrated VMs that the clusters `worse` depend on."""
    drill = rule.drill(question.fleet)
    touched = np.isin(drill.cluster[home], worse) | np.isin(drill.cluster[current], worse)
    touched[np.concatenate([drill.tied[c] for c in worse])] = True
    return np.flatnonzero(touched & (current != home))


def _amount(question: Question, rule: Failover, host_of: Ints, worse: Sequence[int]) -> int:
    levels = rule.levels(question.fleet, host_of)
    return sum(levels[c].amount for c in worse)


def _rank(
    question: Question, rule: Failover, current: Ints, v: int, worse: Sequence[int]
) -> tuple[int, tuple[int, ...], int]:
    """How good it is to undo the migration of `v`: VMs without a place, then costs. Not allowed at all: worst."""
    trial = current.copy()
    trial[v] = question.fleet.host_of[v]
    if not question.problem.feasible(trial):
        return 2**62, (), v
    return _amount(question, rule, trial, worse), question.problem.costs(trial), v
