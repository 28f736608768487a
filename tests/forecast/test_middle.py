"""Where the middle of one machine's future lies: each simple level is believed as far as it was right about this machine."""

from __future__ import annotations

from statistics import fmean, median

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.forecast.marginals import DISTANCES
from pro.forecast.middle import EXACT, LEAST, OFTEN, TRUST, middle

DAY, HOUR = 96, 4


def believed(past: list[float], slots: int) -> list[float]:
    """The same for one machine in slots of a quarter of an hour, one number after the other."""
    n = len(past)
    ways = [(span, fmean, 1) for span in (1, HOUR, 3 * HOUR)]
    ways += [(span, median, max(span // OFTEN, 1)) for span in (HOUR, 3 * HOUR, DAY)]
    knots = [d for d in DISTANCES if d < slots] + [slots]
    said, errors = [], []
    for span, of, step in ways:
        instants = range(n - 1, span - 2, -step) if span <= n else range(0)
        level = {t: of(past[t + 1 - span : t + 1]) for t in instants}
        off: list[float] = []
        for d in knots:
            each = [abs(past[t + d] - level[t]) for t in instants if t + d < n]
            off += [fmean(each)] if len(each) >= LEAST else off[-1:]
        if off:
            said.append(level[n - 1])
            errors.append([float(np.interp(k + 1, knots, off)) for k in range(slots)])
    out = []
    for k in range(slots):
        usual = max(fmean(e[k] for e in errors), 1e-12)
        weights = [(e[k] / usual + EXACT) ** -TRUST for e in errors]
        out.append(sum(w * s for w, s in zip(weights, said, strict=True)) / sum(weights))
    return out


@settings(max_examples=15)
@given(st.integers(30, 300), st.integers(1, 20), st.integers(0, 99))
def test_it_is_what_one_number_after_the_other_says(points: int, slots: int, seed: int) -> None:
    past = np.random.default_rng(seed).gamma(1, 20, size=(2, points)).astype(np.float32)
    expected = [believed(row.astype(float).tolist(), slots) for row in past]
    np.testing.assert_allclose(middle(past, np.arange(slots), DAY), expected, rtol=1e-3, atol=1e-3)


@settings(max_examples=25)
@given(st.integers(2, 500), st.integers(1, 100), st.integers(0, 99), st.floats(0.01, 1e6))
def test_it_stays_within_what_the_machine_did_in_any_unit(points: int, slots: int, seed: int, unit: float) -> None:
    past = np.random.default_rng(seed).gamma(1, 20, size=(3, points)).astype(np.float32)
    past[1] = 7
    found, ahead = middle(past, np.arange(slots), DAY), np.arange(slots)
    told = np.isfinite(found)
    assert told.all() or not told.any()
    low, high = past.min(axis=1, keepdims=True), past.max(axis=1, keepdims=True)
    assert ((found >= low - 1e-3) & (found <= high + 1e-3))[told].all()
    np.testing.assert_allclose(middle(past * np.float32(unit), ahead, DAY), found * unit, rtol=2e-3)


def test_too_short_a_past_has_no_record() -> None:
    assert np.isnan(middle(np.ones((2, LEAST), np.float32), np.arange(3), DAY)).all()


def test_a_machine_that_drifts_is_where_it_was_last_and_one_that_flickers_where_it_mostly_is() -> None:
    rng = np.random.default_rng(5)
    drifts = 50 + np.cumsum(rng.normal(0, 1, size=4 * DAY))
    flickers = np.where(rng.random(4 * DAY) < 0.8, 10.0, 90.0)
    flickers[-1] = 90
    found = middle(np.stack([drifts, flickers]).astype(np.float32), np.arange(HOUR), DAY)
    assert abs(found[0, 0] - drifts[-1]) < 1
    assert np.abs(found[1] - 10).max() < 1
