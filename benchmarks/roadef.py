"""Machine reassignment (ROADEF/EURO challenge 2012), written in the language of rows and terms, solved by the same engines.

    python -m benchmarks.roadef MODEL ASSIGNMENT [--seconds S] [--workers N] [--seed K] [-o SOLUTION]
    python -m benchmarks.roadef --all FOLDER [--only a1_4,b_1] [--seconds S] [--seed K] [--out FOLDER]

A machine is a host, a process a VM; resources are in units of the file. Seconds are CPU seconds of the whole process from its
start to the answer, kernels loaded from numba's cache included; where they had first to be compiled, that is told apart and not
counted. Of several workers --seconds is for each, the sum is printed. The answer is then checked by the language's own
`feasible` and `costs`. The objective is the challenge's to the unit: no constant is left out.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tables import tell
from pro.fleet import frozen
from pro.placement.engines.portfolio import best_of
from pro.placement.language import AtLeast, Limit, Linear, MostMoved, Near, Row, Steps
from pro.placement.problem import Problem, Stop, Tier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints


RESULTS = Path(__file__).with_name("RESULTS.md")

KNOWN = {
    "a1_1": 44_306_501, "a1_2": 777_531_842, "a1_3": 583_005_719, "a1_4": 254_195_172, "a1_5": 727_578_310,
    "a2_1": 167, "a2_2": 746_097_632, "a2_3": 1_210_644_572, "a2_4": 1_680_615_349, "a2_5": 318_358_949,
    "b_1": 3_339_186_879, "b_2": 1_015_553_800, "b_3": 156_835_787, "b_4": 4_677_823_040, "b_5": 922_988_809,
    "b_6": 9_525_857_752, "b_8": 1_214_419_057, "b_9": 15_885_486_698,
}  # fmt: skip
"""Lowest objective with a source: Gurobi in one hour (a1_1 to a1_3; repository mdeboute/challenge_ROADEF_Google), teams S41
(a1_5, a2_2 to a2_5), S38 (b_1; a1_4 by its public source), S34, S40, S41 in the official table of the final (b_2 to b_4, b_6,
b_9), J33's report at 1,200 s (b_5, b_8), Masson, Vidal et al. 2013 (a2_1). The winner, S41, had 300 s on two cores."""

LOADING = 4.0
"""CPU seconds: what takes longer than this was compiled, not loaded."""


@dataclass(frozen=True)
class Model:
    """A model file. C, SC (M, R) capacity and safety capacity; R (P, R) requirements; MMC (M, M); balance (B, 4)."""

    transient: NDArray[np.bool_]
    load_weight: Ints
    neighbourhood: Ints
    location: Ints
    capacity: Ints
    safety: Ints
    machine_cost: Ints
    spread: Ints
    depends: tuple[tuple[int, ...], ...]
    service: Ints
    need: Ints
    process_cost: Ints
    balance: Ints
    weights: tuple[int, int, int]


class _Numbers:
    """The integers of a file, taken from the front."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            self._all = np.array(file.read().split(), np.int64)

    def take(self, n: int) -> Ints:
        """The next `n`. Raises ValueError at the end of the file."""
        if self._at + n > len(self._all):
            raise ValueError(f"{self._path.name}: ends after {len(self._all)} numbers, {self._at + n} are needed")
        self._at += n
        return self._all[self._at - n : self._at]

    def one(self) -> int:
        """The next."""
        return int(self.take(1)[0])

    def close(self) -> None:
        """Raises ValueError if something is left."""
        if self._at != len(self._all):
            raise ValueError(f"{self._path.name}: {len(self._all) - self._at} numbers too many")


def read_model(path: Path) -> Model:
    """Raises ValueError for a file that is cut off or too long."""
    file = _Numbers(path)
    resources = file.one()
    kinds = file.take(2 * resources).reshape(-1, 2)
    machines = file.one()
    table = file.take(machines * (2 + 2 * resources + machines)).reshape(machines, -1)
    spread, depends = [], []
    for _ in range(file.one()):
        spread.append(file.one())
        depends.append(tuple(file.take(file.one()).tolist()))
    processes = file.one()
    needs = file.take(processes * (2 + resources)).reshape(processes, -1)
    balances = file.one()
    balance = file.take(4 * balances).reshape(-1, 4)
    a, b, c = file.take(3).tolist()
    file.close()
    return Model(
        kinds[:, 0] == 1, kinds[:, 1], table[:, 0], table[:, 1], table[:, 2 : 2 + resources],
        table[:, 2 + resources : 2 + 2 * resources], table[:, 2 + 2 * resources :], np.array(spread), tuple(depends),
        needs[:, 0], needs[:, 1 : 1 + resources], needs[:, 1 + resources], balance, (a, b, c),
    )  # fmt: skip


def read_assignment(path: Path, model: Model) -> Ints:
    """(P,) machine of each process. Raises ValueError for a wrong length or machine."""
    file = _Numbers(path)
    machine_of = file.take(len(model.service))
    file.close()
    if len(machine_of) and not 0 <= machine_of.min() <= machine_of.max() < len(model.capacity):
        raise ValueError(f"{path.name}: a machine that is not in the model")
    return machine_of


def compile_model(model: Model, home: Ints) -> Problem:
    """The whole problem as rows and one tier of terms."""
    return Problem(
        home=home,
        hosts=len(model.capacity),
        movable=np.ones(len(home), bool),
        rows=tuple(_rows(model)),
        tiers=(Tier("challenge", tuple(_terms(model, home))),),
    )


def _rows(model: Model) -> list[Row]:
    machines, everybody = len(model.capacity), np.arange(len(model.service))
    each = frozen(np.arange(machines), np.int64)
    none, one = frozen(np.zeros((machines, 1)), np.int64), frozen(np.ones((machines, 1)), np.int64)
    zero = np.zeros_like(model.capacity)
    t = model.transient
    rows: list[Row] = [Limit(everybody, model.need, each, zero, model.capacity, "after", "capacity")]
    if t.any():
        in_flight = model.capacity[:, t]
        rows.append(Limit(everybody, model.need[:, t], each, zero[:, t], in_flight, "during", "transient"))
    order = np.argsort(model.service, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(model.service, minlength=len(model.spread)))[:-1])
    for service, vms in enumerate(members):
        if len(vms) > 1:
            rows.append(Limit(vms, np.ones((len(vms), 1), np.int64), each, none, one, "after", "conflict"))
        if model.spread[service] > 1:
            rows.append(AtLeast(vms, model.location, int(model.spread[service]), "spread"))
        rows.extend(Near(vms, members[d], model.neighbourhood, "dependency") for d in model.depends[service])
    return rows


def _terms(model: Model, home: Ints) -> list[Steps | Linear | MostMoved]:
    machines, everybody = len(model.capacity), np.arange(len(home))
    each, zero = np.arange(machines), np.zeros_like(model.capacity)
    slopes = np.broadcast_to(model.load_weight, zero.shape)[None]
    terms: list[Steps | Linear | MostMoved] = [
        Steps(everybody, model.need, each, zero, model.safety[None], slopes, "load")
    ]
    for r1, r2, target, weight in model.balance.tolist():
        # target * (C1 - U1) - (C2 - U2) is a base plus a signed weight per process.
        base = (target * model.capacity[:, r1] - model.capacity[:, r2])[:, None]
        signed = (model.need[:, r2] - target * model.need[:, r1])[:, None]
        nil = np.zeros((1, machines, 1), np.int64)
        terms.append(Steps(everybody, signed, each, base, nil, nil + weight, "balance"))
    process, service, machine = model.weights
    terms.append(Linear(process * model.process_cost, machine * model.machine_cost, home, "moves"))
    terms.append(MostMoved(model.service, service, "most moved service"))
    return terms


def write_assignment(path: Path, machine_of: Ints) -> None:
    """One line of machine numbers."""
    path.write_text(" ".join(map(str, machine_of.tolist())) + "\n", encoding="ascii")


def compile_kernels() -> float:
    """CPU seconds of compiling annealing's kernels; 0 where they were only loaded."""
    begun = time.process_time()
    one, two = np.zeros(1, np.int64), np.array([[1, 0]])
    tiny = Problem(one, 2, np.ones(1, bool), (), (Tier("tiny", (Linear(one, two, one, "tiny"),)),))
    best_of(tiny, one, Stop(seconds=3600, steps=1), 1)
    spent = time.process_time() - begun
    return spent if spent > LOADING else 0.0


def solve(model: Path, assignment: Path, given: argparse.Namespace) -> tuple[int, int, Ints, float]:
    """(initial, final, assignment, CPU seconds when the answer was there). Raises RuntimeError if it breaks a rule."""
    compiled = compile_kernels()
    parsed = read_model(model)
    home = read_assignment(assignment, parsed)
    problem = compile_model(parsed, home)
    stop = Stop(given.seconds + compiled - time.process_time(), given.steps)
    found = best_of(problem, home, stop, given.seed, workers=given.workers, clock=time.process_time)
    spent = os.times()
    seconds = sum(spent[:4]) - compiled
    if compiled:
        print(f"kernels compiled in {compiled:.1f} CPU-s, once on this machine", file=sys.stderr)
    if not problem.feasible(found):
        raise RuntimeError(f"{model.name}: the answer breaks a rule")
    return problem.costs(home)[0], problem.costs(found)[0], found, seconds


def run_all(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """One process per instance, so that its CPU seconds are its own."""
    rows = []
    for name in given.only.split(",") if given.only else KNOWN:
        files = [next(folder.glob(f"{kind}_{name}.txt*")) for kind in ("model", "assignment")]
        command = [sys.executable, "-m", "benchmarks.roadef", *map(str, files), "--seconds", str(given.seconds),
                   "--workers", str(given.workers), "--seed", str(given.seed)]  # fmt: skip
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            command += ["-o", str(given.out / f"{name}.txt")]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        said = dict(zip(words[::2], words[1::2], strict=True))
        initial, final = int(said["initial"]), int(said["final"])
        gap = 100 * (final - KNOWN[name]) / initial
        rows.append({"instance": name, "initial": initial, "final": final, "best known": KNOWN[name],
                     "gap %": round(gap, 3), "CPU s": said["seconds"]})  # fmt: skip
        print(*rows[-1].values(), sep="\t", flush=True)
    print(f"mean gap {np.mean([r['gap %'] for r in rows]):.3f} %")
    return rows


def record(rows: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Append the table to RESULTS.md."""
    lines = [
        f"\n## ROADEF, {date.today()}, {platform.machine()} with {os.cpu_count()} cores, {given.seconds:g} CPU-s, "
        f"{given.workers} worker, seed {given.seed}\n",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in r.values()) + " |" for r in rows),
        f"\nMean gap {np.mean([r['gap %'] for r in rows]):.3f} % over {len(rows)} instances.",
    ]
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", type=Path, help="MODEL ASSIGNMENT")
    options.add_argument("--all", type=Path, help="folder with model_*.txt.gz and assignment_*.txt.gz")
    options.add_argument("--only", help="with --all: instances, separated by commas")
    options.add_argument("--out", type=Path, help="with --all: folder for the answers")
    options.add_argument("--no-record", action="store_true", help="with --all: leave RESULTS.md alone")
    options.add_argument("--record", action="store_true", help="of one instance: a table, appended to RESULTS.md")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--steps", type=int, default=Stop().steps)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("-o", "--output", type=Path)
    given = options.parse_args()
    if given.all:
        rows = run_all(given.all, given)
        if not given.no_record:
            record(rows, given)
        return
    if len(given.files) != 2:
        options.error("MODEL and ASSIGNMENT, or --all FOLDER")
    model, assignment = given.files
    try:
        initial, final, found, seconds = solve(model, assignment, given)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    if given.output:
        write_assignment(given.output, found)
    print(f"initial {initial} final {final} seconds {seconds:.2f}")
    if given.record:
        name = model.name.partition(".")[0].removeprefix("model_")
        row: dict[str, Any] = {"instance": name, "initial": initial, "final": final, "CPU s": round(seconds, 2)}
        if name in KNOWN:
            row |= {"best known": KNOWN[name], "gap %": round(100 * (final - KNOWN[name]) / initial, 3)}
        tell("ROADEF", f"{given.seconds:g} CPU-s, {given.workers} worker, seed {given.seed}", [row], record=True)


if __name__ == "__main__":
    main()
