"""VMs that may stand on some hosts only: licences, zones, possible owners."""

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
class Fence:
    """The members stand on these hosts and on no other (VMM: possible owners).

    `members` and `hosts` are ids; those the fleet does not hold are ignored. A fence without any host of the fleet
    is broken wherever its members stand.
    """

    name: str
    members: tuple[str, ...]
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, rule: RuleSpec) -> Fence:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.hosts)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every member outside the fence."""
        found = []
        for v in present(fleet, self.members):
            host = int(host_of[v])
            if fleet.hosts[host] not in self.hosts:
                room = f"the {len(set(self.hosts))} hosts" if len(set(self.hosts)) > 1 else "the one host"
                text = f"{plain(fleet.vm_names[v])} on {say_host(fleet, host)} is outside {room} it may use"
                found.append(Violation(self.name, text, 1, (fleet.vms[v],), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row."""
        yield Allow(vm_indices(fleet, self.members), host_mask(fleet, self.hosts), self.name)
