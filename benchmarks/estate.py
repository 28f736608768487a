"""How well do plans do on the day after? Rolling origins over an estate's own history.

    python -m benchmarks.estate FOLDER [--now T ...] [--work DIR] [--max-moves N] [--json]

FOLDER holds counters, hosts.csv, vms.csv and rules.json. For every origin T the walk sees nothing later than T; then the real
samples of the next 24 hours are replayed twice, once with the VMs where they stood and once where the plan puts them
(`pro.replay.hindsight`). VM loads summed per host, without what hosts spend on themselves; `+base` with it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pro.config import load
from pro.fleet.inventory import import_inventory
from pro.replay import hindsight
from pro.telemetry.store import Store
from pro.workflow import policy_of, recommend


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument(
        "--now", action="append", help="origin, ISO 8601; default: midnights with 3 days before and 1 after"
    )
    options.add_argument("--work", type=Path, help="folder for the store; default: a temporary one")
    options.add_argument("--max-moves", type=int)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.work or Path(temporary)
        store = Store(root)
        if store.newest() is None:
            store.ingest([given.folder])
        origins = [datetime.fromisoformat(t) for t in given.now or []] or midnights(store)
        import_inventory(root, [given.folder], min(origins) - timedelta(days=8))
        rows = [score(root, now, given.max_moves) for now in origins]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)


def score(root: Path, now: datetime, max_moves: int | None = None) -> dict[str, Any]:
    """Plan at `now`, replay the next day."""
    config = load()
    begun = time.monotonic()
    found = recommend(root, config, policy_of(config, max_moves=max_moves), now=now)
    seconds = time.monotonic() - begun
    plain, full = (hindsight(root, found, base=base) for base in (False, True))
    tiers = {t.name: t for t in found.placement.tiers}
    fleet = found.outlook.fleet
    held = np.bincount(found.report.host_of_after, weights=fleet.memory_mib, minlength=fleet.n_hosts)
    return {
        "now": f"{now:%Y-%m-%dT%H:%M}", "hot min": plain.minutes_before, "after": plain.minutes_after,
        "area %h": plain.area_before, "area after": plain.area_after, "+base min": full.minutes_before,
        "+base after": full.minutes_after, "+base %h": full.area_before, "+base %h after": full.area_after,
        "migrations": len(found.plan.migrations), "GiB": tiers["memory moved"].after,
        "broken": tiers["broken rules"].before, "broken after": tiers["broken rules"].after,
        "memory over": int((held > fleet.capacity[:, 1]).sum()), "plan s": round(seconds, 2),
    }  # fmt: skip


def midnights(store: Store) -> list[datetime]:
    """Origins with three days of history and a day to be judged by."""
    first, newest = min(row.first for row in store.coverage()), store.newest()
    if newest is None:
        return []
    day = (first + timedelta(days=3, hours=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while day + timedelta(days=1) <= newest + timedelta(hours=1):
        found.append(day)
        day += timedelta(days=1)
    return found


def show(rows: list[dict[str, Any]]) -> None:
    """A table, and the shares of doing nothing."""
    widths = {k: max(len(k), *(len(str(r[k])) for r in rows)) for k in rows[0]}
    print("  ".join(k.rjust(w) for k, w in widths.items()))
    for row in rows:
        print("  ".join(str(row[k]).rjust(w) for k, w in widths.items()))
    for name, before, after in (("hot host-minutes", "hot min", "after"), ("area", "area %h", "area after"),
                                ("with base: minutes", "+base min", "+base after"), ("with base: area", "+base %h", "+base %h after")):  # fmt: skip
        share = sum(r[after] for r in rows) / max(sum(r[before] for r in rows), 1e-9)
        print(f"{name}: {share:.1%} of doing nothing's")
    print(f"migrations a plan: {np.mean([r['migrations'] for r in rows]):.1f}")


if __name__ == "__main__":
    main()
