"""Which engine for which problem, and several workers at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.engines.anneal import Anneal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pro.placement.problem import Problem, Stop

    Ints = NDArray[np.int64]


def best_of(
    problem: Problem,
    start: Ints,
    stop: Stop,
    seed: int,
    *,
    workers: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Ints:
    """(V,) the best placement that `workers` annealing runs find, each with a seed of its own."""
    return Anneal(clock=clock).improve(problem, start, stop, np.random.default_rng(seed))
