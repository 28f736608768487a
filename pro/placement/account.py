"""What a placement costs in people's units, beside today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.placement.language import cost
from pro.placement.objectives import Balance, HostsOn, Moves
from pro.placement.placement import TierCost
from pro.placement.policy import percent_hours
from pro.placement.question import unkept
from pro.placement.referee import check
from pro.placement.weights import weighed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Ints
    from pro.placement.language import Term
    from pro.placement.problem import Objective
    from pro.placement.question import Question
    from pro.placement.rules import Violation


def account(question: Question, host_of: Ints) -> tuple[TierCost, ...]:
    """The answer in people's units, most important first: what it was and what it will be."""
    lines, fleet = lines_of(question), question.fleet
    was, will = (figures(question, lines, x, check(fleet, question.constraints, x)) for x in (fleet.host_of, host_of))
    return compare(was, will)


def compare(today: list[tuple[str, float, str]], after: list[tuple[str, float, str]]) -> tuple[TierCost, ...]:
    """Two lists of figures of the same lines, side by side."""
    return tuple(TierCost(name, was, will, unit) for (name, was, unit), (_, will, _) in zip(today, after, strict=True))


@dataclass(frozen=True)
class Line:
    """A line of the account: the cost of `terms`, in units of `per`."""

    name: str
    terms: tuple[Term, ...]
    per: float
    unit: str


def lines_of(question: Question) -> list[Line]:
    """What the account of this question looks at."""
    fleet, demand = question.fleet, question.demand

    def line(name: str, objective: Objective, per: float, unit: str) -> Line:
        return Line(name, tuple(objective.terms(fleet, demand)), per, unit)

    also = [] if question.policy.goal == "repair" else weighed(question.policy.weights, fleet, demand, 1)
    return [
        Line("heat", question.heat, percent_hours(demand), "expected % x hours over the threshold, with margin"),
        line("migrations", Moves(), 1, "count"),
        line("hosts on", HostsOn(), 1, "hosts"),
        line("balance", Balance(), 1e7, "% of a host over its cluster's mean, weighted"),
        *(line(one.plain.name, one.plain, one.per, one.unit) for one in also),
    ]


def figures(
    question: Question, lines: Sequence[Line], host_of: Ints, broken: Sequence[Violation]
) -> list[tuple[str, float, str]]:
    """The lines of the account for `host_of`: what, how much, in which unit. `broken`: the rules it breaks."""
    fleet, home = question.fleet, question.fleet.host_of
    wishes = [("preferences not kept", sum(v.amount for v in unkept(question, host_of)), "violations")]
    found = [
        (line.name, round(sum(cost(t, home, host_of) for t in line.terms) / line.per, 2), line.unit) for line in lines
    ]
    moved = ("memory moved", round(float(fleet.memory_mib[host_of != home].sum()) / 1024, 2), "GiB assigned")
    return [
        ("broken rules", sum(v.amount for v in broken), "violations"),
        *(wishes if question.preferences else []), *found[:2], moved, *found[2:],
    ]  # fmt: skip
