"""CP-SAT on the whole problem: for small fleets an answer with a proof, for all others at least a bound.

Tiers are solved in order; each is then held at what was found. The start is given as a hint, so the answer is never worse.
Workers are interleaved and have a deterministic limit: the same seed and limit give the same answer, unless the machine is so
slow or busy that the seconds are over first. Where steps are counted they set that limit, and the seconds can be many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from pro.placement.engines.bound import coarsen, quality
from pro.placement.language import (
    Allow,
    AtLeast,
    Limit,
    Linear,
    MostMoved,
    Near,
    Opened,
    Row,
    Soft,
    Steps,
    Term,
    Together,
    cost,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.problem import Problem, Stop


@dataclass(frozen=True)
class Effort:
    """How CP-SAT searches: with how many `workers`, interleaved; with a linear relaxation that is the stronger the higher `linear` is (0:
    with none); how many deterministic seconds one `step` stands for; and, `capped`, told from the beginning that nothing may cost
    more than the start, which leaves less to what may be over."""

    workers: int = 2
    linear: int = 1
    step: float = 0.25
    capped: bool = False


@dataclass(frozen=True)
class Proof:
    """What CP-SAT found. `bounds[t]` is a lower bound of tier t given the tiers before it; None where there is none.

    `optimal[t]`: tier t was solved to the end, and so were all before it.
    """

    host_of: Ints
    bounds: tuple[int | None, ...]
    optimal: tuple[bool, ...]


class Exact:
    """CP-SAT as an engine. Leaves problems with more than `most_entries` matrix entries alone."""

    name = "CP-SAT"

    def __init__(self, most_entries: int = 400_000, effort: Effort | None = None) -> None:
        self.most_entries, self.effort = most_entries, effort or Effort()

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        return self.prove(problem, start, stop, int(rng.integers(1, 2**31 - 1))).host_of

    def entries(self, problem: Problem) -> int:
        """How many matrix entries the whole model would have; decides whether it is tried."""
        found = domains(problem)
        choices = np.array([len(d) for d in found])
        total = int(choices.sum())
        for row in _blocks(problem):
            knots = len(row.knots) if isinstance(row, Steps) else 1
            total += int(choices[row.vms].sum()) * row.base.shape[1] * knots
        return total

    def prove(self, problem: Problem, start: Ints, stop: Stop, seed: int) -> Proof:
        """Solve as far as `stop` lets it."""
        tiers = len(problem.tiers)
        if self.entries(problem) > self.most_entries:
            return Proof(start, (None,) * tiers, (False,) * tiers)
        from ortools.sat.python import cp_model

        model = Model(problem, start, self.effort)
        best, bounds, optimal = start, [], []
        proven = True
        for tier in range(tiers):
            if self.effort.capped:
                model.hold(tier, problem.costs(best)[tier], best)
            found = model.minimise(tier, _share(stop, tiers, self.effort.step), seed)
            if found.status == cp_model.INFEASIBLE:
                raise RuntimeError("CP-SAT refuses a placement that every row allows: the model is wrong")
            if found.host_of is not None and problem.costs(found.host_of) <= problem.costs(best):
                best = found.host_of
            proven &= found.status == cp_model.OPTIMAL
            bounds.append(found.bound)
            optimal.append(proven)
            model.hold(tier, problem.costs(best)[tier], best)
        return Proof(best, tuple(bounds), tuple(optimal))

    def settle(self, problem: Problem, start: Ints, stop: Stop, seed: int) -> tuple[Ints, Settled]:
        """A placement at least as good as `start` (V,), and what is known about its goal tier."""
        proof = self.prove(problem, start, stop, seed)
        moved = int((proof.host_of != problem.home).sum())
        # The goal's tier charges for migrations, so where it is solved to the end no placement as good has fewer.
        return proof.host_of, Settled(proof.bounds[1], moved == 0 or proof.optimal[1] or None)

    def coarse(self, problem: Problem, start: Ints, stop: Stop, seed: int, groups: int = 24) -> Settled:
        """What can be said about `start` (V,) by a smaller problem that never costs more; see bound.py."""
        from ortools.sat.python import cp_model

        small = coarsen(problem, groups, (problem.home, start))
        if len(problem.tiers) < 2 or self.entries(small) > self.most_entries:
            return Settled(None, None)
        model = Model(small, start)
        costs = problem.costs(start)
        model.hold(0, costs[0], start)
        moved = int((start != problem.home).sum())
        fewer: bool | None = moved == 0
        if moved:
            held = Model(small, start)
            held.hold(0, costs[0], start)
            at_most = sum(cost(t, problem.home, start) for t in quality(problem.tiers[1].terms))
            status = held.fewer(moved, quality(small.tiers[1].terms), at_most, _share(stop, 2), seed)
            fewer = True if status == cp_model.INFEASIBLE else None
        return Settled(model.minimise(1, _share(stop, 2), seed).bound, fewer)


def _share(stop: Stop, parts: int, step: float = Effort.step) -> tuple[float, float]:
    """One of `parts` of the time: seconds, and deterministic seconds, so many for each `step`."""
    seconds = max(stop.seconds, 0.05) / parts
    return seconds, min(seconds / 2, step * stop.steps / parts)


@dataclass(frozen=True)
class Settled:
    """`bound`: the goal tier cannot cost less, given what rules are repaired. `minimal_moves`: True when it is proven that no
    placement that repairs as much and is as good by all that the goal weighs needs fewer migrations; None when it is not known."""

    bound: int | None
    minimal_moves: bool | None


@dataclass(frozen=True)
class _Found:
    status: Any
    host_of: Ints | None
    bound: int | None


def domains(problem: Problem) -> list[Ints]:
    """Hosts every VM may stand on."""
    everywhere = np.ones(problem.hosts, bool)
    masks: dict[int, NDArray[np.bool_]] = {}
    for row in problem.rows:
        if isinstance(row, Allow):
            for v in row.vms.tolist():
                masks[v] = masks.get(v, everywhere) & row.hosts
    return [
        np.flatnonzero(masks.get(v, everywhere)) if problem.movable[v] else problem.home[v : v + 1]
        for v in range(len(problem.home))
    ]


def _blocks(problem: Problem) -> Iterable[Limit | Steps]:
    for row in problem.rows:
        if isinstance(row, Limit):
            yield row
    for tier in problem.tiers:
        for term in tier.terms:
            if isinstance(term, Steps):
                yield term
            elif isinstance(term, Soft) and isinstance(term.row, Limit):
                yield term.row


@dataclass
class Sum:
    """A linear expression under construction: constant, and variables with weights."""

    constant: int = 0
    variables: list[Any] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)

    def add(self, what: Any, weight: int) -> None:
        """Add `weight * what`; `what` is a variable, or a bool that is already known."""
        if isinstance(what, bool):
            self.constant += weight * what
        elif weight:
            self.variables.append(what)
            self.weights.append(int(weight))

    @property
    def low(self) -> int:
        """Least value if every variable is 0..1."""
        return self.constant + sum(w for w in self.weights if w < 0)

    @property
    def high(self) -> int:
        """Greatest value if every variable is 0..1."""
        return self.constant + sum(w for w in self.weights if w > 0)


class Model:
    """The problem as a CP-SAT model: one 0/1 variable per VM and host that it may stand on."""

    def __init__(self, problem: Problem, start: Ints, effort: Effort | None = None) -> None:
        from ortools.sat.python import cp_model

        self.cp, self.model, self.problem, self._effort = cp_model, cp_model.CpModel(), problem, effort or Effort()
        self.on: list[dict[int, Any]] = []
        for v, hosts in enumerate(domains(problem)):
            if len(hosts) == 1:
                self.on.append({int(hosts[0]): True})
                continue
            self.on.append({int(h): self.model.new_bool_var(f"{v}@{h}") for h in hosts})
            self.model.add_exactly_one(self.on[-1].values())
        for row in problem.rows:
            self._hold_row(row)
        self.costs = [self._tier(tier.terms) for tier in problem.tiers]
        self._hint(start)

    def _hint(self, host_of: Ints) -> None:
        self.model.clear_hints()
        for v, choices in enumerate(self.on):
            for h, var in choices.items():
                if not isinstance(var, bool):
                    self.model.add_hint(var, int(h == host_of[v]))

    def aim(self, tier: int) -> None:
        """Minimise `tier`."""
        self.model.minimize(self._expression(self.costs[tier]))

    def minimise(self, tier: int, limits: tuple[float, float], seed: int) -> _Found:
        """Solve for one tier; `limits`: seconds, and deterministic seconds."""
        self.aim(tier)
        solver = self._solver(limits, seed)
        status = solver.solve(self.model)
        known = status in (self.cp.OPTIMAL, self.cp.FEASIBLE)
        host_of = self.placed(solver) if known else None
        # Without an answer there may be a bound all the same; 0 is also said where nothing is known yet.
        bounded = known or (status == self.cp.UNKNOWN and solver.best_objective_bound > 0)
        return _Found(status, host_of, int(np.ceil(solver.best_objective_bound - 1e-6)) if bounded else None)

    def placed(self, solver: Any) -> Ints:
        """(V,) where the solver put every VM."""
        return np.array(
            [next(h for h, x in choices.items() if x is True or (x is not False and solver.value(x)))
             for choices in self.on], np.int64,
        )  # fmt: skip

    def fewer(self, moved: int, terms: tuple[Term, ...], at_most: int, limits: tuple[float, float], seed: int) -> Any:
        """Look for a placement with fewer than `moved` migrations under which `terms` cost no more than `at_most`."""
        away = Sum()
        for v, choices in enumerate(self.on):
            for h, x in choices.items():
                away.add(x, int(h != self.problem.home[v]))
        self.model.add(self._expression(away) <= moved - 1)
        self.model.add(self._expression(self._tier(terms)) <= at_most)
        self.model.clear_hints()
        return self._solver(limits, seed).solve(self.model)

    def _solver(self, limits: tuple[float, float], seed: int) -> Any:
        """Workers interleaved; the deterministic limit comes first unless the machine is slow or busy."""
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = self._effort.workers
        solver.parameters.interleave_search = self._effort.workers > 1
        solver.parameters.linearization_level = self._effort.linear
        solver.parameters.random_seed = seed
        solver.parameters.max_time_in_seconds, solver.parameters.max_deterministic_time = limits
        return solver

    def hold(self, tier: int, value: int, host_of: Ints) -> None:
        """From now on `tier` may cost no more than `value`; go on from `host_of`."""
        self.model.add(self._expression(self.costs[tier]) <= value)
        self._hint(host_of)

    def _expression(self, total: Sum) -> Any:
        return self.cp.LinearExpr.weighted_sum(total.variables, total.weights) + total.constant

    def _use(self, row: Limit | Steps) -> list[list[Sum]]:
        """[item][dimension] what a block counts, as sums over the choices."""
        items, dims = row.base.shape
        use = [[Sum(int(row.base[s, d])) for d in range(dims)] for s in range(items)]
        when = row.when if isinstance(row, Limit) else "after"
        for i, v in enumerate(row.vms.tolist()):
            home = int(self.problem.home[v])
            at_home = int(row.scope[home])
            if when == "during" and at_home >= 0:
                for d in range(dims):
                    use[at_home][d].constant += int(row.weight[i, d])
            for h, x in self.on[v].items():
                s = int(row.scope[h])
                skip = s < 0 or (when == "moved" and h == home) or (when == "during" and s == at_home)
                for d in range(0 if skip else dims):
                    use[s][d].add(x, int(row.weight[i, d]))
        return use

    def _hold_row(self, row: Row) -> None:
        match row:
            case Allow():
                return
            case Limit():
                for s, dims in enumerate(self._use(row)):
                    for d, use in enumerate(dims):
                        if use.high > row.upper[s, d]:
                            self.model.add(self._expression(use) <= int(row.upper[s, d]))
            case AtLeast() | Together() | Near():
                broken = self._broken_groups(row)
                self.model.add(self._expression(broken) <= 0)
            case _:
                assert_never(row)

    def _presence(self, vms: Ints, scope: Ints) -> dict[int, Any]:
        """Per scope item, a variable that is 1 exactly when one of `vms` stands there."""
        there: dict[int, list[Any]] = {}
        for v in vms.tolist():
            for h, x in self.on[v].items():
                there.setdefault(int(scope[h]), []).append(x)
        out: dict[int, Any] = {}
        for s, xs in there.items():
            if any(x is True for x in xs):
                out[s] = True
            else:
                out[s] = self.model.new_bool_var("")
                self.model.add_max_equality(out[s], xs)
        return out

    def _broken_groups(self, row: AtLeast | Together | Near) -> Sum:
        """A sum that is at least `broken(row)`, and equal to it when minimised."""
        total = Sum()
        match row:
            case AtLeast():
                for s, y in self._presence(row.vms, row.scope).items():
                    if s >= 0:
                        total.add(y, -1)
                total.constant += row.count
            case Together():
                weigh = row.weighed()
                for s, y in self._presence(row.vms, row.scope).items():
                    total.add(y, int(weigh[s + 1]))
                total.constant -= row.most
            case Near():
                beside = self._presence(row.b, row.scope)
                for s, y in self._presence(row.a, row.scope).items():
                    if s >= 0:
                        lonely = self.model.new_bool_var("")
                        self.model.add(lonely >= y - beside.get(s, False))
                        total.add(lonely, 1)
                total.constant -= row.missing
        return self._over(total, 0)

    def _over(self, use: Sum, knot: int, slope: int = 1) -> Sum:
        """max(0, use - knot): at least that, and equal to it when minimised; where `slope` is negative, exactly that."""
        if use.low >= knot:
            return Sum(use.constant - knot, use.variables, use.weights)
        out = Sum()
        if use.high > knot:
            excess = self.model.new_int_var(0, use.high - knot, "")
            if slope < 0:
                self.model.add_max_equality(excess, [self._expression(use) - knot, 0])
            else:
                self.model.add(excess >= self._expression(use) - knot)
            out.add(excess, 1)
        return out

    def _tier(self, terms: tuple[Term, ...]) -> Sum:
        total = Sum()
        for term in terms:
            for part, weight in self._term(term):
                total.constant += weight * part.constant
                total.variables += part.variables
                total.weights += [weight * w for w in part.weights]
        return total

    def _term(self, term: Term) -> Iterable[tuple[Sum, int]]:
        match term:
            case Steps():
                for s, dims in enumerate(self._use(term)):
                    for d, use in enumerate(dims):
                        for j in np.flatnonzero(term.slopes[:, s, d]):
                            slope = int(term.slopes[j, s, d])
                            yield self._over(use, int(term.knots[j, s, d]), slope), slope
            case Linear():
                yield self._linear(term), 1
            case Opened():
                part = Sum()
                vms = np.arange(len(self.on)) if term.vms is None else term.vms
                for s, y in self._presence(vms, term.scope).items():
                    if s >= 0:
                        part.add(y, int(term.cost[s]))
                yield part, 1
            case MostMoved():
                yield self._most_moved(term), term.cost
            case Soft(row, price, _):
                yield from ((part, price) for part in self._soft(row))
            case _:
                assert_never(term)

    def _linear(self, term: Linear) -> Sum:
        part = Sum()
        for v, choices in enumerate(self.on):
            for h, x in choices.items():
                cost = int(term.away[v]) * (h != self.problem.home[v])
                if term.table is not None and term.row_of is not None:
                    cost += int(term.table[term.row_of[v], h])
                part.add(x, int(cost))
        return part

    def _most_moved(self, term: MostMoved) -> Sum:
        most = self.model.new_int_var(0, len(self.on), "")
        for g in np.unique(term.group[term.group >= 0]):
            moved = Sum()
            for v in np.flatnonzero(term.group == g).tolist():
                for h, x in self.on[v].items():
                    moved.add(x, int(h != self.problem.home[v]))
            self.model.add(most >= self._expression(moved))
        part = Sum()
        part.add(most, 1)
        return part

    def _soft(self, row: Row) -> Iterable[Sum]:
        match row:
            case Limit():
                for s, dims in enumerate(self._use(row)):
                    for d, use in enumerate(dims):
                        yield self._over(use, int(row.upper[s, d]))
            case Allow(vms, hosts, _):
                part = Sum()
                for v in vms.tolist():
                    for h, x in self.on[v].items():
                        part.add(x, int(not hosts[h]))
                yield part
            case AtLeast() | Together() | Near():
                yield self._broken_groups(row)
            case _:
                assert_never(row)
