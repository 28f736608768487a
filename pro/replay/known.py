"""How much of the replayed time is known, and what of it cannot be. What is missing counts as no load, and that must be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import counted, plain
from pro.fleet.readiness import BLIND
from pro.replay.past import STEP_S

if TYPE_CHECKING:
    from pro.core.arrays import Bools, Floats, Ints
    from pro.replay.past import Past

ENOUGH = 0.95
"""From this share of the VMs' processors on, what is missing is not worth a word in the verdict."""
MOSTLY = 0.5
DARK_S = 3600
"""So long may no VM at all be seen before it is said: collectors restart."""
NAMED = 3
IMPOSSIBLE = 1.05
"""A VM that is measured at more than so many times its size is worth a warning; counters round."""


@dataclass(frozen=True)
class Known:
    """What is known of the replayed time.

    Attributes
    ----------
    share
        Of the VMs' processors and of the time, weighed by their size.
    dark
        (T,) instants at which no VM was seen.
    unseen
        VMs that were not seen for most of the other instants, the largest first.
    above
        (V,) share of the samples in which a VM was measured above its size.
    """

    past: Past
    share: float
    dark: Bools
    unseen: Ints
    above: Floats

    @staticmethod
    def of(past: Past) -> Known:
        """Look at what is replayed of `past`."""
        use = past.use[:, past.first + 1 : past.last + 1]
        seen = np.isfinite(use)
        size = np.maximum(past.fleet.cpu_cap_mhz.astype(np.float64), 1.0)
        dark = np.asarray(~seen.any(axis=0))
        share = float((size @ seen).sum() / max(size.sum() * seen.shape[1], 1.0))
        unseen = np.flatnonzero((seen & ~dark).sum(axis=1) < MOSTLY * max((~dark).sum(), 1))
        above = (use > IMPOSSIBLE * size[:, None]).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        return Known(past, share, dark, unseen[np.argsort(-size[unseen], kind="stable")], above)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that is missing and matters."""
        return tuple(w for w in (self._dark(), self._share(), self._unseen(), self._above()) if w)

    def clause(self) -> str:
        """The same for the verdict, as a clause; "" where enough is known."""
        if self.share < ENOUGH:
            return f"only {_percent(self.share)} of the VMs' processor time is known, and the rest counts as no load"
        fleet = self.past.fleet
        large = [v for v in self.unseen.tolist() if fleet.cpu_cap_mhz[v] > BLIND * self.past.capacity[fleet.host_of[v]]]
        if not large:
            return ""
        verb = "was not seen for most of it and counts" if len(large) == 1 else "were not seen for most of it and count"
        return f"{self._names(large)} {verb} as no load"

    def _dark(self) -> str:
        if self.dark.sum() * STEP_S < DARK_S:
            return ""
        hours, whole = (n * STEP_S / 3600 for n in (int(self.dark.sum()), self.dark.size))
        begins = int(np.argmin(self.dark))
        since = (
            f": the first samples of VMs in it are of {self.past.at(self.past.first + 1 + begins):%Y-%m-%d %H:%M} UTC"
            if begins
            else ""
        )
        return f"no VM's processors are known for {hours:.3g} of the {whole:.3g} hours, which counts as no load{since}"

    def _share(self) -> str:
        if self.share >= ENOUGH:
            return ""
        return f"{_percent(self.share)} of the VMs' processor time is known (by size of the VMs); what is missing counts as no load"

    def _unseen(self) -> str:
        if not self.unseen.size:
            return ""
        verb = "was" if self.unseen.size == 1 else "were"
        return f"{self._names(self.unseen.tolist())} {verb} not seen for most of the time, which counts as no load"

    def _above(self) -> str:
        vms = np.flatnonzero(self.above)
        if not vms.size:
            return ""
        worst = vms[np.argsort(-self.above[vms], kind="stable")].tolist()
        one, often = len(worst) == 1, _percent(float(self.above[worst[0]]))
        return (
            f"{self._names(worst)} {'was' if one else 'were'} measured above what such a VM can use, in {often if one else 'up to ' + often} "
            f"of the samples, a wrong unit or a wrong size: {'it counts' if one else 'they count'} as full then"
        )

    def _names(self, vms: list[int]) -> str:
        fleet = self.past.fleet
        named = [f"{plain(fleet.vm_names[v])} ({fleet.cpu_cap_mhz[v] / 1000:.1f} GHz)" for v in vms[:NAMED]]
        more = len(vms) - len(named)
        parts = [*named, *([counted(more, "more VM")] if more else [])]
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _percent(share: float) -> str:
    """Never rounded to nothing or to all."""
    if share < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.995 <= share < 1 else f"{share:.0%}"
