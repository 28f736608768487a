"""How busy invented VMs are: shapes by role, with what makes real load hard (bursts, batches, groups that move together)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROLES = ("WEB", "APP", "SQL", "DC", "FILE", "MAIL", "VDI", "BI")
DAY_MIN = 1440


def smooth_noise(rng: np.random.Generator, rows: int, steps: int, memory: float) -> NDArray[np.float64]:
    """(rows, steps) first-order autoregressive noise of variance 1; `memory` is the weight of the step before."""
    shocks: NDArray[np.float64] = rng.standard_normal((rows, steps)) * np.sqrt(1.0 - memory**2)
    out = np.empty_like(shocks)
    out[:, 0] = rng.standard_normal(rows)
    for step in range(1, steps):
        out[:, step] = memory * out[:, step - 1] + shocks[:, step]
    return out


def _hump(minute: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """A bell over the time of day, 0..1, going round midnight."""
    distance = np.abs(minute - centre)
    distance = np.minimum(distance, DAY_MIN - distance)
    bell: NDArray[np.float64] = np.exp(-0.5 * (distance / width) ** 2)
    return bell


def _office(minute: NDArray[np.float64], starts: float, ends: float) -> NDArray[np.float64]:
    """A plateau between two times of day with shoulders of about 40 minutes."""
    rise = 1.0 + np.exp(-(minute - starts) / 20.0)
    fall = 1.0 + np.exp((minute - ends) / 20.0)
    plateau: NDArray[np.float64] = 1.0 / (rise * fall)
    return plateau


def _shape(
    role: str, minute: NDArray[np.float64], weekday: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Expected load over time, about 0..1."""
    shift = rng.uniform(-20.0, 20.0)
    workday = np.where(weekday < 5, 1.0, 0.35)
    if role in ("WEB", "APP"):
        return 0.12 + 0.88 * workday * _office(minute, 500.0 + shift, 1080.0 + shift)
    if role == "SQL":
        return (
            0.15 + 0.65 * workday * _office(minute, 510.0 + shift, 1050.0 + shift) + 0.5 * _hump(minute, 1380.0, 30.0)
        )
    if role == "DC":
        return 0.35 + 0.65 * workday * _hump(minute, 525.0 + shift, 25.0)
    if role == "MAIL":
        morning, afternoon = _hump(minute, 560.0 + shift, 70.0), _hump(minute, 850.0 + shift, 80.0)
        return 0.2 + workday * (0.7 * morning + 0.6 * afternoon)
    if role == "VDI":
        return 0.04 + 0.96 * np.where(weekday < 5, 1.0, 0.08) * _office(minute, 480.0 + shift, 1020.0 + shift)
    if role == "BI":
        return 0.08 + 0.9 * _hump(minute, 150.0 + 3.0 * shift, 50.0) + np.where(weekday == 6, 0.4, 0.0)
    return np.full(len(minute), 0.3)


def _bursts(rng: np.random.Generator, steps: int, step_s: int) -> NDArray[np.float64]:
    """About three bursts a day of 10 to 60 minutes."""
    out = np.zeros(steps)
    for _ in range(rng.poisson(3.0 * steps * step_s / 86_400)):
        start, length = rng.integers(steps), rng.integers(600 // step_s + 1, 3600 // step_s + 2)
        out[start : start + length] = np.maximum(out[start : start + length], rng.uniform(0.3, 0.8))
    return out


def loads(
    rng: np.random.Generator, roles: Sequence[str], services: Sequence[int], start_s: int, steps: int, step_s: int
) -> NDArray[np.float64]:
    """(V, T) share of each VM's own processors that is busy, 0..0.97.

    VMs of one service (same number) share a slow random factor: their peaks coincide, which sums of independent
    forecasts would miss.

    Parameters
    ----------
    start_s
        First instant, seconds since 1970 UTC.
    """
    seconds = start_s + np.arange(steps, dtype=np.int64) * step_s
    minute = (seconds % 86_400) / 60.0
    weekday = (seconds // 86_400 + 3) % 7
    together = smooth_noise(rng, max(services) + 1, steps, 0.97)
    own = smooth_noise(rng, len(roles), steps, 0.6)
    out = np.empty((len(roles), steps))
    for vm, (role, service) in enumerate(zip(roles, services, strict=True)):
        level = rng.uniform(0.35, 0.75)
        line = level * _shape(role, minute, weekday, rng) * np.exp(0.10 * together[service] + 0.12 * own[vm] - 0.012)
        if role == "FILE":
            line = np.maximum(line, _bursts(rng, steps, step_s))
        out[vm] = line
    return np.clip(out, 0.002, 0.97)
