"""Percentages become MHz; who speaks for whom; what a host spends on itself."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.fleet import Fleet, host_use
from pro.fleet.base import base_cpu
from pro.fleet.entities import entity_of, spokesmen, unite
from pro.fleet.inventory import build_inventory
from pro.fleet.snapshot import demand, flat_demand, snapshot
from tests.fleet.estates import AT, host, vm
from tests.fleet.grids import STEP, grid, scenarios

NAN = math.nan


def fleet_of(hosts: list[dict[str, Any]], vms: list[dict[str, Any]]) -> Fleet:
    return snapshot(build_inventory(hosts, vms, [], AT), AT)


FLEET = fleet_of(
    [host("h1", fqdn="h1.test", hypervisor="Hyper-V 2012 R2"), host("h2", fqdn="h2.test", hypervisor="KVM")],
    [
        vm("web", "h1", id="g-1", fqdn="web.test"),
        vm("sql", "h2", id="g-2", cpu_cap_mhz=3000, memory_mib=4096),
        vm("twin", "h1", id="g-3"),
        vm("twin", "h2", id="g-4"),
    ],
)


@pytest.mark.parametrize(
    ("entity", "who"),
    [
        ("web.test", "g-1"),
        ("WEB.Test", "g-1"),
        ("g-1", "g-1"),
        ("web", "g-1"),
        ("sql", "g-2"),
        ("sql.elsewhere.test", "g-2"),
        ("web.elsewhere.test", ""),
        ("twin", ""),
        ("h1.test", "h1"),
        ("h1", "h1"),
        ("h1.test/web", "g-1"),
        ("h2.test/WEB", "g-1"),
        ("h1.test/twin", "g-3"),
        ("h2/twin", "g-4"),
        ("h3.test/web", ""),
        ("h1.test/ghost", ""),
        ("h1.test/g-2", "g-2"),
        ("", ""),
        ("/", ""),
    ],
)
def test_who_an_entity_speaks_for(entity: str, who: str) -> None:
    matched = entity_of(FLEET, [entity])
    ids = [FLEET.vms[i] for i in matched.vm if i >= 0] + [FLEET.hosts[i] for i in matched.host if i >= 0]
    assert ids == ([who] if who else [])
    assert bool(matched.host_side[0]) == ("/" in entity and bool(who))


def test_a_dns_name_of_both_a_host_and_a_vm_belongs_to_neither() -> None:
    fleet = fleet_of([host("h1", fqdn="x.test")], [vm("a", "h1", fqdn="x.test")])
    matched = entity_of(fleet, ["x.test"])
    assert (matched.vm[0], matched.host[0]) == (-1, -1)


def test_hostile_names_are_matched_like_any_other() -> None:
    names = ["a/b", "../../etc/passwd", "*", "two\nlines", "[x](y)"]
    fleet = fleet_of([host("h1")], [vm(n, "h1") for n in names])
    for entities in (names, [f"h1/{n}" for n in names]):
        assert [fleet.vms[i] for i in entity_of(fleet, entities).vm] == names


@pytest.mark.parametrize(
    ("known", "speaker"),
    [
        ({"web.test": 1.0, "h1.test/web": 1.0, "h2.test/web": 1.0}, "h1.test/web"),
        ({"web.test": 1.0, "h1.test/web": 0.6, "h2.test/web": 0.9}, "h2.test/web"),
        ({"web.test": 1.0, "h1.test/web": 0.1, "h2.test/web": 0.2}, "web.test"),
        ({"web.test": 0.5, "h1.test/web": 0.0, "h2.test/web": 0.0}, "web.test"),
        ({"web.test": 0.0, "h1.test/web": 0.0, "h2.test/web": 0.0}, None),
    ],
)
def test_the_host_speaks_for_a_vm_unless_it_knows_far_less(known: dict[str, float], speaker: str | None) -> None:
    entities = sorted(known)
    chosen = spokesmen(FLEET, entity_of(FLEET, entities), np.array([known[e] for e in entities], np.float32))
    assert (entities[chosen[0]] if chosen[0] >= 0 else None) == speaker


def test_a_vm_that_moved_keeps_its_history() -> None:
    counted = {
        "h1.test/web": [NAN, 2.0, 3.0, NAN],  # where it stands now
        "h2.test/web": [1.0, 9.0, NAN, NAN],
        "h1.test/sql": [5.0, 5.0, NAN, NAN],
        "h2.test/ghost": [7.0] * 4,
        "web.test": [8.0] * 4,
    }
    united = unite(FLEET, grid("cpu_pct", counted))
    assert dict(zip(united.entities, united.values.tolist(), strict=True)) == {
        "h1.test/sql": pytest.approx([5.0, 5.0, NAN, NAN], nan_ok=True),
        "h1.test/web": pytest.approx([1.0, 2.0, 3.0, NAN], nan_ok=True),
        "h2.test/ghost": [7.0] * 4,
        "web.test": [8.0] * 4,
    }
    assert unite(FLEET, united) is united
    seen = np.arange(len(counted), dtype=np.int64)
    again = unite(FLEET, replace(grid("cpu_pct", counted), seen_us=seen))
    assert again.seen_us is not None
    assert dict(zip(again.entities, again.seen_us.tolist(), strict=True)) == {
        "h1.test/sql": 0, "h1.test/web": 3, "h2.test/ghost": 2, "web.test": 4,
    }  # fmt: skip


def test_without_its_present_host_the_one_that_saw_it_last_speaks() -> None:
    united = unite(FLEET, grid("cpu_pct", {"h1/sql": [1.0, NAN, NAN], "h1.test/sql": [4.0, 2.0, NAN]}))
    assert united.entities == ("h1.test/sql",)
    assert united.values.tolist() == [pytest.approx([4.0, 2.0, NAN], nan_ok=True)]


def test_demand_is_per_cent_of_the_cap_rounded_up() -> None:
    paths = {"web.test": [[50.0, 33.333], [0.0, 120.0]], "sql": [[0.01, 100.0], [10.0, 20.0]]}
    found = demand(FLEET, {"cpu_pct": scenarios("cpu_pct", paths, {"web.test": 0.7})}, {}, {})
    assert (found.scenarios, found.slots, found.moments, found.step_s, found.start) == (2, 2, 4, STEP, AT)
    assert found.use[0, 0].tolist() == [1000, 667, 0, 2000]
    assert found.use[1, 0].tolist() == [1, 3000, 300, 600]
    assert found.use[:, 1].tolist() == [[1024] * 4, [4096] * 4, [1024] * 4, [1024] * 4]
    assert found.use[2, 0].tolist() == [400] * 4  # 20 % of a cap of 2,000: never seen
    assert found.known.tolist() == pytest.approx([0.7, 1.0, 0.0, 0.0])
    assert any("2 of 4 VMs have no CPU history" in w for w in found.warnings)


def test_a_vm_whose_entity_was_never_known_gets_the_default() -> None:
    found = demand(FLEET, {"cpu_pct": scenarios("cpu_pct", {"web.test": [[90.0]]}, {"web.test": 0.0})}, {}, {})
    assert found.use[0, 0].tolist() == [400]


def test_disk_and_net_in_kib_per_second() -> None:
    more = {"disk_kibps": 100_000, "net_mbps": 1000}
    fleet = fleet_of([host("h1", **more)], [vm("a", "h1"), vm("b", "h1")])
    given = {
        "disk_bps": scenarios("disk_bps", {"a": [[1024.0, 1025.0]]}),
        "net_bps": scenarios("net_bps", {"b": [[0.0, 2.0**31]]}),
    }
    found = demand(fleet, given, {}, {})
    assert found.use[0, 2].tolist() == [1, 2]
    assert found.use[1, 2].tolist() == [0, 0]
    assert found.use[1, 3].tolist() == [0, 2**21]
    assert found.use[:, 0].tolist() == [[400, 400], [400, 400]]


def test_scenarios_that_do_not_fit_each_other_are_refused() -> None:
    one, two = scenarios("cpu_pct", {"web": [[1.0]]}), scenarios("net_bps", {"web": [[1.0, 2.0]]})
    with pytest.raises(ValueError, match="do not fit"):
        demand(FLEET, {"cpu_pct": one, "net_bps": two}, {}, {})
    with pytest.raises(ValueError, match="no scenarios"):
        demand(FLEET, {}, {}, {})


def test_flat_demand_needs_no_counters() -> None:
    found = flat_demand(FLEET)
    assert found.use[:, 0, 0].tolist() == [400, 600, 400, 400]
    assert found.base[:, 0, 0].tolist() == [200, 200]
    assert host_use(found, FLEET.host_of, 2)[:, 1, 0].tolist() == [2048, 5120]


@given(st.data())
def test_demand_never_falls_short_nor_passes_the_cap(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(0, 200, width=32), min_size=3, max_size=3))
    found = demand(FLEET, {"cpu_pct": scenarios("cpu_pct", {"sql": [values]})}, {}, {})
    for value, mhz in zip(values, found.use[1, 0].tolist(), strict=True):
        exact = value / 100 * 3000
        assert min(exact, 3000) - 1e-3 <= mhz <= min(exact + 1, 3000)


# -- what a host spends on itself --------------------------------------------------------------------------------

QUIET = {"web.test": [10.0] * 20, "h1/twin": [0.0] * 20, "h2/twin": [0.0] * 20, "sql": [10.0] * 20}


def test_base_is_what_the_vms_do_not_explain() -> None:
    cpu, host_cpu = grid("cpu_pct", QUIET), grid("host_cpu_pct", {"h1.test": [7.0] * 20, "h2.test": [5.0] * 20})
    grids = {"cpu_pct": cpu, "host_cpu_pct": host_cpu}
    base, warnings = base_cpu(FLEET, grids, grids, {})
    assert base.tolist() == [500, 200]  # 7 % of 10,000 - 10 % of 2,000; 5 % of 10,000 - 10 % of 3,000
    assert warnings == ()
    found = demand(FLEET, {"cpu_pct": scenarios("cpu_pct", {"sql": [[0.0]]})}, grids, grids)
    assert found.base[:, :, 0].tolist() == [[500, 0], [200, 0]]


def test_base_is_robust_bounded_and_never_negative() -> None:
    wild = [7.0] * 11 + [100.0] * 9
    grids = {"cpu_pct": grid("cpu_pct", QUIET), "host_cpu_pct": grid("host_cpu_pct", {"h1": wild, "h2": [1.0] * 20})}
    assert base_cpu(FLEET, grids, grids, {})[0].tolist() == [500, 0]
    grids["host_cpu_pct"] = grid("host_cpu_pct", {"h1": [100.0] * 20, "h2": [NAN] * 20})
    assert base_cpu(FLEET, grids, grids, {})[0].tolist() == [3000, 200]


def test_instants_at_which_a_vm_is_unknown_do_not_count() -> None:
    holes = QUIET | {"web.test": [NAN] * 15 + [10.0] * 5}
    grids = {"cpu_pct": grid("cpu_pct", holes), "host_cpu_pct": grid("host_cpu_pct", {"h1": [20.0] * 20})}
    assert base_cpu(FLEET, grids, grids, {})[0].tolist() == [200, 200]


def test_instants_before_the_last_migration_do_not_count() -> None:
    left = [27.0] * 6 + [7.0] * 14  # a VM has gone since
    grids = {"cpu_pct": grid("cpu_pct", QUIET), "host_cpu_pct": grid("host_cpu_pct", {"h1": left})}
    assert base_cpu(FLEET, grids, grids, {"h1": AT - timedelta(seconds=STEP * 13), "ghost": AT})[0][0] == 500
    assert base_cpu(FLEET, grids, grids, {"h1": AT - timedelta(seconds=STEP * 5)})[0][0] == 200


def test_a_root_partition_is_not_taken_for_the_host() -> None:
    cpu = grid("cpu_pct", QUIET | {"h1.test": [3.0] * 20, "h2.test": [5.0] * 20})
    base, warnings = base_cpu(FLEET, {"cpu_pct": cpu}, {"cpu_pct": cpu}, {})
    assert base.tolist() == [200, 200]  # h1 default; h2 is no Hyper-V host: 500 - 300
    assert len(warnings) == 1
    assert "root partition" in warnings[0]
    assert '"h1"' in warnings[0]
    both = {"cpu_pct": cpu, "host_cpu_pct": grid("host_cpu_pct", {"h1.test": [7.0] * 20})}
    assert base_cpu(FLEET, both, both, {})[1] == ()


def test_grids_of_another_length_or_end_line_up_by_time() -> None:
    cpu = grid("cpu_pct", {k: [50.0] * 20 + v for k, v in QUIET.items()})
    grids = {"cpu_pct": cpu, "host_cpu_pct": grid("host_cpu_pct", {"h1": [7.0] * 20})}
    assert base_cpu(FLEET, grids, grids, {})[0].tolist() == [500, 200]
