"""What VMs hold of a host fits into it, with a reserve left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU, MEMORY, RESOURCES
from pro.placement.constraints.common import say_host, vm_ids
from pro.placement.language import Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class Capacity:
    """The sizes of the VMs on a host stay within its capacity less a reserve.

    Parameters
    ----------
    resource
        "memory": assigned memory, MiB (static: held whether touched or not). "cpu": the sum of the VMs' CPU caps,
        MHz, which is about promises, not about use; use is heat, and an objective.
    reserve
        What must stay free on every host, in the resource's unit.
    reserve_percent
        The same in per cent of the host's capacity, rounded down; the larger of the two counts.
    overcommit_percent
        How much may be promised, in per cent of capacity; 100 for memory on Hyper-V, always.
    name
        The rule's name.
    """

    resource: str = MEMORY
    reserve: int = 0
    reserve_percent: int = 0
    overcommit_percent: int = 100
    name: str = "memory capacity"

    def __post_init__(self) -> None:
        if self.resource not in (MEMORY, CPU):
            raise ValueError(f"capacity of {self.resource!r}: VMs hold only memory and cpu")
        if min(self.reserve, self.reserve_percent, self.overcommit_percent) < 0:
            raise ValueError("a reserve and an overcommit factor must not be negative")

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every host that holds too much; `amount` in the resource's unit."""
        unit = RESOURCES[self.resource].unit
        column = fleet.resources.index(self.resource)
        on: dict[int, list[int]] = {}
        for v, host in enumerate(host_of.tolist()):
            on.setdefault(host, []).append(v)
        size = (fleet.memory_mib if self.resource == MEMORY else fleet.cpu_cap_mhz).tolist()
        found = []
        for h in sorted(on):
            capacity = int(fleet.capacity[h, column])
            reserve = max(self.reserve, capacity * self.reserve_percent // 100)
            room = max(capacity * self.overcommit_percent // 100 - reserve, 0)
            used = sum(size[v] for v in on[h])
            if used > room:
                kept = f" with {reserve:,} {unit} in reserve" if reserve else ""
                text = f"{say_host(fleet, h)} is {used - room:,} {unit} short: its VMs hold {used:,} of {room:,} {unit}{kept}"
                found.append(Violation(self.name, text, used - room, vm_ids(fleet, on[h]), (fleet.hosts[h],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit]:
        """One limit over all hosts."""
        capacity = fleet.capacity[:, fleet.resources.index(self.resource)]
        reserve = np.maximum(self.reserve, capacity * self.reserve_percent // 100)
        upper = np.maximum(capacity * self.overcommit_percent // 100 - reserve, 0)[:, None]
        size = fleet.memory_mib if self.resource == MEMORY else fleet.cpu_cap_mhz
        yield Limit(
            vms=np.arange(fleet.n_vms),
            weight=size[:, None],
            scope=np.arange(fleet.n_hosts),
            base=np.zeros_like(upper),
            upper=upper,
            when="after",
            label=self.name,
        )
