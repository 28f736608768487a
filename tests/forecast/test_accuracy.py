"""Accuracy figures people can trust."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.forecast.accuracy import rolling
from pro.forecast.joint import cut
from pro.telemetry.grid import Grid
from tests.forecast.pasts import DAY, HORIZON_S, Values, grid, pasts


@settings(max_examples=6)
@given(pasts(max_entities=3), st.integers(1, 3))
def test_it_never_fails_and_is_plain_json(values: Values, origins: int) -> None:
    accuracy = rolling(grid(values), horizon_s=HORIZON_S, origins=origins, seed=0)
    document = json.loads(json.dumps(accuracy.to_json(), allow_nan=False))
    assert document["schema"] == "accuracy/1"
    assert [row["model"] for row in document["rows"]] in ([], ["pro", "last value", "seasonal naive"])
    assert len(accuracy.origins) <= origins


def test_a_later_future_does_not_change_how_an_origin_was_scored() -> None:
    values = np.random.default_rng(0).gamma(1, 20, size=(3, 6 * DAY)).clip(0, 100)
    whole = grid(values)
    early = cut(whole, whole.start + timedelta(days=4))
    spoiled = values.copy()
    spoiled[:, 4 * DAY + 1 :] = 0.0
    again = cut(grid(spoiled), early.cutoff)
    assert rolling(early, horizon_s=HORIZON_S, origins=3, seed=0) == rolling(
        again, horizon_s=HORIZON_S, origins=3, seed=0
    )


def test_the_last_value_is_unbeatable_where_nothing_changes_and_ours_equals_it() -> None:
    accuracy = rolling(grid(np.full((2, 5 * DAY), 30.0)), horizon_s=HORIZON_S, origins=3, seed=0)
    assert [round(row.mae, 4) for row in accuracy.rows] == [0.0, 0.0, 0.0]


def test_yesterday_is_hard_to_beat_where_every_day_is_the_same_and_ours_comes_close() -> None:
    day = np.random.default_rng(1).uniform(0, 90, size=(4, DAY))
    accuracy = rolling(grid(np.tile(day, 7)), horizon_s=86_400, origins=3, seed=0)
    ours, last, seasonal = accuracy.rows
    assert seasonal.mae == 0.0
    assert ours.crps < last.crps / 2


def test_every_origin_leaves_its_horizon_inside_and_two_days_before() -> None:
    g = grid(np.random.default_rng(1).uniform(0, 90, size=(2, 5 * DAY)))
    accuracy = rolling(g, horizon_s=86_400, origins=5, seed=0)
    assert len(accuracy.origins) == 5
    for origin in accuracy.origins:
        assert origin - g.start >= timedelta(days=2)
        assert origin + timedelta(days=1) <= g.cutoff


def test_a_past_too_short_to_judge_says_so() -> None:
    accuracy = rolling(grid(np.ones((2, DAY))), horizon_s=86_400, origins=5, seed=0)
    assert accuracy.origins == ()
    assert accuracy.rows == ()


def test_the_time_before_a_store_began_is_not_held_against_it() -> None:
    """Some wrote earlier: what could be said of the others then is nothing."""
    values = np.random.default_rng(2).gamma(1, 20, size=(3, 9 * DAY)).clip(0, 100)
    values[0, : 2 * DAY] = np.nan
    values[1:, : 5 * DAY] = np.nan
    whole = grid(values)
    since = Grid(
        whole.counter, whole.entities, whole.start + timedelta(days=5), whole.step_s, whole.values[:, 5 * DAY :]
    )
    found = rolling(whole, horizon_s=86_400, origins=3, seed=0)
    assert found == rolling(since, horizon_s=86_400, origins=3, seed=0)
    assert all(origin - since.start >= timedelta(days=2) for origin in found.origins)
    assert len(found.origins) == 3
