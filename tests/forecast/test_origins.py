"""Which past instants are replayed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.forecast.origins import draw_origins, free_share, season_strength
from tests.forecast.pasts import DAY


@given(st.integers(1, 400), st.integers(1, 96), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_every_origin_has_its_whole_stretch_in_the_past(
    history: int, slots: int, paths: int, free: float, seed: int
) -> None:
    origins = draw_origins(history + slots, slots, paths, DAY, free, np.random.default_rng(seed))
    assert origins.shape == (paths,)
    assert (origins >= slots).all()
    assert (origins <= max(history + slots - 1, slots)).all()


def test_where_days_repeat_every_path_starts_within_an_hour_of_now_on_another_day() -> None:
    origins = draw_origins(8 * DAY, DAY, 24, DAY, 0.0, np.random.default_rng(0))
    away = np.abs((origins + DAY // 2) % DAY - DAY // 2)
    assert away.max() <= 2
    days = np.bincount(np.round(origins / DAY).astype(int))
    assert days.max() - days[days > 0].min() <= 1


def test_where_they_do_not_half_start_at_any_time_evenly() -> None:
    origins = np.sort(draw_origins(8 * DAY, DAY, 48, DAY, free_share(0.0), np.random.default_rng(0)))
    assert free_share(0.0) == 0.5
    assert free_share(0.9) == 0.0
    away = np.abs((origins + DAY // 2) % DAY - DAY // 2)
    assert (away > 2).sum() >= 16


def test_season_strength_knows_a_daily_pattern_from_noise_and_from_a_constant() -> None:
    rng = np.random.default_rng(0)
    at = np.arange(7 * DAY)
    values = np.vstack(
        [np.sin(at / DAY * 2 * np.pi) + rng.normal(0, 0.1, at.size), rng.normal(0, 1, at.size), np.full(at.size, 3.0)]
    ).astype(np.float32)
    daily, noise, constant = season_strength(values, DAY)
    assert daily > 0.9
    assert abs(noise) < 0.2
    assert constant == 0.0
    assert (season_strength(values[:, :DAY], DAY) == 0).all()
