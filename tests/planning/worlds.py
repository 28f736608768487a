"""Fleets with rules and a wanted placement, for the laws of planning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from pro.fleet import Groups
from pro.placement import constraints as rules_room
from pro.planning import PlanContext, make_plan
from pro.planning.profiles import PROFILES
from tests.builders import fleet_of
from tests.strategies import HOSTS, VMS, fleets, placements, rules, vm_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.fleet import Fleet
    from pro.placement.rules import Constraint
    from pro.planning import Plan, Wave

    Ints = np.ndarray[Any, np.dtype[np.int64]]

CONTEXT = PlanContext(goal="balance", now="2013-08-18T00:00:00Z", created_at="2013-08-18T00:00:01Z")


@dataclass(frozen=True)
class World:
    """What a plan is made from."""

    fleet: Fleet
    constraints: tuple[Constraint, ...]
    host_of: Ints

    def plan(self, **changes: Any) -> Plan:
        """The plan for it."""
        return make_plan(self.fleet, None, self.host_of, replace(CONTEXT, constraints=self.constraints, **changes))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything at all: broken rules, closed hosts, wanted placements that break more."""
    fleet = draw(fleets())
    old = draw(st.booleans())
    text = "Hyper-V 2008 R2" if old else "Hyper-V 2016"
    hypervisor = Groups(np.zeros(fleet.n_hosts, np.int64), (text,))
    fleet = replace(fleet, host_groups={**fleet.host_groups, "hypervisor": hypervisor})
    constraints = draw(st.lists(rules(), max_size=4))
    return World(fleet, tuple(constraints), draw(placements(fleet)))


@st.composite
def tight_worlds(draw: st.DrawFn) -> World:
    """Four hosts and up to six VMs that nearly fill them, all movable, wanted elsewhere by somebody who respects memory."""
    sizes = {vm: draw(st.integers(1, 3)) for vm in VMS}
    home = {vm: draw(st.sampled_from(HOSTS)) for vm in VMS}
    if draw(st.booleans()):
        wanted = dict(zip(VMS, (home[vm] for vm in draw(st.permutations(VMS))), strict=True))
    else:
        wanted = {vm: draw(st.sampled_from(HOSTS)) for vm in VMS}
    room = {}
    for h in HOSTS:
        needs = [sum(sizes[v] for v in VMS if where[v] == h) for where in (home, wanted)]
        room[h] = max(needs) + draw(st.sampled_from((0, 0, 1, 2, 4)))
    fleet = fleet_of(home, HOSTS, memory=room, vm_memory=sizes, names={vm: draw(vm_names()) for vm in VMS})
    old = draw(st.booleans())
    fleet = replace(
        fleet,
        host_groups={
            **fleet.host_groups,
            "hypervisor": Groups(np.zeros(4, np.int64), ("Hyper-V 2008 R2" if old else "x",)),
        },
    )
    members = draw(st.lists(st.sampled_from(VMS), min_size=2, max_size=3, unique=True))
    rule = draw(
        st.sampled_from(
            [
                rules_room.Spread("apart", tuple(members)),
                rules_room.Spread("two hosts", tuple(members), "host", 2),
                rules_room.Gather("near", tuple(members)),
                rules_room.Licence("cores", tuple(members), 20),
                rules_room.VmLimit("two", 2, tuple(members)),
                rules_room.Dedicate("own", tuple(members), HOSTS[:2]),
                rules_room.Capacity(reserve=1),
            ]
        )
    )
    host_of = np.array([fleet.host_index(wanted[vm]) for vm in fleet.vms], np.int64)
    return World(fleet, (rules_room.Capacity(), rule), host_of)


def moments(fleet: Fleet, at: Ints, wave: Wave) -> Iterator[tuple[Ints, Ints]]:
    """Every moment of a wave: (host_of, MiB held on every host) for each subset that has arrived and subset still at work."""
    steps = [(fleet.vm_index(m.vm), fleet.host_index(m.destination)) for m in wave.migrations]
    for states in product(("waiting", "moving", "done"), repeat=len(steps)):
        host_of, held = at.copy(), np.zeros(fleet.n_hosts, np.int64)
        for (v, h), state in zip(steps, states, strict=True):
            if state == "done":
                host_of[v] = h
            if state == "moving":
                held[h] += fleet.memory_mib[v]
        np.add.at(held, host_of, fleet.memory_mib)
        yield host_of, held


def amount(rule: Constraint, fleet: Fleet, host_of: Ints) -> int:
    """By how much a rule is broken."""
    return sum(v.amount for v in rule.violations(fleet, host_of))


def hands(plan: Plan, fleet: Fleet) -> list[int]:
    """For each wave and host that takes part, in how many migrations at once."""
    return [sum(h in (m.source, m.destination) for m in wave.migrations) for wave in plan.waves for h in fleet.hosts]


def per_host(plan: Plan) -> int:
    """How many the plan's law allows."""
    return PROFILES[plan.profile].per_host


def names(steps: Sequence[Any]) -> list[str]:
    """`vm:source>destination` of steps, for stories."""
    return [f"{m.vm}:{m.source}>{m.destination}" for m in steps]
