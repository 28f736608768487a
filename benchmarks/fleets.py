"""Invented fleets for measuring: one for failover, as full as N+1 lets clusters be; one of any size, with demand, as large estates are.

Everything follows from the seed. Figures hang on these fleets: the same seed has to make the same bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.fleet import Demand, Fleet, Groups, RuleSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints


CLUSTER = (16, 24, 32, 48, 64)
"""Hosts of one cluster."""
RACK = 16

# Of the fleet for failover.
GIB = (384, 512, 768, 1_024)
SHARE = (0.60, 0.95)
"""Least and greatest share of a cluster, less one host, that its VMs hold."""
SIZES, OFTEN = (1, 2, 4, 8, 16, 32, 64), (0.06, 0.16, 0.26, 0.26, 0.16, 0.08, 0.02)
RESERVE_MIB = 2_048
KINDS, MIX = ("spread", "fence", "ban", "gather", "pin"), (0.55, 0.2, 0.1, 0.1, 0.05)

# Of the fleet of any size.
VMS_PER_HOST = 25
RULES_PER_HOST = 2
SITES = 3
FAMILIES = (("Intel", "Broadwell"), ("Intel", "Cascade Lake"), ("Intel", "Ice Lake"), ("AMD", "Rome"), ("AMD", "Milan"))
SHAPES = ((32, 2_600, 384), (40, 2_400, 512), (48, 2_800, 768), (64, 2_450, 1_024))  # cores, MHz, GiB
VCPUS, VCPU_SHARE = (1, 2, 4, 8, 16, 32), (0.14, 0.34, 0.30, 0.15, 0.06, 0.01)
GIB_PER_VCPU = (2, 4, 4, 8)
SCENARIOS, SLOTS, STEP_S = 4, 12, 7_200
START = datetime(2026, 3, 4, tzinfo=UTC)


def failover_fleet(hosts: int, vms: int, rules: int, seed: int) -> Fleet:
    """`hosts` in clusters of 16 to 64; about `vms` VMs; `rules` of five kinds. No rule is broken in memory; some others are.

    Each cluster is filled with VMs of many sizes to a share of what its hosts hold less one of them, so that memory alone survives
    the loss of a host; rules decide the rest.
    """
    rng = np.random.default_rng(seed)
    cluster = _clusters(rng, hosts)
    room = rng.choice(GIB, len(np.unique(cluster)))[cluster] * 1024
    home, memory = _fill(rng, cluster, room, vms)
    n = len(home)
    ids = _ids("hv", hosts), _ids("vm", n)
    rack, one = np.arange(hosts) // RACK, np.zeros(hosts, np.int64)
    return _fleet(
        *ids, host_of=home, resources=("cpu", "memory"), capacity=np.stack([np.full(hosts, 100_000), room], axis=1),
        accepting=np.ones(hosts, bool), leaving=np.zeros(hosts, bool), movable=np.ones(n, bool),
        host_groups={
            "cluster": Groups(cluster, tuple(f"c{c:03}" for c in range(int(cluster.max()) + 1))),
            "rack": Groups(rack, tuple(f"r{r:03}" for r in range(int(rack.max()) + 1))),
            "site": Groups(one, ("here",)), "hypervisor": Groups(one, ("Hyper-V 2022",)),
            "cpu_vendor": Groups(one, ("Intel",)), "cpu_family": Groups(one, ("Ice Lake",)),
        },
        vm_groups={}, compatibility_mode=np.zeros(n, bool), highly_available=rng.random(n) < 0.97,
        vcpus=np.full(n, 2), cpu_cap_mhz=np.full(n, 4_000), memory_mib=memory, rules=_tight_rules(rng, rules, home, cluster, ids),
    )  # fmt: skip


def scale_fleet(hosts: int = 1_000, seed: int = 1, load: float = 1.0) -> tuple[Fleet, Demand]:
    """`hosts` hosts with 25 VMs and two rules each; 48 moments: 12 slots of two hours in 4 scenarios.

    Clusters, racks, sites, services that peak together. Nobody placed its VMs by load: they were put where there was memory, so some
    hosts run hot. `load`: so many times as much CPU is asked for.
    """
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
    fleet = _fleet(
        host_ids, vm_ids, host_of=home, resources=("cpu", "memory", "disk", "net"), capacity=capacity,
        accepting=~(leaving | closed),
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
        cpu_cap_mhz=vcpus * mhz[home], memory_mib=memory,
        rules=_estate_rules(rng, RULES_PER_HOST * hosts, home, cluster, (host_ids, vm_ids)), at=START,
    )  # fmt: skip
    return fleet, Demand(use, base, SCENARIOS, SLOTS, START, STEP_S, np.ones(vms, np.float32))


def _fleet(hosts: tuple[str, ...], vms: tuple[str, ...], **told: Any) -> Fleet:
    """A fleet of which `told` says what invented fleets differ in."""
    return Fleet(
        hosts=hosts, vms=vms, host_names=hosts, vm_names=vms, host_fqdn=("",) * len(hosts), vm_fqdn=("",) * len(vms),
        migration_mbps=np.full(len(hosts), 10_000), snapshot_gib=np.zeros(len(vms)), snapshot_age_days=np.full(len(vms), -1.0), **told,
    )  # fmt: skip


def _ids(kind: str, n: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{i:06}" for i in range(n))


def _clusters(rng: np.random.Generator, hosts: int) -> Ints:
    """(H,) cluster of every host."""
    sizes: list[int] = []
    while sum(sizes) < hosts:
        sizes.append(int(rng.choice(CLUSTER)))
    return np.repeat(np.arange(len(sizes)), sizes)[:hosts].astype(np.int64)


def _fill(rng: np.random.Generator, cluster: Ints, room: Ints, vms: int) -> tuple[Ints, Ints]:
    """Where VMs stand and what they hold. Sizes are scaled so that about `vms` fill every cluster to its share."""
    home: list[int] = []
    memory: list[int] = []
    for c in np.unique(cluster).tolist():
        inside = np.flatnonzero(cluster == c)
        many = max(round(vms * len(inside) / len(cluster)), 1)
        spare = max(len(inside) - 1, 1) / len(inside)
        goal = rng.uniform(*SHARE) * spare * (room[inside] - RESERVE_MIB).sum()
        size = rng.choice(SIZES, many, p=OFTEN) * rng.uniform(0.75, 1.25, many)
        size = np.maximum((size * goal / size.sum()).astype(np.int64) // 128 * 128, 128)
        held = np.zeros(len(inside), np.int64)
        for mib in np.sort(size)[::-1].tolist():
            free = np.flatnonzero(held + mib <= room[inside] - RESERVE_MIB)
            if len(free):
                # Among three hosts drawn the emptiest: even, but not as even as an optimiser would have it.
                h = min(rng.choice(free, 3).tolist(), key=lambda h: held[h])
                held[h] += mib
                home.append(int(inside[h]))
                memory.append(mib)
    return np.array(home, np.int64), np.array(memory, np.int64)


def _tight_rules(
    rng: np.random.Generator, rules: int, home: Ints, cluster: Ints, ids: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[RuleSpec, ...]:
    """Rules inside one cluster each: members that stand apart today are spread, those that stand together are gathered."""
    hosts, vms = ids
    on = [np.flatnonzero(home == h) for h in range(len(hosts))]
    found = []
    for n in range(rules):
        kind = str(rng.choice(KINDS, p=MIX))
        inside = np.flatnonzero(cluster == cluster[int(rng.integers(len(hosts)))])
        places: list[int] = []
        if kind == "spread":
            some = rng.permutation(inside)[: int(rng.integers(2, 7))]
            members = [int(rng.choice(on[h])) for h in some if len(on[h])]
        elif kind == "gather":
            there = on[int(rng.choice(inside))]
            members = rng.permutation(there)[:2].tolist()
        else:
            some = rng.permutation(inside)[: max(len(inside) // 4, 2)]
            members = [int(rng.choice(on[h])) for h in some[: int(rng.integers(2, 9))] if len(on[h])]
            where = some if kind != "ban" else rng.permutation(np.setdiff1d(inside, some))[: len(inside) // 4]
            places = where.tolist() if kind != "pin" else []
        found.append(RuleSpec(f"{kind} {n}", kind, tuple(vms[v] for v in members), tuple(hosts[h] for h in places)))
    return tuple(found)


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


def _estate_rules(
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
        named: Ints = group
        more: dict[str, Any] = {}
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
