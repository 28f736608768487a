"""place: the room's one public function. Rules and goals in, a refereed placement out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pro.placement import chain
from pro.placement.account import compare, figures, lines_of
from pro.placement.longer import worthwhile
from pro.placement.placement import Placement
from pro.placement.question import prepare, unkept
from pro.placement.referee import check, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.fleet import Demand, Fleet
    from pro.placement.engines.exact import Settled
    from pro.placement.policy import Policy
    from pro.placement.question import Question

AFTER_ENGINES = 2.5
"""How much longer the referee and the account take than a look at today's placement."""


def place(
    fleet: Fleet,
    demand: Demand,
    policy: Policy,
    *,
    tell: Callable[[str], None] = lambda _: None,
    prove: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Placement, Question]:
    """Where every VM should stand; never worse than today.

    Engines run one after the other, each from where the last one ended: greedy repair, annealing and local search, and CP-SAT where the
    problem is small enough to prove something; for large fleets the wide search. In smaller ones, what cools little and keeps hosts hot
    for longer is taken back (`worthwhile`). Compiling rules and kernels is not part of `policy.seconds`, everything after it is.
    `tell` hears what is going on; without `prove` nothing is proven or bounded; `clock` counts the seconds. Raises
    RefereeError if an engine's answer breaks a rule worse than today, which is a bug and is never passed on.
    """
    question = prepare(fleet, demand, policy)
    chain.ready(question, tell)
    seen, together = chain.searched(question)
    begun = clock()
    lines = lines_of(question)
    today = figures(question, lines, fleet.host_of, check(fleet, question.constraints, fleet.host_of))
    # Engines leave the referee and the account as long as a look at today's placement took.
    until = begun + policy.seconds - AFTER_ENGINES * (clock() - begun)

    def left() -> float:
        return until - clock()

    found, proof = chain.run(question, seen, together, chain.Pace(left, tell, clock), prove=prove)
    if not chain.large(question.problem):
        found, proof = _worthwhile(question, found, proof)
    verdict = require(fleet, question.constraints, found.host_of)
    after = question.problem.costs(found.host_of)
    return Placement(
        host_of=found.host_of,
        tiers=compare(today, figures(question, lines, found.host_of, verdict.still)),
        violations=verdict.still,
        bound=proof.bound,
        gap=None if proof.bound is None else round((after[1] - proof.bound) / max(after[1], 1), 6),
        minimal_moves=proof.minimal_moves,
        engine=found.engine,
        seed=policy.seed,
        seconds=clock() - begun,
        unkept=unkept(question, found.host_of),
    ), question


def _worthwhile(question: Question, found: chain.Answer, proof: Settled) -> tuple[chain.Answer, Settled]:
    """The answer without migrations that only keep hosts hot for longer; see `worthwhile`."""
    kept = worthwhile(question, found.host_of)
    if kept is found.host_of:
        return found, proof
    moved = bool((kept != question.fleet.host_of).any())
    answer = chain.Answer(kept, f"{found.engine}, less what would have kept hosts hot for longer")
    return answer, replace(proof, minimal_moves=None if moved else True)
