"""Annealing for small fleets: few VMs move, and costs of use are counted at thousands of moments (kernels in few_kernels.py)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.exact import domains
from pro.placement.engines.parts import parts_of
from pro.placement.language import Limit, Linear, Steps, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.core.arrays import Floats, Ints
    from pro.placement.problem import Problem, Stop


GOAL = 1
"""The tier that is minimised: the goal, after what rules are repaired."""
HOT, COLD = 1.0, 0.02
"""The heat a walk begins and ends with, in units of what a start costs for each VM that moved."""
MILD, STRICT = 30.0, 1e4
"""What a rule left broken is charged at the beginning and at the end of a walk, in the same unit."""
TRIES = 5_000
"""Proposals that are one step."""
LONG, TURNS, AGREE = 12, 3, 3
"""Steps of a walk, but no more than leave each part so many walks; a part is done when so many ended with its best."""
COLD_FROM = 0.5
"""A walk that has cooled so far has forgotten where it began."""
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

    Parts that share nothing but a budget are walked in turn, each from the best so far, until `AGREE` walks of a part ended with
    its best; where the budget is spent, all is walked as one. How far a walk has cooled goes by the steps done, or by the seconds
    where these are over sooner: with a limit of steps for which there is time, the same seed gives the same answer. `clock` is
    what `Stop.seconds` is measured on.
    """

    name: str = "annealing"
    clock: Callable[[], float] = time.monotonic

    def fits(self, problem: Problem) -> bool:
        """Whether there is something for it to do."""
        return bool(_read(problem)) and len(_choices(problem)[0]) > 0

    def steps(self, problem: Problem, seconds: float) -> int:
        """How many do when nobody says and a chain of engines has so many `seconds`."""
        return max(min(round(PACE * seconds), len(problem.home) * problem.hosts // SHARE), TURNS)

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start` in the tiers up to the goal's; later ones are not looked at."""
        begun, best, left = self.clock(), start.astype(np.int64), stop.steps
        terms = _read(problem)
        masks = parts_of(problem, GOAL + 1) if terms else []
        if not masks:
            return best
        whole = _Walk(problem, terms, rng)
        walks = [_Walk(replace(problem, movable=mask), terms, rng) for mask in masks] if len(masks) > 1 else [whole]
        length = max(min(LONG, stop.steps // (TURNS * len(walks))), 1)
        turn = 0
        while left > 0 and (open_ := [walk for walk in walks if walk.agreed < AGREE]):
            seconds = stop.seconds - (self.clock() - begun)
            if seconds <= 0:
                break
            walk = whole if _spent(problem, best) else open_[turn % len(open_)]
            if walk.agreed >= AGREE:
                break
            best = walk.improve(best, min(length, left), seconds, self.clock)
            left, turn = left - length, turn + 1
        return best


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
    """Annealing of one part: the kernels' arrays, and how many walks ended with the best so far."""

    def __init__(self, problem: Problem, terms: list[Steps], rng: np.random.Generator) -> None:
        from pro.placement.engines.few_kernels import WIDE
        from pro.placement.engines.flat import flatten

        chosen = {id(t) for t in terms}
        rest = tuple(t for t in problem.tiers[GOAL].terms if id(t) not in chosen)
        self._home, self._choices = problem.home, _choices(problem)
        self._flat = flatten(replace(problem, tiers=(problem.tiers[0], replace(problem.tiers[GOAL], terms=rest))))
        self._dense = _dense(len(problem.home), terms, self._hosts(), WIDE)
        self._most = self._dense.weight.reshape(len(problem.home), -1, WIDE).max(axis=2)
        plain = all(isinstance(t, Linear) and t.table is None for t in rest)
        away = sum((t.away for t in rest if isinstance(t, Linear)), np.zeros(len(problem.home), np.int64))
        self._away = (away if plain else away[:0]).astype(np.float64)
        self._seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        whole, real = np.zeros((2, 4), np.int64), np.zeros((4, 4))
        self._room = *whole, *real, *np.zeros((2, len(problem.tiers)), np.int64)
        self.least, self.agreed = np.full(2, np.inf), 0

    def improve(self, start: Ints, steps: int, seconds: float, clock: Callable[[], float]) -> Ints:
        """(V,) the best of `start`, which is the best so far, and a walk of so many `steps`."""
        begun, done, cold = clock(), 0, False
        self.begin(start)
        before, known = tuple(self.least), (tuple(self.least), start)
        while (cooled := max((done + 1) / (steps + 1), (clock() - begun) / seconds)) < 1:
            if cooled >= COLD_FROM and not cold:
                # From here on what it finds counts apart: does it end where others did?
                known, cold = (tuple(self.least), self.best.copy()), True
                self.least[:] = np.inf
            self.run(cooled)
            done += 1
        ended, least = tuple(self.least), min(tuple(self.least), known[0])
        if least < before:
            self.agreed = 0
        self.agreed += cold and ended == least
        return self.best if ended == least else known[1]

    def _hosts(self) -> Ints:
        """Where VMs of this part may stand."""
        free, ptr, hosts, _ = self._choices
        return np.unique(np.concatenate([hosts[ptr[v] : ptr[v + 1]] for v in free.tolist()]))

    def begin(self, start: Ints) -> None:
        """Go on from `start` (V,)."""
        from pro.placement.engines.few_kernels import WIDE, settle
        from pro.placement.engines.kernels import costs, new_state

        dense, items, vms = self._dense, len(self._dense.use), len(start)
        stay = start.copy()
        stay[self._choices[0]] = self._home[self._choices[0]]
        state, cost = new_state(self._flat, start), np.zeros(items)
        self._arrays: tuple[Any, ...] = (
            self._flat, state, dense.use.copy(), np.zeros((items, self._most.shape[1])), dense.weight, self._most,
            dense.knots, dense.slopes, dense.scope, cost, np.zeros((items, vms)), np.zeros(items, np.int64),
            np.zeros(vms + 1, np.int64), np.zeros(vms, np.int64), np.zeros(WIDE),
        )  # fmt: skip
        settle(*self._arrays, self._choices[0])
        now, rest = (costs(self._flat, s)[: GOAL + 1].astype(np.float64) for s in (state, new_state(self._flat, stay)))
        self.best, self.least = start.copy(), now + np.array([0.0, cost.sum()])
        self._unit = max((self.least[GOAL] - rest[GOAL]) / (1 + int((start != stay).sum())), 1.0)

    def run(self, cooled: float) -> None:
        """`TRIES` proposals of a walk that has `cooled` from 0 to 1."""
        from pro.placement.engines.few_kernels import anneal

        heat = HOT * (COLD / HOT) ** cooled * self._unit
        repair = MILD * (STRICT / MILD) ** cooled * self._unit
        anneal(
            *self._arrays, *self._room, self._away, *self._choices, self._seed, self.best, self.least, heat, repair, TRIES
        )  # fmt: skip


def _spent(problem: Problem, host_of: Ints) -> bool:
    """Whether some budget has no room for one more migration."""
    return any(
        (counted(row, problem.home, host_of) + row.weight.max(axis=0, initial=0) > row.upper).any()
        for row in problem.rows
        if isinstance(row, Limit) and row.when == "moved"
    )


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


def _dense(vms: int, terms: list[Steps], hosts: Ints, wide: int) -> _Dense:
    """Moments in order of their use, so that calm ones share blocks; each term begins a block. Only items of these `hosts`."""
    scope = terms[0].scope
    items = np.unique(scope[hosts][scope[hosts] >= 0])
    number = np.full(len(terms[0].base) + 1, -1)
    number[items] = np.arange(len(items))
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
        uses.append(
            np.pad(term.base[items][:, order].astype(np.float64), ((0, 0), (0, more)), constant_values=-NOTHING)
        )
        rank = np.argsort(term.knots[:, items, 0], axis=0)
        for array, into, fill in ((term.knots, knots, NOTHING), (term.slopes, slopes, 0.0)):
            sorted_ = np.take_along_axis(array[:, items, 0], rank, axis=0).T.astype(np.float64)
            full = np.pad(sorted_, ((0, 0), (0, js - len(array))), constant_values=fill)
            into.append(np.repeat(full[:, None], weight.shape[1] // wide, axis=1))
    use, weight, knot, slope = (np.ascontiguousarray(np.concatenate(a, axis=1)) for a in (uses, weights, knots, slopes))
    return _Dense(use, weight, knot, slope, number[scope])


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
