"""At most so many VMs on a host, or of a group in a rack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.constraints.common import (
    each,
    host_mask,
    present,
    say_item,
    say_vms,
    scope_item,
    vm_ids,
    vm_indices,
)
from pro.placement.language import Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class VmLimit:
    """At most `most` of the VMs `among` in each scope item; without `among`, of all VMs.

    `among` and `hosts` are ids; those the fleet does not hold are ignored. With `hosts`, only VMs on these are counted.
    `scope`: host | rack | site | cluster; a host of which the item is not known counts as an item of its own.
    """

    name: str
    most: int
    among: tuple[str, ...] = ()
    scope: str = "host"
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: RuleSpec) -> VmLimit:
        """The rule as it was written."""
        return cls(rule.name, rule.most, rule.members, rule.scope, rule.hosts)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every scope item with too many."""
        stand: dict[tuple[str, int], list[int]] = {}
        for v in present(fleet, self.among or fleet.vms):
            host = int(host_of[v])
            if not self.hosts or fleet.hosts[host] in self.hosts:
                stand.setdefault(scope_item(fleet, self.scope, host), []).append(v)
        found = []
        for item, vms in sorted(stand.items()):
            if len(vms) > self.most:
                text = f"{say_item(fleet, item)} holds {len(vms)} ({say_vms(fleet, vms)}), at most {self.most} allowed"
                hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in vms}))
                found.append(Violation(self.name, text, len(vms) - self.most, vm_ids(fleet, vms), hosts))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit]:
        """One limit."""
        vms = vm_indices(fleet, self.among) if self.among else np.arange(fleet.n_vms)
        scope, items = fleet.scope_codes(self.scope)
        if self.hosts:
            scope = np.where(host_mask(fleet, self.hosts), scope, -1)
        yield Limit(vms, each(len(vms), 1), scope, each(items, 0), each(items, self.most), "after", self.name)
