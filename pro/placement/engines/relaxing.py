"""The smallest set of rules to relax so that something can be had, by CP-SAT: a switch for every rule, and as few as possible on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pro.placement.engines.exact import Model, Sum
from pro.placement.language import Allow, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Ints
    from pro.placement.problem import Problem


WORK = 4.0
"""Deterministic seconds for one answer (about as many CPU seconds), so that the same question has the same answer anywhere."""
LEAST = 0.1
"""Work that every step of it gets, when that is used up."""
WALL = 10
"""So many times the work, by the clock: no more on any machine."""
HARDER = 10_000
"""What relaxing a rule that nobody can simply lift (memory) weighs against a migration, among sets of the same size."""


@dataclass(frozen=True)
class Smallest:
    """`sets` of switches (indices), all of the least size, and for each a placement that is possible then.

    `proven`: no smaller set will do. `complete`: there is no other set of that size. `possible`: False, it cannot be had even
    with every rule relaxed; None, it is not known. `work`: deterministic seconds that it took.
    """

    sets: tuple[tuple[int, ...], ...]
    placements: tuple[Ints, ...]
    proven: bool
    complete: bool
    possible: bool | None
    work: float = 0.0


def smallest(
    problem: Problem,
    rules: Sequence[Sequence[Row]],
    hard: Sequence[bool],
    most: int = 5,
    seed: int = 1,
    work: float = WORK,
    start: Ints | None = None,
) -> Smallest:
    """Which of `rules` (each so many rows) to relax so that `problem.rows` can hold. Its tiers are not looked at.

    `hard` (rules,): those that are last to be proposed among sets of the same size. At most `most` sets are looked for, in `work`
    deterministic seconds all together. `start` (V,): where the search begins; None: at home.
    """
    search = _Switches(replace(problem, tiers=()), rules, work, problem.home if start is None else start)
    cp, least = search.cp, search.count()
    status, solver = search.solve(least, seed, 0.6)
    if status == cp.INFEASIBLE:
        return Smallest((), (), proven=True, complete=True, possible=False, work=work - search.left)
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return Smallest((), (), proven=False, complete=False, possible=None, work=work - search.left)
    size, proven, complete = len(search.on_switches(solver)), status == cp.OPTIMAL, False
    search.model.add(least <= size)
    sets: list[tuple[int, ...]] = []
    placements = []
    while len(sets) < most:
        status, solver = search.solve(search.effort(hard), seed)
        if status not in (cp.OPTIMAL, cp.FEASIBLE):
            complete = proven and status == cp.INFEASIBLE
            break
        found = search.on_switches(solver)
        sets.append(found)
        placements.append(search.placed(solver))
        if not found:
            complete = True
            break
        search.model.add(sum(search.switch[i] for i in found) <= len(found) - 1)
    return Smallest(tuple(sets), tuple(placements), proven, complete, possible=True, work=work - search.left)


class _Switches(Model):
    """`Model`, and rules that a switch turns off."""

    def __init__(self, problem: Problem, rules: Sequence[Sequence[Row]], work: float, start: Ints) -> None:
        self.left = work
        self._until = WALL * max(work, WORK)
        super().__init__(problem, start)
        self.switch = [self.model.new_bool_var("") for _ in rules]
        whole = self.model
        for rows, switch in zip(rules, self.switch, strict=True):
            self.model = _Under(whole, switch)
            for row in rows:
                if isinstance(row, Allow):
                    self._allow(whole, row, switch)
                else:
                    self._hold_row(row)
        self.model = whole

    def _allow(self, model: Any, row: Allow, switch: Any) -> None:
        for v in row.vms.tolist():
            for h, x in self.on[v].items():
                if not row.hosts[h]:
                    model.add(switch == 1) if x is True else model.add_implication(x, switch)

    def count(self) -> Any:
        """How many rules are relaxed."""
        return sum(self.switch)

    def effort(self, hard: Sequence[bool]) -> Any:
        """How much is asked of people: rules that cannot simply be lifted, then migrations."""
        away = Sum()
        for v, choices in enumerate(self.on):
            for h, x in choices.items():
                away.add(x, int(h != self.problem.home[v]))
        return sum(HARDER * s for s, h in zip(self.switch, hard, strict=True) if h) + self._expression(away)

    def solve(self, objective: Any, seed: int, share: float = 1.0) -> tuple[Any, Any]:
        """The solver's status, and the solver; within a `share` of the work that is left."""
        self.model.minimize(objective)
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = seed
        solver.parameters.max_deterministic_time = max(share * self.left, LEAST)
        solver.parameters.max_time_in_seconds = self._until
        status = solver.solve(self.model)
        self.left -= solver.response_proto.deterministic_time
        return status, solver

    def on_switches(self, solver: Any) -> tuple[int, ...]:
        """Rules that are relaxed."""
        return tuple(i for i, s in enumerate(self.switch) if solver.value(s))


class _Under:
    """A model whose linear constraints hold only while a switch is off."""

    def __init__(self, model: Any, switch: Any) -> None:
        self._model, self._off = model, ~switch

    def add(self, constraint: Any) -> Any:
        """Add it under the switch."""
        return self._model.add(constraint).only_enforce_if(self._off)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
