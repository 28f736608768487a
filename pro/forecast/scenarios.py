"""Scenarios: joint sample paths of what entities will ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pro.core.arrays import Singles

FAR_S = 10_800
USUAL, TAIL = 2 / 3, 0.25
"""Later than three hours ahead the tails of what is said of one entity are, to two parts in three, those of all it has ever done: paths
come from fewer instants than it has lived through. Plans need the paths as they are (docs/decisions/0009)."""
SHARES, SHARES_S = (0.9, 0.4), (300, 86_400)
"""What `middle` counts against the paths' own median, five minutes and a day ahead; between them evenly in the logarithm."""


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
    middle, usual
        What finds (E, T) where simple levels with a good record lie (middle.py; plans do without), and (E, L) quantiles at `LEVELS` of all that
        each entity did in the past looked at; NaN where the paths alone are to be believed. None: for nobody.
    """

    counter: str
    entities: tuple[str, ...]
    cutoff: datetime
    step_s: int
    values: Singles
    point: Singles
    known: Singles
    model: tuple[str, ...]
    seed: int
    tie: float = 0.0
    middle: Callable[[], Singles] | None = None
    usual: Singles | None = None

    def quantile(self, q: float) -> Singles:
        """(E, T) what one entity stays under with probability `q`, rising in `q`: the best there is for one entity at a time.

        Of S paths in order, the i-th stands for (i + 1/2) / S (Hazen); beside them `middle` and `usual` have their say.
        """
        central = TAIL < q < 1 - TAIL
        levels = (q, TAIL, 0.5, 1 - TAIL) if central else (q, TAIL if q < 0.5 else 1 - TAIL)
        own, *marks = np.quantile(self.values, levels, axis=1, method="hazen").astype(np.float32)
        return self._centred(own, *marks) if central else self._reaching(own, marks[0], q)

    def _centred(self, own: Singles, low: Singles, median: Singles, high: Singles) -> Singles:
        """`own` (E, T) moved as the paths' median is drawn to `middle`, between their quartiles, so that quantiles rise with the level."""
        if self.middle is None:
            return own
        middle, seconds = self.middle(), self.step_s * np.arange(1, own.shape[1] + 1)
        share = np.interp(np.log(seconds), np.log(SHARES_S), SHARES).astype(np.float32)
        moved = np.clip(own + share * (middle - median), low, high)
        return np.asarray(np.where(np.isfinite(middle), moved, own))

    def _reaching(self, own: Singles, quartile: Singles, q: float) -> Singles:
        """`own` (E, T) of a tail drawn to `usual` from three hours ahead on, on its side of the paths' quartile."""
        far = slice(FAR_S // self.step_s, None)
        if self.usual is None or not own[:, far].size:
            return own
        at = float(np.interp(q, LEVELS, np.arange(len(LEVELS))))
        low = min(int(at), len(LEVELS) - 2)
        said = self.usual[:, low] + np.float32(at - low) * (self.usual[:, low + 1] - self.usual[:, low])
        drawn = own[:, far] + np.float32(USUAL) * (said[:, None] - own[:, far])
        drawn = (np.minimum if q < 0.5 else np.maximum)(drawn, quartile[:, far])
        own[:, far] = np.where(np.isfinite(said)[:, None], drawn, own[:, far])
        return own
