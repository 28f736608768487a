"""Consolidation that moves a VM about once: packed while the estate is young, then relief where a host will be short.

What most published policies call dynamic consolidation moves every VM dozens of times a day. Here the estate is packed as soon as
its first samples are in, by what joint scenarios say of the sums on each host, and once more when a few samples have made
these better. After that only VMs on hosts that are likely to be short of CPU move, each only if it is worth a migration; a spare
host is switched on when too many are short, and the estate is packed again when hardly any is.

The prices were chosen on three days of PlanetLab (20110303, 20110309, 20110322); benchmarks/planetlab.py runs the policy on any day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU, MEMORY
from pro.fleet import Demand
from pro.forecast.recent import recent_paths
from pro.placement.constraints import build
from pro.placement.engines import Greedy, Local
from pro.placement.language import Limit
from pro.placement.objectives import Heat, HostsOn, Moves
from pro.placement.objectives.common import BILLION
from pro.placement.problem import Stop, Tier, compile_problem
from pro.placement.referee import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pro.core.arrays import Bools, Floats, Ints
    from pro.fleet import Fleet
    from pro.placement.problem import Problem
    from pro.placement.rules import Constraint


UNHURRIED_S = 3600.0
"""Engines stop by themselves, so that the answer does not depend on the machine; this only guards against never."""


@dataclass(frozen=True)
class Consolidation:
    """The policy. Prices are in hosts: 1 is what it is worth to have one host fewer on for a day.

    Parameters
    ----------
    knots
        (fraction of a host's CPU, price) pairs: what one whole host's CPU too much over the fraction costs, in addition to
        lower knots, as the mean over scenarios. Below 1 they are the margin that forecasts need.
    packing_move, relief_move
        The price of a migration while packing, and later.
    short, likely
        A host is relieved when more than the share `likely` of scenarios has it at the fraction `short` of its CPU or above.
    crowded
        When more than this share of the hosts that are on is at `short`, as the mean over scenarios, the next spare host is
        switched on for whoever gains from it.
    pack_at
        Numbers of known samples at which everything may move.
    calm, pause, late_move
        No more than the share `calm` of hosts at `short`: everything may move again, at the price `late_move`, every `pause`
        samples.
    reserve
        Migrations per VM that packing leaves for relief.
    moves_per_vm
        Migrations in all, per VM. `burst`: of these in one step after packing.
    spare
        Hosts that are off and may be switched on at any step.
    pack_window, window
        Samples that count, while packing and later. `paths`: scenarios.
    room
        Hosts of the kinds that use most power are emptied where the others have this many times the CPU that is asked for.
    """

    knots: tuple[tuple[float, float], ...] = ((0.75, 2.3), (0.85, 9.0), (0.95, 27.0))
    packing_move: float = 0.12
    late_move: float = 0.04
    relief_move: float = 0.1
    short: float = 0.97
    likely: float = 0.2
    crowded: float = 0.045
    calm: float = 0.01
    pause: int = 12
    reserve: float = 0.06
    pack_at: tuple[int, ...] = (1, 3)
    moves_per_vm: float = 0.94
    burst: float = 0.01
    spare: int = 1
    window: int = 24
    pack_window: int = 36
    paths: int = 32
    room: float = 2.0
    seed: int = 1

    def decide(self, fleet: Fleet, past: Floats, watts_per_cpu: Floats, left: int) -> Ints:
        """(V,) where every VM should stand from now on.

        `fleet` as it stands; `past` (V, n) CPU in per cent of each VM's cap, all that is known; `watts_per_cpu` (H,) at
        full load; `left` migrations that are still allowed. Same arguments, same answer.
        """
        known = past.shape[1]
        if known == 0 or left <= 0:
            return fleet.host_of.copy()
        rng = np.random.default_rng((self.seed, known))
        if known in self.pack_at:
            demand = self.expected(fleet, past, self.pack_window, rng)
            return self.pack(fleet, demand, watts_per_cpu, self.packing_move, left, rng)
        demand = self.expected(fleet, past, self.window, rng)
        over = (_host_cpu(fleet, demand) >= self.short * fleet.capacity[:, :1]).mean(axis=1)
        share = over[self.awake(fleet)].mean()
        if share <= self.calm and known > self.pack_at[-1] + self.window and known % self.pause == 0:
            return self.pack(fleet, demand, watts_per_cpu, self.late_move, left, rng)
        return self.relieve(fleet, demand, watts_per_cpu, left, over, share > self.crowded)

    def pack(
        self, fleet: Fleet, demand: Demand, watts_per_cpu: Floats, price: float, left: int, rng: np.random.Generator
    ) -> Ints:
        """(V,) everything may move, hosts are emptied, none is switched on."""
        most = left - round(self.reserve * fleet.n_vms)
        if most <= 0:
            return fleet.host_of.copy()
        waste = self.wasteful(fleet, demand, watts_per_cpu)
        view = replace(fleet, leaving=waste, accepting=fleet.accepting & ~waste & self.awake(fleet))
        problem, rules = self.question(view, demand, price, most)
        found = Local().improve(problem, problem.home, Stop(UNHURRIED_S, 0), rng)
        require(view, rules, found)
        return found

    def relieve(
        self, fleet: Fleet, demand: Demand, watts_per_cpu: Floats, left: int, over: Floats, crowded: bool
    ) -> Ints:
        """(V,) VMs leave hosts that are likely to be short. `over` (H,): how likely each is."""
        hot = over > (0.0 if crowded else self.likely)
        if not hot.any():
            return fleet.host_of.copy()
        most = min(left, max(round(self.burst * fleet.n_vms), 1))
        view = replace(
            fleet, movable=fleet.movable & hot[fleet.host_of],
            accepting=fleet.accepting & (self.awake(fleet) | self.spares(fleet, watts_per_cpu)),
        )  # fmt: skip
        problem, rules = self.question(view, demand, self.relief_move, most, host=0 if crowded else 1)
        found = Greedy().improve(problem, problem.home, Stop(UNHURRIED_S), np.random.default_rng(0))
        require(view, rules, found)
        return found

    def expected(self, fleet: Fleet, past: Floats, window: int, rng: np.random.Generator) -> Demand:
        """What VMs will ask for in the hours to come: one slot, `paths` scenarios. VMs of one size are of one kind."""
        cap = fleet.cpu_cap_mhz.astype(np.float64)
        kind = np.unique(fleet.cpu_cap_mhz, return_inverse=True)[1].astype(np.int64)
        cpu = recent_paths(past / 100 * cap[:, None], kind, cap, paths=self.paths, window=window, rng=rng)
        use = np.zeros((fleet.n_vms, len(fleet.resources), self.paths), np.int32)
        use[:, fleet.resources.index(CPU)] = np.rint(cpu)
        use[:, fleet.resources.index(MEMORY)] = fleet.memory_mib[:, None]
        base = np.zeros((fleet.n_hosts, len(fleet.resources), self.paths), np.int32)
        known = np.ones(fleet.n_vms, np.float32)
        return Demand(use, base, self.paths, 1, _instant(fleet), 3600, known)

    def question(
        self, fleet: Fleet, demand: Demand, price: float, most: int, host: int = 1
    ) -> tuple[Problem, list[Constraint]]:
        """What engines are asked, and the rules in words for the referee.

        Every rule of the fleet, memory in flight too, and at most so many migrations; one tier that trades margins,
        migrations at their price, and hosts on.
        """
        unit = BILLION * demand.moments
        goal = Heat(resources=(CPU,), knots=self.knots), Moves(per_move=round(price * unit)), HostsOn(cost=host * unit)
        tier = Tier("heat, moves and hosts on", tuple(t for objective in goal for t in objective.terms(fleet, demand)))
        rules = build(fleet, max_moves=most)
        rows = [row for rule in rules for row in rule.rows(fleet)]
        rows += [replace(row, when="during") for row in rows if isinstance(row, Limit) and row.when == "after"]
        return compile_problem(fleet, rows, [tier]), rules

    def wasteful(self, fleet: Fleet, demand: Demand, watts_per_cpu: Floats) -> Bools:
        """(H,) hosts of kinds that the estate can do without: others do the same with less power, and have room enough."""
        asked = demand.use[:, fleet.resources.index(CPU)].mean(axis=1).sum()
        waste = np.zeros(fleet.n_hosts, np.bool_)
        for watts in sorted(set(watts_per_cpu.tolist()), reverse=True):
            better = fleet.accepting & (watts_per_cpu < watts)
            if fleet.capacity[better, 0].sum() < self.room * asked:
                break
            waste |= watts_per_cpu == watts
        return waste

    def awake(self, fleet: Fleet) -> Bools:
        """(H,) hosts that hold VMs."""
        return np.bincount(fleet.host_of, minlength=fleet.n_hosts) > 0

    def spares(self, fleet: Fleet, watts_per_cpu: Floats) -> Bools:
        """(H,) the hosts that would be switched on next: those that use least power for their CPU."""
        asleep = np.flatnonzero(fleet.accepting & ~self.awake(fleet))
        chosen = asleep[np.argsort(watts_per_cpu[asleep], kind="stable")][: self.spare]
        return np.isin(np.arange(fleet.n_hosts), chosen)


def follow(fleet: Fleet, past: Floats, watts_per_cpu: Floats, policy: Consolidation) -> Iterator[tuple[int, Ints]]:
    """Step number and (V,) hosts, for every step of `past` (V, T). The decision for a step is given earlier steps only."""
    left = round(policy.moves_per_vm * fleet.n_vms)
    yield 0, fleet.host_of.copy()
    for step in range(1, past.shape[1]):
        host_of = policy.decide(fleet, past[:, :step].copy(), watts_per_cpu, left)
        left -= int((host_of != fleet.host_of).sum())
        fleet = replace(fleet, host_of=host_of)
        yield step, host_of


def _host_cpu(fleet: Fleet, demand: Demand) -> Ints:
    """(H, S) what the VMs on each host ask for."""
    use = np.zeros((fleet.n_hosts, demand.moments), np.int64)
    order = np.argsort(fleet.host_of, kind="stable")
    hosts, first = np.unique(fleet.host_of[order], return_index=True)
    use[hosts] = np.add.reduceat(demand.use[order, fleet.resources.index(CPU)], first, axis=0, dtype=np.int64)
    return use


def _instant(fleet: Fleet) -> datetime:
    from datetime import UTC, datetime

    return fleet.at or datetime.fromtimestamp(0, UTC)
