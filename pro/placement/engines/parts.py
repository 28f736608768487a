"""Parts of a problem that have nothing to do with each other but a budget: clusters, mostly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.placement.engines.exact import domains
from pro.placement.language import Allow, Limit, Linear, Near, Opened, Row, Soft, Steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pro.core.arrays import Bools, Ints
    from pro.placement.problem import Problem


def parts_of(problem: Problem, tiers: int) -> list[Bools]:
    """(V,) masks of movable VMs that share no host, no rule and no cost of the first `tiers` with those of another part.

    Limits on what moves (budgets) do not count as shared. Everything else that spans parts makes one of them.
    """
    leader = list(range(problem.hosts))

    def find(h: int) -> int:
        while leader[h] != h:
            leader[h] = leader[leader[h]]
            h = leader[h]
        return h

    choices = domains(problem)
    for hosts in _groups(problem, tiers, choices):
        first = find(int(hosts[0])) if len(hosts) else 0
        for h in hosts[1:].tolist():
            leader[find(h)] = first
    free = np.array([len(c) > 1 for c in choices], np.bool_)
    of = np.array([find(int(h)) for h in problem.home], np.int64)
    return [free & (of == p) for p in np.unique(of[free])]


def _groups(problem: Problem, tiers: int, choices: list[Ints]) -> Iterator[Ints]:
    """Hosts that belong to one part."""
    yield from (c for c in choices if len(c) > 1)
    terms = [t for tier in problem.tiers[:tiers] for t in tier.terms]
    rows: Iterable[Row] = [*problem.rows, *(t.row for t in terms if isinstance(t, Soft))]
    everywhere = np.arange(problem.hosts)
    for row in rows:
        if isinstance(row, Allow):
            continue
        if isinstance(row, Limit):
            if row.when != "moved":
                yield from _items(row.scope)
        else:
            vms = np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms
            yield np.unique(np.concatenate([np.zeros(0, np.int64), *(choices[v] for v in vms.tolist())]))
    for term in terms:
        if isinstance(term, Steps | Opened):
            yield from _items(term.scope)
        elif not isinstance(term, Linear | Soft) or (isinstance(term, Soft) and _budget(term.row)):
            yield everywhere


def _budget(row: Row) -> bool:
    return isinstance(row, Limit) and row.when == "moved"


def _items(scope: Ints) -> Iterator[Ints]:
    """Hosts of each scope item that holds several."""
    for s in np.unique(scope[scope >= 0]):
        hosts = np.flatnonzero(scope == s)
        if len(hosts) > 1:
            yield hosts
