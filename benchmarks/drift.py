"""What forecasts are worth while demand drifts: a level that steps and stays, or creeps, on real and invented loads.

    python -m benchmarks.drift [TRACE] [--json]

Every load is forecast for 24 h from origins that roll on from the change, as a look would, from eight days of past. What is said of one machine
and the joint paths that plans are made of are judged apart: how much their 90 % intervals hold, how much lies under their 0.95 quantile,
and how far the actuals lie above the median, in points. TRACE: as OpenDC writes it (Bitbrains); half of its VMs are changed. Nothing after an origin is read for it.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.traces import PER_DAY, STEP_S, opendc
from pro.forecast.joint import forecast
from pro.telemetry.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, np.dtype[np.float32]]
SLOT_S, PATHS, PAST, CHANGE, DAYS = 1800, 48, 8, 9, 17
EACH = SLOT_S // STEP_S
SLOTS = 86_400 // SLOT_S
AFTER_H = (0, 1, 3, 12, 24, 48, 96, 168)
"""Hours after the change from which is forecast."""
STEP, CREEP = 1.6, 0.08
"""Times as much from the change on; so much more of what it was each day."""
HEAD = ("in 90 %", "under .95", "above the median")


def office(vms: int, seed: int) -> Array:
    """(V, T) points: a working day of each VM's own height and hour over noise that lasts about an hour, days that differ."""
    rng = np.random.default_rng(seed)
    t = np.arange(DAYS * PER_DAY)
    hour = t % PER_DAY / PER_DAY * 24
    noise = np.zeros((vms, t.size))
    shocks = rng.normal(0, 1, noise.shape)
    for k in range(1, t.size):
        noise[:, k] = 0.92 * noise[:, k - 1] + 0.39 * shocks[:, k]
    height = rng.uniform(5, 25, (vms, 1)) * np.repeat(rng.lognormal(0, 0.15, (vms, DAYS)), PER_DAY, axis=1)
    peak = rng.uniform(9, 16, (vms, 1))
    level = rng.uniform(3, 15, (vms, 1))
    return np.asarray(np.clip(level + height * np.exp(-(((hour - peak) / 3) ** 2)) + 1.5 * noise, 0.1, 100), np.float32)


def flat(vms: int, seed: int) -> Array:
    """(V, T) points: a level of each VM's own, noise that lasts about an hour, no time of day."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0, 1, (vms, DAYS * PER_DAY))
    noise = np.zeros(shocks.shape)
    for k in range(1, shocks.shape[1]):
        noise[:, k] = 0.92 * noise[:, k - 1] + 0.39 * shocks[:, k]
    return np.asarray(np.clip(rng.uniform(10, 35, (vms, 1)) + 2.5 * noise, 0.1, 100), np.float32)


KINDS: dict[str, Callable[[Any], Any]] = {
    "as it was": lambda day: np.ones(day.size),
    "step up": lambda day: np.where(day > 0, STEP, 1.0),
    "step down": lambda day: np.where(day > 0, 1 / STEP, 1.0),
    "creep up": lambda day: 1 + CREEP * day,
    "creep down": lambda day: 1 / (1 + CREEP * day),
}
"""What becomes of a load, by days since the change (below 0: before it)."""


def changed(load: Array, kind: str) -> Array:
    """`load` (V, T) of which every second VM drifts from `CHANGE` on."""
    day = np.maximum(np.arange(load.shape[1]) / PER_DAY - CHANGE, 0)
    out = load.copy()
    out[::2] = np.clip(load[::2] * KINDS[kind](day), 0, 100)
    return out


def scores(load: Array, start: datetime) -> dict[int, dict[str, list[float]]]:
    """Hours after the change -> whom is said what -> `HEAD`, over the VMs that change."""
    names = tuple(f"{i:04d}" for i in range(len(load)))
    found = {}
    for after in AFTER_H:
        end = (CHANGE * 24 + after) * PER_DAY // 24
        begin = max(end - PAST * PER_DAY, 0)
        grid = Grid("cpu_pct", names, start, STEP_S, load[:, begin:end])
        drawn = forecast({"cpu_pct": grid}, horizon_s=86_400, scenarios=PATHS, seed=1, slot_s=SLOT_S)["cpu_pct"]
        actual = load[:, end : end + SLOTS * EACH].reshape(len(load), SLOTS, EACH).mean(axis=2)[::2]
        paths = np.quantile(drawn.values, (0.05, 0.5, 0.95), axis=1, method="hazen")
        alone = np.stack([drawn.quantile(q) for q in (0.05, 0.5, 0.95)])
        found[after] = {
            who: [
                float(np.nanmean((actual >= low[::2] - 1e-3) & (actual <= high[::2] + 1e-3))),
                float(np.nanmean(actual <= high[::2] + 1e-3)),
                float(np.nanmean(actual - middle[::2])),
            ]
            for who, (low, middle, high) in (("paths", paths), ("alone", alone))
        }
    return found


def table(found: dict[int, dict[str, list[float]]], who: str) -> list[str]:
    """Lines of text."""
    lines = [f"    {'hours after':<18}" + "".join(f"{h:>8}" for h in found)]
    for k, name in enumerate(HEAD):
        form = "{:>8.2f}" if k == 2 else "{:>8.1%}"
        lines.append(f"    {name:<18}" + "".join(form.format(row[who][k]) for row in found.values()))
    return lines


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", nargs="?", type=Path)
    parser.add_argument("--vms", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    start = datetime(2024, 6, 3, tzinfo=UTC)
    loads = {"office": office(args.vms, 1), "flat": flat(args.vms, 2)}
    if args.trace is not None:
        trace = opendc(args.trace)
        loads["Bitbrains"] = trace.pct[:, : DAYS * PER_DAY]
    found = {name: {kind: scores(changed(load, kind), start) for kind in KINDS} for name, load in loads.items()}
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        return
    for name, kinds in found.items():
        for kind, rows in kinds.items():
            for who in ("paths", "alone"):
                print(f"{name}, {kind}, {who}", *table(rows, who), sep="\n")


if __name__ == "__main__":
    main()
