"""Losses against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.forecast import losses

numbers = st.floats(-1e3, 1e3)


@given(st.lists(numbers, min_size=1, max_size=8), numbers)
def test_crps_equals_its_double_sum(members: list[float], actual: float) -> None:
    n = len(members)
    expected = sum(abs(m - actual) for m in members) / n - sum(abs(a - b) for a in members for b in members) / (
        2 * n * n
    )
    assert losses.crps([actual], np.array(members)[:, None]) == pytest.approx(expected, abs=1e-6)
    assert losses.crps_each([[actual]], np.array(members)[None, :, None])[0] == pytest.approx(expected, abs=1e-6)


@given(numbers, numbers)
def test_crps_of_a_point_is_the_absolute_error_and_so_is_twice_the_median_pinball(actual: float, point: float) -> None:
    assert losses.crps([actual], [[point]]) == pytest.approx(abs(actual - point))
    assert 2 * losses.pinball([actual], [point], 0.5) == pytest.approx(losses.mae([actual], [point]))


@given(st.lists(numbers, min_size=5, max_size=50), st.sampled_from((0.1, 0.5, 0.9, 0.95)), numbers)
def test_no_constant_beats_the_empirical_quantile_at_pinball(sample: list[float], q: float, rival: float) -> None:
    best = np.quantile(sample, q, method="inverted_cdf")
    assert losses.pinball(sample, best, q) <= losses.pinball(sample, rival, q) + 1e-9


def test_unknown_actuals_are_left_out_and_nothing_known_is_not_a_number() -> None:
    nan = float("nan")
    assert losses.mae([1.0, nan], [2.0, 9.0]) == 1.0
    assert losses.coverage([1.0, nan, 5.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]) == 0.5
    assert np.isnan(losses.mae([nan], [1.0]))
    assert np.isnan(losses.crps_each([[nan]], [[[1.0], [2.0]]])).all()
    assert losses.brier([True, False], [1.0, 0.5]) == 0.125
