"""Small fleets: how far is the answer from what is possible, and how long does it take to know?

    python -m benchmarks.small [--seeds K] [--seconds S] [--long L] [--plain P] [--only HOSTS/VMS] [...]

The family: invented fleets of 4 hosts and 40 VMs up to 10 and 200, one or two clusters, 24 scenarios of 48 slots, spread
and fence rules, some of them broken, and the usual budget of a tenth of the VMs; the goal is `balance` (heat against
migrations). FILE is the generator of `benchmarks.balance`, whose squares are asked for at 10 hosts, 200 VMs, 20 moves.
FOLDER holds counters and an inventory: the real problem at the newest sample. CPU seconds are those of everything after
the problem is compiled: greedy, local search, and the search for a bound. Kernels come from numba's cache. L: go on with
the bound alone for so many seconds, so that the answer of S seconds is seen beside what is proven later. P: ask CP-SAT, too, with
the plain model of the same problem, for so many seconds of wall time on two workers, after its model is built.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.balance import compile_fleet, load
from pro.fleet import Demand, Fleet, Groups, RuleSpec
from pro.placement.chain import SEARCH_SHARE
from pro.placement.engines import Cuts, Few, Greedy, warm
from pro.placement.engines.exact import Model
from pro.placement.policy import Policy
from pro.placement.problem import Problem, Stop, Tier
from pro.placement.question import prepare
from pro.placement.referee import require

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.placement.engines.exact import Settled


SIZES = ((4, 40), (6, 90), (8, 120), (10, 150), (10, 200))
SCENARIOS, SLOTS = 24, 48
RESULTS = Path(__file__).with_name("RESULTS.md")


def fleet_of(hosts: int, vms: int, rng: np.random.Generator) -> Fleet:
    """A fleet in which the first third of each cluster's hosts holds too much."""
    clusters = np.sort(np.arange(hosts) % (2 if hosts >= 8 else 1))
    cluster_of = rng.choice(clusters, vms)
    host_of = np.zeros(vms, np.int64)
    for c in np.unique(clusters):
        mine = np.flatnonzero(clusters == c)
        drawn = rng.dirichlet(np.where(np.arange(len(mine)) < max(len(mine) // 3, 1), 30.0, 18.0))
        host_of[cluster_of == c] = rng.choice(mine, int((cluster_of == c).sum()), p=drawn)
    vcpus = rng.choice([1, 2, 4, 8], vms, p=[0.2, 0.4, 0.3, 0.1])
    memory = rng.choice([2, 4, 8, 16], vms, p=[0.3, 0.4, 0.2, 0.1]) * 1024
    cores = 2 * -(-int(vcpus.sum()) // (2 * hosts * 2))
    held = np.bincount(host_of, weights=memory, minlength=hosts).max()
    ids = tuple(f"vm{v:03}" for v in range(vms))
    names = tuple(f"host{h:02}" for h in range(hosts))
    rules = []
    for k in range(vms // 20):
        inside = np.flatnonzero(cluster_of == cluster_of[k])
        members = tuple(ids[v] for v in rng.choice(inside, 3, replace=False))
        here = [h for h in range(hosts) if clusters[h] == cluster_of[k]]
        if k % 3:
            rules.append(RuleSpec(f"apart-{k}", "spread", tuple(sorted(members[: min(3, len(here))]))))
        else:
            rules.append(RuleSpec(f"fence-{k}", "fence", members, tuple(names[h] for h in here[: len(here) // 2 + 1])))
    return Fleet(
        hosts=names, vms=ids, host_names=names, vm_names=ids, host_fqdn=("",) * hosts, vm_fqdn=("",) * vms,
        resources=("cpu", "memory"),
        capacity=np.column_stack([np.full(hosts, cores * 2_400), np.full(hosts, int(held) + 24_576)]),
        host_of=host_of, leaving=np.zeros(hosts, bool), compatibility_mode=np.ones(vms, bool),
        accepting=np.ones(hosts, bool), movable=np.ones(vms, bool), highly_available=np.ones(vms, bool),
        host_groups={"cluster": Groups(clusters, ("A", "B"))}, vm_groups={}, vcpus=vcpus, cpu_cap_mhz=vcpus * 2_400,
        memory_mib=memory, migration_mbps=np.full(hosts, 10_000), snapshot_gib=np.zeros(vms),
        snapshot_age_days=np.full(vms, -1.0), rules=tuple(rules), at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def demand_of(fleet: Fleet, rng: np.random.Generator, level: float = 0.62) -> Demand:
    """Days of VMs: an hour at which each is busiest, noise that lasts, and a few with bursts; the fleet's mean is `level`."""
    slot = np.arange(SLOTS)
    peak, width = rng.choice([20, 24, 28, 4], fleet.n_vms, p=[0.4, 0.3, 0.2, 0.1]), rng.uniform(4, 12, fleet.n_vms)
    away = np.minimum(np.abs(slot - peak[:, None]), SLOTS - np.abs(slot - peak[:, None]))
    shape = 0.25 + np.exp(-((away / width[:, None]) ** 2))
    noise = rng.normal(0, 0.25, (fleet.n_vms, SCENARIOS, SLOTS))
    for t in range(1, SLOTS):
        noise[:, :, t] = 0.8 * noise[:, :, t - 1] + 0.6 * noise[:, :, t]
    busy = shape[:, None, :] * np.exp(noise) * rng.lognormal(0, 0.5, fleet.n_vms)[:, None, None]
    used = (busy * fleet.cpu_cap_mhz[:, None, None]).sum(axis=0).mean(axis=0)[16:32].mean()
    busy = np.minimum(busy * level * fleet.capacity[:, 0].sum() / used, 1.0)
    cpu = np.rint(busy.reshape(fleet.n_vms, -1) * fleet.cpu_cap_mhz[:, None]).astype(np.int32)
    memory = np.broadcast_to(fleet.memory_mib[:, None], cpu.shape).astype(np.int32)
    base = np.zeros((fleet.n_hosts, 2, cpu.shape[1]), np.int32)
    base[:, 0] = fleet.capacity[:, :1] // 50
    return Demand(
        use=np.stack([cpu, memory], axis=1), base=base, scenarios=SCENARIOS, slots=SLOTS,
        start=datetime(2026, 1, 1, tzinfo=UTC), step_s=1_800, known=np.ones(fleet.n_vms, np.float32),
    )  # fmt: skip


def run(
    name: str, fleet: Fleet, demand: Demand, seconds: float, more: float = 0.0, alone: float = 0.0
) -> dict[str, Any]:
    """One fleet by the chain of `place`, on CPU seconds; `more` and `alone`: L and P above."""
    question = prepare(fleet, demand, Policy())
    problem = question.problem
    begun = time.process_time()
    best, settled = search(problem, seconds)
    spent = time.process_time() - begun
    require(fleet, question.constraints, best)
    row = _row(name, problem, best, settled, spent)
    cost = problem.costs(best)[1]
    if more:
        later, proven = Cuts(clock=time.process_time).prove(problem, best, Stop(more), np.random.default_rng(1))
        bound = max(settled.bound or 0, proven.bound or 0)
        row |= {f"best in {more:g} s": f"{problem.costs(later)[1]:.5g}", f"bound in {more:g} s": f"{bound:.5g}"}
        row |= {"this answer over it, %": round(100 * (cost - bound) / max(cost, 1), 3)}
    if alone:
        row |= plain(problem, problem.costs(best)[0], alone)
    return row


def plain(problem: Problem, allowed: int, seconds: float) -> dict[str, Any]:
    """CP-SAT on the whole model, from today's placement, with as many rules repaired as in our answer."""
    begun = time.process_time()
    model = Model(problem, problem.home)
    model.hold(0, allowed, problem.home)
    built = time.process_time()
    found = model.minimise(1, (seconds, float("inf")), 1)
    cost = None if found.host_of is None else problem.costs(found.host_of)[1]
    return {
        "CP-SAT: cost": "none" if cost is None else f"{cost:.5g}",
        "bound of CP-SAT": "none" if found.bound is None else f"{found.bound:.5g}",
        "to build, CPU s": round(built - begun, 1), "to solve, CPU s": round(time.process_time() - built, 1),
    }  # fmt: skip


def search(problem: Problem, seconds: float) -> tuple[Ints, Settled]:
    """Greedy, annealing for a number of steps, then bounds and what they find: the chain of `place`, on CPU seconds."""
    begun, rng = time.process_time(), np.random.default_rng(1)

    def left() -> float:
        return seconds - (time.process_time() - begun)

    best = Greedy().improve(problem, problem.home, Stop(seconds), rng)
    few = Few(clock=time.process_time)
    best = few.improve(problem, best, Stop(SEARCH_SHARE * left(), few.steps(problem, seconds)), rng)
    return Cuts(clock=time.process_time).prove(problem, best, Stop(left()), rng)


def squares(generator: Any, sizes: tuple[int, int, int], seconds: float) -> dict[str, Any]:
    """The workload of `benchmarks.balance`: no tier of rules, one of squares."""
    capacity, size, home = generator.make(*sizes[:2])
    one = compile_fleet(capacity, size, home, sizes[2])
    problem = replace(one, tiers=(Tier("broken rules", ()), *one.tiers))
    begun = time.process_time()
    best, settled = search(problem, seconds)
    return _row("squares " + "/".join(map(str, sizes)), problem, best, settled, time.process_time() - begun)


def _row(name: str, problem: Problem, best: Ints, settled: Settled, spent: float) -> dict[str, Any]:
    home, cost, bound = problem.costs(problem.home)[1], problem.costs(best)[1], settled.bound
    off = None if bound is None else cost - bound
    return {
        "fleet": name, "cost today": f"{home:.4g}", "cost": f"{cost:.5g}",
        "bound": "none" if bound is None else f"{bound:.5g}",
        "gap %": None if off is None else round(100 * off / max(cost, 1), 3),
        "gap, % of today": None if off is None else round(100 * off / max(home, 1), 3),
        "moved": int((best != problem.home).sum()), "fewest": "proven" if settled.minimal_moves else "open",
        "CPU s": round(spent, 2),
    }  # fmt: skip


def real(folder: Path, seconds: float) -> dict[str, Any]:
    """The estate in `folder` at its newest sample."""
    from pro.config import load as settings
    from pro.decision import hold_back
    from pro.fleet.inventory import import_inventory
    from pro.telemetry.store import Store
    from pro.workflow import look_ahead, policy_of

    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root))
        store.ingest([folder])
        now = store.newest()
        if now is None:
            raise SystemExit(f"{folder} holds no counters")
        import_inventory(Path(root), [folder], now - timedelta(days=8))
        outlook = look_ahead(Path(root), settings(), now)
    fleet = hold_back(outlook, policy_of(settings()))
    return run(f"{folder.name} {fleet.n_hosts}/{fleet.n_vms}", fleet, outlook.demand, seconds)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3.0, help="CPU seconds")
    options.add_argument("--long", type=float, default=0.0, help="CPU seconds for the bound alone, after that")
    options.add_argument("--plain", type=float, default=0.0, help="wall seconds for CP-SAT on the plain model")
    options.add_argument("--only", metavar="HOSTS/VMS", help="only fleets of this size")
    options.add_argument("--generator", type=Path)
    options.add_argument("--estate", type=Path)
    options.add_argument("--record", action="store_true", help="append to RESULTS.md")
    given = options.parse_args()
    warm()
    rows = []
    for hosts, vms in (size for size in SIZES if given.only in (None, "/".join(map(str, size)))):
        for seed in range(1, given.seeds + 1):
            rng = np.random.default_rng([seed, hosts, vms])
            fleet = fleet_of(hosts, vms, rng)
            rows.append(
                run(f"{hosts}/{vms} seed {seed}", fleet, demand_of(fleet, rng), given.seconds, given.long, given.plain)
            )
            print(rows[-1], flush=True)
    if given.generator:
        rows.append(squares(load(given.generator), (10, 200, 20), given.seconds))
    if given.estate:
        rows.append(real(given.estate, given.seconds))
    lines = [
        f"\n## Small fleets, {date.today()}, {platform.machine()} with {os.cpu_count()} cores, at most {given.seconds:g} CPU-s\n",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(map(str, row.values())) + " |" for row in rows),
    ]
    print("\n".join(lines))
    if given.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
