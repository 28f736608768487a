"""Annealing: millions of cheap tries a second, worse ones accepted while it is hot. For large problems."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.language import Soft
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pro.placement.engines.lean import Lean
    from pro.placement.problem import Problem

    Ints = NDArray[np.int64]


LAST = 0.3
"""The heat it ends with, in units of cost: less than one, so that at the end nothing gets worse."""


@dataclass(frozen=True)
class Anneal:
    """Simulated annealing over shifts and exchanges of VMs (kernels in anneal_kernels.py).

    It minimises one tier: the first that costs anything at the start. `tries` proposals are one step. `passes`: until which
    share of the time, and how hot each begins; heat is in mean costs of a bad shift, and falls to `cold`. A mild pass keeps
    what is good about the start, a hot one forgets it; what is left of the time is a last pass from the best down to no heat
    at all. With a limit of steps the share is that of the steps. `clock` is what `Stop.seconds` is measured on.
    """

    name: str = "annealing"
    tries: int = 20_000
    passes: tuple[tuple[float, float], ...] = ((0.25, 1.0), (0.85, 30.0))
    cold: float = 0.015
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
        from pro.placement.engines.anneal_kernels import COST, anneal, probe
        from pro.placement.engines.lean import lean

        begun = self.clock()
        tier = self.tier(problem, start)
        if tier is None or not problem.movable.any():
            return start.copy()
        seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        form, best = lean(problem, tier), start.astype(np.int64)
        arrays = _settled(form, best)
        deltas = np.zeros(2_000)
        deltas = deltas[: probe(*arrays, seed, deltas)]
        scale = float(deltas[deltas > 0].mean()) if (deltas > 0).any() else 1.0
        log, cost = np.zeros(len(best) + 1, np.int64), int(arrays[1][COST])
        done, number, counted = 0, 0, stop.steps < Stop().steps
        plan = self._plan(scale)
        while done < stop.steps:
            spent = (self.clock() - begun) / stop.seconds
            if spent >= 1:
                break
            share = done / stop.steps if counted else spent
            while share >= plan[number][1]:
                number += 1
                arrays, log[0] = _settled(form, best if number == len(self.passes) else start), len(best) + 1
            since, until, hot, cold = plan[number]
            heat = hot * (cold / hot) ** ((share - since) / (until - since))
            cost = anneal(*arrays, best, log, seed, heat, cost, self.tries)
            done += 1
        return best

    def _plan(self, scale: float) -> list[tuple[float, float, float, float]]:
        """Since and until which share of the time, from which heat to which."""
        low = self.cold * scale
        since = [0.0, *(until for until, _ in self.passes)]
        plan = [(a, until, hot * scale, low) for a, (until, hot) in zip(since, self.passes, strict=False)]
        return [*plan, (since[-1], 1.0, low, min(low, LAST))]


def _settled(form: Lean, host_of: Ints) -> tuple[Any, ...]:
    """What the kernels work on, at `host_of`."""
    from pro.placement.engines.anneal_kernels import settle, state_of

    hosts = len(form.upper)
    dense = np.stack([-form.knot, -form.upper, form.slope]).astype(np.float64)
    d, e = form.weight.shape[1], form.flight.shape[1]
    arrays = (
        form.packed, state_of(form), dense, form.weight.astype(np.float64), -form.flight_upper.astype(np.float64),
        form.flight.astype(np.float64), np.zeros((hosts, 3)), np.ones(d + e + 2), np.zeros(d + e + 3, np.int64),
        np.zeros((hosts, form.tabled.shape[1]), np.int64), form.tabled,
    )  # fmt: skip
    settle(*arrays, host_of.astype(np.int64))
    return arrays
