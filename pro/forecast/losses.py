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


def crps(actual: ArrayLike, paths: ArrayLike, axis: int = 1) -> float:
    """Continuous ranked probability score of an ensemble whose members lie along `axis`: E|X-y| - E|X-X'|/2.

    The plain ensemble form of Gneiting & Raftery 2007, eq. 21, by the sorted-members identity. NaN actuals are left out.
    """
    x = np.sort(np.asarray(paths, dtype=float), axis=axis)
    members = x.shape[axis]
    y = np.expand_dims(np.asarray(actual, dtype=float), axis)
    weight = (2.0 * np.arange(1, members + 1) - members - 1.0) / members**2
    shape = [1] * x.ndim
    shape[axis] = members
    spread = (x * weight.reshape(shape)).sum(axis=axis)
    return _mean(np.abs(x - y).mean(axis=axis) - spread)


def brier(happened: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared error of a probability. Brier 1950."""
    return _mean((np.asarray(happened, dtype=float) - np.asarray(probability, dtype=float)) ** 2)


def _mean(values: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")
