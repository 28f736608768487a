"""How much everything moves together beyond what the replayed past shows, learned from sums that were held back.

A week of past holds few distinct days, so sums over a host's machines spread less in replayed days than in the next one: release days,
month ends, and whatever else lifts many machines at once. One common factor (a one-factor Gaussian copula, Vasicek 1987) is mixed into
the ranks of all entities, as strong as held-back sums of small groups needed for their actuals to lie where they should. No
entity's own quantiles change. It says how far a sum may go, not whose: it lifts all hosts alike wherever VMs stand, and drowns who peaks
with whom. So forecasts carry its strength beside the paths, pictures of sums mix it in, and plans are made without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.impose import impose, in_order, middle_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
GROUP = 10
"""Entities in a held-back sum: about what a host carries."""
LEAST_GROUPS = 3
"""With fewer sums than this at an instant there is nothing to see in common; the replayed past alone says who moves with whom."""
ASKED = (0.05, 0.1, 0.9, 0.95)
SEED = 1
SURE = 0.01
"""A stronger factor must bring held-back sums closer to their levels by this much."""


def common(paths: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(S,) the common factor of each path: evenly spread normal scores in random order."""
    return np.asarray(normal_score((rng.permutation(paths) + 0.5) / paths))


def tied(paths: Floats, strength: float, factor: NDArray[np.float64] | None = None) -> Floats:
    """`paths` (E, S, T) dealt out anew so that the common `factor` (S,), None: one of its own, shows in their order so strongly."""
    if strength <= 0:
        return paths
    factor = common(paths.shape[1], np.random.default_rng(SEED)) if factor is None else factor
    own = normal_score((middle_ranks(paths) + 0.5) / paths.shape[1])
    return in_order((np.sqrt(1 - strength) * own + np.sqrt(strength) * factor[None, :, None]).round(9), paths)


def strength(
    trials: list[tuple[Floats, Floats, Floats]], mass: list[NDArray[np.float64]], factor: NDArray[np.float64]
) -> float:
    """The strength at which held-back sums lie as often under their quantiles as these say.

    Each trial is (paths (E, S, K), quantiles (E, K, L), actual (E, K)); `mass` (E,) is what one unit of each entity weighs.
    """
    if min((len(actual) for _, _, actual in trials), default=0) < LEAST_GROUPS * GROUP:
        return 0.0
    best, kept = np.inf, 0.0
    laid = [impose(paths, quantiles) for paths, quantiles, _ in trials]
    for candidate in STRENGTHS:
        below: list[NDArray[np.float64]] = []
        for (_, _, actual), values, weight in zip(trials, laid, mass, strict=True):
            below.append(_below(tied(values, candidate, factor), actual, weight))
        missed = float(np.abs(np.concatenate(below).mean(axis=0) - np.array(ASKED)).sum())
        if missed < best - SURE:
            best, kept = missed, candidate
    return kept


def _below(values: Floats, actual: Floats, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, A) whether sums of groups lie below their quantiles `ASKED`; ties count as half."""
    known = np.isfinite(actual).all(axis=1)
    values, actual, weight = values[known], actual[known], weight[known]
    groups = max(len(values) // GROUP, 1)
    of = np.arange(len(values)) % groups
    total = np.zeros((groups, *values.shape[1:]))
    np.add.at(total, of, values * weight[:, None, None])
    came = np.zeros((groups, actual.shape[1]))
    np.add.at(came, of, actual * weight[:, None])
    q = np.quantile(total, ASKED, axis=1, method="hazen")
    dust = 1e-6 * (1 + np.abs(came))
    below = (came < q - dust) + 0.5 * (np.abs(came - q) <= dust)
    return np.asarray(np.moveaxis(below, 0, -1).reshape(-1, len(ASKED)))


def normal_score(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal quantiles, good to 5e-4 (Abramowitz & Stegun 26.2.23): they only order paths."""
    tail = np.minimum(level, 1 - level)
    t = np.sqrt(-2 * np.log(np.maximum(tail, 1e-12)))
    z = t - (2.515517 + 0.802853 * t + 0.010328 * t**2) / (1 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return np.asarray(np.where(level < 0.5, -z, z))
