"""A stale plan is refused and says what changed; a plan is not stale for what it does not depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pro.fleet import Fleet, RuleSpec
from pro.planning import changes, facts_after, facts_from_world, facts_now, fingerprint, make_plan
from pro.planning.facts import facts
from pro.planning.io import dumps, loads
from tests.builders import fleet, stand
from tests.planning.worlds import CONTEXT

RULE = RuleSpec("apart", "spread", ("web", "far", "gone"))
FLEET = fleet(
    "h1: web other | h2: db | h3: far | h4: bystander",
    rules=(RULE, RuleSpec("elsewhere", "spread", ("other", "bystander"))),
    names={"web": "WEB031"},
)
PLAN = make_plan(FLEET, None, stand(FLEET, "h2: web"), CONTEXT)


def now(f: Fleet) -> dict[str, Any]:
    """The facts of the plan, in `f`."""
    return facts_now(PLAN.facts, f, PLAN.ends)


def world(f: Fleet) -> tuple[dict[str, tuple[str, int, str]], dict[str, tuple[bool, int]]]:
    """What a backend would see of `f`."""
    vms = {vm: (f.hosts[f.host_of[v]], int(f.memory_mib[v]), "running") for v, vm in enumerate(f.vms)}
    hosts = {h: (bool(f.accepting[i]), int(f.capacity[i, 1])) for i, h in enumerate(f.hosts)}
    return vms, hosts


def test_the_plan_carries_its_facts() -> None:
    assert PLAN.facts == now(FLEET) == facts(FLEET, ["web"], ["h2"])
    assert PLAN.fleet_fingerprint == fingerprint(PLAN.facts)
    assert list(PLAN.facts["vms"]) == ["db", "far", "web"]
    assert list(PLAN.facts["hosts"]) == ["h2"]
    assert list(PLAN.facts["rules"]) == ["apart"]


def test_a_world_that_has_not_changed_has_the_same_facts() -> None:
    assert facts_from_world(PLAN.facts, *world(FLEET)) == PLAN.facts
    assert changes(PLAN.facts, facts_from_world(PLAN.facts, *world(FLEET))) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(FLEET, host_of=stand(FLEET, "h4: web")), ["web stands on h4, the plan expects h1"]),
        (
            replace(FLEET, host_of=stand(FLEET, "h2: bystander")),
            ["bystander stands on h2, the plan does not know it there", "h2 holds bystander as well"],
        ),
        (
            replace(FLEET, host_of=stand(FLEET, "h4: db")),
            ["db stands on h4, the plan expects h2", "h2 does not hold db any more"],
        ),
        (replace(FLEET, host_of=stand(FLEET, "h4: far")), ["far stands on h4, the plan expects h3"]),
        (
            replace(FLEET, memory_mib=np.where(np.arange(5) == FLEET.vm_index("web"), 9000, FLEET.memory_mib)),
            ["web has 9,000 MiB of memory, the plan expects 1,024"],
        ),
        (replace(FLEET, accepting=np.array([True, False, True, True])), ["h2 does not accept VMs any more"]),
        (
            replace(FLEET, capacity=FLEET.capacity // 2),
            ["h2 has 8,192 MiB of memory, the plan expects 16,384"],
        ),
    ],
)
def test_what_changed_is_said(changed: Fleet, said: list[str]) -> None:
    for facts_seen in (now(changed), facts_from_world(PLAN.facts, *world(changed))):
        assert changes(PLAN.facts, facts_seen) == said
        assert fingerprint(facts_seen) != PLAN.fleet_fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        replace(FLEET, host_of=stand(FLEET, "h3: bystander")),
        replace(FLEET, host_of=stand(FLEET, "h4: other")),
        replace(FLEET, accepting=np.array([False, True, False, True])),
        replace(FLEET, rules=(RULE,)),
        replace(FLEET, vm_names=("x",) * 5, cpu_cap_mhz=FLEET.cpu_cap_mhz + 1),
    ],
)
def test_what_the_plan_does_not_depend_on_does_not_make_it_stale(changed: Fleet) -> None:
    assert fingerprint(now(changed)) == PLAN.fleet_fingerprint


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((), ["rule apart is gone since the plan was made"]),
        ((replace(RULE, scope="rack"),), ["rule apart has changed since the plan was made"]),
        ((RULE, replace(RULE, least=2)), ["rule apart has changed since the plan was made"]),
        ((RULE, RuleSpec("new", "pin", ("web",))), ["rule new is new since the plan was made"]),
    ],
)
def test_rules_about_moving_vms_are_facts(rules: tuple[RuleSpec, ...], said: list[str]) -> None:
    assert changes(PLAN.facts, now(replace(FLEET, rules=rules))) == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (RuleSpec("all", "limit", (), most=3), ["rule all is new since the plan was made"]),
        (RuleSpec("own", "dedicate", ("db",), ("h2",)), ["rule own is new since the plan was made"]),
        (RuleSpec("own", "dedicate", ("far",), ("h3",)), []),
    ],
)
def test_rules_about_everybody_or_about_where_a_vm_arrives_are_facts(more: RuleSpec, said: list[str]) -> None:
    assert changes(PLAN.facts, now(replace(FLEET, rules=(RULE, more)))) == said


def test_the_order_of_a_preference_and_the_worth_of_a_soft_rule_are_facts() -> None:
    first = RuleSpec("first", "prefer", ("web",), ("h2", "h1"), soft=True, worth=2.0)
    ruled = replace(FLEET, rules=(first,))
    plan = make_plan(ruled, None, stand(ruled, "h2: web"), CONTEXT)
    assert plan.facts["rules"] == {
        "first": [["prefer", "host", 0, ["web"], ["h2", "h1"], {"soft": True, "worth": 2.0}]]
    }
    assert loads(dumps(plan)) == plan
    for other in (replace(first, hosts=("h1", "h2")), replace(first, worth=1.0)):
        seen = facts_now(plan.facts, replace(FLEET, rules=(other,)), plan.ends)
        assert changes(plan.facts, seen) == ["rule first has changed since the plan was made"]


def test_what_nobody_sees_any_more_is_gone() -> None:
    vms, hosts = world(FLEET)
    del vms["web"], hosts["h2"]
    assert changes(PLAN.facts, facts_from_world(PLAN.facts, vms, hosts)) == [
        "web is gone, the plan expects it on h1",
        "h2 is gone",
    ]


def test_a_vm_that_was_switched_off_is_said() -> None:
    vms, hosts = world(FLEET)
    vms["web"] = ("h1", 1024, "off")
    assert changes(PLAN.facts, facts_from_world(PLAN.facts, vms, hosts)) == ["web is off, the plan expects it running"]
    hosts["h2"] = (False, 16_384)
    shut = facts_from_world(PLAN.facts, *world(FLEET)[:1], hosts)
    assert changes(shut, PLAN.facts) == ["h2 accepts VMs now"]


def test_a_plan_that_is_half_applied_knows_what_to_expect() -> None:
    f = fleet("h1: a | h2: b | h3:", memory=1024)
    plan = make_plan(f, None, stand(f, "h2: a | h1: b"), CONTEXT)
    f_now = f
    for done in range(len(plan.migrations) + 1):
        expected = facts_after(plan.facts, plan.migrations[:done])
        seen = facts_from_world(plan.facts, *world(f_now))
        assert changes(expected, seen) == []
        if done < len(plan.migrations):
            step = plan.migrations[done]
            f_now = replace(f_now, host_of=stand(f_now, f"{step.destination}: {step.vm}"))
    assert facts_after(PLAN.facts, PLAN.migrations)["hosts"]["h2"][2] == ["db", "web"]


def test_a_host_that_is_new_to_the_facts_is_said() -> None:
    assert "h4 is new to the plan" in changes(PLAN.facts, facts(FLEET, ["web"], ["h2", "h4"]))


def test_names_are_made_harmless_before_they_are_said() -> None:
    f = fleet("h1: a | h2: | h3:")
    then = facts(f, ["a"], ["h2"])
    then["vms"]["\x1b[31m\nevil"] = then["vms"].pop("a")
    assert changes(then, then | {"vms": {}}) == ["\u00b7[31m\u00b7evil is gone, the plan expects it on h1"]
