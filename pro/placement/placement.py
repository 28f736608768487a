"""Placement: where every VM should stand, and what is known about how good that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pro.placement.problem import Violation


@dataclass(frozen=True)
class TierCost:
    """One line of the answer's account: a tier's cost today and after.

    What rules are broken by is MiB, cores and VMs in one sum: engines want that, people do not. They are told, today and after,
    how many `rules` are broken and in how many `places`.
    """

    name: str
    before: float
    after: float
    unit: str
    rules: tuple[int, int] | None = None
    places: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """For documents."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def for_people(tier: Mapping[str, Any]) -> list[tuple[str, Any, Any, str]]:
    """The lines (name, before, after, unit) that people read of one `TierCost` as JSON."""
    name, rules, places = tier.get("name", ""), tier.get("rules"), tier.get("places")
    if rules is None or places is None:
        return [(name, tier.get("before", ""), tier.get("after", ""), tier.get("unit", ""))]
    return [(name, *rules, "rules"), (f"{name}, where", *places, "places")]


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
