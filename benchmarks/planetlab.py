"""Closed-loop consolidation over one PlanetLab day: how much power, how many migrations, how often short of CPU.

    python -m benchmarks.planetlab DAY.parquet [--seed K] [-o TRAJECTORY.parquet] [--check FILE] [--classics FILE]
    python -m benchmarks.planetlab --all FOLDER --seeds 1,2,3,4,5 --check FILE --classics FILE [--record]

The setting of Beloglazov and Buyya (2012): 800 hosts of two kinds, VMs in four sizes, one sample of CPU per VM each 5 minutes.
DAY.parquet has columns vm, step, cpu_pct. VMs start where best fit by full size puts them; TRAJECTORY.parquet tells where each
stands at step 0 and every migration (step, vm, host), at the step by which it is over.

What decides is the workflow with the goal to consolidate, in the backtest that `pro backtest` runs, with a look at every step: the policy is
consolidate.toml beside this file, as `pro backtest --policy` reads it. A decision for a step sees the samples of earlier steps only.
FILE of --check is a Python file with `score(cpu_pct, trajectory)`, which shares nothing with us; that of --classics a script
that runs the classic policies: `python FILE DAY.parquet FOLDER lr thr iqr mad`, a line "name {JSON of the scores}" for each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pro.config import Config, ForecastConfig, PlacementConfig
from pro.fleet import Fleet, Groups
from pro.replay.backtest import backtest
from pro.replay.past import STEP_S, Past
from pro.replay.policies import load_policies
from pro.telemetry.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pro.core.arrays import Floats, Ints
    from pro.replay.course import Moved


HOSTS = 800
CORES, CORE_MHZ = 2, np.array([1860, 2660])
"""Even hosts are HP ML110 G4, odd ones G5; one MIPS counts as one MHz."""
HOST_MIB = 65_536
RESERVE_MIB = 8192
"""Hosts keep so much free: arrivals and departures of one step count as at the same time for the scorer, and are one after the other in a plan."""
VM_MHZ, VM_MIB = np.array([2500, 2000, 1000, 500]), np.array([870, 1740, 1740, 613])
CLASSICS = ("lr", "thr", "iqr", "mad")
POLICY = Path(__file__).with_name("consolidate.toml")
RESULTS = Path(__file__).with_name("RESULTS.md")
FIGURES = ("energy_kwh", "migrations", "slatah_pct", "pdm_pct", "esv", "mean_hosts")
HEADS = ("day", "policy", "seeds", "energy kWh", "migrations", "SLATAH %", "PDM %", "ESV", "hosts on", "CPU s")


def read_day(path: Path) -> Floats:
    """(V, T) CPU in per cent of each VM's size. Raises ValueError where a VM lacks a step."""
    day = pd.read_parquet(path, columns=["vm", "step", "cpu_pct"])
    table = day.pivot(index="vm", columns="step", values="cpu_pct").sort_index().to_numpy(np.float64)
    if np.isnan(table).any():
        raise ValueError(f"{path}: {int(np.isnan(table).any(axis=1).sum())} VMs lack samples")
    return table


def estate(vms: int) -> Fleet:
    """The 800 hosts, and as many VMs, each where it starts: best fit by full size, the largest first, on G5 before G4."""
    size = np.arange(vms) // -(-vms // len(VM_MHZ))
    kind = np.arange(HOSTS) % 2
    capacity = np.stack([CORES * CORE_MHZ[kind], np.full(HOSTS, HOST_MIB)], axis=1)
    hosts, ids = (tuple(f"{letter}{i:04d}" for i in range(n)) for letter, n in (("h", HOSTS), ("v", vms)))
    return Fleet(
        hosts=hosts, vms=ids, host_names=hosts, vm_names=ids, host_fqdn=("",) * HOSTS, vm_fqdn=("",) * vms,
        resources=("cpu", "memory"), capacity=capacity, host_of=_best_fit(capacity, VM_MHZ[size], VM_MIB[size]),
        accepting=np.ones(HOSTS, np.bool_), leaving=np.zeros(HOSTS, np.bool_), movable=np.ones(vms, np.bool_),
        host_groups={"cluster": Groups(np.zeros(HOSTS, np.int64), ("planetlab",))}, vm_groups={},
        compatibility_mode=np.zeros(vms, np.bool_), highly_available=np.ones(vms, np.bool_),
        vcpus=np.ones(vms, np.int64), cpu_cap_mhz=VM_MHZ[size], memory_mib=VM_MIB[size],
        migration_mbps=np.full(HOSTS, 1000), snapshot_gib=np.zeros(vms), snapshot_age_days=np.full(vms, -1.0),
        at=datetime(2011, 3, 3, tzinfo=UTC),
    )  # fmt: skip


def _best_fit(capacity: Ints, mhz: Ints, mib: Ints) -> Ints:
    free, host_of = capacity.copy(), np.zeros(len(mhz), np.int64)
    large = CORE_MHZ[np.arange(HOSTS) % 2]
    for v in np.argsort(-mhz, kind="stable"):
        fits = (free >= (mhz[v], mib[v])).all(axis=1)
        fast = fits & (large >= mhz[v])
        order = np.flatnonzero(fast if fast.any() else fits)
        h = order[np.lexsort((free[order, 0], order % 2 == 0))[0]]
        host_of[v] = h
        free[h] -= (mhz[v], mib[v])
    return host_of


def past_of(cpu_pct: Floats) -> Past:
    """The day as a backtest wants it, all of it but the first sample to be replayed. `cpu_pct` (V, T); hosts spend nothing on themselves."""
    fleet = estate(len(cpu_pct))
    use = cpu_pct / 100.0 * fleet.cpu_cap_mhz[:, None]
    load = np.zeros((HOSTS, use.shape[1]))
    np.add.at(load, fleet.host_of, use)
    share = 100.0 * load / fleet.capacity[:, :1]
    start = fleet.at or datetime.fromtimestamp(0, UTC)
    grids = {
        "cpu_pct": Grid("cpu_pct", fleet.vms, start, STEP_S, cpu_pct.astype(np.float32)),
        "host_cpu_pct": Grid("host_cpu_pct", fleet.hosts, start, STEP_S, share.astype(np.float32)),
    }
    return Past(fleet, 0, use.shape[1] - 1, grids, use, np.zeros(load.shape), np.ones(load.shape, np.bool_))


def trajectory(cpu_pct: Floats, seed: int) -> pd.DataFrame:
    """Where every VM starts, and every migration: columns step, vm, host."""
    past, specs = past_of(cpu_pct), load_policies([POLICY])
    settings = Config(
        forecast=ForecastConfig(seed=seed), placement=PlacementConfig(seed=seed, memory_reserve_mib=RESERVE_MIB)
    )
    found = backtest(past, specs, settings, every_s=STEP_S)
    start = [(0, v, h) for v, h in enumerate(past.fleet.host_of.tolist())]
    return pd.DataFrame(
        [*start, *_arrivals(past.fleet, found.rows[-1].runner.course.trail)], columns=["step", "vm", "host"]
    )


def _arrivals(fleet: Fleet, trail: Sequence[Moved]) -> Iterator[tuple[int, int, int]]:
    """(step, vm, host) of every migration. A step knows one for each VM: after a stop-over a VM arrives a step later."""
    last: dict[int, int] = {}
    for moved in trail:
        v = fleet.vm_index(moved.vm)
        last[v] = max(moved.column, last.get(v, 0) + 1)
        yield last[v], v, fleet.host_index(moved.destination)


def run(day: Path, seed: int, output: Path | None) -> tuple[Floats, pd.DataFrame, float]:
    """One day with one seed: the samples, the trajectory, and the CPU seconds of the replay."""
    cpu_pct = read_day(day)
    begun = time.process_time()
    went = trajectory(cpu_pct, seed)
    spent = time.process_time() - begun
    if output:
        went.to_parquet(output, index=False)
    return cpu_pct, went, spent


def classics(script: Path, day: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """The classic policies' names and scores. Raises ValueError if they do not start from where we start."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(script.resolve()), str(day.resolve()), folder, *CLASSICS]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        theirs = pd.read_parquet(next(Path(folder).glob("*.parquet")))
    start = theirs[theirs.step == 0].sort_values("vm").host.to_numpy()
    if not np.array_equal(start, estate(len(start)).host_of):
        raise ValueError(f"{script} starts from another placement")
    for line in said.splitlines():
        name, _, scores = line.partition(" ")
        yield name, json.loads(scores)


def rows(day: Path, seeds: list[int], given: argparse.Namespace) -> Iterator[list[Any]]:
    """Table rows of one day: ours as the mean over seeds with the spread, then the classics."""
    score, found, spent = load(given.check), [], []
    for seed in seeds:
        cpu_pct, went, seconds = run(day, seed, given.output)
        found.append(score(cpu_pct, went))
        spent.append(seconds)
        said = ", ".join(f"{name} {found[-1][name]}" for name in FIGURES)
        print(f"{day.stem} seed {seed}: {said}, {seconds:.1f} CPU-s", file=sys.stderr, flush=True)
        if found[-1]["memory_over_mib"]:
            raise RuntimeError(f"{day.stem}, seed {seed}: memory is over by {found[-1]['memory_over_mib']} MiB")
    cells = [_spread([float(f[name]) for f in found]) for name in FIGURES]
    yield [day.stem, "PRO", len(seeds), *cells, round(float(np.mean(spent)), 1)]
    if given.classics:
        for name, scores in classics(given.classics, day):
            yield [day.stem, f"{name.upper()}-MMT", "", *(f"{scores[f]:.6g}" for f in FIGURES), ""]


def _spread(values: list[float]) -> str:
    mean = f"{np.mean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4g}..{max(values):.4g})"


def load(path: Path) -> Callable[[Floats, pd.DataFrame], dict[str, float]]:
    """The `score` function of a Python file."""
    spec = importlib.util.spec_from_file_location("scorer", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Callable[[Floats, pd.DataFrame], dict[str, float]] = module.score
    return score


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("day", nargs="?", type=Path)
    options.add_argument("--all", type=Path, help="folder with days")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seeds", help="several, separated by commas")
    options.add_argument("-o", "--output", type=Path)
    options.add_argument("--check", type=Path, help="the independent scorer")
    options.add_argument("--classics", type=Path, help="script that runs the classic policies")
    options.add_argument("--record", action="store_true", help="append to RESULTS.md")
    given = options.parse_args()
    days = sorted(given.all.glob("*.parquet")) if given.all else [given.day]
    if days == [None]:
        options.error("DAY.parquet, or --all FOLDER")
    seeds = [int(s) for s in given.seeds.split(",")] if given.seeds else [given.seed]
    if given.check is None:
        for day in days:
            _, went, spent = run(day, seeds[0], given.output)
            print(f"{day.stem}: {int((went.step > 0).sum())} migrations, {spent:.1f} CPU-s; --check FILE scores them")
        return
    lines = [
        f"\n## PlanetLab, closed loop, {date.today()}, {platform.machine()} with {os.cpu_count()} cores\n",
        "| " + " | ".join(HEADS) + " |",
        "|" + "---|" * len(HEADS),
    ]
    print(*lines, sep="\n", flush=True)
    for day in days:
        for row in rows(day, seeds, given):
            lines.append("| " + " | ".join(map(str, row)) + " |")
            print(lines[-1], flush=True)
    if given.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
