"""The past: cut at an instant it is what the store knew then, and what comes later changes nothing that was."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pro.core.errors import InputError
from pro.fleet.inventory import import_inventory, load_inventory, save_inventory
from pro.replay.course import Course
from pro.replay.past import read_past
from pro.telemetry.store import Store
from tests.small import fill

if TYPE_CHECKING:
    from pathlib import Path

    from pro.replay.past import Past
    from tests.small import Estate


@pytest.fixture(scope="module")
def store(small: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("past") / "store", small)


@pytest.fixture(scope="module")
def past(store: Path, small: Estate) -> Past:
    return read_past(store, small.now, small.now + timedelta(hours=12), 2.0)


@pytest.mark.parametrize("ahead", [0, 1, 60, 143])
def test_a_cut_is_what_the_store_knew_then(store: Path, past: Past, ahead: int) -> None:
    known = past.until(past.first + ahead, 2.0)
    assert past.at(past.first + ahead) == past.at(past.first) + timedelta(minutes=5 * ahead)
    for name, grid in known.items():
        asked = Store(store).grid(name, past.at(past.first + ahead), 2.0)
        assert (grid.entities, grid.start, grid.step_s) == (asked.entities, asked.start, asked.step_s)
        np.testing.assert_array_equal(grid.values, asked.values)


def test_a_longer_past_is_the_same_as_far_as_the_shorter_one_goes(store: Path, small: Estate, past: Past) -> None:
    longer = read_past(store, small.now, small.now + timedelta(hours=20), 2.0)
    columns = past.last + 1
    assert longer.start == past.start
    for name in ("use", "own", "counted"):
        np.testing.assert_array_equal(getattr(longer, name)[:, :columns], getattr(past, name))


def test_where_vms_stood_hosts_are_what_was_measured(past: Past) -> None:
    grid = past.grids["host_cpu_pct"]
    load = past.load(past.fleet.host_of, 0, past.last + 1)
    known = past.until(past.last, 3.0)["host_cpu_pct"]
    shown = past.until(past.last, 3.0, load)["host_cpu_pct"]
    assert shown.entities == known.entities
    full = known.values > 99.0
    np.testing.assert_allclose(shown.values[~full], known.values[~full], atol=0.01)
    assert np.isfinite(grid.values).mean() > 0.9


def test_moving_a_vm_moves_its_load(past: Past) -> None:
    moved = past.fleet.host_of.copy()
    moved[0] = (moved[0] + 1) % past.fleet.n_hosts
    change = past.load(moved, 0, 50) - past.load(past.fleet.host_of, 0, 50)
    expected = np.zeros_like(change)
    expected[past.fleet.host_of[0]] -= np.nan_to_num(past.use[0, :50])
    expected[moved[0]] += np.nan_to_num(past.use[0, :50])
    np.testing.assert_allclose(change, expected, atol=1e-6)


def test_averages_of_hours_do_not_reach_into_the_future(small: Estate, tmp_path: Path) -> None:
    """An hourly average is known at the end of its hour; a cut inside the hour must not show it."""
    folder = tmp_path / "files"
    folder.mkdir()
    host = "hv01.fabrikam.test"
    vm = next(csv.DictReader((small.folder / "vms.csv").read_text("utf-8").splitlines()))
    head = (
        "DateTime,Path,ObjectName,CounterName,InstanceName,AverageValue,MinValue,MaxValue,StandardDeviation,SampleCount"
    )
    begin = small.now.replace(minute=0) - timedelta(hours=30)
    rows = [
        f"{begin + timedelta(hours=h):%Y-%m-%d %H:%M:%S},{host},Hyper-V Hypervisor Logical Processor,"
        f"% Total Run Time,_Total,{10 + h},{5 + h},{20 + h},1.0,12"
        for h in range(36)
    ]
    rows += [
        f"{begin + timedelta(hours=h):%Y-%m-%d %H:%M:%S},{vm['fqdn']},Processor,% Processor Time,_Total,{10 + h},5,{20 + h},1.0,12"
        for h in range(36)
    ]
    (folder / "hourly.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    root = tmp_path / "store"
    report = Store(root).ingest([small.counters, folder])
    assert report.kept > 0
    import_inventory(root, small.tables, small.now)
    past = read_past(root, small.now, small.now + timedelta(hours=2), 1.0)
    assert past.lookup is not None
    k = past.first + 6
    for name, grid in past.until(k, 1.0).items():
        asked = Store(root).grid(name, past.at(k), 1.0)
        np.testing.assert_array_equal(grid.values, asked.values)
    mine, hour = past.fleet.vm_index(vm["vm"]), past.first + 12
    assert past.at(past.first).minute == past.at(hour).minute == 0
    assert np.isnan(past.seen(hour - 1)[mine, past.first + 1 :]).all()
    assert np.isfinite(past.seen(hour)[mine, past.first + 1 :]).all()
    course = Course.begin(past)
    course.go_to(hour - 1)
    dark = np.isnan(course.known_load()[:, -1])
    assert np.flatnonzero(dark).tolist() == [past.fleet.host_of[mine]]
    other = (mine + 1) % past.fleet.n_vms
    np.testing.assert_array_equal(past.seen(hour - 1)[other], past.use[other, :hour])


def test_what_cannot_be_replayed_is_said(store: Path, small: Estate, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to replay"):
        read_past(store, small.now, small.now, 2.0)
    with pytest.raises(InputError, match="no samples to replay"):
        read_past(store, small.now + timedelta(days=9), small.now + timedelta(days=10), 2.0)
    with pytest.raises(InputError, match="no samples"):
        read_past(tmp_path / "none", small.now, small.now + timedelta(days=1), 2.0)
    long = read_past(store, small.now, small.now + timedelta(days=9), 2.0)
    assert any("samples end at" in w for w in long.warnings)


def test_what_a_vm_used_before_it_was_resized_stays_what_it_was(small: Estate, tmp_path: Path, past: Past) -> None:
    """And one that is resized while it is replayed is said to count by the size it began with."""
    store = fill(tmp_path / "store", small)
    inventory = load_inventory(store)
    vms, when = inventory.vms.copy(), small.now - timedelta(hours=6)
    vms.loc[0, "cpu_cap_mhz"] *= 2
    save_inventory(store, replace(inventory, at=small.now - timedelta(days=3)))
    save_inventory(store, replace(inventory, vms=vms, at=when))
    shutil.rmtree(store / "inventory" / inventory.at.strftime("%Y%m%dT%H%M%S.%fZ"))
    grown = read_past(store, small.now, small.now + timedelta(hours=12), 2.0)
    v = grown.fleet.vm_index(vms["id"][0])
    change = int((when - grown.start).total_seconds() // 300) + 1
    np.testing.assert_allclose(grown.use[v, :change], past.use[v, :change], rtol=1e-5)
    np.testing.assert_allclose(grown.use[v, change:], 2 * past.use[v, change:], rtol=1e-5)
    others = np.arange(past.fleet.n_vms) != v
    np.testing.assert_array_equal(grown.use[others], past.use[others])
    assert not any("resized" in w for w in grown.warnings)
    save_inventory(store, replace(inventory, at=small.now + timedelta(hours=1)))
    shrunk = read_past(store, small.now, small.now + timedelta(hours=12), 2.0)
    assert any("resized while replayed" in w and shrunk.fleet.vm_names[v] in w for w in shrunk.warnings)
    np.testing.assert_array_equal(shrunk.use, grown.use)
