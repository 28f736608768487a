"""Annealing for small fleets: few VMs move, and costs of use are counted at thousands of moments (kernels in few_kernels.py)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.exact import domains
from pro.placement.language import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.core.arrays import Floats, Ints
    from pro.placement.problem import Problem, Stop


GOAL = 1
"""The tier that is minimised: the goal, after what rules are repaired."""
HOT, COLD = 1.0, 0.02
"""The heat a pass begins and ends with, in units of what a start costs for each VM that moved."""
MILD, STRICT = 30.0, 1e4
"""What a rule left broken is charged at the beginning and at the end of a pass, in the same unit."""
TRIES = 5_000
"""Proposals that are one step."""
PACE, SHARE = 32, 3
"""Steps when nobody says: so many for each second that a chain of engines is given, few enough that most machines have time for
all; but one for so many pairs of VM and host."""
MANY = 16
"""A cost of use that is counted at fewer moments is no work for long rows."""
NOTHING = 1e15
"""A use that is below every knot when negative, a knot that no use reaches."""


@dataclass(frozen=True)
class Few:
    """Annealing over single moves, swaps, and VMs that move in place of one another, for goals with a convex cost of use.

    Each of `passes` cools from the best so far. How far it has cooled goes by the steps done, or by the seconds where these are
    over sooner: with a limit of steps for which there is time, the same seed gives the same answer. `clock` is what
    `Stop.seconds` is measured on.
    """

    name: str = "annealing"
    passes: int = 3
    clock: Callable[[], float] = time.monotonic

    def fits(self, problem: Problem) -> bool:
        """Whether there is something for it to do."""
        return bool(_read(problem)) and len(_choices(problem)[0]) > 0

    def steps(self, problem: Problem, seconds: float) -> int:
        """How many do when nobody says and a chain of engines has so many `seconds`."""
        return max(min(round(PACE * seconds), len(problem.home) * problem.hosts // SHARE), self.passes)

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start` in the tiers up to the goal's; later ones are not looked at."""
        begun, done = self.clock(), 0
        walk = _Walk.of(problem, start, rng)
        if walk is None or stop.steps <= 0:
            return start.copy()
        for number in range(self.passes):
            walk.begin()
            while True:
                share = max(done / stop.steps, (self.clock() - begun) / max(stop.seconds, 1e-9))
                cooled = self.passes * share - number
                if cooled >= 1:
                    break
                walk.run(cooled)
                done += 1
        return walk.best


@dataclass(frozen=True)
class _Dense:
    """Convex costs of use over one scope as rows of floats: `use` (S, D) bases, `weight` (V, D), and for each block of moments
    `knots` in order and `slopes` (S, blocks, J)."""

    use: Floats
    weight: Floats
    knots: Floats
    slopes: Floats
    scope: Ints


class _Walk:
    """Where annealing stands: the kernels' arrays, and the best placement so far."""

    @classmethod
    def of(cls, problem: Problem, start: Ints, rng: np.random.Generator) -> _Walk | None:
        """None where there is nothing for it to do."""
        terms = _read(problem)
        choices = _choices(problem)
        return cls(problem, start, terms, choices, rng) if terms and len(choices[0]) else None

    def __init__(
        self, problem: Problem, start: Ints, terms: list[Steps], choices: tuple[Ints, ...], rng: np.random.Generator
    ) -> None:
        from pro.placement.engines.few_kernels import WIDE
        from pro.placement.engines.flat import flatten

        chosen = {id(t) for t in terms}
        goal = replace(problem.tiers[GOAL], terms=tuple(t for t in problem.tiers[GOAL].terms if id(t) not in chosen))
        self._flat = flatten(replace(problem, tiers=(problem.tiers[0], goal)))
        self._dense = _dense(len(problem.home), terms, WIDE)
        self._most = self._dense.weight.reshape(len(problem.home), -1, WIDE).max(axis=2)
        self._choices = choices
        self._seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        self.best = start.astype(np.int64)
        self.least = np.array(problem.costs(start)[: GOAL + 1], np.float64)
        self._unit = max(self.least[GOAL] / (1 + int((start != problem.home).sum())), 1.0)

    def begin(self) -> None:
        """Go on from the best."""
        from pro.placement.engines.few_kernels import settle
        from pro.placement.engines.kernels import new_state

        dense, vms = self._dense, len(self.best)
        state = new_state(self._flat, self.best)
        self._arrays: tuple[Any, ...] = (
            self._flat, state, dense.use.copy(), np.zeros((len(dense.use), self._most.shape[1])), dense.weight, self._most,
            dense.knots, dense.slopes, dense.scope, np.zeros(len(dense.use)), np.zeros(vms + 1, np.int64),
            np.zeros(vms, np.int64),
        )  # fmt: skip
        settle(*self._arrays)

    def run(self, cooled: float) -> None:
        """`TRIES` proposals of a pass that has `cooled` from 0 to 1."""
        from pro.placement.engines.few_kernels import anneal

        heat = HOT * (COLD / HOT) ** cooled * self._unit
        repair = MILD * (STRICT / MILD) ** cooled * self._unit
        anneal(*self._arrays, *self._choices, self._seed, self.best, self.least, heat, repair, TRIES)


def _read(problem: Problem) -> list[Steps]:
    """The goal's terms that the kernels read: over the scope of the one with most moments."""
    terms = problem.tiers[GOAL].terms if len(problem.tiers) > GOAL else ()
    found = [t for t in terms if isinstance(t, Steps) and _runs(t)]
    widest = max(found, key=lambda t: t.base.shape[1], default=None)
    return [t for t in found if widest is not None and np.array_equal(t.scope, widest.scope)]


def _runs(term: Steps) -> bool:
    """Whether the kernels can read it: convex, no negative weights, many moments, the same knots and slopes at all of them."""
    alike = not (np.ptp(term.knots, axis=2).any() or np.ptp(term.slopes, axis=2).any())
    return term.base.shape[1] >= MANY and alike and term.convex and int(term.weight.min(initial=0)) >= 0


def _dense(vms: int, terms: list[Steps], wide: int) -> _Dense:
    """Moments in order of their use, so that calm ones share blocks; each term begins a block."""
    js = max(len(t.knots) for t in terms)
    uses: list[Floats] = []
    weights: list[Floats] = []
    knots: list[Floats] = []
    slopes: list[Floats] = []
    for term in terms:
        order = np.argsort(-term.weight.sum(axis=0), kind="stable")
        more = -len(order) % wide
        weight = np.zeros((vms, len(order) + more))
        np.add.at(weight, term.vms, np.pad(term.weight[:, order].astype(np.float64), ((0, 0), (0, more))))
        weights.append(weight)
        uses.append(np.pad(term.base[:, order].astype(np.float64), ((0, 0), (0, more)), constant_values=-NOTHING))
        rank = np.argsort(term.knots[:, :, 0], axis=0)
        for array, into, fill in ((term.knots, knots, NOTHING), (term.slopes, slopes, 0.0)):
            sorted_ = np.take_along_axis(array[:, :, 0], rank, axis=0).T.astype(np.float64)
            full = np.pad(sorted_, ((0, 0), (0, js - len(array))), constant_values=fill)
            into.append(np.repeat(full[:, None], weight.shape[1] // wide, axis=1))
    use, weight, knot, slope = (np.ascontiguousarray(np.concatenate(a, axis=1)) for a in (uses, weights, knots, slopes))
    return _Dense(use, weight, knot, slope, terms[0].scope.astype(np.int64))


def _choices(problem: Problem) -> tuple[Ints, Ints, Ints, Ints]:
    """VMs that may move; where the hosts of each VM begin, and these hosts; VMs that may move, by home, and where each home's begin."""
    found = domains(problem)
    free = np.array([v for v in np.flatnonzero(problem.movable).tolist() if len(found[v]) > 1], np.int64)
    ptr = np.concatenate([[0], np.cumsum([len(hosts) for hosts in found])]).astype(np.int64)
    mates = free[np.argsort(problem.home[free], kind="stable")]
    first = np.searchsorted(problem.home[mates], np.arange(problem.hosts + 1))
    return (
        free,
        ptr,
        np.concatenate([*found, free[:0]]).astype(np.int64),
        np.concatenate([mates, first]).astype(np.int64),
    )
