"""What was learned before a step is told to be stale, and nothing is while loads stay what they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.forecast.joint import cut
from pro.forecast.stale import SURE, WORSE, Record, believed, record, stale
from pro.forecast.teaching import train
from tests.forecast.pasts import DAY, STEP_S, Values, grid, rhythmic

if TYPE_CHECKING:
    from pro.forecast.taught import Lesson, Taught
    from pro.telemetry.grid import Grid

DAYS, DAY_S = 8, 86_400
UNTIL = DAYS * DAY


def taught_on(values: Values) -> tuple[Grid, Taught]:
    """The whole past as a grid, and what is learned from the first `DAYS` of it."""
    whole = grid(values)
    at = whole.start + timedelta(seconds=STEP_S * (UNTIL - 1))
    return whole, train({"cpu_pct": cut(whole, at)}, at, DAY_S, STEP_S, float(DAYS))


def told(whole: Grid, taught: Taught, days: float) -> tuple[str, ...]:
    """What is said of it so many days later."""
    at = taught.until + timedelta(days=days)
    kept, said = believed(taught, {"cpu_pct": cut(whole, at)}, at)
    assert len(kept.lessons) + len(said) == len(taught.lessons)
    return said


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("factor", [1.6, 1 / 1.6])
def test_a_model_trained_before_a_step_is_told_to_be_stale(seed: int, factor: float) -> None:
    values = rhythmic(30, DAYS + 3, seed)
    values[:, UNTIL:] = np.clip(values[:, UNTIL:] * factor, 0, 100)
    whole, taught = taught_on(values)
    assert taught.lessons
    said = [told(whole, taught, days) for days in (1, 2)]
    assert any(said)
    assert all("is true no more" in text for texts in said for text in texts)


@pytest.mark.parametrize("entities", [4, 30])
def test_there_is_no_false_alarm_while_loads_stay_what_they_are(entities: int) -> None:
    judged = 0
    for seed in range(100, 116):
        whole, taught = taught_on(rhythmic(entities, DAYS + 3, seed))
        judged += len(taught.lessons)
        for days in (1, 2, 3):
            assert told(whole, taught, days) == ()
    assert judged >= 6


def test_nothing_is_said_before_a_whole_horizon_has_come() -> None:
    values = rhythmic(30, DAYS + 3, 1)
    values[:, UNTIL:] = np.clip(values[:, UNTIL:] * 1.6, 0, 100)
    whole, taught = taught_on(values)
    assert told(whole, taught, 0.9) == ()
    assert told(whole, replace(taught, until=taught.until + timedelta(days=2)), 0.5) == ()


def test_only_what_came_after_the_training_judges_it() -> None:
    """Days that it had seen may be anything: the newest two alone are forecast, from what lies before each."""
    whole, taught = taught_on(rhythmic(30, DAYS + 3, 2))
    lesson = taught.lessons["cpu_pct"]
    at = taught.until + timedelta(days=1)
    late = cut(whole, at)
    one = record(taught, lesson, late, at)
    future = whole.values.copy()
    future[:, UNTIL + DAY :] = 77.0
    other = record(taught, lesson, cut(replace(whole, values=future), at), at)
    assert one is not None
    assert one == other
    assert record(taught, lesson, cut(whole, taught.until), taught.until) is None


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """One that was really taught."""
    return taught_on(rhythmic(30, DAYS, 2))[1].lessons["cpu_pct"]


@given(st.floats(0.1, 9), st.floats(0.1, 9), st.floats(0.1, 9), st.floats(0.1, 9), st.floats(-5, 9), st.floats(0.1, 9))
def test_days_that_are_hard_for_everybody_do_not_count(
    lesson: Lesson, plain: float, learned: float, then: float, taught: float, sure: float, hard: float
) -> None:
    lesson = replace(lesson, plain=then, learned=taught)
    alike = Record(then * hard, taught * hard, sure)
    assert not stale(lesson, alike)
    found = Record(plain, learned, sure)
    worse = learned / taught > WORSE and (learned / plain) / (taught / then) > WORSE and sure > SURE
    assert stale(lesson, found) == worse
