"""A past of minutes: levels are as uncertain as few samples leave them, and whoever is called what changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from pro.forecast.joint import forecast
from pro.forecast.scenarios import Scenarios
from pro.forecast.young import ENOUGH, SPREAD, loosened
from pro.telemetry.grid import Grid

START = datetime(2026, 1, 5, tzinfo=UTC)
PATHS = 400


def past(samples: int, seed: int = 1) -> Grid:
    """Twenty machines at a level of their own, the last never seen."""
    values = np.random.default_rng(seed).uniform(30, 60, (20, 1)) + np.zeros((20, samples))
    values[-1] = np.nan
    return Grid("cpu_pct", tuple(f"e{i:02d}" for i in range(20)), START, 300, values.astype(np.float32))


def drawn(grid: Grid) -> Scenarios:
    return forecast({"cpu_pct": grid}, horizon_s=3600, scenarios=PATHS, seed=1, slot_s=300)["cpu_pct"]


@pytest.mark.parametrize("samples", [1, 4, ENOUGH - 1])
def test_the_spread_follows_the_number_of_samples(samples: int) -> None:
    grid = past(samples)
    plain = drawn(grid)
    loose = loosened(plain, grid)
    off = (loose.values - plain.values)[:-1]
    assert off.std(axis=1).mean() == pytest.approx(SPREAD / samples**0.5, rel=0.1)
    assert abs(off.mean()) < 0.5
    assert loose.values.min() >= 0
    assert loose.values.max() <= 100
    np.testing.assert_array_equal(loose.values[-1], plain.values[-1])


def test_who_has_enough_samples_stays_as_drawn() -> None:
    grid = past(ENOUGH)
    plain = drawn(grid)
    assert loosened(plain, grid) is plain


def test_draws_go_by_level_and_not_by_order() -> None:
    grid = past(2)
    order = np.random.default_rng(3).permutation(20)
    other = Grid("cpu_pct", tuple(grid.entities[i] for i in order), START, 300, grid.values[order])
    plain = drawn(grid)
    turned = Scenarios(
        plain.counter, other.entities, plain.cutoff, plain.step_s, plain.values[order], plain.point[order], plain.known[order],
        tuple(plain.model[i] for i in order), plain.seed, plain.tie,
    )  # fmt: skip
    np.testing.assert_array_equal(loosened(plain, grid).values[order], loosened(turned, other).values)
