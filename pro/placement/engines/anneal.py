"""Annealing: millions of cheap tries a second, worse ones accepted while it is hot. For large problems."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.lean import AWAY, HOME, L_AT, L_TABLE, N_LINEAR, H
from pro.placement.engines.neighbourhood import Neighbourhoods
from pro.placement.language import Soft
from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.engines.lean import Lean
    from pro.placement.problem import Problem


LAST, LEAST = 0.3, 0.1
"""The heat it ends with, in units of cost: less than one, so that at the end nothing gets worse. Where standing away from home costs
little, it ends with this share of that."""
OFTEN, SELDOM = 0.7, 0.05
"""At which share of the looks a hard row may be found broken before its price rises; by how much this falls when it is cold; ..."""
RATE = 0.2
"""... by exp(RATE * (share - OFTEN)) after each batch of tries."""
TURN = 0.6
"""The share of a pass after which it becomes strict."""
PATIENCE = 16
"""After so many batches at whose end a group row was broken, the walk goes back to where none was: it may have no way out."""
FROZEN = 0.02
"""VMs are tried in proportion to 1 / (FROZEN + how often a try of their class of size is accepted), ..."""
EVEN = 0.4
"""... but for this share of tries, for which all are alike."""


@dataclass(frozen=True)
class Manner:
    """How a pass walks.

    `hot`: the heat it begins with, in mean costs of a bad shift, or with `near` of a VM's standing away from home (where that costs nothing, `AGAIN.hot` of the former); `mild` and
    `cold`: what it falls to at `TURN`, and in the end. `least`: the least price of breaking a row by one mean VM, in units of heat;
    `most`: the highest, in mean costs of a bad shift, before the pass becomes strict. `homing`: VMs are often sent home. `dear`:
    while it is hot standing away from home counts for as much as keeps most VMs there (`KEPT`), but no more than this, in mean costs of a
    bad shift; as it cools it counts less, down to what it costs. `scan`: VMs of a class of
    size whose tries are accepted more seldom are priced on many hosts at once, and one of these is drawn: what pays where it is
    decided whether a VM moves at all, and not while it is decided where large ones stand.
    """

    hot: float
    mild: float = 0.03
    cold: float = 0.0001
    least: float = 0.3
    most: float = 1e9
    homing: bool = False
    dear: float = 0.0
    scan: float = 0.0
    near: bool = False

    @property
    def close(self) -> bool:
        """Whether few VMs are ever away from home."""
        return self.near or self.dear == inf

    @property
    def thorough(self) -> bool:
        """Whether all hosts are always priced."""
        return self.scan >= 1

    def at_home(self) -> Manner:
        """The same for problems where many small VMs share a host whose room in flight is limited: while it is hot they wander,
        and what they hold in flight leaves no room for large ones. Who is never hot does not wander."""
        return self if self.near else replace(self, most=CHEAP * self.hot, homing=True)


CROWDED, CHEAP, REACH = 100, 17, 512
"""So many VMs on a host make a crowd where room in flight is limited; then no pass begins hotter than 1, a row costs at most so much to break, in units
of the heat a pass begins with, and who goes home often changes places with one that stands there, looked for among so many VMs."""
AGAIN, HOMING = Manner(0.001, most=2, scan=0.05, dear=inf), Manner(1.0, most=2, scan=0.05, near=True)
"""How the best is walked from again at the end: room is opened by low prices, and closed; then whether a VM moves at all is decided."""
TAIL, MOST_END = 0.25, 0.7
"""The share of a trial that cools further than its manner does; the end is given at most so much of the time."""
ENOUGH, MOST_PASSES = 100_000, 8
"""So many tries for each VM are enough for one pass: where there is time for more, passes follow each other, by the two best manners
in turn; at most so many."""
SETTLED, SETTLED_END = 5e-3, 0.15
"""Where a trial or a pass has left less than this share of all that could be won, another would not win much: where there are
neighbourhoods none follows, and what time is left goes to the end by this share, to them by the rest."""
SHORT = 5
"""Prices follow after each batch of tries, and a try that prices all hosts takes several times as long as another: of these a batch has at
most so many for each VM."""
BATCHES = 25
"""One neighbourhood takes about as long as so many batches of tries."""
FEW = 4
"""Where a trial is over after fewer batches of tries than this, it tells nothing: there is no time for trials."""
HASTE = 2.0
"""Manners that keep close to home are fast: what they leave above the bound after a trial counts so many times, since in a long pass
beside the others they gain less."""
UNDONE = 0.001
"""Who was never hot is done early: one that still leaves more than this share of all that could be won is stuck."""
LOOK = 1_000
"""So many tries for each VM are enough for a trial of theirs."""
HARD = 1e9
"""A price that nothing pays: with `least` so high no row is ever broken."""
MANNERS = (
    Manner(1.0, mild=0.016, cold=0.0001, dear=0.1),
    Manner(4.0, mild=0.016, cold=0.0001, dear=0.1),
    Manner(1.0, mild=0.016, cold=0.0001, dear=inf),
    Manner(0.3, mild=0.03, cold=0.003, scan=0.05, near=True),
)
SPARSE = 25
SPARSE_MANNERS = (
    Manner(0.2),
    Manner(1.0, mild=0.016, cold=0.001),
    Manner(4.0),
    *MANNERS[2:],
    Manner(1.0, mild=0.016, cold=0.001, scan=1.0),
)
"""Where hosts hold so many VMs on the mean, or fewer: where large ones stand matters more than how many move; and one manner more prices all
hosts from the beginning."""


@dataclass(frozen=True)
class Trial:
    """What a short pass left above the bound (where nothing that breaks no row was better than the start: where it ended), how much it won
    when it was cold, and its `pace`: how many tries there would be in all the time."""

    manner: Manner
    left: float
    fall: int
    pace: float

    def rank(self, much: float) -> tuple[bool, float]:
        """To sort by, the best first. `much`: what there was to win."""
        stuck = self.manner.near and self.left > UNDONE * much
        return stuck, self.left * (HASTE if self.manner.close else 1)


@dataclass(frozen=True)
class Tried:
    """What trials say: `manners`, the best first, the share of the time `spent`, the share to keep for the `end`, the `pace` of the best, the `lowest` cost of any, the cost below which all is `settled` but what neighbourhoods do better."""

    manners: list[Manner]
    spent: float
    end: float
    pace: float = 0.0
    lowest: float = inf
    settled: float = -inf


@dataclass
class Cooling:
    """A walk and its time: shares of `stop`'s steps where they are counted, else of its seconds since `begun`. Neighbourhoods have what
    comes after `until`. So far `done` batches, and in them `made` tries."""

    walk: Walk
    stop: Stop
    tries: int
    clock: Callable[[], float]
    begun: float
    until: float = 1.0
    done: int = 0
    made: int = 0

    def share(self) -> float:
        """How much of the time has gone."""
        if self.stop.steps < Stop().steps:
            return self.done / self.stop.steps
        return (self.clock() - self.begun) / self.stop.seconds

    def rest(self) -> Stop:
        """What is left, in neighbourhoods where steps are counted."""
        left = self.stop.seconds - (self.clock() - self.begun)
        if self.stop.steps < Stop().steps:
            return Stop(left, max((self.stop.steps - self.done) // BATCHES, 1))
        return Stop(left)

    def cool(self, hot: float, cold: float, since: float, until: float, lax: float = 0.0) -> None:
        """From `hot` to `cold`, evenly in the logarithm, between two shares of the time."""
        tries = min(self.tries, SHORT * len(self.walk.best)) if self.walk.manner.thorough else self.tries
        while self.share() < until and self.done < self.stop.steps:
            cooled = (self.share() - since) / (until - since)
            self.walk.run(hot * (min(cold, hot) / hot) ** cooled, tries, max(lax or 1 - cooled, SELDOM))
            self.done += 1
            self.made += tries

    def walk_from(self, start: Ints, manner: Manner, since: float, until: float) -> None:
        """A pass from `start`."""
        self.walk.begin(start, manner)
        unit, turn = self.walk.unit, since + TURN * (until - since)
        mild = min(manner.hot, manner.mild) * unit
        self.cool(manner.hot * unit, mild, since, turn, 1.0)
        self.cool(mild, manner.cold * unit, turn, until)

    def again(self, manner: Manner, since: float, until: float) -> None:
        """A pass from the best that cools to no heat at all."""
        self.walk.begin(self.walk.winner(), manner)
        self.cool(manner.hot * self.walk.unit, self.walk.last, since, until)


@dataclass(frozen=True)
class Anneal:
    """Simulated annealing over shifts and exchanges of VMs (kernels in anneal_kernels.py).

    It minimises one tier: the first that costs anything at the start. `tries` proposals are one step. A pass begins at the start and
    falls from hot to cold. Which manner of walking is best differs from problem to problem: each of `manners` (None: `MANNERS`, or
    `SPARSE_MANNERS`) gets a short pass of `trial` of the time (those close to home of `LOOK` tries for each VM at most), the one that came lowest a long one (or several
    passes; `ENOUGH`; short ones, once a long one was worse than a trial), and a last part cools the best of all to no heat at all.
    How much of the time this gets, at least `end`, the trials tell too: where only whether a VM moves at all is left to decide,
    nearly all is won when it is cold. With a limit of steps the share is that of the steps. Where hosts hold few VMs the last `polish` of
    the time, or more, goes to neighbourhoods. `clock` is what `Stop.seconds` is measured on.

    Hard rows may be broken on the way, at prices that adapt (strategic oscillation, Glover 1989); what is returned breaks none.
    """

    manners: tuple[Manner, ...] | None = None
    name: str = "annealing"
    tries: int = 20_000
    trial: float = 0.035
    end: float = 0.1
    polish: float = 0.12
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
        from pro.placement.engines.lean import lean

        called, given = self.clock(), stop.seconds
        tier = self.tier(problem, start)
        if tier is None or not problem.movable.any():
            return start.copy()
        form = lean(problem, tier)
        walk = Walk(form, start, rng.integers(1, 2**63, 1, dtype=np.uint64))
        # Reading the problem may take long; shares are of what is left.
        begun = self.clock()
        stop = replace(stop, seconds=max(given - (begun - called), 1e-6))
        polish = Neighbourhoods(clock=self.clock)
        until = 1 - self.polish if polish.fits(problem, self.polish * given) else 1.0
        manners = self._by_crowd(problem, walk.crowded)
        cooling = Cooling(walk, stop, self.tries, self.clock, begun, until)
        tried = Tried(manners, 0.0, self.end if manners else until)
        if len(manners) > 1:
            tried = self._trials(cooling, form, start, manners)
        since = self._passes(cooling, start, tried, int(problem.movable.sum()))
        self._end(cooling, tried, since)
        return walk.winner() if until == 1 else polish.improve(problem, walk.winner(), cooling.rest(), rng)

    def _by_crowd(self, problem: Problem, crowded: bool) -> list[Manner]:
        manners = self.manners
        if manners is None:
            manners = SPARSE_MANNERS if problem.movable.sum() <= SPARSE * problem.hosts else MANNERS
            manners = tuple(manner for manner in manners if not crowded or manner.hot <= 1)
        return [manner.at_home() if crowded else manner for manner in manners]

    def _passes(self, cooling: Cooling, start: Ints, tried: Tried, movable: int) -> float:
        """Passes from `start` between trials and end, by the two best manners in turn; by the best, and as short as a trial, once one
        was worse than a trial: then luck decides, not length. The share of the time at which they end, early where all is settled."""
        if tried.lowest < tried.settled:
            return tried.spent
        last = cooling.until - tried.end
        passes, spent, turn, short = 1, tried.spent, 0, False
        if spent:
            passes = min(max(int(tried.pace * (last - spent) / (ENOUGH * movable)), 1), MOST_PASSES)
        pair = tried.manners[:2]
        while pair and passes:
            each = (last - spent) / passes
            cooling.walk_from(start, pair[turn % len(pair)], spent, spent + each)
            spent, turn, passes = spent + each, turn + 1, passes - 1
            if cooling.walk.cost < tried.settled:
                return spent
            if cooling.walk.cost > tried.lowest and not short:
                passes, pair, short = max(int((last - spent) / self.trial), 0), pair[:1], True
        return last

    def _end(self, cooling: Cooling, tried: Tried, since: float) -> None:
        """From the best, cooled to no heat at all, in what neighbourhoods leave of the time from `since` on."""
        until = cooling.until
        if cooling.walk.winning() < tried.settled:
            until = since + SETTLED_END * (1 - since)
        # Who was never hot on the way is not to be sent far away in the end.
        near = bool(tried.manners) and tried.manners[0].near
        turn = (since + until) / 2
        cooling.again(HOMING if near else AGAIN, since, turn)
        cooling.again(HOMING, turn, until)

    def _trials(self, cooling: Cooling, form: Lean, start: Ints, manners: list[Manner]) -> Tried:
        """A short pass by each manner.

        The end gets the square of what a trial won when it was cold over that and all that is left above a bound: the square, since a
        short pass has won little above.
        """
        walk, least, first, spent = cooling.walk, least_cost(form), cooling.walk.cost, 0.0
        trials: list[Trial] = []
        for manner in manners:
            share = self.trial
            if manner.close and spent:
                share = min(share, spent * LOOK * len(start) / max(cooling.made, 1))
            turn, made = spent + share * (1 - TAIL), cooling.made
            cooling.walk_from(start, manner, spent, turn)
            spent += share
            before = walk.cost
            cooling.cool(manner.cold * walk.unit, walk.last, turn, spent)
            pace = (cooling.made - made) / max(share, 1e-9)
            left = walk.cost if walk.cost < first else walk.standing()
            trials.append(Trial(manner, left - least, before - walk.cost, pace))
            if cooling.done < FEW:
                return Tried(manners, spent, self.end)
        trials.sort(key=lambda trial: trial.rank(first - least))
        best = trials[0]
        won = best.fall / max(best.fall + best.left, 1.0)
        settled = least + SETTLED * (first - least) if cooling.until < 1 else -inf
        end = min(max(won**2, self.end), MOST_END)
        return Tried([trial.manner for trial in trials], spent, end, best.pace, walk.winning(), settled)


class Walk:
    """Where annealing stands: the kernels' arrays, the best placement of this pass, prices of broken rows, odds of VMs.

    `scale` is the mean cost of a bad shift at the start, `unit` what the heats of the manner are measured in, `last` the heat
    to end with, `cost` that of `best`, `accepted` the share of tries to shift a VM that are accepted, by class of size, the
    largest first, `crowded` whether many VMs share a host whose room in flight is limited.
    """

    def __init__(self, form: Lean, start: Ints, seed: NDArray[np.uint64]) -> None:
        from pro.placement.engines.anneal_kernels import CLASSES, WINDOW, probe

        self._form, self._seed = form, seed
        prices = form.weight.shape[1] + form.flight.shape[1] + 2
        self._prices = np.ones(prices + 1)
        self._row_prices = self._prices[:-1]
        self._seen, self._looks = np.zeros(prices, np.int64), np.zeros(1, np.int64)
        self._tally, self.accepted = np.zeros((2, CLASSES), np.int64), np.zeros(CLASSES)
        self.best, self.manner = start.astype(np.int64), Manner(1.0)
        self._log = np.zeros(len(start) + 1, np.int64)
        self._room = np.zeros(WINDOW), np.zeros(2, np.int64)
        self.settle(start)
        self.cost = self.standing()
        deltas = np.zeros(2_000)
        deltas = deltas[: probe(*self.arrays, seed, deltas)]
        self.scale = float(deltas[deltas > 0].mean()) if (deltas > 0).any() else 1.0
        costs = _away(form, int(seed[0] >> np.uint64(1)))
        paid = float(costs[costs > 0].mean()) if costs.any() else AGAIN.hot * self.scale
        self._away = min(paid, self.scale)
        self._firm = _firm(costs / self._away, form.packed[H])
        self.last = min(LAST, LEAST * self._away)
        self._mean = np.concatenate([_mean(form.weight), _mean(form.flight), [0.25, 0.25]])
        self._pick = _by_size(form)
        self.crowded = form.flight.shape[1] > 0 and len(start) >= CROWDED * int(form.packed[H])
        self._choose()
        self._won = (self.cost, self.best.copy())
        self.begin(start, self.manner)

    def begin(self, host_of: Ints, manner: Manner) -> None:
        """Begin a pass at `host_of`."""
        self._end()
        self.manner, self.unit = manner, self._away if manner.near else self.scale
        self._choose()
        self._row_prices[:] = self.scale / self._mean
        self._row_prices[-2:] = self.scale
        self.settle(host_of)
        self.best[:] = host_of
        self.cost = self.standing()

    def standing(self) -> int:
        """What it costs as it stands, rows broken or not; rows themselves not counted."""
        from pro.placement.engines.anneal_kernels import COST

        return int(self.arrays[1][COST])

    def winning(self) -> int:
        """What the best placement of all passes costs."""
        self._end()
        return self._won[0]

    def winner(self) -> Ints:
        """(V,) the best placement of all passes."""
        self._end()
        return self._won[1].copy()

    def _end(self) -> None:
        if self.cost < self._won[0]:
            self._won = (self.cost, self.best.copy())

    def settle(self, host_of: Ints) -> None:
        """Go on from `host_of`."""
        from pro.placement.engines.anneal_kernels import settle, state_of

        form, prices = self._form, self._prices
        turned = len(form.upper) if self.manner.scan else 0
        dense = np.stack([-form.knot, -form.upper, form.slope]).astype(np.float64)
        self.arrays: tuple[Any, ...] = (
            form.packed, state_of(form), dense, form.weight.astype(np.float64), -form.flight_upper.astype(np.float64),
            form.flight.astype(np.float64), np.zeros((len(form.upper), 3)), prices, np.zeros(len(prices), np.int64),
            np.zeros((len(form.upper), form.tabled.shape[1]), np.int64), form.tabled,
            np.zeros((3 * form.weight.shape[1] + form.flight.shape[1] + 1, turned)),
        )  # fmt: skip
        settle(*self.arrays, host_of.astype(np.int64))
        self._log[0] = len(self._log)
        self._stuck, self._clean = 0, host_of.astype(np.int64)

    def times(self, heat: float) -> float:
        """How many times what standing away from home costs counts for."""
        return max(1.0, min(self.manner.dear * self.scale, self._firm * heat) / self._away)

    def run(self, heat: float, tries: int, lax: float = SELDOM) -> None:
        """`tries` proposals at one heat; then prices and odds follow what was seen."""
        from pro.placement.engines.anneal_kernels import BAD, HOST, adapt, anneal

        self._prices[-1] = self.times(heat)
        self.cost = anneal(
            *self.arrays, *self._room, self.best, self._log, self._seen, self._looks, self._tally, self._pick, self._seed,
            heat, self.cost, tries, self.manner.homing,
            REACH if self.crowded else 0,
        )  # fmt: skip
        manner = self.manner
        least, most = manner.least * heat, max(manner.most * self.scale / lax**2, manner.least * heat)
        np.clip(self._row_prices, least / self._mean, most / self._mean, out=self._row_prices)
        packed, _, dense, _, flight, _, cached, prices, *_, turned = self.arrays
        adapt(packed, dense, flight, cached, prices, turned, self._seen, self._looks, OFTEN * lax, RATE)
        self._choose()
        self._stuck += 1
        state = self.arrays[1]
        if state[BAD] == 0:
            self._clean[:] = state[state[HOST] : state[HOST] + len(self._clean)]
            self._stuck = 0
        elif self._stuck > PATIENCE:
            self._row_prices[-1] *= 4
            self.settle(self._clean)

    def _choose(self) -> None:
        """Write the table of odds: VMs whose tries are seldom accepted are tried more often, for they are slow to settle."""
        from pro.placement.engines.anneal_kernels import CLASSES, TABLE

        tried = self._tally[0] > 0
        share = self._tally[1] / np.maximum(self._tally[0], 1)
        self.accepted[tried] += RATE * (share - self.accepted)[tried]
        self._tally[:] = 0
        odds = 1 / (FROZEN + self.accepted)
        odds = EVEN / CLASSES + (1 - EVEN) * odds / odds.sum()
        until = np.rint(np.cumsum(odds) * TABLE).astype(np.int64)
        self._pick[-CLASSES:] = self.accepted < self.manner.scan
        self._pick[:TABLE] = np.searchsorted(until, np.arange(TABLE), side="right")


SAMPLE = 2_000
"""So many VMs and hosts are looked at to learn what standing away from home costs."""


KEPT = 0.25
"""Heat alone would have VMs pay this share of what standing away costs on the mean, where that is held dear."""


def _firm(costs: NDArray[np.float64], hosts: int) -> float:
    """How many heats standing away must count for, on the mean, for that. `costs`: of pairs of a VM and a host that is not its home, in units of
    the mean of those that cost anything."""
    low, high = 0.0, 32.0
    for _ in range(40):
        firm = (low + high) / 2
        odds = np.exp(-firm * costs) * (hosts - 1) / max(len(costs), 1)
        paid = (odds * costs).sum() > KEPT * (1 + odds.sum())
        low, high = (firm, high) if paid else (low, firm)
    return low


def _mean(weight: Ints) -> NDArray[np.float64]:
    """(D,) mean size of a weight, never 0."""
    mean: NDArray[np.float64] = np.maximum(np.abs(weight).mean(axis=0), 1e-9)
    return mean


def _away(form: Lean, seed: int) -> NDArray[np.float64]:
    """What it costs that VMs stand elsewhere instead of at home, if that costs more: of a sample of VMs and hosts."""
    from pro.placement.engines.anneal_kernels import movable

    P, rng = form.packed, np.random.default_rng(seed)
    vms, hosts = rng.choice(movable(form), SAMPLE), rng.integers(0, P[H], SAMPLE)
    home = P[P[HOME] + vms]
    costs = np.where(hosts != home, P[P[AWAY] + vms], 0)
    for row in range(int(P[N_LINEAR])):
        table = P[L_TABLE] + P[P[L_AT] + vms * P[N_LINEAR] + row]
        costs += P[table + hosts] - P[table + home]
    paid: NDArray[np.float64] = np.maximum(costs[hosts != home], 0).astype(np.float64)
    return paid


def least_cost(form: Lean) -> float:
    """A bound of the cost of use from below: what all VMs use beyond all knots, where every host has a price for it."""
    beyond = form.weight.sum(axis=0) - np.where(form.slope > 0, form.knot, 0).sum(axis=0)
    return float((np.maximum(beyond, 0).astype(np.float64) * form.slope.min(axis=0, initial=1 << 40)).sum())


def _by_size(form: Lean) -> Ints:
    """Room for a table of odds, where each class of size begins, movable VMs from the largest cost of use down, and the place of
    each VM among them, its class, and which classes are scanned."""
    from pro.placement.engines.anneal_kernels import CLASSES, TABLE, movable

    free = movable(form)
    size = (form.weight * form.slope.mean(axis=0)).sum(axis=1) + form.tabled.astype(np.float64).sum(axis=1)
    order = free[np.argsort(-size[free], kind="stable")]
    place = np.zeros(len(form.weight), np.int64)
    place[order] = np.arange(len(order))
    first = np.arange(CLASSES + 1) * len(order) // CLASSES
    kind = place * CLASSES // max(len(order), 1)
    scans = np.zeros(CLASSES, np.int64)
    return np.concatenate([np.zeros(TABLE, np.int64), first, order, place, kind, scans]).astype(np.int64)
