"""Forecasts one would defend before the person who runs the machines."""

from __future__ import annotations

import numpy as np

from pro.forecast.accuracy import rolling
from pro.forecast.joint import forecast
from pro.forecast.losses import crps
from tests.forecast.pasts import DAY, Values, grid, rhythmic

DAY_S = 86_400


def busy_by_day(days: int, entities: int = 1, seed: int = 0) -> Values:
    """80 % from 08:00 to 18:00, 20 % else, a little noise."""
    at = np.arange(1, days * DAY + 1) % DAY
    level = np.where((at > 16) & (at <= 36), 80.0, 20.0)
    noise = np.random.default_rng(seed).normal(0, 2, size=(entities, at.size))
    return (level + noise).astype(np.float32)


def of(values: Values, horizon_s: int = DAY_S, paths: int = 24, seed: int = 1) -> Values:
    return forecast({"cpu_pct": grid(values)}, horizon_s=horizon_s, scenarios=paths, seed=seed)["cpu_pct"].values


def test_an_agent_down_for_four_hours_does_not_look_idle() -> None:
    values = busy_by_day(5)
    down = values.copy()
    down[0, 2 * DAY + 20 : 2 * DAY + 28] = np.nan
    office = slice(18, 34)
    assert of(down)[0, :, office].min() > 60
    np.testing.assert_allclose(of(down).mean(), of(values).mean(), atol=1.0)


def test_an_agent_down_right_now_neither() -> None:
    values = busy_by_day(5)[:, : 4 * DAY + 30]
    values[0, -8:] = np.nan
    s = forecast({"cpu_pct": grid(values)}, horizon_s=2 * 3600, scenarios=24, seed=1)["cpu_pct"]
    assert np.median(s.values[0]) > 60
    assert 0.9 < s.known[0] < 1.0


def test_no_value_is_not_zero_even_when_most_are_missing() -> None:
    values = np.full((1, 4 * DAY), np.nan, dtype=np.float32)
    values[0, ::6] = 50.0
    np.testing.assert_allclose(of(values), 50.0, atol=1e-3)


def test_a_machine_that_came_yesterday_is_judged_by_its_own_hours() -> None:
    values = np.vstack([busy_by_day(6), np.full((1, 6 * DAY), np.nan)]).astype(np.float32)
    values[1, -8:] = 90.0
    s = forecast({"cpu_pct": grid(values)}, horizon_s=DAY_S, scenarios=24, seed=1)["cpu_pct"]
    np.testing.assert_allclose(s.values[1], 90.0, atol=1e-3)
    assert s.known[1] < 0.05


def test_office_hours_are_forecast_at_office_hours() -> None:
    paths = of(busy_by_day(6))[0]
    assert paths[:, 18:34].min() > 60
    assert paths[:, 40:].max() < 40


def test_a_job_that_is_running_goes_on_for_about_as_long_as_such_jobs_do() -> None:
    rng = np.random.default_rng(3)
    state = np.cumsum(rng.random((1, 8 * DAY)) < 1 / 12, axis=1) % 2
    values = (5.0 + 85.0 * state).astype(np.float32)
    values[0, -3:] = 90.0
    paths = of(values, paths=32)[0]
    assert (paths[:, 0] > 60).mean() > 0.75
    assert (paths[:, 20:] > 60).mean() < 0.75


def test_two_that_peak_together_do_so_in_every_path_and_two_that_alternate_never() -> None:
    rng = np.random.default_rng(5)
    state = np.cumsum(rng.random(8 * DAY) < 1 / 10) % 2
    values = np.vstack([60.0 * state, 60.0 * state, 60.0 * (1 - state)]).astype(np.float32)
    first, twin, other = of(values, paths=32)
    np.testing.assert_allclose(first, twin, atol=1e-3)
    assert (first + twin).max() > 110
    assert (first + other).max() < 75


def test_intervals_cover_about_what_they_say() -> None:
    rng = np.random.default_rng(11)
    shocks = rng.normal(0, 1.5, size=(60, 9 * DAY))
    values = np.empty_like(shocks)
    values[:, 0] = 40
    for t in range(1, values.shape[1]):
        values[:, t] = 40 + 0.95 * (values[:, t - 1] - 40) + shocks[:, t]
    accuracy = rolling(grid(values), horizon_s=DAY_S, origins=3, seed=0)
    ours = accuracy.rows[0]
    assert ours.model == "pro"
    assert 0.84 < ours.coverage < 0.97


def test_the_learned_model_is_used_where_it_wins_and_only_there() -> None:
    noise = np.random.default_rng(2).uniform(0, 60, size=(6, 8 * DAY))
    values = np.vstack([rhythmic(6, 8), noise]).astype(np.float32)
    s = forecast({"cpu_pct": grid(values)}, horizon_s=DAY_S, scenarios=16, seed=0)["cpu_pct"]
    assert "learned" in s.model[:6]
    assert set(s.model[6:]) == {"blend"}


def test_on_real_machines_the_spread_beats_both_trivial_models(shared: object) -> None:
    import pandas as pd

    trace = pd.read_parquet(f"{shared}/data/traces/opendc_bitbrains_small_MIT.parquet")
    trace["slot"] = (trace["ts"] - trace["ts"].min()) // 1800
    wide = trace.groupby(["vm", "slot"])["cpu_mhz"].mean().unstack("slot").reindex(columns=range(11 * DAY))
    accuracy = rolling(grid(wide.to_numpy(), "disk_bps"), horizon_s=DAY_S, origins=4, seed=0)
    ours, *trivial = accuracy.rows
    assert len(accuracy.origins) == 4
    assert ours.crps < min(row.crps for row in trivial)
    assert ours.pinball_95 < min(row.pinball_95 for row in trivial)


def test_grids_with_different_ends_are_aligned_at_the_newest_cutoff() -> None:
    values = busy_by_day(5)
    late = forecast(
        {"cpu_pct": grid(values), "disk_bps": grid(values[:, : -DAY // 4], "disk_bps")},
        horizon_s=DAY_S,
        scenarios=16,
        seed=0,
    )
    assert late["cpu_pct"].cutoff == late["disk_bps"].cutoff == grid(values).cutoff
    disk = late["disk_bps"].values[0]
    assert disk[:, 18:34].min() > 60
    assert crps(values[:, :DAY], late["disk_bps"].values) < 8
