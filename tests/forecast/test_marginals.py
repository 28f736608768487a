"""Quantiles by simple ways, their weights, and how they are laid over joint paths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.forecast.blend import ROUNDS, _greedy, fit
from pro.forecast.impose import impose, middle_ranks
from pro.forecast.marginals import LEVELS, WAYS, levels_of, ways
from pro.forecast.together import ASKED, _below, _Sums, common, in_a_new_day, normal_score, strength, tied

L = np.array(LEVELS)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40))
def test_levels_are_hazen_quantiles(sample: list[float]) -> None:
    expected = np.quantile(np.array(sample, np.float32), LEVELS, method="hazen")
    np.testing.assert_allclose(levels_of(np.array(sample, np.float32)), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20)
@given(st.integers(3, 400), st.integers(1, 60), st.integers(0, 99))
def test_no_way_reads_what_is_not_there(points: int, slots: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.gamma(1, 20, size=(3, points)).astype(np.float32)
    paths = rng.gamma(1, 20, size=(3, 7, slots)).astype(np.float32)
    found = ways(values, paths, np.arange(slots), 48)
    assert found.shape == (len(WAYS), 3, slots, len(LEVELS))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=-1) >= -1e-3).all()


@given(st.integers(0, 99), st.integers(2, 60))
def test_imposed_paths_have_the_marginals_asked_for_and_keep_their_order(seed: int, paths: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(2, paths, 3)).astype(np.float32)
    own = levels_of(np.moveaxis(drawn, 1, 2))
    wider = own + np.sort(rng.gamma(1, 10, size=(2, 3, len(LEVELS))), axis=-1).astype(np.float32)
    got = impose(drawn, wider)
    at = (np.arange(paths) + 0.5) / paths
    for e in range(2):
        for t in range(3):
            order = np.argsort(drawn[e, :, t])
            expected = drawn[e, order, t] + np.interp(at, L, wider[e, t] - own[e, t])
            np.testing.assert_allclose(got[e, order, t], expected, rtol=1e-4, atol=1e-3)


@given(st.integers(0, 99), st.integers(2, 30), st.booleans())
def test_paths_that_have_the_quantiles_already_stay_as_they_are(seed: int, paths: int, two: bool) -> None:
    """Above all machines that are idle or busy and never in between."""
    drawn = np.random.default_rng(seed).gamma(1, 10, size=(4, paths, 3)).astype(np.float32)
    drawn = np.where(drawn > 8, np.float32(90), np.float32(5)) if two else drawn
    np.testing.assert_array_equal(impose(drawn, levels_of(np.moveaxis(drawn, 1, 2))), drawn)


@given(st.integers(0, 99), st.integers(2, 30))
def test_order_is_kept_even_where_quantiles_fall_together(seed: int, paths: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(2, paths, 3)).astype(np.float32)
    narrow = np.sort(rng.normal(size=(2, 3, len(LEVELS))) * 0.01, axis=-1).astype(np.float32)
    got = impose(drawn, narrow)
    assert (np.diff(np.take_along_axis(got, np.argsort(drawn, axis=1), axis=1), axis=1) >= 0).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_middle_ranks_equal_a_plain_loop(values: list[int]) -> None:
    x = np.array(values, np.float32)[None, :, None]
    expected = [sum(v < u for v in values) + (sum(v == u for v in values) - 1) / 2 for u in values]
    assert middle_ranks(x)[0, :, 0].tolist() == expected


def test_a_way_that_knows_is_believed_and_one_that_lies_is_not() -> None:
    rng = np.random.default_rng(0)
    actual = rng.normal(50, 10, size=(800, 3)).astype(np.float32)
    honest = np.quantile(actual, LEVELS).astype(np.float32)
    found = np.zeros((3, 800, 3, len(LEVELS)), np.float32)
    found[0], found[1], found[2] = honest + 30, honest, honest - 45
    blend = fit(("paths", "last", "hour"), found, actual, np.arange(3), np.ones(800), np.arange(800) % 8, 48)
    q = blend.apply(found, np.arange(3))
    for k, level in enumerate(LEVELS):
        assert (actual <= q[..., k]).mean() == pytest.approx(level, abs=0.06)


def test_one_common_factor_moves_sums_apart_and_leaves_each_marginal_alone() -> None:
    paths = np.random.default_rng(1).normal(size=(40, 24, 2)).astype(np.float32)
    mixed = tied(paths, 0.4)
    np.testing.assert_array_equal(np.sort(mixed, axis=1), np.sort(paths, axis=1))
    assert mixed.sum(axis=0).std(axis=0).min() > 2 * paths.sum(axis=0).std(axis=0).max()
    assert tied(paths, 0.0) is paths


def test_the_factor_is_as_strong_as_held_back_sums_ask_for() -> None:
    rng = np.random.default_rng(3)
    quantiles = np.broadcast_to(50 + 10 * normal_score(L), (60, 4, len(LEVELS))).astype(np.float32)
    factor = common(24, np.random.default_rng(0))

    def found(shared: float) -> float:
        trials = []
        for _ in range(24):
            z = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=(60, 4))
            trials.append(
                (rng.normal(size=(60, 24, 4)).astype(np.float32), quantiles, (50 + 10 * z).astype(np.float32))
            )
        return strength(trials, [np.ones(60)] * 24, factor)

    assert found(0.0) == 0.0
    assert found(0.5) >= 0.3


def test_below_counts_sums_that_lie_under_their_quantiles() -> None:
    totals = np.broadcast_to(np.arange(24.0)[None, :, None], (3, 24, 1)).copy()
    assert _below(totals, np.full((3, 1), -1.0)).tolist() == [1.0] * len(ASKED)
    assert _below(totals, np.full((3, 1), 99.0)).tolist() == [0.0] * len(ASKED)
    assert _below(np.zeros((3, 24, 1)), np.zeros((3, 1))).tolist() == [0.5] * len(ASKED)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 5))
def test_sums_of_groups_are_those_of_a_plain_loop(seed: int, rows: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    group, weight = rng.permutation(np.arange(max(rows, groups)) % groups), rng.random(max(rows, groups))
    values = rng.random((group.size, 3, 2))
    plain = np.zeros((groups, 3, 2))
    for g, w, v in zip(group, weight, values, strict=True):
        plain[g] += w * v
    np.testing.assert_allclose(_Sums(group, groups, weight).of(values), plain)


@given(st.integers(0, 2**32 - 1), st.sampled_from(LEVELS))
def test_greedy_selection_adds_what_lowers_the_pinball_loss_most(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    gap, prior = rng.normal(size=(4, 50)).astype(np.float32), np.array([4.0, 0.0, 0.0, 0.0])
    count = prior.copy()
    for _ in range(ROUNDS):
        each = np.array([count + (np.arange(4) == k) for k in range(4)])
        mixed = each @ gap.astype(np.float64) / (count.sum() + 1)
        losses = np.maximum(level * mixed, (level - 1) * mixed).mean(axis=1)
        count = each[int(losses.argmin())]
    found = _greedy(gap, level, prior)
    assert np.array_equal(found, count / count.sum())


@given(st.floats(0.001, 0.999))
def test_normal_score_is_close_to_the_normal_quantile(level: float) -> None:
    from statistics import NormalDist

    assert float(normal_score(np.array(level))) == pytest.approx(NormalDist().inv_cdf(level), abs=1e-3)


@given(st.floats(0, 0.9), st.floats(0.1, 60))
def test_a_new_day_has_more_in_common_the_fewer_days_were_seen(seen: float, days: float) -> None:
    expected = in_a_new_day(seen, days)
    assert seen <= expected + 1e-12 <= 1
    assert in_a_new_day(seen, days + 1) <= expected + 1e-12
    odds = (expected / (1 - expected), seen / (1 - seen))
    assert odds[0] <= 3 * odds[1] + 1e-9
    if days >= 2:
        assert odds[0] == pytest.approx(odds[1] * (days + 1) / (days - 1))
