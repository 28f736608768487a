"""Which hosts will run hot, when, how surely, how badly, and because of which VMs. Counting moments, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import MEMORY
from pro.fleet.fleet import host_use
from pro.heat.hotspot import Cause, Hotspot

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Ints
    from pro.fleet.fleet import Demand, Fleet
    from pro.fleet.memory import MemoryUse

    Causes = Callable[[int, int, Bools], tuple[Cause, ...]]
    """Host, resource, moments (S, T) in which it is hot -> the VMs that cause it."""

MEMORY_THRESHOLD = 1.0
"""Assigned memory is there or it is not: a host is hot on memory only when more is asked of it than it has."""
CRITICAL_PROBABILITY, CRITICAL_PEAK = 0.5, 0.95
CAUSES = 10


def find_hotspots(
    fleet: Fleet,
    demand: Demand,
    *,
    threshold: float = 0.85,
    dwell_s: int = 900,
    min_probability: float = 0.3,
    host_of: Ints | None = None,
) -> tuple[Hotspot, ...]:
    """Hosts whose use of a resource passes `threshold` of capacity for at least `dwell_s` in at least `min_probability` of paths.

    Parameters
    ----------
    threshold
        Fraction of capacity; memory, which is held and not used up, is hot above `MEMORY_THRESHOLD` instead.
    dwell_s
        Seconds without a break above the threshold that make a path hot; rounded up to whole slots.
    min_probability
        Least share of paths in which the host is hot for it to be reported.
    host_of
        (V,) where the VMs stand; the fleet's present placement if None.

    Returns
    -------
    Hotspots, worst first: critical before warning, then by expected hot minutes, probability, host id. `severity` is "critical"
    where probability >= 0.5 and expected peak >= 0.95 of capacity, else "warning".
    """
    placed = fleet.host_of if host_of is None else host_of
    over = _over(fleet, demand, host_use(demand, placed, fleet.n_hosts), threshold)
    ask = _Asked(demand.start, demand.step_s, dwell_s, min_probability)

    def causes(h: int, r: int, sustained: Bools) -> tuple[Cause, ...]:
        vms = np.flatnonzero(placed == h)
        return _causes(fleet, vms, demand.use[vms, r][:, sustained.reshape(-1)].sum(axis=1, dtype=np.int64))

    return _found(fleet, fleet.resources, over, ask, causes)


def find_short(
    fleet: Fleet,
    memory: MemoryUse,
    *,
    threshold: float = 0.95,
    dwell_s: int = 900,
    min_probability: float = 0.3,
    host_of: Ints | None = None,
) -> tuple[Hotspot, ...]:
    """Hosts whose memory in use by counters passes `threshold` of what they have, as `find_hotspots` finds them; all are `measured`.

    The share of a VM is its part of what the VMs there hold.
    """
    placed = fleet.host_of if host_of is None else host_of
    capacity = fleet.capacity[:, [fleet.resources.index(MEMORY)]].astype(np.float64)[:, :, None, None]
    fraction = memory.placed(placed)[:, None] / np.maximum(capacity, 1)
    over = _Over(fraction, fraction > threshold, np.array([threshold]))

    def causes(h: int, r: int, sustained: Bools) -> tuple[Cause, ...]:
        vms = np.flatnonzero(placed == h)
        return _causes(fleet, vms, memory.held[vms])

    ask = _Asked(memory.start, memory.step_s, dwell_s, min_probability)
    return tuple(replace(spot, measured=True) for spot in _found(fleet, (MEMORY,), over, ask, causes))


@dataclass(frozen=True)
class _Asked:
    """When slot 0 begins, how long a slot is, and what makes a hotspot."""

    start: datetime
    step_s: int
    dwell_s: int
    min_probability: float


def _found(fleet: Fleet, resources: tuple[str, ...], over: _Over, ask: _Asked, causes: Causes) -> tuple[Hotspot, ...]:
    found = []
    sustained = lasting(over.above, max(-(-ask.dwell_s // ask.step_s), 1))
    probability = sustained.any(axis=3).mean(axis=2)
    for h, r in np.argwhere((probability >= ask.min_probability) & (probability > 0)).tolist():
        use = _Use(over.fraction[h, r], over.above[h, r], sustained[h, r])
        found.append(_hotspot(fleet.hosts[h], resources[r], use, ask, causes(h, r, use.sustained)))
    rank = {"critical": 0, "warning": 1}
    return tuple(
        sorted(found, key=lambda f: (rank[f.severity], -f.expected_hot_minutes, -f.probability, f.host, f.resource))
    )


@dataclass(frozen=True)
class _Over:
    """(H, R, S, T) use as a fraction of capacity, and whether it is above the resource's threshold."""

    fraction: NDArray[np.float64]
    above: Bools
    limit: NDArray[np.float64]


@dataclass(frozen=True)
class _Use:
    """(S, T) of one host and resource: use as a fraction of capacity, whether it is above the threshold, and for long enough."""

    fraction: NDArray[np.float64]
    above: Bools
    sustained: Bools


def _over(fleet: Fleet, demand: Demand, use: Ints, threshold: float) -> _Over:
    shape = (*use.shape[:2], demand.scenarios, demand.slots)
    capacity = fleet.capacity.astype(np.float64)[:, :, None, None]
    split = use.reshape(shape)
    # A capacity of 0 means nobody stated one: the resource cannot be judged on that host.
    fraction = np.divide(split, capacity, out=np.zeros(shape), where=capacity > 0)
    limit = np.array([MEMORY_THRESHOLD if r == MEMORY else threshold for r in fleet.resources])
    return _Over(fraction, fraction > limit[None, :, None, None], limit)


def lasting(above: Bools, need: int) -> Bools:
    """The moments of `above` (..., T) that belong to an unbroken run of at least `need` slots along the last axis."""
    if need <= 1:
        return above
    slots = above.shape[-1]
    if need > slots:
        return np.zeros_like(above)
    zero = np.zeros((*above.shape[:-1], 1), dtype=np.int64)
    count = np.concatenate([zero, np.cumsum(above, axis=-1)], axis=-1)
    begins = count[..., need:] - count[..., :-need] == need
    out = np.zeros_like(above)
    for k in range(need):
        out[..., k : k + begins.shape[-1]] |= begins
    return out


def _hotspot(host: str, resource: str, use: _Use, ask: _Asked, vms: tuple[Cause, ...]) -> Hotspot:
    first, last = _window(use.sustained.mean(axis=0), ask.min_probability)
    step = timedelta(seconds=ask.step_s)
    probability = float(use.sustained.any(axis=1).mean())
    peak = float(use.fraction.max(axis=1).mean())
    return Hotspot(
        host=host,
        resource=resource,
        starts=ask.start + first * step,
        ends=ask.start + (last + 1) * step,
        probability=probability,
        expected_peak=peak,
        expected_hot_minutes=float(use.above.sum(axis=1).mean()) * ask.step_s / 60,
        severity="critical" if probability >= CRITICAL_PROBABILITY and peak >= CRITICAL_PEAK else "warning",
        vms=vms,
    )


def _window(share: NDArray[np.float64], least: float) -> tuple[int, int]:
    """First and last slot that are hot with probability `least`; where none is, those near the likeliest slot's probability."""
    hot = np.flatnonzero((share >= least) & (share > 0))
    if hot.size == 0:
        hot = np.flatnonzero(share >= share.max() / 2)
    return int(hot[0]), int(hot[-1])


def _causes(fleet: Fleet, vms: Ints, use: Ints) -> tuple[Cause, ...]:
    """The `CAUSES` largest shares of `use` (n,) by `vms` (n,)."""
    total = int(use.sum())
    if total == 0:
        return ()
    order = np.argsort(-use, kind="stable")[:CAUSES]
    return tuple(Cause(fleet.vms[vms[i]], float(use[i] / total)) for i in order if use[i] > 0)


@dataclass(frozen=True)
class HeatSummary:
    """How hot the fleet will be under one placement; made twice, before and after, it says what a plan is worth.

    Attributes
    ----------
    hot_hosts
        Expected number of hosts that pass the threshold at some moment (any resource).
    hot_minutes
        Expected host-minutes above the threshold over the horizon (a host hot on two resources at once counts once).
    area
        Expected capacity-hours above the threshold: integral of (use / capacity - threshold) over time, summed over hosts
        and resources; 1.0 is one host's whole capacity for one hour.
    peak
        (H, R) expected highest use as a fraction of capacity.
    minutes
        (H, R) expected minutes above the threshold.
    hosts, resources
        Names of the axes.
    """

    hot_hosts: float
    hot_minutes: float
    area: float
    peak: NDArray[np.float64]
    minutes: NDArray[np.float64]
    hosts: tuple[str, ...]
    resources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `hosts` maps host -> resource -> [peak, minutes]."""
        return {
            "hot_hosts": self.hot_hosts,
            "hot_minutes": self.hot_minutes,
            "area": self.area,
            "hosts": {
                host: {r: [float(self.peak[i, k]), float(self.minutes[i, k])] for k, r in enumerate(self.resources)}
                for i, host in enumerate(self.hosts)
            },
        }


def summary(fleet: Fleet, demand: Demand, host_of: Ints, threshold: float = 0.85) -> HeatSummary:
    """Expected heat of the whole fleet if the VMs stand as `host_of` (V,) says. Dwell plays no part: every minute counts."""
    over = _over(fleet, demand, host_use(demand, host_of, fleet.n_hosts), threshold)
    minutes = demand.step_s / 60
    excess = np.clip(over.fraction - over.limit[None, :, None, None], 0.0, None)
    any_resource: Bools = np.asarray(over.above.any(axis=1))
    return HeatSummary(
        hot_hosts=float(any_resource.any(axis=2).mean(axis=1).sum()),
        hot_minutes=float(any_resource.sum(axis=2).mean(axis=1).sum()) * minutes,
        area=float(excess.sum(axis=3).mean(axis=2).sum()) * demand.step_s / 3600,
        peak=over.fraction.max(axis=3).mean(axis=2),
        minutes=over.above.sum(axis=3).mean(axis=2) * minutes,
        hosts=fleet.hosts,
        resources=fleet.resources,
    )


def to_json(hotspots: tuple[Hotspot, ...], now: datetime, horizon_s: int) -> dict[str, Any]:
    """The `hotspots/1` document: instants in ISO 8601 UTC, shares and probabilities as fractions, horizon in seconds."""
    return {
        "schema": "hotspots/1",
        "now": now.isoformat(),
        "horizon": horizon_s,
        "hotspots": [f.to_json() for f in hotspots],
    }
