"""What is known, how fresh, and which pairs of hosts can exchange VMs."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from pro.fleet.base import base_cpu
from pro.fleet.inventory import build_inventory
from pro.fleet.readiness import readiness
from pro.fleet.snapshot import snapshot
from tests.fleet.estates import AT, host, vm
from tests.fleet.grids import STEP, grid

NAN = math.nan
FLEET = snapshot(
    build_inventory(
        [host("h1", hypervisor="Hyper-V 2008 R2"), host("h2", hypervisor="KVM"), host("h3", hypervisor="hyper-v")],
        [vm("a", "h1"), vm("b", "h1"), vm("c", "h2"), vm("d", "h3")],
        [],
        AT,
    ),
    AT,
)
FULL = [1.0] * 20


def test_coverage_says_what_is_missing_since_when() -> None:
    cpu = {"a": [1.0] * 10 + [NAN] * 10, "b": [NAN] * 12 + [1.0] * 8, "c": FULL, "h2": FULL}
    grids = {
        "cpu_pct": grid("cpu_pct", cpu),
        "host_cpu_pct": grid("host_cpu_pct", {"h1": FULL, "h3": [1.0] * 5 + [NAN] * 15}),
    }
    found = readiness(FLEET, grids)
    by = {(r.id, r.counter): r for r in found.rows}
    assert {k: r.state for k, r in by.items()} == {
        ("a", "cpu_pct"): "stale",
        ("b", "cpu_pct"): "sparse",
        ("c", "cpu_pct"): "ok",
        ("d", "cpu_pct"): "absent",
        ("h2", "cpu_pct"): "ok",
        ("h1", "host_cpu_pct"): "ok",
        ("h3", "host_cpu_pct"): "stale",
    }
    a, b, d = by["a", "cpu_pct"], by["b", "cpu_pct"], by["d", "cpu_pct"]
    assert (a.newest, a.missing_since, a.gap_s) == (AT - timedelta(seconds=10 * STEP),) * 2 + (10 * STEP,)
    assert (b.missing_since, b.gap_s, b.known) == (None, 12 * STEP, pytest.approx(0.4))
    assert (d.entity, d.newest, d.missing_since) == ("", None, grids["cpu_pct"].start)
    assert set(found.hold) == {"h1", "h3"}
    assert 'of 2 VMs on host "h1", 1 have no fresh processor counter' in found.hold["h1"]
    assert "has sent no processor counter since 2013-08-18 22:45Z" in found.hold["h3"]


def test_it_says_when_a_counter_will_be_enough() -> None:
    short = [NAN] * 15 + [1.0] * 5
    found = readiness(FLEET, {"cpu_pct": grid("cpu_pct", {"a": short, "b": FULL, "c": FULL, "d": FULL, "h2": FULL})})
    by = {(r.id, r.counter): r for r in found.rows}
    assert by["a", "cpu_pct"].enough_from == AT + timedelta(seconds=5 * STEP)
    assert by["b", "cpu_pct"].enough_from is None
    vms = next(c for c in found.by_counter() if (c.counter, c.kind) == ("cpu_pct", "vm"))
    assert vms.states == {"ok": 3, "sparse": 1, "stale": 0, "absent": 0}
    assert "3 ok, 1 sparse" in vms.sentence()
    assert "enough from" in vms.sentence()
    told = found.to_json()
    assert {c["counter"] for c in told["by_counter"]} == {"cpu_pct", "host_cpu_pct"}
    assert [m["enough_from"] for m in told["missing"] if m["id"] == "a"] == [by["a", "cpu_pct"].enough_from.isoformat()]


def test_a_gap_that_is_over_holds_nobody() -> None:
    gap = [1.0] * 5 + [NAN] * 5 + [1.0] * 10
    cpu = grid("cpu_pct", {k: gap for k in ("a", "b", "c", "d", "h2")})
    found = readiness(FLEET, {"cpu_pct": cpu, "host_cpu_pct": grid("host_cpu_pct", {"h1": gap, "h3": gap})})
    assert found.hold == {}
    assert {r.gap_s for r in found.rows} == {5 * STEP}
    assert found.to_json()["counters"] == {"ok": 7, "sparse": 0, "stale": 0, "absent": 0}


def test_without_any_counters_everything_is_absent_and_every_host_held() -> None:
    found = readiness(FLEET, {}, AT)
    assert {r.state for r in found.rows} == {"absent"}
    assert set(found.hold) == {"h1", "h2", "h3"}
    assert {(r.id, r.counter) for r in found.rows if r.kind == "host"} == {
        ("h1", "host_cpu_pct"),
        ("h3", "host_cpu_pct"),
        ("h2", "cpu_pct"),
    }
    assert len(found.to_json()["missing"]) == 7


def test_a_grid_of_nobody_is_like_none() -> None:
    found = readiness(FLEET, {"cpu_pct": grid("cpu_pct", {"stranger": FULL})})
    assert {r.state for r in found.rows} == {"absent"}
    empty = replace(grid("cpu_pct", {"stranger": FULL}), entities=(), values=np.empty((0, 20), np.float32))
    assert [r.state for r in readiness(FLEET, {"cpu_pct": empty}).rows] == [r.state for r in found.rows]
    assert base_cpu(FLEET, {"cpu_pct": empty, "host_cpu_pct": empty}, {"cpu_pct": empty}, {})[0].tolist() == [200] * 3


def test_other_counters_are_expected_only_of_the_kind_that_has_them() -> None:
    found = readiness(FLEET, {"net_bps": grid("net_bps", {"a": FULL})})
    assert {r.kind for r in found.rows if r.counter == "net_bps"} == {"vm"}
    assert [r.id for r in found.rows if r.counter == "net_bps" and r.state == "ok"] == ["a"]


def test_how_fresh_a_counter_is_goes_by_its_samples_and_not_by_how_far_they_are_carried() -> None:
    cpu = grid("cpu_pct", {k: [1.0] * 16 + [NAN] * 4 for k in ("a", "b", "c", "d")})
    sent = [AT - timedelta(minutes=m) for m in (35, 31, 29, 20)]
    seen = np.array([round(at.timestamp() * 1e6) for at in sent])
    found = readiness(FLEET, {"cpu_pct": replace(cpu, seen_us=seen)})
    of_vms = [r for r in found.rows if r.kind == "vm"]
    assert [r.newest for r in of_vms] == sent
    assert [r.state for r in of_vms] == ["stale", "stale", "ok", "ok"]
    assert [r.missing_since for r in of_vms] == [*sent[:2], None, None]


def test_a_sample_that_no_grid_point_stands_for_yet_counts_and_one_that_was_not_believed_does_not() -> None:
    cpu = grid("cpu_pct", {k: [1.0] * 10 + [NAN] * 10 for k in ("a", "b")})
    soon, wrong = AT + timedelta(seconds=40), AT - timedelta(seconds=40)
    seen = np.array([round(at.timestamp() * 1e6) for at in (soon, wrong)])
    found = readiness(FLEET, {"cpu_pct": replace(cpu, seen_us=seen)}, AT + timedelta(seconds=60))
    newest = {r.id: r.newest for r in found.rows if r.counter == "cpu_pct"}
    assert (newest["a"], newest["b"]) == (soon, AT - timedelta(seconds=10 * STEP))


def test_what_is_not_seen_is_said_with_names_and_since_when() -> None:
    quiet = [1.0] * 8 + [NAN] * 12
    cpu = grid("cpu_pct", {"a": FULL, "b": FULL, "c": quiet})
    found = readiness(FLEET, {"cpu_pct": cpu, "host_cpu_pct": grid("host_cpu_pct", {"h1": quiet, "h3": FULL})})
    last = AT - timedelta(seconds=12 * STEP)
    assert found.blind == {"h1": last, "h2": last, "h3": None}
    said = found.blindness(FLEET)
    assert said.startswith("blind to 3 of 3 hosts")
    assert "h1, h2 (since 2013-08-18 23:00 UTC); h3 (never seen)" in said
    assert set(found.blind) == set(found.hold)
    seen = grid("cpu_pct", {k: FULL for k in ("a", "b", "c", "d", "h2")})
    assert (
        readiness(FLEET, {"cpu_pct": seen, "host_cpu_pct": grid("host_cpu_pct", {"h1": FULL})}).blindness(FLEET) == ""
    )


def test_a_line_names_ten_hosts_and_says_how_many_more() -> None:
    hosts = [host(f"h{k:02}") for k in range(14)]
    many = snapshot(build_inventory(hosts, [vm(f"v{k}", f"h{k:02}") for k in range(14)], [], AT), AT)
    said = readiness(many, {}, AT).blindness(many)
    assert "h09 (never seen); and 4 more" in said
    assert "h10" not in said
