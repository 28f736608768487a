"""VMs that must not fail together stand apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.placement.constraints.common import each, present, say_item, say_vms, scope_item, vm_ids, vm_indices
from pro.placement.language import AtLeast, Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Spread:
    """No two of the members in one scope item; or the members in at least so many (VMM: availability set).

    Parameters
    ----------
    name
        The rule's name.
    members
        VM ids. Ids that the fleet does not hold are ignored.
    scope
        host | rack | site | cluster. A host of which the item is not known counts as an item of its own.
    least
        0: no two members in one scope item. Else: in at least so many different ones, or as many as there are members.
    """

    name: str
    members: tuple[str, ...]
    scope: str = "host"
    least: int = 0

    @classmethod
    def of(cls, rule: RuleSpec) -> Spread:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.scope, rule.least)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every scope item with too many members, or one for too few scope items."""
        members = present(fleet, self.members)
        stand: dict[tuple[str, int], list[int]] = {}
        for v in members:
            stand.setdefault(scope_item(fleet, self.scope, int(host_of[v])), []).append(v)
        if self.least:
            wanted = min(self.least, len(members))
            if len(stand) >= wanted:
                return []
            text = f"{say_vms(fleet, members)} stand in {len(stand)} {self.scope}s, at least {wanted} wanted"
            hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in members}))
            return [Violation(self.name, text, wanted - len(stand), vm_ids(fleet, members), hosts)]
        found = []
        for item, vms in sorted(stand.items()):
            if len(vms) > 1:
                text = f"{say_vms(fleet, vms)} stand together on {say_item(fleet, item)}"
                hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in vms}))
                found.append(Violation(self.name, text, len(vms) - 1, vm_ids(fleet, vms), hosts))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit | AtLeast]:
        """A limit of one member in each scope item, or a number of scope items."""
        vms = vm_indices(fleet, self.members)
        scope, items = fleet.scope_codes(self.scope)
        if self.least:
            yield AtLeast(vms, scope, min(self.least, len(vms)), self.name)
        else:
            yield Limit(vms, each(len(vms), 1), scope, each(items, 0), each(items, 1), "after", self.name)
