"""May hosts fail? Brute force agrees, and the stories read like sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.fleet import RuleSpec
from pro.placement import constraints as room
from pro.placement.constraints.common import vm_indices
from pro.placement.engines.restart_exact import solve
from pro.placement.failover import survives
from pro.placement.failover.drill import Drill
from pro.placement.failover.report import headline
from pro.placement.language import AtLeast, Limit, Near, Together, broken
from pro.placement.part import only
from pro.placement.problem import loosen
from tests.builders import fleet, stand
from tests.strategies import RULES, fleets, members, placements, scopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.language import Row
    from pro.placement.rules import Constraint

DOWN = -1


@dataclass(frozen=True)
class Close:
    """Where a member of `a` is, there is one of `b`: the row that no rule of the catalogue has yet."""

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    scope: str

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Any]:
        raise NotImplementedError

    def rows(self, fleet: Fleet) -> Iterator[Row]:
        yield Near(vm_indices(fleet, self.a), vm_indices(fleet, self.b), fleet.scope_codes(self.scope)[0], self.name)


@dataclass(frozen=True)
class TwoThings:
    """A limit in two dimensions in every scope item, for some VMs."""

    name: str
    members: tuple[str, ...]
    scope: str
    upper: int

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Any]:
        raise NotImplementedError

    def rows(self, fleet: Fleet) -> Iterator[Row]:
        vms, (scope, items) = vm_indices(fleet, self.members), fleet.scope_codes(self.scope)
        weight = np.stack([np.ones(len(vms), np.int64), fleet.memory_mib[vms]], axis=1)
        upper = np.tile([[self.upper, 10 * self.upper]], (items, 1))
        yield Limit(vms, weight, scope, 0 * upper + np.arange(items)[:, None] % 2, upper, "after", self.name)


@dataclass(frozen=True)
class Licensed:
    """The hosts that hold members weigh at most so much: licences by core."""

    name: str
    members: tuple[str, ...]
    scope: str
    most: int

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Any]:
        raise NotImplementedError

    def rows(self, fleet: Fleet) -> Iterator[Row]:
        scope, items = fleet.scope_codes(self.scope)
        yield Together(vm_indices(fleet, self.members), scope, self.name, self.most, np.arange(items) % 3)


RULE = st.one_of(
    *RULES.values(),
    st.builds(Licensed, st.just("licensed"), members(), scopes(), st.integers(0, 4)),
    st.builds(Close, st.just("close"), members(), members(), scopes()),
    st.builds(TwoThings, st.just("two"), members(), scopes(), st.integers(0, 3)),
)


@st.composite
def estates(draw: st.DrawFn) -> Fleet:
    """Fleets of which some VMs are not highly available."""
    found = draw(fleets())
    return replace(found, highly_available=np.array([draw(st.integers(0, 3)) > 0 for _ in found.vms], np.bool_))


def fewest_down(fleet: Fleet, rules: Sequence[Constraint], failed: tuple[int, ...]) -> int:
    """Over every way to restart: the fewest VMs without a place. Slow, and written from the definition."""
    there = np.isin(fleet.host_of, failed)
    part = only(fleet, np.flatnonzero(~there | fleet.highly_available))
    lost = np.flatnonzero(np.isin(part.host_of, failed))
    cluster = fleet.host_groups["cluster"].code
    places = [
        h for h in range(fleet.n_hosts)
        if cluster[h] == cluster[failed[0]] and h not in failed and fleet.accepting[h] and not fleet.leaving[h]
    ]  # fmt: skip
    bound = [rule for rule in rules if not isinstance(rule, room.MoveBudget)]
    bound = [rule for rule in bound if not (isinstance(rule, room.Pin) and not rule.hosts)]
    held = [h for rule in bound for row in rule.rows(part) for h in loosen(row, part.host_of)]
    fewest = len(lost)
    for choice in product([DOWN, *places], repeat=len(lost)):
        after = part.host_of.copy()
        after[lost] = choice
        if choice.count(DOWN) < fewest and all(broken(without(row, after), after, after) == 0 for row in held):
            fewest = choice.count(DOWN)
    return fewest


def without(row: Row, after: Ints) -> Row:
    """`row` about the VMs that are up; one that is down excuses a missing scope item, or a lonely one."""
    match row:
        case Limit():
            up = after[row.vms] != DOWN
            return replace(row, vms=row.vms[up], weight=row.weight[up])
        case AtLeast():
            up = after[row.vms] != DOWN
            return replace(row, vms=row.vms[up], count=row.count - int((~up).sum()))
        case Near():
            a, b = after[row.a] != DOWN, after[row.b] != DOWN
            return replace(row, a=row.a[a], b=row.b[b], missing=row.missing + int((~b).sum()))
        case _:
            return replace(row, vms=row.vms[after[row.vms] != DOWN])


def host_sets(fleet: Fleet, k: int) -> list[tuple[int, ...]]:
    """Sets of at most k hosts of one cluster."""
    code = fleet.host_groups["cluster"].code
    return [
        s for size in range(1, k + 1) for s in combinations(range(fleet.n_hosts), size)
        if code[s[0]] >= 0 and len({int(code[h]) for h in s}) == 1
    ]  # fmt: skip


@given(estates(), st.lists(RULE, max_size=4), st.integers(1, 3))
def test_brute_force_finds_the_same_hosts_that_cannot_fail(fleet: Fleet, some: list[Constraint], k: int) -> None:
    rules = [room.Capacity(), room.Maintenance(), *some]
    report = survives(fleet, rules, k=k)
    expected = {}
    for hosts in host_sets(fleet, k):
        down = fewest_down(fleet, rules, hosts)
        if down:
            expected[tuple(fleet.hosts[h] for h in hosts)] = down
    assert {f.hosts for f in report.failures} == expected.keys()
    for f in report.failures:
        assert 0 < f.least <= expected[f.hosts] <= f.amount
        assert f.least == f.amount or len(f.hosts) > 1
    assert report.checked == report.sets == len(host_sets(fleet, k))


def may_stand(fleet: Fleet) -> Any:
    """(2, V, H) by either rule that compares with the host of today: its processor, and networks and storage that nobody wrote down.

    Apart, for reports name what each of them refuses.
    """
    allowed = np.ones((2, fleet.n_vms, fleet.n_hosts), np.bool_)
    for rule, mine in zip((room.CpuCompatibility(), room.Reach()), allowed, strict=True):
        for row in rule.rows(fleet):
            mine[row.vms] &= row.hosts
    return allowed


@given(fleets(), st.data())
def test_a_placement_is_judged_like_a_fleet_that_stands_so(fleet: Fleet, data: st.DataObject) -> None:
    rules = [*room.build(fleet), *data.draw(st.lists(st.one_of(RULES["spread"], RULES["fence"]), max_size=3))]
    host_of = data.draw(placements(fleet))
    inside = fleet.host_groups["cluster"].code
    host_of = np.where((inside[host_of] == inside[fleet.host_of]) & (inside[host_of] >= 0), host_of, fleet.host_of)
    moved = replace(fleet, host_of=host_of)
    if np.array_equal(may_stand(fleet), may_stand(moved)):
        assert survives(fleet, rules, host_of) == survives(moved, rules)


@given(estates())
def test_every_vm_without_a_place_is_named_with_what_stands_in_its_way(fleet: Fleet) -> None:
    for failure in survives(fleet, room.build(fleet)).failures:
        assert len(failure.stranded) == failure.amount
        for stranded in failure.stranded:
            assert fleet.hosts[fleet.host_of[fleet.vm_index(stranded.vm)]] in failure.hosts
            assert bool(stranded.refusals) == bool(stranded.nearest)


@given(estates(), st.lists(RULE, min_size=1, max_size=3), st.integers(1, 2))
def test_cp_sat_alone_says_what_brute_force_says(fleet: Fleet, rules: list[Constraint], k: int) -> None:
    ready = Drill(fleet, rules).ready
    for hosts in host_sets(fleet, k):
        nobody = np.where(np.isin(fleet.host_of, hosts), DOWN, fleet.host_of)
        found = solve(ready, fleet.host_of, hosts, nobody, 5.0)
        assert found.most == found.least == fewest_down(fleet, rules, hosts)


# -- stories ------------------------------------------------------------------------------------------------------


def told(a_fleet: Fleet, *rules: Constraint, k: int = 1) -> str:
    return headline(survives(a_fleet, [*room.build(a_fleet), *rules], k=k), a_fleet)


def test_three_hosts_with_room_for_one_more_survive_one_failure_but_not_two() -> None:
    roomy = fleet("h1: a b | h2: c | h3: d", memory=4_096, vm_memory=1_024)
    assert told(roomy) == "N+1: holds for all 3 hosts"
    full = fleet("h1: a b | h2: c | h3: d", memory=3_072, vm_memory=1_024)
    assert told(full) == "N+1: holds for all 3 hosts"
    assert told(full, k=2) == (
        "N+2: 3 of 6 sets of up to 2 hosts of a cluster cannot fail: h1 and h2 would leave c without a place because it is "
        "refused by memory capacity (1 host); nearest is h3: 1,024 MiB too little by memory capacity"
    )


def test_memory_that_is_free_in_crumbs_takes_no_large_vm() -> None:
    crumbs = fleet(
        "h1: big | h2: a | h3: b | h4: c", memory=4_096, vm_memory={"big": 2_048, "a": 3_000, "b": 3_000, "c": 3_000}
    )
    report = survives(crumbs, room.build(crumbs))
    assert [f.hosts for f in report.failures] == [("h1",), ("h2",), ("h3",), ("h4",)]
    assert report.failures[0].stranded[0].lacks == (("memory capacity", 952, "MiB"),)


def test_vms_that_must_stand_apart_need_one_host_more_than_there_are_of_them() -> None:
    three = fleet("h1: a | h2: b | h3: c")
    apart = room.Spread("sql apart", ("a", "b", "c"))
    assert "refused by sql apart (2 hosts)" in told(three, apart)
    assert told(fleet("h1: a | h2: b | h3: c | h4:"), apart) == "N+1: holds for all 4 hosts"


def test_a_licence_that_covers_two_hosts_survives_the_loss_of_either_while_there_is_room() -> None:
    licensed = room.Fence("licence", ("a", "b"), ("h1", "h2"))
    assert told(fleet("h1: a | h2: b | h3:"), licensed) == "N+1: holds for all 3 hosts"
    report = survives(fleet("h1: a | h2: b | h3:", memory=1_536), [room.Capacity(), licensed])
    assert [f.hosts for f in report.failures] == [("h1",), ("h2",)]
    assert {r.rule for f in report.failures for s in f.stranded for r in s.refusals} == {"licence", "memory capacity"}


def test_what_is_gathered_restarts_together() -> None:
    together = room.Gather("app", ("a", "b"))
    small = fleet("h1: a b | h2: c | h3: d", memory=2_048)
    assert told(small) == "N+1: holds for all 3 hosts"
    assert survives(small, [*room.build(small), together]).failures[0].amount == 1


def test_a_vm_that_is_not_highly_available_goes_down_with_its_host_and_nobody_waits_for_it() -> None:
    full = fleet("h1: a | h2: b", memory=1_024)
    assert told(full).startswith("N+1: 2 of 2 hosts cannot fail")
    left = replace(full, highly_available=np.array([False, False]))
    assert told(left) == "N+1: holds for all 2 hosts"


def test_a_host_alone_in_its_cluster_cannot_fail() -> None:
    assert told(fleet("h1: a | h2:", clusters={"h1": "x", "h2": "y"})) == (
        "N+1: 1 of 2 hosts cannot fail: h1 would leave a without a place because no other host of its cluster takes restarts"
    )


def test_without_clusters_there_is_nothing_to_check() -> None:
    report = survives(fleet("h1: a | h2:", clusters={}), [])
    assert report.holds is None
    assert report.sets == 0


def test_a_pinned_vm_may_restart_elsewhere_unless_it_is_pinned_to_hosts_by_name() -> None:
    two = fleet("h1: a | h2:")
    assert told(two, room.Pin("stays", ("a",))) == "N+1: holds for all 2 hosts"
    assert "refused by stays" in told(two, room.Pin("stays", ("a",), ("h1",)))


def test_a_budget_of_migrations_says_nothing_about_restarts() -> None:
    assert told(fleet("h1: a | h2:"), room.MoveBudget(0, 0)) == "N+1: holds for all 2 hosts"


def test_hosts_in_maintenance_take_no_restarts() -> None:
    assert "no other host" in told(fleet("h1: a | h2:", leaving=["h2"]))
    assert "no other host" in told(fleet("h1: a | h2:", closed=["h2"]))


def test_promises_of_processors_bind_where_somebody_asks_for_them() -> None:
    busy = fleet("h1: a | h2: b", cpu=2_000, vm_cpu=2_000)
    assert told(busy) == "N+1: holds for all 2 hosts"
    assert "2,000 MHz too little by cpu" in told(busy, room.Capacity("cpu", name="cpu"))


def test_a_rule_broken_before_is_no_reason_as_long_as_it_gets_no_worse() -> None:
    crowded = fleet("h1: a | h2: b c | h3:", rules=[RuleSpec("apart", "spread", ("b", "c"))])
    assert told(crowded) == "N+1: holds for all 3 hosts"


def test_of_more_sets_than_can_be_tried_the_report_says_how_many_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pro.placement.failover.drill.MOST_SETS", 10)
    many = fleet(" | ".join(f"h{n}: v{n}" for n in range(8)))
    report = survives(many, room.build(many), k=3)
    assert (report.sets, report.checked) == (8 + 28 + 56, 8 + 10 + 10)
    assert report.holds is None
    assert headline(report, many) == "N+3: holds for 28 of 92 sets of up to 3 hosts of a cluster that were tried"


def test_so_many_hosts_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="k must be 1 or more"):
        survives(fleet("h1: a"), [], k=0)


def test_names_are_hostile_in_what_is_said() -> None:
    evil = fleet("h1: a | h2:", closed=["h2"], names={"a": "two\nlines", "h1": "\x1b[31m"})
    assert "\n" not in told(evil)
    assert "\x1b" not in told(evil)


def test_a_placement_is_asked_about_instead_of_today() -> None:
    now = fleet("h1: a b | h2: | h3:", memory=1_536, vm_memory=700)
    assert survives(now, room.build(now)).holds
    packed = stand(now, "h1: a | h2: b")
    assert survives(now, room.build(now), packed).holds
