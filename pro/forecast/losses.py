"""What a forecast costs when it is wrong. All are means over everything given; lower is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def mae(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute error, in the counter's unit; unknown actuals (NaN) are left out. NaN if none is known."""
    error = np.abs(np.asarray(actual, dtype=float) - np.asarray(forecast, dtype=float))
    return _mean(error)


def pinball(actual: ArrayLike, quantile: ArrayLike, q: float) -> float:
    """Quantile loss of `quantile` as a forecast of level `q`: max(q*(y-f), (q-1)*(y-f)). Koenker & Bassett 1978.

    NaN actuals are left out.
    """
    gap = np.asarray(actual, dtype=float) - np.asarray(quantile, dtype=float)
    return _mean(np.maximum(q * gap, (q - 1.0) * gap))


def coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of known actuals within [low, high]."""
    y = np.asarray(actual, dtype=float)
    inside = ((y >= np.asarray(low)) & (y <= np.asarray(high))).astype(float)
    return _mean(np.where(np.isnan(y), np.nan, inside))


def crps(actual: ArrayLike, paths: ArrayLike) -> float:
    """Mean continuous ranked probability score of ensembles `paths` (..., S, T) for `actual` (..., T); NaN actuals are left out."""
    return _mean(_crps(actual, paths))


def crps_each(actual: ArrayLike, paths: ArrayLike) -> NDArray[np.float64]:
    """(E,) mean score per entity of `paths` (E, S, T) for `actual` (E, T); NaN for an entity whose actuals are all unknown."""
    score = _crps(actual, paths)
    known = np.isfinite(score)
    total = np.where(known, score, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _crps(actual: ArrayLike, paths: ArrayLike) -> NDArray[np.float64]:
    """E|X-y| - E|X-X'|/2 with members along the last axis but one; Gneiting & Raftery 2007, eq. 21, by the sorted-members identity."""
    x = np.sort(np.asarray(paths, dtype=np.float64), axis=-2)
    members = x.shape[-2]
    y = np.asarray(actual, dtype=np.float64)[..., None, :]
    weight = (2.0 * np.arange(1, members + 1) - members - 1.0) / members**2
    return np.asarray(np.abs(x - y).mean(axis=-2) - (x * weight[:, None]).sum(axis=-2))


def brier(happened: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared error of a probability. Brier 1950."""
    return _mean((np.asarray(happened, dtype=float) - np.asarray(probability, dtype=float)) ** 2)


def _mean(values: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")
