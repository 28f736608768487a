"""VMs that stay put."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import host_mask, present, say_host, vm_indices
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Pin:
    """The members stand on the pinned hosts; without `hosts`, each stays where it stands now.

    `members` and `hosts` are ids; members the fleet does not hold are ignored.
    """

    name: str
    members: tuple[str, ...]
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: RuleSpec) -> Pin:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.hosts)

    def at_restart(self) -> Pin | None:
        """What stays where it is may still be restarted elsewhere; what is pinned to hosts may not."""
        return self if self.hosts else None

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every member away from its pin."""
        found = []
        for v in present(fleet, self.members):
            host = int(host_of[v])
            pins = self.hosts or (fleet.hosts[int(fleet.host_of[v])],)
            if fleet.hosts[host] not in pins:
                where = f"{len(pins)} hosts"
                if len(pins) == 1 and pins[0] in fleet.hosts:
                    where = say_host(fleet, fleet.host_index(pins[0]))
                text = f"{plain(fleet.vm_names[v])} is pinned to {where}, not to {say_host(fleet, host)}"
                found.append(Violation(self.name, text, 1, (fleet.vms[v],), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row, or one for each host that holds members now."""
        vms = vm_indices(fleet, self.members)
        if self.hosts:
            yield Allow(vms, host_mask(fleet, self.hosts), self.name)
            return
        for host in np.unique(fleet.host_of[vms]):
            yield Allow(vms[fleet.host_of[vms] == host], np.arange(fleet.n_hosts) == host, self.name)
