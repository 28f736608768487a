"""The classifier that is asked directly: its features, its labels, and when it is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.heat.ahead import Ahead, learn_ahead
from pro.heat.direct import (
    MOST_ROWS,
    MOST_SHUFFLES,
    Examples,
    Window,
    average_precision,
    examples,
    from_arrays,
    shuffles,
    to_arrays,
    train,
)
from pro.heat.features import DAY, HOUR, Loads, features, heat_ahead

N = 3 * DAY


def loads(values: np.ndarray[Any, Any], host_of: list[int], limit: float = 100.0) -> Loads:
    hosts = max(host_of) + 1
    return Loads(
        values.astype(np.float32), values.max(axis=1), np.array(host_of), np.full(hosts, limit), np.zeros(hosts)
    )


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 12))
def test_heat_ahead_equals_a_plain_loop(over: list[bool], steps: int) -> None:
    use = np.where(np.array(over), 1.5, 0.5)[None, :]
    ahead, before = heat_ahead(use, steps)

    def runs(lo: int, hi: int) -> bool:
        return any(all(over[k - 2 : k + 1]) for k in range(max(lo, 2), min(hi, len(over))))

    for t in range(len(over)):
        assert ahead[0, t] == runs(t + 3, t + steps + 1)
        assert before[0, t] == runs(t + 1 - HOUR, t + 1)


@settings(max_examples=10)
@given(st.integers(1, N - 1), st.integers(0, 99))
def test_features_do_not_see_what_comes_later(at: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.gamma(1, 20, size=(4, N))
    spoiled = values.copy()
    spoiled[:, at + 1 :] = 1e4
    cap = [0, 0, 1, 1]
    one, other = loads(values, cap), loads(spoiled, cap)
    other = Loads(other.load, one.cap, other.host_of, other.limit, other.own)
    np.testing.assert_allclose(features(one).values[:, at], features(other).values[:, at], rtol=1e-3, atol=1e-3)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_average_precision_is_scikit_learns(pairs: list[tuple[bool, int]]) -> None:
    from sklearn.metrics import average_precision_score

    hot, score = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], float)
    if hot.any():
        assert average_precision(hot, score) == pytest.approx(average_precision_score(hot, score))
    else:
        assert np.isnan(average_precision(hot, score))


@settings(max_examples=10)
@given(st.integers(0, 99), st.sampled_from([0.5, 0.8, 1.25, 2.0]))
def test_a_lower_limit_is_as_good_as_more_load(seed: int, part: float) -> None:
    """Everything is told in parts of the limit, so one threshold learns for another."""
    rng = np.random.default_rng(seed)
    one = loads(rng.gamma(1, 20, size=(4, N)), [0, 0, 1, 1])
    lower = Loads(one.load, one.cap, one.host_of, one.limit * part, one.own + 3)
    more = Loads(one.load / np.float32(part), one.cap / part, one.host_of, one.limit, (one.own + 3) / part)
    np.testing.assert_allclose(features(lower).values, features(more).values, rtol=1e-3, atol=1e-3)


def warned(days: int, seed: int) -> Loads:
    """Hosts whose one VM doubles half an hour after it has risen a little: a warning no threshold rule can read."""
    rng = np.random.default_rng(seed)
    values = rng.normal(40, 2, size=(6, days * DAY))
    for v in range(6):
        for at in rng.choice(days * DAY - 40, size=8 * days, replace=False):
            values[v, at : at + 6] += 15
            values[v, at + 6 : at + 14] = 130
    return loads(values, list(range(6)))


def told(ahead: Ahead, one: Loads, window: Window) -> Examples:
    return examples(one, window, HOUR, ahead.foresee(one, window.instants))


def test_it_learns_a_warning_and_comes_back_from_its_arrays_unchanged() -> None:
    past, to_come = warned(4, 0), warned(2, 1)
    early, late = Window(HOUR, 4 * DAY - HOUR, 3), Window(HOUR, 2 * DAY - HOUR)
    ahead = learn_ahead([(past, early.instants)], HOUR)
    model = train(told(ahead, past, early), told(ahead, to_come, late), HOUR, ahead)
    assert model is not None
    assert model.wins
    test = told(ahead, warned(2, 2), late)
    chance = model.probability(test.rows)
    assert average_precision(test.hot, chance) > average_precision(test.hot, test.rows[:, 0])
    assert chance.mean() == pytest.approx(test.hot.mean(), abs=0.1)
    again = from_arrays(to_arrays(model, "x."), "x.")
    np.testing.assert_allclose(again.probability(test.rows), chance, rtol=1e-9)


def test_where_nothing_runs_hot_there_is_no_model() -> None:
    calm = loads(np.full((3, N), 10.0), [0, 1, 2])
    window = Window(HOUR, N - HOUR, 3)
    ahead = learn_ahead([(calm, window.instants)], HOUR)
    e = told(ahead, calm, window)
    assert train(e, e, HOUR, ahead) is None


@given(st.integers(0, 10**7))
def test_few_hosts_are_thrown_often_and_many_once(rows: int) -> None:
    times = shuffles(rows)
    assert 1 <= times <= MOST_SHUFFLES
    assert times == 1 or (1 + times) * rows <= MOST_ROWS
    assert times == MOST_SHUFFLES or (2 + times) * rows > MOST_ROWS


def test_examples_of_a_table_made_before_are_the_same() -> None:
    one, window = warned(2, 0), Window(HOUR, 2 * DAY - HOUR, 5)
    foreseen = learn_ahead([(one, window.instants)], HOUR).foresee(one, window.instants)
    plain, given_table = (examples(one, window, HOUR, foreseen, table=t) for t in (None, features(one)))
    np.testing.assert_array_equal(plain.rows, given_table.rows)
