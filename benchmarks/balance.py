"""Even out CPU and memory over hosts within a budget of moves: the workload on which Rebalancer was measured.

    python -m benchmarks.balance --peers FOLDER [--rebalancer PYTHON] [--proxlb PYTHON] [--sizes 100/2000/100,...]
        [--seconds S,...] [--peer-seconds S] [--seed K] [--record]

FOLDER holds gen_balance.py with `make(hosts, vms)` -> capacities (H, 2), sizes (V, 2), hosts of VMs (V,), and
`metrics(capacities, sizes, before, after)`, whose "J" is the sum over hosts and both resources of (utilisation - mean)
squared. The goal is that square as a convex line of many pieces on each side of the fleet's mean. CPU seconds are those
of building rows and terms and of the engine; compiled kernels come from numba's cache, and loading them is shown apart.

Peers run in the same go, on the same core, by the scripts in FOLDER (see peers.py): Meta's Rebalancer and proxlb-solver under
an interpreter that has them, CP-SAT under this one. Whoever is not there, or cannot hold the model, gets a row that says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers import Pace, ask, peers
from pro.placement.engines.anneal import HARD, Anneal, Manner
from pro.placement.language import Limit, Steps
from pro.placement.problem import Problem, Stop, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from pro.core.arrays import Floats, Ints


MILLI = 1000
WORTH = 1e12
PIECE = 0.02
RESULTS = Path(__file__).with_name("RESULTS.md")
SECONDS = {"10/200/20": 0.05, "100/2000/100": 0.17, "300/6000/300": 1.4, "1000/20000/1000": 8.5}
"""CPU seconds for each size: somewhat less than the 0.2, 1.7 and 10 that are the figures to beat."""


def compile_fleet(capacity: Floats, size: Floats, home: Ints, moves: int) -> Problem:
    """Rows: capacity and the budget of moves. One tier: the square of the distance from the mean, in pieces."""
    room, need = np.floor(capacity * MILLI).astype(np.int64), np.rint(size * MILLI).astype(np.int64)
    hosts, vms = len(room), np.arange(len(need))
    each, zero = np.arange(hosts), np.zeros_like(room)
    budget = Limit(vms, np.ones((len(vms), 1), np.int64), 0 * each, zero[:1, :1], np.array([[moves]]), "moved", "moves")
    mean = need.sum(0) / room.sum(0)
    above = np.arange(0, 1 - mean.min(), PIECE)
    knots = np.rint((mean + above[:, None, None]) * room).astype(np.int64)
    fewer = np.rint((mean - above[:, None, None]) * room).astype(np.int64)
    # Between two knots the slope of the square is that in the middle: once PIECE, then 2 * PIECE more at each knot.
    rise = np.where(above == 0, 1.0, 2.0)[:, None, None] * PIECE * WORTH / room
    slopes = np.rint(np.broadcast_to(rise, knots.shape)).astype(np.int64)
    return Problem(
        home=home.astype(np.int64),
        hosts=hosts,
        movable=np.ones(len(vms), bool),
        rows=(Limit(vms, need, each, zero, room, "after", "capacity"), budget),
        tiers=(Tier("balance", (Steps(vms, need, each, zero, knots, slopes, "above"),
                                Steps(vms, -need, each, zero, -fewer, slopes, "below"))),),
    )  # fmt: skip


def run(generator: ModuleType, sizes: str, seconds: float, seed: int) -> dict[str, Any]:
    """One size. Raises RuntimeError if the answer breaks a rule."""
    hosts, vms, moves = map(int, sizes.split("/"))
    capacity, size, home = generator.make(hosts, vms)
    begun, wall = time.process_time(), time.monotonic()
    problem = compile_fleet(capacity, size, home, moves)
    built = time.process_time() - begun
    engine = Anneal((Manner(0.3, cold=0.001, least=HARD),), clock=time.process_time, end=0.03, tries=2_000)
    found = engine.improve(problem, problem.home, Stop(seconds - built), np.random.default_rng(seed))
    spent = time.process_time() - begun
    after = generator.metrics(capacity, size, home, found)
    if not problem.feasible(found) or not after["feasible"]:
        raise RuntimeError(f"{sizes}: the answer breaks a rule")
    return {**_cells(after), "CPU s": round(spent, 3), "slower": max((time.monotonic() - wall) / spent, 1.0)}


def _cells(after: dict[str, Any]) -> dict[str, Any]:
    return {"J": after["J"], "max cpu": after["max_cpu"], "max mem": after["max_mem"], "moves": after["moved"]}


def table(generator: ModuleType, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for every size and solver."""
    for sizes, seconds in zip(given.sizes.split(","), given.seconds.split(","), strict=True):
        capacity, size, home = generator.make(*map(int, sizes.split("/")[:2]))
        first = {"hosts/VMs/moves": sizes, "J before": generator.metrics(capacity, size, home, home)["J"]}
        ours = run(generator, sizes, float(seconds), given.seed)
        yield {**first, "solver": "PRO", **ours}
        pace = Pace(given.peer_seconds, ours["slower"])
        for peer in peers(given.peers, sizes, pace, rebalancer=given.rebalancer, proxlb=given.proxlb):
            said = ask(peer)
            if isinstance(said, str):
                yield {**first, "solver": f"{peer.name}: {said}"}
            else:
                yield {**first, "solver": peer.name, **_cells(said["after"]), "CPU s": said["cpu_s"]}


def load(path: Path) -> ModuleType:
    """The generator's module."""
    spec = importlib.util.spec_from_file_location("generator", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, required=True, help="folder with gen_balance.py and the peers' scripts")
    options.add_argument("--rebalancer", type=Path, help="a Python 3.12 that has rebalancer and numpy")
    options.add_argument("--proxlb", type=Path, help="a Python that has proxlb-solver, ortools and numpy")
    options.add_argument("--sizes", default=",".join(SECONDS))
    options.add_argument("--seconds", default=",".join(map(str, SECONDS.values())), help="ours, CPU, for each size")
    options.add_argument("--peer-seconds", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--record", action="store_true", help="append to RESULTS.md")
    given = options.parse_args()
    if len(given.sizes.split(",")) != len(given.seconds.split(",")):
        options.error(f"as many --seconds as --sizes: got {given.seconds} for {given.sizes}")
    generator = load(given.peers / "gen_balance.py")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    begun = time.process_time()
    run(generator, "10/200/20", 0.05, 1)
    loading = time.process_time() - begun - 0.05
    columns = ("hosts/VMs/moves", "solver", "J before", "J", "max cpu", "max mem", "moves", "CPU s")
    lines = [
        f"\n## Balance, {date.today()}, {platform.machine()} with {os.cpu_count()} cores, all on one core, seed {given.seed}\n",
        f"Loading our compiled kernels took {loading:.1f} CPU-s, once and not counted. Peers were given "
        f"{given.peer_seconds:g} CPU-s: Rebalancer as the wall time that our run says they take, the CP-SAT models a third of them as deterministic time.\n",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    print(*lines, sep="\n", flush=True)
    for row in table(generator, given):
        lines.append("| " + " | ".join(str(row.get(c, "")) for c in columns) + " |")
        print(lines[-1], flush=True)
    if given.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
