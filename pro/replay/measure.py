"""What a course was good for, counted on what really happened afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.remediation.antiflap import Trip, undone
from pro.replay.course import stretches
from pro.replay.past import STEP_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Floats
    from pro.replay.course import Moved
    from pro.replay.past import Past


IDLE_W, BUSY_W = 100.0, 250.0
"""Watts of a host that is on, idle and at full use, linear in between; none of an empty host, which could be switched off. A stand-in for
servers whose power nobody measured: only the difference between two policies means anything."""
DAY_S, WEEK_S = 86_400, 604_800


@dataclass(frozen=True)
class Account:
    """One policy's row.

    Attributes
    ----------
    hot_minutes, area
        Host-minutes over the threshold, and per cent x hours over it.
    hot_minutes_vms, area_vms
        The same for VMs' loads alone, without what hosts spend on themselves.
    peak
        Highest use of any host, as a fraction of its capacity; above 1 VMs did not get what they asked for.
    contention_minutes
        VM-minutes on hosts that were asked for more than they have.
    migrations, gib, blackout_s
        Carried out; on the wire; summed over them.
    undone
        Migrations that took a VM back to a host it had left within 24 hours.
    moves_per_vm_week
        Migrations for every VM and week.
    hosts_on, energy_kwh
        Mean number of hosts with at least one VM; by the linear model of `IDLE_W` and `BUSY_W`.
    known
        Share of the VMs' samples that exist; what is missing counts as no load, for every policy alike.
    """

    hot_minutes: int
    area: float
    hot_minutes_vms: int
    area_vms: float
    peak: float
    contention_minutes: int
    migrations: int
    migrations_per_day: float
    gib: float
    blackout_s: float
    undone: int
    moves_per_vm_week: float
    hosts_on: float
    energy_kwh: float
    known: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def account(past: Past, trail: Sequence[Moved], threshold: float) -> Account:
    """Count over every column after `past.first` up to `past.last`."""
    first, last = past.first + 1, past.last + 1
    parts = stretches(past, trail, past.last)
    stands = np.concatenate([np.repeat(host_of[:, None], e - b, axis=1) for b, e, host_of in parts], axis=1)
    share, own = shares(past, trail), past.own[:, first:last] / past.capacity[:, None]
    vms_only = np.maximum(share - own, 0.0)
    full = np.take_along_axis(share, stands, axis=0) > 1.0
    held = np.zeros(share.shape)
    np.add.at(held, (stands, np.broadcast_to(np.arange(stands.shape[1]), stands.shape)), 1.0)
    on = held > 0
    watts = np.where(on, IDLE_W + (BUSY_W - IDLE_W) * np.clip(share, 0, 1), 0.0)
    span_s = (last - first) * STEP_S
    trips = [Trip(m.vm, m.source, m.destination, past.at(m.column)) for m in trail]
    return Account(
        hot_minutes=_minutes(share, threshold), area=_area(share, threshold),
        hot_minutes_vms=_minutes(vms_only, threshold), area_vms=_area(vms_only, threshold),
        peak=round(float(share.max(initial=0.0)), 4), contention_minutes=int(full.sum()) * STEP_S // 60,
        migrations=len(trail), migrations_per_day=round(len(trail) * DAY_S / max(span_s, 1), 2),
        gib=round(sum(m.mib for m in trail) / 1024, 2), blackout_s=round(sum(m.blackout_s for m in trail), 2),
        undone=undone(trips), moves_per_vm_week=round(len(trail) / max(past.fleet.n_vms, 1) * WEEK_S / max(span_s, 1), 4),
        hosts_on=round(float(on.sum(axis=0).mean()), 2), energy_kwh=round(float(watts.sum()) * STEP_S / 3.6e6, 2),
        known=round(float(np.isfinite(past.use[:, first:last]).mean()), 4),
    )  # fmt: skip


def shares(past: Past, trail: Sequence[Moved]) -> Floats:
    """(H, T) use of every host as a fraction of its capacity, at every column after `past.first` up to `past.last`."""
    parts = [past.load(host_of, begin, end) for begin, end, host_of in stretches(past, trail, past.last)]
    return np.asarray(np.concatenate(parts, axis=1) / past.capacity[:, None])


def _minutes(share: Floats, over: float) -> int:
    return int((share > over).sum()) * STEP_S // 60


def _area(share: Floats, over: float) -> float:
    return round(float(np.maximum(share - over, 0).sum()) * 100 * STEP_S / 3600, 2)
