"""Who is in the invented estate, where everybody stands, and what is wrong with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.telemetry.synthetic_loads import ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORE_MHZ = 2400
HOST_RESERVE_MIB = 16_384
SILVER = 0.414_213_562_37
"""Multiples of it, modulo 1, spread evenly and in step with nothing: no role ends up in one cluster."""
HOT, FULL = 0.90, 0.96
"""A host is overloaded until its mean use in business hours is `HOT`, and never beyond `FULL`."""
_VCPUS = {
    "WEB": (2, 4),
    "APP": (4, 8),
    "SQL": (4, 8),
    "DC": (1, 2),
    "FILE": (1, 2),
    "MAIL": (2, 4),
    "VDI": (1, 2),
    "BI": (4, 8),
}
_GIB = {
    "WEB": (4, 8),
    "APP": (8, 16),
    "SQL": (16, 24),
    "DC": (2, 4),
    "FILE": (4, 8),
    "MAIL": (8, 16),
    "VDI": (2, 4),
    "BI": (12, 16),
}


@dataclass(frozen=True)
class Host:
    name: str
    cluster: str
    site: str
    rack: str
    vendor: str
    family: str
    cores: int
    memory_mib: int

    @property
    def mhz(self) -> int:
        return self.cores * CORE_MHZ


@dataclass(frozen=True)
class Vm:
    name: str
    role: str
    service: int
    cluster: str
    vcpus: int
    memory_mib: int
    compatible: bool
    snapshot_days: int
    """0: none"""

    @property
    def mhz(self) -> int:
        return self.vcpus * CORE_MHZ


def make_hosts(count: int) -> list[Host]:
    """Two clusters: HVC-PROD with five eighths of the hosts, Intel of two families; HVC-DEV, AMD of one."""
    production = max(round(count * 5 / 8), 2)
    hosts = []
    for k in range(count):
        name, site = f"HV{k + 1:02d}", ("EAST", "WEST")[k % 2]
        if k < production:
            family, rack = ("Nehalem", "R1") if k < (production + 1) // 2 else ("Westmere", "R2")
            hosts.append(Host(name, "HVC-PROD", site, rack, "Intel", family, 16, 196_608))
        else:
            hosts.append(Host(name, "HVC-DEV", site, "R3", "AMD", "Magny-Cours", 16, 196_608))
    return hosts


def make_vms(rng: np.random.Generator, count: int, hosts: list[Host]) -> list[Vm]:
    """`count` VMs, all roles in turn; the clusters get VMs in proportion to their hosts, services stay in one cluster."""
    production = sum(host.cluster == "HVC-PROD" for host in hosts)
    vms = []
    for k in range(count):
        role = ROLES[k % len(ROLES)]
        cluster = "HVC-PROD" if (k * SILVER) % 1.0 < production / len(hosts) else "HVC-DEV"
        vcpus, gib = int(rng.choice(_VCPUS[role])), int(rng.choice(_GIB[role]))
        snapshot = int(rng.integers(20, 120)) if k % 23 == 10 else 0
        compatible = bool(rng.random() < 0.7)
        vms.append(
            Vm(
                f"{role}{k:03d}",
                role,
                (k // 3) * 2 + (cluster == "HVC-DEV"),
                cluster,
                vcpus,
                gib * 1024,
                compatible,
                snapshot,
            )
        )
    return vms


def fit_loads(
    busy: NDArray[np.float64], vms: list[Vm], hosts: list[Host], when: slice, target: dict[str, float]
) -> NDArray[np.float64]:
    """`busy` (V, T) scaled per cluster, so that over the steps `when` it uses the share `target` of the cluster's processors."""
    out = busy.copy()
    for cluster, share in target.items():
        mine = [k for k, vm in enumerate(vms) if vm.cluster == cluster]
        mhz = np.array([vms[k].mhz for k in mine], dtype=np.float64)[:, None]
        room = sum(host.mhz for host in hosts if host.cluster == cluster)
        for _ in range(6):
            use = float((out[mine, when] * mhz).sum(axis=0).mean()) / room
            out[mine] = np.clip(out[mine] * (share / use), 0.002, 0.97)
    return out


def place(
    busy: NDArray[np.float64], vms: list[Vm], hosts: list[Host], when: slice, hot: dict[str, int]
) -> NDArray[np.int64]:
    """(V,) host of every VM: balanced at first, then the first `hot[cluster]` hosts of each cluster are given too much.

    Memory always fits.
    """
    use = np.array([vm.mhz for vm in vms], dtype=np.float64) * busy[:, when].mean(axis=1)
    memory = np.array([vm.memory_mib for vm in vms], dtype=np.int64)
    capacity = np.array([host.mhz for host in hosts], dtype=np.float64)
    room = np.array([host.memory_mib - HOST_RESERVE_MIB for host in hosts], dtype=np.int64)
    host_of = np.full(len(vms), -1, dtype=np.int64)
    for vm in np.argsort(-use, kind="stable").tolist():
        allowed = [h for h, host in enumerate(hosts) if host.cluster == vms[vm].cluster]
        fits = [h for h in allowed if memory[host_of == h].sum() + memory[vm] <= room[h]]
        if not fits:
            raise ValueError("the VMs do not fit: fewer VMs or more hosts")
        host_of[vm] = min(fits, key=lambda h: use[host_of == h].sum() / capacity[h])
    for cluster, number in hot.items():
        mine = [h for h, host in enumerate(hosts) if host.cluster == cluster]
        for victim in mine[:number]:
            _overload(host_of, victim, mine[number:], use, memory, capacity, room)
    return host_of


def _overload(
    host_of: NDArray[np.int64],
    victim: int,
    others: list[int],
    use: NDArray[np.float64],
    memory: NDArray[np.int64],
    capacity: NDArray[np.float64],
    room: NDArray[np.int64],
) -> None:
    """Give `victim` VMs of `others`, the largest that still keep it under `FULL`, until it is `HOT`."""
    while (level := use[host_of == victim].sum()) < HOT * capacity[victim]:
        free = room[victim] - memory[host_of == victim].sum()
        gap = FULL * capacity[victim] - level
        able = [v for v in np.flatnonzero(np.isin(host_of, others)).tolist() if memory[v] <= free and use[v] <= gap]
        if not able:
            return
        host_of[max(able, key=lambda v: (use[v], -v))] = victim


def make_rules(vms: list[Vm], hosts: list[Host], host_of: NDArray[np.int64]) -> list[dict[str, object]]:
    """Spread, gather and fence rules. At least one spread and one fence are broken by `host_of`: see `break_rules`."""
    rules: list[dict[str, object]] = []
    for cluster in ("HVC-PROD", "HVC-DEV"):
        for role in ("DC", "SQL"):
            members = [vm.name for vm in vms if vm.cluster == cluster and vm.role == role][:3]
            if len(members) > 1:
                rules.append({"rule": f"{role}-apart-{cluster}", "kind": "spread", "members": members, "scope": "host"})
    web = [k for k, vm in enumerate(vms) if vm.cluster == "HVC-PROD" and vm.role == "WEB"][:4]
    production = [h for h, host in enumerate(hosts) if host.cluster == "HVC-PROD"]
    licensed = [h for h in production if h != host_of[web[0]]] if web else []
    if len(licensed) > 1:
        rules.append(
            {
                "rule": "web-licensed-hosts",
                "kind": "fence",
                "members": [vms[k].name for k in web],
                "hosts": [hosts[h].name for h in licensed],
            }
        )
    return rules


def break_spread(vms: list[Vm], hosts: list[Host], host_of: NDArray[np.int64]) -> None:
    """Put the first two SQL servers of HVC-PROD on one host by swapping one with a VM of about its size."""
    pair = [k for k, vm in enumerate(vms) if vm.cluster == "HVC-PROD" and vm.role == "SQL"][:2]
    if len(pair) < 2 or host_of[pair[0]] == host_of[pair[1]]:
        return
    here, there = int(host_of[pair[1]]), int(host_of[pair[0]])
    others = [v for v in np.flatnonzero(host_of == there).tolist() if v != pair[0]]
    memory = np.array([vm.memory_mib for vm in vms], dtype=np.int64)
    for other in sorted(others, key=lambda v: (abs(vms[v].memory_mib - vms[pair[1]].memory_mib), v)):
        trial = host_of.copy()
        trial[other], trial[pair[1]] = here, there
        if all(memory[trial == h].sum() <= hosts[h].memory_mib - HOST_RESERVE_MIB for h in (here, there)):
            host_of[:] = trial
            return
