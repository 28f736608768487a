"""Greedy repair: the single relocation that helps most, until none helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from pro.core.arrays import Ints
    from pro.placement.problem import Problem, Stop


class Greedy:
    """Steepest descent by single relocations. Each step looks at every VM on every host: O(V H) prices a step."""

    name = "greedy"

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`; `rng` is not used."""
        from pro.placement.engines.flat import flatten
        from pro.placement.engines.kernels import new_state, placement, steepest

        flat = flatten(problem)
        state = new_state(flat, start)
        steepest(flat, state, min(stop.steps, 10 * len(start) + 100))
        return placement(flat, state)
