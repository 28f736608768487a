"""Laws of consolidating over time: what comes later changes nothing, memory and budget hold in flight, same seed, same answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.planetlab import CORE_MHZ, HOST_MIB, HOSTS, POLICY, estate, load, past_of, read_day, trajectory
from pro.config import Config
from pro.remediation.antiflap import leaving_only
from pro.replay.backtest import Backtest, backtest
from pro.replay.course import stretches
from pro.replay.policies import PolicySpec, load_policies
from tests.replay import pasts

if TYPE_CHECKING:
    from pathlib import Path

    from pro.core.arrays import Floats
    from pro.replay.past import Past

STEPS, VMS, N_HOSTS = 40, 36, 12
SPEC = PolicySpec(
    name="packs", kind="ours", goal="consolidate", threshold=0.95, margin=0.1, horizon_h=1.0, slot_minutes=5, scenarios=6, rounds=0,
    look_minutes=30.0, cooldown_minutes=30.0, moves_per_day=12, saved_days=2.5, moves_per_plan=1_000,
)  # fmt: skip


def loads(seed: int, steps: int = STEPS) -> Floats:
    """(VMS, steps) shares of each VM's size: a level for each that drifts, and bursts."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(2.0, 0.06, (VMS, 1)) + np.cumsum(rng.normal(0, 0.01, (VMS, steps)), axis=1)
    return np.clip(level + (rng.random((VMS, steps)) < 0.03) * 0.5, 0, 1)


def young(share: Floats, memory_mib: int = 4096) -> Past:
    """Three VMs on each host, and no past but one sample."""
    past = pasts.past_of(share, [v % N_HOSTS for v in range(VMS)], history=0, memory_mib=memory_mib)
    return replace(past, own=np.zeros_like(past.own))


def run(past: Past, spec: PolicySpec = SPEC) -> Backtest:
    return backtest(past, [spec], Config(), every_s=300)


def went(found: Backtest) -> list[tuple[str, str, int]]:
    return [(m.vm, m.destination, m.column) for m in found.rows[-1].runner.course.trail]


@pytest.mark.parametrize("cut", [0, 1, 7, 20])
def test_what_comes_later_changes_no_earlier_decision(cut: int) -> None:
    share = loads(1)
    other = share.copy()
    other[:, cut + 1 :] = np.clip(loads(2)[:, cut + 1 :] + 0.2, 0, 1)
    asked = []
    for each in (share, other):
        past = young(each)
        trail = run(past).rows[-1].runner.course.trail
        asked.append([m for m in trail if m.asked <= past.at(cut).timestamp()])
    assert asked[0] == asked[1] != []


@pytest.mark.parametrize("seed", range(3))
def test_memory_holds_in_flight_and_the_budget_is_kept(seed: int) -> None:
    past = young(loads(seed), memory_mib=12_288)
    trail = run(past).rows[-1].runner.course.trail
    assert trail
    for m in trail:
        begun = past.at(0).timestamp()
        so_far = sum(other.asked <= m.asked for other in trail)
        assert so_far <= 12 * 2.5 + 12 * (m.asked - begun) / 86_400 + 1
    for at in sorted({m.asked for m in trail}):
        held = past.fleet.host_of.copy()
        for m in trail:
            if m.ended <= at:
                held[past.fleet.vm_index(m.vm)] = past.fleet.host_index(m.destination)
        room = np.bincount(held, past.fleet.memory_mib, N_HOSTS)
        for m in trail:
            if m.asked <= at < m.ended:
                room[past.fleet.host_index(m.destination)] += past.fleet.memory_mib[past.fleet.vm_index(m.vm)]
        assert (room <= past.fleet.capacity[:, past.fleet.resources.index("memory")]).all()


def test_same_seed_same_answer_and_hosts_are_switched_off() -> None:
    past = young(loads(3))
    found = run(past)
    assert went(found) == went(run(past)) != []
    nothing, packed = (row.account for row in found.rows)
    assert packed.hosts_on < 0.7 * nothing.hosts_on
    assert packed.energy_kwh < 0.8 * nothing.energy_kwh


def test_an_estate_that_does_nothing_is_packed_once_and_then_left_alone() -> None:
    found = run(young(np.full((VMS, STEPS), 0.01)), SPEC.model_copy(update={"moves_per_day": 100}))
    assert went(found)
    assert {m.asked for m in found.rows[-1].runner.course.trail} <= set(_first(found, STEPS // 4))


def _first(found: Backtest, columns: int) -> list[float]:
    trail, past = found.rows[-1].runner.course.trail, found.past
    return [m.asked for m in trail if m.asked <= past.at(columns).timestamp()]


def test_a_host_that_gets_short_is_relieved_by_migrations_off_it() -> None:
    spec = SPEC.model_copy(update={"moves_per_day": 100})
    share = np.full((VMS, STEPS), 0.1)
    past = young(share)
    parts = stretches(past, run(past, spec).rows[-1].runner.course.trail, past.last)
    stood = next(host_of for begin, end, host_of in parts if begin <= 20 < end)
    h = int(np.bincount(stood).argmax())
    share[stood == h, 21:] = 0.5
    after = stretches(young(share), run(young(share), spec).rows[-1].runner.course.trail, STEPS - 1)[-1][2]
    assert 0.5 * pasts.CAP * (stood == h).sum() > 2 * pasts.CAP * 0.95
    assert 0.5 * pasts.CAP * (after[stood == h] == h).sum() <= 2 * pasts.CAP


def test_while_hosts_are_hot_only_vms_on_these_move() -> None:
    fleet = young(loads(1)).fleet
    told = leaving_only(fleet, {"H1", "H4"})
    on = np.isin(fleet.host_of, [fleet.host_index("H1"), fleet.host_index("H4")])
    np.testing.assert_array_equal(told.movable, on)
    assert set(told.steady) == {vm for vm, there in zip(fleet.vms, on, strict=True) if not there}


def test_the_policy_of_the_benchmark_is_a_file_that_a_backtest_reads() -> None:
    (spec,) = load_policies([POLICY])
    assert (spec.kind, spec.goal) == ("ours", "consolidate")


def test_the_estate_starts_by_full_size_within_memory_and_cores() -> None:
    start = estate(400)
    assert (np.bincount(start.host_of, start.memory_mib, HOSTS) <= HOST_MIB).all()
    assert (np.bincount(start.host_of, start.cpu_cap_mhz, HOSTS) <= start.capacity[:, 0]).all()
    assert CORE_MHZ[0] < CORE_MHZ[1]
    assert (start.host_of % 2 == 1).all()


def test_in_the_benchmark_doing_nothing_loads_hosts_with_their_vms_and_no_more() -> None:
    samples = np.random.default_rng(1).uniform(0, 100, (60, 5))
    past = past_of(samples)
    asked = np.zeros((HOSTS, 5))
    np.add.at(asked, past.fleet.host_of, samples / 100 * past.fleet.cpu_cap_mhz[:, None])
    np.testing.assert_allclose(past.load(past.fleet.host_of, 0, 5), asked)
    seen = past.until(2, 1.0, asked)
    assert seen["cpu_pct"].values.shape == (60, 3)
    np.testing.assert_allclose(
        seen["host_cpu_pct"].values, 100 * (asked / past.fleet.capacity[:, :1])[:, :3], rtol=1e-5
    )


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
    samples = read_day(day)[:200, :12]
    found = trajectory(samples, seed=1)
    scores: Any = load(scorer)(samples, found)
    assert scores["memory_over_mib"] == 0
    assert 0 < scores["migrations"] == int((found.step > 0).sum()) <= 200
    assert found[found.step > 0].duplicated(["step", "vm"]).sum() == 0
