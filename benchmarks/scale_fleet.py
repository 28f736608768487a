"""An invented fleet of any size, with demand and rules, as large estates are: clusters, racks, sites, services that peak together.

Everything follows from the seed. Nobody placed its VMs by load: they were put where there was memory, so some hosts run hot.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.fleet import Demand, Fleet, Groups, RuleSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

VMS_PER_HOST = 25
RULES_PER_HOST = 2
CLUSTER_SIZES = (16, 24, 32, 48, 64)
RACK = 16
SITES = 3
FAMILIES = (("Intel", "Broadwell"), ("Intel", "Cascade Lake"), ("Intel", "Ice Lake"), ("AMD", "Rome"), ("AMD", "Milan"))
SHAPES = ((32, 2_600, 384), (40, 2_400, 512), (48, 2_800, 768), (64, 2_450, 1_024))  # cores, MHz, GiB
VCPUS, VCPU_SHARE = (1, 2, 4, 8, 16, 32), (0.14, 0.34, 0.30, 0.15, 0.06, 0.01)
GIB_PER_VCPU = (2, 4, 4, 8)
SCENARIOS, SLOTS, STEP_S = 4, 12, 7_200
START = datetime(2026, 3, 4, tzinfo=UTC)


def make(hosts: int = 1_000, seed: int = 1, load: float = 1.0) -> tuple[Fleet, Demand]:
    """`hosts` hosts with 25 VMs and two rules each; 48 moments: 12 slots of two hours in 4 scenarios.

    `load`: so many times as much CPU is asked for."""
    rng = np.random.default_rng(seed)
    cluster = _clusters(rng, hosts)
    n = int(cluster.max()) + 1
    shape, family = rng.integers(0, len(SHAPES), n), rng.integers(0, len(FAMILIES), n)
    rack = np.arange(hosts) // RACK
    cores, mhz, gib = np.array([SHAPES[s] for s in shape[cluster]]).T
    capacity = np.stack([cores * mhz, gib * 1024, np.full(hosts, 1_200_000), np.full(hosts, 2_400_000)], axis=1)
    vcpus, memory, home = _vms(rng, cores, capacity[:, 1])
    vms = len(home)
    service = _services(rng, cluster[home])
    use = _use(rng, service, vcpus, memory, load * mhz[home])
    base = np.zeros((hosts, 4, SCENARIOS * SLOTS), np.int32)
    base[:, 0] = (capacity[:, 0] * 0.03).astype(np.int64)[:, None]
    leaving, closed = np.zeros(hosts, bool), np.zeros(hosts, bool)
    some = rng.permutation(hosts)
    leaving[some[: max(hosts // 250, 1)]] = True
    closed[some[max(hosts // 250, 1) : max(hosts // 100, 2)]] = True
    host_ids, vm_ids = _ids("hv", hosts), _ids("vm", vms)
    fleet = Fleet(
        hosts=host_ids, vms=vm_ids, host_names=host_ids, vm_names=vm_ids, host_fqdn=("",) * hosts, vm_fqdn=("",) * vms,
        resources=("cpu", "memory", "disk", "net"), capacity=capacity, host_of=home, accepting=~(leaving | closed),
        leaving=leaving, movable=rng.random(vms) > 0.03,
        host_groups={
            "cluster": Groups(cluster, _ids("cluster", n)), "rack": Groups(rack, _ids("rack", int(rack.max()) + 1)),
            "site": Groups(rng.integers(0, SITES, n)[cluster], ("north", "south", "west")),
            "hypervisor": Groups(np.zeros(hosts, np.int64), ("Hyper-V 2022",)),
            "cpu_vendor": Groups(np.array([FAMILIES[f][0] == "AMD" for f in family])[cluster].astype(np.int64), ("Intel", "AMD")),
            "cpu_family": Groups(family[cluster], tuple(name for _, name in FAMILIES)),
        },
        vm_groups={"service": Groups(service, _ids("service", int(service.max()) + 1))},
        compatibility_mode=rng.random(vms) < 0.2, highly_available=np.ones(vms, bool), vcpus=vcpus,
        cpu_cap_mhz=vcpus * mhz[home], memory_mib=memory, migration_mbps=np.full(hosts, 10_000),
        snapshot_gib=np.zeros(vms), snapshot_age_days=np.full(vms, -1.0),
        rules=_rules(rng, RULES_PER_HOST * hosts, home, cluster, (host_ids, vm_ids)), at=START,
    )  # fmt: skip
    return fleet, Demand(use, base, SCENARIOS, SLOTS, START, STEP_S, np.ones(vms, np.float32))


def _ids(kind: str, n: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{i:06}" for i in range(n))


def _clusters(rng: np.random.Generator, hosts: int) -> Ints:
    """(H,) cluster of every host."""
    sizes: list[int] = []
    while sum(sizes) < hosts:
        sizes.append(int(rng.choice(CLUSTER_SIZES)))
    return np.repeat(np.arange(len(sizes)), sizes)[:hosts].astype(np.int64)


def _vms(rng: np.random.Generator, cores: Ints, memory: Ints) -> tuple[Ints, Ints, Ints]:
    """vCPUs, MiB and host of every VM: put one after the other on the host of two that is less full, while memory lasts."""
    hosts, vms = len(cores), VMS_PER_HOST * len(cores)
    vcpus = rng.choice(VCPUS, vms, p=VCPU_SHARE).astype(np.int64)
    size = vcpus * rng.choice(GIB_PER_VCPU, vms) * 1024
    home, held = np.zeros(vms, np.int64), np.zeros(hosts)
    share = cores / cores.sum()
    for v in range(vms):
        two = rng.choice(hosts, 2, p=share)
        h = int(two[np.argmin((held[two] + size[v]) / memory[two])])
        if held[h] + size[v] > 0.85 * memory[h]:
            h = int(np.argmin((held + size[v]) / memory))
        home[v] = h
        held[h] += size[v]
    return vcpus, size, home


def _services(rng: np.random.Generator, cluster: Ints) -> Ints:
    """(V,) service of every VM: 2 to 40 VMs of one cluster, a few services large and most small."""
    service, count = np.zeros(len(cluster), np.int64), 0
    for c in np.unique(cluster):
        members = rng.permutation(np.flatnonzero(cluster == c))
        at = 0
        while at < len(members):
            size = int(min(2 + rng.pareto(1.3) * 3, 40))
            service[members[at : at + size]] = count
            at, count = at + size, count + 1
    return service


def _use(rng: np.random.Generator, service: Ints, vcpus: Ints, memory: Ints, mhz: Ints) -> NDArray[np.int32]:
    """(V, 4, K): CPU, disk and network follow the clock of the VM's service and a noise that it shares; memory stands."""
    vms, services = len(service), int(service.max()) + 1
    hour = (np.arange(SLOTS) + 0.5) * STEP_S / 3600
    peak = np.where(rng.random(services) < 0.7, rng.normal(13, 2.5, services), rng.normal(1, 2, services))
    swing = rng.beta(2, 2, services)
    wave = np.exp(2.2 * (np.cos((hour[None] - peak[:, None]) * 2 * np.pi / 24) - 1))
    together = np.exp(rng.normal(0, 0.25, (services, SCENARIOS, 1))) * np.exp(
        rng.normal(0, 0.10, (services, SCENARIOS, SLOTS))
    )
    clock = ((1 - swing)[:, None, None] * 0.55 + swing[:, None, None] * wave[:, None]) * together
    own = np.exp(rng.normal(0, 0.20, (vms, SCENARIOS, SLOTS)))
    level = np.minimum(rng.lognormal(-1.25, 0.70, vms), 1.6)
    shape = clock[service] * own
    cpu = np.minimum(level[:, None, None] * shape, 1.0) * (vcpus * mhz)[:, None, None]
    disk = rng.lognormal(9.7, 1.1, vms)[:, None, None] * shape
    net = rng.lognormal(10.2, 1.2, vms)[:, None, None] * shape
    use = np.zeros((vms, 4, SCENARIOS * SLOTS), np.int32)
    for r, series in ((0, cpu), (2, np.minimum(disk, 400_000)), (3, np.minimum(net, 900_000))):
        use[:, r] = series.reshape(vms, -1).astype(np.int64)
    use[:, 1] = memory[:, None]
    return use


def _rules(
    rng: np.random.Generator, count: int, home: Ints, cluster: Ints, ids: tuple[Any, Any]
) -> tuple[RuleSpec, ...]:
    """Spread 45 %, gather 12 %, fence 15 %, ban 10 %, pin 18 %. Most hold today; two in a hundred were written without a look."""
    hosts, vms = ids
    at = cluster[home]
    members = [np.flatnonzero(at == c) for c in range(int(cluster.max()) + 1)]
    inside = [np.flatnonzero(cluster == c) for c in range(len(members))]
    kinds = rng.choice(["spread", "gather", "fence", "ban", "pin"], count, p=[0.45, 0.12, 0.15, 0.10, 0.18])
    rules = []
    for i, kind in enumerate(kinds.tolist()):
        c = int(rng.integers(len(members)))
        blind = rng.random() < 0.02
        group = rng.permutation(members[c])[: int(rng.integers(2, 7))]
        named, more = group, {}
        if kind == "spread":
            named = group if blind else group[np.unique(home[group], return_index=True)[1]]
            if rng.random() < 0.25:
                more = {"scope": "rack", "least": min(2, len(set((home[named] // RACK).tolist())))}
        elif kind == "gather":
            near = members[c][home[members[c]] == home[group[0]]]
            named = group[:2] if blind else rng.permutation(near)[:2]
        else:
            some = rng.permutation(inside[c])[: 1 if kind == "pin" else 8]
            if kind == "ban":
                named, where = group[:2], some if blind else np.setdiff1d(some, home[group])
            else:
                named = group[:1] if kind == "pin" else group[:3]
                where = some if blind else np.union1d(some[1:], home[named])
            more = {"hosts": tuple(hosts[h] for h in where.tolist())}
            if not len(where):
                continue
        rules.append(
            RuleSpec(f"{kind} {i}", kind, tuple(vms[v] for v in sorted(named.tolist())), origin=f"invented:{i}", **more)
        )
    return tuple(rules)
