"""Every rule of the catalogue keeps the laws of a rule; and its story."""

from __future__ import annotations

import pytest
from hypothesis import given

from pro.core.errors import InputError
from pro.fleet import RuleSpec
from pro.fleet.rule_kinds import KINDS
from pro.placement import constraints as room
from pro.placement.language import broken
from tests.builders import fleet, stand
from tests.strategies import RULES, fleets, written
from tests.suites import constraint_suite

for _kind, _strategy in RULES.items():
    globals()[f"TestLawsOf{_kind.capitalize()}"] = constraint_suite(_strategy)


def test_every_rule_of_the_catalogue_is_under_the_laws():
    assert set(RULES) == set(room.CONSTRAINTS)
    assert {k for k in globals() if k.startswith("TestLawsOf")} == {f"TestLawsOf{k.capitalize()}" for k in RULES}


def words(rule, a_fleet, drawn=""):
    """What a rule says of a drawn placement."""
    return [v.text for v in rule.violations(a_fleet, stand(a_fleet, drawn))]


def test_a_host_that_holds_too_much_memory_is_told_by_how_much():
    tight = fleet("h1: a b | h2:", memory=4_096, vm_memory=2_048)
    assert words(room.Capacity(), tight) == []
    assert words(room.Capacity(reserve=1_024), tight) == [
        "h1 is 1,024 MiB short: its VMs hold 4,096 of 3,072 MiB with 1,024 MiB in reserve"
    ]


def test_of_two_reserves_the_larger_counts():
    tight = fleet("h1: a b", memory=10_000, vm_memory=4_000)
    assert words(room.Capacity(reserve=500, reserve_percent=20), tight) == []
    assert len(words(room.Capacity(reserve=500, reserve_percent=21), tight)) == 1
    assert len(words(room.Capacity(reserve=2_001, reserve_percent=20), tight)) == 1


def test_a_vm_does_not_leave_its_cluster():
    two = fleet("h1: a | h2: | h3:", clusters={"h1": "prod", "h2": "prod", "h3": "dev"})
    assert words(room.ClusterBorder(), two, "h2: a") == []
    assert words(room.ClusterBorder(), two, "h3: a") == ["a left cluster prod for h3"]


def test_a_vm_on_a_host_of_no_cluster_stays():
    alone = fleet("h1: a | h2:", clusters={})
    assert words(room.ClusterBorder(), alone) == []
    assert words(room.ClusterBorder(), alone, "h2: a") == ["a left h1, which belongs to no cluster"]


def test_compatibility_mode_mixes_families_but_never_vendors():
    mixed = fleet(
        "h1: a b | h2: | h3:",
        vendors={"h1": "Intel", "h2": "Intel", "h3": "AMD"},
        families={"h1": "Nehalem", "h2": "Westmere", "h3": "Magny-Cours"},
        compatible=["a"],
    )
    rule = room.CpuCompatibility()
    assert words(rule, mixed, "h2: a") == []
    assert words(rule, mixed, "h2: b") == ["b runs on Nehalem, h2 has Westmere"]
    assert words(rule, mixed, "h3: a") == ["a runs on Intel, h3 has AMD"]


def test_an_unknown_cpu_is_equal_only_to_another_unknown_cpu():
    half = fleet("h1: a | h2: | h3: b", vendors={"h1": "Intel"})
    assert words(room.CpuCompatibility(), half, "h2: b") == []
    assert words(room.CpuCompatibility(), half, "h2: a") == ["a runs on Intel, h2 has an unknown CPU"]


def test_two_of_a_pair_on_one_host_is_refused():
    pair = fleet("h1: a b | h2:")
    assert words(room.Spread("apart", ("a", "b")), pair) == ["a and b stand together on h1"]
    assert words(room.Spread("apart", ("a", "b")), pair, "h2: b") == []


def test_spread_over_racks_looks_at_racks():
    racks = fleet("h1: a | h2: b | h3:", racks={"h1": "r1", "h2": "r1", "h3": "r2"})
    assert words(room.Spread("apart", ("a", "b"), "rack"), racks) == ["a and b stand together on rack r1"]
    assert words(room.Spread("apart", ("a", "b"), "rack"), racks, "h3: b") == []


def test_a_host_of_unknown_rack_is_a_rack_of_its_own():
    racks = fleet("h1: a b | h2:", racks={})
    rule = room.Spread("apart", ("a", "b"), "rack")
    assert words(rule, racks) == ["a and b stand together on h1"]
    assert words(rule, racks, "h2: b") == []


def test_spread_over_at_least_two_sites_lets_two_share_one():
    sites = fleet("h1: a b | h2: | h3: c", sites={"h1": "east", "h2": "east", "h3": "west"})
    rule = room.Spread("two sites", ("a", "b", "c"), "site", least=2)
    assert words(rule, sites) == []
    assert words(rule, sites, "h2: c") == ["a, b and c stand in 1 sites, at least 2 wanted"]


def test_gathered_vms_move_together_or_not_at_all():
    three = fleet("h1: a b | h2:")
    rule = room.Gather("close", ("a", "b"))
    assert words(rule, three, "h2: a b") == []
    assert words(rule, three, "h2: a") == ["a and b stand apart, on h1 and h2"]


def test_a_fence_keeps_in_and_a_ban_keeps_out():
    three = fleet("h1: a | h2: | h3:")
    assert words(room.Fence("licensed", ("a",), ("h1", "h2")), three, "h3: a") == [
        "a on h3 is outside the 2 hosts it may use"
    ]
    assert words(room.Ban("off", ("a",), ("h3",)), three, "h3: a") == ["a is banned from h3"]


def test_a_pinned_vm_stays_where_it_stands():
    two = fleet("h1: a | h2:")
    assert words(room.Pin("dongle", ("a",)), two) == []
    assert words(room.Pin("dongle", ("a",)), two, "h2: a") == ["a is pinned to h1, not to h2"]


def test_a_host_in_maintenance_is_to_be_emptied_and_a_closed_one_keeps_its_vms():
    three = fleet("h1: a | h2: b | h3:", leaving=["h1"], closed=["h2"])
    rule = room.Maintenance()
    assert words(rule, three) == ["a stands on h1, which is to be emptied"]
    assert words(rule, three, "h3: a") == []
    assert words(rule, three, "h2: a") == ["a was put on h2, which accepts no VM"]


def test_a_budget_counts_migrations_and_memory():
    two = fleet("h1: a b | h2:", vm_memory=1_000)
    assert words(room.MoveBudget(max_moves=1), two, "h2: a b") == ["2 migrations, at most 1 allowed"]
    assert words(room.MoveBudget(max_gib=1), two, "h2: a b") == ["2,000 MiB to move, at most 1,024 MiB allowed"]


def test_a_budget_of_one_service_does_not_bind_another():
    mixed = fleet("h1: a b c | h2:", services={"a": "web", "b": "web", "c": "sql"})
    rule = room.GroupBudget("service", 1)
    assert words(rule, mixed, "h2: a c") == []
    assert words(rule, mixed, "h2: a b c") == ["2 migrations of service web, at most 1 allowed"]


def test_so_many_vms_on_a_host_or_of_a_group_in_a_rack():
    four = fleet("h1: a b | h2: c | h3:", racks={"h1": "r1", "h2": "r1", "h3": "r2"})
    assert words(room.VmLimit("two", 2), four) == []
    assert words(room.VmLimit("two", 2), four, "h1: c") == ["h1 holds 3 (a, b and c), at most 2 allowed"]
    rule = room.VmLimit("in a rack", 1, ("a", "c"), "rack")
    assert words(rule, four) == ["rack r1 holds 2 (a and c), at most 1 allowed"]
    assert words(rule, four, "h3: c") == []
    assert words(room.VmLimit("small host", 1, hosts=("h2",)), four, "h2: a b") == [
        "h2 holds 3 (a, b and c), at most 1 allowed"
    ]


def test_a_licence_counts_the_cores_of_every_host_that_holds_a_member():
    hosts = fleet("h1: a b | h2: c | h3:", cores={"h1": 16, "h2": 8, "h3": 32})
    rule = room.Licence("sql", ("a", "b", "c"), 16)
    assert words(rule, hosts) == ["its VMs occupy 24 cores (h1, h2), 16 are licensed"]
    assert words(rule, hosts, "h1: c") == []
    assert words(rule, hosts, "h2: a b") == []
    assert words(rule, hosts, "h3: a b c") == ["its VMs occupy 32 cores (h3), 16 are licensed"]


def test_hosts_of_no_tenant_take_nobody_and_send_nobody_away():
    """Not even from one of them to another: a tenant that is misspelt must not be driven out of its own hosts."""
    a_fleet = fleet("h1: a | h2: b | h3: c", rules=(RuleSpec("t", "dedicate", (), ("h1", "h2")),))
    rule = room.Dedicate.of(a_fleet.rules[0])
    rows = list(rule.rows(a_fleet))
    for where, broken_by in (("", 0), ("h3: a", 0), ("h1: c", 1), ("h2: a", 1), ("h2: a c", 2)):
        host_of = stand(a_fleet, where)
        assert len(rule.violations(a_fleet, host_of)) == broken_by, where
        assert sum(broken(row, a_fleet.host_of, host_of) for row in rows) == broken_by, where


def test_dedicated_hosts_hold_their_tenants_and_nobody_else():
    hosts = fleet("h1: a | h2: b")
    rule = room.Dedicate("own", ("a",), ("h1",))
    assert words(rule, hosts) == []
    assert words(rule, hosts, "h1: b") == ["b stands on h1, which is kept for others"]
    assert words(rule, hosts, "h2: a") == ["a stands on h2, which is not one of its own hosts"]


def test_preferred_owners_are_an_order():
    hosts = fleet("h1: a | h2: | h3:")
    rule = room.Prefer("first east", ("a",), ("h2", "h1"))
    assert words(rule, hosts, "h2: a") == []
    assert words(rule, hosts) == ["a stands on h1, choice 2 of 2"]
    (worst,) = rule.violations(hosts, stand(hosts, "h3: a"))
    assert (worst.text, worst.amount) == ("a stands on h3, none it prefers", 2)


def test_a_vm_goes_where_its_networks_and_its_storage_are():
    nets = {"h1": "Prod;DMZ", "h2": "prod", "h3": "", "a": "dmz ; prod", "b": "PROD", "c": ""}
    hosts = fleet("h1: a | h2: | h3: b c", networks=nets, storage={"h1": "csv1", "a": "csv1"})
    rule = room.Reach()
    assert words(rule, hosts) == []  # h3 says nothing, so b may stay
    assert words(rule, hosts, "h2: b c") == []
    assert words(rule, hosts, "h3: a") == [
        "a needs networks dmz and 1 more, which h3 does not reach",
        "a needs storage csv1, which h3 does not reach",
    ]
    assert words(rule, hosts, "h2: a") == [
        "a needs networks dmz, which h2 does not reach",
        "a needs storage csv1, which h2 does not reach",
    ]


def test_a_vm_fits_one_numa_node_unless_it_spans_them_or_has_to():
    hosts = fleet(
        "h1: a b | h2: s w",
        cores={"h1": 32, "h2": 16}, numa_nodes=2, memory={"h1": 64_000, "h2": 64_000},
        vcpus={"a": 12, "b": 4, "s": 12, "w": 40}, spanning=["s"],
    )  # fmt: skip
    assert words(room.NumaFit(), hosts) == []
    assert words(room.NumaFit(), hosts, "h2: a b") == [
        "a (12 processors, 1,024 MiB) is larger than a NUMA node of h2 (8 cores, 32,000 MiB)"
    ]


def test_two_vms_of_more_than_half_a_node_never_share_one():
    hosts = fleet("h1: a b c | h2:", cores=8, numa_nodes=2, memory=10_000, vm_memory=3_000)
    assert words(room.Capacity(), hosts) == []
    assert words(room.NumaFit(), hosts) == ["a, b and c each take more than half a NUMA node of h1, which has 2"]
    assert words(room.NumaFit(), hosts, "h2: c") == []


def test_the_placement_reserve_binds_newcomers_only():
    tight = fleet("h1: a b | h2: c", memory=4_096, vm_memory={"a": 1_500, "b": 1_500, "c": 1_024})
    rule = room.Headroom(2_000)
    assert words(rule, tight) == []
    assert words(rule, tight, "h2: b") == ["h2 keeps 1,572 of 2,000 MiB free"]
    assert words(rule, tight, "h2: a b | h1: c") == ["h2 keeps 1,096 of 2,000 MiB free"]


def test_hostile_names_are_told_but_cannot_break_a_line():
    hostile = fleet("h1: a b", names={"a": "two\nlines", "h1": "x" * 200})
    (text,) = words(room.Spread("apart", ("a", "b")), hostile)
    assert "\n" not in text
    assert len(text) < 200


def test_everything_that_holds_is_built_and_nothing_is_skipped_in_silence():
    ruled = fleet(
        "h1: a b | h2:", rules=[RuleSpec("apart", "spread", ("a", "b")), RuleSpec("in", "fence", ("a",), ("h1",))]
    )
    names = [rule.name for rule in room.build(ruled, max_moves=3, evacuate=["h2"])]
    assert names == [
        "memory capacity", "cluster border", "CPU compatibility", "maintenance", "evacuation", "move budget", "apart", "in",
    ]  # fmt: skip


def test_soft_rules_are_preferences_and_nothing_is_asked_that_no_inventory_speaks_of():
    ruled = fleet(
        "h1: a b | h2:",
        rules=[RuleSpec("apart", "spread", ("a", "b"), soft=True, worth=3.0), RuleSpec("in", "fence", ("a",), ("h1",))],
        numa_nodes=2, networks={"a": "prod"},
    )  # fmt: skip
    held = [rule.name for rule in room.build(ruled, max_moves_per={"service": 2})]
    assert held[4:] == ["reach", "NUMA fit", "move budget per service", "in"]
    assert [(wish.rule.name, wish.worth) for wish in room.preferences(ruled)] == [("apart", 3.0)]


def test_every_kind_that_people_write_is_built():
    assert set(room.WRITTEN) == set(KINDS)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (RuleSpec("r", "lonely", ("a",)), "unknown kind of rule"),
        (RuleSpec("r", "spread", ("a",), scope="rak"), "unknown scope"),
        (RuleSpec("r", "fence", ("a",)), "a fence without hosts"),
        (RuleSpec("r", "spread", ("a",), least=-1), "least must not be negative"),
        (RuleSpec("r", "gather", ("a",), least=2), "a gather has no least"),
        (RuleSpec("r", "limit", ("a",)), "a limit without most"),
        (RuleSpec("r", "ban", ("a",), ("h1",), soft=False, worth=2.0), "only a soft rule has a worth"),
        (RuleSpec("r", "pin", ("a",), soft=True, worth=float("nan")), "worth is how many migrations"),
        (RuleSpec("r", "prefer", ("a",), ("h1",)), "a prefer is always soft"),
    ],
)
def test_a_rule_that_cannot_be_read_is_an_error_that_says_where(rule, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        room.from_written(rule)
    assert "rule 'r'" in str(error.value)


def test_evacuating_a_host_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match="h9"):
        room.build(fleet("h1: a"), evacuate=["h9"])


@given(written(), fleets())
def test_every_written_rule_becomes_one_of_its_kind(rule, a_fleet):
    constraint = room.from_written(rule)
    assert type(constraint) is room.CONSTRAINTS[rule.kind]
    assert constraint.name == rule.name
    assert isinstance(constraint.violations(a_fleet, a_fleet.host_of), list)
