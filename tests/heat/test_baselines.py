"""The rules people use today, against plain loops, and where they are blind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pro.heat.baselines import compare, hourly_average, scom_rule
from pro.heat.hotspots import find_hotspots
from tests.builders import demand_of, fleet

uses = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=15),
    elements=st.floats(0, 1.2) | st.just(float("nan")),
)


@given(uses, st.integers(1, 6))
def test_scoms_rule_equals_a_plain_loop(use: np.ndarray, n: int) -> None:  # type: ignore[type-arg]
    for row, flagged in zip(use, scom_rule(use, 0.85, n), strict=True):
        newest = row.tolist()[-n:]
        assert flagged == (len(newest) == n and all(x > 0.85 for x in newest))


@given(uses)
def test_the_hourly_average_equals_a_plain_loop(use: np.ndarray) -> None:  # type: ignore[type-arg]
    for row, flagged in zip(use, hourly_average(use, 0.85, 300), strict=True):
        known = [x for x in row.tolist()[-12:] if x == x]
        assert flagged == (bool(known) and sum(known) / len(known) > 0.85)


def test_no_samples_in_a_row_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="n must"):
        scom_rule(np.ones((1, 3)), 0.5, 0)


def test_an_agent_that_is_down_raises_no_alarm_and_clears_none() -> None:
    use = np.array([[0.9] * 9 + [np.nan] * 3, [0.9] * 12])
    assert scom_rule(use, 0.85, 3).tolist() == [False, True]
    assert hourly_average(use, 0.85).tolist() == [True, True]


def test_beside_the_forecast_one_sees_who_warns_of_tomorrow() -> None:
    f = fleet("h1: a | h2: b | h3:")
    now_hot = np.array([[0.3] * 12, [0.3] * 9 + [0.95] * 3, [0.2] * 12])
    tomorrow = demand_of(f, {"a": [1_000, 9_500], "b": [9_000, 100]}, step_s=1800)
    seen = compare(f.hosts, now_hot, find_hotspots(f, tomorrow))
    assert seen.scom_rule == ("h2",)
    assert seen.hourly_average == ()
    assert seen.forecast == ("h1", "h2")
