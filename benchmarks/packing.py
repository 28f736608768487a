"""Vector packing: how often engines pack into as few bins as can be, on public instances whose optimum is known.

    python -m benchmarks.packing [--data DIR] [--seconds-per-instance S] [--only NAME ...] [--limit N] [--seed K] [--record]

DIR holds the archives and summaries of the Vectorpack paper (Computers & Operations Research 2025): Panigrahy, New and
Triplet. A bin is a host, an item a VM, capacity a Limit, and the goal is hosts in use; at the start each VM has a host to
itself. Settings were chosen on the instances whose names end in 0, so the others are counted apart as well. CPU seconds are
those of building rows and terms and of the engine; compiled kernels come from numba's cache.
"""

from __future__ import annotations

import csv
import sys
import tarfile
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tables import command_line, tell
from pro.placement.engines.patterns import Patterns
from pro.placement.language import Limit, Opened
from pro.placement.problem import Problem, Stop, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints


SETS = {"Panigrahy": 900, "New": 400, "Triplet": 40}
"""Set: how many of all its 1,200, 726 and 240 instances we aim at solving."""


@dataclass(frozen=True)
class Instance:
    """Items `size` (n, D) for bins with `room` (D,); `best` of the paper's heuristics, and the optimum."""

    name: str
    room: Ints
    size: Ints
    best: int
    optimum: int

    @property
    def seen(self) -> bool:
        """Whether settings were chosen on it."""
        return self.name.endswith("_0")


def parse(text: str) -> tuple[Ints, Ints]:
    """(D,) room and (n, D) sizes of a .vbp file: D, the room, n, then per item its size and how many there are of it."""
    numbers = [int(word) for word in text.split()]
    dims = numbers[0]
    items = np.array(numbers[dims + 2 :], np.int64).reshape(numbers[dims + 1], dims + 1)
    return np.array(numbers[1 : dims + 1], np.int64), np.repeat(items[:, :dims], items[:, dims], axis=0)


def instances(data: Path, name: str) -> Iterator[Instance]:
    """Those of a set whose optimum is known; the first of each class and size, then the second, and so on."""
    with (data / f"{name}_summary_known.csv").open(encoding="utf-8") as file:
        known = {row["instance_name"]: row for row in csv.DictReader(file, delimiter="\t") if int(row["OPT"]) > 0}
    texts = {}
    with tarfile.open(data / f"{name}_instances.tar.gz") as archive:
        for member in archive:
            stem = Path(member.name).stem
            if stem in known and (text := archive.extractfile(member)):
                texts[stem] = text.read().decode()
    for stem, row in sorted(known.items(), key=lambda k: (int(k[0].rsplit("_", 1)[1]), k[0])):
        yield Instance(stem, *parse(texts[stem]), best=int(row["best_overall"]), optimum=int(row["OPT"]))


def compile_packing(room: Ints, size: Ints) -> Problem:
    """A host and a VM for every item."""
    each = np.arange(len(size))
    zero = np.zeros_like(size)
    fits = Limit(each, size, each, zero, np.broadcast_to(room, size.shape), "after", "capacity")
    opened = Opened(each, np.ones(len(size), np.int64), "hosts on")
    return Problem(each, len(size), np.ones(len(size), bool), (fits,), (Tier("hosts on", (opened,)),))


def solve(instance: Instance, seconds: float, seed: int) -> tuple[int, float]:
    """Bins used and CPU seconds. Raises RuntimeError if the answer breaks a rule or is better than the best."""
    begun = time.process_time()
    problem = compile_packing(instance.room, instance.size)
    engine = Patterns(clock=time.process_time)
    found = engine.improve(problem, problem.home, Stop(seconds), np.random.default_rng(seed))
    spent = time.process_time() - begun
    bins = len(np.unique(found))
    if not problem.feasible(found) or bins < instance.optimum:
        raise RuntimeError(f"{instance.name}: {bins} bins cannot be, the optimum is {instance.optimum}")
    return bins, spent


def run(name: str, chosen: list[Instance], seconds: float, seed: int) -> dict[str, Any]:
    """One set; every unsolved instance is told on stderr."""
    over, spent = [], []
    for number, instance in enumerate(chosen, start=1):
        bins, cpu = solve(instance, seconds, seed)
        over.append(bins - instance.optimum)
        spent.append(cpu)
        if over[-1]:
            print(f"{instance.name}: {bins} bins, optimum {instance.optimum}, paper {instance.best}", file=sys.stderr)
        if number % 50 == 0:
            print(f"{name}: {over.count(0)} of {number} solved, {sum(spent):.0f} CPU s", file=sys.stderr, flush=True)
    unseen = [o == 0 for o, i in zip(over, chosen, strict=True) if not i.seen]
    paper = sum(i.best == i.optimum for i in chosen)
    return {"set": name, "instances": len(chosen), "solved": over.count(0), "paper's best": paper, "aim, whole set": SETS[name],
            "solved, of those not tuned on": f"{sum(unseen)}/{len(unseen)}", "bins over optimum, all": sum(over),
            "paper's": sum(i.best - i.optimum for i in chosen), "CPU s": round(sum(spent), 1),
            "mean": round(sum(spent) / len(chosen), 3), "longest": round(max(spent), 2)}  # fmt: skip


def main() -> None:
    """Command line."""
    options = command_line(__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data/vectorpack"))
    options.add_argument("--seconds-per-instance", type=float, default=4.0, help="CPU seconds at most")
    options.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="sets, and patterns of instances (*_500_3_?)"
    )
    options.add_argument("--limit", type=int, help="the first N of each set, in turn over its classes")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rows = []
    sets = [name for name in SETS if name in given.only] or list(SETS)
    patterns = [p for p in given.only if p not in SETS] or ["*"]
    for name in sets:
        chosen = [i for i in instances(given.data, name) if any(fnmatch(i.name, p) for p in patterns)][: given.limit]
        if chosen:
            solve(chosen[0], 1.0, given.seed)  # loads the compiled kernels
            rows.append(run(name, chosen, given.seconds_per_instance, given.seed))
    if not rows:
        raise SystemExit("no instance has such a name")
    tell(
        "Vector packing",
        f"one worker, at most {given.seconds_per_instance:g} CPU-s an instance, seed {given.seed}",
        rows,
        given.record,
    )


if __name__ == "__main__":
    main()
