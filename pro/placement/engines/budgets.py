"""How parts of a problem share a budget of migrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.language import Limit, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.engines.split import Part, Split
    from pro.placement.problem import Problem


UNSEEN = np.iinfo(np.int64).max
ROOM = 8
"""A part may take at most so many times its share of the budget by VMs, and `LEAST` on top."""
LEAST = 40


@dataclass(frozen=True)
class Budget:
    """`count`: so many migrations in all, where that is the one thing shared; else None, and each part has an allotment.

    `rows`: what is shared; `uppers[p][i]`: upper of row i for part p, in migrations counted from none.
    """

    count: int | None
    rows: tuple[Limit, ...]
    uppers: tuple[tuple[Ints, ...], ...]

    def of(self, part: int) -> list[tuple[Limit, Ints]]:
        """The shared rows and how much of each this part may use at most."""
        return list(zip(self.rows, self.uppers[part], strict=True))

    def front(self, part: int) -> int:
        """How many numbers of migrations, from 0 on, the part looks at; 1: only the best."""
        return 1 if self.count is None or len(self.uppers) < 2 else int(self.uppers[part][0].max()) + 1


def budget_of(problem: Problem, cut: Split, start: Ints) -> Budget:
    """The budget of `problem` over the parts of `cut`."""
    count = plain_count(problem, cut.shared)
    if len(cut.parts) == 1:
        return Budget(count, cut.shared, (tuple(row.upper - row.base for row in cut.shared),))
    vms = np.array([len(p.vms) for p in cut.parts])
    if count is not None:
        moved = [int((start[p.vms] != problem.home[p.vms]).sum()) for p in cut.parts]
        most = [
            min(count, LEAST + m + ROOM * count * n // max(int(vms.sum()), 1))
            for n, m in zip(vms.tolist(), moved, strict=True)
        ]
        return Budget(count, cut.shared, tuple((np.full_like(cut.shared[0].upper, m),) for m in most))
    weight = _weights(cut.parts)
    uppers = []
    for part, share in zip(cut.parts, weight, strict=True):
        uppers.append(tuple(_allotment(row, part, problem, start, share) for row in cut.shared))
    return Budget(None, cut.shared, tuple(uppers))


def plain_count(problem: Problem, shared: Sequence[Limit]) -> int | None:
    """How many migrations are allowed, if that is all that is shared."""
    if len(shared) != 1:
        return None
    row = shared[0]
    every = len(row.vms) == len(np.unique(row.vms)) and np.isin(np.flatnonzero(problem.movable), row.vms).all()
    one = row.weight.shape[1] == 1 and (row.weight == 1).all() and (row.scope == 0).all() and row.upper.shape == (1, 1)
    return int((row.upper - row.base)[0, 0]) if every and one else None


def _weights(parts: Sequence[Part]) -> list[float]:
    """What share of a budget each part gets, where shares are not searched for: by its costs, and by its VMs."""
    costs = np.array([p.problem.costs(p.problem.home)[:2] for p in parts], np.float64)
    share = costs / np.maximum(costs.sum(axis=0), 1)
    vms = np.array([len(p.vms) for p in parts], np.float64)
    weight = share.sum(axis=1) + 0.1 * vms / max(vms.sum(), 1)
    shares: list[float] = (weight / weight.sum()).tolist()
    return shares


def _allotment(row: Limit, part: Part, problem: Problem, start: Ints, share: float) -> Ints:
    """What the part uses at the start and its share of what is left; all parts together never pass the row."""
    left = np.maximum(row.upper - counted(row, problem.home, start), 0)
    inside = np.isin(row.vms, part.vms)
    moved = start[row.vms] != problem.home[row.vms]
    used = np.zeros_like(row.upper)
    here = inside & moved & (row.scope[start[row.vms]] >= 0)
    np.add.at(used, row.scope[start[row.vms[here]]], row.weight[here])
    allotment: Ints = used + np.floor(left * share).astype(np.int64)
    return allotment


def deal(fronts: Sequence[Ints], count: int, tier: int) -> tuple[list[int], int]:
    """How many migrations each part gets of `count`, so that costs are least, and what the last few are worth each.

    `fronts`: (M, T) costs of a part for each number of migrations, `UNSEEN` where nobody looked. Tiers up to `tier` decide.
    """
    radix = _radix(fronts, tier)
    values = _scalars(fronts, tier, radix)
    best = np.zeros(count + 1, values[0].dtype)
    taken = []
    for value in values:
        seen = np.flatnonzero(value >= 0)
        table = np.full(count + 1, -1, best.dtype)
        choice = np.zeros(count + 1, np.int64)
        for m in seen.tolist():
            if m > count:
                break
            with_m = np.where(best[: count + 1 - m] < 0, -1, best[: count + 1 - m] + value[m])
            better = (with_m >= 0) & ((table[m:] < 0) | (with_m < table[m:]))
            table[m:][better], choice[m:][better] = with_m[better], m
        taken.append(choice)
        best = table
    left = int(np.flatnonzero(best >= 0)[np.argmin(best[best >= 0])]) if (best >= 0).any() else -1
    if left < 0:
        raise RuntimeError("no share of the budget fits all parts")
    step = max(count // 50, 1)
    price = 0
    spent = left - step >= 0 and left >= count - step and best[left - step] >= 0
    if spent and best[left - step] // radix == best[left] // radix:
        price = int(best[left - step] - best[left]) // step
    chosen = []
    for choice in reversed(taken):
        chosen.append(int(choice[left]))
        left -= chosen[-1]
    return chosen[::-1], max(price, 0)


def _radix(fronts: Sequence[Ints], tier: int) -> int:
    """Greater than any sum of costs in `tier`."""
    return 1 + sum(int(front[front[:, tier] < UNSEEN, tier].max(initial=0)) for front in fronts)


def _scalars(fronts: Sequence[Ints], tier: int, radix: int) -> list[NDArray[Any]]:
    """(M,) of each front: costs up to `tier` as one number each, so that sums compare like tuples; -1 where nobody looked."""
    seen = [front[:, tier] < UNSEEN for front in fronts]
    before = [np.where(s, front[:, :tier].sum(axis=1), 0) for s, front in zip(seen, fronts, strict=True)]
    small = (sum(int(b.max(initial=0)) for b in before) + 1) * radix < 1 << 62
    kind = np.int64 if small else object
    values: list[NDArray[Any]] = []
    for s, b, front in zip(seen, before, fronts, strict=True):
        value = b.astype(kind) * radix + np.where(s, front[:, tier], 0).astype(kind)
        value[~s] = -1
        values.append(value)
    return values
