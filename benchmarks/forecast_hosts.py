"""How well are host sums forecast a day ahead? Rolling origins on two real data sets, against trivial rules.

    python -m benchmarks.forecast_hosts ESTATE_FOLDER TRACE.parquet

ESTATE_FOLDER holds counters.csv.gz and vms.csv in SCOM dress; the trace has columns vm, ts, cpu_mhz. VMs are grouped into hosts as
inventoried (estate) and at random (both). Losses are in points of host capacity. Nothing after an origin is read before it.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pro.forecast.joint import forecast
from pro.forecast.losses import brier, coverage, crps, pinball
from pro.forecast.together import tied
from pro.telemetry.grid import Grid
from pro.telemetry.store import Store

SLOT_S, DAY_S, STEP_S, PATHS, HOT = 1800, 86_400, 300, 24, 0.85
EACH, PER_DAY = SLOT_S // STEP_S, DAY_S // SLOT_S
Array = np.ndarray[Any, np.dtype[np.float64]]


def estate(folder: Path) -> tuple[Grid, Array, Array]:
    """MHz per VM on a grid, the host of each VM, the capacity of a host."""
    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root))
        store.ingest([folder / "counters.csv.gz"])
        grid = store.grid("cpu_pct")
    vms = pd.read_csv(folder / "vms.csv").assign(fqdn=lambda t: t["fqdn"].str.lower()).set_index("fqdn")
    rows = [i for i, e in enumerate(grid.entities) if e in vms.index]
    names = tuple(grid.entities[i] for i in rows)
    mhz = grid.values[rows] * vms.loc[list(names), "cpu_cap_mhz"].to_numpy()[:, None] / 100
    hosts = pd.Categorical(vms.loc[list(names), "host"]).codes
    return Grid("disk_bps", names, grid.start, STEP_S, mhz.astype(np.float32)), np.asarray(hosts), np.array(24 * 2400.0)


def trace(path: Path) -> Grid:
    """MHz per VM; machines with more than 15 % of the grid unknown are left out."""
    table = pd.read_parquet(path)
    table["k"] = (table["ts"] - table["ts"].min()) // STEP_S
    wide = table.groupby(["vm", "k"])["cpu_mhz"].mean().unstack("k").reindex(columns=range(30 * DAY_S // STEP_S))
    wide = wide.ffill(axis=1, limit=12)
    wide = wide[wide.isna().mean(axis=1) < 0.15]
    start = datetime.fromtimestamp(int(table["ts"].min()), UTC)
    return Grid("disk_bps", tuple(map(str, wide.index)), start, STEP_S, wide.to_numpy(np.float32))


def sums(values: Array, hosts: Array) -> Array:
    out = np.zeros((int(hosts.max()) + 1, *values.shape[1:]))
    np.add.at(out, hosts, np.nan_to_num(values))
    return out


def models(past: Grid) -> dict[str, Array]:
    """(E, S, T) paths of each model from the end of `past`."""
    points = past.values.shape[1] // EACH * EACH
    with np.errstate(invalid="ignore"):
        slots = np.nan_to_num(past.values[:, -points:].reshape(len(past.entities), -1, EACH).mean(axis=2))
    last = np.repeat(slots[:, None, -1:], PER_DAY, axis=2)
    ours = forecast({"disk_bps": past}, horizon_s=DAY_S, scenarios=PATHS, seed=0, slot_s=SLOT_S)["disk_bps"]
    whole = slots.shape[1] // PER_DAY * PER_DAY
    days = slots[:, -whole:].reshape(len(slots), -1, PER_DAY)
    return {
        "last value": last,
        "seasonal naive": slots[:, None, -PER_DAY:],
        "past days": days,
        "pro": tied(ours.values, ours.tie),
    }


def score(name: str, grid: Grid, groups: list[Array], capacities: list[Array], every_s: int) -> None:
    rows: dict[str, list[list[float]]] = {}
    chances: dict[str, list[tuple[Array, Array]]] = {}
    first, per_slot = 2 * DAY_S // STEP_S, DAY_S // STEP_S
    for k in range(first, grid.values.shape[1] - per_slot, every_s // STEP_S):
        begin = max(k + 1 - 8 * per_slot, 0)
        start = grid.start + timedelta(seconds=begin * STEP_S)
        past = Grid(grid.counter, grid.entities, start, STEP_S, grid.values[:, begin : k + 1])
        truth = grid.values[:, k + 1 : k + 1 + per_slot]
        for model, paths in models(past).items():
            for hosts, capacity in zip(groups, capacities, strict=True):
                fine = sums(truth, hosts) / capacity
                y = fine.reshape(len(fine), -1, EACH).mean(axis=2)
                p = sums(paths, hosts) / capacity
                low, high = np.quantile(p, (0.05, 0.95), axis=1)
                chance, hot = (p > HOT).mean(axis=1), (fine > HOT).reshape(*y.shape, EACH).mean(axis=2)
                tops = [pinball(y, np.quantile(p, q, axis=1), q) * 100 for q in (0.5, 0.9, 0.95)]
                known = [crps(y, p) * 100, *tops, brier(hot, chance) * 100, coverage(y, low, high)]
                rows.setdefault(model, []).append(known)
                chances.setdefault(model, []).append((chance.ravel(), hot.ravel()))
    columns = ["CRPS", "pinball .5", "pinball .9", "pinball .95", "Brier hot", "in 90 %"]
    print(name, pd.DataFrame({m: np.mean(r, axis=0) for m, r in rows.items()}, index=columns).T.round(2), sep="\n")
    chance, hot = (np.concatenate(part) for part in zip(*chances["pro"], strict=True))
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        inside = (chance >= low) & (chance < high)
        if inside.any():
            print(f"  said {chance[inside].mean():.2f}  was {hot[inside].mean():.2f}  of {inside.sum()} host slots")


def main(folder: str, path: str) -> None:
    grid, hosts, capacity = estate(Path(folder))
    shuffles = [np.random.default_rng(i).permutation(hosts) for i in range(3)]
    score("estate, as inventoried", grid, [hosts], [capacity], 6 * 3600)
    score("estate, VMs shuffled over hosts", grid, shuffles, [capacity] * 3, 6 * 3600)
    loads = trace(Path(path))
    groups = [np.random.default_rng(i).permutation(np.arange(len(loads.entities)) % 5) for i in range(4)]
    tight = [np.quantile(sums(loads.values, g), 0.96) / HOT for g in groups]
    score("trace, VMs at random on five hosts", loads, groups, tight, 30 * 3600)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", metavar="ESTATE_FOLDER")
    options.add_argument("path", metavar="TRACE.parquet")
    main(**vars(options.parse_args()))
