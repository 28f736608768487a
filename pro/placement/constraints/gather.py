"""VMs that talk much stand together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.placement.constraints.common import present, say_item, say_vms, scope_item, vm_ids, vm_indices
from pro.placement.language import Together
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Gather:
    """All members in one scope item.

    `members` are VM ids, of which those the fleet does not hold are ignored. `scope`: host | rack | site | cluster; a
    host of which the item is not known counts as an item of its own.
    """

    name: str
    members: tuple[str, ...]
    scope: str = "host"

    @classmethod
    def of(cls, rule: RuleSpec) -> Gather:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.scope)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation; `amount` is the number of scope items beyond the one."""
        members = present(fleet, self.members)
        items = sorted({scope_item(fleet, self.scope, int(host_of[v])) for v in members})
        if len(items) < 2:
            return []
        where = " and ".join(say_item(fleet, item) for item in items[:3])
        more = f" and {len(items) - 3} more" if len(items) > 3 else ""
        text = f"{say_vms(fleet, members)} stand apart, on {where}{more}"
        hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in members}))
        return [Violation(self.name, text, len(items) - 1, vm_ids(fleet, members), hosts)]

    def rows(self, fleet: Fleet) -> Iterator[Together]:
        """One row."""
        vms = vm_indices(fleet, self.members)
        if len(vms):
            yield Together(vms, fleet.scope_codes(self.scope)[0], self.name)
