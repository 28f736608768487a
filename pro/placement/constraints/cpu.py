"""A running VM cannot change the kind of processor under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import say_host
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class CpuCompatibility:
    """The destination's CPU has the vendor of the host the VM stands on now, and its family too unless the VM's
    processor compatibility mode is on.

    A vendor or family that is not known is equal only to another one that is not known. Always holds today. Source:
    live migration of Hyper-V needs processors of one manufacturer; compatibility mode hides the features that differ
    within it.
    """

    name: str = "CPU compatibility"

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM that could not run where it is put."""

        def cpu(group: str, host: int) -> str:
            groups = fleet.host_groups.get(group)
            return "" if groups is None or groups.code[host] < 0 else groups.names[groups.code[host]]

        found = []
        stands = zip(fleet.vms, fleet.host_of.tolist(), host_of.tolist(), strict=True)
        for v, (vm, home, host) in enumerate(stands):
            if home == host:
                continue
            was, would = cpu("cpu_vendor", home), cpu("cpu_vendor", host)
            if was == would and not fleet.compatibility_mode[v]:
                was, would = cpu("cpu_family", home), cpu("cpu_family", host)
            if was != would:
                text = (
                    f"{plain(fleet.vm_names[v])} runs on {plain(was) or 'an unknown CPU'}, "
                    f"{say_host(fleet, host)} has {plain(would) or 'an unknown CPU'}"
                )
                found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row for every vendor, and one for every vendor and family, that holds VMs it concerns."""
        vendor = _labels(fleet, "cpu_vendor")
        family = np.unique(np.stack([vendor, _labels(fleet, "cpu_family")]), axis=1, return_inverse=True)[1]
        for kind, concerned in ((vendor, fleet.compatibility_mode), (family, ~fleet.compatibility_mode)):
            for code in np.unique(kind[fleet.host_of[concerned]]):
                vms = np.flatnonzero(concerned & (kind[fleet.host_of] == code))
                yield Allow(vms, kind == code, self.name)


def _labels(fleet: Fleet, group: str) -> Ints:
    """(H,) a number for each different name in `group`; no name is a name, too."""
    groups = fleet.host_groups.get(group)
    if groups is None:
        return np.zeros(fleet.n_hosts, np.int64)
    names = np.array(["", *groups.names], dtype=object)[groups.code + 1]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
