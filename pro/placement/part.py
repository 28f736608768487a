"""A fleet cut down to some of its VMs, with all its hosts: for asking a plain, slow rule about a few VMs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pro.fleet import Groups

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.fleet import Fleet


def only(fleet: Fleet, vms: Ints) -> Fleet:
    """`fleet` with the VMs of these indices (n,), ascending, and no other."""
    chosen = vms.tolist()
    return replace(
        fleet,
        vms=tuple(fleet.vms[v] for v in chosen),
        vm_names=tuple(fleet.vm_names[v] for v in chosen),
        vm_fqdn=tuple(fleet.vm_fqdn[v] for v in chosen),
        host_of=fleet.host_of[vms],
        movable=fleet.movable[vms],
        vm_groups={name: Groups(groups.code[vms], groups.names) for name, groups in fleet.vm_groups.items()},
        compatibility_mode=fleet.compatibility_mode[vms],
        highly_available=fleet.highly_available[vms],
        vcpus=fleet.vcpus[vms],
        cpu_cap_mhz=fleet.cpu_cap_mhz[vms],
        memory_mib=fleet.memory_mib[vms],
        snapshot_gib=fleet.snapshot_gib[vms],
        snapshot_age_days=fleet.snapshot_age_days[vms],
        dirty_mib_s=fleet.dirty_mib_s[vms],
        numa_span=fleet.numa_span[vms],
    )
