"""What a rule is: `Constraint`, and `Violation`, what it says when it is broken. Knows no row, no engine, no problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.language import Row


@dataclass(frozen=True)
class Violation:
    """One broken rule, told in words. `vms` and `hosts` are ids; `amount` > 0 says how badly."""

    rule: str
    text: str
    amount: int
    vms: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Constraint(Protocol):
    """A rule that must hold. `violations` is written in the plainest words and shares no code with `rows`.

    Both say the same, to the unit: the amounts of the violations add up to what the rows are broken by.
    """

    @property
    def name(self) -> str:
        """What people call the rule; also the label of its rows."""
        ...

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """What `host_of` breaks; empty when the rule holds."""
        ...

    def rows(self, fleet: Fleet) -> Iterable[Row]:
        """The same rule for engines: broken exactly when `violations` is not empty."""
        ...
