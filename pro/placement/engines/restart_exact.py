"""Restarts by CP-SAT: the fewest VMs of a set of failed hosts that find no place, with a proof.

One 0/1 variable per lost VM and host that would take it. A VM without a place is out of every row, and excuses one missing scope
item of an AtLeast, or one lonely item of a Near, that it is a member of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.restart import summed
from pro.placement.language import AtLeast, Limit, Near, Together

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.placement.engines.restart import Restarts
    from pro.placement.language import Row


@dataclass(frozen=True, eq=False)
class Solved:
    """`stands` (V,) where everybody is after the restarts, -1: down. `most` VMs found no place in it; no packing leaves fewer than
    `least`. `effort`: deterministic seconds spent."""

    stands: Ints
    most: int
    least: int
    effort: float


def solve(ready: Restarts, host_of: Ints, failed: tuple[int, ...], start: Ints, effort: float) -> Solved:
    """Improve `start` (V,) (see `Restarts.packed`) as far as `effort` deterministic seconds let it. Always the same answer."""
    model = _Model(ready, host_of, failed)
    return model.solve(start, effort)


class _Model:
    def __init__(self, ready: Restarts, host_of: Ints, failed: tuple[int, ...]) -> None:
        from ortools.sat.python import cp_model

        self.cp, self.model, self.ready = cp_model, cp_model.CpModel(), ready
        self.lost, gone = ready.lost(host_of, failed)
        self.before = np.array(host_of)
        self.before[gone] = -1
        self.now = self.before.copy()
        self.now[self.lost] = -1
        survivors = ready.survivors(failed)
        self.on: dict[int, dict[int, Any]] = {}
        self.down: dict[int, Any] = {}
        for v in self.lost.tolist():
            hosts = survivors[ready.allowed[ready.cls[v], survivors]].tolist()
            self.on[v] = {h: self.model.new_bool_var(f"{v}@{h}") for h in hosts}
            self.down[v] = self.model.new_bool_var(f"{v} down")
            self.model.add_exactly_one([*self.on[v].values(), self.down[v]])
        for r in ready.about(self.lost):
            self._add(ready.rows[r])
        self.model.minimize(sum(self.down.values()))

    def _add(self, row: Row) -> None:
        match row:
            case Limit():
                self._limit(row)
            case AtLeast(vms, scope, count, _):
                stand = _items(scope, self.now, vms) - {-1}
                bound = min(count, len(_items(scope, self.before, vms) - {-1}))
                new = self._reached(scope, vms, stand | {-1}, every=False)
                excused = [self.down[v] for v in vms.tolist() if v in self.down]
                self.model.add(len(stand) + sum(new.values()) + sum(excused) >= bound)
            case Together(vms, scope, _, most):
                weighed, stand = row.weighed(), _items(scope, self.now, vms)
                now, before = (sum(int(weighed[s + 1]) for s in x) for x in (stand, _items(scope, self.before, vms)))
                new = self._reached(scope, vms, stand, every=True)
                if new:
                    self.model.add(now + sum(y * int(weighed[s + 1]) for s, y in new.items()) <= max(most, before))
            case Near():
                self._near(row)
            case _:
                raise TypeError(f"{type(row).__name__} is no row of members")

    def _limit(self, row: Limit) -> None:
        vms, weight = summed(row)
        now, before = row.base.copy(), row.base.copy()
        for use, stands in ((now, self.now[vms]), (before, self.before[vms])):
            at = np.where(stands >= 0, row.scope[stands], -1)
            np.add.at(use, at[at >= 0], weight[at >= 0])
        room = np.maximum(row.upper, before) - now
        reach: dict[int, list[tuple[Any, Ints]]] = {}
        for v, w in zip(vms.tolist(), weight, strict=True):
            for h, here in self.on.get(v, {}).items():
                if row.scope[h] >= 0:
                    reach.setdefault(int(row.scope[h]), []).append((here, w))
        for item, some in reach.items():
            for d in range(weight.shape[1]):
                terms = [(x, int(w[d])) for x, w in some if w[d]]
                if sum(weigh for _, weigh in terms) > room[item, d]:
                    self.model.add(sum(x * weigh for x, weigh in terms) <= int(room[item, d]))

    def _reached(self, scope: Ints, vms: Ints, besides: set[int], *, every: bool) -> dict[int, Any]:
        """0/1 per scope item outside `besides`: whether a lost member is restarted there. `every`: it must be 1 if one is."""
        standing: dict[int, list[Any]] = {}
        for v in np.unique(vms).tolist():
            for h, here in self.on.get(v, {}).items():
                if int(scope[h]) not in besides:
                    standing.setdefault(int(scope[h]), []).append(here)
        found = {}
        for item, some in standing.items():
            found[item] = self.model.new_bool_var("")
            if every:
                for here in some:
                    self.model.add_implication(here, found[item])
            else:
                self.model.add_bool_or([*some, found[item].negated()])
        return found

    def _near(self, row: Near) -> None:
        has_a, has_b = _items(row.scope, self.now, row.a) - {-1}, _items(row.scope, self.now, row.b)
        lonely = _items(row.scope, self.before, row.a) - {-1} - _items(row.scope, self.before, row.b)
        bound = max(row.missing, len(lonely))
        new_a = self._reached(row.scope, row.a, has_a | has_b | {-1}, every=True)
        new_b = self._reached(row.scope, row.b, has_b, every=False)
        alone = []
        for item in sorted((has_a - has_b) | new_a.keys()):
            is_alone = self.model.new_bool_var("")
            some_a = [new_a[item].negated()] if item in new_a else []
            some_b = [new_b[item]] if item in new_b else []
            self.model.add_bool_or([*some_a, *some_b, is_alone])
            alone.append(is_alone)
        excused = [self.down[v] for v in np.unique(row.b).tolist() if v in self.down]
        if alone:
            self.model.add(sum(alone) <= bound + sum(excused))

    def solve(self, start: Ints, effort: float) -> Solved:
        for v, hosts in self.on.items():
            self.model.add_hint(self.down[v], bool(start[v] < 0))
            for h, here in hosts.items():
                self.model.add_hint(here, bool(start[v] == h))
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 1
        solver.parameters.max_deterministic_time = max(effort, 0.001)
        status = solver.solve(self.model)
        if status == self.cp.INFEASIBLE:
            raise RuntimeError("CP-SAT refuses to leave everybody down: the model is wrong")
        most = int((start[self.lost] < 0).sum())
        spent = solver.response_proto.deterministic_time
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return Solved(start, most, 0, spent)
        least = int(np.ceil(solver.best_objective_bound - 1e-6))
        stands = self.now.copy()
        for v, hosts in self.on.items():
            stands[v] = next((h for h, here in hosts.items() if solver.boolean_value(here)), -1)
        found = int((stands[self.lost] < 0).sum())
        return Solved(stands, found, least, spent) if found < most else Solved(start, most, least, spent)


def _items(scope: Ints, stands: Ints, vms: Ints) -> set[int]:
    """Scope items where these VMs stand; VMs that are down stand nowhere."""
    at = stands[vms]
    return set(scope[at[at >= 0]].tolist())
