"""Scenarios: joint sample paths of what entities will ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scenarios:
    """Joint sample paths of one counter.

    Attributes
    ----------
    counter
        Canonical counter name.
    entities
        E entity ids, sorted.
    cutoff
        Last instant known to the forecaster, UTC.
    step_s
        Seconds between moments of one path.
    values
        (E, S, T) float32 in the counter's unit, never NaN, within the counter's physical range: S paths over T steps;
        step t speaks for the interval that ends at `cutoff + (t + 1) * step_s`. Path s of every entity was drawn from
        the same past instants, so correlation between entities survives: the sum over a host's VMs of path s is a
        sample path of the host.
    point
        (E, T) float32: the point forecast (median) the paths scatter around.
    known
        (E,) float32: share of the history grid that held a value; 0 means the entity was not seen and its paths are a
        stated default.
    model
        (E,) name of the point model chosen for each entity.
    seed
        Seed of the draws.
    tie
        0..1: how strongly all entities move together beyond what the paths show, for whoever adds them up (together.py).
    """

    counter: str
    entities: tuple[str, ...]
    cutoff: datetime
    step_s: int
    values: NDArray[np.float32]
    point: NDArray[np.float32]
    known: NDArray[np.float32]
    model: tuple[str, ...]
    seed: int
    tie: float = 0.0

    def quantile(self, q: float) -> NDArray[np.float32]:
        """(E, T) the q-quantile over paths; of S paths in order, the i-th stands for (i + 1/2) / S (Hazen)."""
        import numpy as np

        return np.quantile(self.values, q, axis=1, method="hazen").astype(np.float32)
