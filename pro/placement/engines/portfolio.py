"""Several workers at once, each with a seed of its own."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
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
    """(V,) the best placement that `workers` annealing runs find; the first of equals.

    Worker k searches with `seed + k`, in a process of its own where there are several. They share nothing on the way.
    """
    engine = Anneal(clock=clock)
    if workers == 1:
        return _run(engine, problem, start, stop, seed)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_run, engine, problem, start, stop, seed + k) for k in range(workers)]
        return min((job.result() for job in jobs), key=problem.costs)


def _run(engine: Anneal, problem: Problem, start: Ints, stop: Stop, seed: int) -> Ints:
    return engine.improve(problem, start, stop, np.random.default_rng(seed))
