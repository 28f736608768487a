"""A plan is verified against everything it was to keep: failover after each wave, reserves, budgets; not only against written rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.actions.verifying import verify
from pro.fleet import RuleSpec
from pro.placement.constraints import build
from pro.placement.failover import Failover
from pro.planning import make_plan
from tests.builders import fleet, stand
from tests.planning.worlds import CONTEXT
from tests.strategies import fleets, placements

if TYPE_CHECKING:
    from pro.fleet import Fleet
    from pro.planning.plan import Plan

KEPT: dict[str, Any] = {
    "memory_reserve_mib": 0, "memory_start_mib": 0, "max_moves": None, "max_gib": None, "max_moves_per": {}, "evacuate": [],
}  # fmt: skip


def policy(hosts: int = 1, granted: dict[str, int] | None = None, **kept: Any) -> dict[str, Any]:
    """What a plan was told to keep."""
    return {**KEPT, **kept, "failover": {"hosts": hosts, "granted": granted or {}}}


def plan_to(a_fleet: Fleet, text: str, told: dict[str, Any]) -> Plan:
    """A plan that moves VMs as drawn, made without a look at what it was told."""
    return make_plan(a_fleet, None, stand(a_fleet, text), replace(CONTEXT, policy=told))


def tight(**more: Any) -> Fleet:
    """Where c may stand on a1 and a2 only: with e on a1, too, nobody takes c when a2 fails."""
    disk = RuleSpec("shared disk", "fence", ("c",), ("a1", "a2"))
    rules = [disk, *more.pop("rules", ())]
    return fleet("a1: a | a2: c | a3: e g", memory=8_192, vm_memory=4_096, rules=rules, **more)


def test_a_plan_after_which_a_host_may_not_fail_any_more_does_not_verify() -> None:
    found = verify(plan_to(tight(), "a1: e", policy()), tight())
    assert found.faults == ("after wave 1 N+1 failover of cluster c is broken by 1, at most by 0 allowed",)
    assert "N+1 failover" in found.rules


def test_a_plan_that_was_not_told_to_look_at_failover_is_not_asked_about_it() -> None:
    found = verify(plan_to(tight(), "a1: e", policy(hosts=0)), tight())
    assert found.faults == ()
    assert "N+1 failover" not in found.rules
    assert verify(plan_to(tight(), "a1: e", {}), tight()).faults == ()


def test_only_who_repairs_a_rule_there_is_granted_more() -> None:
    idle = plan_to(tight(), "a1: e", policy(granted={"c": 1}))
    assert len(verify(idle, tight()).faults) == 1
    torn = tight(rules=[RuleSpec("apart", "spread", ("e", "g"))])
    assert verify(plan_to(torn, "a1: e", policy(granted={"c": 1})), torn).faults == ()
    assert len(verify(plan_to(torn, "a1: e", policy()), torn).faults) == 1


def test_reserves_and_budgets_it_was_told_to_keep_are_asked_about() -> None:
    roomy = fleet("h1: a | h2: b", memory=8_192, vm_memory=4_000)
    assert any("memory" in f for f in verify(plan_to(roomy, "h2: a", policy(0, memory_reserve_mib=193)), roomy).faults)
    assert verify(plan_to(roomy, "h2: a", policy(0, memory_reserve_mib=192)), roomy).faults == ()
    assert any("move budget" in f for f in verify(plan_to(roomy, "h2: a", policy(0, max_moves=0)), roomy).faults)
    assert verify(plan_to(roomy, "h2: a", policy(0, max_moves=1)), roomy).faults == ()


@settings(max_examples=40)
@given(fleets(), st.integers(1, 2), st.data())
def test_it_is_found_exactly_where_a_wave_leaves_more_vms_down_than_today(
    a_fleet: Fleet, k: int, data: st.DataObject
) -> None:
    wanted = np.where(a_fleet.movable, data.draw(placements(a_fleet)), a_fleet.host_of)
    plan = make_plan(a_fleet, None, wanted, replace(CONTEXT, constraints=build(a_fleet), policy=policy(k)))
    fresh, host_of, worse = Failover(k, build(a_fleet)), a_fleet.host_of.copy(), 0
    today = fresh.levels(a_fleet, host_of)
    for wave in plan.waves:
        for m in wave.migrations:
            host_of[a_fleet.vm_index(m.vm)] = a_fleet.host_index(m.destination)
        worse += sum(level.amount > today[c].amount for c, level in fresh.levels(a_fleet, host_of).items())
    assert sum("failover" in fault for fault in verify(plan, a_fleet).faults) == worse
