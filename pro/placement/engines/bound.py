"""Bounds for problems that are too large for CP-SAT as they are: the same problem with its moments put together in groups.

A cost of use is convex, so for the moments of a group
    sum over k of max(0, use_k - knot_k)  >=  max(0, sum over k of use_k - sum over k of knot_k)        (Jensen)
and summing weights, base and knots over a group gives a smaller problem that never costs more. What cannot be had there cannot
be had at all: its optimum is a lower bound, and "no placement as good with fewer migrations" carries over. A cost that is not
convex is replaced by the least it can be, host by host, whoever stands there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import Linear, Steps, Term

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.placement.problem import Problem


def coarsen(problem: Problem, groups: int, placements: tuple[Ints, ...]) -> Problem:
    """`problem` with the dimensions of every Steps put together into at most `groups`.

    Dimensions with a similar pattern of use over the scope items under `placements` share a group; those that cost
    nothing under any of them share one.
    """

    def shrink(term: Term) -> Term:
        return _shrink(term, groups, placements) if isinstance(term, Steps) and term.base.shape[1] > groups else term

    return replace(problem, tiers=tuple(replace(t, terms=tuple(shrink(x) for x in t.terms)) for t in problem.tiers))


def _floor(term: Steps) -> Steps:
    """A cost that is not convex as a constant: in every scope item and dimension its least over all sums of weights."""
    low = term.base + np.minimum(term.weight, 0).sum(axis=0)
    high = term.base + np.maximum(term.weight, 0).sum(axis=0)
    bends = np.concatenate([np.stack([low, high]), np.clip(term.knots, low, high)])
    costs = (term.slopes[None] * np.maximum(bends[:, None] - term.knots[None], 0)).sum(axis=1)
    least = costs.min(axis=0).sum(axis=1, keepdims=True)
    nobody, none = np.zeros(0, np.int64), np.zeros((1, *least.shape), np.int64)
    # A use that nobody adds to: the slope of 1 or -1 turns it into the constant.
    return Steps(
        vms=nobody, weight=nobody[:, None], scope=term.scope, base=abs(least), knots=none, slopes=np.sign(least)[None],
        label=term.label,
    )  # fmt: skip


def _shrink(term: Steps, groups: int, placements: tuple[Ints, ...]) -> Steps:
    if not term.convex:
        return _floor(term)
    if np.ptp(term.slopes, axis=2).any():
        return term  # a group's price would have to be the least of its members'
    code, count = _groups(term, groups, placements)
    member = np.zeros((term.base.shape[1], count), np.int64)
    member[np.arange(len(code)), code] = 1
    return Steps(
        vms=term.vms, weight=term.weight @ member, scope=term.scope, base=term.base @ member,
        knots=term.knots @ member, slopes=np.broadcast_to(term.slopes[:, :, :1], (*term.slopes.shape[:2], count)),
        label=term.label,
    )  # fmt: skip


def _groups(term: Steps, groups: int, placements: tuple[Ints, ...]) -> tuple[Ints, int]:
    """(D,) group of every dimension, and how many there are. Farthest-point clustering of patterns of use."""
    use = np.concatenate([_use(term, p) for p in placements]).astype(np.float64).T
    lowest = np.concatenate([term.knots.min(axis=0)] * len(placements)).astype(np.float64).T
    hot = np.flatnonzero((use > lowest).any(axis=1))
    code = np.zeros(len(use), np.int64)
    if len(hot) == 0:
        return code, 1
    points = use[hot]
    centres = [int(np.argmax(points.sum(axis=1)))]
    near = np.linalg.norm(points - points[centres[0]], axis=1)
    owner = np.zeros(len(hot), np.int64)
    while len(centres) < min(groups - 1, len(hot)) and near.max() > 0:
        far = int(np.argmax(near))
        away = np.linalg.norm(points - points[far], axis=1)
        owner[away < near] = len(centres)
        near = np.minimum(near, away)
        centres.append(far)
    code[hot] = owner + 1
    used, code = np.unique(code, return_inverse=True)
    return code.astype(np.int64), len(used)


def _use(term: Steps, host_of: Ints) -> Ints:
    use = term.base.copy()
    use.flags.writeable = True
    at = term.scope[host_of[term.vms]]
    np.add.at(use, at[at >= 0], term.weight[at >= 0])
    return use


def quality(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """`terms` without the plain price of migrations: what migrations are made for."""
    return tuple(t for t in terms if not (isinstance(t, Linear) and t.table is None))
