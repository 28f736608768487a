"""What a policy sees at one instant, and what it answers. Nothing later than the instant is within its reach."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pro.fleet.readiness import BLIND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.config import Config
    from pro.core.arrays import Bools, Floats, Ints
    from pro.fleet import Fleet
    from pro.forecast import Scenarios
    from pro.planning.plan import Migration
    from pro.remediation.antiflap import Trip
    from pro.telemetry import Grid


class Reader(Protocol):
    """Counters and forecasts up to an instant."""

    def history(self, days: float) -> dict[str, Grid]:
        """Counters of the last `days`, host counters as the replay has them."""
        ...

    def trips(self) -> tuple[Trip, ...]:
        """Migrations that are over, oldest first."""
        ...

    def scenarios(self, config: Config) -> Mapping[str, Scenarios]:
        """Joint paths drawn at this instant; shared by all policies that ask for the same."""
        ...


@dataclass(frozen=True)
class View:
    """The estate at `now`.

    `placed` (V,) hosts where VMs stand; `coming` (VM -> host) those on their way. `use` (V, T) MHz of VMs by their counters, `load` (H, T) MHz
    of hosts and `counted` (H, T) whether they were counted, up to now, 5 minutes apart. `base`: the fleet as it was at first.
    """

    now: datetime
    base: Fleet
    placed: Ints
    coming: Mapping[str, str]
    use: Floats
    load: Floats
    counted: Bools
    reader: Reader = field(repr=False)

    @cached_property
    def fleet(self) -> Fleet:
        """The fleet, VMs on the hosts where they stand."""
        return replace(self.base, host_of=self.placed, at=self.now)

    @cached_property
    def trips(self) -> tuple[Trip, ...]:
        """Migrations that are over, oldest first."""
        return self.reader.trips()

    @cached_property
    def since(self) -> dict[str, datetime]:
        """Host -> since when its VMs are those of now, for hosts on which that changed."""
        return {host: t.ended for t in self.trips for host in (t.source, t.destination)}

    @cached_property
    def capacity(self) -> Floats:
        """(H,) MHz."""
        return self.base.capacity[:, self.base.resources.index("cpu")].astype(np.float64)

    @cached_property
    def blind(self) -> Bools:
        """(H,) hosts on which more than a fifth of the processor caps has had no value for a quarter of an hour."""
        dark = ~np.isfinite(self.use[:, -3:]).any(axis=1)
        if not dark.any():
            return np.zeros(self.base.n_hosts, dtype=np.bool_)
        caps = np.bincount(self.placed, weights=self.base.cpu_cap_mhz, minlength=self.base.n_hosts)
        lost = np.bincount(self.placed[dark], weights=self.base.cpu_cap_mhz[dark], minlength=self.base.n_hosts)
        return np.asarray(lost > BLIND * caps)

    def share(self, samples: int) -> Floats:
        """(H, samples) newest use of every host as a fraction of its capacity; NaN on hosts nobody sees."""
        out: Floats = self.load[:, -samples:] / self.capacity[:, None]
        return np.where(self.blind[:, None], np.nan, out)

    def recent(self, samples: int) -> Floats:
        """(V,) MHz, mean of the known among the newest samples, none above the VM's size; of an unknown VM, nothing."""
        part = np.minimum(self.use[:, -samples:], self.base.cpu_cap_mhz[:, None])
        count = np.isfinite(part).sum(axis=1)
        total = np.nansum(part, axis=1)
        mean: Floats = np.divide(total, count, out=np.zeros(part.shape[0]), where=count > 0)
        return mean

    def moved(self, placed: Ints) -> Fleet:
        """The fleet with VMs elsewhere."""
        return replace(self.fleet, host_of=placed)


@dataclass(frozen=True)
class Decision:
    """What to do now, and why, in a few words that repeat. `forecast`: a forecast was looked at."""

    migrations: tuple[Migration, ...] = ()
    why: str = "nothing is hot"
    forecast: bool = False


class Steering(Protocol):
    """A policy at work. Its memory goes in and out of JSON, so that a backtest can be taken up where it stopped."""

    def decide(self, view: View) -> Decision:
        """What to do at this instant."""
        ...

    def memory(self) -> dict[str, Any]:
        """All that `decide` needs to remember."""
        ...

    def recall(self, memory: dict[str, Any]) -> None:
        """The inverse of `memory`."""
        ...
