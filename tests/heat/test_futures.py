"""What VMs did next, drawn for each and summed by host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor

from pro.heat.features import HOUR, Loads
from pro.heat.futures import KEPT, LEAST_IN_LEAF, NAMES, TREES, Futures, following, learn_futures

MOMENTS = 2000
KINDS = np.array([0.2, 0.5, 0.8])


def hosts(load: np.ndarray, host_of: list[int], limit: float) -> Loads:
    count = max(host_of) + 1
    return Loads(
        load.astype(np.float32), np.full(len(load), 100.0), np.array(host_of), np.full(count, limit), np.zeros(count)
    )


@pytest.fixture(scope="module")
def taught() -> Futures:
    """Three kinds of moments: the next hour lies at .2, .5 or .8, and what was known tells which."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, MOMENTS)
    rows = (kind + rng.uniform(-0.3, 0.3, MOMENTS))[:, None]
    return learn_futures(rows.astype(np.float32), np.repeat(KINDS[kind][:, None], HOUR, axis=1).astype(np.float32), 0)


def leaves(taught: Futures, kinds: list[int]) -> np.ndarray:
    """(V, 1, R) of VMs that stand as those of the kind stood."""
    rows = np.array([[k] for k in kinds], np.float32)
    return taught.leaves(rows)[:, None, :]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=8), st.floats(50, 400))
def test_where_what_follows_is_known_a_host_is_the_sum_of_its_vms(
    taught: Futures, vms: list[tuple[int, int]], limit: float
) -> None:
    kinds, host_of = [k for k, _ in vms], [h for _, h in vms]
    one = hosts(np.zeros((len(vms), 1)), host_of, limit)
    found = taught.of_hosts(one, leaves(taught, kinds), np.array([0]))[:, 0]
    assert found.shape == (max(host_of) + 1, len(NAMES))
    for h, said in enumerate(found):
        level = sum(100 * KINDS[k] for k, on in vms if on == h) / limit
        assert said[2:7] == pytest.approx([level] * 5, abs=2e-3)
        if abs(level - 1) > 0.05:
            assert said[0] == pytest.approx(float(level > 1), abs=1e-3)
        assert said[7] == pytest.approx(np.clip((level - 1) / 0.01, -6, 6), abs=0.3)


def test_vms_that_jump_are_hot_together_as_often_as_chance_says() -> None:
    """Two VMs at 10 or, in a third of the hours, at 90: a host of both is over 150 in a ninth of its hours, over 95 in five ninths."""
    rng = np.random.default_rng(1)
    high = rng.uniform(size=20_000) < 1 / 3
    paths = np.repeat(np.where(high, 0.9, 0.1)[:, None], HOUR, axis=1).astype(np.float32)
    taught = learn_futures(rng.uniform(size=(len(high), 1)).astype(np.float32), paths, 0)
    n = 200
    rows = rng.uniform(size=(2 * n, 1)).astype(np.float32)
    for limit, share in ((150.0, 1 / 9), (95.0, 5 / 9)):
        one = hosts(np.zeros((2, n)), [0, 0], limit)
        said = taught.of_hosts(one, taught.leaves(rows).reshape(2, n, -1), np.arange(n))[0, :, 0]
        assert said.mean() == pytest.approx(share, abs=0.02)


def by_hand(taught: Futures, loads: Loads, at: np.ndarray) -> tuple[float, float]:
    """Least and greatest that two VMs' leaves can come to for a quarter of an hour."""
    low = high = 0.0
    for v in range(len(loads.cap)):
        reached = taught.paths[np.unique(taught.moments[at[v, 0]])]
        low, high = low + reached.min() * loads.cap[v], high + reached.max() * loads.cap[v]
    return low / loads.limit[0], high / loads.limit[0]


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_nothing_is_drawn_that_did_not_follow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(size=(300, 2)).astype(np.float32)
    taught = learn_futures(rows, rng.uniform(size=(300, HOUR)).astype(np.float32), seed)
    one = hosts(np.zeros((3, 1)), [0, 0, 0], 120.0)
    at = taught.leaves(rng.uniform(size=(3, 2)).astype(np.float32))[:, None, :]
    low, high = by_hand(taught, one, at)
    q = taught.of_hosts(one, at, np.array([7]))[0, 0, 2:7]
    assert (np.diff(q) >= 0).all()
    assert low - 1e-6 <= q[0]
    assert q[-1] <= high + 1e-6


def test_leaves_are_those_of_the_forest_and_keep_what_reached_them(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = []

    class Kept(RandomForestRegressor):
        def fit(self, *given: np.ndarray) -> Kept:
            grown.append(self)
            return super().fit(*given)

    monkeypatch.setattr("sklearn.ensemble.RandomForestRegressor", Kept)
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(3000, 4)).astype(np.float32)
    rows[::7, 2] = np.nan
    taught = learn_futures(rows, rng.uniform(size=(3000, HOUR)).astype(np.float32), 0)
    (forest,) = grown
    reached = forest.apply(np.nan_to_num(rows, nan=-1.0))
    mine = taught.leaves(rows)
    assert mine.shape == (3000, TREES)
    for r in range(TREES):
        pairs = {(int(a), int(b)) for a, b in zip(reached[:, r], mine[:, r], strict=True)}
        assert len(pairs) == len(set(reached[:, r].tolist())) == len(set(mine[:, r].tolist()))
    for leaf in np.unique(mine[:, 0]):
        kept = taught.moments[leaf]
        assert kept.shape == (KEPT,)
        assert (mine[kept, 0] == leaf).all()
        assert len(set(kept.tolist())) >= min(KEPT, LEAST_IN_LEAF // 2)


def test_hosts_and_instants_do_not_matter_to_one_another(taught: Futures) -> None:
    at = np.repeat(leaves(taught, [0, 1, 2, 1]), 3, axis=1)
    one = hosts(np.zeros((4, 3)), [0, 1, 1, 0], 130.0)
    whole = taught.of_hosts(one, at, np.array([5, 6, 9]))
    np.testing.assert_array_equal(taught.of_hosts(one, at[:, 1:2].copy(), np.array([6]))[:, 0], whole[:, 1])
    other = replace(one, host_of=1 - one.host_of)
    np.testing.assert_array_equal(taught.of_hosts(other, at, np.array([5, 6, 9]))[::-1], whole)


def test_what_followed_begins_after_the_instant() -> None:
    share = np.arange(20.0).reshape(2, 10)
    np.testing.assert_array_equal(
        following(share, np.array([0, 4]), 3), [[1, 2, 3], [5, 6, 7], [11, 12, 13], [15, 16, 17]]
    )


def test_it_comes_back_from_its_arrays_unchanged_and_not_from_broken_ones(taught: Futures) -> None:
    stored = taught.arrays("x.")
    again = Futures.read(stored, "x.")
    for name, was in stored.items():
        np.testing.assert_array_equal(again.arrays("x.")[name], was)
    np.testing.assert_array_equal(again.paths, taught.paths)
    feature = taught.trees.feature
    inner = int(np.flatnonzero(feature >= 0)[0])
    for name, at, wrong in (
        ("left", inner, inner), ("right", inner, 10**6), ("roots", 0, -1), ("value", feature.argmin(), 10**6),
        ("value", feature.argmin(), np.nan), ("moments", (0, 0), len(taught.paths)),
    ):  # fmt: skip
        broken = stored["x." + name].copy()
        broken[at] = wrong
        with pytest.raises(ValueError, match=r"leads nowhere|begins nowhere|does not lead on"):
            Futures.read(stored | {"x." + name: broken}, "x.")
    for name, short in (
        ("moments", stored["x.roots"]),
        ("moments", stored["x.moments"][:, :0]),
        ("paths", stored["x.paths"][:, :2]),
    ):
        with pytest.raises(ValueError, match="too short"):
            Futures.read(stored | {"x." + name: short}, "x.")
