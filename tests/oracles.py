"""Brute force: slow, obviously right."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.placement.problem import Problem

    Ints = np.ndarray[Any, np.dtype[np.int64]]


def feasible_placements(problem: Problem) -> Iterator[Ints]:
    """Every placement that keeps all rows and moves nothing immovable. For at most 5 movable VMs on 4 hosts."""
    free = np.flatnonzero(problem.movable)
    if problem.hosts ** len(free) > 5_000:
        raise ValueError(f"{problem.hosts} hosts and {len(free)} movable VMs are too many for brute force")
    for choice in product(range(problem.hosts), repeat=len(free)):
        host_of = problem.home.copy()
        host_of[free] = choice
        if problem.feasible(host_of):
            yield host_of


def best(problem: Problem) -> tuple[tuple[int, ...], Ints]:
    """The lexicographically least costs, and a placement that has them."""
    return min(((problem.costs(p), p) for p in feasible_placements(problem)), key=lambda pair: pair[0])
