"""Placement: where every VM should stand, and what is known about how good that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pro.placement.problem import Violation


@dataclass(frozen=True)
class TierCost:
    """One line of the answer's account: a tier's cost today and after."""

    name: str
    before: float
    after: float
    unit: str


@dataclass(frozen=True)
class Placement:
    """An answer. `host_of` (V,) passed the referee: no rule is broken worse than today.

    `tiers` in order of importance. `violations` are rules still broken, `unkept` preferences that are. `bound` is a proven lower bound of the goal
    tier's cost after repair (None: not computed), `gap` the relative distance to it. `minimal_moves`: proven (True),
    disproven (False), or unknown (None) that no placement as good needs fewer migrations. `engine` names the chain.
    """

    host_of: NDArray[np.int64]
    tiers: tuple[TierCost, ...]
    violations: tuple[Violation, ...]
    bound: int | None
    gap: float | None
    minimal_moves: bool | None
    engine: str
    seed: int
    seconds: float
    unkept: tuple[Violation, ...] = ()
