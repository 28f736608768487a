"""Classifiers are contradicted by what came after their training, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.heat.ahead import learn_ahead
from pro.heat.direct import Window, train
from pro.heat.features import DAY, HOUR, features
from pro.heat.record import LAST_DAYS, SURE, WORSE, contradicted, instants, judged
from tests.heat.test_direct import loads, told, warned


@pytest.fixture(scope="module")
def model():
    past, to_come = warned(4, 0), warned(2, 1)
    early, late = Window(HOUR, 4 * DAY - HOUR, 3), Window(HOUR, 2 * DAY - HOUR)
    ahead = learn_ahead([(past, early.instants)], HOUR)
    found = train(told(ahead, past, early), told(ahead, to_come, late), HOUR, ahead)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(20, 32))
def test_days_like_those_it_learned_from_do_not_contradict_it(model, seed: int) -> None:
    one = warned(3, seed)
    assert contradicted(one, features(one), model, 2 * DAY) is None


def test_days_on_which_its_warnings_mean_nothing_do(model) -> None:
    """What rises a little does so for hours, and nothing comes of it; heat comes out of the blue."""
    rng = np.random.default_rng(5)
    values = rng.normal(40, 2, size=(6, 3 * DAY))
    for v in range(6):
        for at in range(int(rng.integers(0, 24)), 3 * DAY - 60, 72):
            values[v, at : at + 18] += 15
            values[v, at + 36 : at + 44] = 130
    one = loads(values, list(range(6)))
    score = contradicted(one, features(one), model, 2 * DAY)
    assert score is not None
    assert score > WORSE * model.brier
    assert contradicted(one, features(one), model, HOUR) is None


@given(st.integers(0, 4 * DAY), st.sampled_from((HOUR, 4 * HOUR, DAY)), st.integers(1, 4), st.integers(1, 3000))
def test_only_instants_after_the_training_whose_hours_have_come_judge(
    fresh: int, steps: int, days: int, vms: int
) -> None:
    one = loads(np.zeros((1, days * DAY)), [0])
    one = replace(one, load=np.zeros((vms, days * DAY), np.float32))
    at = instants(one, steps, fresh)
    if at.size:
        assert at.min() >= max(days * DAY - fresh, 0)
        assert at.max() + steps < days * DAY
        assert at.max() - at.min() < LAST_DAYS * DAY


@given(st.integers(0, 2**16), st.integers(2, 12), st.floats(0.01, 0.5))
def test_the_score_is_told_where_a_plain_loop_finds_it_worse(seed: int, hosts: int, trained: float) -> None:
    rng = np.random.default_rng(seed)
    said, hot = rng.random((hosts, 20)), rng.random((hosts, 20)) < rng.random()
    brier = float(np.mean([(s - y) ** 2 for s, y in zip(said.ravel(), hot.ravel(), strict=True)]))
    base = float(np.mean(hot))
    more = [float(np.mean([(s - y) ** 2 - (base - y) ** 2 for s, y in zip(a, b, strict=True)])) for a, b in zip(said, hot, strict=True)]  # fmt: skip
    worse = brier > WORSE * trained and np.mean(more) > SURE * np.std(more, ddof=1) / hosts**0.5
    got = judged(said, hot, trained)
    assert got == pytest.approx(brier) if worse else got is None


def test_probabilities_that_are_right_are_hardly_ever_contradicted() -> None:
    alarms = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        said = np.repeat(rng.beta(0.5, 3, (8, 1)), 48, axis=1)
        hot = rng.random(said.shape) < said
        alarms += judged(said, hot, 0.05) is not None
    assert alarms == 0
