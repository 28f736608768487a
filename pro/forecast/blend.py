"""Which ways of looking at the past deserve how much belief: weighed on held-back stretches of the same past, then made to cover.

At every level and distance the quantile is an average of the ways' quantiles. The weights are found by greedy selection with
replacement (Caruana et al. 2004), which cannot do worse on the held-back stretches than the best single way; then the distance
from the median is stretched until the held-back actuals lie below as often as the level says (split conformal, Vovk et al. 2005,
pooled over entities).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.marginals import LEVELS, PATHS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints, Singles


ROUNDS, PRIOR = 8, 4
"""Ways added, and how many times the first is there already."""
BAGS = 4
DUST, HALF = 1e-4, 0.5
FAR_PARTS, TAIL = 8, 0.25
"""From an eighth of a day ahead the tails are those of the joint paths: averages of quantiles make machines half busy that jump."""
EDGES = (1, 3, 6, 12, 24, 48, 96, 288)
"""Slots ahead that begin a new set of weights."""
LEAST_STRETCH, MOST_STRETCH = 0.7, 1.6
MEDIAN = LEVELS.index(0.5)


@dataclass(frozen=True)
class Blend:
    """Weights (B, L, M) over ways, for distances that begin at `edges` (B,) slots ahead, and how far to stretch (B, L)."""

    names: tuple[str, ...]
    edges: tuple[int, ...]
    weights: NDArray[np.float64]
    stretch: NDArray[np.float64]

    def apply(self, found: Singles, ahead: Ints) -> Singles:
        """(E, K, L) one quantile function out of the ways' `found` (M, E, K, L), rising with the level."""
        which = np.searchsorted(np.array(self.edges), ahead + 1, side="right") - 1
        out = np.empty(found.shape[1:], dtype=np.float32)
        for b in np.unique(which):
            mine = which == b
            used = np.flatnonzero(self.weights[b].any(axis=0))
            mixed = np.zeros((found.shape[1], int(mine.sum()), found.shape[3]), dtype=np.float32)
            for way in used:
                mixed += found[way][:, mine] * self.weights[b, :, way].astype(np.float32)
            middle = mixed[..., MEDIAN : MEDIAN + 1]
            out[:, mine] = middle + (mixed - middle) * self.stretch[b]
        return np.asarray(np.sort(out, axis=-1))


def fit(
    names: tuple[str, ...],
    found: Singles,
    actual: Singles,
    ahead: Ints,
    size: NDArray[np.float64],
    group: Ints,
    per_day: int,
) -> Blend:
    """Weights from the ways' quantiles `found` (M, N, K, L) of `actual` (N, K), NaN where unknown.

    Losses are divided by `size` (N,); `group` (N,) says to which held-back instant a row belongs.
    """
    edges = tuple(e for e in EDGES if e <= int(ahead.max()) + 1)
    which = np.searchsorted(np.array(edges), ahead + 1, side="right") - 1
    weights = np.zeros((len(edges), len(LEVELS), len(names)))
    stretch = np.ones((len(edges), len(LEVELS)))
    last = -1
    paths = np.array([float(name == PATHS) for name in names])
    for b in range(len(edges)):
        mine, far = which == b, edges[b] * FAR_PARTS >= per_day
        y = actual[:, mine].reshape(-1)
        known = np.isfinite(y)
        if not known.any():
            weights[b] = weights[last] if last >= 0 else 1 / len(names)
            continue
        q = np.moveaxis(found[:, :, mine].reshape(len(names), -1, len(LEVELS))[:, known], 2, 0).copy()
        share = np.repeat(1 / size, int(mine.sum()))[known].astype(np.float32)
        bag = np.repeat(group, int(mine.sum()))[known] % BAGS
        for k, level in enumerate(LEVELS):
            weights[b, k] = (
                paths if far and not TAIL < level < 1 - TAIL else _bagged((y[known] - q[k]) * share, level, bag, paths)
            )
        mixed = np.einsum("lmn,lm->ln", q, weights[b])
        stretch[b] = [
            1 + HALF * (_covering(mixed[MEDIAN], mixed[k], y[known], level) - 1) for k, level in enumerate(LEVELS)
        ]
        last = b
    return Blend(names, edges, weights, stretch)


def _bagged(gap: Singles, level: float, bag: Ints, paths: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) mean over bags, each of which is left out once, of the weights that greedy selection finds without it."""
    bags = np.unique(bag)
    kept = [bag != left_out for left_out in bags] if bags.size > 1 else [np.ones(bag.size, dtype=np.bool_)]
    return np.asarray(np.mean([_greedy(gap[:, rows], level, PRIOR * paths) for rows in kept], axis=0))


def _greedy(gap: Singles, level: float, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) weights of the average with the least pinball loss that single additions to the prior reach.

    `gap` (M, n) is actual minus quantile, in parts of the entity's size. The loss max(level * x, (level - 1) * x) is
    |x| / 2 + (level - 1/2) * x, and the second part of a sum of gaps is the sum of the parts.
    """
    count = prior.copy()
    each = gap.sum(axis=1, dtype=np.float64)
    total, whole = prior.astype(np.float32) @ gap, float(prior @ each)
    trial = np.empty_like(gap)
    for _ in range(ROUNDS):
        np.abs(np.add(gap, total, out=trial), out=trial)
        pick = int((0.5 * trial.sum(axis=1) + (level - 0.5) * (whole + each)).argmin())
        total += gap[pick]
        whole += each[pick]
        count[pick] += 1
    return np.asarray(count / count.sum())


def _covering(middle: Singles, quantile: Singles, actual: Singles, level: float) -> float:
    """The stretch about `middle` at which the share of actuals below the quantile comes closest to `level`."""
    if level == LEVELS[MEDIAN]:
        return 1.0
    away = quantile - middle
    moving = np.abs(away) > 1e-6
    if not moving.any():
        return 1.0
    need = ((actual - middle)[moving] / away[moving]).astype(np.float64)
    tail = level if level > 0.5 else 1 - level
    rest = (actual <= quantile + DUST) if level > 0.5 else (actual >= quantile - DUST)
    want = tail * actual.size - rest[~moving].sum()
    part = want / moving.sum()
    if not 0 < part < 1:
        return 1.0
    return float(np.clip(np.quantile(need, part), LEAST_STRETCH, MOST_STRETCH))
