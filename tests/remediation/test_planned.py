"""Plans as the planner makes them, applied: the world ends exactly as promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.backends import HostSeen, VmSeen, VmState, World
from pro.backends.simulated import MemoryStore, SimulatedBackend
from pro.backends.simulation import Model, Simulation
from pro.core.clock import ManualClock
from pro.placement.constraints import build
from pro.planning import PlanContext, final_host_of, make_plan
from pro.remediation.driver import Limits
from pro.remediation.executor import Executor
from pro.remediation.journal import Journal
from tests.builders import fleet_of
from tests.remediation.estate import START

if TYPE_CHECKING:
    from pro.fleet import Fleet

LIMITS = Limits(call_timeout_s=0.0)


def world_of(fleet: Fleet) -> World:
    """What an observer would see of `fleet`."""
    memory = fleet.capacity[:, fleet.resources.index("memory")].tolist()
    hosts = {h: HostSeen(h, bool(fleet.accepting[i]), memory[i]) for i, h in enumerate(fleet.hosts)}
    vms = {
        v: VmSeen(v, (fleet.hosts[int(fleet.host_of[i])],), VmState.RUNNING, int(fleet.memory_mib[i]))
        for i, v in enumerate(fleet.vms)
    }
    return World(START.isoformat(), hosts, vms)


@given(st.data())
def test_applying_a_plan_gives_exactly_the_promised_placement(data: st.DataObject) -> None:
    hosts = [f"h{i}" for i in range(data.draw(st.integers(2, 5)))]
    stands = {f"v{i}": data.draw(st.sampled_from(hosts)) for i in range(data.draw(st.integers(1, 10)))}
    fleet = fleet_of(stands, hosts, memory=10_240, vm_memory=data.draw(st.sampled_from([1024, 2048])))
    target = np.array([data.draw(st.integers(0, len(hosts) - 1)) for _ in fleet.vms], np.int64)
    context = PlanContext(goal="balance", now=START.isoformat(), created_at=START.isoformat(), constraints=build(fleet))
    plan = make_plan(fleet, None, target, context)
    clock = ManualClock(START)
    simulation = Simulation.of(world_of(fleet), START.timestamp(), Model(), [])
    backend = SimulatedBackend(MemoryStore(simulation), clock)
    with Journal(":memory:", write=True) as journal:
        result = Executor(journal, backend, clock, LIMITS).apply(plan)
        again = Executor(journal, backend, clock, LIMITS).apply(plan)
    assert result.exit_code == 0, result.reasons
    assert result.moved == len(plan.migrations)
    assert (again.state, again.moved) == ("nothing to do", 0)
    promised = [fleet.hosts[h] for h in final_host_of(plan, fleet).tolist()]
    assert [backend.inventory().vms[v].hosts[0] for v in fleet.vms] == promised


def test_a_swap_with_a_stop_over_goes_through() -> None:
    fleet = fleet_of({"a": "h0", "b": "h1"}, ["h0", "h1", "h2"], memory=4096, vm_memory=3000)
    target = np.array([1, 0], np.int64)
    context = PlanContext(goal="balance", now=START.isoformat(), created_at=START.isoformat(), constraints=build(fleet))
    plan = make_plan(fleet, None, target, context)
    assert any(m.stopover for m in plan.migrations)
    clock = ManualClock(START)
    backend = SimulatedBackend(MemoryStore(Simulation.of(world_of(fleet), START.timestamp(), Model(), [])), clock)
    with Journal(":memory:", write=True) as journal:
        assert Executor(journal, backend, clock, LIMITS).apply(plan).exit_code == 0
    assert {vm: v.hosts for vm, v in backend.inventory().vms.items()} == {"a": ("h1",), "b": ("h0",)}
