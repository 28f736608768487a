"""Grids for forecast tests: small, made of numbers one can follow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pro.telemetry.grid import Grid

START = datetime(2013, 8, 12, tzinfo=UTC)
STEP_S = 1800
DAY = 48
HORIZON_S = 6 * 3600

Values = np.ndarray[Any, np.dtype[np.float32]]


def grid(values: Any, counter: str = "cpu_pct", step_s: int = STEP_S, names: tuple[str, ...] | None = None) -> Grid:
    """A grid of (E, T) values that starts at START; NaN is unknown."""
    array = np.asarray(values, dtype=np.float32)
    entities = names or tuple(f"vm{i:03d}" for i in range(array.shape[0]))
    return Grid(counter, entities, START, step_s, array)


@st.composite
def pasts(draw: st.DrawFn, *, max_entities: int = 4) -> Values:
    """(E, T) percentages over half a day to four days, with holes, constants and entities nobody ever saw."""
    entities, points = draw(st.integers(1, max_entities)), draw(st.integers(DAY // 2, 4 * DAY))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.gamma(1.0, 20.0, size=(entities, points)).clip(0, 100)
    values[:, : points // 2] *= draw(st.sampled_from((0.0, 0.5, 1.0)))
    holes = draw(arrays.arrays(np.bool_, (entities, 8)))
    values[np.repeat(holes, -(-points // 8), axis=1)[:, :points]] = np.nan
    if draw(st.booleans()):
        values[0] = np.nan
    if draw(st.booleans()):
        values[-1] = 7.0
    return values.astype(np.float32)


def rhythmic(entities: int, days: int, seed: int = 7) -> Values:
    """Office hours whose height the evening before gives away: a pattern to learn, where repeating a past day is not enough."""
    rng = np.random.default_rng(seed)
    at = np.arange(days * DAY)
    turns = np.roll(np.repeat(rng.uniform(15, 90, size=(entities, days)), DAY, axis=1), -12, axis=1)
    office = (at % DAY >= 16) & (at % DAY < 32)
    return (turns * np.where(office, 1.0, 0.15) + rng.normal(0, 0.5, size=turns.shape)).clip(0, 100).astype(np.float32)


def lingering(entities: int, slots: int, rng: np.random.Generator) -> Values:
    """(E, N) noise of unit size that lasts for hours."""
    shocks = rng.normal(0, 1, (entities, slots))
    for k in range(1, slots):
        shocks[:, k] = 0.6 * shocks[:, k - 1] + 0.8 * shocks[:, k]
    return shocks.astype(np.float32)


def office(entities: int, days: int, seed: int) -> Values:
    """(E, N) per cent: a working day of each one's own height and hour, on days that differ, over a level with noise."""
    rng = np.random.default_rng(seed)
    hour = np.arange(days * DAY) % DAY / DAY * 24
    height = rng.uniform(5, 25, (entities, 1)) * np.repeat(rng.lognormal(0, 0.15, (entities, days)), DAY, axis=1)
    peak, level = rng.uniform(9, 16, (entities, 1)), rng.uniform(3, 15, (entities, 1))
    values = level + height * np.exp(-(((hour - peak) / 3) ** 2)) + 1.2 * lingering(entities, hour.size, rng)
    return np.asarray(values.clip(0.1, 100), np.float32)


def flat(entities: int, days: int, seed: int) -> Values:
    """(E, N) per cent: a level of each one's own with noise, at any time of day."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(10, 35, (entities, 1)) + 2.0 * lingering(entities, days * DAY, rng)
    return np.asarray(values.clip(0.1, 100), np.float32)
