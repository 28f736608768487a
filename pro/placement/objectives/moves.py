"""Migrations cost something: each one, and each GiB of memory that crosses the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.placement.language import Linear

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


@dataclass(frozen=True)
class Moves:
    """`per_move` for every VM that changes host, and `per_gib` for every GiB of its assigned memory (begun GiB count
    in proportion, rounded up to a whole unit of cost)."""

    per_move: int = 1
    per_gib: int = 0
    name: str = "moves"
    unit: str = "migrations"

    def __post_init__(self) -> None:
        if min(self.per_move, self.per_gib) < 0:
            raise ValueError("the price of a migration must not be negative")

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """The price of all migrations."""
        total = 0
        for v in range(len(fleet.vms)):
            if host_of[v] != fleet.host_of[v]:
                total += self.per_move + -(-int(fleet.memory_mib[v]) * self.per_gib // 1024)
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Linear]:
        """One term."""
        away = self.per_move - (-fleet.memory_mib * self.per_gib) // 1024
        yield Linear(away, None, None, self.name)
