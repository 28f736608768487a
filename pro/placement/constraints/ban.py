"""VMs that must keep off some hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.text import plain
from pro.placement.constraints.common import host_mask, present, say_host, vm_indices
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Ban:
    """The members stand on none of these hosts. Both are ids; those the fleet does not hold are ignored."""

    name: str
    members: tuple[str, ...]
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, rule: RuleSpec) -> Ban:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.hosts)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every member on a host it is banned from."""
        found = []
        for v in present(fleet, self.members):
            host = int(host_of[v])
            if fleet.hosts[host] in self.hosts:
                text = f"{plain(fleet.vm_names[v])} is banned from {say_host(fleet, host)}"
                found.append(Violation(self.name, text, 1, (fleet.vms[v],), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row."""
        yield Allow(vm_indices(fleet, self.members), ~host_mask(fleet, self.hosts), self.name)
