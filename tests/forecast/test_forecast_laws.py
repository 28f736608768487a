"""What every forecast obeys, whatever the past looks like."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.core.units import COUNTERS
from pro.forecast.alone import EDGE, FAR_S, NEAR, USUAL
from pro.forecast.joint import JointForecaster, cut, forecast
from pro.forecast.marginals import LEVELS
from pro.forecast.record import TAILS, middle
from tests.conftest import HOSTILE_NAMES
from tests.forecast.pasts import DAY, HORIZON_S, STEP_S, Values, grid, pasts, rhythmic


@settings(max_examples=20)
@given(pasts(), st.integers(0, 5), st.integers(1, 9))
def test_no_leakage_the_future_changes_nothing(values: Values, seed: int, paths: int) -> None:
    whole = grid(values)
    at = whole.start + timedelta(seconds=STEP_S * (values.shape[1] // 2))
    seen = {"cpu_pct": cut(whole, at)}
    honest = forecast(seen, horizon_s=HORIZON_S, scenarios=paths, seed=seed)["cpu_pct"]
    tempted = forecast({"cpu_pct": whole}, horizon_s=HORIZON_S, scenarios=paths, seed=seed, cutoff=at)["cpu_pct"]
    assert honest.cutoff == tempted.cutoff == at
    assert np.array_equal(honest.values, tempted.values)
    assert np.array_equal(honest.known, tempted.known)
    assert honest.model == tempted.model


@settings(max_examples=20)
@given(pasts(), st.integers(0, 5))
def test_same_seed_same_paths_and_they_are_numbers_within_physics(values: Values, seed: int) -> None:
    first = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"]
    again = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"]
    assert np.array_equal(first.values, again.values)
    assert first.values.shape == (values.shape[0], 7, HORIZON_S // STEP_S)
    assert np.isfinite(first.values).all()
    assert first.values.min() >= 0
    assert first.values.max() <= max(100.0, float(np.nanmax(values, initial=0.0)))
    assert np.array_equal(first.point, np.median(first.values, axis=1))


@settings(max_examples=20)
@given(pasts(max_entities=6), st.randoms(use_true_random=False))
def test_shuffling_and_renaming_entities_changes_names_only(values: Values, random: object) -> None:
    order = np.random.default_rng(random.randint(0, 2**31)).permutation(values.shape[0])  # type: ignore[attr-defined]
    names = HOSTILE_NAMES[: values.shape[0]]
    plain = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=3)["cpu_pct"]
    other = forecast({"cpu_pct": grid(values[order], names=names)}, horizon_s=HORIZON_S, scenarios=7, seed=3)["cpu_pct"]
    assert other.entities == names
    np.testing.assert_allclose(other.values, plain.values[order], rtol=1e-5, atol=1e-5)
    assert other.model == tuple(plain.model[i] for i in order)


@settings(max_examples=20)
@given(pasts(), st.integers(0, 3))
def test_an_entity_nobody_saw_changes_nothing_for_the_others(values: Values, seed: int) -> None:
    with_ghost = np.vstack([np.full(values.shape[1], np.nan, dtype=np.float32), values])
    alone = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=5, seed=seed)["cpu_pct"]
    haunted = forecast({"cpu_pct": grid(with_ghost)}, horizon_s=HORIZON_S, scenarios=5, seed=seed)["cpu_pct"]
    np.testing.assert_allclose(haunted.values[1:], alone.values, rtol=1e-5, atol=1e-5)
    assert haunted.model[0] == "unknown"
    assert haunted.known[0] == 0
    seen = np.array([m != "unknown" for m in alone.model])
    expected = np.median(alone.values[seen], axis=0) if seen.any() else np.zeros(alone.values.shape[1:])
    np.testing.assert_allclose(haunted.values[0], expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=15)
@given(st.floats(0, 100, width=32), st.integers(2, 4 * DAY))
def test_a_constant_stays_what_it_is(level: float, points: int) -> None:
    s = forecast({"cpu_pct": grid(np.full((2, points), level))}, horizon_s=HORIZON_S, scenarios=5, seed=0)["cpu_pct"]
    np.testing.assert_allclose(s.values, level, rtol=1e-4, atol=1e-4)


@settings(max_examples=10)
@given(st.sampled_from(sorted(COUNTERS)), st.floats(1.0, 1e9, width=32))
def test_no_path_leaves_the_counters_range_or_what_was_ever_seen(counter: str, scale: float) -> None:
    spec = COUNTERS[counter]
    values = np.random.default_rng(1).gamma(0.5, scale, size=(3, 3 * DAY)).clip(spec.low, spec.high)
    s = forecast({counter: grid(values, counter)}, horizon_s=HORIZON_S, scenarios=16, seed=0)[counter]
    top = values.max(axis=1).astype(np.float32)
    limit = np.maximum(top, 100) if spec.unit == "%" else top
    assert (s.values >= spec.low).all()
    assert (s.values <= np.minimum(limit, np.float32(spec.high))[:, None, None]).all()


def test_counters_of_one_entity_replay_the_same_instants() -> None:
    rng = np.random.default_rng(0)
    cpu = rng.gamma(1.0, 20.0, size=(3, 5 * DAY)).clip(0, 100).astype(np.float32)
    grids = {"cpu_pct": grid(cpu), "disk_bps": grid(cpu * 1000, "disk_bps")}
    both = forecast(grids, horizon_s=HORIZON_S, scenarios=12, seed=4)
    disk, processor = both["disk_bps"].values / 1000, both["cpu_pct"].values
    assert all(np.corrcoef(disk[e].ravel(), processor[e].ravel())[0, 1] > 0.97 for e in range(3))


def test_a_learned_model_is_blind_to_order_too() -> None:
    values = rhythmic(8, 8)
    names = tuple(reversed([f"z{i}" for i in range(8)]))
    plain = forecast({"cpu_pct": grid(values)}, horizon_s=24 * 3600, scenarios=8, seed=3)["cpu_pct"]
    other = forecast({"cpu_pct": grid(values[::-1], names=names)}, horizon_s=24 * 3600, scenarios=8, seed=3)["cpu_pct"]
    assert "learned" in plain.model
    assert other.model == plain.model[::-1]
    np.testing.assert_allclose(other.values, plain.values[::-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("horizon_s", "scenarios", "slot_s"), [(1000, 4, 1800), (0, 4, 1800), (3600, 0, 1800), (7000, 4, 7000)]
)
def test_what_does_not_fit_is_refused(horizon_s: int, scenarios: int, slot_s: int) -> None:
    with pytest.raises(ValueError, match=r"horizon_s|scenarios|slot_s"):
        forecast({"cpu_pct": grid(np.ones((1, DAY)))}, horizon_s=horizon_s, scenarios=scenarios, seed=0, slot_s=slot_s)


def test_nothing_in_nothing_out() -> None:
    assert forecast({}, horizon_s=3600, scenarios=4, seed=0) == {}
    empty = forecast({"cpu_pct": grid(np.zeros((0, DAY)))}, horizon_s=3600, scenarios=4, seed=0)["cpu_pct"]
    assert empty.values.shape == (0, 4, 2)


@settings(max_examples=10)
@given(pasts(), st.integers(0, 3))
def test_calibrated_beforehand_at_the_same_instant_it_is_the_same_forecast(values: Values, seed: int) -> None:
    seen = {"cpu_pct": grid(values)}
    reach = JointForecaster().fit(seen).calibrate(HORIZON_S)
    at_once = JointForecaster().fit(seen).scenarios(HORIZON_S, 7, seed)["cpu_pct"]
    kept = JointForecaster(reach=reach).fit(seen).scenarios(HORIZON_S, 7, seed)["cpu_pct"]
    assert np.array_equal(kept.values, at_once.values)
    assert kept.model == at_once.model


@settings(max_examples=20)
@given(pasts(), st.integers(0, 5), st.lists(st.floats(0.01, 0.99), min_size=2, max_size=6))
def test_quantiles_rise_with_the_level_and_stay_within_physics(values: Values, seed: int, levels: list[float]) -> None:
    drawn = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"]
    found = np.stack([drawn.quantile(q) for q in sorted(levels)])
    assert (np.diff(found, axis=0) >= -1e-4).all()
    assert found.min() >= 0
    assert found.max() <= max(100.0, float(np.nanmax(values, initial=0.0))) + 1e-3


@settings(max_examples=20)
@given(pasts(), st.integers(0, 5))
def test_the_median_of_one_is_where_its_record_says_as_far_as_its_paths_reach(values: Values, seed: int) -> None:
    drawn = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"]
    low, median, high = np.quantile(drawn.values, (EDGE, 0.5, 1 - EDGE), axis=1, method="hazen")
    expected = median
    if drawn.own is not None:
        told = np.isfinite(drawn.own.middle)
        assert told.any(axis=1).sum() == drawn.own.told.size
        expected = np.where(told, np.clip(drawn.own.middle, low, high), median)
    np.testing.assert_allclose(drawn.quantile(0.5), expected, rtol=1e-4, atol=1e-3)


@settings(max_examples=20)
@given(pasts(), st.integers(0, 5), st.sampled_from([0.05, 0.22, 0.9, 0.95]))
def test_a_tail_of_one_lies_between_its_paths_and_what_it_did(values: Values, seed: int, q: float) -> None:
    drawn = forecast({"cpu_pct": grid(values)}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"]
    said, paths = drawn.quantile(q), np.quantile(drawn.values, q, axis=1, method="hazen")
    if drawn.own is None:
        np.testing.assert_allclose(said, paths, rtol=1e-5, atol=1e-5)
        return
    if EDGE < q < 1 - EDGE:  # as the median is drawn to the record, what lies between it and the edge is
        marks = (EDGE if q < 0.5 else 1 - EDGE, 0.5)
        edge, median = (np.quantile(drawn.values, p, axis=1, method="hazen") for p in marks)
        part = (paths - median) / np.where(edge != median, edge - median, np.inf)
        paths = drawn.quantile(0.5) * (1 - part) + edge * part
    near = FAR_S // STEP_S
    nearest = {0.22: 0.2}.get(q, q)
    record, share = drawn.own.tails[..., TAILS.index(nearest)], np.full(paths.shape, NEAR)
    below = LEVELS.index(nearest)
    between = (q - nearest) / (LEVELS[below + 1] - nearest)
    ever = drawn.own.usual[:, below] * (1 - between) + drawn.own.usual[:, below + 1] * between
    usual = np.repeat(ever[:, None], paths.shape[1] - near, axis=1)
    share[:, near:] = USUAL
    past = np.concatenate([record, usual], axis=1)
    expected = np.where(np.isfinite(past), paths + share * (past - paths), paths)
    quartile = drawn.quantile(0.25 if q < 0.5 else 0.75)
    expected = (np.minimum if q < 0.5 else np.maximum)(expected, quartile)
    np.testing.assert_allclose(said, expected, rtol=1e-4, atol=2e-3)


def test_a_machine_not_heard_of_lately_is_said_by_its_paths_and_by_all_it_did() -> None:
    values = rhythmic(8, 4)
    values[2, -3:] = np.nan
    drawn = forecast({"cpu_pct": grid(values)}, horizon_s=24 * 3600, scenarios=8, seed=3)["cpu_pct"]
    assert drawn.own is not None
    assert 2 not in drawn.own.told
    assert np.isnan(drawn.own.tails[2]).all()
    np.testing.assert_allclose(drawn.quantile(0.5)[2], np.quantile(drawn.values[2], 0.5, axis=0, method="hazen"))


def test_what_fills_the_time_before_a_store_began_is_no_record() -> None:
    values = rhythmic(3, 4)[:, : 5 * DAY // 6]
    drawn = forecast({"cpu_pct": grid(values)}, horizon_s=6 * 3600, scenarios=8, seed=3)["cpu_pct"]
    assert drawn.own is not None
    known = drawn.own.past.seen.any(axis=0)
    assert not known.all()
    own = middle(drawn.own.past.values[:, known], np.arange(DAY // 4), DAY)
    np.testing.assert_array_equal(drawn.own.middle, own)


@settings(max_examples=20)
@given(pasts(), st.integers(1, 200), st.integers(0, 3))
def test_time_before_a_store_began_changes_nothing(values: Values, earlier: int, seed: int) -> None:
    """A window of so many days that is longer than what there is."""
    values[:, 0] = np.where(np.isnan(values[:, 0]), 7, values[:, 0])
    padded = np.pad(values, ((0, 0), (earlier, 0)), constant_values=np.nan)
    plain, late = grid(values), grid(padded)
    late = replace(late, start=plain.start - timedelta(seconds=STEP_S * earlier))
    found, expected = (
        forecast({"cpu_pct": g}, horizon_s=HORIZON_S, scenarios=7, seed=seed)["cpu_pct"] for g in (late, plain)
    )
    assert found.cutoff == expected.cutoff
    assert np.array_equal(found.values, expected.values)
    assert np.array_equal(found.quantile(0.9), expected.quantile(0.9))
