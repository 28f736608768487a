"""Annealing: millions of cheap tries a second, worse ones accepted while it is hot. For large problems."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import Soft

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pro.placement.problem import Problem, Stop

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Anneal:
    """Simulated annealing over shifts and exchanges of VMs (kernels in anneal_kernels.py).

    It minimises one tier: the first that costs anything at the start. `tries` proposals are one step. `clock` is what
    `Stop.seconds` is measured on.
    """

    name: str = "annealing"
    tries: int = 20_000
    hot: float = 1.0
    cold: float = 1e-5
    clock: Callable[[], float] = time.monotonic

    def tier(self, problem: Problem, start: Ints) -> int | None:
        """The tier that would be minimised; None if there is nothing to gain or an earlier tier cannot be held."""
        for number, (tier, cost) in enumerate(zip(problem.tiers, problem.costs(start), strict=True)):
            if cost > 0:
                return number
            if not all(isinstance(term, Soft) for term in tier.terms):
                return None
        return None

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        from pro.placement.engines.anneal_kernels import COST, anneal, probe, settle, state_of
        from pro.placement.engines.lean import lean

        begun = self.clock()
        tier = self.tier(problem, start)
        if tier is None or not problem.movable.any():
            return start.copy()
        form = lean(problem, tier)
        use, flight = np.zeros_like(form.upper), np.zeros_like(form.flight_upper)
        state, best = state_of(form), start.astype(np.int64)
        settle(form.packed, state, use, form.weight, flight, form.flight, form.knot, form.slope, best)
        arrays = (form.packed, state, use, form.weight, form.upper, flight, form.flight, form.flight_upper,
                  form.knot, form.slope)  # fmt: skip
        seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        deltas = np.zeros(2_000, np.int64)
        deltas = deltas[: probe(*arrays, seed, deltas)]
        worse = deltas[deltas > 0]
        scale = float(worse.mean()) if len(worse) else 1.0
        log, cost = np.zeros(len(best) + 1, np.int64), int(state[COST])
        done, share = 0, 0.0
        counted = stop.steps < 1_000_000_000
        while done < stop.steps:
            spent = (self.clock() - begun) / stop.seconds
            if spent >= 1:
                break
            share = done / stop.steps if counted else spent
            heat = scale * self.hot * (self.cold / self.hot) ** share
            cost = anneal(*arrays, best, log, seed, heat, cost, self.tries)
            done += 1
        self.report(done, scale, cost)
        return best

    def report(self, done, scale, cost):
        print("   tries %.1f M scale %.0f cost %d" % (done * self.tries / 1e6, scale, cost))
