"""The rules people use today, for comparison. They look at what is measured, forecast nothing and remember nothing.

They keep to the written rules, to memory and to the cluster's border, as the platforms' own placement does; their migrations take the
same time as ours.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import MEMORY
from pro.heat.baselines import hourly_average, scom_rule
from pro.placement.constraints import build
from pro.placement.problem import compile_problem
from pro.planning.make import PlanContext, make_plan
from pro.planning.physics import assumed_dirtying
from pro.replay.view import Decision

if TYPE_CHECKING:
    from pro.core.arrays import Floats
    from pro.placement.problem import Problem
    from pro.planning.plan import Migration
    from pro.replay.policies import PolicySpec
    from pro.replay.view import View


CPU_RESERVE = 0.10
"""Share of a host's processors that VMM's rating leaves out of account (its host reserve)."""
MOST_MOVES = 20
"""Migrations of one hourly pass."""
HOUR = 12


class Nothing:
    """Every VM stays."""

    def decide(self, view: View) -> Decision:
        """Never anything."""
        return Decision(why="by policy")

    def memory(self) -> dict[str, Any]:
        """None needed."""
        return {}

    def recall(self, memory: dict[str, Any]) -> None:
        """None needed."""


class Pro2008(Nothing):
    """PRO of 2008: a host over the threshold raises an alert, and its busiest VM goes to the best-rated host.

    Rating: the sum over processor and memory of 1 - used / (all - reserve) (VMM's formula for load balancing, all weights 1; disk
    and network have no stated capacity here). Each alert by itself, no look at what the VM does to its new host.
    """

    def __init__(self, spec: PolicySpec, threshold: float, reserve_mib: int) -> None:
        self.threshold, self.samples, self.reserve_mib = threshold, spec.samples, reserve_mib

    def decide(self, view: View) -> Decision:
        """One migration for every host with an alert, its busiest VM."""
        scene = _Scene(view, self.reserve_mib)
        for h in np.flatnonzero(scom_rule(view.share(self.samples), self.threshold, self.samples)).tolist():
            here = [v for v in np.flatnonzero(scene.placed == h).tolist() if scene.free[v]]
            if not here:
                continue
            vm = max(here, key=lambda v: (scene.use[v], -v))
            rated = scene.ratings()
            better = [g for g in np.argsort(-rated, kind="stable").tolist() if g != h and scene.allows(vm, g)]
            if better:
                scene.move(vm, better[0])
        return scene.decision()


class ThresholdMmt(Nothing):
    """Threshold and minimum migration time (Beloglazov and Buyya, 2012): from a hot host the VMs that migrate fastest, until it is not
    hot any more; each to the fullest host that stays under the threshold, which costs least power."""

    def __init__(self, spec: PolicySpec, threshold: float, reserve_mib: int) -> None:
        self.threshold, self.samples, self.reserve_mib = threshold, spec.samples, reserve_mib

    def decide(self, view: View) -> Decision:
        """Every hot host is relieved."""
        scene = _Scene(view, self.reserve_mib)
        share = view.share(self.samples)
        hot = np.flatnonzero(scom_rule(share, self.threshold, self.samples)).tolist()
        for h in hot:
            here = sorted(
                (v for v in np.flatnonzero(scene.placed == h).tolist() if scene.free[v]),
                key=lambda v: (view.fleet.memory_mib[v], v),
            )
            for vm in here:
                if scene.load[h] <= self.threshold * view.capacity[h]:
                    break
                after = (scene.load + scene.use[vm]) / view.capacity
                able = [
                    g for g in np.argsort(-after, kind="stable").tolist() if g not in hot and after[g] <= self.threshold
                ]
                target = next((g for g in able if scene.allows(vm, g)), None)
                if target is not None:
                    scene.move(vm, target)
        return scene.decision()


class HourlyGreedy(Nothing):
    """Once an hour, hosts whose average over the hour passes the threshold give VMs away, each time the one migration that makes the
    cluster most even, until none does (VMM's dynamic optimisation and its kin)."""

    def __init__(self, spec: PolicySpec, threshold: float, reserve_mib: int) -> None:
        self.threshold, self.reserve_mib = threshold, reserve_mib
        self.due: datetime | None = None

    def memory(self) -> dict[str, Any]:
        """When the next pass is due."""
        return {"due": None if self.due is None else self.due.isoformat()}

    def recall(self, memory: dict[str, Any]) -> None:
        """The inverse of `memory`."""
        self.due = None if memory["due"] is None else datetime.fromisoformat(memory["due"])

    def decide(self, view: View) -> Decision:
        """Once an hour."""
        if self.due is not None and view.now < self.due:
            return Decision(why="within the hour")
        self.due = view.now + timedelta(hours=1)
        hot = hourly_average(view.share(HOUR), self.threshold)
        if not hot.any():
            return Decision()
        scene = _Scene(view, self.reserve_mib, HOUR)
        for _ in range(MOST_MOVES):
            share = scene.load / view.capacity
            over = [h for h in np.argsort(-share, kind="stable").tolist() if hot[h] and share[h] > self.threshold]
            best = next((m for h in over if (m := self._most_even(view, scene, h)) is not None), None)
            if best is None:
                break
            scene.move(*best)
        return scene.decision()

    def _most_even(self, view: View, scene: _Scene, source: int) -> tuple[int, int] | None:
        """The migration off `source` that lowers the sum of squared shares most, if any does."""
        found = []
        for vm in np.flatnonzero((scene.placed == source) & scene.free).tolist():
            use = scene.use[vm]
            before = (scene.load / view.capacity) ** 2
            gain = before[source] - ((scene.load[source] - use) / view.capacity[source]) ** 2
            cost = ((scene.load + use) / view.capacity) ** 2 - before
            found += [(float(gain - cost[g]), int(vm), g) for g in range(view.fleet.n_hosts) if g != source]
        for gain, mover, target in sorted(found, key=lambda f: (-f[0], f[1], f[2])):
            if gain <= 1e-9:
                return None
            if scene.allows(mover, target):
                return mover, target
        return None


class _Scene:
    """The estate while a policy thinks: loads follow the VMs it moves."""

    def __init__(self, view: View, reserve_mib: int, samples: int = 3) -> None:
        self.view, self.reserve_mib = view, reserve_mib
        self.placed = view.fleet.host_of.copy()
        self.use = view.recent(samples)
        self.load = view.load[:, -samples:].mean(axis=1)
        self.free = view.fleet.movable & ~np.isin(np.array(view.fleet.vms, object), list(view.coming))
        for vm, host in view.coming.items():
            self._shift(view.fleet.vm_index(vm), view.fleet.host_index(host))
        self.start = self.placed.copy()
        self._problem: Problem | None = None

    def ratings(self) -> Floats:
        """(H,) VMM's host rating for load balancing."""
        fleet = self.view.fleet
        memory = fleet.capacity[:, fleet.resources.index(MEMORY)].astype(np.float64)
        held = np.bincount(self.placed, weights=fleet.memory_mib, minlength=fleet.n_hosts)
        processor = 1 - self.load / self.view.capacity / (1 - CPU_RESERVE)
        return np.asarray(processor + 1 - held / np.maximum(memory - self.reserve_mib, 1))

    def allows(self, vm: int, host: int) -> bool:
        """Whether the rules, the memory and the cluster let `vm` go to `host`, and it is seen."""
        fleet = self.view.fleet
        if not fleet.accepting[host] or self.view.blind[host]:
            return False
        if self._problem is None:
            here = self.view.moved(self.start)
            rows = [row for rule in build(here, memory_reserve_mib=self.reserve_mib) for row in rule.rows(here)]
            self._problem = compile_problem(here, rows, [])
        trial = self.placed.copy()
        trial[vm] = host
        return self._problem.feasible(trial)

    def move(self, vm: int, host: int) -> None:
        """Think on with `vm` on `host`. A VM moves once a look."""
        self._shift(vm, host)
        self.free[vm] = False

    def _shift(self, vm: int, host: int) -> None:
        self.load[self.placed[vm]] -= self.use[vm]
        self.load[host] += self.use[vm]
        self.placed[vm] = host

    def decision(self) -> Decision:
        """The migrations in waves, as the planner orders them."""
        if np.array_equal(self.placed, self.start):
            return Decision()
        fleet = self.view.moved(self.start)
        share = self.use / np.maximum(fleet.cpu_cap_mhz, 1)
        moved = np.flatnonzero(self.placed != self.start)
        dirtying = {fleet.vms[v]: assumed_dirtying(int(fleet.memory_mib[v]), float(share[v])) for v in moved}
        rules = build(fleet, memory_reserve_mib=self.reserve_mib)
        at = self.view.now.isoformat()
        plan = make_plan(fleet, None, self.placed, PlanContext("balance", at, at, rules, dirtying=dirtying))
        return Decision(tuple(_not_under_way(plan.migrations, self.view)), "hot")


def _not_under_way(migrations: tuple[Migration, ...], view: View) -> list[Migration]:
    return [m for m in migrations if m.vm not in view.coming]
