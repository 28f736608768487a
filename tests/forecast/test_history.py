"""Slots and stand-ins, against plain loops."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.forecast.history import history, slot_means
from tests.forecast.pasts import DAY, STEP_S, Values, grid, pasts


@given(pasts(), st.sampled_from((1, 2, 3)), st.integers(0, 5))
def test_slot_means_equal_a_plain_loop(values: Values, each: int, late: int) -> None:
    g = grid(values)
    means, seen = slot_means(g, g.cutoff + timedelta(seconds=late * STEP_S), each * STEP_S)
    tail = np.concatenate([values, np.full((values.shape[0], late), np.nan, dtype=np.float32)], axis=1)
    for e in range(values.shape[0]):
        for back in range(means.shape[1]):
            stop = tail.shape[1] - back * each
            part = [float(v) for v in tail[e, max(stop - each, 0) : stop] if not np.isnan(v)]
            slot = means.shape[1] - 1 - back
            assert seen[e, slot] == bool(part)
            if part:
                assert means[e, slot] == pytest.approx(sum(part) / len(part), rel=1e-5, abs=1e-6)
            else:
                assert np.isnan(means[e, slot])


@given(pasts())
def test_holes_hold_the_same_time_of_the_nearest_day_that_knows_it(values: Values) -> None:
    g = grid(values)
    past = history(g, g.cutoff, STEP_S)
    # Of four entities one is a tenth.
    known = np.isfinite(values).any(axis=0)
    values = values[:, int(known.argmax()) :]
    assert past.values.shape == values.shape
    for e, row in enumerate(values):
        if np.isnan(row).all():
            assert np.isnan(past.values[e]).all()
            continue
        assert not np.isnan(past.values[e]).any()
        own = {float(v) for v in row[~np.isnan(row)]}
        for t, value in enumerate(row):
            same = [k for k in range(t % DAY, row.size, DAY) if not np.isnan(row[k])]
            if not np.isnan(value):
                assert past.values[e, t] == value
            elif same:
                nearest = min(same, key=lambda k: (abs(k - t), k))
                assert past.values[e, t] == row[nearest]
            else:
                assert float(past.values[e, t]) in own


@given(pasts())
def test_share_counts_known_points(values: Values) -> None:
    g = grid(values)
    past = history(g, g.cutoff, 2 * STEP_S)
    np.testing.assert_allclose(past.share, np.isfinite(values).mean(axis=1), rtol=1e-6)


def test_a_short_past_is_lengthened_by_what_is_known() -> None:
    g = grid([[1.0, 2.0, 3.0]])
    past = history(g, g.cutoff, STEP_S, least_s=10 * STEP_S)
    assert past.values.shape == (1, 10)
    assert past.values[0, -3:].tolist() == [1.0, 2.0, 3.0]
    assert set(past.values[0].tolist()) == {1.0, 2.0, 3.0}
    assert past.seen.sum() == 3


@pytest.mark.parametrize("slot_s", [2700, 7 * 1800])
def test_slots_must_fit_the_grid_and_the_day(slot_s: int) -> None:
    g = grid([[1.0]])
    with pytest.raises(ValueError, match="slot_s"):
        history(g, g.cutoff, slot_s)


def test_who_was_known_only_before_most_others_began_is_not_forgotten() -> None:
    values = np.full((30, 10), np.nan)
    values[0, 2:4], values[1:, 6:] = 5, 7
    past = history(grid(values), grid(values).cutoff, STEP_S)
    assert past.values.shape == (30, 7)
    assert past.seen.any(axis=1).all()
    values[0, 8] = 5
    assert history(grid(values), grid(values).cutoff, STEP_S).values.shape == (30, 4)
