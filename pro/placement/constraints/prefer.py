"""Hosts in the order in which VMs had best stand on them."""

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
class Prefer:
    """Each member had best stand on the first host, else on the second, and so on; on no other (VMM: preferred owners).

    It is broken by as many steps as a member stands down the list. Only sensible as a preference: a soft rule. `members`
    and `hosts` are ids; those the fleet does not hold are ignored.
    """

    name: str
    members: tuple[str, ...]
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, rule: RuleSpec) -> Prefer:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.hosts)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every member that is not on the first host; `amount` is how far down the list it stands."""
        order = [h for h in dict.fromkeys(self.hosts) if h in fleet.hosts]
        found = []
        for v in present(fleet, self.members):
            host = int(host_of[v])
            rank = order.index(fleet.hosts[host]) if fleet.hosts[host] in order else len(order)
            if rank:
                choice = f"choice {rank + 1} of {len(order)}" if rank < len(order) else "none it prefers"
                text = f"{plain(fleet.vm_names[v])} stands on {say_host(fleet, host)}, {choice}"
                found.append(Violation(self.name, text, rank, (fleet.vms[v],), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row for every host of the list: up to there and no further. As many are broken as are passed."""
        vms, order = vm_indices(fleet, self.members), [h for h in dict.fromkeys(self.hosts) if h in fleet.hosts]
        for n in range(1, len(order) + 1):
            yield Allow(vms, host_mask(fleet, order[:n]), self.name)
