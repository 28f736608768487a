"""Readable fleets and demands for tests: `fleet("h1: a b | h2: c")`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from pro.fleet import Demand, Fleet, Groups, RuleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START = datetime(2013, 8, 18, tzinfo=UTC)


class Given(TypedDict, total=False):
    """What a test may say about its fleet; a number speaks for all, a mapping for the named ones (default for the rest)."""

    cpu: int | Mapping[str, int]
    """Capacity of hosts, MHz; 10,000."""
    memory: int | Mapping[str, int]
    """Capacity of hosts, MiB; 16,384."""
    vm_memory: int | Mapping[str, int]
    """Size of VMs, MiB; 1,024."""
    vm_cpu: int | Mapping[str, int]
    """CPU cap of VMs, MHz; 2,000."""
    vcpus: int | Mapping[str, int]
    """Virtual processors of VMs; 1."""
    cores: int | Mapping[str, int]
    """Cores of hosts; 10."""
    numa_nodes: int | Mapping[str, int]
    """NUMA nodes of hosts; 0, not known."""
    spanning: Sequence[str]
    """VMs that may span NUMA nodes."""
    networks: Mapping[str, str]
    """What hosts reach and VMs need of networks, by id; the same for storage."""
    storage: Mapping[str, str]
    clusters: Mapping[str, str]
    """Cluster of hosts; all in `c` unless given; "" is no cluster. The same for the next five: unknown unless given."""
    racks: Mapping[str, str]
    sites: Mapping[str, str]
    vendors: Mapping[str, str]
    families: Mapping[str, str]
    services: Mapping[str, str]
    """Service of VMs."""
    closed: Sequence[str]
    """Hosts that accept nothing."""
    leaving: Sequence[str]
    """Hosts to be emptied (they accept nothing, either)."""
    stuck: Sequence[str]
    """VMs that cannot be migrated."""
    compatible: Sequence[str]
    """VMs with processor compatibility mode on."""
    mbps: int | Mapping[str, int]
    """Migration network of hosts, Mbit/s; 1,000."""
    names: Mapping[str, str]
    """Display names of VMs or hosts by id."""
    rules: Sequence[RuleSpec]


def fleet(text: str, **given: Unpack[Given]) -> Fleet:
    """A fleet drawn as `host: vm vm | host: vm | host:`. Ids come out sorted, as everywhere.

    >>> fleet("h1: a b | h2: c").host_of.tolist()
    [0, 0, 1]
    """
    stands: dict[str, str] = {}
    hosts = []
    for part in text.split("|"):
        host, _, vms = part.partition(":")
        hosts.append(host.strip())
        stands |= dict.fromkeys(vms.split(), host.strip())
    return fleet_of(stands, hosts, **given)


def fleet_of(stands: Mapping[str, str], hosts: Sequence[str], **given: Unpack[Given]) -> Fleet:
    """The same from a mapping VM id -> host id, for ids that are no single words."""
    hosts, vms = sorted(hosts), sorted(stands)
    names = given.get("names", {})

    def each(ids: Sequence[str], key: str, default: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        value: Any = given.get(key, default)
        return np.array([value if isinstance(value, int) else value.get(i, default) for i in ids], np.int64)

    def among(ids: Sequence[str], key: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        named: Any = given.get(key, ())
        return np.array([i in named for i in ids], np.bool_)

    leaving = among(hosts, "leaving")
    return Fleet(
        hosts=tuple(hosts),
        vms=tuple(vms),
        host_names=tuple(names.get(h, h) for h in hosts),
        vm_names=tuple(names.get(v, v) for v in vms),
        host_fqdn=tuple("" for _ in hosts),
        vm_fqdn=tuple("" for _ in vms),
        resources=("cpu", "memory"),
        capacity=np.stack([each(hosts, "cpu", 10_000), each(hosts, "memory", 16_384)], axis=1),
        host_of=np.array([hosts.index(stands[v]) for v in vms], np.int64),
        accepting=~(leaving | among(hosts, "closed")),
        leaving=leaving,
        movable=~among(vms, "stuck"),
        host_groups={
            "cluster": groups(hosts, given.get("clusters", dict.fromkeys(hosts, "c"))),
            "rack": groups(hosts, given.get("racks", {})),
            "site": groups(hosts, given.get("sites", {})),
            "hypervisor": groups(hosts, dict.fromkeys(hosts, "Hyper-V 2012 R2")),
            "cpu_vendor": groups(hosts, given.get("vendors", {})),
            "cpu_family": groups(hosts, given.get("families", {})),
            "networks": groups(hosts, given.get("networks", {})),
            "storage": groups(hosts, given.get("storage", {})),
        },
        vm_groups={
            "service": groups(vms, given.get("services", {})),
            "networks": groups(vms, given.get("networks", {})),
            "storage": groups(vms, given.get("storage", {})),
        },
        compatibility_mode=among(vms, "compatible"),
        highly_available=np.ones(len(vms), np.bool_),
        vcpus=each(vms, "vcpus", 1),
        cpu_cap_mhz=each(vms, "vm_cpu", 2_000),
        memory_mib=each(vms, "vm_memory", 1_024),
        migration_mbps=each(hosts, "mbps", 1_000),
        snapshot_gib=np.zeros(len(vms)),
        snapshot_age_days=np.full(len(vms), -1.0),
        rules=tuple(given.get("rules", ())),
        at=START,
        cores=each(hosts, "cores", 10),
        numa_nodes=each(hosts, "numa_nodes", 0),
        numa_span=among(vms, "spanning"),
    )


def groups(ids: Sequence[str], label: Mapping[str, str]) -> Groups:
    """A labelling of `ids`; those without a label, or with an empty one, are in no group."""
    names = sorted({label[i] for i in ids if label.get(i)})
    return Groups(np.array([names.index(label[i]) if label.get(i) else -1 for i in ids], np.int64), tuple(names))


def demand_of(
    fleet: Fleet,
    cpu: int | Mapping[str, int | Sequence[int]] = 0,
    base: int | Mapping[str, int | Sequence[int]] = 0,
    *,
    scenarios: int = 1,
    step_s: int = 300,
) -> Demand:
    """CPU demand of VMs and own use of hosts, MHz: a number for all, or by id a number or one number a moment.

    Memory demand is the assigned memory at every moment.
    """
    lengths = [
        len(value)
        for given in (cpu, base)
        if not isinstance(given, int)
        for value in given.values()
        if not isinstance(value, int)
    ]
    moments = max(lengths, default=scenarios)

    def series(ids: Sequence[str], given: int | Mapping[str, int | Sequence[int]]) -> Any:
        rows = [given if isinstance(given, int) else given.get(i, 0) for i in ids]
        return np.array([np.broadcast_to(np.array(row), moments) for row in rows], np.int32).reshape(len(ids), moments)

    memory = np.broadcast_to(fleet.memory_mib[:, None], (fleet.n_vms, moments)).astype(np.int32)
    use = np.stack([series(fleet.vms, cpu), memory], axis=1)
    own = series(fleet.hosts, base)
    return Demand(
        use=use,
        base=np.stack([own, np.zeros_like(own)], axis=1),
        scenarios=scenarios,
        slots=moments // scenarios,
        start=START,
        step_s=step_s,
        known=np.ones(fleet.n_vms, np.float32),
    )


def stand(fleet: Fleet, text: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(V,) a placement drawn like a fleet; VMs that are not drawn stay where they are."""
    host_of = fleet.host_of.copy()
    for part in text.split("|"):
        host, _, vms = part.partition(":")
        for vm in vms.split():
            host_of[fleet.vm_index(vm)] = fleet.host_index(host.strip())
    return host_of
