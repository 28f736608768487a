"""What a placement costs in people's units, beside today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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


class Figure(NamedTuple):
    """What, how much, in which unit. Of what is broken, too: how many rules, in how many places."""

    name: str
    amount: float
    unit: str
    rules: int | None = None
    places: int | None = None


def compare(today: Sequence[Figure], after: Sequence[Figure]) -> tuple[TierCost, ...]:
    """Two lists of figures of the same lines, side by side."""

    def both(was: int | None, will: int | None) -> tuple[int, int] | None:
        return None if was is None or will is None else (was, will)

    return tuple(
        TierCost(
            was.name, was.amount, will.amount, was.unit, both(was.rules, will.rules), both(was.places, will.places)
        )
        for was, will in zip(today, after, strict=True)
    )


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


def figures(question: Question, lines: Sequence[Line], host_of: Ints, broken: Sequence[Violation]) -> list[Figure]:
    """The lines of the account for `host_of`. `broken`: the rules it breaks."""
    fleet, home = question.fleet, question.fleet.host_of
    found = [
        Figure(line.name, round(sum(cost(t, home, host_of) for t in line.terms) / line.per, 2), line.unit)
        for line in lines
    ]
    moved = Figure("memory moved", round(float(fleet.memory_mib[host_of != home].sum()) / 1024, 2), "GiB assigned")
    wishes = [_broken("preferences not kept", unkept(question, host_of))] if question.preferences else []
    return [_broken("broken rules", broken), *wishes, *found[:2], moved, *found[2:]]


def _broken(name: str, violations: Sequence[Violation]) -> Figure:
    rules = len({v.rule for v in violations})
    return Figure(name, sum(v.amount for v in violations), "violations", rules, len(violations))
