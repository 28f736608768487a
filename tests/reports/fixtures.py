"""A small report, made by hand: two clusters, one host that will run hot, three migrations, one rule still broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from pro.fleet import Demand, Fleet, Groups
from pro.fleet.readiness import Coverage, Readiness
from pro.heat.baselines import Comparison
from pro.heat.hotspot import Cause, Hotspot
from pro.heat.hotspots import find_hotspots, summary
from pro.heat.soon import Soon
from pro.placement.placement import Placement, TierCost
from pro.placement.problem import Violation
from pro.planning.plan import Blocked, Migration, Plan, Wave
from pro.reports.report import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2013, 8, 18, tzinfo=UTC)
STEP_S, SLOTS, SCENARIOS = 1800, 48, 20


def make_fleet(names: Sequence[str] | None = None, hosts: int = 8, vms_per_host: int = 6) -> Fleet:
    """Two clusters; the VMs of host 2 are twice as thirsty (see `make_demand`). `names` rename the first VMs and hosts."""
    v = hosts * vms_per_host
    vm_names = [f"VM{i:04d}" for i in range(v)]
    host_names = [f"HV{i + 1:02d}" for i in range(hosts)]
    for i, name in enumerate(names or ()):
        vm_names[(2 * vms_per_host + i) % v] = name
        host_names[(2 + i) % hosts] = name
    half = np.arange(hosts) * 2 // hosts
    return Fleet(
        hosts=tuple(f"h{i:04d}" for i in range(hosts)),
        vms=tuple(f"v{i:05d}" for i in range(v)),
        host_names=tuple(host_names),
        vm_names=tuple(vm_names),
        host_fqdn=("",) * hosts,
        vm_fqdn=("",) * v,
        resources=("cpu", "memory"),
        capacity=np.tile([57600, 262144], (hosts, 1)),
        host_of=np.arange(v) // vms_per_host,
        accepting=np.ones(hosts, bool),
        leaving=np.zeros(hosts, bool),
        movable=np.ones(v, bool),
        host_groups={
            "cluster": Groups(half, ((names or ("HVC-PROD",))[0], "HVC-DEV")),
            "site": Groups(np.arange(hosts) % 2, ("EAST", "WEST")),
        },
        vm_groups={"service": Groups(np.arange(v) % 3, ("WEB", "APP", "SQL"))},
        compatibility_mode=np.ones(v, bool),
        highly_available=np.ones(v, bool),
        vcpus=np.full(v, 8),
        cpu_cap_mhz=np.full(v, 19200),
        memory_mib=4096 * (1 + np.arange(v) % 8),
        migration_mbps=np.full(hosts, 1000),
        snapshot_gib=np.zeros(v),
        snapshot_age_days=np.full(v, -1.0),
        at=NOW,
    )


def make_demand(fleet: Fleet, seed: int = 1) -> Demand:
    """A working day: VMs are busy at their hour; those of host 2 all at the same one."""
    rng = np.random.default_rng(seed)
    v, k = fleet.n_vms, SCENARIOS * SLOTS
    hour = np.arange(SLOTS) * STEP_S / 3600
    centre = np.where(fleet.host_of == 2, 14.0, np.where(fleet.host_of == 6, 10.0, rng.uniform(7, 20, v)))
    size = np.where(fleet.host_of == 2, 9500, np.where(fleet.host_of == 6, 8900, rng.uniform(2500, 6500, v)))
    day = np.exp(-(((hour[None] - centre[:, None]) / 3.2) ** 2))
    shared = rng.normal(1, 0.09, (1, SCENARIOS, 1))
    paths = (size[:, None, None] * (0.35 + 0.65 * day[:, None, :]) * shared) * rng.normal(
        1, 0.12, (v, SCENARIOS, SLOTS)
    )
    use = np.zeros((v, 2, k), np.int32)
    use[:, 0] = np.clip(paths, 50, 19200).reshape(v, k)
    use[:, 1] = fleet.memory_mib[:, None]
    base = np.zeros((fleet.n_hosts, 2, k), np.int32)
    base[:, 0], base[:, 1] = 900, 4096
    return Demand(use, base, SCENARIOS, SLOTS, NOW, STEP_S, np.ones(v, np.float32))


def explanation(fleet: Fleet, vm: int, chosen: int) -> dict[str, object]:
    """What `placement.explain` says of one VM, as it stands in a plan."""
    options = [
        {
            "host": fleet.hosts[h],
            "host_name": fleet.host_names[h],
            "chosen": h == chosen,
            "home": bool(h == fleet.host_of[vm]),
            "refusals": [{"rule": "cluster", "amount": 1, "text": "is in another cluster"}]
            if h >= fleet.n_hosts // 2
            else [],
            "changes": [{"tier": "heat", "amount": 120, "percent": 4.0}],
            "text": f"{fleet.host_names[h]} is in another cluster"
            if h >= fleet.n_hosts // 2
            else f"{fleet.host_names[h]}: heat 4 % worse",
        }
        for h in range(fleet.n_hosts)
    ]
    return {
        "vm": fleet.vms[vm],
        "vm_name": fleet.vm_names[vm],
        "home": fleet.hosts[fleet.host_of[vm]],
        "chosen": fleet.hosts[chosen],
        "options": options,
    }


def measured(fleet: Fleet, h: int, peak: float) -> Hotspot:
    """A host that is short of memory by its counters."""
    vms = np.flatnonzero(fleet.host_of == h)[:2]
    return Hotspot(
        fleet.hosts[h], "memory", NOW, NOW + timedelta(hours=5), 0.8, peak, 300.0, "critical",
        (Cause(fleet.vms[vms[0]], 0.6), Cause(fleet.vms[vms[1]], 0.2)), measured=True,
    )  # fmt: skip


def make_plan(fleet: Fleet, moves: Sequence[tuple[int, int]]) -> Plan:
    """Two migrations a wave, durations from memory over the wire."""
    waves, starts = [], 0.0
    for i in range(0, len(moves), 2):
        steps = []
        for vm, host in moves[i : i + 2]:
            mib = int(fleet.memory_mib[vm] * 1.15)
            steps.append(
                Migration(
                    vm=fleet.vms[vm],
                    source=fleet.hosts[fleet.host_of[vm]],
                    destination=fleet.hosts[host],
                    kind="live",
                    memory_mib=int(fleet.memory_mib[vm]),
                    seconds=mib / 110,
                    blackout_s=0.35 + 0.2 * i,
                    mib=mib,
                    starts_s=starts,
                    reason=f"{fleet.vm_names[vm]} causes 17 % of the heat on {fleet.host_names[fleet.host_of[vm]]}",
                    vm_name=fleet.vm_names[vm],
                )
            )
        waves.append(Wave(tuple(steps)))
        starts += max(m.seconds for m in steps)
    return Plan(
        id="3f9ac0de" * 8,
        created_at=NOW.isoformat(),
        now=NOW.isoformat(),
        fleet_fingerprint="ab" * 32,
        goal="balance",
        profile="hyperv-2012+",
        waves=tuple(waves),
        blocked=(Blocked(fleet.vms[13], f"{fleet.vm_names[13]} may stand on no other host that has room"),)
        if moves
        else (),
        tiers=(
            {"name": "broken rules", "unit": "violations", "before": 2, "after": 1},
            {"name": "heat", "unit": "MHz-moments over 85 %", "before": 418230, "after": 20114},
            {"name": "moves", "unit": "migrations", "before": 0, "after": len(moves)},
        ),
        proof={"engine": "greedy > local search > cp-sat", "bound": 20114, "gap": 0.0, "minimal_moves": True},
        before={},
        after={},
        in_flight={"memory": {"host": fleet.hosts[0], "fraction": 0.81}, "concurrent": 2, "seconds": starts},
        facts={},
        explain={fleet.vms[vm]: explanation(fleet, vm, host) for vm, host in moves},
    )


def known(fleet: Fleet, kind: Literal["host", "vm"], i: int) -> Coverage:
    """Every seventh VM is poorly known."""
    share = 0.3 + 0.01 * (i % 30) if i % 7 == 0 else 1.0
    newest = NOW - timedelta(hours=4) if i % 14 == 0 else NOW - timedelta(minutes=5)
    state: Literal["ok", "sparse", "stale"] = "ok" if i % 7 else "stale" if i % 14 == 0 else "sparse"
    name = fleet.vm_names[i]
    return Coverage(
        kind,
        fleet.vms[i],
        name,
        "cpu_pct",
        name,
        share,
        newest,
        None if state == "ok" else newest,
        14400 if i % 7 == 0 else 0,
        state,
    )


def make_report(
    names: Sequence[str] | None = None,
    *,
    hosts: int = 8,
    moves: Sequence[tuple[int, int]] = ((12, 0), (13, 1), (14, 3)),
) -> Report:
    """The whole report; `names` put hostile text wherever a name can stand."""
    fleet = make_fleet(names, hosts)
    demand = make_demand(fleet)
    plan = make_plan(fleet, moves)
    host_of = fleet.host_of.copy()
    for vm, host in moves:
        host_of[vm] = host
    threshold = 0.85
    broken = Violation(
        "DC-apart",
        f"{fleet.vm_names[12]} and {fleet.vm_names[13]} share a host",
        1,
        (fleet.vms[12],),
        (fleet.hosts[2],),
    )
    still = Violation("SQL-apart", f"{fleet.vm_names[14]} needs a third host", 1, (fleet.vms[14],), (fleet.hosts[3],))
    placement = Placement(
        host_of=host_of,
        tiers=tuple(TierCost(str(t["name"]), t["before"], t["after"], str(t["unit"])) for t in plan.tiers),
        violations=(still,),
        bound=20114,
        gap=0.0,
        minimal_moves=True,
        engine="greedy > local search > cp-sat",
        seed=7,
        seconds=2.4,
    )
    readiness = Readiness(
        NOW,
        tuple(known(fleet, "vm", i) for i in range(fleet.n_vms)),
        {fleet.hosts[4]: f"the agent on {fleet.host_names[4]} fell silent"},
    )
    return Report(
        now=NOW,
        horizon_s=SLOTS * STEP_S,
        threshold=threshold,
        fleet=fleet,
        demand=demand,
        hotspots=find_hotspots(fleet, demand, threshold=threshold),
        hotspots_after=find_hotspots(fleet, demand, threshold=threshold, host_of=host_of),
        placement=placement,
        plan=plan,
        before=summary(fleet, demand, fleet.host_of, threshold),
        after=summary(fleet, demand, host_of, threshold),
        repaired=(broken,),
        readiness=readiness,
        warnings=(f"agent of {fleet.host_names[2]} was silent for 4 h",),
        baselines=Comparison((fleet.hosts[2],), (), (fleet.hosts[2],)),
        soon=(
            Soon(
                fleet.hosts[2], "cpu", {1: 0.62, 4: 0.71, 24: 0.9}, (Cause(fleet.vms[5], 0.4), Cause(fleet.vms[6], 0.1))
            ),
            Soon(fleet.hosts[2], "disk", {4: 0.08}, ()),
            Soon(fleet.hosts[0], "cpu", {1: 0.01, 4: 0.02, 24: 0.04}, ()),
        ),
        short=(measured(fleet, 2, 0.97),),
        short_after=(measured(fleet, 2, 0.98), measured(fleet, 3, 0.96)),
        accuracy=(
            {"model": "blend", "mae": 3.1, "pinball_50": 1.55, "coverage_90": 0.88},
            {"model": "last value", "mae": 5.9, "pinball_50": 2.95, "coverage_90": 0.71},
        ),
    )
