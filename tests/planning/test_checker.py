"""The checker finds nothing wrong with what the scheduler makes, and something wrong with whatever is done to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pro.placement.constraints import Capacity, Gather, Spread
from pro.planning import Plan, Wave, final_host_of, make_plan
from pro.planning.checker import check
from pro.planning.identity import content_id
from pro.planning.profiles import PROFILES
from tests.builders import fleet, stand
from tests.planning.worlds import CONTEXT, World, tight_worlds, worlds

if TYPE_CHECKING:
    from pro.fleet import Fleet
    from pro.planning import Migration


def signed(plan: Plan, **changes: Any) -> Plan:
    """`plan` with changes by somebody who knows how ids are made."""
    edited = replace(plan, **changes)
    return replace(edited, id=content_id(edited))


def step_changed(plan: Plan, **changes: Any) -> Plan:
    """The first step of the first wave, changed."""
    first, *rest = plan.waves
    migrations = (replace(first.migrations[0], **changes), *first.migrations[1:])
    return signed(plan, waves=(Wave(migrations), *rest))


def three_waves() -> tuple[Fleet, tuple[Any, ...], Plan]:
    """h1 and h2 swap over h3, and are full; x stands alone."""
    f = fleet("h1: a | h2: b | h3: | h4: x", memory={"h1": 1024, "h2": 1024, "h3": 4096, "h4": 2048})
    rules = (Capacity(), Spread("apart", ("a", "x")))
    plan = make_plan(f, None, stand(f, "h1: b | h2: a"), replace(CONTEXT, constraints=rules))
    assert len(plan.waves) == 3
    return f, rules, plan


@given(worlds())
def test_nothing_is_wrong_with_a_plan_for_any_world(world: World) -> None:
    assert check(world.plan(), world.fleet, world.constraints) == []


@given(tight_worlds())
def test_nothing_is_wrong_with_a_plan_for_a_tight_world(world: World) -> None:
    assert check(world.plan(), world.fleet, world.constraints) == []


@given(tight_worlds(), st.data())
def test_a_dropped_step_is_found(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    assume(plan.waves)
    w = data.draw(st.integers(0, len(plan.waves) - 1))
    i = data.draw(st.integers(0, len(plan.waves[w].migrations) - 1))
    rest = tuple(m for j, m in enumerate(plan.waves[w].migrations) if j != i)
    waves = tuple(Wave(rest) if k == w else wave for k, wave in enumerate(plan.waves) if k != w or rest)
    assert check(signed(plan, waves=waves), world.fleet, world.constraints)


@given(tight_worlds(), st.data())
def test_swapped_waves_are_found(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    assume(len(plan.waves) > 1)
    w = data.draw(st.integers(0, len(plan.waves) - 2))
    waves = (*plan.waves[:w], plan.waves[w + 1], plan.waves[w], *plan.waves[w + 2 :])
    assert check(signed(plan, waves=waves), world.fleet, world.constraints)


@given(tight_worlds(), st.data())
def test_two_waves_run_as_one_are_found_where_memory_forbids_it(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    assume(len(plan.waves) > 1)
    w = data.draw(st.integers(0, len(plan.waves) - 2))
    both = Wave((*plan.waves[w].migrations, *plan.waves[w + 1].migrations))
    assert check(signed(plan, waves=(*plan.waves[:w], both, *plan.waves[w + 2 :])), world.fleet, world.constraints)


@given(tight_worlds(), st.data())
def test_a_wrong_source_is_found(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    assume(plan.waves)
    first = plan.waves[0].migrations[0]
    other = data.draw(st.sampled_from([h for h in world.fleet.hosts if h != first.source]))
    assert check(step_changed(plan, source=other), world.fleet, world.constraints)


@given(tight_worlds(), st.data())
def test_a_wrong_destination_is_found(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    assume(plan.waves)
    first = plan.waves[0].migrations[0]
    other = data.draw(st.sampled_from([h for h in world.fleet.hosts if h != first.destination]))
    assert check(step_changed(plan, destination=other), world.fleet, world.constraints)


@given(tight_worlds())
def test_a_destination_that_has_shrunk_or_closed_since_is_found(world: World) -> None:
    plan = world.plan()
    assume(plan.waves)
    f, last = world.fleet, plan.waves[-1].migrations[-1]
    h = f.host_index(last.destination)
    before, after = (int(f.memory_mib[where == h].sum()) for where in (f.host_of, final_host_of(plan, f)))
    if after > before:
        capacity = f.capacity.copy()
        capacity[h, 1] = after - 1
        assert any("MiB in flight" in s for s in check(plan, replace(f, capacity=capacity), world.constraints))
    assert any("does not accept" in s for s in check(plan, replace(f, accepting=np.arange(4) != h), world.constraints))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "quick", "memory_mib": 5}, "not 5"),
        ({"seconds": 0.0}, "takes 0.0 s"),
        ({"seconds": 0.3, "blackout_s": 0.2}, "faster than the wire"),
        ({"blackout_s": 99.0}, "blackout of 99.0 s"),
        ({"mib": 3}, "less than its memory"),
        ({"starts_s": 5.0}, "starts at 5.0 s"),
        ({"vm": "nobody"}, "VM nobody is not in the fleet"),
        ({"destination": "nowhere"}, "host nowhere is not in the fleet"),
        ({"destination": "h1"}, "goes nowhere"),
    ],
)
def test_what_is_wrong_with_a_step_is_said(change: dict[str, Any], said: str) -> None:
    f, rules, plan = three_waves()
    assert any(said in line for line in check(step_changed(plan, **change), f, rules))


def test_an_edited_plan_is_known_by_its_id_and_edited_facts_by_their_fingerprint() -> None:
    f, rules, plan = three_waves()
    assert "the plan was edited" in check(replace(plan, goal="else"), f, rules)[0]
    assert check(signed(plan, facts={**plan.facts, "rules": {"new": []}}), f, rules) == [
        "the facts do not match their fingerprint"
    ]
    assert "unknown migration profile" in check(signed(plan, profile="xen"), f, rules)[0]
    assert check(signed(plan, created_at="later"), f, rules) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ends": {"a": "h2", "b": "h1", "x": "h1"}}, "x never moves, but is promised to h1"),
        ({"ends": {"a": "h2"}}, "b ends on h1, not on any host"),
        ({"in_flight": {}}, "the plan does not say"),
    ],
)
def test_what_the_plan_promises_is_compared(changes: dict[str, Any], said: str) -> None:
    f, rules, plan = three_waves()
    assert any(said in line for line in check(signed(plan, **changes), f, rules))


def test_a_blocked_vm_that_moves_is_found() -> None:
    from pro.planning import Blocked

    f, rules, plan = three_waves()
    assert any("called blocked, but moves" in s for s in check(signed(plan, blocked=(Blocked("a", "x"),)), f, rules))


def test_a_stop_over_beside_the_wrong_vm_is_found() -> None:
    f, rules, plan = three_waves()
    crowded = replace(f, host_of=stand(f, "h3: x"))
    assert any("apart is broken by 1, today by 0" in s for s in check(plan, crowded, rules))


def test_platform_limits_are_checked() -> None:
    f, rules, plan = three_waves()
    one = PROFILES["hyperv-2008r2"]
    both = Wave(tuple(replace(m, starts_s=0.0) for w in plan.waves[:2] for m in w.migrations))
    crowd = check(signed(plan, waves=(both, plan.waves[2])), f, rules, one)
    assert any("h1 takes part in 2 migrations at once" in s for s in crowd)
    tiny = replace(one, live_memory_mib=100)
    assert any("too large" in s for s in check(plan, f, rules, tiny))
    apart = fleet("h1: a | h2: b | h3: | h4: x", memory=4096, clusters={"h3": "d"})
    assert any("different clusters" in s for s in check(plan, apart, rules))
    fixed = replace(f, movable=np.zeros(3, np.bool_))
    assert any("cannot be migrated" in s for s in check(plan, fixed, rules))


def test_quick_migration_of_a_vm_that_is_not_highly_available_is_found() -> None:
    f, rules, plan = three_waves()
    plan = step_changed(plan, kind="quick")
    assert check(plan, f, rules) == []
    single = replace(f, highly_available=np.zeros(3, np.bool_))
    assert any("no quick migration" in s for s in check(plan, single, rules))


def test_a_group_may_be_apart_on_the_way_only_if_the_plan_says_so_and_it_is_a_group() -> None:
    f = fleet("h1: a b | h2:", memory=8192)
    pair = Gather("pair", ("a", "b"))
    plan = make_plan(f, None, stand(f, "h2: a b"), replace(CONTEXT, constraints=(pair,)))
    assert check(plan, f, (pair,)) == []
    silent = signed(plan, in_flight={**plan.in_flight, "split": []})
    assert any("pair is broken by 1" in s for s in check(silent, f, (pair,)))
    apart = Spread("pair", ("a", "b"))
    assert any("pair is broken" in s for s in check(plan, fleet("h1: a | h2: b"), (apart,)))


def test_any_pair_of_a_large_wave_is_tried_in_both_orders() -> None:
    """Ten VMs change places in a ring within one wave: memory would do, but for a moment two would stand together."""
    names = [f"v{i}" for i in range(10)]
    f = fleet(" | ".join(f"h{i}: v{i}" for i in range(10)), memory=65_536)
    plan = make_plan(f, None, np.roll(np.arange(10), 1), CONTEXT)
    ring: tuple[Migration, ...] = tuple(replace(m, starts_s=0.0) for m in plan.migrations)
    assert len(ring) == 10
    longest = max(m.seconds for m in ring)
    account = {**plan.in_flight, "concurrent": 10, "seconds": longest}
    at_once = signed(plan, waves=(Wave(ring),), in_flight=account)
    assert check(at_once, f, (Capacity(),)) == []
    for i in range(10):
        apart = Spread("apart", (names[i], names[(i + 1) % 10]))
        assert any("apart is broken by 1" in s for s in check(at_once, f, (Capacity(), apart)))
    no_members = _Apart(("v3", "v4"))
    assert any("nameless is broken by 1" in s for s in check(at_once, f, (no_members,)))


class _Apart:
    """A spread that does not tell its members, so that the checker must try the whole wave."""

    name = "nameless"

    def __init__(self, vms: tuple[str, ...]) -> None:
        self._rule = Spread("nameless", vms)

    def violations(self, fleet: Fleet, host_of: Any) -> Any:
        return self._rule.violations(fleet, host_of)

    def rows(self, fleet: Fleet) -> Any:
        return self._rule.rows(fleet)
