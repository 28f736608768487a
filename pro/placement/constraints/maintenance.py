"""Hosts in maintenance are emptied, and hosts that accept nothing receive nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import say_closed, say_host
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class Maintenance:
    """No VM stands on a host that is leaving; a host that does not accept VMs keeps those it has and gets no other.

    Broken today by every VM on a leaving host: those are to be moved off first.
    """

    name: str = "maintenance"

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM that stands where it may not."""
        found = []
        open_hosts = (fleet.accepting & ~fleet.leaving).tolist()
        for v, (vm, host) in enumerate(zip(fleet.vms, host_of.tolist(), strict=True)):
            if open_hosts[host]:
                continue
            if fleet.leaving[host]:
                text = f"{plain(fleet.vm_names[v])} stands on {say_host(fleet, host)}, which is to be emptied"
            elif not fleet.accepting[host] and host != int(fleet.host_of[v]):
                text = f"{plain(fleet.vm_names[v])} was put on {say_host(fleet, host)}, {say_closed(fleet, host)}"
            else:
                continue
            found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row for VMs on accepting or leaving hosts, and one for each closed host that keeps its VMs."""
        open_hosts = fleet.accepting & ~fleet.leaving
        if open_hosts.all():
            return
        keeps = ~fleet.accepting & ~fleet.leaving
        yield Allow(np.flatnonzero(~keeps[fleet.host_of]), open_hosts, self.name)
        for host in np.unique(fleet.host_of[keeps[fleet.host_of]]):
            own = open_hosts | (np.arange(fleet.n_hosts) == host)
            yield Allow(np.flatnonzero(fleet.host_of == host), own, self.name)
