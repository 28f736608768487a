"""A Problem as the wide search reads it: costs of use of hosts made dense, all else as one flat array (see flat.py).

A *segment* is a stretch of columns of (V, D) weights and (H, D) use that share one convex cost per host: for heat, all moments
of a resource. How full a host's fullest moment is, and how much a VM asks in its greatest, says without a look at the moments
that nothing is priced: so a cool host costs next to nothing to try.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.flat import T, classes, flatten
from pro.placement.language import Allow, Limit, Steps, Term, Together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.problem import Problem


NEVER = 1 << 60
MOST = 1 << 30
MOST_SEGMENTS = 64
MOST_TOGETHER = 16
"""Larger groups that must stand together are not tried as a whole."""


@dataclass(frozen=True)
class Form:
    """`flat`: rows and terms that are not dense. (V, D) `weight`, (H, D) `base`; `segments` (n, 4): first column, end, tier,
    knots; `knots` and `slopes` (n, H, J), ascending. `reach_from` (classes + 1,), `reach`: hosts that each class of VMs may
    stand on. `group_of` (V,): a hard row of the flat form that holds the VM together with others, -1: none."""

    flat: Ints
    weight: NDArray[np.int32]
    base: NDArray[np.int32]
    segments: Ints
    knots: Ints
    slopes: Ints
    reach_from: Ints
    reach: Ints
    group_of: Ints


def form(problem: Problem) -> Form:
    """Cost: linear in the size of rows and terms."""
    pieces: list[_Piece] = []
    tiers = []
    for t, tier in enumerate(problem.tiers):
        rest: list[Term] = []
        for term in tier.terms:
            found = _dense(term, t, problem) if isinstance(term, Steps) else None
            if found is None or len(pieces) + len(found) > MOST_SEGMENTS:
                rest.append(term)
            else:
                pieces += found
        tiers.append(replace(tier, terms=tuple(rest)))
    flat = flatten(replace(problem, tiers=tuple(tiers)))
    _, allowed = classes([r for r in problem.rows if isinstance(r, Allow)], len(problem.home), problem.hosts)
    columns = sum(p.weight.shape[1] for p in pieces)
    knots = max((p.knots.shape[1] for p in pieces), default=0)
    out = Form(
        flat=flat,
        weight=np.zeros((len(problem.home), columns), np.int32),
        base=np.zeros((problem.hosts, columns), np.int32),
        segments=np.zeros((len(pieces), 4), np.int64),
        knots=np.full((len(pieces), problem.hosts, knots), NEVER, np.int64),
        slopes=np.zeros((len(pieces), problem.hosts, knots), np.int64),
        reach_from=np.concatenate([[0], np.cumsum(allowed.sum(axis=1))]).astype(np.int64),
        reach=np.nonzero(allowed)[1].astype(np.int64),
        group_of=_groups(problem),
    )
    at = 0
    for i, p in enumerate(pieces):
        end = at + p.weight.shape[1]
        out.weight[:, at:end], out.base[:, at:end] = p.weight, p.base
        out.segments[i] = at, end, p.tier, p.knots.shape[1]
        out.knots[i, :, : p.knots.shape[1]], out.slopes[i, :, : p.knots.shape[1]] = p.knots, p.slopes
        at = end
    return out


def stand(form: Form, host_of: Ints) -> tuple[Any, ...]:
    """What the kernels work on, at `host_of` (V,): (flat, state, dense), see wide_kernels.py. SETTLE is yet to be done."""
    from pro.placement.engines.kernels import new_state

    use, n = form.base.copy(), len(form.segments)
    tops = np.zeros((len(form.weight), n), np.int64)
    for i, (first, end, *_) in enumerate(form.segments.tolist()):
        tops[:, i] = form.weight[:, first:end].max(axis=1, initial=0)
    dense = (use, form.weight, form.knots, form.slopes, np.zeros((len(use), n), np.int64), tops, form.segments,
             form.reach_from, form.reach, form.group_of,
             np.zeros((4, form.flat[T]), np.int64), np.zeros(MOST_TOGETHER, np.int64))  # fmt: skip
    return form.flat, new_state(form.flat, host_of), dense


@dataclass(frozen=True)
class _Piece:
    """A segment: (V, d) weights, (H, d) base, and per host (H, J) knots and slopes that hold for all its columns."""

    tier: int
    weight: Ints
    base: Ints
    knots: Ints
    slopes: Ints


def _dense(term: Steps, tier: int, problem: Problem) -> list[_Piece] | None:
    """`term` in segments; None where it cannot be: a scope item of several hosts, negative weights, numbers too large."""
    inside = term.scope >= 0
    one_each = len(np.unique(term.scope[inside])) == int(inside.sum())
    most = term.base.max(initial=0) + term.weight.sum(axis=0).max(initial=0) if term.weight.size else 0
    if not one_each or term.weight.min(initial=0) < 0 or most > MOST or term.base.min(initial=0) < -MOST:
        return None
    weight = np.zeros((len(problem.home), term.weight.shape[1]), np.int64)
    np.add.at(weight, term.vms, term.weight)
    if not term.knots.size:
        return []
    shape = np.concatenate([term.knots, term.slopes]).reshape(2 * len(term.knots) * term.knots.shape[1], -1)
    alike, member = shape[:, :1], np.zeros(shape.shape[1], np.int64)
    if np.ptp(shape, axis=1).any():
        alike, member = np.unique(shape, axis=1, return_inverse=True)
    if alike.shape[1] > MOST_SEGMENTS // 2:
        return None
    item = np.maximum(term.scope, 0)
    pieces = []
    for k in range(alike.shape[1]):
        columns = np.flatnonzero(member == k)
        if not len(columns):
            continue
        knots, slopes = term.knots[:, item, columns[0]].T.copy(), term.slopes[:, item, columns[0]].T.copy()
        knots[~inside], slopes[~inside] = NEVER, 0
        order = np.argsort(knots, axis=1, kind="stable")
        base = np.where(inside[:, None], term.base[item][:, columns], 0)
        pieces.append(_Piece(tier, weight[:, columns], base, np.take_along_axis(knots, order, 1),
                             np.take_along_axis(slopes, order, 1)))  # fmt: skip
    return pieces


def _groups(problem: Problem) -> Ints:
    """(V,) number, among the flat form's hard group rows, of a Together that holds the VM to one or two hosts with others."""
    group = np.full(len(problem.home), -1, np.int64)
    number = 0
    for row in problem.rows:
        if isinstance(row, Together) and row.weight is None and 1 < len(row.vms) <= MOST_TOGETHER:
            group[row.vms] = number
        # Hard rows come first in the flat form, in this order.
        number += not isinstance(row, Allow | Limit)
    return group
