"""Scenarios: joint sample paths of what entities will ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.forecast.alone import quantile

if TYPE_CHECKING:
    from datetime import datetime

    from pro.core.arrays import Singles
    from pro.forecast.alone import OwnPast


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
    own
        What each entity's own past says of it alone (alone.py; plans do without); None: nothing, as yet.
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
    own: OwnPast | None = None

    def quantile(self, q: float) -> Singles:
        """(E, T) what one entity stays under with probability `q`, rising in `q`: the best there is for one entity at a time."""
        return quantile(self.values, self.own, q)
