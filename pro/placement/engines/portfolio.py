"""Several workers at once, each with a seed of its own; what one has found, all go on from."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.engines.anneal import Anneal
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.core.arrays import Ints
    from pro.placement.problem import Problem


WALKS = 2
"""So many walks share a limit of steps, however many workers there are: the answer does not depend on the machine."""


TOGETHER = 0.1
"""The share of the time in which all go on from the best."""


def best_of(
    problem: Problem,
    start: Ints,
    stop: Stop,
    seed: int,
    *,
    workers: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Ints:
    """(V,) the best placement that is found by annealing with seeds `seed`, `seed + 1`, ...; the first of equals.

    Against time there is one walk for each worker; of a limit of steps each of `WALKS` walks gets all. Where there are several,
    they first walk apart, then all go on from the best. Workers are processes; one walk after another where there is one.
    """
    engine = Anneal(clock=clock)
    walks = workers if stop.steps >= Stop().steps else WALKS
    if walks == 1:
        return _run(engine, problem, start, stop, seed)
    together = replace(engine, manners=())
    seeds = [seed + k for k in range(walks)]
    if workers == 1:
        found = [_run(engine, problem, start, _part(stop, 1 - TOGETHER), s) for s in seeds]
        best = min(found, key=problem.costs)
        found = [_run(together, problem, best, _part(stop, TOGETHER), s) for s in seeds]
        return min(found, key=problem.costs)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        jobs = [pool.submit(_run, engine, problem, start, _part(stop, 1 - TOGETHER), s) for s in seeds]
        best = min((job.result() for job in jobs), key=problem.costs)
        jobs = [pool.submit(_run, together, problem, best, _part(stop, TOGETHER), s) for s in seeds]
        return min((job.result() for job in jobs), key=problem.costs)


def _end_with_parent() -> None:
    """Whoever kills the one that asked does not leave its workers running: a worker ends when its parent has."""

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _part(stop: Stop, share: float) -> Stop:
    if stop.steps >= Stop().steps:
        return Stop(stop.seconds * share, stop.steps)
    return Stop(stop.seconds * share, max(round(stop.steps * share), 1))


def _run(engine: Anneal, problem: Problem, start: Ints, stop: Stop, seed: int) -> Ints:
    return engine.improve(problem, start, stop, np.random.default_rng(seed))
