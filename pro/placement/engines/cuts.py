"""Bounds and better answers for small fleets with many moments, by outer approximation.

A convex cost of use is at least each of its tangents, and the tangent at any use (of real VMs, or of fractions of them)
    cost(use)  >=  sum over the knots passed there of slope * (use - knot)
is a row with as many entries as VMs, however many moments it sums over. So thousands of moments become one variable for each
scope item and a few tangents that matter (outer approximation: Duran and Grossmann, Mathematical Programming 36 (1986), 307-339).
HiGHS solves the linear relaxation, the tangents at its answer are added, and so on (Kelley); then one search tree asks for more
wherever they lack (tree.py). Either value is a lower bound at every time, within the tolerances of a solver in floating
point, for which a margin of `MARGIN` is taken off. Every answer on the way is counted in full and, if it is better, kept.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.exact import Model, Settled, domains
from pro.placement.engines.parts import parts_of
from pro.placement.engines.relaxed import Rows, rows_of
from pro.placement.engines.tree import Limits, branch
from pro.placement.language import Limit, Linear, Steps
from pro.placement.problem import Stop, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pro.core.arrays import Bools, Floats, Ints
    from pro.placement.language import Term
    from pro.placement.problem import Engine, Problem


MARGIN = 1e-5
"""Relative: what is taken off a bound for the solver's tolerances."""
SCALE = 1e4
"""What the best known cost is scaled to for the solver, whose tolerances are absolute."""
ENOUGH = 0.002
"""Relative gap at which a round of the solver, or all of it, ends."""
ROUNDS, NODES = 40, 100_000
PRICES, PRICE_ROUNDS, PRICE_SHARE = 8, 4, 0.1
"""Prices of a migration that are tried, rounds for each, and their share of the time."""
LEAST = 0.1
"""Seconds in which a tree is not worth planting."""
NODES_A_STEP = 25
"""Where steps are counted, a round of the solver looks at so many nodes for each, so that they end it before the seconds do."""
LACKS = 1e-4
"""Relative: a tangent that says less more than this is not worth a row in the tree."""
RELAXED = 0.01
"""Relative: where the relaxation lacks less than this, the tree goes on better."""
NEAR = 1.5
"""An answer that costs more than so much of the best is not worth a local search."""
GOAL = 1
"""The tier that is bounded: the goal, after what rules are repaired."""


class Cuts:
    """The goal's bound, and a better answer where there is one. Leaves problems with more than `most_choices` pairs of VM and
    host alone."""

    name = "cuts"

    def __init__(
        self, polish: Engine | None = None, most_choices: int = 6_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.polish, self.most_choices, self.clock = polish, most_choices, clock

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        return self.prove(problem, start, stop, rng)[0]

    def prove(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> tuple[Ints, Settled]:
        """A placement at least as good as `start` (V,), and what is known about its goal tier."""
        if not (masks := self._masks(problem)):
            return start, Settled(None, None)
        if not problem.costs(start)[GOAL]:
            return start, Settled(0, fewest(problem, start, 0))
        best, bound = self._by_parts(problem, start, masks, stop, rng)
        return best, Settled(bound, fewest(problem, best, bound))

    def fits(self, problem: Problem) -> bool:
        """Whether there is something to do, all of it costs something, and it is small enough."""
        return bool(self._masks(problem))

    def _masks(self, problem: Problem) -> list[Bools]:
        if len(problem.tiers) <= GOAL or not all(_costs(t) for t in problem.tiers[GOAL].terms):
            return []
        choices = np.array([len(hosts) for hosts in domains(problem)], np.int64)
        masks = parts_of(problem, GOAL + 1)
        return [] if any(choices[mask].sum() > self.most_choices for mask in masks) else masks

    def _by_parts(
        self, problem: Problem, start: Ints, masks: list[Bools], stop: Stop, rng: np.random.Generator
    ) -> tuple[Ints, int]:
        """Each part with all others at home, where a migration has a price if the budget is spent and more is asked for (Lagrange);
        the part with the widest gap last, so that it has the time the others left."""
        watch = _Watch(self.clock)
        room = _budget(problem) if len(masks) > 1 else None
        allowed = problem.costs(start)[0]
        searches = []
        for k, mask in enumerate(masks):
            part = replace(problem, movable=mask)
            begun = np.where(mask, start, problem.home)
            # What may be broken in a part that is not all: what all may break, and what the others break at home.
            most = allowed + (part.costs(begun)[0] if len(masks) > 1 else 0)
            search = _Search(part, begun, most, rng, self.polish)
            search.relax(watch, watch.spent + (stop.seconds - watch.spent) / (len(masks) - k), stop.steps)
            searches.append(search)
        paid = 0
        spent = room is not None and int((start != problem.home).sum()) >= room
        if room is not None and spent and sum(search.asked for search in searches) > room:
            paid = room * _agree_on_price(searches, room, partial(_relaxed, watch, stop))
        open_ = np.array([search.missing for search in searches])
        best, order = start, np.argsort(open_, kind="stable").tolist()
        for k in order:
            share = float(open_[k] / max(open_[open_ >= open_[k]].sum(), 1e-9))
            searches[k].grow(watch, watch.spent + (stop.seconds - watch.spent) * share, stop.steps)
        if stop.steps >= Stop().steps:  # what a part with a quick end has left over
            last = max(searches, key=lambda search: search.missing)
            last.grow(watch, stop.seconds, stop.steps)
        for k in order:
            if (searches[k].best[masks[k]] != start[masks[k]]).any():
                for others in (best, problem.home):
                    merged = np.where(masks[k], searches[k].best, others)
                    if problem.feasible(merged) and problem.costs(merged) < problem.costs(best):
                        best = merged
        fixed = (len(masks) - 1) * problem.costs(problem.home)[GOAL] + paid
        bound = sum(search.value for search in searches) - fixed
        return best, min(max(bound, 0), problem.costs(best)[GOAL])


def _costs(term: Term) -> bool:
    """Whether no placement is rewarded: bounds start at nothing."""
    if isinstance(term, Steps):
        return term.convex
    if isinstance(term, Linear):
        table = 0 if term.table is None else int(term.table.min(initial=0))
        return min(int(term.away.min(initial=0)), table) >= 0
    return True


def _budget(problem: Problem) -> int | None:
    """How many migrations there may be in all."""
    budgets = [
        int((row.upper - row.base).min())
        for row in problem.rows
        if isinstance(row, Limit) and row.when == "moved" and len(row.upper) == 1 and (row.weight == 1).all()
        and len(row.vms) == len(problem.home) and not row.scope.any()
    ]  # fmt: skip
    return min(budgets, default=None)


def _relaxed(watch: _Watch, stop: Stop, search: _Search) -> None:
    """A few more tangents for one of the prices that are tried."""
    search.relax(watch, watch.spent + PRICE_SHARE * (stop.seconds - watch.spent), min(stop.steps, PRICE_ROUNDS))


def _agree_on_price(searches: list[_Search], room: int, relax: Callable[[_Search], None]) -> int:
    """The price of a migration at which the parts, relaxed, ask for no more than `room`: where their bounds less `room` times it
    are greatest in all. Any price gives a valid bound, so it is searched for only roughly; they are left with the best."""

    def bound_at(price: int) -> float:
        for search in searches:
            search.charge(price)
            relax(search)
        return sum(search.bound for search in searches) - price * room

    tried = {0: sum(search.bound for search in searches)}
    low, high, price = 0, 0, max(round(sum(search.missing for search in searches) / max(room, 1)), 1)
    for _ in range(PRICES):
        tried[price] = bound_at(price)
        if sum(search.asked for search in searches) > room:
            low, price = price, 2 * price if high == 0 else (price + high) // 2
        else:
            high, price = price, (low + price) // 2
        if price in tried:
            break
    best = max(tried, key=lambda p: tried[p])
    bound_at(best)
    return best


def fewest(problem: Problem, host_of: Ints, bound: int | None) -> bool | None:
    """True where `bound` of the goal tier proves that no placement that repairs and cools as much moves fewer VMs.

    One that did would save at least the price of a migration, where all have the same.
    """
    moved = int((host_of != problem.home).sum())
    if not moved:
        return True
    if bound is None:
        return None
    prices = [t.away[problem.movable] for t in problem.tiers[GOAL].terms if isinstance(t, Linear) and t.table is None]
    if any(len(p) and np.ptp(p) for p in prices):
        return None
    least = sum(int(p[0]) for p in prices if len(p))
    return True if bound > problem.costs(host_of)[GOAL] - least else None


class _Watch:
    """Seconds spent by a clock; the solver knows only wall time, so CPU seconds are turned into that as they went so far."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._begun, self._wall = clock, clock(), time.monotonic()
        self.cpu = clock is time.process_time

    @property
    def spent(self) -> float:
        return self._clock() - self._begun

    def wall(self, seconds: float) -> float:
        """`seconds` of the clock as wall time."""
        return seconds * max((time.monotonic() - self._wall) / max(self.spent, 1e-3), 1.0)


@dataclass(frozen=True)
class _Thin:
    """The problem without its convex costs of use: a model of the rest, and those costs."""

    model: Model
    steps: tuple[Steps, ...]
    choices: list[dict[int, Any]]


def _thin(problem: Problem, start: Ints, allowed: int) -> _Thin:
    goal = problem.tiers[GOAL]
    steps = tuple(t for t in goal.terms if isinstance(t, Steps) and t.convex)
    rest = Tier(goal.name, tuple(t for t in goal.terms if not (isinstance(t, Steps) and t.convex)))
    model = Model(replace(problem, tiers=(problem.tiers[0], rest)), start)
    model.hold(0, allowed, start)
    model.aim(GOAL)
    return _Thin(model, steps, model.on)


class _Curve:
    """One convex cost of use over the variables of the model; tangents of it as rows."""

    def __init__(self, term: Steps, choices: list[dict[int, Any]]) -> None:
        self.knots, self.slopes = term.knots.astype(np.float64), term.slopes.astype(np.float64)
        self.weight = term.weight.astype(np.float64)
        self.base = term.base.astype(np.float64)
        self.base.flags.writeable = True
        at: list[list[tuple[int, int]]] = [[] for _ in range(len(term.base))]
        for i, v in enumerate(term.vms.tolist()):
            for h, x in choices[v].items():
                if (s := int(term.scope[h])) < 0:
                    continue
                if x is True:
                    self.base[s] += self.weight[i]
                else:
                    at[s].append((i, x.index))
        self.column = [np.array([c for _, c in pairs], np.int64) for pairs in at]
        shared: dict[tuple[int, ...], Floats] = {}
        members = [tuple(i for i, _ in pairs) for pairs in at]
        self.weighs = [shared.setdefault(m, self.weight[list(m)]) for m in members]

    def tangent(self, s: int, z: Floats) -> tuple[float, float, Floats]:
        """The cost of item `s` at `z`, and its tangent there: a constant, and a coefficient for each of `column[s]`."""
        use = self.base[s] + z[self.column[s]] @ self.weighs[s]
        slope = self.slopes[:, s] * (use > self.knots[:, s])
        constant = float((slope * (self.base[s] - self.knots[:, s])).sum())
        return float((slope * (use - self.knots[:, s])).sum()), constant, self.weighs[s] @ slope.sum(axis=0)


class _Search:
    """Rounds of the solver, tangents between them, and the best answer so far."""

    def __init__(
        self, problem: Problem, start: Ints, allowed: int, rng: np.random.Generator, polish: Engine | None
    ) -> None:
        self.problem, self.best, self.costs = problem, start, problem.costs(start)
        thin = _thin(problem, start, allowed)
        self._choices, self._rng, self._polish = thin.choices, rng, polish
        self._seen: set[bytes] = set()
        self._rows: Rows = rows_of(thin.model.model.proto)
        self._curves = [_Curve(t, thin.choices) for t in thin.steps]
        nowhere = np.zeros(len(self._rows.cost))
        self._still = self._rows.constant + sum(
            c.tangent(s, nowhere)[0] for c in self._curves for s, at in enumerate(c.column) if not len(at)
        )
        """What it costs whatever moves."""
        self.bound = self._still
        self._unit = max((self.costs[GOAL] - self._still) / SCALE, 1e-9)
        self._rows.cost /= self._unit
        self._first = [self._rows.grow(len(c.column)) for c in self._curves]
        self._away = np.array(
            [
                x.index
                for v, c in enumerate(thin.choices)
                for h, x in c.items()
                if x is not True and h != problem.home[v]
            ],
            np.int64,
        )
        self.price, self.asked = 0, 0.0
        """What each migration costs beside, and how many the relaxation has."""

    @property
    def missing(self) -> float:
        """What is open between the best answer and the bound."""
        return max(self._charged(self.best) - self.bound, 0.0)

    def _charged(self, placed: Ints) -> int:
        """The goal's cost of `placed` (V,), its migrations charged."""
        costs = self.costs if placed is self.best else self.problem.costs(placed)
        return costs[GOAL] + self.price * int((placed != self.problem.home).sum())

    def charge(self, price: int) -> None:
        """Let each migration cost `price`; what was known of the bound is no longer."""
        self._rows.cost[self._away] += (price - self.price) / self._unit
        self.price, self.bound = price, self._still

    def relax(self, watch: _Watch, until: float, steps: int) -> None:
        """Raise the bound by the linear relaxation, until nothing is left to add, so much is spent, or for so many rounds."""
        for placed in (self.best, self.problem.home):
            self._touch(self._values(placed), None)
        for _ in range(min(steps, ROUNDS)):
            left = until - watch.spent
            found = self._rows.solve(whole=False, seconds=watch.wall(left), gap=ENOUGH, nodes=1)
            self._raise(found.fun if found.status == 0 else None)
            self.asked = self.asked if found.x is None else float(found.x[self._away].sum())
            if left <= 0 or found.x is None or self._done() or self._touch(found.x, found.x) <= RELAXED * SCALE:
                break

    @property
    def value(self) -> int:
        """The bound, of whole costs."""
        return min(math.ceil(self.bound), self._charged(self.best))

    def grow(self, watch: _Watch, until: float, steps: int) -> None:
        """Search whole answers until the gap is small, so much is spent, or for so many nodes."""
        limits = Limits(lambda: until - watch.spent, min(NODES_A_STEP * steps, NODES), ENOUGH, watch.cpu)
        first = {x.index for v, c in enumerate(self._choices) if (x := c[int(self.problem.home[v])]) is not True}
        lacking = True
        while lacking and until - watch.spent > LEAST and not self._done():
            known = self._complete(self.best)
            bound, lacking = branch(self._rows, partial(self._look, watch, until), known, first, limits)
            self._raise(bound)

    def _done(self) -> bool:
        return self.missing <= ENOUGH * self._unit * SCALE

    def _raise(self, value: float | None) -> None:
        """`value`: a bound of what the solver minimises."""
        if value is not None and np.isfinite(value):
            self.bound = max(self.bound, float(value * self._unit * (1 - MARGIN) + self._still))

    def _look(self, watch: _Watch, until: float, z: Floats, whole: bool) -> list[tuple[Any, Any, float]]:
        """Tangents that are missing at `z`; a whole answer is also counted in full."""
        if whole:
            self._take(self._placement(z), watch.wall(until - watch.spent))
        found = list(self._tangents(z, z, SCALE * LACKS))
        for columns, values, least in found:  # for another tree, if this one's time ends too soon
            self._rows.add(columns, values, least, np.inf)
        return found

    def _complete(self, placed: Ints) -> Floats:
        """Values of all variables at `placed` (V,)."""
        z = self._values(placed)
        for curve, first in zip(self._curves, self._first, strict=True):
            for s, columns in enumerate(curve.column):
                if len(columns):
                    z[first + s] = curve.tangent(s, z)[0] / self._unit
        return self._rows.complete(z, [x.index for c in self._choices for x in c.values() if x is not True])

    def _touch(self, z: Floats, known: Floats | None) -> float:
        """Add the tangents at `z` that say more than `known` does there; how much they do, in units of the solver."""
        missing = 0.0
        for columns, values, least in self._tangents(z, known, SCALE * MARGIN):
            missing += least - float(np.dot(values, 0 * z[columns] if known is None else known[columns]))
            self._rows.add(columns, values, least, np.inf)
        return missing

    def _tangents(self, z: Floats, known: Floats | None, least: float) -> Iterator[tuple[Any, Any, float]]:
        """Rows (columns, values, lower bound) of tangents at `z` that say more by `least` than `known` does there."""
        for curve, first in zip(self._curves, self._first, strict=True):
            for s, columns in enumerate(curve.column):
                if not len(columns):
                    continue
                value, constant, slope = curve.tangent(s, z)
                if value / self._unit - (0.0 if known is None else known[first + s]) > least:
                    yield [first + s, *columns], [1.0, *(-slope / self._unit)], constant / self._unit

    def _take(self, placed: Ints, seconds: float) -> None:
        """Count `placed` (V,) in full, better it by local search, and keep it if it is the best."""
        if (key := placed.tobytes()) in self._seen or not self.problem.feasible(placed):
            return
        self._seen.add(key)
        near = self.problem.costs(placed)[GOAL] - self._still <= NEAR * self._unit * SCALE
        if self._polish is not None and near and seconds > 0:
            placed = self._polish.improve(self.problem, placed, Stop(seconds, 2), self._rng)
        costs = self.problem.costs(placed)
        if (costs[0], self._charged(placed), costs) < (self.costs[0], self._charged(self.best), self.costs):
            self.best, self.costs = placed, costs
            self._touch(self._values(placed), None)

    def _values(self, placed: Ints) -> Floats:
        z = np.zeros(len(self._rows.cost))
        for v, choices in enumerate(self._choices):
            x = choices[int(placed[v])]
            if x is not True:
                z[x.index] = 1
        return z

    def _placement(self, z: Floats) -> Ints:
        def share(choices: dict[int, Any], h: int) -> float:
            return 1.0 if choices[h] is True else float(z[choices[h].index])

        return np.array([max(c, key=partial(share, c)) for c in self._choices], np.int64)
