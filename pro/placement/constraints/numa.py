"""VMs fit into a NUMA node of their host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.core.units import MEMORY
from pro.placement.constraints.common import say_host, say_vms, vm_ids
from pro.placement.language import Allow, Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Bools, Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class NumaFit:
    """The virtual processors and the memory of a VM fit into one NUMA node of its host, and VMs that take more than half
    a node's memory are no more than there are nodes.

    Nodes share the cores and the memory of their host evenly. Not asked: of hosts that do not say their nodes, of VMs that
    may span nodes, and of VMs larger than any node in the fleet, which have to span them. Processors are shared in time,
    so two VMs may have more of them than a node; memory is not shared, and two VMs of more than half a node each never
    share one. Necessary, not sufficient: how the hypervisor packs smaller VMs is not known.
    """

    name: str = "NUMA fit"

    @staticmethod
    def matters(fleet: Fleet) -> bool:
        """Whether any host says its nodes."""
        return bool((fleet.numa_nodes > 0).any())

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM that fits no node of its host, and one for every host with too many large VMs."""
        memory = fleet.resources.index(MEMORY)
        node: dict[int, tuple[int, int]] = {}
        for h in range(len(fleet.hosts)):
            nodes = int(fleet.numa_nodes[h])
            if nodes > 0:
                node[h] = (int(fleet.cores[h]) // nodes, int(fleet.capacity[h, memory]) // nodes)
        sizes, found, large = set(node.values()), [], dict[int, list[int]]()
        for v, vm in enumerate(fleet.vms):
            vcpus, mib, h = int(fleet.vcpus[v]), int(fleet.memory_mib[v]), int(host_of[v])
            fits_somewhere = any(vcpus <= cores and mib <= size for cores, size in sizes)
            if h not in node or fleet.numa_span[v] or not fits_somewhere:
                continue
            cores, size = node[h]
            if vcpus > cores or mib > size:
                text = (
                    f"{plain(fleet.vm_names[v])} ({vcpus} processors, {mib:,} MiB) is larger than a NUMA node of "
                    f"{say_host(fleet, h)} ({cores} cores, {size:,} MiB)"
                )
                found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[h],)))
            elif 2 * mib > size:
                large.setdefault(h, []).append(v)
        for h, vms in sorted(large.items()):
            nodes = int(fleet.numa_nodes[h])
            if len(vms) > nodes:
                text = f"{say_vms(fleet, vms)} each take more than half a NUMA node of {say_host(fleet, h)}, which has {nodes}"
                found.append(Violation(self.name, text, len(vms) - nodes, vm_ids(fleet, vms), (fleet.hosts[h],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow | Limit]:
        """One row for all VMs that fit the same nodes, and one limit for each size of node."""
        known = fleet.numa_nodes > 0
        if not known.any():
            return
        nodes = np.maximum(fleet.numa_nodes, 1)
        sizes = np.stack([fleet.cores // nodes, fleet.capacity[:, fleet.resources.index(MEMORY)] // nodes], axis=1)
        kinds, kind = np.unique(sizes[known], axis=0, return_inverse=True)
        kind_of = np.full(fleet.n_hosts, -1)
        kind_of[known] = kind.ravel()
        need = np.stack([fleet.vcpus, fleet.memory_mib], axis=1)
        fits: Bools = np.all(need[:, None] <= kinds[None], axis=2)
        asked = np.flatnonzero(~fleet.numa_span & fits.any(axis=1))
        patterns, pattern = np.unique(fits[asked], axis=0, return_inverse=True)
        for i, which in enumerate(patterns):
            yield Allow(asked[pattern.ravel() == i], ~known | which[kind_of], self.name)
        for k, (_, mib) in enumerate(kinds.tolist()):
            vms = asked[fits[asked, k] & (2 * fleet.memory_mib[asked] > mib)]
            scope = np.where(kind_of == k, np.arange(fleet.n_hosts), -1)
            ones, none = np.ones((len(vms), 1), np.int64), np.zeros((fleet.n_hosts, 1), np.int64)
            yield Limit(vms, ones, scope, none, fleet.numa_nodes[:, None], "after", self.name)
