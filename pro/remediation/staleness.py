"""Does a plan still fit the world? If not: what has changed, all of it, in words.

A VM that already stands where the plan puts it is work done, not a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.text import plain
from pro.planning.facts import changes as fact_changes
from pro.planning.facts import facts_after, facts_from_world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.backends.base import Backend, World
    from pro.planning.plan import Plan


def done_already(plan: Plan, world: World) -> list[bool]:
    """For every migration of `plan`, in order: whether the world is already past it.

    A VM's steps form a chain of hosts; where it stands in the chain says how many are done. A chain that passes its
    present host twice counts as finished if all other VMs of the plan are where they should end, else as not begun.
    """
    chains = _chains(plan)
    others_done = {
        vm: all(_at(world, v) == plan.migrations[c[-1]].destination for v, c in chains.items() if v != vm)
        for vm in chains
    }
    done = [False] * len(plan.migrations)
    for vm, chain in chains.items():
        stops = [plan.migrations[chain[0]].source, *(plan.migrations[i].destination for i in chain)]
        here = [k for k, host in enumerate(stops) if host == _at(world, vm)]
        if here:
            passed = here[-1] if len(here) == 1 or others_done[vm] else here[0]
            for i in chain[:passed]:
                done[i] = True
    return done


def changes(plan: Plan, world: World, done: Sequence[bool], backend: Backend) -> list[str]:
    """What has changed since the plan was made and matters to it. Empty: the plan is fresh.

    The facts as they must look once the steps that are `done` have been done, against the facts as seen; and what facts
    cannot tell: VMs seen on several hosts, and migrations that others have under way.
    """
    if not {"vms", "hosts", "rules"} <= set(plan.facts):
        return ["the plan does not say what it depends on, so nobody can tell whether it still fits"]
    then = facts_after(plan.facts, [m for m, over in zip(plan.migrations, done, strict=True) if over])
    vms = {v.vm: (v.hosts[0], v.memory_mib, v.state.value) for v in world.vms.values() if v.hosts}
    hosts = {h.host: (h.accepting, h.memory_mib) for h in world.hosts.values()}
    found = fact_changes(then, facts_from_world(plan.facts, vms, hosts))
    for vm in dict.fromkeys(m.vm for m, over in zip(plan.migrations, done, strict=True) if not over):
        seen, running = world.vms.get(vm), backend.running(vm)
        if seen is not None and len(seen.hosts) > 1:
            found.append(f"{plain(vm)} is seen on {len(seen.hosts)} hosts at once")
        if running is not None:
            found.append(f"{plain(vm)} is on its way to {plain(running.destination)} by another hand")
    return found


def _chains(plan: Plan) -> dict[str, list[int]]:
    chains: dict[str, list[int]] = {}
    for i, migration in enumerate(plan.migrations):
        chains.setdefault(migration.vm, []).append(i)
    return chains


def _at(world: World, vm: str) -> str | None:
    seen = world.vms.get(vm)
    return seen.hosts[0] if seen is not None and len(seen.hosts) == 1 else None
