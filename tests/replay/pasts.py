"""Small pasts made of arrays: a few hosts of one cluster, VMs with given loads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.fleet.snapshot import snapshot
from pro.fleet.tables import build_inventory
from pro.replay.past import STEP_S, Past, measured
from pro.telemetry.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Floats
    from pro.fleet import RuleSpec


START = datetime(2024, 3, 4, 0, 5, tzinfo=UTC)
DAY = 288
CAP = 10_000
"""MHz of every VM; a host has twice as much."""


def past_of(
    share: Floats, stands: Sequence[int], *, hosts: int = 0, rules: Sequence[RuleSpec] = (), history: int = 2 * DAY,
    memory_mib: int = 4096,
) -> Past:  # fmt: skip
    """A past in which VM v used `share[v]` (V, T) of its own processors, standing on host `stands[v]` at first.

    A host has twice a VM's processors: two busy VMs fill it. `share` may hold NaN (nobody knows) and nonsense.
    """
    count = hosts or max(stands) + 1
    machines: list[dict[str, Any]] = [
        {"host": f"H{h}", "cluster": "C", "hypervisor": "Hyper-V 2012", "cpu_vendor": "Intel", "cpu_family": "F", "cores": 8,
         "core_mhz": 2 * CAP // 8, "memory_mib": 65_536, "migration_mbps": 10_000, "state": "ok"}
        for h in range(count)
    ]  # fmt: skip
    guests: list[dict[str, Any]] = [
        {"vm": f"V{v:02d}", "vcpus": 4, "cpu_cap_mhz": CAP, "memory_mib": memory_mib, "host": f"H{h}", "cluster": "C",
         "highly_available": True}
        for v, h in enumerate(stands)
    ]  # fmt: skip
    fleet = snapshot(build_inventory(machines, guests, rules, START), START, leave_out=True)
    grid = Grid("cpu_pct", fleet.vms, START, STEP_S, (100.0 * share).astype(np.float32))
    stood = np.repeat(fleet.host_of[:, None], share.shape[1], axis=1)
    use, own, counted = measured(fleet, {"cpu_pct": grid}, stood, history)
    return Past(fleet, history, share.shape[1] - 1, {"cpu_pct": grid}, use, own, counted)


def at(column: int) -> datetime:
    """Instant of a column."""
    return START + timedelta(seconds=column * STEP_S)


def steady(level: Sequence[float], days: float = 3.0, seed: int = 1) -> Floats:
    """(V, T) loads that stay near their level, with a little noise."""
    rng = np.random.default_rng(seed)
    base = np.array(level, dtype=np.float64)[:, None]
    return np.clip(base + 0.02 * rng.standard_normal((len(level), round(days * DAY))), 0.0, 1.0)
