"""place() and the N-stage walk around it on an invented fleet of any size: 25 VMs a host, 48 moments, two rules a host.

    python -m benchmarks.scale [--hosts 1000] [--seconds 5,30] [--workers 2] [--seed 1] [--load 1] [--cpu]
                                [--growth] [--plan] [--record]

The budget is 2 % of the VMs. The fleet goes through `place` as a user's does: rules to rows, engines, referee. Heat is in
expected % x hours over the threshold; "goal" is the tier that `place` minimises (heat, and a price of 1 for each migration),
after repair; the bound is of the same. Seconds are wall seconds and CPU seconds of the whole process; compiling rules to rows
is a stage of its own, compiled kernels come from numba's cache. `--cpu`: the limit counts CPU seconds of all threads together, for
machines that are busy with other things. `--load`: so many times as much CPU is asked for, until the budget binds. `--growth`: 100, 300, 1,000 and 4,000 hosts. `--plan`: also
waves, the plan's checker, explanations and the report's summary.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fleets import scale_fleet
from pro.placement.place import place
from pro.placement.policy import Policy, percent_hours
from pro.placement.question import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from pro.fleet import Demand, Fleet
    from pro.placement.problem import Problem

RESULTS = Path(__file__).with_name("RESULTS.md")
BOUND_SECONDS = 20.0
"""CPU seconds for the bound of the table, which is not the one that `place` has time for."""

GROWTH = (100, 300, 1_000, 4_000)


class Stages:
    """Wall and CPU seconds of named stages."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str) -> AbstractContextManager[None]:
        from contextlib import contextmanager

        @contextmanager
        def watch() -> Iterator[None]:
            wall, cpu = time.monotonic(), time.process_time()
            yield
            self.taken[name] = (time.monotonic() - wall, time.process_time() - cpu)

        return watch()


def run(
    hosts: int, limits: list[float], workers: int, seed: int, plan: bool = False, load: float = 1.0, cpu: bool = False
) -> list[dict[str, Any]]:
    """One answer for each limit. Raises what `place` raises."""
    from pro.placement.engines.warm import warm_wide
    from pro.placement.engines.wide import Wide
    from pro.placement.problem import Stop

    warm_wide()
    fleet, demand = scale_fleet(hosts, seed, load)
    policy = Policy(max_moves=fleet.n_vms // 50, workers=workers, seed=seed)
    stages = Stages()
    with stages("rows"):
        question = prepare(fleet, demand, policy)
    problem, unit = question.problem, percent_hours(demand)
    with stages("greedy"):
        first = Wide(workers=workers).search(problem, fleet.host_of, Stop(600, 0), np.random.default_rng(seed))
    common, rows, answers = dict(stages.taken), [], []
    for seconds in limits:
        stages = Stages()
        with stages("place"):
            answer, _ = place(
                fleet, demand, replace(policy, seconds=seconds), clock=time.process_time if cpu else time.monotonic
            )
        if plan:
            _plan(fleet, demand, answer, question, stages)
        account = {t.name: t for t in answer.tiers}
        goal = [problem.costs(p)[1] / unit for p in (fleet.host_of, first.host_of, answer.host_of)]
        row = {
            "hosts / VMs / rules": f"{fleet.n_hosts:,} / {fleet.n_vms:,} / {len(fleet.rules):,}", "limit s": seconds,
            "place s": round(answer.seconds, 2), "engine": answer.engine,
            "heat before": account["heat"].before, "heat after": account["heat"].after,
            "broken before": account["broken rules"].before, "broken after": account["broken rules"].after,
            "migrations": int(account["migrations"].after), "budget": policy.max_moves,
            "goal before": round(goal[0], 1), "goal greedy": round(goal[1], 2), "goal": round(goal[2], 2),
            "bound by place": None if answer.bound is None else round(answer.bound / unit, 2),
            "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }  # fmt: skip
        answers.append(answer)
        rows.append(
            row | {f"{name} s (CPU s)": f"{wall:.1f} ({cpu_s:.1f})" for name, (wall, cpu_s) in stages.taken.items()}
        )
    with stages("bound"):
        full = _bound(problem, answers[-1].host_of, first.price)
    common["bound"] = stages.taken["bound"]
    for row, answer in zip(rows, answers, strict=True):
        # The bound is of placements that repair as much as the last answer.
        alike = full is not None and problem.costs(answer.host_of)[0] <= problem.costs(answers[-1].host_of)[0]
        row["bound"] = round(full / unit, 2) if full is not None and alike else None
        row["distance %"] = (
            round(100 * (1 - full / problem.costs(answer.host_of)[1]), 2) if full is not None and alike else None
        )
        row |= {f"{name} s (CPU s)": f"{wall:.1f} ({cpu_s:.1f})" for name, (wall, cpu_s) in common.items()}
    return rows


def _bound(problem: Problem, found: NDArray[np.int64], price: int) -> int | None:
    from pro.placement.engines.sources import priced_bound

    begun = time.process_time()
    full = priced_bound(problem, found, 1, price, left=lambda: BOUND_SECONDS - (time.process_time() - begun))
    return None if full is None else full.value


def _plan(fleet: Fleet, demand: Demand, answer: Any, question: Any, stages: Stages) -> None:
    from pro.config import Config
    from pro.decision import order
    from pro.heat.hotspots import find_hotspots
    from pro.outlook import Outlook
    from pro.placement.told import explanations

    with stages("hotspots"):
        hotspots = find_hotspots(fleet, demand, threshold=0.85, dwell_s=900, min_probability=0.3)
    outlook = Outlook(demand.start, fleet, demand, {}, {}, hotspots, None)
    with stages("explain"):
        causes = (fleet.vm_index(c.vm) for hotspot in hotspots for c in hotspot.vms)
        explanations(question, answer.host_of, causes)
    with stages("plan, checked and explained"):
        order(answer, question, outlook, Config(), demand.start)


def _in_process(job: tuple[Any, ...]) -> list[dict[str, Any]]:
    """`run` in a process of its own, so that its peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, job)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hosts", type=int, default=1_000)
    options.add_argument("--seconds", default="5,30")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--load", type=float, default=1.0)
    options.add_argument("--cpu", action="store_true")
    options.add_argument("--growth", action="store_true")
    options.add_argument("--plan", action="store_true")
    options.add_argument("--record", action="store_true", help="append to RESULTS.md")
    given = options.parse_args()
    sizes = GROWTH if given.growth else (given.hosts,)
    limits = [float(s) for s in given.seconds.split(",")]
    rows: list[dict[str, Any]] = []
    for n in sizes:
        print(f"{n:,} hosts, {given.seconds} s", file=sys.stderr, flush=True)
        rows += _in_process((n, limits, given.workers, given.seed, given.plan, given.load, given.cpu))
    load = os.getloadavg()[0]
    lines = [
        f"\n## Scale, {date.today()}, {platform.machine()} with {os.cpu_count()} cores (busy with {load:.0f}), "
        f"{given.workers} workers, seed {given.seed}, "
        f"load {given.load:g}, limits in {'CPU seconds' if given.cpu else 'seconds'}\n",
        "| | " + " | ".join(f"{r['hosts / VMs / rules']}, {r['limit s']:g} s" for r in rows) + " |",
        "|" + "---|" * (len(rows) + 1),
        *(f"| {key} | " + " | ".join(str(r.get(key, "")) for r in rows) + " |" for key in list(rows[-1])[2:]),
    ]
    print("\n".join(lines))
    if given.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
