"""Why a VM finds no place after a failure, asked of the rows one host at a time. Slow and plain: only failures are explained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.failover.report import Refusal, Stranded
from pro.placement.language import AtLeast, Limit, Near, Together, broken, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.engines.restart import Restarts


ALLOWED = -1
"""Stands for the amount by which an Allow refuses: no room would help."""


def _up(row: Any, stands: Ints) -> Any:
    """`row` about the VMs that stand somewhere; the others (-1) are as if they were not in the fleet."""
    match row:
        case Limit():
            here = stands[row.vms] >= 0
            return replace(row, vms=row.vms[here], weight=row.weight[here])
        case AtLeast():
            vms = row.vms[stands[row.vms] >= 0]
            return replace(row, vms=vms, count=min(row.count, len(np.unique(vms))))
        case Together():
            return replace(row, vms=row.vms[stands[row.vms] >= 0])
        case Near():
            return replace(row, a=row.a[stands[row.a] >= 0], b=row.b[stands[row.b] >= 0])


def strand(
    fleet: Fleet, ready: Restarts, failed: tuple[int, ...], stands: Ints, units: Mapping[str, str]
) -> tuple[Stranded, ...]:
    """Every VM that `stands` (V,) leaves down although it is to be restarted, the largest first."""
    lost, gone = ready.lost(fleet.host_of, failed)
    before = np.array(fleet.host_of)
    before[gone] = -1
    asked = _Asked(ready, ready.survivors(failed), before, stands)
    left = sorted(lost[stands[lost] < 0].tolist(), key=lambda v: (-int(fleet.memory_mib[v]), v))
    return tuple(_stranded(fleet, asked, v, units) for v in left)


def _stranded(fleet: Fleet, asked: _Asked, v: int, units: Mapping[str, str]) -> Stranded:
    amounts = asked.refusals(v)
    refused = {rule: int((amount != 0).sum()) for rule, amount in amounts.items()}
    told = tuple(Refusal(rule, n) for rule, n in sorted(refused.items(), key=lambda pair: (-pair[1], pair[0])) if n)
    if not len(asked.hosts):
        return Stranded(fleet.vms[v], told, "", ())
    each = np.stack(list(amounts.values())) if amounts else np.zeros((1, len(asked.hosts)), np.int64)
    order = np.lexsort((each.sum(axis=0), (each == ALLOWED).any(axis=0), (each != 0).sum(axis=0)))
    near = int(order[0])
    lacks = {rule: int(amount[near]) for rule, amount in sorted(amounts.items()) if amount[near]}
    return Stranded(
        fleet.vms[v], told, fleet.hosts[int(asked.hosts[near])],
        tuple((rule, max(n, 0), units.get(rule, "") if n != ALLOWED else "") for rule, n in lacks.items()),
    )  # fmt: skip


class _Asked:
    """The rows after one failure, with all VMs where they `stand` (V,), asked about the VMs that are left over."""

    def __init__(self, ready: Restarts, hosts: Ints, before: Ints, stands: Ints) -> None:
        self.ready, self.hosts, self.before, self.stands = ready, hosts, before, stands
        self._room: dict[int, Ints] = {}

    def refusals(self, v: int) -> dict[str, Ints]:
        """Label of each row about `v` -> (hosts,) by how much it refuses `v` there; 0: it does not."""
        found: dict[str, Ints] = {}
        for allow in self.ready.allows_of(v):
            found[allow.label] = np.where(allow.hosts[self.hosts], found.get(allow.label, 0), ALLOWED)
        for r in self.ready.about(np.array([v])):
            row = self.ready.rows[r]
            amount = self._limit(row, r, v) if isinstance(row, Limit) else self._group(row, v)
            old = found.get(row.label, np.zeros_like(amount))
            found[row.label] = np.where(old == ALLOWED, old, np.maximum(old, amount))
        return found

    def _limit(self, row: Limit, r: int, v: int) -> Ints:
        if r not in self._room:
            was, now = (counted(_up(row, x), x, x) for x in (self.before, self.stands))
            self._room[r] = np.maximum(row.upper, was) - now
        item = row.scope[self.hosts]
        weight = row.weight[row.vms == v].sum(axis=0)
        over = np.max((weight - self._room[r][item]) * (weight > 0), axis=1, initial=0)
        return np.where(item >= 0, over, 0)

    def _group(self, row: AtLeast | Together | Near, v: int) -> Ints:
        was = broken(_up(row, self.before), self.before, self.before)
        amounts = []
        for h in self.hosts.tolist():
            after = self.stands.copy()
            after[v] = h
            amounts.append(max(broken(_up(row, after), after, after) - was, 0))
        return np.array(amounts, np.int64)
