"""A Problem as independent parts: hosts between which no VM may move, and which no row or term looks at together.

Clusters are such parts: live migration stays inside them. What they share is the budget of migrations, which is kept apart
here for whoever puts the parts together again. A row that would tie two parts and can be held by each on its own (an AtLeast
over racks that are nobody else's) is held at what each part gives to it at the start; every other tie makes them one part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from pro.placement.engines.flat import classes
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
)
from pro.placement.problem import Problem, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Bools, Ints


@dataclass(frozen=True)
class Part:
    """`hosts` (h,) and `vms` (v,) of the whole problem, ascending, and what they are to do, numbered from 0."""

    hosts: Ints
    vms: Ints
    problem: Problem


@dataclass(frozen=True)
class Split:
    """`parts`, and the Limits on what moves that they share: in no part's rows."""

    parts: tuple[Part, ...]
    shared: tuple[Limit, ...]


def split(problem: Problem, start: Ints) -> Split:
    """Parts of `problem`; `start` (V,) keeps every row. Costs of the parts add up to the whole's, but for a constant."""
    cls, allowed = classes([r for r in problem.rows if isinstance(r, Allow)], len(problem.home), problem.hosts)
    label = _linked(problem, cls, allowed)
    _, number = np.unique(label, return_inverse=True)
    cut = _Cut(problem, start, number.astype(np.int64))
    rows: list[list[Row]] = [[] for _ in range(cut.count)]
    shared = []
    for row in problem.rows:
        if isinstance(row, Limit) and row.when == "moved" and _ties(row, problem, number):
            shared.append(row)
            continue
        for p, piece in cut.row(row):
            rows[p].append(piece)
    tiers: list[list[list[Term]]] = [[[] for _ in problem.tiers] for _ in range(cut.count)]
    for t, tier in enumerate(problem.tiers):
        for term in tier.terms:
            for p, part in cut.term(term):
                tiers[p][t].append(part)
    parts = [
        Part(cut.hosts[p], cut.vms[p], Problem(
            cut.local_host[problem.home[cut.vms[p]]], len(cut.hosts[p]), problem.movable[cut.vms[p]], tuple(rows[p]),
            tuple(Tier(tier.name, tuple(terms)) for tier, terms in zip(problem.tiers, tiers[p], strict=True)),
        ))
        for p in range(cut.count)
    ]  # fmt: skip
    return Split(tuple(parts), tuple(shared))


def share(row: Limit, part: Part, upper: Ints) -> Limit:
    """`row`, one that all parts share, for `part` alone: with nothing in it but its VMs, and `upper` (S, D) for them."""
    inside = np.isin(row.vms, part.vms)
    return replace(row, vms=np.searchsorted(part.vms, row.vms[inside]), weight=row.weight[inside],
                   scope=row.scope[part.hosts], base=np.zeros_like(row.base), upper=upper)  # fmt: skip


# -- which hosts belong together ----------------------------------------------------------------------------------


def _linked(problem: Problem, cls: Ints, allowed: Bools) -> Ints:
    """(H,) a label for every host; equal for hosts of one part."""
    label = np.arange(problem.hosts)
    used = np.unique(cls[problem.movable])
    for c in used.tolist():
        _join(label, np.flatnonzero(allowed[c]))
    while True:
        before = label.copy()
        for row in problem.rows:
            # A budget of migrations is shared, not a tie.
            if not (isinstance(row, Limit) and row.when == "moved") and _ties(row, problem, label):
                _join(label, problem.home[_members(row)])
        for tier in problem.tiers:
            for term in tier.terms:
                _tie_term(term, problem, label)
        if np.array_equal(before, label):
            return label


def _join(label: Ints, hosts: Ints) -> None:
    found = label[hosts]
    if len(found) and (found != found[0]).any():
        label[np.isin(label, found)] = found[0]


def _tie_term(term: Term, problem: Problem, label: Ints) -> None:
    match term:
        case Linear():
            return
        case Soft(row, _, _):
            if not isinstance(row, Allow) and _ties(row, problem, label, soft=True):
                _join(label, problem.home[_members(row)])
        case Steps():
            if _mixed(term.scope, term.vms, problem, label):
                _join(label, problem.home[term.vms])
        case Opened():
            vms = np.arange(len(problem.home)) if term.vms is None else term.vms
            if _mixed(term.scope, vms, problem, label):
                _join(label, problem.home[vms])
        case MostMoved(group, _, _):
            _join(label, problem.home[problem.movable & (group >= 0)])
        case _:
            assert_never(term)


def _members(row: Row) -> Ints:
    members: Ints = np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms
    return members


def _mixed(scope: Ints, vms: Ints, problem: Problem, label: Ints, none: int = -1) -> bool:
    """Whether VMs of several parts count in one scope item. `none`: what scope item is none."""
    found = label[problem.home[vms]]
    if not len(found) or (found == found[0]).all():
        return False
    parts = np.unique(found)
    here = np.isin(label, parts) & (scope != none)
    pairs = np.unique(np.stack([scope[here], label[here]]), axis=1)
    return len(np.unique(pairs[0])) < int(pairs.shape[1])


def _ties(row: Row, problem: Problem, label: Ints, *, soft: bool = False) -> bool:
    """Whether `row` makes parts depend on each other in a way that neither can hold alone."""
    match row:
        case Allow():
            return False
        case Limit():
            return _mixed(row.scope, row.vms, problem, label)
        case AtLeast() | Together() | Near():
            members = _members(row)
            found = label[problem.home[members]]
            if not len(found) or (found == found[0]).all():
                return False
            parts = np.unique(found)
            if _constant(row.scope, parts, label):
                return False
            none = -1 if isinstance(row, AtLeast) or (isinstance(row, Together) and row.weight is not None) else -2
            return soft or isinstance(row, Near) or _mixed(row.scope, members, problem, label, none)
        case _:
            assert_never(row)


def _constant(scope: Ints, parts: Ints, label: Ints) -> bool:
    """Whether no migration changes anything: every part lies within one scope item."""
    return all(np.ptp(scope[label == p]) == 0 for p in parts)


# -- cutting ------------------------------------------------------------------------------------------------------


class _Cut:
    """Cuts rows and terms at the borders of parts; `number` (H,) part of every host."""

    def __init__(self, problem: Problem, start: Ints, number: Ints) -> None:
        self.problem, self.start, self.number = problem, start, number
        self.count = int(number.max(initial=-1)) + 1
        self.part_of = number[problem.home]
        self.hosts = [np.flatnonzero(number == p) for p in range(self.count)]
        self.vms = [np.flatnonzero(self.part_of == p) for p in range(self.count)]
        self.local_host, self.local_vm = np.zeros(len(number), np.int64), np.zeros(len(problem.home), np.int64)
        for hosts, vms in zip(self.hosts, self.vms, strict=True):
            self.local_host[hosts], self.local_vm[vms] = np.arange(len(hosts)), np.arange(len(vms))

    def _pieces(self, vms: Ints) -> Iterator[tuple[int, Ints, Ints]]:
        """Part, which of `vms` are in it, and their numbers there."""
        if not len(vms):
            return
        owner = self.part_of[vms]
        if (owner == owner[0]).all():
            yield int(owner[0]), np.arange(len(vms)), self.local_vm[vms]
            return
        order = np.argsort(owner, kind="stable")
        parts, first = np.unique(owner[order], return_index=True)
        for p, which in zip(parts.tolist(), np.split(order, first[1:]), strict=True):
            yield p, which, self.local_vm[vms[which]]

    def _items(self, scope: Ints, p: int) -> tuple[Ints, Ints]:
        """Scope items that part p has hosts in, and the scope of its hosts in terms of these."""
        there = scope[self.hosts[p]]
        items = there[there >= 0]
        if (items[1:] <= items[:-1]).any():
            items = np.unique(items)
        return items, np.where(there >= 0, np.searchsorted(items, there), -1)

    def row(self, row: Row) -> Iterator[tuple[int, Row]]:
        """What is left of `row` in each part that it concerns."""
        if isinstance(row, Near):
            if len(row.a) == 0:
                return
            p = int(self.part_of[row.a[0]])
            if (self.part_of[_members(row)] == p).all():
                yield (
                    p,
                    replace(row, a=self.local_vm[row.a], b=self.local_vm[row.b], scope=self._items(row.scope, p)[1]),
                )
            return
        pieces = list(self._pieces(row.vms))
        for p, which, vms in pieces:
            match row:
                case Allow():
                    yield p, replace(row, vms=vms, hosts=row.hosts[self.hosts[p]])
                case Limit():
                    items, scope = self._items(row.scope, p)
                    yield p, replace(row, vms=vms, weight=row.weight[which], scope=scope, base=row.base[items],
                                     upper=row.upper[items])  # fmt: skip
                case AtLeast(_, scope, count, _):
                    stands = scope[self.start[row.vms[which]]]
                    own = count if len(pieces) == 1 else len(set(stands.tolist()) - {-1})
                    yield p, replace(row, vms=vms, scope=self._items(scope, p)[1], count=own)
                case Together(_, scope, _, most, weight):
                    items, own_scope = self._items(scope, p)
                    stands = np.unique(scope[self.start[row.vms[which]]])
                    own = most if len(pieces) == 1 else int(row.weighed()[stands + 1].sum())
                    yield (
                        p,
                        replace(
                            row, vms=vms, scope=own_scope, most=own, weight=None if weight is None else weight[items]
                        ),
                    )
                case _:
                    assert_never(row)

    def term(self, term: Term) -> Iterator[tuple[int, Term]]:
        """What is left of `term` in each part that it concerns."""
        match term:
            case Steps():
                for p, which, vms in self._pieces(term.vms):
                    items, scope = self._items(term.scope, p)
                    yield p, replace(term, vms=vms, weight=term.weight[which], scope=scope, base=term.base[items],
                                     knots=term.knots[:, items], slopes=term.slopes[:, items])  # fmt: skip
            case Linear(away, table, row_of, _):
                for p in range(self.count):
                    part_of = None if row_of is None else row_of[self.vms[p]]
                    yield p, replace(term, away=away[self.vms[p]], row_of=part_of,
                                     table=None if table is None else table[:, self.hosts[p]])  # fmt: skip
            case Opened(scope, cost, _, some):
                pieces = self._pieces(np.arange(len(self.local_vm)) if some is None else some)
                for p, _which, vms in pieces:
                    items, own = self._items(scope, p)
                    yield p, replace(term, scope=own, cost=cost[items], vms=None if some is None else vms)
            case MostMoved(group, _, _):
                for p in range(self.count):
                    if (group[self.vms[p]] >= 0).any():
                        yield p, replace(term, group=group[self.vms[p]])
            case Soft(row, _, _):
                # Where a soft row about items lies in several parts, it is one that no migration changes.
                whole = isinstance(row, Allow | Limit) or len(np.unique(self.part_of[_members(row)])) < 2
                for p, piece in self.row(row) if whole else ():
                    yield p, replace(term, row=piece)
            case _:
                assert_never(term)
