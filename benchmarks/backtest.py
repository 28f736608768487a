"""How do policies do over an estate's own past, from where its VMs stood and from shuffled starts?

    python -m benchmarks.backtest FOLDER [--from T] [--to T] [--every 15m] [--shuffles 5] [--policy NAME ...] [--work DIR] [--json]

FOLDER holds counters, hosts.csv, vms.csv and rules.json. Without --from, the first three days are history only. A shuffled start is a
random walk over placements that break no rule and no memory, so that nothing is good for one placement only. Seconds are CPU seconds.

    python -m benchmarks.backtest --month [--work DIR]

A month of the synthetic estate (120 VMs on 12 hosts, 30 days replayed) under all policies: how long `pro backtest` takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.actions.backtesting import Span, run_backtest, stretch
from pro.config import load
from pro.fleet.archive import load_inventory
from pro.fleet.inventory import import_inventory, with_placement
from pro.fleet.snapshot import snapshot
from pro.placement.constraints import build
from pro.placement.problem import compile_problem
from pro.replay.backtest import backtest
from pro.replay.past import read_past
from pro.replay.policies import side_by_side
from pro.telemetry.store import Store
from pro.telemetry.synthetic import SUNDAY, write_estate

if TYPE_CHECKING:
    from pro.fleet.tables import Inventory

COLUMNS = ("hot_minutes", "area", "hot_minutes_vms", "area_vms", "peak", "contention_minutes", "migrations", "migrations_per_day",
           "gib", "blackout_s", "undone", "moves_per_vm_week", "hosts_on", "energy_kwh")  # fmt: skip


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, nargs="?")
    options.add_argument("--from", dest="begins", type=datetime.fromisoformat)
    options.add_argument("--to", dest="ends", type=datetime.fromisoformat)
    options.add_argument("--every", type=float, default=900.0, help="seconds between looks")
    options.add_argument("--shuffles", type=int, default=0, help="shuffled starts, beside the real one")
    options.add_argument("--policy", action="append", help="only these, and doing nothing")
    options.add_argument("--month", action="store_true")
    options.add_argument("--work", type=Path, help="folder for the store; default: a temporary one")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.work or Path(temporary)
        if given.month:
            month(root)
            return
        store = Store(root)
        if store.newest() is None:
            store.ingest([given.folder])
            import_inventory(root, [given.folder], min(row.first for row in store.coverage()) - timedelta(days=1))
        rows = [row for seed in range(given.shuffles + 1) for row in score(root, given, seed)]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)


def score(root: Path, given: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """All policies from one start: seed 0 is the real one."""
    config = load()
    specs = [s for s in side_by_side() if not given.policy or s.name in (*given.policy, "nothing")]
    begins, ends = stretch(root, Span(given.begins, given.ends, given.every))
    inventory = load_inventory(root, begins)
    if seed:
        inventory = shuffled(inventory, seed, config.placement.memory_reserve_mib)
    begun = time.process_time()
    past = read_past(root, begins, ends, max(s.history_days for s in specs), inventory)
    found = backtest(past, specs, config, every_s=given.every).to_json()
    spent = round(time.process_time() - begun, 1)
    return [{"start": seed, "cpu_s": spent, **policy} for policy in found["policies"]]


def shuffled(inventory: Inventory, seed: int, reserve_mib: int) -> Inventory:
    """VMs elsewhere, by a random walk over placements without a broken rule (or with those that are broken today)."""
    fleet, rng = snapshot(inventory, inventory.at, leave_out=True), np.random.default_rng(seed)
    rows = [row for rule in build(fleet, memory_reserve_mib=reserve_mib) for row in rule.rows(fleet)]
    problem, placed = compile_problem(fleet, rows, []), fleet.host_of.copy()
    for _ in range(3):
        for vm in rng.permutation(fleet.n_vms):
            trial = placed.copy()
            trial[vm] = rng.integers(fleet.n_hosts)
            if problem.feasible(trial):
                placed = trial
    where = {fleet.vms[v]: fleet.hosts[h] for v, h in enumerate(placed.tolist())}
    return with_placement(inventory, where, inventory.at)


def show(rows: list[dict[str, Any]]) -> None:
    """A table for every start, then means and spread of the shares of doing nothing over the shuffled ones."""
    names = [r["name"] for r in rows if r["start"] == 0]
    for start in sorted({r["start"] for r in rows}):
        here = [r for r in rows if r["start"] == start]
        print(f"start {start} ({'as it was' if start == 0 else 'shuffled'}), {here[0]['cpu_s']} CPU s for all policies")
        cells = [("policy", *COLUMNS)] + [(r["name"], *(str(r[c]) for c in COLUMNS)) for r in here]
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        print("\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells))
    mixed = [r for r in rows if r["start"]]
    for title, chosen in (("as it was", [r for r in rows if not r["start"]]), ("shuffled", mixed)):
        if not chosen:
            continue
        print(
            f"{title}: share of doing nothing's hot host-minutes and area, migrations a day, share undone; mean (spread) worst"
        )
        for name in names:
            mine = [r for r in chosen if r["name"] == name]
            figures = [
                [r["hot_minutes_of_nothing"] or 0.0, r["area_of_nothing"] or 0.0, r["migrations_per_day"],
                 r["undone"] / max(r["migrations"], 1)] for r in mine
            ]  # fmt: skip
            mean, spread, worst = (f(np.array(figures), axis=0) for f in (np.mean, np.std, np.max))
            said = [f"{m:7.3f} ({s:.3f}) {w:7.3f}" for m, s, w in zip(mean, spread, worst, strict=True)]
            print(f"{name:>14}  " + "   ".join(said))


def month(root: Path) -> None:
    """A month of 120 VMs under all policies, with all files written; then the same once more, from its state."""
    files, store, out = root / "files", root / "store", root / "out"
    write_estate(files, seed=3, days=34, io_every=0)
    Store(store).ingest([files])
    import_inventory(store, [files], SUNDAY)
    span = Span(SUNDAY + timedelta(days=4), SUNDAY + timedelta(days=34), 900.0)
    cpu, wall = time.process_time(), time.monotonic()
    found = run_backtest(store, load(), span, folder=out)
    print(
        f"{time.process_time() - cpu:.1f} CPU s, {time.monotonic() - wall:.1f} s, {found.looks} looks x {len(found.rows)} policies"
    )
    print(found.to_json()["verdict"])
    for row in found.to_json()["policies"]:
        print(row["name"], row["hot_minutes"], row["area"], row["migrations"], row["undone"], row["forecasts"])


if __name__ == "__main__":
    main()
