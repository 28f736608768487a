"""Laws of the closed loop: what comes later changes nothing, memory and budget hold in flight, same seed, same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.planetlab import FULL_WATTS, HOST_MIB, HOSTS, estate, load, read_day, trajectory
from pro.forecast.recent import recent_paths
from pro.replay.consolidate import Consolidation, follow
from tests.builders import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pro.core.arrays import Floats
    from pro.fleet import Fleet


STEPS, VMS, N_HOSTS = 24, 40, 14
POLICY = Consolidation(window=8, pack_window=8, pause=4, paths=8, moves_per_vm=1.5, burst=0.1)


def small() -> Fleet:
    """Forty VMs of two sizes on fourteen hosts, three or fewer on each; memory for five and a half on each host."""
    text = " | ".join(f"h{h:02d}: " + " ".join(f"v{v:02d}" for v in range(h, VMS, N_HOSTS)) for h in range(N_HOSTS))
    caps = {f"v{v:02d}": 2_000 if v % 2 else 4_000 for v in range(VMS)}
    return fleet(text, cpu=6_000, memory=5_632, vm_memory=1_024, vm_cpu=caps)


def past(seed: int, steps: int = STEPS) -> Floats:
    """Per cent of cap: a level for each VM that drifts, and bursts."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(2.0, 14.0, (VMS, 1)) + np.cumsum(rng.normal(0, 1.5, (VMS, steps)), axis=1)
    return np.clip(level + (rng.random((VMS, steps)) < 0.05) * 50.0, 0, 100)


def went(samples: Floats, policy: Consolidation = POLICY) -> NDArray[np.int64]:
    """(T, V) where every VM stands."""
    return np.stack([host_of for _, host_of in follow(small(), samples, np.ones(N_HOSTS), policy)])


@pytest.mark.parametrize("known", [1, 3, 4, 9, 17])
def test_what_comes_later_changes_no_earlier_decision(known: int) -> None:
    samples = past(1)
    other = samples.copy()
    other[:, known:] = past(2)[:, known:] + 1.0
    one, two = went(samples), went(other)
    assert (one[: known + 1] == two[: known + 1]).all()


def test_what_came_earlier_does() -> None:
    assert (went(past(1)) != went(past(2))).any()


@pytest.mark.parametrize("seed", range(4))
def test_memory_holds_in_flight_and_the_budget_is_kept(seed: int) -> None:
    estate, stands = small(), went(past(seed))
    moved = stands[1:] != stands[:-1]
    assert moved.sum() <= round(POLICY.moves_per_vm * VMS)
    for before, after, moving in zip(stands[:-1], stands[1:], moved, strict=True):
        held = np.bincount(after, minlength=N_HOSTS) + np.bincount(before[moving], minlength=N_HOSTS)
        assert (1_024 * held <= estate.capacity[:, 1]).all()


def test_same_seed_same_answer_and_hosts_are_emptied() -> None:
    first, again = went(past(3)), went(past(3))
    assert (first == again).all()
    assert len(np.unique(first[-1])) < N_HOSTS


def test_an_estate_that_does_nothing_is_packed_once_and_then_left_alone() -> None:
    stands = went(np.full((VMS, STEPS), 1.0))
    moves = (stands[1:] != stands[:-1]).sum(axis=1)
    assert moves[0] > 0
    assert not moves[POLICY.pack_at[-1] :].any()


def test_a_host_that_gets_short_is_relieved_by_migrations_off_it() -> None:
    samples = np.full((VMS, STEPS), 25.0)
    stands = went(samples)
    h = int(np.bincount(stands[8]).argmax())
    samples[stands[8] == h, 8:] = 90.0
    after = went(samples)
    assert (after[8] == stands[8]).all()
    left = (stands[8] == h) & (after[-1] != h)
    assert left.any()
    cap = small().cpu_cap_mhz
    assert (0.9 * cap[after[-1] == h]).sum() <= 6_000


def test_wasteful_hosts_are_left_when_others_have_room() -> None:
    watts = np.where(np.arange(N_HOSTS) < 4, 2.0, 1.0)
    stands = [host_of for _, host_of in follow(small(), np.full((VMS, 3), 10.0), watts, POLICY)]
    assert (stands[-1] >= 4).all()


@pytest.mark.parametrize("known", [1, 2, 5, 8, 30])
def test_paths_stay_within_physics_and_have_the_level_of_the_past(known: int) -> None:
    samples, cap = past(5, known), np.full(VMS, 100.0)
    paths = recent_paths(samples, np.zeros(VMS, np.int64), cap, paths=64, window=8, rng=np.random.default_rng(1))
    assert paths.shape == (VMS, 64)
    assert paths.min() >= 0
    assert (paths <= cap[:, None]).all()
    assert abs(paths.mean() - samples[:, -8:].mean()) < 3.0


def test_paths_without_a_sample_are_refused() -> None:
    with pytest.raises(ValueError, match="one sample"):
        recent_paths(
            np.zeros((2, 0)), np.zeros(2, np.int64), np.ones(2), paths=3, window=4, rng=np.random.default_rng(1)
        )


def test_what_was_busy_together_stays_together() -> None:
    rng = np.random.default_rng(4)
    wave = 50 + 40 * np.sin(np.arange(8))
    samples = np.stack([wave, wave, 100 - wave]) + rng.normal(0, 0.1, (3, 8))
    paths = recent_paths(samples, np.zeros(3, np.int64), np.full(3, 100.0), paths=32, window=8, rng=rng)
    assert np.corrcoef(paths)[0, 1] > 0.9
    assert np.corrcoef(paths)[0, 2] < -0.9


def test_the_estate_starts_by_full_size_within_memory_and_cores() -> None:
    start = estate(400)
    assert (np.bincount(start.host_of, start.memory_mib, HOSTS) <= HOST_MIB).all()
    assert (np.bincount(start.host_of, start.cpu_cap_mhz, HOSTS) <= start.capacity[:, 0]).all()
    assert FULL_WATTS[0] / 3720 > FULL_WATTS[1] / 5320
    assert (start.host_of % 2 == 1).all()


def test_a_day_with_holes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "day.parquet"
    pd.DataFrame({"vm": [0, 0, 1], "step": [0, 1, 0], "cpu_pct": [1, 2, 3]}).to_parquet(file)
    with pytest.raises(ValueError, match="1 VMs lack samples"):
        read_day(file)


def test_the_independent_scorer_counts_the_same_migrations_and_no_memory_over(shared: Path) -> None:
    scorer = shared / "check" / "planetlab.py"
    day = shared / "data" / "planetlab" / "20110306.parquet"
    if not scorer.is_file() or not day.is_file():
        pytest.skip("the scorer or the day is not there")
    samples = np.tile(read_day(day)[:200, :4], 72)
    found = trajectory(samples, Consolidation(paths=8))
    scores: Any = load(scorer)(samples, found)
    assert scores["memory_over_mib"] == 0
    assert scores["migrations"] == int((found.step > 0).sum()) <= round(0.9 * 200)
