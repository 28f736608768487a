"""What each migration is good for: what gets worse if it alone is left out, in people's units; and whether fewer would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.text import plain
from pro.placement.words import measured, say, units

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pro.placement.explain import Explanation, Refusal
    from pro.placement.placement import Placement
    from pro.placement.question import Question


_NOT_FOR = ("moves", "memory moved", "balance")
"""Goals that no migration is made for."""


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
    """Would fewer migrations do? `minimal`: proven that no placement that cools and repairs as much has fewer (None: not
    proven, False: one has). `drop`: the migration (VM id) that is missed least, None where every one is needed by a rule."""

    migrations: int
    minimal: bool | None
    drop: str | None
    text: str


def gains(question: Question, explained: Iterable[Explanation]) -> tuple[Gain, ...]:
    """One for every explained VM that moves; the most needed first."""
    table = units(question)
    found = []
    for told in explained:
        if told.moved:
            home = told.without
            worse = tuple(Worse(c.tier, *measured(c.tier, c.amount, table)) for c in home.changes if c.amount)
            text = _say(plain(told.vm_name), worse, home.refusals)
            found.append(Gain(told.vm, told.vm_name, worse, home.refusals, text))
    return tuple(sorted(found, key=lambda gain: (not gain.refusals, -_broken(gain), -gain.heat)))


def _broken(gain: Gain) -> float:
    return sum(w.amount for w in gain.worse if w.goal == "broken rules")


def _say(name: str, worse: Sequence[Worse], refusals: Sequence[Refusal]) -> str:
    said = [f"breaks {plain(r.rule)} ({r.text})" for r in refusals]
    said += [
        say(w.goal, w.amount, w.unit)
        for w in worse
        if w.goal not in ("broken rules", "moves", "memory moved") and abs(w.amount) >= 0.005
    ]
    return f"without {name}: {', '.join(said) or 'nothing gets worse'}"


def fewer(placement: Placement, found: Sequence[Gain], moved: int) -> Fewer:
    """The statement about the number of migrations."""
    free = [g for g in found if not g.refusals]
    least = min(free, key=lambda g: (_broken(g), g.heat, g.vm), default=None)
    minimal = placement.minimal_moves
    if least is not None and not any(w.amount > 0 and w.goal not in _NOT_FOR for w in least.worse):
        minimal = False
    count = f"{moved} migration{'s' * (moved != 1)}"
    if not moved:
        return Fewer(0, True, None, "Nothing moves, and fewer than that cannot be.")
    if minimal:
        text = f"Proven: no placement that repairs and cools as much needs fewer than {count}."
    elif minimal is None:
        text = f"Not proven that fewer than {count} would not do."
    else:
        text = f"Fewer than {count} would do."
    if least is not None:
        text += f" The one that is missed least: {least.text}."
    return Fewer(moved, minimal, least.vm if least is not None else None, text)
