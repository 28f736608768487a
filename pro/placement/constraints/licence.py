"""Software that is licensed by the cores of every host it might run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import present, vm_ids, vm_indices
from pro.placement.language import Together
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, RuleSpec


@dataclass(frozen=True)
class Licence:
    """The hosts that hold any member have at most `most` cores, all together.

    `members` are VM ids, of which those the fleet does not hold are ignored.
    """

    name: str
    members: tuple[str, ...]
    most: int

    @classmethod
    def of(cls, rule: RuleSpec) -> Licence:
        """The rule as it was written."""
        return cls(rule.name, rule.members, rule.most)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation; `amount` in cores."""
        members = present(fleet, self.members)
        held = sorted({int(host_of[v]) for v in members})
        cores = sum(int(fleet.cores[h]) for h in held)
        if cores <= self.most:
            return []
        names = ", ".join(plain(fleet.host_names[h]) for h in held[:3]) + (", ..." if len(held) > 3 else "")
        text = f"its VMs occupy {cores} cores ({names}), {self.most} are licensed"
        hosts = tuple(fleet.hosts[h] for h in held)
        return [Violation(self.name, text, cores - self.most, vm_ids(fleet, members), hosts)]

    def rows(self, fleet: Fleet) -> Iterator[Together]:
        """One row: hosts weigh what they have of cores."""
        vms = vm_indices(fleet, self.members)
        if len(vms):
            yield Together(vms, np.arange(fleet.n_hosts), self.name, self.most, fleet.cores)
