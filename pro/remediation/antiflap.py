"""Anti-flap: when not to act, and on what. Pure values and functions; gates and backtests ask the same ones.

Dwell: a host must have been hot for a while. Margin: act above the threshold, plan to below it. Cooldown: a VM rests after a
migration, longer each time. Oscillation ledger: going back where it came from needs more gain. Hold: too many hosts hot at once, or
values that cannot be, point at bad data and not at bad hosts. Relief before packing: while hosts are hot only their VMs move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.core.arrays import Bools
    from pro.fleet import Fleet

    Floats = NDArray[np.floating[Any]]


DAY = timedelta(days=1)
LEAD_H = 3.0
"""Heat that is expected later than this can wait for a later look."""
SAVED_DAYS = 2.5
"""So many days' migrations may be saved up while little moves; it begins with these."""


@dataclass(frozen=True)
class AntiFlap:
    """How steady a policy is.

    Attributes
    ----------
    dwell_minutes
        A host that is measured hot is acted on once it has been so for this long without a break.
    margin
        Fraction of capacity: hosts are hot above the threshold, plans aim at `threshold - margin`.
    cooldown_minutes, longest_minutes
        Rest of a VM after a migration; every further one within the ledger doubles it, up to the longest.
    ledger_h
        Hours for which it is remembered where a VM came from.
    return_gain
        A VM goes back to a host it left within the ledger only if that gains so many times what a migration must gain anyway.
    most_hot, fewest
        More than this share of the hosts, and at least so many, hot at once: the data is doubted.
    impossible, usual
        A VM that is measured at more than so many times its own processors, and more than so many times what is usual for it, is not
        believed: that is a unit error, not load.
    """

    dwell_minutes: float = 15.0
    margin: float = 0.05
    cooldown_minutes: float = 240.0
    longest_minutes: float = 2880.0
    ledger_h: float = 24.0
    return_gain: float = 10.0
    most_hot: float = 0.4
    fewest: int = 4
    impossible: float = 1.5
    usual: float = 10.0


@dataclass(frozen=True)
class Trip:
    """A migration that is over: `vm` left `source` and arrived on `destination` at `ended`."""

    vm: str
    source: str
    destination: str
    ended: datetime


def rest(trips: int, first_min: float, longest_min: float) -> timedelta:
    """How long a VM rests after the last of so many trips within the ledger: doubled by each, up to the longest."""
    return timedelta(minutes=min(first_min * 2.0 ** (min(trips, 64) - 1), longest_min))


def resting(trips: Iterable[Trip], now: datetime, rules: AntiFlap) -> dict[str, datetime]:
    """VM -> until when it rests, of those that rest now. Trips within the ledger, or within the longest rest, count."""
    memory = max(timedelta(hours=rules.ledger_h), timedelta(minutes=rules.longest_minutes))
    lately: dict[str, list[datetime]] = {}
    for trip in trips:
        if trip.ended > now - memory:
            lately.setdefault(trip.vm, []).append(trip.ended)
    until = {vm: max(at) + rest(len(at), rules.cooldown_minutes, rules.longest_minutes) for vm, at in lately.items()}
    return {vm: at for vm, at in until.items() if at > now}


def came_from(trips: Iterable[Trip], now: datetime, rules: AntiFlap) -> dict[str, tuple[str, ...]]:
    """VM -> hosts it left within the ledger, sorted: the way back that needs more gain."""
    left: dict[str, set[str]] = {}
    for trip in trips:
        if trip.ended > now - timedelta(hours=rules.ledger_h):
            left.setdefault(trip.vm, set()).add(trip.source)
    return {vm: tuple(sorted(hosts)) for vm, hosts in left.items()}


def steadied(fleet: Fleet, trips: Sequence[Trip], now: datetime, rules: AntiFlap) -> Fleet:
    """The fleet in which VMs that rest stay where they are."""
    rests = resting(trips, now, rules)
    return staying(fleet, {vm: f"moved lately and rests until {at:%Y-%m-%d %H:%M} UTC" for vm, at in rests.items()})


def staying(fleet: Fleet, why: Mapping[str, str]) -> Fleet:
    """The fleet in which these VMs (id -> why, as said of it) stay where they are. Restarts after a failure do not ask."""
    stays = np.array([vm in why for vm in fleet.vms], dtype=np.bool_)
    return replace(fleet, movable=fleet.movable & ~stays, steady={**fleet.steady, **why})


def leaving_only(fleet: Fleet, hosts: Iterable[str]) -> Fleet:
    """The fleet in which only VMs on `hosts` (ids) move: while some are hot, nothing is packed."""
    hot = set(hosts)
    stands = (fleet.hosts[h] for h in fleet.host_of.tolist())
    calm = {vm: "its host is not hot, and others are" for vm, h in zip(fleet.vms, stands, strict=True) if h not in hot}
    return staying(fleet, calm)


def daily(vms: int) -> int:
    """Migrations a day, on the average, where nobody says: one for every 30 VMs, at least 2."""
    return max(2, -(-vms // 30))


def saved(trips: Sequence[Trip], now: datetime, daily: int, days: float) -> int:
    """Migrations that are left of a bucket which `daily` fills in a day, holds those of `days` days, and was full before the first."""
    most = left = days * daily
    since = min((t.ended for t in trips), default=now)
    for ended in sorted(t.ended for t in trips):
        left, since = min(left + daily * ((ended - since) / DAY), most) - 1, ended
    return math.floor(min(left + daily * ((now - since) / DAY), most) + 1e-9)


def undone(trips: Sequence[Trip], hours: float = 24.0) -> int:
    """How many of `trips`, in the order of their end, took a VM back to a host it had left within the `hours` before."""
    left: dict[tuple[str, str], datetime] = {}
    back = 0
    for trip in trips:
        at = left.get((trip.vm, trip.destination))
        back += at is not None and trip.ended - at <= timedelta(hours=hours)
        left[trip.vm, trip.source] = trip.ended
    return back


def lasting(hot: Bools) -> NDArray[np.int64]:
    """(H,) how many samples up to the newest each row of `hot` (H, T) has been true without a break."""
    backwards = hot[:, ::-1]
    run: NDArray[np.int64] = np.where(backwards.all(axis=1), hot.shape[1], np.argmin(backwards, axis=1))
    return run


def doubt(hot: int, hosts: int, rules: AntiFlap) -> str:
    """Why the data is doubted when `hot` of `hosts` look hot at once; "" if it is not."""
    if hot > rules.most_hot * max(hosts, 1) and hot >= rules.fewest:
        return f"{hot} of {hosts} hosts look hot: the data may be wrong, a person must look"
    return ""


def incredible(share: Floats, rules: AntiFlap) -> Bools:
    """(V, T) values of `share`, in shares of a VM's own processors, that cannot be. What is usual for a VM is its median."""
    high: Bools = share > rules.impossible
    rows = np.flatnonzero(high.any(axis=1))
    if rows.size:
        usual = np.maximum(np.nanmedian(share[rows], axis=1, keepdims=True), 0.01)
        high[rows] &= share[rows] > rules.usual * usual
    return high


def worth_returning(gain: float, least: float, moves: int, rules: AntiFlap) -> bool:
    """Whether the extra `gain` of a plan with VMs that go back is enough: `return_gain` times what `moves` must gain anyway."""
    return gain > rules.return_gain * least * max(moves, 1)
