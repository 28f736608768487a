"""What each migration would cost on this fleet: physics, profile and what is known of the VMs, put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pro.planning.physics import (
    BUSY_WRITABLE_SHARE,
    IDLE_WRITABLE_MIB,
    Dirtying,
    Transfer,
    assumed_dirtying,
    pre_copy,
    save_and_resume,
)
from pro.planning.profiles import Profile, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pro.fleet import Demand, Fleet

LIVE, QUICK = "live", "quick"

_TYPICAL = 0.9


def cpu_fraction(fleet: Fleet, demand: Demand | None, vm: int) -> float | None:
    """The share of its CPU cap that `vm` uses at nine moments in ten or more (None: no demand known).

    A plan may be applied at any moment of the horizon, so this is on the careful side of typical.
    """
    if demand is None or demand.moments == 0 or demand.known[vm] <= 0 or fleet.cpu_cap_mhz[vm] <= 0:
        return None
    cpu = fleet.resources.index("cpu")
    return float(np.quantile(demand.use[vm, cpu], _TYPICAL)) / float(fleet.cpu_cap_mhz[vm])


@dataclass(frozen=True)
class Estimates:
    """Prices migrations. `measured` (VM id -> Dirtying) wins over the fleet's measured rates, those over a guess from CPU.

    `consent_quick`: a VM may be saved and resumed where live migration is refused.
    """

    fleet: Fleet
    demand: Demand | None
    profile: Profile
    measured: Mapping[str, Dirtying]
    consent_quick: bool = False
    _dirtying: dict[int, Dirtying] = field(default_factory=dict, init=False, repr=False, compare=False)

    def dirtying(self, vm: int) -> Dirtying:
        """How `vm` writes its memory."""
        if vm not in self._dirtying:
            memory, rate = int(self.fleet.memory_mib[vm]), float(self.fleet.dirty_mib_s[vm])
            if rate >= 0:
                known = Dirtying(rate, max(BUSY_WRITABLE_SHARE * memory, IDLE_WRITABLE_MIB))
            else:
                known = assumed_dirtying(memory, cpu_fraction(self.fleet, self.demand, vm))
            self._dirtying[vm] = self.measured.get(self.fleet.vms[vm], known)
        return self._dirtying[vm]

    def transfer(
        self, kind: str, vm: int, source: int, destination: int, sharers: tuple[int, int] = (1, 1)
    ) -> Transfer:
        """The cost of one migration; `sharers`: how many use the source's and the destination's link, this one included."""
        memory, profile = int(self.fleet.memory_mib[vm]), self.profile
        if kind == QUICK:
            return save_and_resume(memory, profile.quick_mibps, profile.law)
        mbps = self.fleet.migration_mbps
        link = min(int(mbps[source]) / sharers[0], int(mbps[destination]) / sharers[1])
        return pre_copy(memory, profile.mibps(link), self.dirtying(vm), profile.law)

    def kind(self, vm: int, source: int, destination: int) -> tuple[str, str]:
        """("live" | "quick", "") or ("", why neither is possible) for `vm` between two hosts (indices)."""
        if not self.fleet.movable[vm]:
            return "", "this VM cannot be migrated"
        words = refusal(self.profile, self.fleet, source, destination)
        if words:
            return "", f"{self.profile.name} does not migrate it: {words}"
        if self.fleet.memory_mib[vm] <= 0:
            return "", "its memory size is not known"
        words = self._not_live(vm, source, destination)
        if not words:
            return LIVE, ""
        if self.consent_quick and self.fleet.highly_available[vm]:
            return QUICK, ""
        why = "was not consented to" if self.fleet.highly_available[vm] else "needs a highly available VM"
        return "", f"{words}, and quick migration {why}"

    def _not_live(self, vm: int, source: int, destination: int) -> str:
        memory, limit = int(self.fleet.memory_mib[vm]), self.profile.live_memory_mib
        if limit and memory > limit:
            return f"live migration takes at most {limit:,} MiB and it has {memory:,}"
        blackout = self.transfer(LIVE, vm, source, destination).blackout_s
        if blackout > self.profile.max_blackout_s:
            return f"it writes memory too fast: live migration would pause it for {blackout:,.0f} s"
        return ""
