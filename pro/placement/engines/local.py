"""Local search: relocations, exchanges, whole groups, and restarts from the best with random kicks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.placement.problem import Problem, Stop


class Local:
    """Iterated local search on flat arrays (see kernels.py)."""

    name = "local search"

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`. A step is one kick and what follows from it."""
        from pro.placement.engines.flat import flatten
        from pro.placement.engines.kernels import (
            costs,
            descend,
            empty_hosts,
            move_groups,
            new_state,
            placement,
            search,
            swaps,
        )

        begun = time.monotonic()
        flat = flatten(problem)
        state = new_state(flat, start)
        order = np.flatnonzero(problem.movable).astype(np.int64)
        if len(order) == 0:
            return start.copy()
        seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        best, best_cost = start.astype(np.int64).copy(), costs(flat, state)
        descend(flat, state, order, seed)
        swaps(flat, state, order, seed)
        move_groups(flat, state)
        empty_hosts(flat, state)
        descend(flat, state, order, seed)
        if tuple(costs(flat, state)) < tuple(best_cost):
            best, best_cost = placement(flat, state), costs(flat, state)
        done = 0
        while done < stop.steps and time.monotonic() - begun < stop.seconds:
            helping = min(8, stop.steps - done)
            search(flat, state, best, best_cost, order, seed, done, helping)
            done += helping
        return best
