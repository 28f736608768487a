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

    from pro.core.arrays import Ints
    from pro.placement.language import Term
    from pro.placement.problem import Problem


UNSEEN = np.iinfo(np.int64).max
STEPS_AT_ONCE = 16
LEAST_SHARE = 0.5
"""Share of the time for moving VMs even where reading the parts has taken longer than there was."""
JUDGED = 2.0
"""Looks at a placement that the end of a search takes."""
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
        before = problem.costs(start)
        # What was found is judged at the end, which takes longer than one look at the start.
        stop = replace(stop, seconds=max(stop.seconds - JUDGED * (self.clock() - begun), stop.seconds / 2))
        run = _Run(self, problem, start.astype(np.int64), stop, begun, int(rng.integers(1, 2**62)))
        with ThreadPoolExecutor(self.workers) if self.workers > 1 else nullcontext() as pool:
            run.go(map if pool is None else pool.map)
        found = run.answer()
        if not problem.feasible(found) or problem.costs(found) > before:
            raise RuntimeError("the parts of a placement do not fit together: the search is wrong")
        return Found(found, run.price, len(run.parts), sum(s.finished for s in run.searches))


@dataclass(frozen=True)
class Found:
    """`host_of` (V,), and the `price` of a migration at the end of the budget: 0 where the budget is not spent. Of so many `parts`
    greedy repair was `finished` in so many."""

    host_of: Ints
    price: int
    parts: int = 0
    finished: int = 0


class _Run:
    """One run of the engine."""

    def __init__(self, engine: Wide, problem: Problem, start: Ints, stop: Stop, begun: float, seed: int) -> None:
        self.engine, self.problem, self.start, self.stop = engine, problem, start, stop
        self.until = begun + stop.seconds
        self.tier = goal_tier(problem)
        self.price = 0
        cut = split(problem, start)
        budget = budget_of(problem, cut, start)
        self.count, self.parts = budget.count, cut.parts
        self.searches = [
            _Search(part, np.searchsorted(part.hosts, start[part.vms]), budget, p, self.tier, np.random.default_rng((seed, p)))
            for p, part in enumerate(cut.parts)
        ]  # fmt: skip

    def left(self) -> float:
        """Seconds."""
        return self.until - self.engine.clock()

    def go(self, each: Callable[..., Iterable[Any]]) -> None:
        """Greedy repair, the dearest parts first, for there may be no time for all; then annealing, then the nearest best."""
        # Reading the parts may have taken all the time: a little is for moving in any case.
        self.until = max(self.until, self.engine.clock() + LEAST_SHARE * self.stop.seconds)
        dearest = sorted(self.searches, key=lambda s: s.before[: self.tier + 1], reverse=True)
        list(each(lambda s: s.descend(self.price, self.left), dearest))
        if self.stop.steps > 0 and self.left() > 0:
            self._anneal(each)
            list(each(lambda s: s.settle(self.price, self.left), self.searches))

    def _anneal(self, each: Callable[..., Iterable[Any]]) -> None:
        active = [s for s in self.searches if s.gain > 0]
        total = sum(s.gain for s in active)
        if not active:
            return
        active.sort(key=lambda s: -s.gain)
        done, number, took, clock = 0, -1, 0.0, _Schedule(self.stop, self.left)
        while done < self.stop.steps:
            reached = clock.reached(done, took)
            # A helping is not begun that would end too late.
            before = self.left()
            if reached >= PASSES[-1][1] or before - took < (1 - PASSES[-1][1]) * self.stop.seconds:
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
            took = before - self.left()
            done += 1
        self._deal(restart=True)

    def _scale(self) -> float:
        """What one migration costs, in units of the goal; where it costs nothing, a small part of what there is to gain."""
        gain = max(sum(s.before[self.tier] for s in self.searches) // max(len(self.start), 1), 1)
        moves = [t.away[self.problem.movable] for t in self.problem.tiers[self.tier].terms if isinstance(t, Linear)]
        own = float(np.median(sum(moves))) if moves else 0.0
        return own + self.price or float(gain)

    def _deal(self, *, restart: bool) -> None:
        """Share out the budget, and charge for a migration what the last of it is worth."""
        if self.count is None or len(self.searches) < 2:
            for s in self.searches if restart else ():
                s.refill()
            return
        chosen, self.price = deal([s.costs for s in self.searches], self.count, self.tier)
        for s, moves in zip(self.searches, chosen, strict=True):
            s.chosen = moves
            if restart:
                s.refill()

    def answer(self) -> Ints:
        """The best placement of each part within the budget, put together."""
        found = self.start.copy()
        self._deal(restart=False)
        for s in self.searches:
            if s.begun:
                found[s.part.vms] = s.part.hosts[s.placements[s.chosen]]
        return found


class _Schedule:
    """How much of the annealing is over: by steps, as long as there is time for all of them; from then on by what is left of the time,
    so that it ends cold."""

    def __init__(self, stop: Stop, left: Callable[[], float]) -> None:
        self._stop, self._left = stop, left
        self._since = (0.0, left()) if stop.steps >= Stop().steps else None

    def reached(self, done: int, took: float) -> float:
        """0 to 1; the last of `done` steps `took` so many seconds."""
        if self._since is None:
            share = done / self._stop.steps
            if (self._stop.steps - done) * took <= self._left():
                return share
            self._since = (share, self._left())
        share, left = self._since
        return share + (1 - share) * (1 - max(self._left(), 0) / max(left, 1e-9))


class _Search:
    """The search in one part. `before`: what the part costs at the start. Nothing large is made until the search has `begun`."""

    def __init__(
        self, part: Part, start: Ints, budget: Budget, number: int, tier: int, rng: np.random.Generator
    ) -> None:
        self.part, self.tier, self._home, self._start = part, tier, part.problem.home, start
        self._rows = tuple(share(row, part, upper) for row, upper in budget.of(number))
        self._front = budget.front(number)
        self.before = part.problem.costs(start)
        self.chosen = int((start != part.problem.home).sum()) if self._front > 1 else 0
        self.costs = np.full((self.chosen + 1, len(self.before)), UNSEEN, np.int64)
        self.costs[-1] = self.before
        self.gain = int(_bent(part.problem))
        self._falling = int(any(falling(t) for tier in part.problem.tiers for t in tier.terms))
        self.begun = self.finished = False
        self._seed = rng.integers(1, 2**63, 1, dtype=np.uint64)

    def _begin(self) -> None:
        from pro.placement.engines.wide_form import form, stand
        from pro.placement.engines.wide_kernels import SETTLE

        if self.begun:
            return
        problem = replace(self.part.problem, rows=(*self.part.problem.rows, *self._rows))
        v, t = len(self._start), len(problem.tiers)
        self.costs = np.full((self._front, t), UNSEEN, np.int64)
        self.placements = np.zeros((self._front, v), np.int32)
        self._state = np.full(v, 2, np.int64)
        self._arrays = (*stand(form(problem), self._start), self.costs, self.placements, self._state,
                        np.zeros((v, t), np.int64), np.full(v, -1, np.int64))  # fmt: skip
        self.begun = True
        self._work(SETTLE, 0)

    def _work(self, what: int, price: int, *given: int) -> int:
        from pro.placement.engines.wide_kernels import work

        return int(work(*self._arrays, np.array([self.tier, price, *given, what], np.int64), self._seed))

    def descend(self, price: int, left: Callable[[], float]) -> None:
        """Steepest relocations until none helps, then groups and hosts as a whole, until those do not help either."""
        from pro.placement.engines.wide_kernels import EMPTY, GATHER, STEEPEST

        again = left() > 0
        if again:
            self._begin()
        while again:
            self._state[:] = 2
            going = True
            while going:
                done = self._work(STEEPEST, price, STEPS_AT_ONCE, self._falling)
                self.gain += done
                going = done == STEPS_AT_ONCE and left() > 0
            before = self._charged(price)
            if left() > 0:
                self._work(GATHER, price, 0)
                self._work(EMPTY, price, 0)
            again = self._charged(price) < before
            self.gain += int(again)
            self.finished |= not again and left() > 0
            again &= left() > 0

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
        if self.gain and self.begun:
            self.refill()
            self.descend(price, left)

    def refill(self) -> None:
        """Bring the state to the chosen placement."""
        from pro.placement.engines.wide_kernels import REFILL

        if self.begun:
            self._work(REFILL, 0, self.chosen)


def _bent(problem: Problem) -> bool:
    """Whether some cost of use is not convex: then more may be cheaper, and a descent that finds nothing says little."""
    return any(isinstance(t, Steps) and not t.convex for tier in problem.tiers for t in tier.terms)


def falling(term: Term) -> bool:
    """Whether a cost of use may be lower for a VM that arrives."""
    if not isinstance(term, Steps):
        return False
    slopes = np.take_along_axis(term.slopes, np.argsort(term.knots, axis=0, kind="stable"), axis=0)
    return int(term.weight.min(initial=0)) < 0 or int(np.cumsum(slopes, axis=0).min(initial=0)) < 0


def goal_tier(problem: Problem) -> int:
    """The first tier that is not of soft rows only: what is annealed; those before it never get worse."""
    for number, tier in enumerate(problem.tiers):
        if not all(isinstance(term, Soft) for term in tier.terms):
            return number
    return max(len(problem.tiers) - 1, 0)
