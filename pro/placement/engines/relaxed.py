"""A CP-SAT model as rows of a mixed-integer program: what HiGHS can be asked.

One model of the language is enough: `exact.Model` says it once, for both solvers. A constraint that has no linear form is left
out or said more weakly, so the least cost here is never above that of the model.
"""

from __future__ import annotations

import ctypes
import math
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pro.core.arrays import Floats


_ENDLESS = 2**62


@dataclass
class Rows:
    """Minimise `cost @ z + constant` with `low <= z <= high` and every row `least <= sum of entries <= most`.

    `cost`, `low`, `high` (n,), the first `whole` variables integer. Rows are kept as triples, and may be added to.
    """

    cost: Floats
    constant: float
    low: Floats
    high: Floats
    whole: int
    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    row: list[Any] = field(default_factory=list)
    column: list[Any] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)

    def add(self, columns: Any, values: Any, least: float, most: float) -> None:
        """One more row."""
        self.row.append(np.full(len(columns), len(self.least)))
        self.column.append(np.asarray(columns, np.int64))
        self.value.append(np.asarray(values, np.float64))
        self.least.append(least)
        self.most.append(most)

    def grow(self, count: int) -> int:
        """`count` more variables, continuous, not negative and of cost 1; the index of the first."""
        first = len(self.cost)
        self.cost = np.concatenate([self.cost, np.ones(count)])
        self.low = np.concatenate([self.low, np.zeros(count)])
        self.high = np.concatenate([self.high, np.full(count, np.inf)])
        return first

    def solve(self, *, whole: bool, seconds: float, gap: float, nodes: int) -> Any:
        """What `scipy.optimize.milp` (HiGHS) finds; without `whole`, of the linear relaxation."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        integer = np.zeros(len(self.cost))
        integer[: self.whole if whole else 0] = 1
        rows = ()
        if self.least:
            entries = (np.concatenate(self.value), (np.concatenate(self.row), np.concatenate(self.column)))
            matrix = csr_array(entries, shape=(len(self.least), len(self.cost)))
            rows = LinearConstraint(matrix, np.array(self.least), np.array(self.most))
        options = {"time_limit": max(seconds, 0.01), "mip_rel_gap": gap, "node_limit": nodes}
        bounds = Bounds(self.low, self.high)
        with quiet():
            return milp(self.cost, constraints=rows, bounds=bounds, integrality=integer, options=options)

    def complete(self, z: Floats, fixed: Any) -> Floats:
        """`z` (n,) with the integer variables that are not `fixed` as cheap as they can be beside those that are."""
        free = np.ones(self.whole, np.bool_)
        free[fixed] = False
        if not free.any():
            return z
        bounds = self.low.copy(), self.high.copy()
        held = np.concatenate([np.array(fixed, np.int64), np.arange(self.whole, len(z))])
        self.low[held] = self.high[held] = z[held]
        try:
            found = self.solve(whole=True, seconds=1.0, gap=0.0, nodes=1_000).x
        finally:
            self.low, self.high = bounds
        return z if found is None else np.asarray(found, np.float64)


@contextmanager
def quiet() -> Iterator[None]:
    """Solvers sometimes print a line of their own, HiGHS where documents are written, SCIP where people's text goes: it goes
    nowhere."""
    library: Any = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    kept = {}
    for number in (1, 2):
        with suppress(OSError):  # a service without standard output
            kept[number] = os.dup(number)
    library.fflush(None)
    try:
        with open(os.devnull, "wb") as nowhere:
            for number in kept:
                os.dup2(nowhere.fileno(), number)
        yield
    finally:
        library.fflush(None)
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def rows_of(proto: Any) -> Rows:
    """The model `proto` (CpModelProto), which has an objective, as rows."""
    domains = [list(v.domain) for v in proto.variables]
    low, high = (np.array([d[end] for d in domains], np.float64) for end in (0, -1))
    cost = np.zeros(len(low))
    np.add.at(cost, np.array(proto.objective.vars, np.int64), np.array(proto.objective.coeffs, np.float64))
    rows = Rows(cost, float(proto.objective.offset), low, high, len(low))
    for constraint in proto.constraints:
        if len(constraint.enforcement_literal):
            continue
        if constraint.has_linear():
            domain = list(constraint.linear.domain)
            rows.add(list(constraint.linear.vars), list(constraint.linear.coeffs), _end(domain[0]), _end(domain[-1]))
        elif constraint.has_exactly_one():
            _literals(rows, constraint.exactly_one.literals, 1, 1)
        elif constraint.has_lin_max():
            _greatest(rows, constraint.lin_max)
    return rows


def _end(value: int) -> float:
    return float(value) if abs(value) < _ENDLESS else float(math.copysign(math.inf, value))


def _literals(rows: Rows, literals: Iterable[int], least: float, most: float) -> None:
    """A number of literals that hold; a negative literal is a variable's contrary."""
    found = list(literals)
    contrary = sum(literal < 0 for literal in found)
    rows.add(
        [literal if literal >= 0 else -literal - 1 for literal in found],
        [1 if literal >= 0 else -1 for literal in found],
        least - contrary,
        most - contrary,
    )


def _greatest(rows: Rows, greatest: Any) -> None:
    """A variable that is the greatest of expressions: at least each and, where none is negative, at most their sum."""
    target = _expression(greatest.target)
    parts = [_expression(e) for e in greatest.exprs]
    for part in parts:
        _difference(rows, target, [part], least=0, most=np.inf)
    if all(_least(rows, part) >= 0 for part in parts):
        _difference(rows, target, parts, least=-np.inf, most=0)


def _expression(e: Any) -> tuple[list[int], list[int], int]:
    return list(e.vars), list(e.coeffs), int(e.offset)


def _least(rows: Rows, part: tuple[list[int], list[int], int]) -> float:
    at, by, offset = part
    return float(offset + sum(b * (rows.low[a] if b > 0 else rows.high[a]) for a, b in zip(at, by, strict=True)))


def _difference(rows: Rows, target: Any, parts: list[Any], least: float, most: float) -> None:
    """`least <= target - sum of parts <= most`."""
    columns, values = list(target[0]), list(target[1])
    offset = target[2]
    for at, by, constant in parts:
        columns += at
        values += [-b for b in by]
        offset -= constant
    rows.add(columns, values, least - offset, most - offset)
