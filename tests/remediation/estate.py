"""Small estates and hand-made plans for the tests of applying."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pro.backends.base import HostSeen, VmSeen, VmState, World
from pro.planning.facts import facts_from_world, fingerprint
from pro.planning.identity import content_id
from pro.planning.plan import Migration, Plan, Wave

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOST_MIB = 8192


def world(stands: dict[str, str], hosts: int = 4, vm_mib: int = 1024) -> World:
    """VMs on hosts h0.. of 8 GiB, all running; `stands`: VM -> host."""
    return World(
        START.isoformat(),
        {f"h{i}": HostSeen(f"h{i}", True, HOST_MIB) for i in range(hosts)},
        {vm: VmSeen(vm, (host,), VmState.RUNNING, vm_mib) for vm, host in stands.items()},
    )


def plan(seen: World, *waves: list[tuple[str, str, str]], seconds: float = 4.0, goal: str = "balance") -> Plan:
    """A plan of (vm, source, destination) in waves, with the facts it depends on as `seen`."""
    made = tuple(
        Wave(
            tuple(
                Migration(
                    vm, a, b, "live", seen.vms[vm].memory_mib, seconds, 0.3, seen.vms[vm].memory_mib, 0.0, "to test"
                )
                for vm, a, b in wave
            )
        )
        for wave in waves
    )
    steps = [m for wave in made for m in wave.migrations]
    hosts = {h for m in steps for h in (m.source, m.destination)}
    vms = {v.vm: (v.hosts[0], v.memory_mib, v.state.value) for v in seen.vms.values()}
    blank: dict[str, Any] = {"vms": {m.vm: [] for m in steps}, "hosts": {h: [] for h in hosts}, "rules": {}}
    facts = facts_from_world(blank, vms, {h.host: (h.accepting, h.memory_mib) for h in seen.hosts.values()})
    draft = Plan(
        id="",
        created_at=START.isoformat(),
        now=START.isoformat(),
        fleet_fingerprint=fingerprint(facts),
        goal=goal,
        profile="hyperv-2012+",
        waves=made,
        blocked=(),
        tiers=(),
        proof={},
        before={},
        after={},
        in_flight={},
        facts=facts,
        ends={m.vm: m.destination for m in steps},
    )
    return replace(draft, id=content_id(draft))


def final(what: Plan, seen: World) -> dict[str, str]:
    """Where every VM must stand after `what`."""
    stands = {v.vm: v.hosts[0] for v in seen.vms.values()}
    for m in what.migrations:
        stands[m.vm] = m.destination
    return stands


def random_case(seed: int, *, vms: int = 8, hosts: int = 4, waves: int = 3, fits: bool = True) -> tuple[World, Plan]:
    """A tight estate and a plan whose waves fit in flight; some VMs move on in a later wave, none comes back.

    Without `fits`, a wave fits only once its migrations out of a host have ended: a plan that was made for other sizes.
    """
    rng = random.Random(seed)
    mib = 2048
    stands = {f"v{i}": f"h{i % hosts}" for i in range(vms)}
    seen = world(stands, hosts, mib)
    been = {vm: {host} for vm, host in stands.items()}
    made: list[list[tuple[str, str, str]]] = []
    for _ in range(waves):
        load = {h: sum(mib for at in stands.values() if at == h) for h in seen.hosts}
        wave: list[tuple[str, str, str]] = []
        for vm in rng.sample(sorted(stands), rng.randint(1, 4)):
            free = [h for h in seen.hosts if h not in been[vm] and load[h] + mib <= HOST_MIB]
            if free:
                to = rng.choice(free)
                load[to] += mib
                load[stands[vm]] -= 0 if fits else mib
                wave.append((vm, stands[vm], to))
        for vm, _, to in wave:
            stands[vm] = to
            been[vm].add(to)
        if wave:
            made.append(wave)
    return seen, plan(seen, *made)
