"""Where one machine's future lies: each simple level is believed as far as it was right about this machine."""

from __future__ import annotations

from statistics import fmean, median

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.forecast.marginals import DISTANCES
from pro.forecast.record import (
    EXACT,
    FEW_DAYS,
    LEAST,
    OFTEN,
    TAIL_INSTANTS,
    TAIL_LEAST,
    TAIL_TRUST,
    TAILS,
    TRUST,
    middle,
    tails,
)

DAY, HOUR, WEEK = 96, 4, 7


def by_the_clock(past: list[float]) -> tuple[list[float], list[list[float]]]:
    """Mean at each slot of the next day over a week of days before it, and what such a mean was off by, day by day."""
    days = [past[len(past) - (k + 1) * DAY :][:DAY] for k in range(len(past) // DAY)]

    def usual(before: list[list[float]]) -> list[float]:
        return [fmean(each) for each in zip(*before[:WEEK], strict=True)]

    tried = [(days[k], usual(days[k + 1 :])) for k in range(min(len(days) - 1, WEEK))]
    return usual(days), [[x - u for x, u in zip(day, said, strict=True)] for day, said in tried]


def chosen(said: list[float], errors: list[float], trust: int) -> float:
    """The mean of what was said, weighed by the errors."""
    usual = max(fmean(errors), 1e-12)
    weights = [(e / usual + EXACT) ** -trust for e in errors]
    return sum(w * s for w, s in zip(weights, said, strict=True)) / sum(weights)


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
    clock = None
    if said and n >= 2 * DAY:
        usual, missed = by_the_clock(past)
        clock = usual, fmean(abs(x) for day in missed for x in day) * (1 + FEW_DAYS / len(missed))
    out = []
    for k in range(slots):
        also, off = ([clock[0][k % DAY]], [clock[1]]) if clock else ([], [])
        out.append(chosen(said + also, [e[k] for e in errors] + off, TRUST))
    return out


def pinball(sample: list[float], q: float) -> tuple[float, float]:
    """The quantile of a sample, and its mean loss over it."""
    x = float(np.quantile(sample, q, method="hazen"))
    return x, fmean(max(q * (s - x), (q - 1) * (s - x)) for s in sample)


def tail_of(past: list[float], slots: int, q: float) -> list[float]:
    """The same for one machine and one level, one number after the other."""
    n = len(past)
    knots = [d for d in DISTANCES if d < slots] + [slots]
    said: list[list[float]] = []
    errors: list[list[float]] = []
    for span in (1, HOUR, 3 * HOUR):
        each = max(-(-(n - span + 1) // TAIL_INSTANTS), 1)
        level = {t: fmean(past[t + 1 - span : t + 1]) for t in range(n - 1, span - 2, -each)}
        found: list[tuple[float, float]] = []
        for d in knots:
            off = [past[t + d] - level[t] for t in level if t + d < n]
            found += [pinball(off, q)] if len(off) >= TAIL_LEAST else found[-1:]
        if found:
            away, loss = zip(*found, strict=True)
            said.append([level[n - 1] + float(np.interp(k + 1, knots, away)) for k in range(slots)])
            errors.append([float(np.interp(k + 1, knots, loss)) for k in range(slots)])
    ever, loss_of_it = pinball(past[:: max(n // TAIL_INSTANTS, 1)], q)
    said.append([ever] * slots)
    errors.append([loss_of_it] * slots)
    if n >= 2 * DAY:
        usual, missed = by_the_clock(past)
        flat = [x for day in reversed(missed) for x in day]
        further, lost = pinball(flat[:: max(len(flat) // TAIL_INSTANTS, 1)], q)
        said.append([usual[k % DAY] + further for k in range(slots)])
        errors.append([lost * (1 + FEW_DAYS / len(missed))] * slots)
    return [chosen([s[k] for s in said], [e[k] for e in errors], TAIL_TRUST) for k in range(slots)]


@settings(max_examples=15)
@given(st.integers(30, 300), st.integers(1, 20), st.integers(0, 99))
def test_it_is_what_one_number_after_the_other_says(points: int, slots: int, seed: int) -> None:
    past = np.random.default_rng(seed).gamma(1, 20, size=(2, points)).astype(np.float32)
    expected = [believed(row.astype(float).tolist(), slots) for row in past]
    np.testing.assert_allclose(middle(past, np.arange(slots), DAY), expected, rtol=1e-3, atol=1e-3)


@settings(max_examples=15)
@given(st.integers(2, 1000), st.integers(1, 12), st.integers(0, 99))
def test_tails_are_what_one_number_after_the_other_says(points: int, slots: int, seed: int) -> None:
    past = np.random.default_rng(seed).gamma(1, 20, size=(2, points)).astype(np.float32)
    each = [[tail_of(row.astype(float).tolist(), slots, q) for q in TAILS] for row in past]
    expected = np.sort(np.moveaxis(np.array(each), 1, 2), axis=2)
    np.testing.assert_allclose(tails(past, np.arange(slots), DAY), expected, rtol=2e-3, atol=2e-3)


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


def test_a_machine_with_a_timetable_is_where_it_was_at_this_time_on_other_days() -> None:
    day = np.full(DAY, 5.0)
    day[8:12] = 80
    past = np.tile(day, 5)[None].astype(np.float32)
    found = middle(past, np.arange(DAY), DAY)[0]
    np.testing.assert_allclose(found, day, atol=0.5)
    low, high = TAILS.index(0.05), TAILS.index(0.95)
    reach = tails(past, np.arange(DAY), DAY)[0]
    np.testing.assert_allclose(reach[:, low], day, atol=0.5)
    np.testing.assert_allclose(reach[:, high], day, atol=0.5)


def test_the_time_of_day_counts_less_where_it_was_tried_on_few_days() -> None:
    """Two days alike may be chance; seven are not."""
    rng = np.random.default_rng(3)
    noise = np.cumsum(rng.normal(0, 1, size=7 * DAY)) / 12

    def away_from_the_newest(days: int) -> float:
        past = (50 + noise[-days * DAY :] + 4 * np.tile(np.sin(np.arange(DAY) / DAY * 2 * np.pi), days))[None]
        past = past.astype(np.float32)
        return float(np.abs(middle(past, np.arange(DAY), DAY) - past[:, -1:]).mean())

    assert away_from_the_newest(2) < away_from_the_newest(7)
