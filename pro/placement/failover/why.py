"""Why a VM finds no place after a failure, asked of the rows one host at a time. Slow and plain: only failures are explained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.failover.report import Refusal, Stranded
from pro.placement.language import AtLeast, Limit, Near, Together, broken, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pro.fleet import Fleet
    from pro.placement.engines.restart import Restarts

    Ints = NDArray[np.int64]
    Group = Limit | AtLeast | Together | Near

ALLOWED = -1
"""Stands for the amount by which an Allow is broken: it has none that could be bought."""


def present(row: Group, stands: Ints) -> Group:
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
    left = sorted(lost[stands[lost] < 0].tolist(), key=lambda v: (-int(fleet.memory_mib[v]), v))
    return tuple(_stranded(fleet, ready, (failed, before, stands), v, units) for v in left)


def _stranded(
    fleet: Fleet, ready: Restarts, where: tuple[tuple[int, ...], Ints, Ints], v: int, units: Mapping[str, str]
) -> Stranded:
    failed, before, stands = where
    refused: Counter[str] = Counter()
    nearest: tuple[int, int, int] | None = None
    lacks: dict[str, int] = {}
    for h in ready.survivors(failed).tolist():
        amounts = refusals(ready, before, stands, v, h)
        refused.update(amounts.keys())
        rank = (len(amounts), sum(amounts.values()) if ALLOWED not in amounts.values() else 2**62, h)
        if nearest is None or rank < nearest:
            nearest, lacks = rank, amounts
    return Stranded(
        fleet.vms[v],
        tuple(Refusal(rule, n) for rule, n in sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))),
        "" if nearest is None else fleet.hosts[nearest[2]],
        tuple((rule, amount, units.get(rule, "") if amount != ALLOWED else "") for rule, amount in sorted(lacks.items())),
    )


def refusals(ready: Restarts, before: Ints, stands: Ints, v: int, h: int) -> dict[str, int]:
    """Label of each row that refuses to have `v` restarted on `h` when all others are as they `stand` -> by how much."""
    after = stands.copy()
    after[v] = h
    found: dict[str, int] = {}
    for row in ready.allows_of(v):
        if not row.hosts[h]:
            found[row.label] = ALLOWED
    for r in ready.about(np.array([v])):
        row = ready.rows[r]
        amount = _worse(row, before, after, h)
        if amount > 0:
            found[row.label] = max(found.get(row.label, 0), amount)
    return found


def _worse(row: Group, before: Ints, after: Ints, h: int) -> int:
    """By how much `row` is broken `after` and was not `before`."""
    then, now = present(row, before), present(row, after)
    if isinstance(then, Limit) and isinstance(now, Limit):
        item = int(row.scope[h])
        if item < 0:
            return 0
        was, use = counted(then, before, before)[item], counted(now, after, after)[item]
        return int(np.max(use - np.maximum(now.upper[item], was), initial=0))
    return broken(now, after, after) - broken(then, before, before)
