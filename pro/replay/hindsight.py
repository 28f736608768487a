"""Hindsight: what a plan was good for, counted on the samples that came after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.core.arrays import Floats, Ints
    from pro.fleet import Fleet
    from pro.planning.plan import Plan
    from pro.workflow import Recommendation


STEP_S = 300


@dataclass(frozen=True)
class Hindsight:
    """Real CPU loads of the `hours` after the plan, once with VMs where they stood, once where the plan puts them.

    Minutes count hosts over the threshold on a 5-minute grid; areas are per cent x hours over it. A host's use is the sum
    of its VMs' loads; with `base`, what hosts spend on themselves is added. `known`: share of VM samples that exist; what
    is missing counts as no load, on both sides alike.
    """

    hours: float
    base: bool
    minutes_before: int
    minutes_after: int
    area_before: float
    area_after: float
    peak_before: float
    peak_after: float
    known: float

    def to_json(self) -> dict[str, Any]:
        """Schema "hindsight/1"."""
        return {"schema": "hindsight/1", **asdict(self)}


def hindsight(root: Path, found: Recommendation, hours: float = 24.0, *, base: bool = False) -> Hindsight:
    """Replay what really happened in the `hours` after `found` was recommended. Each VM moves when its migration ends."""
    use, known = really_used(root, found, hours)
    fleet = found.outlook.fleet
    capacity = fleet.capacity[:, 0].astype(np.float64)[:, None]
    own = found.outlook.demand.base[:, 0, 0].astype(np.float64)[:, None] if base else 0.0
    stood = np.repeat(fleet.host_of[:, None], use.shape[1], axis=1)
    stands = where(fleet, found.plan, use.shape[1])
    before, after = ((_sum(use, at, fleet.n_hosts) + own) / capacity for at in (stood, stands))
    over = found.report.threshold
    return Hindsight(
        hours=hours, base=base,
        minutes_before=_minutes(before, over), minutes_after=_minutes(after, over),
        area_before=_area(before, over), area_after=_area(after, over),
        peak_before=round(float(before.max(initial=0)), 4), peak_after=round(float(after.max(initial=0)), 4), known=known,
    )  # fmt: skip


def where(fleet: Fleet, plan: Plan, steps: int) -> Ints:
    """(V, T) host of every VM at every 5-minute step after the plan's start."""
    stands = np.repeat(fleet.host_of[:, None], steps, axis=1)
    for m in plan.migrations:
        arrives = int((m.starts_s + m.seconds) // STEP_S)
        stands[fleet.vm_index(m.vm), arrives:] = fleet.host_index(m.destination)
    return stands


def really_used(root: Path, found: Recommendation, hours: float) -> tuple[Floats, float]:
    """(V, T) MHz that every VM used, and the share of it that is known."""
    from pro.fleet.archive import load_inventory, resized
    from pro.fleet.entities import entity_of
    from pro.telemetry.store import Store

    fleet, now, steps = found.outlook.fleet, found.outlook.now, int(hours * 3600 // STEP_S)
    end = now + timedelta(hours=hours)
    grid = Store(root).grid("cpu_pct", end, days=hours / 24, step_s=STEP_S)
    values = grid.values[:, -steps:].astype(np.float64)
    instants = [grid.cutoff - timedelta(seconds=STEP_S * k) for k in reversed(range(values.shape[1]))]
    sizes = resized(root, load_inventory(root, end), now)
    use = np.full((fleet.n_vms, steps), np.nan)
    matched = entity_of(fleet, grid.entities)
    for e in np.flatnonzero(matched.vm >= 0):
        v = matched.vm[e]
        # Per cent are of what the VM had at that instant, the fleet tells what it had when the plan was made.
        pieces = sizes.get(fleet.vms[v], ())
        had = np.array([_ratio(pieces, at) for at in instants]) / _ratio(pieces, now) if pieces else 1.0
        use[v] = np.minimum(values[e] / 100, 1.0) * fleet.cpu_cap_mhz[v] * had
    return np.nan_to_num(use), round(float(np.isfinite(use).mean()), 4) if use.size else 0.0


def _ratio(pieces: Sequence[tuple[datetime, float]], at: datetime) -> float:
    """How many times what it had in the end a VM had at `at`; `pieces` as `archive.resized` gives them."""
    return next((ratio for until, ratio in pieces if at <= until), 1.0)


def _sum(use: Floats, at: Ints, hosts: int) -> Floats:
    total = np.zeros((hosts, use.shape[1]))
    np.add.at(total, (at, np.broadcast_to(np.arange(use.shape[1]), use.shape)), use)
    return total


def _minutes(fraction: Floats, over: float) -> int:
    return int((fraction > over).sum()) * STEP_S // 60


def _area(fraction: Floats, over: float) -> float:
    return round(float(np.maximum(fraction - over, 0).sum()) * 100 * STEP_S / 3600, 2)
