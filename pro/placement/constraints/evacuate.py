"""Hosts that the caller wants empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints.common import host_mask, say_host
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class Evacuate:
    """No VM stands on these hosts (ids). Broken today by every VM that does: those are to be moved off first."""

    hosts: tuple[str, ...]
    name: str = "evacuation"

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM on a host to be emptied."""
        found = []
        for v, vm in enumerate(fleet.vms):
            host = int(host_of[v])
            if fleet.hosts[host] in self.hosts:
                text = f"{plain(fleet.vm_names[v])} stands on {say_host(fleet, host)}, which is to be emptied"
                found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row."""
        yield Allow(np.arange(fleet.n_vms), ~host_mask(fleet, self.hosts), self.name)
