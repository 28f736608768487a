"""Waves: laws over random worlds, and stories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given

from pro.fleet import Groups
from pro.placement.constraints import Ban, Capacity, Gather, MoveBudget, Spread
from pro.placement.language import AtLeast, Limit, Near
from pro.planning import final_host_of, make_plan
from pro.planning.physics import Dirtying
from pro.planning.profiles import PROFILES
from tests.builders import demand_of, fleet, stand
from tests.planning.worlds import CONTEXT, World, amount, hands, moments, names, per_host, tight_worlds, worlds

# -- laws --------------------------------------------------------------------------------------------------------


def assert_never_worse(world: World) -> None:
    """At every moment of every wave, whatever arrives first, no rule is broken worse than before the plan."""
    f, plan = world.fleet, world.plan()
    today = [amount(rule, f, f.host_of) for rule in world.constraints]
    capacity = np.maximum(f.capacity[:, 1], np.bincount(f.host_of, f.memory_mib, f.n_hosts))
    at = f.host_of.copy()
    for wave in plan.waves:
        receiving = {f.host_index(m.destination) for m in wave.migrations}
        for host_of, held in moments(f, at, wave):
            assert all(held[h] <= capacity[h] for h in receiving)
            for rule, level in zip(world.constraints, today, strict=True):
                if not (isinstance(rule, Gather) and rule.name in plan.in_flight["split"]):
                    assert amount(rule, f, host_of) <= level, rule
        for m in wave.migrations:
            assert at[f.vm_index(m.vm)] == f.host_index(m.source)
            at[f.vm_index(m.vm)] = f.host_index(m.destination)
    for rule, level in zip(world.constraints, today, strict=True):
        assert amount(rule, f, at) <= level, rule
    blocked = {b.vm for b in plan.blocked}
    event(f"blocked {bool(blocked)}, stop-over {any(m.stopover for m in plan.migrations)}")
    for v, vm in enumerate(f.vms):
        assert at[v] == (f.host_of if vm in blocked else world.host_of)[v]
    assert np.array_equal(final_host_of(plan, f), at)


@given(worlds())
def test_no_wave_is_worse_in_flight_in_any_world(world: World) -> None:
    assert_never_worse(world)


@given(tight_worlds())
def test_no_wave_is_worse_in_flight_in_tight_worlds(world: World) -> None:
    assert_never_worse(world)


@given(tight_worlds())
def test_no_host_takes_part_in_more_migrations_than_its_platform_allows(world: World) -> None:
    plan = world.plan()
    assert max(hands(plan, world.fleet), default=0) <= per_host(plan)


@given(tight_worlds())
def test_waves_follow_each_other_and_every_wait_is_for_a_reason(world: World) -> None:
    plan = world.plan()
    starts = 0.0
    for wave in plan.waves:
        assert wave.migrations
        assert all(m.starts_s == pytest.approx(starts, abs=0.01) for m in wave.migrations)
        assert all(m.seconds >= m.blackout_s > 0 for m in wave.migrations)
        starts += max(m.seconds for m in wave.migrations)
    assert plan.in_flight["seconds"] == pytest.approx(starts, abs=0.01)
    assert all(b.reason for b in plan.blocked)
    assert all(m.reason for m in plan.migrations)


@given(tight_worlds())
def test_the_same_world_gives_the_same_plan(world: World) -> None:
    assert world.plan() == world.plan()


@given(tight_worlds())
def test_with_a_roomy_spare_host_nothing_is_blocked_for_want_of_memory(world: World) -> None:
    f = world.fleet
    spare = int(f.memory_mib.sum())
    roomy = replace(
        f,
        hosts=(*f.hosts, "h9"),
        host_names=(*f.host_names, "h9"),
        host_fqdn=("",) * 5,
        capacity=np.vstack([f.capacity, [10_000, spare]]),
        accepting=np.append(f.accepting, True),
        leaving=np.append(f.leaving, False),
        migration_mbps=np.append(f.migration_mbps, 1_000),
        cores=np.append(f.cores, 10),
        numa_nodes=np.append(f.numa_nodes, 0),
        host_groups={k: Groups(np.append(g.code, g.code[0]), g.names) for k, g in f.host_groups.items()},
    )
    plan = World(roomy, (Capacity(),), world.host_of).plan()
    assert plan.blocked == ()


# -- stories -----------------------------------------------------------------------------------------------------


def plan_of(start: str, end: str, *rules: Any, **given_: Any) -> Any:
    """The plan from one drawing to another."""
    context = given_.pop("context", CONTEXT)
    demand = given_.pop("demand", None)
    f = fleet(start, **given_)
    return make_plan(f, demand, stand(f, end), replace(context, constraints=(Capacity(), *rules)))


def test_nothing_to_do_is_an_empty_plan() -> None:
    plan = plan_of("h1: a | h2:", "h1: a")
    assert plan.waves == plan.blocked == ()
    assert plan.in_flight["seconds"] == 0


def test_migrations_between_other_hosts_share_a_wave() -> None:
    plan = plan_of("h1: a | h2: | h3: b | h4:", "h2: a | h4: b")
    assert [len(w.migrations) for w in plan.waves] == [2]


def test_a_vm_waits_until_the_one_before_it_has_made_room() -> None:
    plan = plan_of("h1: a | h2: b | h3:", "h2: a | h3: b", memory=1024)
    assert [names(w.migrations) for w in plan.waves] == [["b:h2>h3"], ["a:h1>h2"]]


def test_two_full_hosts_swap_over_a_third() -> None:
    plan = plan_of("h1: a | h2: b | h3:", "h1: b | h2: a", memory=1024)
    assert names(plan.migrations) == ["a:h1>h3", "b:h2>h1", "a:h3>h2"]
    assert [m.stopover for m in plan.migrations] == [True, False, False]
    assert "Stop-over" in plan.migrations[0].reason
    assert plan.blocked == ()


def test_the_smaller_vm_takes_the_stop_over_and_a_ring_needs_only_one() -> None:
    plan = plan_of(
        "h1: a | h2: b | h3: c | h4:", "h2: a | h3: b | h1: c", memory=1024, vm_memory={"b": 1000}, closed=()
    )
    assert [m.vm for m in plan.migrations if m.stopover] == ["b"]
    assert len(plan.migrations) == 4


def test_two_rings_take_their_stop_overs_at_the_same_time() -> None:
    plan = plan_of("h1: a | h2: b | h3: c | h4: d | h5: | h6:", "h2: a | h1: b | h4: c | h3: d", memory=1024)
    assert plan.blocked == ()
    assert len(plan.waves) == 3
    assert [m.stopover for m in plan.waves[0].migrations] == [True, True]


def test_a_swap_without_a_third_host_is_blocked_and_says_who_lacks_what() -> None:
    plan = plan_of("h1: a | h2: b", "h1: b | h2: a", memory=1024, names={"h1": "HV01", "h2": "HV02"})
    assert plan.waves == ()
    assert [b.reason for b in plan.blocked] == [
        "HV02 lacks 1,024 MiB of memory, and no host can take a VM in between to make room",
        "HV01 lacks 1,024 MiB of memory, and no host can take a VM in between to make room",
    ]


def test_a_stop_over_respects_rules() -> None:
    keep_apart = Spread("apart", ("a", "x"))
    other = Spread("apart too", ("b", "x"))
    plan = plan_of(
        "h1: a | h2: b | h3: x", "h1: b | h2: a", keep_apart, other, memory={"h1": 1024, "h2": 1024, "h3": 4096}
    )
    assert plan.waves == ()
    assert len(plan.blocked) == 2


def test_a_closed_host_is_no_stop_over() -> None:
    plan = plan_of("h1: a | h2: b | h3:", "h1: b | h2: a", memory=1024, closed=["h3"])
    assert plan.waves == ()


def test_the_move_budget_leaves_no_room_for_a_stop_over() -> None:
    assert plan_of("h1: a | h2: b | h3:", "h1: b | h2: a", MoveBudget(2), memory=1024).waves == ()
    assert len(plan_of("h1: a | h2: b | h3:", "h1: b | h2: a", MoveBudget(3), memory=1024).migrations) == 3


def test_what_a_blocked_vm_was_to_make_room_for_is_blocked_too_and_the_rest_goes_on() -> None:
    plan = plan_of("h1: a | h2: b | h3: | h4: c", "h2: a | h3: b c", memory=2048, vm_memory=2000, stuck=["b"])
    assert names(plan.migrations) == ["c:h4>h3"]
    reasons = {b.vm: b.reason for b in plan.blocked}
    assert reasons["b"] == "this VM cannot be migrated"
    assert reasons["a"].startswith("h2 lacks 1,952 MiB")


def test_a_group_moves_as_a_whole_and_says_that_it_is_apart_on_the_way() -> None:
    plan = plan_of("h1: a b | h2:", "h2: a b", Gather("pair", ("a", "b")), memory=8192)
    assert plan.in_flight["split"] == ["pair"]
    assert all("until its group is together again, pair does not hold" in m.reason for m in plan.migrations)


def test_a_group_of_which_one_cannot_move_stays_as_a_whole() -> None:
    plan = plan_of("h1: a b c | h2:", "h2: a b c", Gather("pair", ("a", "b")), memory=8192, stuck=["b"])
    assert names(plan.migrations) == ["c:h1>h2"]
    assert {b.vm: b.reason for b in plan.blocked} == {
        "a": "pair would be broken worse than today: b cannot move",
        "b": "this VM cannot be migrated",
    }


def test_near_rows_are_kept_at_the_end_like_groups() -> None:
    f = fleet("h1: a b | h2:", memory=8192)
    near = Near(np.array([0]), np.array([1]), np.arange(2), "front by back")
    both = make_plan(f, None, stand(f, "h2: a b"), replace(CONTEXT, rows=[near]))
    assert both.in_flight["split"] == ["front by back"]
    one = make_plan(f, None, stand(f, "h2: a"), replace(CONTEXT, rows=[near]))
    assert one.waves == ()
    assert one.blocked[0].reason == "front by back would be broken worse than today"


def test_members_of_a_spread_change_places_one_after_the_other() -> None:
    two = Spread("two racks", ("a", "b"), "rack", 2)
    racks = {"h1": "r1", "h2": "r2", "h3": "r3"}
    plan = plan_of("h1: a | h2: b | h3:", "h2: a | h3: b", two, racks=racks, memory=8192)
    assert [names(w.migrations) for w in plan.waves] == [["b:h2>h3"], ["a:h1>h2"]]
    wide = AtLeast(np.array([0, 1]), np.array([0, 1, 2]), 2, "wide")
    f = fleet("h1: a | h2: b | h3:", memory=8192)
    swap = make_plan(f, None, stand(f, "h2: a | h1: b"), replace(CONTEXT, rows=[wide]))
    assert names(swap.migrations) == ["a:h1>h3", "b:h2>h1", "a:h3>h2"]


def test_repairs_go_first_then_the_hottest_host() -> None:
    start, end = "h1: warm | h2: hot | h3: x y | h4:", "h4: warm hot x"
    f = fleet(start, memory=65_536, vm_memory={"warm": 4096, "hot": 2048, "x": 1024, "y": 1024})
    demand = demand_of(f, {"warm": 8600, "hot": 9900})
    apart = Spread("apart", ("x", "y"))
    plan = make_plan(
        f, demand, stand(f, end), replace(CONTEXT, constraints=(apart,), profile=PROFILES["hyperv-2008r2"])
    )
    assert [m.vm for m in plan.migrations] == ["x", "hot", "warm"]
    assert plan.migrations[0].reason == "Repairs apart: x and y stand together on h3."
    assert plan.migrations[1].reason == "Cools h2: its cpu peak falls from 99% to 0% of capacity."


def test_evacuation_empties_a_host_and_consolidation_switches_one_off() -> None:
    leaving = plan_of("h1: a | h2:", "h2: a", leaving=["h1"])
    assert leaving.migrations[0].reason == "Empties h1, which is to take no more part."
    off = plan_of("h1: a | h2: b", "h2: a", context=replace(CONTEXT, goal="consolidate"))
    assert off.migrations[0].reason == "Empties h1, so that it can be switched off."


def test_a_given_reason_is_used() -> None:
    plan = plan_of("h1: a | h2:", "h2: a", context=replace(CONTEXT, reasons={"a": "Because."}))
    assert plan.migrations[0].reason == "Because."


def test_2008_r2_takes_a_host_into_one_migration_at_a_time_and_2012_into_two_where_that_pays() -> None:
    start, end = "h1: a b c | h2: | h3: | h4:", "h2: a | h3: b | h4: c"
    old = plan_of(start, end, memory=65_536, context=replace(CONTEXT, profile=PROFILES["hyperv-2008r2"]))
    new = plan_of(start, end, memory=65_536)
    assert [len(w.migrations) for w in old.waves] == [1, 1, 1]
    assert [len(w.migrations) for w in new.waves] == [2, 1]
    assert new.waves[0].migrations[0].seconds > 1.9 * new.waves[1].migrations[0].seconds


def test_a_link_is_not_shared_where_that_costs_more_than_waiting() -> None:
    start, end = "h1: a b | h2: | h3:", "h2: a | h3: b"
    memory = {"memory": 65_536, "vm_memory": 16_384}
    for rate, waves in ((2.5, 1), (40, 2)):
        dirtying = dict.fromkeys("ab", Dirtying(rate, 16_384))
        assert len(plan_of(start, end, context=replace(CONTEXT, dirtying=dirtying), **memory).waves) == waves


def test_a_fast_source_feeds_two_slow_destinations_at_full_speed() -> None:
    dirtying = dict.fromkeys("ab", Dirtying(40, 16_384))
    plan = plan_of(
        "h1: a b | h2: | h3:",
        "h2: a | h3: b",
        memory=65_536,
        vm_memory=16_384,
        mbps={"h1": 10_000, "h2": 1_000, "h3": 1_000},
        context=replace(CONTEXT, dirtying=dirtying),
    )
    assert len(plan.waves) == 1


def test_quick_migration_needs_consent_and_says_that_it_is_an_outage() -> None:
    dirtying = {"a": Dirtying(5000, 32_768)}
    args: dict[str, Any] = {"memory": 65_536, "vm_memory": 32_768}
    refused = plan_of("h1: a | h2:", "h2: a", context=replace(CONTEXT, dirtying=dirtying), **args)
    assert "was not consented to" in refused.blocked[0].reason
    agreed = plan_of("h1: a | h2:", "h2: a", context=replace(CONTEXT, dirtying=dirtying, consent_quick=True), **args)
    (step,) = agreed.migrations
    assert step.kind == "quick"
    assert step.seconds == step.blackout_s > 600
    assert "an outage, consented to" in step.reason


def test_a_placement_of_another_fleet_is_refused() -> None:
    f = fleet("h1: a | h2:")
    for wrong in ([0, 1], [2], [-1]):
        with pytest.raises(ValueError, match="host_of"):
            make_plan(f, None, np.array(wrong), CONTEXT)


def test_an_overfull_host_may_be_emptied_but_not_filled() -> None:
    plan = plan_of("h1: a b c | h2: d | h3:", "h3: a b | h1: d c", memory=2048)
    assert "d" in {b.vm for b in plan.blocked} or names(plan.migrations)[-1] == "d:h2>h1"
    only = plan_of("h1: a b c | h2: d", "h1: a b c d", memory=2048)
    assert only.waves == ()
    assert only.blocked[0].reason.startswith("h1 lacks")


@pytest.mark.parametrize(("hosts", "vms", "moved"), [(12, 120, 40), (300, 2400, 150)])
def test_many_moves_take_few_waves_and_few_looks(
    hosts: int, vms: int, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pro.planning.flight import Flight

    asked = 0
    ask = Flight.refusal

    def counting(self: Flight, *args: Any, **kwargs: Any) -> str:
        nonlocal asked
        asked += 1
        return ask(self, *args, **kwargs)

    monkeypatch.setattr(Flight, "refusal", counting)
    rng = np.random.default_rng(1)
    at = rng.integers(0, hosts, vms)
    target = at.copy()
    target[rng.choice(vms, moved, replace=False)] = rng.integers(0, hosts, moved)
    text = " | ".join(f"h{h:03}: " + " ".join(f"v{v:04}" for v in np.flatnonzero(at == h)) for h in range(hosts))
    f = fleet(text, memory=65_536)
    plan = make_plan(f, None, target, replace(CONTEXT, constraints=(Capacity(),), profile=PROFILES["hyperv-2008r2"]))
    busiest = np.bincount(np.concatenate([at[at != target], target[at != target]])).max()
    assert len(plan.waves) <= busiest + 2
    assert asked <= moved * len(plan.waves)
    assert plan.blocked == ()


def test_half_a_swap_that_makes_things_worse_is_not_made() -> None:
    f = fleet("h1: hot | h2: cool", memory=65_536, stuck=["hot"])
    target = stand(f, "h2: hot | h1: cool")
    crowd = make_plan(f, None, target, CONTEXT)
    assert names(crowd.migrations) == ["cool:h2>h1"]
    kept = make_plan(f, None, target, replace(CONTEXT, cost=lambda host_of: int(np.bincount(host_of).max())))
    assert kept.waves == ()
    reasons = {b.vm: b.reason for b in kept.blocked}
    assert reasons["cool"] == "without those that are blocked, its move would make things worse than today"


def test_who_must_wait_for_an_order_without_stop_overs_waits() -> None:
    """Whoever can go at once would shut the others out: `a` fits on h2 now, but then `d` does not, and `c` cannot leave."""
    plan = plan_of(
        "h1: a | h2: c | h3: d | h4:",
        "h2: a d | h3: c",
        memory={"h1": 9, "h2": 4, "h3": 3, "h4": 0},
        vm_memory={"a": 1, "c": 2, "d": 2},
        context=replace(CONTEXT, reasons={}),
    )
    assert plan.blocked == ()
    assert not any(m.stopover for m in plan.migrations)


@given(tight_worlds())
def test_swaps_take_stop_overs_only_where_no_order_does_without(world: World) -> None:
    """Against brute force over every order of single moves, with memory as the only rule."""
    f = world.fleet
    plan = World(f, (Capacity(),), world.host_of).plan()
    straight = reachable(f, world.host_of, [[int(h)] for h in world.host_of])
    event(f"straight {straight}, stop-over {any(m.stopover for m in plan.migrations)}, blocked {bool(plan.blocked)}")
    if straight:
        assert plan.blocked == ()
        assert not any(m.stopover for m in plan.migrations)
    if plan.blocked == ():
        assert reachable(f, world.host_of, [list(range(f.n_hosts))] * f.n_vms)


def reachable(f: Any, target: Any, hosts: list[list[int]]) -> bool:
    """Whether single moves of the VMs that must move, each to one of its `hosts`, lead from home to `target`."""
    movers = [v for v in range(f.n_vms) if target[v] != f.host_of[v]]
    size, room = f.memory_mib.tolist(), np.maximum(f.capacity[:, 1], np.bincount(f.host_of, f.memory_mib, f.n_hosts))
    seen = {tuple(f.host_of.tolist())}
    front = list(seen)
    while front:
        at = front.pop()
        if at == tuple(target.tolist()):
            return True
        for v in movers:
            for h in hosts[v]:
                after = (*at[:v], h, *at[v + 1 :])
                held = sum(size[u] for u in range(len(at)) if at[u] == h)
                if h != at[v] and held + size[v] <= room[h] and after not in seen:
                    seen.add(after)
                    front.append(after)
    return False


def test_a_limit_of_several_dimensions_holds_in_each() -> None:
    f = fleet("h1: a | h2: b | h3: c", memory=8192)
    weight = np.array([[1, 5], [1, 0], [0, 0]])
    limit = Limit(
        np.arange(3),
        weight,
        np.arange(3),
        np.zeros((3, 2), np.int64),
        np.array([[9, 9], [9, 4], [9, 9]]),
        "after",
        "two",
    )
    plan = make_plan(f, None, stand(f, "h2: a c | h3: b"), replace(CONTEXT, rows=[limit]))
    assert {b.vm: b.reason.split(",")[0] for b in plan.blocked} == {"a": "two is full at h2"}
    assert sorted(m.vm for m in plan.migrations) == ["b", "c"]


def test_a_scope_item_of_two_hosts_counts_a_vm_once_while_it_moves_inside() -> None:
    f = fleet("h1: a | h2: | h3:", racks={"h1": "r1", "h2": "r1", "h3": "r3"}, memory=8192)
    for weight in (np.ones((1, 1), np.int64), np.ones((1, 2), np.int64)):
        one = np.ones((2, weight.shape[1]), np.int64)
        rack = Limit(np.array([0]), weight, np.array([0, 0, 1]), 0 * one, one, "after", "one a rack")
        assert make_plan(f, None, stand(f, "h2: a"), replace(CONTEXT, rows=[rack])).blocked == ()


def test_a_measured_dirty_rate_of_the_fleet_is_used() -> None:
    f = fleet("h1: a | h2:", vm_memory=8192, memory=65_536)
    slow = make_plan(replace(f, dirty_mib_s=np.array([60.0])), None, stand(f, "h2: a"), CONTEXT).migrations[0]
    fast = make_plan(f, None, stand(f, "h2: a"), CONTEXT).migrations[0]
    assert slow.seconds > 1.5 * fast.seconds
    told = replace(CONTEXT, dirtying={"a": Dirtying()})
    assert make_plan(replace(f, dirty_mib_s=np.array([60.0])), None, stand(f, "h2: a"), told).migrations[0] == fast


def test_a_vm_that_may_never_stand_there_is_blocked_without_talk_of_room() -> None:
    closed = plan_of("h1: a | h2: | h3:", "h2: a", closed=["h2"])
    assert closed.blocked[0].reason == "h2 does not accept VMs"
    banned = plan_of("h1: a | h2: | h3:", "h2: a", Ban("not there", ("a",), ("h2",)))
    assert banned.blocked[0].reason == "not there keeps it off h2"


def test_no_vm_is_sent_to_a_host_that_has_no_memory_for_it_though_rules_are_no_worse() -> None:
    """Eight VMs overfill h0 from the start. Two of them changing places would leave it as full as today, but cannot be done."""
    from pro.planning import PlanContext, final_host_of, make_plan
    from tests.builders import fleet_of

    stands = {**{f"v{i}": "h0" for i in range(7)}, "v7": "h1", "v8": "h0"}
    fleet = fleet_of(stands, ["h0", "h1"], memory=10_240, vm_memory=2048)
    target = fleet.host_of.copy()
    target[fleet.vm_index("v7")], target[fleet.vm_index("v8")] = 0, 1
    plan = make_plan(fleet, None, target, PlanContext(goal="balance", now="", created_at=""))
    assert [b.vm for b in plan.blocked] == ["v7"]
    assert "lacks" in plan.blocked[0].reason
    assert [m.vm for m in plan.migrations] == ["v8"]
    assert int(final_host_of(plan, fleet)[fleet.vm_index("v8")]) == 1
