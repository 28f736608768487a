"""How much everything moves together beyond what the replayed past shows, learned from sums that were held back.

A week of past holds few distinct days, so sums over a host's machines spread less in replayed days than in the next one: release days,
month ends, and whatever else lifts many machines at once. One common factor (a one-factor Gaussian copula, Vasicek 1987) is mixed into
the ranks of all entities, as strong as held-back sums of small groups needed for their actuals to lie where they should. No
entity's own quantiles change. It says how far a sum may go, not whose: it lifts all hosts alike wherever VMs stand, and drowns who peaks
with whom. So forecasts carry its strength beside the paths, pictures of sums mix it in, and plans are made without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.impose import impose, in_order, middle_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Singles


STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
GROUP = 10
"""Entities in a held-back sum: about what a host carries."""
LEAST_GROUPS = 3
"""With fewer sums than this at an instant there is nothing to see in common; the replayed past alone says who moves with whom."""
ASKED = (0.05, 0.1, 0.9, 0.95)
SEED = 1
MOST_GROWN = 3.0
SURE = 0.01
"""A stronger factor must bring held-back sums closer to their levels by this much."""


def common(paths: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(S,) the common factor of each path: evenly spread normal scores in random order."""
    return np.asarray(normal_score((rng.permutation(paths) + 0.5) / paths))


def tied(paths: Singles, strength: float, factor: NDArray[np.float64] | None = None) -> Singles:
    """`paths` (E, S, T) dealt out anew so that the common `factor` (S,), None: one of its own, shows in their order so strongly."""
    if strength <= 0:
        return paths
    factor = common(paths.shape[1], np.random.default_rng(SEED)) if factor is None else factor
    return _mixed(paths, _own(paths), strength, factor)


def _own(paths: Singles) -> NDArray[np.float64]:
    """(E, S, T) normal scores of each path among its fellows."""
    return normal_score((middle_ranks(paths) + 0.5) / paths.shape[1])


def _mixed(paths: Singles, own: NDArray[np.float64], strength: float, factor: NDArray[np.float64]) -> Singles:
    return in_order((np.sqrt(1 - strength) * own + np.sqrt(strength) * factor[None, :, None]).round(9), paths)


def strength(
    trials: list[tuple[Singles, Singles, Singles]], mass: list[NDArray[np.float64]], factor: NDArray[np.float64]
) -> float:
    """The strength at which held-back sums lie as often under their quantiles as these say.

    Each trial is (paths (E, S, K), quantiles (E, K, L), actual (E, K)); `mass` (E,) is what one unit of each entity weighs.
    """
    if min((len(actual) for _, _, actual in trials), default=0) < LEAST_GROUPS * GROUP:
        return 0.0
    known = [np.isfinite(actual).all(axis=1) for _, _, actual in trials]
    group, groups = [], 0
    for rows in known:
        count = int(rows.sum())
        here = max(count // GROUP, min(count, 1))
        group.append(groups + np.arange(count) % max(here, 1))
        groups += here
    if groups == 0:
        return 0.0
    paths, quantiles, actual = (
        np.concatenate([trial[k][rows] for trial, rows in zip(trials, known, strict=True)]) for k in range(3)
    )
    weight = np.concatenate([m[rows] for m, rows in zip(mass, known, strict=True)])
    sums = _Sums(np.concatenate(group), groups, weight)
    laid, came = impose(paths, quantiles), sums.of(actual)
    own = _own(laid)
    best, kept = np.inf, 0.0
    for candidate in STRENGTHS:
        values = _mixed(laid, own, candidate, factor) if candidate > 0 else laid
        missed = float(np.abs(_below(sums.of(values), came) - np.array(ASKED)).sum())
        if missed < best - SURE:
            best, kept = missed, candidate
    return kept


def in_a_new_day(strength: float, days: float) -> float:
    """The strength to expect in a new day, where `strength` was seen in so many.

    What k days have in common is seen with (k - 1) / k of its variance, and a new day lies (1 + 1/k) of it around their mean. So the
    common part of the variance grows by (k + 1) / (k - 1), at most threefold; the rest stays.
    """
    grown = strength * (days + 1) / max(days - 1, (days + 1) / MOST_GROWN)
    return grown / (grown + 1 - strength)


@dataclass(frozen=True)
class _Sums:
    """Rows in groups: `group` (R,) of each, and what one unit of it weighs."""

    group: NDArray[np.int64]
    groups: int
    weight: NDArray[np.float64]

    def of(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(G, ...) weighed sums of `values` (R, ...)."""
        order = np.argsort(self.group, kind="stable")
        starts = np.searchsorted(self.group[order], np.arange(self.groups))
        weighed = values[order] * self.weight[order].reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(np.add.reduceat(weighed, starts, axis=0))


def _below(total: NDArray[np.float64], came: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A,) how often sums `came` (G, K) lie below the quantiles `ASKED` of their paths (G, S, K); ties count as half."""
    q = np.quantile(total, ASKED, axis=1, method="hazen")
    dust = 1e-6 * (1 + np.abs(came))
    below = (came < q - dust) + 0.5 * (np.abs(came - q) <= dust)
    return np.asarray(below.reshape(len(ASKED), -1).mean(axis=1))


def normal_score(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal quantiles, good to 5e-4 (Abramowitz & Stegun 26.2.23): they only order paths."""
    tail = np.minimum(level, 1 - level)
    t = np.sqrt(-2 * np.log(np.maximum(tail, 1e-12)))
    z = t - (2.515517 + 0.802853 * t + 0.010328 * t**2) / (1 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return np.asarray(np.where(level < 0.5, -z, z))
