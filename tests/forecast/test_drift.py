"""Demand that leaves its level: found where it stands out, never in a load that stays what it is, and covered again after hours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.forecast import drift
from pro.forecast.drift import LEAST_CREEP, LEAST_STEP, PARTS, Drift, drifts
from pro.forecast.joint import forecast
from tests.forecast.pasts import DAY, Values, flat, grid, office

DAYS, CHANGE = 8, 9
LOADS = {"office": office, "flat": flat}


def found(values: Values, slots: int = DAY) -> Drift:
    return drifts(values, np.ones(values.shape, np.bool_), DAY, slots)


def covered(kind: str, load: str, after_h: int, seed: int = 1) -> float:
    """Share of a day's actuals in the 90 % interval of joint paths, drawn `after_h` hours after the change."""
    values = LOADS[load](24, CHANGE + DAYS + 2, seed)
    day = np.maximum(np.arange(values.shape[1]) / DAY - CHANGE, 0)
    factor = {"step up": np.where(day > 0, 1.6, 1), "step down": np.where(day > 0, 1 / 1.6, 1), "creep": 1 + 0.08 * day}
    values = np.clip(values * factor.get(kind, np.ones(day.size)), 0, 100).astype(np.float32)
    end = CHANGE * DAY + after_h * DAY // 24
    past = grid(values[:, end - DAYS * DAY : end])
    drawn = forecast({"cpu_pct": past}, horizon_s=86_400, scenarios=48, seed=1)["cpu_pct"].values
    low, high = np.quantile(drawn, (0.05, 0.95), axis=1, method="hazen")
    actual = values[:, end : end + DAY]
    return float(((actual >= low - 1e-3) & (actual <= high + 1e-3)).mean())


@pytest.mark.parametrize("load", ["office", "flat"])
@pytest.mark.parametrize(
    ("kind", "after_h", "least"),
    [
        ("none", 0, 0.86), ("none", 48, 0.86),
        ("step up", 12, 0.72), ("step up", 24, 0.82), ("step up", 48, 0.88), ("step up", 168, 0.84),
        ("step down", 12, 0.78), ("step down", 24, 0.86), ("step down", 168, 0.86),
        ("creep", 24, 0.66), ("creep", 96, 0.72), ("creep", 168, 0.72),
    ],
)  # fmt: skip
def test_coverage_comes_back_within_hours_of_a_step_and_is_kept_in_a_creep(
    kind: str, load: str, after_h: int, least: float
) -> None:
    """Without it 46 to 66 % were covered twelve hours after a step; a creep is found after days only."""
    assert least <= covered(kind, load, after_h) <= 0.995


@pytest.mark.parametrize("load", ["office", "flat"])
@pytest.mark.parametrize("days", [3, 5, 6, DAYS])
def test_hardly_anybody_drifts_in_loads_that_stay_what_they_are(load: str, days: int) -> None:
    share = [found(LOADS[load](40, days, seed)).rows.size / 40 for seed in range(60)]
    assert np.mean(share) <= 0.02


@pytest.mark.parametrize("load", ["office", "flat"])
@pytest.mark.parametrize("factor", [1.6, 1 / 1.6])
def test_a_step_is_found_with_its_age_and_its_size(load: str, factor: float) -> None:
    since = DAY
    values = LOADS[load](40, DAYS, 3)
    values[::2, -since:] *= np.float32(factor)
    seen = found(values)
    assert np.isin(np.arange(0, 40, 2), seen.rows).mean() >= 0.7
    stepped = np.isin(seen.rows, np.arange(0, 40, 2))
    assert np.median(seen.lasted[stepped]) == pytest.approx(since, abs=DAY // PARTS)
    assert np.median(seen.factor[stepped, 0]) == pytest.approx(factor, rel=0.1)
    assert (seen.factor[:, -1] == 1).all()


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from((0.01, 7.0, 1e6)))
def test_units_and_order_do_not_matter(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    values = flat(9, DAYS, seed)
    values[::3, -DAY // 2 :] *= 2
    values[1::3] *= np.linspace(1, 2.2, values.shape[1], dtype=np.float32)
    order = rng.permutation(len(values))
    one, other = found(values), found(values[order] * np.float32(unit))
    assert one.rows.size
    assert sorted(order[other.rows].tolist()) == one.rows.tolist()
    back = np.argsort(order[other.rows])
    assert other.lasted[back].tolist() == one.lasted.tolist()
    np.testing.assert_allclose(other.factor[back], one.factor, rtol=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.integers(4, 8), st.integers(1, 40), st.floats(0.2, 1.5))
def test_steps_equal_a_plain_loop(seed: int, days: int, age: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 0.15, (3, days, PARTS))
    parts.reshape(3, -1)[:2, -age:] += size
    since, ratio = drift._steps(parts)
    for row in range(3):
        flat_parts, best = parts[row].ravel(), (0, 0.0)
        total = flat_parts.size
        for count in range(1, min(drift.RECENT_DAYS, days - drift.LEAST_DAYS + 1) * PARTS + 1):
            whole = [d for d in range(days)]
            usual = []
            for j in range(PARTS):
                clear = [d for d in whole if d * PARTS + j < total - count]
                usual.append(np.median([flat_parts[d * PARTS + j] for d in clear]))
            away = [flat_parts[k] - usual[k % PARTS] for k in range(total)]
            new, old = np.array(away[total - count :]), np.abs(away[: total - count])
            middle = float(np.median(new))
            odd = np.quantile(old, drift.ODD) * (drift.FIRST if count == 1 else 1)
            if abs(middle) > np.log(LEAST_STEP) and np.quantile(new * np.sign(middle), drift.FIRM) > odd:
                best = count, middle
        assert (since[row], ratio[row]) == (best[0], pytest.approx(best[1]))


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.integers(3, 9), st.floats(-0.15, 0.15))
def test_creeps_equal_a_plain_loop(seed: int, days: int, each_day: float) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 0.05, (2, days, PARTS)) + each_day * np.arange(days)[None, :, None]
    got = drift._creeps(parts)
    for row in range(2):
        kinds = [
            [float(np.log(np.mean(np.exp(day)))) for day in parts[row]],
            [float(np.quantile(day, drift.BUSY)) for day in parts[row]],
        ]
        pairs = [(i, j) for i in range(days) for j in range(i + 1, days)]
        tau = [np.mean([np.sign(k[j] - k[i]) for i, j in pairs]) for k in kinds]
        slope = min((np.median([(k[j] - k[i]) / (j - i) for i, j in pairs]) for k in kinds), key=abs)
        steady = min(tau) >= drift.STEADY or max(tau) <= -drift.STEADY
        creeps = days >= drift.CREEP_DAYS and steady and abs(slope) * days > np.log(LEAST_CREEP)
        assert got[row] == pytest.approx(slope if creeps else 0.0)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.booleans(), st.integers(1, 200))
def test_a_change_that_lasted_goes_on_for_as_long_in_half_of_the_paths_and_then_the_past_is_back(
    seed: int, rises: bool, lasted: int
) -> None:
    rng = np.random.default_rng(seed)
    n, slots = 40, 60
    plain, moved = (rng.uniform(1, 9, (1, n, slots)).astype(np.float32) for _ in range(2))
    one = Drift(np.array([0]), np.full((1, 3), 2.0 if rises else 0.5, np.float32), np.ones((1, slots), np.float32), np.array([lasted]))  # fmt: skip
    stay = (rng.permutation(n) + 0.5) / n
    got = one.mixed(plain, moved, stay)
    assert (got >= plain if rises else got <= plain).all()
    far = np.maximum(plain, moved) if rises else np.minimum(plain, moved)
    for s in range(n):
        for t in range(slots):
            goes_on = stay[s] < lasted / (lasted + t + 1)
            assert got[0, s, t] == (far if goes_on else plain)[0, s, t]
