"""The public traces that benchmarks run on, as tables of VM x 5-minute step, and VMs thrown onto hosts at random."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STEP_S = 300
PER_DAY = 86_400 // STEP_S
Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Trace:
    """(V, T) CPU use in per cent of each VM's cap `mhz` (V,); NaN where nothing is known. `start`: of the first step."""

    name: str
    pct: Array
    mhz: np.ndarray[Any, np.dtype[np.float64]]
    start: datetime

    @cached_property
    def load(self) -> Array:
        """(V, T) the same in MHz, 0 where nothing is known."""
        return np.asarray(np.nan_to_num(self.pct * self.mhz[:, None].astype(np.float32) / 100))


def planetlab(path: Path) -> Trace:
    """One PlanetLab day; VMs by quarters of the list are of the four sizes CloudSim gives them."""
    wide = pd.read_parquet(path).pivot(index="vm", columns="step", values="cpu_pct").sort_index().to_numpy(np.float32)
    kind = np.arange(len(wide)) // -(-len(wide) // 4)
    mhz = np.array([2500.0, 2000.0, 1000.0, 500.0])[kind]
    return Trace(path.stem, wide, mhz, datetime.strptime(path.stem, "%Y%m%d").replace(tzinfo=UTC))


def opendc(path: Path) -> Trace:
    """A trace as OpenDC writes it (Bitbrains), of whole days: irregular samples, carried forward for at most an hour."""
    table = pd.read_parquet(path)
    if missing := {"vm", "ts", "cpu_mhz", "cpu_capacity"} - set(table.columns):
        raise SystemExit(f"{path}: not a trace as OpenDC writes it, no column {', '.join(sorted(missing))}")
    table["k"] = (table["ts"] - table["ts"].min()) // STEP_S
    days = (int(table["k"].max()) + 1) // PER_DAY
    wide = table.groupby(["vm", "k"])["cpu_mhz"].mean().unstack("k").reindex(columns=range(days * PER_DAY))
    wide = wide.ffill(axis=1, limit=12)
    cap = table.groupby("vm")["cpu_capacity"].max().reindex(wide.index).to_numpy(np.float64)
    pct = np.clip(wide.to_numpy(np.float64) / np.maximum(cap, 1)[:, None] * 100, 0, 120)
    return Trace(path.stem, pct.astype(np.float32), cap, datetime.fromtimestamp(int(table["ts"].min()), UTC))


def estate(folder: Path) -> tuple[Trace, float]:
    """An estate in SCOM dress, and how many MHz half of its hosts have at most."""
    from pro.telemetry.store import Store

    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root))
        store.ingest([folder / "counters.csv.gz"])
        grid = store.grid("cpu_pct")
    vms = pd.read_csv(folder / "vms.csv").assign(fqdn=lambda t: t["fqdn"].str.lower()).set_index("fqdn")
    rows = [i for i, e in enumerate(grid.entities) if e in vms.index]
    names = [grid.entities[i] for i in rows]
    known = np.flatnonzero(np.isfinite(grid.values[rows]).any(axis=0))
    pct = grid.values[rows][:, known[0] :]
    start = datetime.fromtimestamp(grid.start.timestamp() + int(known[0]) * STEP_S, UTC)
    hosts = pd.read_csv(folder / "hosts.csv")
    mhz = float((hosts["cores"] * hosts["core_mhz"]).median())
    return Trace(folder.name, pct, vms.loc[names, "cpu_cap_mhz"].to_numpy(np.float64), start), mhz
