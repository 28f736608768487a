"""Costs in people's units and words: the same wherever somebody asks what another place, or one migration less, would mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.units import MEMORY
from pro.placement.policy import HOST_WORTH, WORTH, percent_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pro.placement.question import Question

    Unit = tuple[float, str]
    """What one of a goal's units costs, and what it is called."""

OTHER = "other"
"""Weights and preferences."""


def units(question: Question) -> dict[str, Unit]:
    """Goal -> its unit. What has no other unit is in migrations, by their price."""
    heat = percent_hours(question.demand)
    price = WORTH[question.policy.aggressiveness] * heat if question.policy.goal != "repair" else 1.0
    resources = (r for r in question.fleet.resources if r != MEMORY)
    return {
        "broken rules": (1.0, "violations"),
        **{f"heat {r}": (heat, "% x hours") for r in resources},
        "heat": (heat, "% x hours"),
        "moves": (max(round(price), 1), "migrations"),
        OTHER: (max(round(price), 1), "migrations it is worth"),
        "placement reserve": (1.0, "MiB"),
        "memory moved": (1.0, "GiB"),
        "hosts on": (HOST_WORTH * heat, "hosts"),
        "balance": (1e7, "% over the cluster's mean"),
    }


def measured(goal: str, amount: float, table: Mapping[str, Unit]) -> tuple[float, str]:
    """A cost in its goal's unit, and that unit."""
    per, unit = table.get(goal, table[OTHER])
    return round(amount / per, 3), unit


def say(goal: str, amount: float, unit: str) -> str:
    """`heat cpu +4.20 % x hours`."""
    digits = f"{amount:+,.0f}" if float(amount).is_integer() or abs(amount) >= 100 else f"{amount:+,.2f}"
    return f"{goal} {digits} {unit}".rstrip()


def say_changes(changes: Iterable[tuple[str, int, float | None]], table: Mapping[str, Unit]) -> str:
    """`heat cpu +4.20 % x hours (12 % more), moves -1 migrations (100 % less)`; "" where nothing changes.

    `changes`: goal, cost more than now, and that in percent of now (None: now it is 0), which is all that is said
    where the table has no unit.
    """
    said = []
    for goal, amount, percent in changes:
        if amount:
            share = _percent(amount, percent)
            known = goal in table or OTHER in table
            said.append(f"{say(goal, *measured(goal, amount, table))} ({share})" if known else f"{goal} {share}")
    return ", ".join(said)


def _percent(amount: int, percent: float | None) -> str:
    if percent is None:
        return "from nothing"
    how = "a trace" if abs(percent) < 0.5 else f"{abs(percent):,.0f} %"
    return f"{how} {'more' if amount > 0 else 'less'}"
