"""The whole walk on the estate that ships with PRO: counters in, plan applied on the simulator. Laws, not figures."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pro.actions.applying import apply_plan
from pro.actions.demo import sample_folder
from pro.actions.verifying import verify_plan
from pro.backends import open_backend
from pro.config import Config, load
from pro.core.clock import SystemClock
from pro.fleet.archive import load_inventory, save_inventory
from pro.placement.referee import check
from pro.planning.io import dumps, loads
from pro.replay import hindsight
from pro.replay.hindsight import really_used
from pro.workflow import Recommendation, decide, look_ahead, policy_of
from tests.small import Estate, estate_in, fill

if TYPE_CHECKING:
    from pathlib import Path

    from pro.remediation.result import ApplyResult


@dataclass(frozen=True)
class Walk:
    """The walk, gone once."""

    store: Path
    url: str
    config: Config
    estate: Estate
    found: Recommendation
    first: ApplyResult
    after_first: dict[str, str]
    second: ApplyResult

    @property
    def standing(self) -> dict[str, str]:
        """VM id -> host id on the simulator now."""
        return standing(self.url)


def standing(url: str) -> dict[str, str]:
    """VM id -> host id, as the simulator says. A VM that is seen twice or nowhere fails the test."""
    world = open_backend(url, clock=SystemClock()).inventory()
    assert all(len(v.hosts) == 1 for v in world.vms.values())
    return {v.vm: v.hosts[0] for v in world.vms.values()}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Counters, inventory, forecast, hotspots, placement, plan, applied; and applied again."""
    estate = estate_in(sample_folder())
    folder = tmp_path_factory.mktemp("walk")
    store = fill(folder / "store", estate)
    config = load(None)
    outlook = look_ahead(store, config, estate.now)
    found = decide(outlook, config, policy_of(config, seconds=3.0))
    url = f"simulated:{folder / 'sim.json'}?speed=10000"
    first = apply_plan(found.plan, url, store, config)
    after_first = standing(url)
    second = apply_plan(found.plan, url, store, config)
    return Walk(store, url, config, estate, found, first, after_first, second)


def test_the_estate_has_something_to_do(walk: Walk) -> None:
    assert walk.found.outlook.hotspots
    assert walk.found.broken
    assert walk.found.plan.migrations


def test_the_placement_that_was_promised_is_reached_exactly(walk: Walk) -> None:
    fleet = walk.found.outlook.fleet
    promised = {vm: fleet.hosts[h] for vm, h in zip(fleet.vms, walk.found.report.host_of_after, strict=True)}
    assert walk.first.exit_code == 0
    assert walk.after_first == promised
    assert walk.first.moved == len(walk.found.plan.migrations)


def test_a_second_apply_moves_nothing(walk: Walk) -> None:
    assert (walk.second.exit_code, walk.second.moved) == (0, 0)
    assert walk.standing == walk.after_first


def test_no_rule_is_worse_and_memory_is_never_over(walk: Walk) -> None:
    fleet, rules = walk.found.outlook.fleet, walk.found.question.constraints
    before, after = (
        Counter({rule: sum(v.amount for v in broken if v.rule == rule) for rule in {v.rule for v in broken}})
        for broken in (check(fleet, rules, fleet.host_of), check(fleet, rules, walk.found.report.host_of_after))
    )
    assert not after - before
    assert after.total() < before.total()
    used = np.bincount(walk.found.report.host_of_after, fleet.memory_mib, fleet.n_hosts)
    assert (used <= fleet.capacity[:, fleet.resources.index("memory")]).all()


def test_heat_that_is_expected_goes_down_and_so_does_heat_that_came(walk: Walk) -> None:
    report = walk.found.report
    assert report.after.hot_minutes < report.before.hot_minutes
    real = hindsight(walk.store, walk.found, base=True)
    assert real.known > 0.8
    assert real.minutes_after < real.minutes_before
    assert real.area_after < real.area_before


def test_hindsight_reads_a_vm_that_was_resized_after_the_plan_at_its_size_of_then(walk: Walk, tmp_path: Path) -> None:
    """Who was given twice the processor twelve hours after the plan, and reports the same per cent, used twice as much from then on."""
    store = shutil.copytree(walk.store, tmp_path / "store")
    fleet, then = walk.found.outlook.fleet, walk.estate.now + timedelta(hours=12)
    before, known = really_used(walk.store, walk.found, 24.0)
    busiest = int(np.argmax(before.mean(axis=1)))
    inventory = load_inventory(store, walk.estate.now)
    vms = inventory.vms.copy()
    vms.loc[vms["id"] == fleet.vms[busiest], "cpu_cap_mhz"] *= 2
    save_inventory(store, replace(inventory, vms=vms, at=then))
    after, as_well = really_used(store, walk.found, 24.0)
    times = np.ones_like(before)
    times[busiest, before.shape[1] // 2 :] = 2
    assert as_well == known
    assert before[busiest, before.shape[1] // 2 :].any()
    np.testing.assert_allclose(after, before * times)


def test_the_plan_is_the_same_after_a_round_through_its_file(walk: Walk) -> None:
    assert loads(dumps(walk.found.plan)) == walk.found.plan
    assert verify_plan(loads(dumps(walk.found.plan)), walk.store, walk.estate.now).faults == ()


def test_the_store_remembers_where_vms_stood_and_where_they_stand(walk: Walk) -> None:
    then, now = load_inventory(walk.store, walk.estate.now), load_inventory(walk.store)
    hosts = now.hosts["id"].tolist()
    noted = {vm: hosts[at] for vm, at in zip(now.vms["id"].tolist(), now.standing(), strict=True)}
    assert noted == walk.after_first
    assert then.standing() != now.standing()


def test_nothing_after_now_is_looked_at(walk: Walk, tmp_path: Path) -> None:
    past = fill(tmp_path / "past", walk.estate, until_now=True)
    outlook = look_ahead(past, walk.config, walk.estate.now)
    assert outlook.hotspots == walk.found.outlook.hotspots
    assert np.array_equal(outlook.demand.use, walk.found.outlook.demand.use)


def test_the_same_question_has_the_same_answer(walk: Walk) -> None:
    policy = replace(walk.found.question.policy, seconds=60.0, steps=4)
    once, twice = (decide(walk.found.outlook, walk.config, policy).plan for _ in range(2))
    assert once.id == twice.id
