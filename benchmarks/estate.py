"""How well do plans do on the day after? Rolling origins over an estate's own history.

    python -m benchmarks.estate FOLDER [--now T ...] [--work DIR] [--json]

FOLDER holds counters, hosts.csv, vms.csv and rules.json. For every origin T the walk sees nothing later than T; then the real
samples of the next 24 hours are replayed twice, once with the VMs where they stood and once where the plan puts them (each
VM moves when its migration ends). Counted on a 5-minute grid, VM loads summed per host, with and without what the host
itself spends: host-minutes over the threshold, and the area above it in %-hours.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from pro.config import load
from pro.fleet.entities import entity_of
from pro.fleet.inventory import import_inventory
from pro.telemetry.store import Store
from pro.workflow import Recommendation, policy_of, recommend

STEP_S = 300


@dataclass(frozen=True)
class Row:
    """One origin."""

    now: str
    hot_minutes_before: int
    hot_minutes_after: int
    area_before: float
    area_after: float
    hot_minutes_before_with_base: int
    hot_minutes_after_with_base: int
    migrations: int
    gib: float
    broken_before: float
    broken_after: float
    memory_over: int
    plan_seconds: float


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--now", action="append", help="origin, ISO 8601; default: each midnight with 3 days before and 1 after")
    options.add_argument("--work", type=Path, help="folder for the store; default: a temporary one")
    options.add_argument("--max-moves", type=int)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.work or Path(temporary)
        store = Store(root)
        if store.newest() is None:
            store.ingest([given.folder])
        origins = [datetime.fromisoformat(t) for t in given.now or []] or _midnights(store)
        import_inventory(root, [given.folder], min(origins) - timedelta(days=8))
        rows = [score(root, now, given.max_moves) for now in origins]
    if given.json:
        print(json.dumps([asdict(r) for r in rows], indent=1))
    else:
        _print(rows)


def score(root: Path, now: datetime, max_moves: int | None = None) -> Row:
    """Plan at `now`, replay the next day."""
    config = load()
    begun = time.monotonic()
    found = recommend(root, config, policy_of(config, max_moves=max_moves), now=now)
    seconds = time.monotonic() - begun
    use, base = _next_day(Store(root), found, now)
    stood, stands = _where(found, use.shape[1])
    capacity = found.outlook.fleet.capacity[:, 0].astype(float)
    before, after = (_replay(use, where, capacity) for where in (stood, stands))
    over = config.heat.threshold
    costs = {t.name: t for t in found.placement.tiers}
    own = base[:, None] / capacity[:, None]
    fleet = found.outlook.fleet
    held = np.bincount(stands[:, -1], weights=fleet.memory_mib, minlength=fleet.n_hosts)
    return Row(
        now=now.isoformat(),
        hot_minutes_before=_minutes(before, over), hot_minutes_after=_minutes(after, over),
        area_before=_area(before, over), area_after=_area(after, over),
        hot_minutes_before_with_base=_minutes(before + own, over),
        hot_minutes_after_with_base=_minutes(after + own, over),
        migrations=len(found.plan.migrations), gib=costs["memory moved"].after,
        broken_before=costs["broken rules"].before, broken_after=costs["broken rules"].after,
        memory_over=int((held > fleet.capacity[:, 1]).sum()), plan_seconds=round(seconds, 2),
    )  # fmt: skip


def _next_day(store: Store, found: Recommendation, now: datetime) -> tuple[np.ndarray, np.ndarray]:
    """(V, 288) MHz every VM really used, and (H,) MHz that hosts spend on themselves."""
    fleet = found.outlook.fleet
    grid = store.grid("cpu_pct", now + timedelta(days=1), days=1.0, step_s=STEP_S)
    match = entity_of(fleet, grid.entities)
    use = np.zeros((fleet.n_vms, 86_400 // STEP_S))
    for e, v in enumerate(match.vm):
        if v >= 0:
            use[v] = np.nan_to_num(grid.values[e, -use.shape[1] :]) / 100 * fleet.cpu_cap_mhz[v]
    return use, found.outlook.demand.base[:, 0, 0].astype(float)


def _where(found: Recommendation, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, T) host of every VM at every step if nothing is done, and with the plan."""
    fleet = found.outlook.fleet
    stood = np.repeat(fleet.host_of[:, None], steps, axis=1)
    stands = stood.copy()
    for m in found.plan.migrations:
        arrives = int((m.starts_s + m.seconds) // STEP_S)
        stands[fleet.vm_index(m.vm), arrives:] = fleet.host_index(m.destination)
    return stood, stands


def _replay(use: np.ndarray, where: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    total = np.zeros((len(capacity), use.shape[1]))
    steps = np.broadcast_to(np.arange(use.shape[1]), use.shape)
    np.add.at(total, (where, steps), use)
    return total / capacity[:, None]


def _minutes(fraction: np.ndarray, over: float) -> int:
    return int((fraction > over).sum()) * STEP_S // 60


def _area(fraction: np.ndarray, over: float) -> float:
    return round(float(np.maximum(fraction - over, 0).sum()) * 100 * STEP_S / 3600, 2)


def _midnights(store: Store) -> list[datetime]:
    coverage = store.coverage()
    first, newest = min(row.first for row in coverage), store.newest()
    assert newest is not None
    day = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=3)
    found = []
    while day + timedelta(days=1) <= newest + timedelta(hours=1):
        if day - first >= timedelta(days=3) - timedelta(hours=1):
            found.append(day)
        day += timedelta(days=1)
    return found


def _print(rows: list[Row]) -> None:
    head = ("now", "hot min", "after", "area %h", "after", "moves", "GiB", "broken", "after", "mem over", "plan s")
    print("{:26} {:>8} {:>7} {:>8} {:>7} {:>6} {:>7} {:>7} {:>6} {:>9} {:>7}".format(*head))
    for r in rows:
        print(
            f"{r.now:26} {r.hot_minutes_before:8} {r.hot_minutes_after:7} {r.area_before:8} {r.area_after:7}"
            f" {r.migrations:6} {r.gib:7.1f} {r.broken_before:7.0f} {r.broken_after:6.0f} {r.memory_over:9} {r.plan_seconds:7}"
        )
    total = {k: sum(getattr(r, k) for r in rows) for k in ("hot_minutes_before", "hot_minutes_after", "area_before", "area_after")}
    minutes = total["hot_minutes_after"] / max(total["hot_minutes_before"], 1)
    area = total["area_after"] / max(total["area_before"], 1e-9)
    print(f"of doing nothing's: hot host-minutes {minutes:.1%}, area {area:.1%}; migrations a day {np.mean([r.migrations for r in rows]):.1f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
