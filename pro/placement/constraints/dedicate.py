"""Hosts that belong to some VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import host_mask, say_host, vm_indices
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Dedicate:
    """The tenants stand on these hosts only, and nobody else stands there. Both are ids; unknown ones are ignored.

    Without tenants (an inventory leaves out who does not exist) nobody comes there, but who stands there is not sent away for one that may be misspelt.
    """

    name: str
    tenants: tuple[str, ...]
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, rule: RuleSpec) -> Dedicate:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.hosts)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every tenant elsewhere and for every stranger on a dedicated host."""
        tenants, found = set(self.tenants), []
        for v, vm in enumerate(fleet.vms):
            host = int(host_of[v])
            if (vm in tenants) == (fleet.hosts[host] in self.hosts) or (not tenants and host == int(fleet.host_of[v])):
                continue
            name = plain(fleet.vm_names[v])
            if vm in tenants:
                text = f"{name} stands on {say_host(fleet, host)}, which is not one of its own hosts"
            else:
                text = f"{name} stands on {say_host(fleet, host)}, which is kept for others"
            found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row for tenants, one for everybody else."""
        own, tenants = host_mask(fleet, self.hosts), vm_indices(fleet, self.tenants)
        yield Allow(tenants, own, self.name)
        others = np.setdiff1d(np.arange(fleet.n_vms), tenants)
        if self.tenants:
            yield Allow(others, ~own, self.name)
            return
        here = own[fleet.host_of]
        yield Allow(others[~here], ~own, self.name)
        for h in np.flatnonzero(own).tolist():  # from one kept host to another is no way either
            stay = ~own
            stay[h] = True
            yield Allow(np.flatnonzero(fleet.host_of == h), stay, self.name)
