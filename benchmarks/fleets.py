"""Invented fleets for measuring failover: clusters nearly as full as N+1 lets them be, and rules that narrow the choice.

Everything follows from the seed. Each cluster is filled with VMs of many sizes to a share of what its hosts hold less one of them, so
that memory alone survives the loss of a host; rules decide the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.fleet import Fleet, Groups, RuleSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

CLUSTER = (16, 24, 32, 48, 64)
GIB = (384, 512, 768, 1_024)
SHARE = (0.60, 0.95)
"""Least and greatest share of a cluster, less one host, that its VMs hold."""
SIZES, OFTEN = (1, 2, 4, 8, 16, 32, 64), (0.06, 0.16, 0.26, 0.26, 0.16, 0.08, 0.02)
RESERVE_MIB = 2_048
KINDS, MIX = ("spread", "fence", "ban", "gather", "pin"), (0.55, 0.2, 0.1, 0.1, 0.05)


def failover_fleet(hosts: int, vms: int, rules: int, seed: int) -> Fleet:
    """`hosts` in clusters of 16 to 64; about `vms` VMs; `rules` of five kinds. No rule is broken in memory; some others are."""
    rng = np.random.default_rng(seed)
    cluster = _clusters(rng, hosts)
    room = rng.choice(GIB, len(np.unique(cluster)))[cluster] * 1024
    home, memory = _fill(rng, cluster, room, vms)
    n = len(home)
    ids = tuple(f"hv-{h:06}" for h in range(hosts)), tuple(f"vm-{v:06}" for v in range(n))
    count = int(cluster.max()) + 1
    rack = np.arange(hosts) // 16
    one = np.zeros(hosts, np.int64)
    return Fleet(
        hosts=ids[0], vms=ids[1], host_names=ids[0], vm_names=ids[1], host_fqdn=("",) * hosts, vm_fqdn=("",) * n,
        resources=("cpu", "memory"), capacity=np.stack([np.full(hosts, 100_000), room], axis=1), host_of=home,
        accepting=np.ones(hosts, bool), leaving=np.zeros(hosts, bool), movable=np.ones(n, bool),
        host_groups={
            "cluster": Groups(cluster, tuple(f"c{c:03}" for c in range(count))),
            "rack": Groups(rack, tuple(f"r{r:03}" for r in range(int(rack.max()) + 1))),
            "site": Groups(one, ("here",)), "hypervisor": Groups(one, ("Hyper-V 2022",)),
            "cpu_vendor": Groups(one, ("Intel",)), "cpu_family": Groups(one, ("Ice Lake",)),
        },
        vm_groups={}, compatibility_mode=np.zeros(n, bool), highly_available=rng.random(n) < 0.97,
        vcpus=np.full(n, 2), cpu_cap_mhz=np.full(n, 4_000), memory_mib=memory, migration_mbps=np.full(hosts, 10_000),
        snapshot_gib=np.zeros(n), snapshot_age_days=np.full(n, -1.0), rules=_rules(rng, rules, home, cluster, ids),
    )  # fmt: skip


def _clusters(rng: np.random.Generator, hosts: int) -> Ints:
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


def _rules(
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
