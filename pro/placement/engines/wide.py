"""Wide search: for fleets of hundreds of hosts and more. Parts that do not touch are searched apart and share the budget.

Each part keeps a front: its best placement for every number of migrations. Which part gets how many of the budget is then a
knapsack over fronts, solved exactly; what one migration more would be worth at the end of it is charged for every migration in
the next round, so that parts look where the budget will let them stand. Search inside a part: steepest relocation, then
annealing that looks at hot hosts and at VMs that have moved (wide_kernels.py). Parts run in threads; kernels hold no lock.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.budgets import Budget, budget_of, deal
from pro.placement.engines.split import Part, share, split
from pro.placement.language import Linear, Soft, Steps
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from pro.placement.problem import Problem

    Ints = NDArray[np.int64]

UNSEEN = np.iinfo(np.int64).max
STEPS_AT_ONCE = 64
PASSES = ((0.0, 0.6, 0.15, 0.01), (0.6, 0.95, 0.05, 0.004))
"""Annealing: from which share of the time until which, and how warm at both ends, in prices of a migration."""


@dataclass(frozen=True)
class Wide:
    """The engine. A step is one helping of `tries` tries in every part that has something to gain; 0 steps: only greedy repair.

    `workers`: threads. The answer does not depend on how many.
    """

    workers: int = 1
    tries: int = 120_000
    name: str = "wide search"
    clock: Callable[[], float] = time.monotonic

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        return self.search(problem, start, stop, rng).host_of

    def search(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Found:
        """The same, and what one migration more would have been worth."""
        begun = self.clock()
        if not problem.movable.any():
            return Found(start.copy(), 0)
        run = _Run(self, problem, start.astype(np.int64), stop, begun, int(rng.integers(1, 2**62)))
        with ThreadPoolExecutor(self.workers) if self.workers > 1 else nullcontext() as pool:
            run.go(map if pool is None else pool.map)
        found = run.answer()
        if not problem.feasible(found) or problem.costs(found) > problem.costs(start):
            raise RuntimeError("the parts of a placement do not fit together: the search is wrong")
        return Found(found, run.price)


@dataclass(frozen=True)
class Found:
    """`host_of` (V,), and the `price` of a migration at the end of the budget: 0 where the budget is not spent."""

    host_of: Ints
    price: int


class _Run:
    """One run of the engine."""

    def __init__(self, engine: Wide, problem: Problem, start: Ints, stop: Stop, begun: float, seed: int) -> None:
        self.engine, self.problem, self.start, self.stop, self.begun, self.seed = (
            engine,
            problem,
            start,
            stop,
            begun,
            seed,
        )
        self.tier = goal_tier(problem)
        self.price = 0
        cut = split(problem, start)
        self.budget = budget_of(problem, cut, start)
        self.parts = cut.parts
        self.searches: list[_Search] = []

    def left(self) -> float:
        """Seconds."""
        return self.stop.seconds - (self.engine.clock() - self.begun)

    def go(self, each: Callable[..., Iterable[Any]]) -> None:
        """Greedy repair, then annealing, then the nearest best."""
        numbers = range(len(self.parts))
        self.searches = list(each(self._search, numbers))
        list(each(lambda s: s.descend(self.price, self.left), self.searches))
        if self.stop.steps > 0:
            self._anneal(each)
        list(each(lambda s: s.settle(self.price, self.left), self.searches))

    def _search(self, p: int) -> _Search:
        part = self.parts[p]
        start = np.searchsorted(part.hosts, self.start[part.vms])
        return _Search(part, start, self.budget, p, self.tier, np.random.default_rng((self.seed, p)))

    def _anneal(self, each: Callable[..., Iterable[Any]]) -> None:
        active = [s for s in self.searches if s.gain > 0]
        total = sum(s.gain for s in active)
        if not active:
            return
        active.sort(key=lambda s: -s.gain)
        done, number = 0, -1
        counted = self.stop.steps < Stop().steps
        while done < self.stop.steps:
            spent = 1 - self.left() / self.stop.seconds
            reached = done / self.stop.steps if counted else spent
            if spent >= PASSES[-1][1] or reached >= PASSES[-1][1]:
                break
            if number < 0 or reached >= PASSES[number][1]:
                number += 1
                self._deal(restart=True)
            elif done % 8 == 0:
                self._deal(restart=False)
            since, until, warm, cold = PASSES[number]
            at = (reached - since) / (until - since)
            warmth = int(warm * (cold / warm) ** at * self._scale())
            helpings = [max(self.engine.tries * s.gain // total, 500) for s in active]
            list(each(_Search.wander, active, [self.price] * len(active), [warmth] * len(active), helpings))
            done += 1
        self._deal(restart=True)

    def _scale(self) -> float:
        """What one migration costs, in units of the goal; where it costs nothing, a small part of what there is to gain."""
        gain = max(int(self.problem.costs(self.start)[self.tier]) // max(len(self.start), 1), 1)
        moves = [t.away[self.problem.movable] for t in self.problem.tiers[self.tier].terms if isinstance(t, Linear)]
        own = float(np.median(sum(moves))) if moves else 0.0
        return own + self.price or float(gain)

    def _deal(self, *, restart: bool) -> None:
        """Share out the budget, and charge for a migration what the last of it is worth."""
        if self.budget.count is None or len(self.searches) < 2:
            for s in self.searches if restart else ():
                s.refill()
            return
        chosen, self.price = deal([s.costs for s in self.searches], self.budget.count, self.tier)
        for s, moves in zip(self.searches, chosen, strict=True):
            s.chosen = moves
            if restart:
                s.refill()

    def answer(self) -> Ints:
        """The best placement of each part within the budget, put together."""
        found = self.start.copy()
        self._deal(restart=False)
        for s in self.searches:
            found[s.part.vms] = s.part.hosts[s.placements[s.chosen]]
        return found


class _Search:
    """The search in one part."""

    def __init__(
        self, part: Part, start: Ints, budget: Budget, number: int, tier: int, rng: np.random.Generator
    ) -> None:
        from pro.placement.engines.wide_form import form, stand
        from pro.placement.engines.wide_kernels import SETTLE

        self.part, self.tier, self._home = part, tier, part.problem.home
        rows = tuple(share(row, part, upper) for row, upper in budget.of(number))
        problem = replace(part.problem, rows=(*part.problem.rows, *rows))
        v, t, front = len(start), len(problem.tiers), budget.front(number)
        self.costs = np.full((front, t), UNSEEN, np.int64)
        self.placements = np.zeros((front, v), np.int32)
        self.chosen = int((start != problem.home).sum()) if front > 1 else 0
        self.gain = int(_bent(problem))
        self._state = np.full(v, 2, np.int64)
        self._arrays = (*stand(form(problem), start), self.costs, self.placements, self._state,
                        np.zeros((v, t), np.int64), np.full(v, -1, np.int64))  # fmt: skip
        self._seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        self._work(SETTLE, 0)

    def _work(self, what: int, price: int, *given: int) -> int:
        from pro.placement.engines.wide_kernels import work

        return int(work(*self._arrays, np.array([self.tier, price, *given, what], np.int64), self._seed))

    def descend(self, price: int, left: Callable[[], float]) -> None:
        """Steepest relocations until none helps, then groups and hosts as a whole, until those do not help either."""
        from pro.placement.engines.wide_kernels import EMPTY, GATHER, STEEPEST

        again = True
        while again and left() > 0:
            self._state[:] = 2
            done = STEPS_AT_ONCE
            while done == STEPS_AT_ONCE and left() > 0:
                done = self._work(STEEPEST, price, STEPS_AT_ONCE)
                self.gain += done
            before = self._charged(price)
            if left() > 0:
                self._work(GATHER, price, 0)
                self._work(EMPTY, price, 0)
            again = self._charged(price) < before
            self.gain += int(again)

    def _charged(self, price: int) -> tuple[int, ...]:
        """Costs of the state, migrations charged."""
        from pro.placement.engines.kernels import costs, placement

        flat, state = self._arrays[:2]
        total = costs(flat, state).tolist()
        total[self.tier] += price * int((placement(flat, state) != self._home).sum())
        return tuple(total)

    def wander(self, price: int, warmth: int, tries: int) -> None:
        """One helping of annealing."""
        from pro.placement.engines.wide_kernels import WANDER

        self._work(WANDER, price, warmth, tries)

    def settle(self, price: int, left: Callable[[], float]) -> None:
        """From the chosen placement down to the nearest best."""
        if self.gain:
            self.refill()
            self.descend(price, left)

    def refill(self) -> None:
        """Bring the state to the chosen placement."""
        from pro.placement.engines.wide_kernels import REFILL

        self._work(REFILL, 0, self.chosen)


def _bent(problem: Problem) -> bool:
    """Whether some cost of use is not convex: then more may be cheaper, and a descent that finds nothing says little."""
    return any(isinstance(t, Steps) and not t.convex for tier in problem.tiers for t in tier.terms)


def goal_tier(problem: Problem) -> int:
    """The first tier that is not of soft rows only: what is annealed; those before it never get worse."""
    for number, tier in enumerate(problem.tiers):
        if not all(isinstance(term, Soft) for term in tier.terms):
            return number
    return max(len(problem.tiers) - 1, 0)
