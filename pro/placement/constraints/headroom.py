"""A host that takes VMs in keeps something free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import MEMORY
from pro.placement.constraints.common import say_host, vm_ids
from pro.placement.language import Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class Headroom:
    """No host is filled until less than `reserve` MiB of memory are free; what it holds today it may hold.

    Always holds today, because it compares with today. The upper end of VMM's ladder of host reserves, of which the lower
    ones are `Capacity`: `place` gives it up only to repair what is broken.
    """

    reserve: int
    name: str = "placement reserve"

    def __post_init__(self) -> None:
        if self.reserve < 0:
            raise ValueError("a reserve must not be negative")

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every host that is too full and fuller than today; `amount` in MiB."""
        column = fleet.resources.index(MEMORY)
        today, on = [0] * len(fleet.hosts), dict[int, list[int]]()
        for v in range(len(fleet.vms)):
            today[int(fleet.host_of[v])] += int(fleet.memory_mib[v])
            on.setdefault(int(host_of[v]), []).append(v)
        found = []
        for h, vms in sorted(on.items()):
            used = sum(int(fleet.memory_mib[v]) for v in vms)
            room = max(int(fleet.capacity[h, column]) - self.reserve, today[h])
            if used > room:
                free = int(fleet.capacity[h, column]) - used
                text = f"{say_host(fleet, h)} keeps {free:,} of {self.reserve:,} MiB free"
                found.append(Violation(self.name, text, used - room, vm_ids(fleet, vms), (fleet.hosts[h],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit]:
        """One limit over all hosts."""
        today = np.bincount(fleet.host_of, weights=fleet.memory_mib, minlength=fleet.n_hosts).astype(np.int64)
        room = fleet.capacity[:, fleet.resources.index(MEMORY)] - self.reserve
        upper = np.maximum(room, today)[:, None]
        yield Limit(
            vms=np.arange(fleet.n_vms), weight=fleet.memory_mib[:, None], scope=np.arange(fleet.n_hosts),
            base=np.zeros_like(upper), upper=upper, when="after", label=self.name,
        )  # fmt: skip
