"""Inventory -> Fleet: names become indices and nothing else changes."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import FleetError
from pro.fleet import Fleet, RuleSpec
from pro.fleet.inventory import build_inventory
from pro.fleet.snapshot import group, snapshot
from tests.fleet.estates import AT, estates, host, vm


def fleet_of(hosts: list[dict[str, Any]], vms: list[dict[str, Any]], *rules: RuleSpec) -> Fleet:
    return snapshot(build_inventory(hosts, vms, rules, AT), AT)


def specs(rules: list[dict[str, Any]]) -> list[RuleSpec]:
    return [RuleSpec(r["rule"], r["kind"], tuple(r["members"])) for r in rules]


def same(one: Fleet, two: Fleet) -> bool:
    """Whether two fleets are equal in everything."""
    for f in fields(Fleet):
        a, b = getattr(one, f.name), getattr(two, f.name)
        if f.name in ("host_groups", "vm_groups"):
            if {k: (g.code.tolist(), g.names) for k, g in a.items()} != {
                k: (g.code.tolist(), g.names) for k, g in b.items()
            }:
                return False
        elif isinstance(a, np.ndarray):
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                return False
        elif f.name != "warnings" and a != b:
            return False
    return True


@given(estate=estates(), seed=st.integers(0, 2**32))
def test_shuffled_rows_make_the_same_fleet(estate: Any, seed: int) -> None:
    hosts, vms, rules = estate
    rng = np.random.default_rng(seed)
    one = fleet_of(hosts, vms, *specs(rules))
    mixed = [hosts[i] for i in rng.permutation(len(hosts))], [vms[i] for i in rng.permutation(len(vms))]
    assert same(one, fleet_of(*mixed, *specs(rules)))


@given(estate=estates(), seed=st.integers(0, 2**32))
def test_new_ids_change_nothing_but_names_and_order(estate: Any, seed: int) -> None:
    hosts, vms, rules = estate
    order = np.random.default_rng(seed).permutation(len(hosts))
    new = {f"host-{i}": f"new-{order[i]}" for i in range(len(hosts))}
    renamed = [h | {"id": new[h["id"]]} for h in hosts]
    one = fleet_of(hosts, vms, *specs(rules))
    two = fleet_of(renamed, [v | {"host": new[v["host"]]} for v in vms], *specs(rules))
    to = np.array([two.host_index(new[h]) for h in one.hosts])
    assert np.array_equal(two.host_of, to[one.host_of])
    assert np.array_equal(two.capacity[to], one.capacity)
    assert np.array_equal(two.accepting[to], one.accepting)
    assert np.array_equal(two.cpu_cap_mhz, one.cpu_cap_mhz)
    assert two.rules == one.rules
    for name, groups in one.host_groups.items():
        other = two.host_groups[name]
        assert np.array_equal(other.code[to], groups.code)
        assert other.names == groups.names


@pytest.mark.parametrize(
    ("state", "accepting", "leaving", "movable"),
    [
        ("ok", True, False, True),
        ("", True, False, True),
        ("Responding", True, False, True),
        ("restricted", False, False, True),
        ("maintenance", False, True, True),
        ("Maintenance Mode", False, True, True),
        ("paused", False, False, True),
        ("Down", False, False, False),
        ("exploded", False, False, True),
    ],
)
def test_what_a_state_means(state: str, accepting: bool, leaving: bool, movable: bool) -> None:
    fleet = fleet_of([host("h1", state=state)], [vm("a", "h1")])
    assert (fleet.accepting[0], fleet.leaving[0], fleet.movable[0]) == (accepting, leaving, movable)


def test_hosts_are_named_in_any_way() -> None:
    hosts = [host("alpha", id="guid-1", fqdn="alpha.test"), host("beta", id="alpha.test"), host("gamma", id="GAMMA2")]
    vms = [vm(str(i), on) for i, on in enumerate(["guid-1", "GUID-1", "Alpha", "ALPHA.TEST", "gamma2", "BETA"])]
    fleet = fleet_of(hosts, vms)
    at = [fleet.host_names[h] for h in fleet.host_of]
    assert at == ["alpha", "alpha", "alpha", "beta", "gamma", "beta"]  # an id goes before a DNS name


def test_what_is_not_said_is_assumed_and_stated() -> None:
    hosts = [host("h1", migration_mbps=None), host("h2", cluster="")]
    vms = [vm("a", "h1", cpu_cap_mhz=None), vm("b", "h2"), vm("c", "h2", highly_available=True, movable=False)]
    fleet = fleet_of(hosts, vms)
    assert fleet.cpu_cap_mhz.tolist() == [2000, 2000, 2000]
    assert fleet.highly_available.tolist() == [True, False, True]
    assert fleet.movable.tolist() == [True, True, False]
    assert fleet.compatibility_mode.tolist() == [False] * 3
    assert fleet.migration_mbps.tolist() == [1000, 1000]
    assert np.isnan(fleet.dirty_mib_s).all()
    assert fleet.host_groups["cluster"].code.tolist() == [0, -1]
    assert fleet.vm_groups["cluster"].code.tolist() == [0, -1, -1]
    assert any("1000 Mbit/s is assumed" in w for w in fleet.warnings)


def test_checkpoints_have_an_age() -> None:
    vms = [
        vm("a", "h1"),
        vm("b", "h1", snapshot_gib=2),
        vm("c", "h1", snapshot_gib=1, oldest_snapshot=AT - timedelta(days=3)),
    ]
    fleet = fleet_of([host("h1")], [*vms, vm("d", "h1", oldest_snapshot=AT + timedelta(days=1))])
    assert fleet.snapshot_age_days.tolist() == [-1.0, 0.0, 3.0, 0.0]
    assert fleet.snapshot_gib.tolist() == [0.0, 2.0, 1.0, 0.0]


def test_disk_and_net_are_there_only_if_every_host_says() -> None:
    full = {"disk_kibps": 1000, "net_mbps": 1000}
    assert fleet_of([host("h1", **full), host("h2", disk_kibps=5)], []).resources == ("cpu", "memory", "disk")
    both = fleet_of([host("h1", **full), host("h2", **full)], [])
    assert both.resources == ("cpu", "memory", "disk", "net")
    assert both.capacity[0].tolist() == [10000, 16384, 1000, 122070]


def test_groups_ignore_case_and_makers_have_one_name() -> None:
    hosts = [
        host("h1", cpu_vendor="GenuineIntel", cluster="C "),
        host("h2", cpu_vendor="intel"),
        host("h3", cpu_vendor="AuthenticAMD"),
    ]
    fleet = fleet_of(hosts, [])
    assert fleet.host_groups["cpu_vendor"].names == ("AMD", "Intel")
    assert fleet.host_groups["cpu_vendor"].code.tolist() == [1, 1, 0]
    assert fleet.host_groups["cluster"].names == ("c",)
    assert group(["", "x", "X", "X"]).names == ("X",)


def test_a_rack_is_a_rack_of_its_site() -> None:
    hosts = [
        host("h1", site="east", rack="R1"),
        host("h2", site="west", rack="R1"),
        host("h3", rack="R1"),
        host("h4", site="east"),
    ]
    racks = fleet_of(hosts, []).host_groups["rack"]
    assert len(set(racks.code[:3].tolist())) == 3
    assert racks.code[3] == -1


def test_rules_get_ids_and_lose_what_nobody_knows() -> None:
    hosts = [host("h1", id="1"), host("h2", id="2")]
    vms = [vm("a", "1", id="A", fqdn="a.test"), vm("b", "1", id="B")]
    rules = (
        RuleSpec("f", "fence", ("b", "A.TEST", "a", "ghost"), ("H2", "ghost"), owner="ops", origin="x"),
        RuleSpec("n", "spread", ("ghost",)),
    )
    assert fleet_of(hosts, vms, *rules).rules == (RuleSpec("f", "fence", ("A", "B"), ("2",), owner="ops", origin="x"),)


def test_hosts_stay_dedicated_while_their_tenants_are_still_to_come() -> None:
    hosts = [host("h1", id="1"), host("h2", id="2")]
    twins = [vm("b", "2", id="B1"), vm("b", "2", id="B2"), vm("a", "1")]
    kept = [RuleSpec("tenant", "dedicate", ("ghost",), ("h2",)), RuleSpec("nobody", "dedicate", (), ("h1",))]
    found = fleet_of(hosts, twins, *kept, RuleSpec("which", "dedicate", ("b",), ("h2",)))
    assert [(r.name, r.members, r.hosts) for r in found.rules] == [("nobody", (), ("1",)), ("tenant", (), ("2",))]
    assert 'rule "tenant" names no VM that exists; nobody is sent to its hosts' in found.warnings
    assert 'rule "nobody" names nobody; nobody is sent to its hosts' in found.warnings
    assert 'rule "which" names no VM that exists' in found.warnings


def test_a_preference_keeps_its_order_and_a_limit_may_be_about_everybody() -> None:
    hosts = [host("h1", id="1"), host("h2", id="2")]
    rules = (
        RuleSpec("all", "limit", (), most=9), RuleSpec("gone", "limit", ("ghost",), most=9),
        RuleSpec("p", "prefer", ("a",), ("h2", "ghost", "h1", "H2"), soft=True),
    )  # fmt: skip
    found = fleet_of(hosts, [vm("a", "h1")], *rules).rules
    assert [(r.name, r.members, r.hosts) for r in found] == [("all", (), ()), ("p", ("a",), ("2", "1"))]


def test_cores_nodes_networks_and_storage() -> None:
    hosts = [host("h1", numa_nodes=2, networks="a;b"), host("h2", storage="csv")]
    fleet = fleet_of(hosts, [vm("v", "h1", numa_span=True, networks="a"), vm("w", "h2")])
    assert (fleet.cores.tolist(), fleet.numa_nodes.tolist(), fleet.numa_span.tolist()) == (
        [10, 10],
        [2, 0],
        [True, False],
    )
    assert fleet.host_groups["networks"].code.tolist() == [0, -1]
    assert fleet.vm_groups["networks"].names == ("a",)
    assert fleet.vm_groups["storage"].code.tolist() == [-1, -1]


def test_what_cannot_be_planned_with_can_be_left_out() -> None:
    hosts = [host("h1"), host("h2", cores=0), host("h3")]
    vms = [vm("a", "h1"), vm("b", "h2"), vm("c", "nowhere"), vm("d", "h3"), vm("e", "h3", vcpus=0)]
    rules = [RuleSpec("gone", "fence", ("a",), ("ghost",)), RuleSpec("kept", "spread", ("a", "b", "d"))]
    inventory = build_inventory(hosts, vms, rules, AT)
    with pytest.raises(FleetError) as caught:
        snapshot(inventory, AT)
    assert len(caught.value.problems) == 4
    fleet = snapshot(inventory, AT, leave_out=True)
    assert fleet.hosts == ("h1", "h3")
    assert fleet.vms == ("a", "d")
    assert fleet.host_of.tolist() == [0, 1]
    assert fleet.rules == (RuleSpec("kept", "spread", ("a", "d")),)
    assert sum(w.startswith("left out:") for w in fleet.warnings) == 5


def test_an_empty_fleet_is_a_fleet() -> None:
    fleet = fleet_of([host("h1")], [])
    assert (fleet.n_vms, fleet.host_of.shape) == (0, (0,))
