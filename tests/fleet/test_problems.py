"""Everything that is wrong is told, at once, with how grave it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.core.errors import FleetError
from pro.fleet import RuleSpec
from pro.fleet.inventory import Inventory, build_inventory, find_problems
from pro.fleet.snapshot import snapshot
from pro.placement.constraints import ClusterBorder, CpuCompatibility, from_written
from pro.placement.referee import check
from tests.conftest import HOSTILE_NAMES
from tests.fleet.estates import AT, host, vm
from tests.strategies import written


def told(hosts: list[dict[str, Any]], vms: list[dict[str, Any]], *rules: RuleSpec) -> list[tuple[str, str]]:
    return [(p.severity, p.text) for p in find_problems(build_inventory(hosts, vms, rules, AT))]


def rule(kind: str, *members: str, **more: Any) -> RuleSpec:
    return RuleSpec("r", kind, members, **more)


def test_six_different_problems_in_one_go() -> None:
    hosts = [host("h1", memory_mib=1024), host("h2"), host("h2", cores=0)]
    vms = [
        vm("lost", "nowhere"),
        vm("homeless", ""),
        vm("a", "h1"),
        vm("big", "h1", memory_mib=4096),
        vm("a", "h1", id="other"),
    ]
    found = told(hosts, vms, rule("spread"))
    assert [severity for severity, _ in found] == sorted(severity for severity, _ in found)
    for expected in (
        ("error", 'VM "lost" stands on "nowhere", which is no known host'),
        ("error", 'VM "homeless" stands on no host'),
        ("error", 'host "h2" has 0 cores; expected more than 0'),
        ("error", '2 hosts have the id "h2"; host "h2" is one'),
        ("warning", 'host "h1" has 1024 MiB and its VMs hold 6144 MiB'),
        ("warning", '2 VMs are called "a" (ids "a", "other"); only their ids tell them apart'),
        ("warning", 'rule "r" names nobody'),
    ):
        assert expected in found
    with pytest.raises(FleetError) as caught:
        snapshot(build_inventory(hosts, vms, [], AT), AT)
    assert set(caught.value.problems) == {text for severity, text in found if severity == "error"}


def test_a_sound_inventory_has_none() -> None:
    assert told([host("h1"), host("h2")], [vm("a", "h1"), vm("b", "H2")], rule("spread", "a", "b")) == []


def test_two_vms_of_one_name_where_the_name_is_the_id() -> None:
    found = told([host("h1")], [vm("a", "h1"), vm("a", "h1")])
    assert found == [("error", '2 VMs have the id "a"; VM "a" is one')] * 2


@pytest.mark.parametrize(
    ("columns", "severity", "said"),
    [
        ({"cores": -1}, "error", "has -1 cores"),
        ({"core_mhz": None}, "error", "says no core_mhz"),
        ({"memory_mib": 0}, "error", "has 0 memory_mib"),
        ({"cores": 2**30, "core_mhz": 4}, "error", "beyond belief"),
        ({"disk_kibps": -5}, "error", "has -5 disk_kibps"),
        ({"migration_mbps": 0}, "warning", "has no migration network"),
        ({"state": "exploded"}, "warning", 'unknown state "exploded"; taken as restricted'),
        ({"host": "", "id": ""}, "error", "a host has no name"),
    ],
)
def test_what_a_host_cannot_be(columns: dict[str, Any], severity: str, said: str) -> None:
    found = told([host("h1"), host("h2", **columns)], [])
    assert [s for s, text in found if said in text] == [severity]


@pytest.mark.parametrize(
    ("columns", "severity", "said"),
    [
        ({"vcpus": 0}, "error", "has 0 vcpus"),
        ({"memory_mib": -1}, "error", "has -1 memory_mib"),
        ({"snapshot_gib": -0.5}, "error", "has -0.5 snapshot_gib"),
        ({"cluster": "other"}, "warning", 'belongs to cluster "other" and stands on host "h1" of cluster "c"'),
        ({"host": "h2"}, "warning", 'stands on host "h2", which is down'),
        ({"host": "H3"}, "error", "which is more than one host"),
        ({"fqdn": "H1.test"}, "warning", 'share the DNS name "h1.test"'),
    ],
)
def test_what_a_vm_cannot_be(columns: dict[str, Any], severity: str, said: str) -> None:
    hosts = [host("h1", fqdn="h1.test"), host("h2", state="down"), host("h3", id="1"), host("h3", id="2")]
    found = told(hosts, [vm("a", "h1") | columns])
    assert [s for s, text in found if said in text] == [severity]


def test_ids_that_differ_only_by_case_are_warned_of() -> None:
    assert len([t for s, t in told([host("h1"), host("H1")], [vm("a", "h1")]) if "only by case" in t]) == 2


HOSTS = [host("h1", site="s"), host("h2", site="s"), host("x1", cluster="x"), host("alone", cluster="")]
VMS = [vm("a", "h1"), vm("b", "h1"), vm("c", "h2"), vm("d", "alone")]


@pytest.mark.parametrize(
    ("written", "severity", "said"),
    [
        (rule("spread", "a", "ghost"), "warning", '"ghost", which is no known VM; it holds for the others'),
        (rule("fence", "a", hosts=("h1", "ghost")), "warning", '"ghost", which is no known host'),
        (rule("spread", "ghost"), "warning", "names no VM that exists"),
        (rule("fence", "a", hosts=("ghost",)), "error", "names no host that exists"),
        (rule("pin", "a", hosts=("ghost",)), "error", "names no host that exists"),
        (rule("ban", "a", hosts=("ghost",)), "warning", "names no host that exists"),
        (rule("pin", "a", hosts=("x1",)), "warning", 'leaves VM "a" no host it can reach'),
        (rule("fence", "d", hosts=("h1", "h2")), "warning", 'leaves VM "d" no host it can reach'),
        (rule("ban", "a", hosts=("h1", "h2")), "warning", 'leaves VM "a" no host it can reach'),
        (rule("spread", "a", "b", "c"), "warning", "wants 3 hosts and its VMs can reach 2; it cannot hold"),
        (rule("spread", "a", "b", scope="site"), "warning", "wants 2 sites and its VMs can reach 1"),
        (rule("spread", "a", "b", least=3), "warning", "wants 3 hosts for 2 VMs"),
        (rule("spread", "a", "b", scope="rack"), "warning", "no host says its rack"),
        (rule("spread", "a", "b", scope="planet"), "error", "expected host | rack | site | cluster"),
        (rule("limit", most=1), "warning", "lets 3 VMs stand where its 4 can go; it cannot hold"),
        (rule("limit", "a", "b", "c", most=1, scope="site"), "warning", "lets 1 VMs stand where its 3 can go"),
        (rule("licence", "a", most=8), "warning", "licenses 8 cores, and the smallest host for one VM has 10"),
        (rule("dedicate", "d", hosts=("h1",)), "warning", 'leaves VM "d" no host it can reach'),
        (rule("dedicate", "d", hosts=("ghost",)), "error", "names no host that exists"),
        (rule("prefer", "d", hosts=("ghost",), soft=True), "warning", "names no host that exists"),
    ],
)
def test_what_a_rule_cannot_ask(written: RuleSpec, severity: str, said: str) -> None:
    found = told(HOSTS, VMS, written)
    assert [s for s, text in found if said in text] == [severity]


def test_together_and_apart_is_a_contradiction() -> None:
    found = told(HOSTS, VMS, rule("gather", "a", "b"), RuleSpec("s", "spread", ("a", "b")))
    assert found == [("warning", 'rule "r" wants together what rule "s" wants apart: "a", "b"')]


def test_a_host_kept_for_two_is_a_contradiction_and_two_preferences_are_none() -> None:
    hosts = [*HOSTS, host("h3")]
    mine, yours = rule("dedicate", "a", "b", hosts=("h1", "h2")), RuleSpec("s", "dedicate", ("c",), ("h2",))
    assert told(hosts, VMS, mine, yours) == [
        ("warning", 'rule "s" and rule "r" keep host "h2" for different VMs; nobody may come there'),
        ("warning", 'rule "r" and rule "s" leave VM "c" no host; they cannot all hold for that VM'),
    ]
    shared = RuleSpec("s", "dedicate", ("b", "c"), ("h2", "h3"))
    assert told(hosts, VMS, mine, shared) == [
        ("warning", 'rule "s" and rule "r" keep host "h2" for different VMs; only "b" may come there')
    ]
    assert told(hosts, VMS, mine, replace(yours, soft=True)) == []
    assert told(HOSTS, VMS, mine) == [("warning", 'rule "r" leaves VM "c" no host; it cannot hold for that VM')]
    apart = RuleSpec("s", "spread", ("a", "b"), soft=True)
    assert told(HOSTS, VMS, rule("gather", "a", "b"), apart) == []


RACKS = [host("h1", site="s", rack="r"), host("h2", site="t", rack="r"), host("h3"), host("h4", site="s", rack="r")]
TWO = [vm("a", "h1"), vm("b", "h2")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([rule("fence", "a", hosts=("h1",), origin="x: 1"), RuleSpec("s", "fence", ("a",), ("h2",))],
         ['rule "r" (x: 1) and rule "s" leave VM "a" no host; they cannot all hold for that VM']),
        ([rule("pin", "a", hosts=("h1",)), RuleSpec("s", "ban", ("a",), ("h1", "h2"))],
         ['rule "r" and rule "s" leave VM "a" no host; they cannot all hold for that VM']),
        ([rule("pin", "a"), RuleSpec("s", "ban", ("a", "b"), ("h1",))],
         ['rule "r" and rule "s" leave VM "a" no host; they cannot all hold for that VM']),
        ([rule("dedicate", "a", hosts=("h1",)), RuleSpec("s", "fence", ("b",), ("h1",))],
         ['rule "r" and rule "s" leave VM "b" no host; they cannot all hold for that VM']),
        ([rule("fence", "a", hosts=("h1", "h2")), RuleSpec("s", "ban", ("a",), ("h1",)), RuleSpec("t", "dedicate", (), ("h2",))],
         ['rule "t" names nobody; nobody is sent to its hosts',
          'rule "r", rule "s" and rule "t" leave VM "a" no host; they cannot all hold for that VM']),
        ([rule("gather", "a", "b"), RuleSpec("s", "spread", ("a", "b"), scope="rack")],
         ['rule "r" wants together what rule "s" wants apart: "a", "b"']),
        ([rule("gather", "a", "b", scope="rack"), RuleSpec("s", "spread", ("a", "b"), scope="site")],
         ['rule "r" wants together what rule "s" wants apart: "a", "b"']),
        ([rule("gather", "a", "b", scope="rack"), RuleSpec("s", "spread", ("a", "b"))], []),
        ([rule("gather", "a", "b", scope="rack"), RuleSpec("s", "spread", ("a", "b")), RuleSpec("t", "fence", ("a", "b"), ("h1", "h2"))],
         ['rule "r" wants together what rule "s" wants apart: "a", "b"; so where rule "t" lets them stand']),
        ([rule("gather", "a", "b"), RuleSpec("s", "fence", ("a",), ("h1",)), RuleSpec("t", "pin", ("b",), ("h2",))],
         ['rule "r" wants together in one host what rule "s" and rule "t" keep apart: "a", "b"; they cannot all hold']),
        ([rule("spread", "a", "b"), RuleSpec("s", "fence", ("a", "b"), ("h1",))],
         ['rule "r" wants on 2 hosts what rule "s" lets stand on 1: "a", "b"; they cannot all hold']),
        ([rule("spread", "a", "b", scope="rack")], []),
        ([rule("spread", "a", "b", least=3)], ['rule "r" wants 3 hosts for 2 VMs; as many as there are VMs will do']),
    ],
)  # fmt: skip
def test_what_rules_cannot_ask_together(written: list[RuleSpec], said: list[str]) -> None:
    assert [text for _, text in told(RACKS, TWO, *written)] == said


def test_vms_of_two_clusters_cannot_be_gathered_and_a_host_without_a_rack_is_one_of_its_own() -> None:
    hosts = [host("h1", rack="r"), host("h2", rack="r"), host("h3"), host("x1", cluster="x", rack="q")]
    far = told(hosts, [vm("a", "h1"), vm("b", "h2"), vm("c", "x1")], rule("gather", "a", "b", "c", scope="rack"))
    assert far == [("warning", 'rule "r" wants VMs in one rack that can reach none together: "a", "c"; it cannot hold')]
    racks = rule("spread", "a", "b", scope="rack")
    assert told(hosts, [vm("a", "h1"), vm("b", "h2")], racks) == []
    assert told(hosts[:2], [vm("a", "h1"), vm("b", "h2")], racks) == [
        ("warning", 'rule "r" wants 2 racks and its VMs can reach 1; it cannot hold')
    ]


def test_a_vm_cannot_be_fenced_onto_processors_that_it_cannot_run_on() -> None:
    hosts = [
        host("h1", cpu_vendor="Intel", cpu_family="Nehalem"),
        host("h2", cpu_vendor="GenuineIntel", cpu_family="Westmere"),
    ]
    fence = rule("fence", "a", hosts=("h2",))
    assert told(hosts, [vm("a", "h1")], fence) == [
        ("warning", 'rule "r" leaves VM "a" no host it can reach; it cannot hold for that VM')
    ]
    assert told(hosts, [vm("a", "h1", cpu_compatibility_mode=True)], fence) == []


def test_two_rules_of_one_name_are_told_with_their_places() -> None:
    rules = [rule("pin", "a", origin="x: rule 1"), rule("ban", "a", hosts=("h2",), origin="x: rule 7")]
    assert told(HOSTS, VMS, *rules) == [
        ("warning", '2 rules are called "r" (x: rule 7, x: rule 1); only where they are written tells them apart')
    ]


SURE = ("cannot hold", "cannot all hold", "wants together what")
"""What is said where nothing could ever help."""


@st.composite
def ruled(draw: st.DrawFn) -> tuple[Inventory, list[RuleSpec]]:
    """A small estate with hard rules of every kind."""
    hosts = [
        host(h, cluster=draw(st.sampled_from("cccd ")).strip(), **{s: draw(st.sampled_from("rq ")).strip() for s in ("rack", "site")})
        for h in ("h1", "h2", "h3")[: draw(st.integers(1, 3))]
    ]  # fmt: skip
    names, modes = st.sampled_from([h["host"] for h in hosts]), st.sampled_from((None, True))
    vms = [vm(v, draw(names), cpu_compatibility_mode=draw(modes)) for v in "abc"[: draw(st.integers(1, 3))]]
    rules = [
        replace(r, name=f"r{i}", soft=False, worth=0.0)
        for i, r in enumerate(draw(st.lists(written(), max_size=4)))
        if r.kind != "prefer"
    ]
    return build_inventory(hosts, vms, rules, AT), rules


def placements_that_hold(inventory: Inventory) -> list[tuple[int, ...]]:
    """Every placement by brute force under which all rules hold, and nobody leaves its cluster or its kind of processor."""
    fleet = snapshot(inventory, AT, leave_out=True)
    held = [ClusterBorder(), CpuCompatibility(), *map(from_written, fleet.rules)]
    return [
        stand
        for stand in product(range(fleet.n_hosts), repeat=fleet.n_vms)
        if not check(fleet, held, np.array(stand, np.int64))
    ]


def test_hosts_of_a_rule_whose_vms_share_a_name_are_not_kept() -> None:
    """Plans do not have that rule, so nothing can be in its way."""
    hosts = [host("h1"), host("h2")]
    vms = [vm("b", "h2", id="B1"), vm("b", "h2", id="B2"), vm("a", "h1", id="A")]
    rules = [RuleSpec("which", "dedicate", ("b",), ("h2",)), RuleSpec("f", "fence", ("a",), ("h2",))]
    found = find_problems(build_inventory(hosts, vms, rules, AT))
    assert not any("no host" in p.text for p in found)


def test_checks_of_rules_stay_quick_where_every_host_is_dedicated() -> None:
    """Each VM that is alike is asked once, and one sentence does not name a hundred rules."""
    hosts, vms = [host(f"h{n}") for n in range(120)], [vm(f"v{n}", f"h{n % 120}") for n in range(600)]
    rules = [RuleSpec(f"d{n}", "dedicate", (f"v{n}",), (f"h{n}",)) for n in range(120)]
    (told,) = find_problems(build_inventory(hosts, vms, rules, AT))
    assert "and 115 more rules leave VMs" in told.text
    assert "and 477 more no host" in told.text


@given(ruled())
@settings(max_examples=100, deadline=None)
def test_nothing_is_called_impossible_that_a_placement_can_do(case: tuple[Inventory, list[RuleSpec]]) -> None:
    inventory, _ = case
    sure = [p.text for p in find_problems(inventory) if any(words in p.text for words in SURE)]
    assert not (sure and placements_that_hold(inventory))


@given(ruled())
@settings(max_examples=50, deadline=None)
def test_where_rules_that_say_where_vms_may_stand_leave_none_that_is_told(
    case: tuple[Inventory, list[RuleSpec]],
) -> None:
    inventory, rules = case
    where = [r for r in rules if r.kind in ("fence", "pin", "ban", "dedicate")]
    inventory = replace(inventory, rules=tuple(where))
    problems = find_problems(inventory)
    told = any(words in p.text for p in problems for words in SURE)
    assert told == (not placements_that_hold(inventory))


def test_a_vm_on_a_host_that_does_not_say_it_reaches_its_networks() -> None:
    hosts = [host("h1", networks="Prod; dmz"), host("h2")]
    found = told(hosts, [vm("a", "h1", networks="prod;lab"), vm("b", "h2", networks="lab")])
    assert found == [("warning", 'VM "a" needs of networks "lab", which its host "h1" does not say it reaches')]


def test_numa_nodes_that_do_not_divide_the_cores() -> None:
    assert told([host("h1", numa_nodes=3), host("h2", numa_nodes=2)], [vm("a", "h1")]) == [
        ("warning", 'host "h1" has 10 cores on 3 NUMA nodes; they are taken to share them evenly')
    ]


def test_a_fence_across_two_clusters_suits_each_vm_that_finds_a_host_in_it() -> None:
    assert told(HOSTS, [*VMS, vm("e", "x1")], rule("fence", "a", "e", hosts=("h2", "x1"))) == []


@given(st.lists(st.sampled_from(HOSTILE_NAMES), min_size=1, max_size=4))
def test_messages_about_hostile_names_stay_on_their_line(names: list[str]) -> None:
    for _, text in told([host("h1")], [vm(n, "nowhere") for n in names], rule("spread", *names, "ghost\n")):
        assert "\n" not in text


def test_no_hosts_at_all() -> None:
    assert ("error", "there are no hosts") in told([], [vm("a", "h1")])
    with pytest.raises(FleetError, match="there are no hosts"):
        snapshot(build_inventory([], [vm("a", "h1")], [], AT), AT, leave_out=True)
