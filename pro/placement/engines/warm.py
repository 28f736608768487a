"""Compile the kernels once, before any clock runs. numba keeps the result on disk for the next process."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from pro.placement.language import Linear, Steps
from pro.placement.problem import Problem, Stop, Tier


def warm() -> None:
    """Run every engine kernel on two VMs and two hosts. Some seconds the first time on a machine, then milliseconds."""
    _load("scipy.optimize", "ortools.sat.python.cp_model", "ortools.math_opt.python.mathopt")
    _load("pro.placement.engines.restart_kernels")
    from pro.placement.engines.few import MANY, Few
    from pro.placement.engines.greedy import Greedy
    from pro.placement.engines.local import Local

    problem = _two(MANY)
    rng = np.random.default_rng(1)
    for engine in (Greedy(), Few(), Local()):
        engine.improve(problem, problem.home, Stop(seconds=3600, steps=1), rng)


def warm_wide() -> None:
    """The same for the wide search, which is compiled apart: few need it. What its bound needs takes seconds to load."""
    _load("scipy.sparse", "ortools.sat.python.cp_model", "pro.placement.engines.restart_kernels")
    from pro.placement.engines.sources import source_bound
    from pro.placement.engines.wide import Wide

    source_bound(_two(), _two().home, 1)
    engine = Wide(tries=1)
    engine.improve(_two(), _two().home, Stop(seconds=3600, steps=1), np.random.default_rng(1))


def _load(*modules: str) -> None:
    """Import what is only wanted for being there: libraries that are slow to load, kernels that are compiled by being imported."""
    for name in modules:
        import_module(name)


def _two(moments: int = 1) -> Problem:
    """Two VMs, two hosts."""
    two, ones = np.arange(2), np.ones((2, moments), np.int64)
    heat = Steps(two, ones, two, 0 * ones, ones[None], 5 * ones[None], "warm")
    moves = Linear(two, None, None, "warm")
    return Problem(np.zeros(2, np.int64), 2, np.ones(2, bool), (), (Tier("a", ()), Tier("b", (heat, moves))))


if __name__ == "__main__":
    warm()
    warm_wide()
