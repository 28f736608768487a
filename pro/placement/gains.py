"""What each migration is good for: what gets worse if it alone is left out, in people's units; and whether fewer would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.text import plain
from pro.placement.constraints import Headroom
from pro.placement.words import measured, say, units

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pro.placement.explain import Explanation, Refusal
    from pro.placement.placement import Placement
    from pro.placement.question import Question


_NOT_FOR = ("moves", "memory moved", "balance")
"""Goals that no migration is made for."""
_FIRST = ("broken rules", "placement reserve")
"""What comes before the goal."""
GOAL = 1
"""The tier in which the goal is weighed: rules come before it, finer points after it."""


@dataclass(frozen=True)
class Worse:
    """By how much one goal is worse (better, if negative) without the migration, in `unit`."""

    goal: str
    amount: float
    unit: str


@dataclass(frozen=True)
class Gain:
    """One migration left out, all others carried out. `refusals`: rules that do not let the VM stay then."""

    vm: str
    vm_name: str
    worse: tuple[Worse, ...]
    refusals: tuple[Refusal, ...]
    text: str

    @property
    def heat(self) -> float:
        """% x hours more."""
        return sum(w.amount for w in self.worse if w.goal.startswith("heat"))


@dataclass(frozen=True)
class Fewer:
    """Would fewer migrations do? `minimal`: proven that no placement that repairs as much and is as good by all that the goal weighs
    has fewer (None: not proven, False: one has). `drop`: the migration (VM id) that is missed least, None where every one is needed by a rule."""

    migrations: int
    minimal: bool | None
    drop: str | None
    text: str


def gains(question: Question, explained: Iterable[Explanation]) -> tuple[Gain, ...]:
    """One for every explained VM that moves; the most needed first: as the goal weighs it in all, then by heat."""
    table, weighed = units(question), _weighed(question)
    found = []
    for told in explained:
        if told.moved:
            home = told.without
            worse = tuple(Worse(c.tier, *measured(c.tier, c.amount, table)) for c in home.changes if c.amount)
            text = _say(plain(told.vm_name), worse, home.refusals)
            gain = Gain(told.vm, told.vm_name, worse, home.refusals, text)
            first = [sum(c.amount for c in home.changes if c.tier == goal) for goal in _FIRST]
            first.append(sum(c.amount for c in home.changes if c.tier in weighed))
            found.append(((not gain.refusals, *(-amount for amount in first), -gain.heat), gain))
    return tuple(gain for _, gain in sorted(found, key=lambda ranked: ranked[0]))


def _weighed(question: Question) -> set[str]:
    """What is weighed against migrations, heat among it."""
    return {term.label for term in question.problem.tiers[GOAL].terms} - set(_NOT_FOR)


def _heat_alone(question: Question) -> bool:
    """Whether nothing but heat is weighed, and nothing but rules comes before it."""
    return all(goal.startswith("heat") for goal in _weighed(question)) and not any(
        isinstance(rule, Headroom) for rule in question.preferences
    )


def _say(name: str, worse: Sequence[Worse], refusals: Sequence[Refusal]) -> str:
    said = [f"breaks {plain(r.rule)} ({r.text})" for r in refusals]
    said += [
        say(w.goal, w.amount, w.unit)
        for w in worse
        if w.goal not in ("broken rules", "moves", "memory moved") and abs(w.amount) >= 0.005
    ]
    return f"without {name}: {', '.join(said) or 'nothing gets worse'}"


def fewer(question: Question, placement: Placement, found: Sequence[Gain], moved: int) -> Fewer:
    """The statement about the number of migrations. `found`: as `gains` orders them."""
    free = [g for g in found if not g.refusals]
    least = free[-1] if free else None
    minimal = placement.minimal_moves
    if any(not any(w.amount > 0 and w.goal not in _NOT_FOR for w in g.worse) for g in free):
        minimal = False
    count = f"{moved} migration{'s' * (moved != 1)}"
    if not moved:
        return Fewer(0, True, None, "Nothing moves, and fewer than that cannot be.")
    if minimal:
        good = (
            "repairs and cools as much"
            if _heat_alone(question)
            else "repairs as much and is as good by all that is weighed"
        )
        text = f"Proven: no placement that {good} needs fewer than {count}."
    elif minimal is None:
        text = f"Not proven that fewer than {count} would not do."
    else:
        text = f"Fewer than {count} would do."
    if least is not None:
        text += f" The one that is missed least: {least.text}."
    return Fewer(moved, minimal, least.vm if least is not None else None, text)
