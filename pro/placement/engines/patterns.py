"""Patterns: empty hosts by choosing whole hosts' contents at a time (column generation).

A pattern is a set of VMs that fit on one host of a kind together. The master problem takes the cheapest patterns that hold
every VM; its linear relaxation is solved by adding patterns while some pays (Gilmore and Gomory 1961), and made whole by
diving: fix the patterns the relaxation is surest of, let it find new ones for what is left, again and again. Where the lower
bound leaves next to no room to waste, all patterns that waste so little are listed instead, and CP-SAT picks a partition.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.language import Allow, Limit, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pro.core.arrays import Bools, Ints
    from pro.placement.problem import Problem, Stop


TINY = 1e-6
LOOKS, MOST_LOOKS = 1_000, 100_000
"""How long pricing searches for a pattern that begins with a VM, at first and at most."""
A_SECOND = 60_000_000
"""Looks at VMs that any machine has done after a second; so many for each second that is left, and no more."""
SLICE, MOST = 5_000_000, 1_500_000_000
"""Looks between two looks at the clock where all patterns are listed, and in all."""
LISTING = 0.7
"""Share of the time that this may take."""
PIECES = 40_000
"""As many VMs in patterns go into a model in a second, on any machine."""
DAY = 86_400.0
SURE = 0.75
"""A dive fixes every pattern that the relaxation takes by this much, and at least one."""


@dataclass(frozen=True)
class Patterns:
    """Column generation over patterns of hosts, for problems whose goal is the number (or price) of hosts in use.

    It reads Limits with one host an item, Allow, and one Opened; an answer that breaks other rows is dropped, so it helps
    where those are few. One step is one linear program. `clock` is what `Stop.seconds` is measured on.
    """

    name: str = "patterns"
    fills: int = 30
    clock: Callable[[], float] = time.monotonic

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        bins = read(problem, start)
        if bins is None or not len(bins.vms):
            return start.copy()
        search = _Search(bins, rng, stop, self.clock)
        search.begin(bins.contents(start), self.fills)
        search.run()
        found = bins.place(search.best, start)
        better = problem.costs(found) < problem.costs(start) and problem.feasible(found)
        return found if better else start.copy()


@dataclass(frozen=True)
class Kind:
    """Hosts that are alike: `room` (D,) for movable VMs, `cost` of one in use, `may` (n,) who may stand there."""

    hosts: Ints
    room: Ints
    cost: int
    may: Bools


@dataclass(frozen=True)
class Bins:
    """A problem as packing: `vms` (n,) movable VMs, `size` (n, D) of each, kinds of hosts."""

    vms: Ints
    size: Ints
    kinds: tuple[Kind, ...]

    def contents(self, host_of: Ints) -> list[tuple[int, tuple[int, ...]]]:
        """(kind, members) of every host in use by movable VMs; members are positions in `vms`."""
        kind_of = {int(h): k for k, kind in enumerate(self.kinds) for h in kind.hosts}
        held: dict[int, list[int]] = {}
        for i, v in enumerate(self.vms.tolist()):
            held.setdefault(int(host_of[v]), []).append(i)
        return [(kind_of[h], tuple(members)) for h, members in held.items()]

    def place(self, chosen: list[tuple[int, tuple[int, ...]]], start: Ints) -> Ints:
        """(V,) the chosen patterns on hosts, each on that of its kind from which it takes most VMs, greedily."""
        found = start.astype(np.int64).copy()
        free = [set(kind.hosts.tolist()) for kind in self.kinds]
        for kind, members in sorted(chosen, key=lambda c: -len(c[1])):
            vms = self.vms[list(members)]
            homes = [h for h in start[vms].tolist() if h in free[kind]]
            host = max(sorted(set(homes)), key=homes.count) if homes else min(free[kind])
            free[kind].remove(host)
            found[vms] = host
        return found


def read(problem: Problem, start: Ints) -> Bins | None:
    """The packing in `problem`; None where its first goal that costs anything is not one Opened over hosts."""
    opened = _goal(problem, start)
    if opened is None:
        return None
    vms = np.flatnonzero(problem.movable)
    staying = np.flatnonzero(~problem.movable)
    size, room = [np.zeros((len(problem.home), 0), np.int64)], [np.zeros((problem.hosts, 0), np.int64)]
    for row in problem.rows:
        if isinstance(row, Limit) and row.when == "after" and _one_host_each(row.scope):
            weight = np.zeros((len(problem.home), row.weight.shape[1]), np.int64)
            np.add.at(weight, row.vms, row.weight)
            left = (row.upper - row.base)[row.scope]
            left[row.scope < 0] = weight.clip(0).sum(axis=0)
            np.subtract.at(
                left, start[staying], np.where((row.scope[start[staying]] >= 0)[:, None], weight[staying], 0)
            )
            size.append(weight)
            room.append(left)
    sizes, rooms = np.hstack(size), np.hstack(room)
    cost = np.where(opened.scope >= 0, opened.cost[opened.scope], 0)
    cost[np.unique(start[staying])] = 0
    may = _allowed(problem)[vms]
    key = np.hstack([rooms, cost[:, None], np.unique(may, axis=1, return_inverse=True)[1].reshape(-1, 1)])
    kinds = np.unique(key, axis=0, return_inverse=True)[1].ravel()
    groups = (np.flatnonzero(kinds == k) for k in range(kinds.max() + 1))
    return Bins(vms, sizes[vms], tuple(Kind(g, rooms[g[0]], int(cost[g[0]]), may[:, g[0]]) for g in groups))


def _goal(problem: Problem, start: Ints) -> Opened | None:
    for tier, cost in zip(problem.tiers, problem.costs(start), strict=True):
        if cost == 0:
            continue
        term = tier.terms[0]
        if len(tier.terms) > 1 or not isinstance(term, Opened) or term.vms is not None:
            return None
        return term if _one_host_each(term.scope) else None
    return None


def _one_host_each(scope: Ints) -> bool:
    inside = scope[scope >= 0]
    return len(np.unique(inside)) == len(inside)


def _allowed(problem: Problem) -> Bools:
    may = np.ones((len(problem.home), problem.hosts), bool)
    for row in problem.rows:
        if isinstance(row, Allow):
            may[row.vms] &= row.hosts
    return may


Pattern = tuple[int, tuple[int, ...]]
"""A kind of host and the positions of its VMs, in order."""


class _Master:
    """The linear program: every VM held at least once, no more hosts of a kind than there are, least cost."""

    def __init__(self, bins: Bins) -> None:
        from ortools.linear_solver import pywraplp

        self.solver = pywraplp.Solver.CreateSolver("GLOP")
        self.many = self.solver.infinity()
        self.held = [self.solver.Constraint(1, self.many) for _ in bins.vms]
        self.left = [len(kind.hosts) for kind in bins.kinds]
        self.count = [self.solver.Constraint(-self.many, n) for n in self.left]
        self.goal = self.solver.Objective()
        self.goal.SetMinimization()
        self.costs = [kind.cost for kind in bins.kinds]
        self.known: dict[Pattern, Any] = {}
        # Of the last solution: what holding each VM is worth; what one more host of a kind would save (not positive);
        # the patterns in it, the surest first.
        self.value = np.zeros(len(bins.vms))
        self.saving: list[float] = []
        self.taken: list[tuple[float, Pattern]] = []
        self.short = False  # whether some VMs are left out

    def add(self, pattern: Pattern) -> bool:
        """False if it is known."""
        if pattern in self.known:
            return False
        kind, members = pattern
        x = self.solver.NumVar(0, self.many, "")
        self.goal.SetCoefficient(x, self.costs[kind])
        self.count[kind].SetCoefficient(x, 1)
        for i in members:
            self.held[i].SetCoefficient(x, 1)
        self.known[pattern] = x
        return True

    def solve(self, seconds: float) -> float | None:
        """Cost of the relaxation; None if there is no solution, or none in so many seconds of wall time."""
        self.solver.SetTimeLimit(round(1000 * min(max(seconds, 0.001), DAY)))
        if self.solver.Solve() != self.solver.OPTIMAL:
            return None
        self.value = np.array([c.dual_value() for c in self.held])
        self.saving = [c.dual_value() for c in self.count]
        taken = ((x.solution_value(), p) for p, x in self.known.items())
        self.taken = sorted(((x, p) for x, p in taken if x > TINY), key=lambda s: (-s[0], s[1]))
        return float(self.goal.Value())

    def fix(self, pattern: Pattern) -> None:
        """Take `pattern`: its VMs need no other host."""
        for i in pattern[1]:
            self.held[i].SetLb(0)
        self.short = True
        self.left[pattern[0]] -= 1
        self.count[pattern[0]].SetUb(self.left[pattern[0]])

    def forget(self, bins: Bins) -> None:
        """Undo every `fix`."""
        self.short = False
        for row in self.held:
            row.SetLb(1)
        for k, kind in enumerate(bins.kinds):
            self.left[k] = len(kind.hosts)
            self.count[k].SetUb(self.left[k])


@dataclass
class _Search:
    """One run: what is known and the best so far."""

    bins: Bins
    rng: np.random.Generator
    stop: Stop
    clock: Callable[[], float]
    best: list[Pattern] = field(default_factory=list)
    bound: float = 0.0  # believed: where pricing was cut short, not proven
    steps: int = 0

    def begin(self, contents: list[Pattern], fills: int) -> None:
        """Start from `contents`, then fill hosts in several ways."""
        self.begun = self.clock()
        self.master = _Master(self.bins)
        self.best = contents
        self.whole = all(kind.cost == 1 for kind in self.bins.kinds)
        self._learn(contents)
        self._learn((k, (i,)) for k, kind in enumerate(self.bins.kinds) for i in self._fitting(kind))
        for number in range(fills):
            for k in range(len(self.bins.kinds)):
                self._fill(k, number)

    def left(self) -> float:
        """Seconds."""
        return self.stop.seconds - (self.clock() - self.begun)

    def over(self) -> bool:
        """Whether time or steps are used up, or nothing cheaper can be had."""
        return self.steps >= self.stop.steps or self.left() <= 0 or self.cost(self.best) <= self.bound + TINY

    def cost(self, chosen: list[Pattern]) -> int:
        """What the patterns cost."""
        return sum(self.bins.kinds[k].cost for k, _ in chosen)

    def run(self) -> None:
        """List the tight patterns where that is possible; else generate, then dive until time is up."""
        self.bound = max(self.bound, self._aggregate())
        if self.over() or self._partition():
            return
        number = 0
        while not self.over() and self._relax():
            self._dive(number)
            self.master.forget(self.bins)
            number += 1

    def _relax(self) -> bool:
        """Solve the relaxation again; more thoroughly where its bound says that the best is best. False without one."""
        for looks in (MOST_LOOKS, 10 * MOST_LOOKS):
            cost, sure = self._generate(10_000, looks)
            if cost is None:
                return False
            bound = np.ceil(cost - 1e-4) if self.whole else cost
            if sure or self.cost(self.best) > bound + TINY:
                break
        if sure or self.cost(self.best) <= bound + TINY:
            self.bound = max(self.bound, bound)
        return True

    def _fitting(self, kind: Kind) -> list[int]:
        return np.flatnonzero((self.bins.size <= kind.room).all(axis=1) & kind.may).tolist()

    def _learn(self, patterns: Iterable[Pattern]) -> int:
        return sum(self.master.add(p) for p in patterns)

    def _aggregate(self) -> float:
        """Hosts needed for the sum of each dimension; for hosts of one kind only."""
        if len(self.bins.kinds) != 1 or not self.whole:
            return 0.0
        room, total = self.bins.kinds[0].room, self.bins.size.sum(axis=0)
        return float(max((-(-t // r) for t, r in zip(total.tolist(), room.tolist(), strict=True) if r > 0), default=0))

    def _fill(self, k: int, number: int) -> None:
        from pro.placement.engines.pattern_kernels import fill

        kind = self.bins.kinds[k]
        who = np.array(self._fitting(kind), np.int64)
        if not len(who):
            return
        size, room = self.bins.size[who], np.maximum(kind.room, 1)
        weight = (size.sum(axis=0) / room) ** (number % 3)
        if number >= 3:
            weight = weight * self.rng.uniform(0.2, 1.0, len(room))
        liking = self.rng.uniform(1.0 - 0.02 * (number // 3), 1.0, len(who))
        of = np.empty(len(who), np.int64)
        count = fill(np.ascontiguousarray(size), kind.room, weight / room.astype(np.float64) ** 2, liking, of)
        chosen = [(k, tuple(who[of == b].tolist())) for b in range(count)]
        self._learn(chosen)
        if len(who) == len(self.bins.vms) and (of >= 0).all() and count <= len(kind.hosts):
            self._offer(chosen)

    def _offer(self, chosen: list[Pattern]) -> None:
        if self.cost(chosen) < self.cost(self.best):
            self.best = chosen

    def _generate(self, rounds: int, most_looks: int) -> tuple[float | None, bool]:
        """Solve the relaxation, adding patterns that pay, until none does: its cost, and whether that is sure to be a bound.

        The cost is None without a solution, or when time is up first. A relaxation stops early where it cannot fall to the
        next whole number: no pattern being worth more than `ratio` times its host, it is at least cost / ratio (Farley 1990).
        """
        cost: float | None = None
        for _ in range(rounds):
            if self.over():
                return None, False
            self.steps += 1
            cost = self.master.solve(self.left())
            if cost is None:
                return None, False
            added, ratio, looks, sure = 0, 1.0, LOOKS, False
            while added == 0 and looks <= most_looks and not sure:
                sure = True
                for k, kind in enumerate(self.bins.kinds):
                    if self.left() <= 0:
                        return None, False
                    more, best, whole = self._price(k, kind.cost - self.master.saving[k], looks)
                    added, ratio, sure = added + more, max(ratio, best), sure and whole
                looks *= 10
            if added == 0 or (self.whole and np.ceil(cost / ratio - 1e-4) >= np.ceil(cost - 1e-4)):
                return cost, sure and not self.master.short
        return cost, False

    def _price(self, k: int, need: float, looks: int) -> tuple[int, float, bool]:
        """Patterns of kind k worth more than `need`: how many are new, how many times `need` the best is worth, and whether
        there can be no better one."""
        from pro.placement.engines.pattern_kernels import DEEPEST, price

        kind, value = self.bins.kinds[k], self.master.value
        who = np.flatnonzero((value > TINY) & kind.may)
        size, room = self.bins.size[who], np.maximum(kind.room, 1)
        load = np.maximum((size * value[who, None]).sum(axis=0), 0) / room
        weight = load / load.sum() if load.sum() > 0 else np.full(len(load), 1 / max(len(load), 1))
        share = np.maximum((size / room) @ weight, 1e-9)
        order = np.argsort(-value[who] / share, kind="stable")
        who = who[order]
        out, lengths = np.zeros((len(who), DEEPEST), np.int64), np.zeros(len(who), np.int64)
        cut = np.zeros(1, np.int64)
        found = price(np.ascontiguousarray(self.bins.size[who]), kind.room, value[who], share[order], need + TINY,
                      looks, self._looks(), out, lengths, cut)  # fmt: skip
        patterns = [tuple(sorted(who[out[f, : lengths[f]]].tolist())) for f in range(found)]
        best = max((float(value[list(p)].sum()) for p in patterns), default=need)
        return self._learn((k, p) for p in patterns), best / max(need, TINY), cut[0] == 0 and bool((size >= 0).all())

    def _looks(self) -> int:
        """At VMs, for which there is time."""
        return max(round(A_SECOND * min(self.left(), DAY)), 1)

    def _dive(self, number: int) -> None:
        """Fix patterns until every VM is held."""
        chosen: list[Pattern] = []
        held: set[int] = set()
        while len(held) < len(self.bins.vms):
            if chosen and self._generate(20, LOOKS * 10)[0] is None:
                return
            taken = list(self.master.taken)
            if number:
                taken.sort(key=lambda s: -s[0] * self.rng.uniform(0.7, 1.0))
            fixed = 0
            for x, (kind, members) in taken:
                rest = tuple(i for i in members if i not in held)
                if not rest or (fixed and (x < SURE or len(rest) < len(members))):
                    continue
                self.master.fix((kind, rest))
                chosen.append((kind, rest))
                held.update(rest)
                fixed += 1
            if fixed == 0:
                return
        self._offer(chosen)

    def _partition(self) -> bool:
        """Where the bound leaves little to waste: list all patterns and let CP-SAT choose. True if that settled it."""
        if len(self.bins.kinds) != 1 or self.bound <= 0:
            return False
        size, room = self.bins.size, self.bins.kinds[0].room
        slack = int(self.bound) * room - size.sum(axis=0)
        if not (slack <= 0.02 * room).any():
            return False
        order = np.lexsort((-size[:, 0], (size >= 0).all(axis=1)))
        patterns = self._list(np.ascontiguousarray(size[order]), room, room - slack)
        if patterns is None or sum(map(len, patterns)) > PIECES * self.left():
            return False
        patterns = [tuple(sorted(order[list(p)].tolist())) for p in patterns]
        chosen = self._exact_cover(patterns)
        if chosen:
            self._offer([(0, p) for p in chosen])
        elif chosen is None and sum(map(len, patterns)) <= PIECES * self.left():
            self._learn((0, p) for p in patterns)
        return chosen is not None

    def _list(self, size: Ints, room: Ints, least: Ints) -> list[tuple[int, ...]] | None:
        """All patterns that use so much; None where they are too many, or time seems too short for that."""
        from pro.placement.engines.pattern_kernels import DEEPEST, tight

        out, lengths = np.zeros((20_000, DEEPEST), np.int64), np.zeros(20_000, np.int64)
        state, left = np.zeros(3 + DEEPEST, np.int64), np.zeros((DEEPEST + 1, len(room)), np.int64)
        begun = self.left()
        for _ in range(MOST // SLICE):
            if tight(size, room, least, SLICE, out, lengths, state, left):
                return None if state[0] < 0 else [tuple(out[f, : lengths[f]].tolist()) for f in range(state[0])]
            # Patterns whose first VM is the k-th of n are chosen from n - k: about that to the power of three is still to come.
            done = 1 - (1 - state[3] / len(size)) ** 3
            if (begun - self.left()) / max(done, TINY) > LISTING * self.stop.seconds:
                return None
        return None

    def _exact_cover(self, patterns: list[tuple[int, ...]]) -> list[tuple[int, ...]] | None:
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        take = [model.new_bool_var("") for _ in patterns]
        holding: list[list[Any]] = [[] for _ in self.bins.vms]
        for x, members in zip(take, patterns, strict=True):
            for i in members:
                holding[i].append(x)
        if not all(holding):
            return None
        for some in holding:
            model.add_exactly_one(some)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = 1
        solver.parameters.max_time_in_seconds = max(self.left(), 0.01)
        status = solver.solve(model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        return [p for x, p in zip(take, patterns, strict=True) if solver.value(x)]
