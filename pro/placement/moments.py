"""Fewer moments for the search in a large fleet: neighbouring slots of a scenario together, at their mean.

Costs of use over knots are convex, so at the mean (rounded down) they are no more than the mean of the costs: a bound for the
few moments, times the slots put together, holds for all of them. Answers are judged at all moments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.fleet import Demand


def slots_together(demand: Demand, most: int) -> int:
    """The fewest slots that must be put together for at most `most` moments: a divisor of the slots, all if none is enough."""
    fits = (g for g in range(1, demand.slots + 1) if demand.slots % g == 0 and demand.moments // g <= most)
    return next(fits, demand.slots)


def fewer_moments(demand: Demand, together: int) -> Demand:
    """`demand` with so many slots put together, a divisor of its slots; each mean is rounded down."""

    def mean(series: NDArray[np.int32]) -> NDArray[np.int32]:
        pieces = series.reshape(*series.shape[:2], series.shape[2] // together, together)
        means: NDArray[np.int32] = (pieces.sum(axis=3, dtype=np.int64) // together).astype(np.int32)
        return means

    return replace(
        demand, use=mean(demand.use), base=mean(demand.base), slots=demand.slots // together, step_s=demand.step_s * together
    )  # fmt: skip
