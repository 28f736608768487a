"""The plain model: an entity stays near its recent level for a while, then it lives through a past day again.

Each path first takes the recent level as its forecast and adds what changed at the replayed past instants; from a moment of its
own on it takes the replayed past as it was. How long it stays is learned: the share of paths still at the level after t slots is
the entity's own correlation with itself over t slots, shrunk towards that of all entities. That is a discrete autoregression
(Jacobs & Lewis 1978) with the past days as its marginal distribution: machines that jump between idle and busy stay credible,
where a level difference that fades out over a past day invents half-busy ones. The leaving moment is drawn once per path for
all entities, so their joint behaviour survives the switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL_S = 1800
"""The recent level is the mean over this long."""
PRIOR = 20.0
"""Weight, in slots of evidence, of all entities' persistence against the entity's own."""
HALF = 0.5
BLOCK = 256
"""Entities at a time whose values fit a processor's cache."""


@dataclass(frozen=True)
class Draw:
    """What makes path s what it is, the same for every entity and counter.

    `origins` (S,) past start in slots before the end of the history; `stay` (S,) in 0..1: the path leaves the recent level
    when the entity's persistence has fallen to this.
    """

    origins: NDArray[np.int64]
    stay: NDArray[np.float64]


def draw(origins: NDArray[np.int64], rng: np.random.Generator) -> Draw:
    """A `Draw` whose leaving moments are spread evenly over the paths, in an order independent of the origins."""
    n = origins.size
    return Draw(origins, (rng.permutation(n) + 0.5) / n)


def replay(values: NDArray[np.float32], origins: NDArray[np.int64], slots: int) -> NDArray[np.float32]:
    """(E, S, T) what happened in the `slots` slots after each origin."""
    return np.asarray(values[:, (values.shape[1] - origins)[:, None] + np.arange(slots)[None, :]])


def level_paths(
    values: NDArray[np.float32], seen: NDArray[np.bool_], keep: NDArray[np.float64], drawn: Draw, span: int
) -> NDArray[np.float32]:
    """(E, S, T) paths that hold the recent level, then replay the past; within what the entity has ever done.

    `keep` (E, T) comes from `persistence`.

    The level is that of the last `span` slots that ended with a known one; the older it is, the shorter it is held.
    """
    slots = keep.shape[1]
    n = values.shape[1]
    age = np.where(seen.any(axis=1), np.argmax(seen[:, ::-1], axis=1), slots)
    now = np.take_along_axis(values, _before((n - age)[:, None], span), axis=1).mean(axis=1)
    then = values[:, _before((n - drawn.origins)[:, None], span)].mean(axis=2)
    later = age[:, None] + np.arange(slots)[None, :]
    held = np.where(later < slots, np.take_along_axis(keep, np.minimum(later, slots - 1), axis=1), 0.0)
    stays = drawn.stay[None, :, None] < held[:, None, :]
    paths = replay(values, drawn.origins, slots)
    paths += np.where(stays, (now[:, None] - then)[:, :, None], np.float32(0.0))
    # A machine that is at its top cannot rise with the replayed past: two that alternate must not both end up busy.
    return np.asarray(np.clip(paths, values.min(axis=1)[:, None, None], values.max(axis=1)[:, None, None]))


def _before(end: NDArray[np.int64], span: int) -> NDArray[np.int64]:
    """Indices (n, span) of the `span` slots before each `end` (n, 1)."""
    return np.asarray(np.maximum(end - 1 - np.arange(span)[None, :], 0))


def persistence(values: NDArray[np.float32], slots: int, span: int) -> NDArray[np.float64]:
    """(E, T) in 0..1, falling in t: correlation of an entity's level with its own value t slots later.

    The entity's own slope of value on level, both standardised, shrunk towards the slope of all entities with weight `PRIOR`.
    """
    entities, n = values.shape
    starts = n - slots - span + 1
    keep = np.zeros((entities, slots))
    if starts < 2:
        return keep
    own = np.zeros(entities)
    for begin in range(0, entities, BLOCK):
        rows = slice(begin, begin + BLOCK)
        own[rows], keep[rows] = _own_products(values[rows], starts, slots, span)
    total = own.sum()
    if total == 0:
        return np.zeros((entities, slots))
    keep = (keep + PRIOR * keep.sum(axis=0) / total) / (own[:, None] + PRIOR)
    return np.asarray(np.clip(np.minimum.accumulate(keep, axis=1), 0.0, 1.0).round(9))


def _own_products(
    values: NDArray[np.float32], starts: int, slots: int, span: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(E,) sum of squares of the standardised level, (E, T) of its products with the value t slots later."""
    usual = values.mean(axis=1, dtype=np.float64, keepdims=True)
    size = values.std(axis=1, dtype=np.float64, keepdims=True)
    z = np.divide(values - usual, size, out=np.zeros(values.shape), where=size > 1e-6 * np.abs(usual) + 1e-9)
    level = z[:, :starts] if span == 1 else np.mean([z[:, k : k + starts] for k in range(span)], axis=0)
    later = [np.einsum("en,en->e", level, z[:, span + t : span + t + starts]) for t in range(slots)]
    return np.einsum("en,en->e", level, level), np.stack(later, axis=1)


def widen(paths: NDArray[np.float32], days: int) -> NDArray[np.float32]:
    """`paths` (E, S, T) stretched about their mean, because `days` independent days show less spread than the next one has.

    n days have (n-1)/n of the true variance, a new day lies (1 + 1/n) of it around their mean, so the honest factor is
    sqrt((n+1)/(n-1)) for bell-shaped errors. Loads are skewed and bounded below; half of the stretch serves both coverage and hot minutes best.
    """
    n = max(days, 2)
    factor = 1.0 + HALF * (((n + 1) / (n - 1)) ** 0.5 - 1.0)
    middle = paths.mean(axis=1, keepdims=True)
    return np.asarray(middle + np.float32(factor) * (paths - middle), dtype=np.float32)
