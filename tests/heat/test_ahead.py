"""What VMs will ask for, one VM at a time, summed up by host."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.heat.ahead import OF_MEANS, Ahead, from_arrays, learn_ahead, of_hosts, of_means, to_arrays
from pro.heat.features import DAY, HOUR, Loads

DAYS = 3


def loads_of(load: np.ndarray, host_of: list[int], limit: float = 100.0) -> Loads:
    hosts = max(host_of) + 1
    return Loads(
        load.astype(np.float32), np.full(len(load), 100.0), np.array(host_of), np.full(hosts, limit), np.zeros(hosts)
    )


def bursts(seed: int) -> Loads:
    """VMs that are busy for an hour after a knock at the door, calm otherwise, some of them wild."""
    rng = np.random.default_rng(seed)
    load = rng.normal(20, 1, size=(8, DAYS * DAY))
    load[4:] += rng.normal(0, 8, size=(4, DAYS * DAY))
    for v in range(8):
        for at in range(20, DAYS * DAY - 40, 48):
            load[v, at] = 60
            load[v, at + 1 : at + 1 + HOUR] += 40
    return loads_of(load.clip(0, 100), [0, 0, 1, 1, 2, 2, 3, 3])


@pytest.fixture(scope="module")
def taught() -> Ahead:
    return learn_ahead([(bursts(0), np.arange(HOUR, DAYS * DAY - HOUR))], HOUR)


def test_what_a_knock_announces_is_expected_and_who_is_wild_scatters_more(taught: Ahead) -> None:
    one = bursts(1)
    knock, calm = np.arange(20, DAYS * DAY - 40, 48), np.arange(44, DAYS * DAY - 40, 48)
    foreseen = taught.foresee(one, np.concatenate([knock, calm]))
    mean, square = foreseen.mean[:4], foreseen.square
    assert np.abs(mean[:, : knock.size] - 60).max() < 8
    assert np.abs(mean[:, knock.size :] - 20).max() < 8
    assert square[4:].mean() > 3 * square[:4].mean()


@settings(max_examples=8)
@given(st.integers(HOUR, DAYS * DAY - 1), st.integers(0, 99))
def test_nothing_after_an_instant_is_read_for_it(taught: Ahead, at: int, seed: int) -> None:
    one = bursts(seed)
    spoiled = one.load.copy()
    spoiled[:, at + 1 :] = 99
    other = Loads(spoiled, one.cap, one.host_of, one.limit, one.own)
    (here, mine), (there, theirs) = (
        (f, of_hosts(z, f)) for z in (one, other) for f in [taught.foresee(z, np.array([at]))]
    )
    np.testing.assert_allclose(here.mean, there.mean, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(here.square, there.square, rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(here.leaves, there.leaves)
    np.testing.assert_allclose(mine, theirs, rtol=1e-2, atol=1e-2)


def test_futures_are_drawn_within_the_hour_only(taught: Ahead) -> None:
    far = learn_ahead([(bursts(0), np.arange(HOUR, DAYS * DAY - 2 * HOUR, 5))], 2 * HOUR)
    assert far.futures is None
    for ahead in (taught, far):
        one = bursts(1)
        foreseen = ahead.foresee(one, np.array([50, 60]))
        assert of_hosts(one, foreseen).shape == (8, len(foreseen.names))
        assert ("paths over" in foreseen.names) == (ahead is taught)
    again = from_arrays(to_arrays(far, "x."), "x.")
    assert again.futures is None


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 80), st.floats(0, 400)), min_size=1, max_size=9))
def test_a_host_is_the_sum_of_its_vms_and_their_squares(vms: list[tuple[int, float, float]]) -> None:
    one = loads_of(np.zeros((len(vms) + 1, 1)), [h for h, _, _ in vms] + [3], limit=85.0)
    mean, square = (np.array([[vm[k]] for vm in vms] + [[0.0]]) for k in (1, 2))
    rows = of_means(one, mean, square)[:, 0]
    assert rows.shape == (4, len(OF_MEANS))
    for h, (level, spread, room) in enumerate(rows):
        mean = sum(m for k, m, _ in vms if k == h) / 85
        scatter = sum(s for k, _, s in vms if k == h) ** 0.5 / 85
        assert level == pytest.approx(mean, rel=1e-4, abs=1e-6)
        assert spread == pytest.approx(scatter, rel=1e-4, abs=1e-6)
        assert room == pytest.approx(np.clip((mean - 1) / max(scatter, 0.01), -6, 6), rel=1e-3, abs=1e-3)


def test_it_comes_back_from_its_arrays_unchanged(taught: Ahead) -> None:
    again, one, at = from_arrays(to_arrays(taught, "x."), "x."), bursts(2), np.array([100, 300])
    assert (again.steps, again.daily) == (taught.steps, taught.daily)
    np.testing.assert_array_equal(again.foresee(one, at).mean, taught.foresee(one, at).mean)
    np.testing.assert_array_equal(again.foresee(one, at).square, taught.foresee(one, at).square)
    np.testing.assert_array_equal(of_hosts(one, again.foresee(one, at)), of_hosts(one, taught.foresee(one, at)))


@pytest.mark.parametrize("name", ["mean", "square", "futures"])
def test_trees_that_ask_for_what_is_not_known_are_refused(taught: Ahead, name: str) -> None:
    stored = to_arrays(taught, "x.")
    asked = stored[f"x.{name}.feature"].copy()
    asked[asked.argmax()] = 99
    with pytest.raises(ValueError, match="what is not known of a VM"):
        from_arrays(stored | {f"x.{name}.feature": asked}, "x.")
