"""Live migration stays inside the cluster a VM stands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import group_codes, say_host
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class ClusterBorder:
    """A VM stays inside the cluster it stands in now; a VM on a host of no cluster stays where it is.

    Always holds today, because it compares with today.
    """

    name: str = "cluster border"

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM that crossed the border."""
        clusters = fleet.host_groups.get("cluster")
        found = []
        stands = zip(fleet.vms, fleet.host_of.tolist(), host_of.tolist(), strict=True)
        for v, (vm, home, host) in enumerate(stands):
            if home == host:
                continue
            code = -1 if clusters is None else int(clusters.code[home])
            if clusters is None or code < 0:
                text = f"{plain(fleet.vm_names[v])} left {say_host(fleet, home)}, which belongs to no cluster"
            elif int(clusters.code[host]) != code:
                text = (
                    f"{plain(fleet.vm_names[v])} left cluster {plain(clusters.names[code])} for {say_host(fleet, host)}"
                )
            else:
                continue
            found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row a cluster, and one for each standing-alone host that holds VMs."""
        cluster = group_codes(fleet, "cluster")
        at_home = cluster[fleet.host_of]
        for code in np.unique(at_home[at_home >= 0]):
            yield Allow(np.flatnonzero(at_home == code), cluster == code, self.name)
        for host in np.unique(fleet.host_of[at_home < 0]):
            yield Allow(np.flatnonzero(fleet.host_of == host), np.arange(fleet.n_hosts) == host, self.name)
