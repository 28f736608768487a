"""Problems in which much holds just so: every row and term of the language, on a few VMs that are mostly away from home."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import (
    AtLeast,
    Limit,
    Linear,
    MostMoved,
    Near,
    Opened,
    Row,
    Soft,
    Steps,
    Together,
    broken,
    counted,
)
from pro.placement.problem import Problem, Tier

if TYPE_CHECKING:
    from pro.core.arrays import Ints


def keeps(problem: Problem, host_of: Ints) -> bool:
    """Whether every row holds; `Problem.feasible` need not look at those that hold at home, but the home of a cut may break some."""
    return all(broken(row, problem.home, host_of) == 0 for row in problem.rows)


def harder(row: Row) -> Row:
    """`row` with a bound that is broken where this one just holds."""
    match row:
        case Limit():
            return replace(row, upper=row.upper - 3)
        case AtLeast():
            return replace(row, count=row.count + 1)
        case Together():
            return replace(row, most=row.most - 1)
        case Near():
            return replace(row, missing=row.missing - 1)
        case _:
            return row


def tight(rng: np.random.Generator) -> tuple[Problem, Ints]:
    """Eight VMs on five hosts, some rows that hold just so where they stand, which is home for few of them, and some terms."""
    v, h = 8, 5
    home, now, racks = rng.integers(0, h, v), rng.integers(0, h, v), rng.integers(-1, 3, h)
    movable = rng.random(v) < 0.9
    home = np.where(movable, home, now)

    def some() -> Ints:
        return rng.permutation(v)[: rng.integers(1, v + 1)]

    def scope() -> Ints:
        return np.arange(h) if rng.random() < 0.4 else racks

    def limit() -> Limit:
        vms, items = some(), scope()
        when = ("after", "during", "moved")[rng.integers(3)]
        zero = np.zeros((max(items.max(initial=0), 0) + 1, 2), np.int64)
        row = Limit(vms, rng.integers(0, 7, (len(vms), 2)), items, zero, zero, when, "limit")
        return replace(row, upper=counted(row, home, now) + rng.integers(0, 5, zero.shape))

    def together() -> Together:
        items = scope()
        weight = rng.integers(0, 4, max(items.max(initial=0), 0) + 1) if rng.random() < 0.5 else None
        row = Together(some(), items, "together", 0, weight)
        return replace(row, most=broken(row, home, now))

    def at_least() -> AtLeast:
        row = AtLeast(some(), scope(), v, "at least")
        return replace(row, count=v - broken(row, home, now))

    def near() -> Near:
        row = Near(some(), some()[:2], scope(), "near")
        return replace(row, missing=broken(row, home, now))

    def steps() -> Steps:
        vms, items = some(), scope()
        shape = (int(rng.integers(1, 3)), max(items.max(initial=0), 0) + 1, 2)
        return Steps(vms, rng.integers(-2, 7, (len(vms), 2)), items, rng.integers(0, 4, shape[1:]), rng.integers(0, 15, shape),
                     rng.integers(-2, 5, shape), "steps")  # fmt: skip

    def opened() -> Opened:
        return Opened(racks, rng.integers(0, 5, 3), "opened", some() if rng.random() < 0.5 else None)

    make = (limit, limit, together, at_least, near)
    rows = [make[k]() for k in rng.integers(0, len(make), rng.integers(1, 4))]
    where = Linear(rng.integers(0, 4, v), rng.integers(0, 4, (3, h)), rng.integers(0, 3, v), "where")
    soft = [
        Soft(harder(make[k]()), int(rng.integers(1, 4)), "soft") for k in rng.integers(0, len(make), rng.integers(0, 3))
    ]
    terms = [steps(), opened(), where, MostMoved(rng.integers(-1, 3, v), 3, "most")]
    chosen = [term for term, odds in zip(terms, (0.5, 0.5, 0.5, 0.2), strict=True) if rng.random() < odds]
    tiers = (Tier("soft", tuple(soft)), Tier("goal", tuple(chosen)))
    return Problem(home, h, movable, tuple(rows), tiers), now
