"""Scenarios: joint sample paths of what entities will ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

FAR_S = 10_800
NOW, USUAL, TAIL = 1 / 2, 2 / 3, 0.25
"""Up to three hours ahead the middle of what is said of one entity is half its newest value, which paths leave too soon; later the
tails are, to two parts in three, those of all it has ever done: paths come from fewer instants than it has lived through. Plans need
the paths as they are (docs/decisions/0009)."""


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
    now, usual
        (E,) newest value, and (E, L) quantiles at `LEVELS` of all that each entity did in the past looked at; NaN where the paths
        alone are to be believed. None: for nobody.
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
    now: NDArray[np.float32] | None = None
    usual: NDArray[np.float32] | None = None

    def quantile(self, q: float) -> NDArray[np.float32]:
        """(E, T) what one entity stays under with probability `q`, rising in `q`: the best there is for one entity at a time.

        Of S paths in order, the i-th stands for (i + 1/2) / S (Hazen); beside them `now` and `usual` have their say.
        """
        near = min(FAR_S // self.step_s, self.values.shape[2])
        if TAIL < q < 1 - TAIL:
            part, said, share, low, high = slice(near), self.now, NOW, TAIL, 1 - TAIL
        else:
            part, said, share = slice(near, None), self._usual(q), USUAL
            low, high = (0.0, TAIL) if q < 0.5 else (1 - TAIL, 1.0)
        own = np.quantile(self.values, q, axis=1, method="hazen").astype(np.float32)
        if said is None or not own[:, part].size:
            return own
        # What the paths say where one rule takes over from the other bounds both, so that quantiles rise with the level.
        least, most = np.quantile(self.values[..., part], (low, high), axis=1, method="hazen").astype(np.float32)
        least, most = (least if low else None), (most if high < 1 else None)
        mixed = np.clip(own[:, part] + np.float32(share) * (said[:, None] - own[:, part]), least, most)
        own[:, part] = np.where(np.isfinite(said)[:, None], mixed, own[:, part])
        return own

    def _usual(self, q: float) -> NDArray[np.float32] | None:
        """(E,) `usual` at any level, straight between `LEVELS`."""
        if self.usual is None:
            return None
        at = float(np.interp(q, LEVELS, np.arange(len(LEVELS))))
        low = min(int(at), len(LEVELS) - 2)
        return np.asarray(self.usual[:, low] + np.float32(at - low) * (self.usual[:, low + 1] - self.usual[:, low]))
