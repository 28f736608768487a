"""Restarts after a failure, as flat arrays: which sets of hosts may fail, and who would find no place.

Knows rows, not rules. A *restart* puts every VM of the failed hosts that is to be restarted on another open host of their
cluster; what runs does not move, what is not to be restarted is in no row any more. A row binds as it stands just before the
failure: it holds, or it is broken by no more than then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np

from pro.placement.engines.flat import classes
from pro.placement.language import Allow, AtLeast, Limit, Near, Row, Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Bools, Ints


WIDE = 32
"""Rows of more members keep counters; of fewer, their members are looked at."""


@dataclass(frozen=True, eq=False)
class Site:
    """What restarts depend on besides rows. `restarts` (V,) VMs that are restarted at all; `open_hosts` (H,) hosts that take
    restarts; `cluster` (H,) code, -1: in none."""

    restarts: Bools
    open_hosts: Bools
    cluster: Ints


class Restarts:
    """Rows made ready for many failures. Memory: linear in members of rows, and in VMs and hosts."""

    def __init__(self, rows: Sequence[Row], site: Site) -> None:
        self.site = site
        vms, hosts = len(site.restarts), len(site.open_hosts)
        self.rows: list[Limit | AtLeast | Together | Near] = []
        allows: list[Allow] = []
        for row in rows:
            if isinstance(row, Allow):
                allows.append(row)
            elif not (isinstance(row, Limit) and row.when == "moved"):
                self.rows.append(row)
        self.allows = tuple(allows)
        self.cls, self.allowed = classes(allows, vms, hosts)
        self.members = [_members(row) for row in self.rows]
        self._flat = _pack(self)
        self._rows_of = _slices(self.members, vms)
        self._allows_of = _slices([np.unique(row.vms) for row in allows], vms)

    def drill(self, host_of: Ints, sets: Sequence[tuple[int, ...]]) -> Ints:
        """(N, 2) for each set of hosts of one cluster: at most and at least so many VMs find no place if it fails alone."""
        return self._run(host_of, sets)[0]

    def packed(self, host_of: Ints, failed: tuple[int, ...]) -> Ints:
        """(V,) where the quick packing restarts everybody; -1: down."""
        return self._run(host_of, [failed])[1]

    def _run(self, host_of: Ints, sets: Sequence[tuple[int, ...]]) -> tuple[Ints, Ints]:
        from pro.placement.engines.restart_kernels import drill

        width = max(map(len, sets), default=1)
        table = np.full((len(sets), width), -1, np.int64)
        for n, hosts in enumerate(sets):
            table[n, : len(hosts)] = hosts
        out, stands = np.zeros(2 * len(sets), np.int64), np.full(len(host_of), -1, np.int64)
        drill(self._flat, np.array(host_of, np.int64), table.ravel(), width, out, stands)
        return out.reshape(-1, 2), stands

    def about(self, vms: Ints) -> list[int]:
        """Numbers of the rows that speak of any of these VMs."""
        pointer, row_of = self._rows_of
        return sorted({int(r) for v in vms.tolist() for r in row_of[pointer[v] : pointer[v + 1]]})

    def allows_of(self, vm: int) -> list[Allow]:
        """The Allow rows that speak of a VM."""
        pointer, row_of = self._allows_of
        return [self.allows[r] for r in row_of[pointer[vm] : pointer[vm + 1]].tolist()]

    def survivors(self, failed: tuple[int, ...]) -> Ints:
        """Hosts that would take restarts."""
        same = self.site.open_hosts & (self.site.cluster == self.site.cluster[failed[0]])
        same[list(failed)] = False
        return np.flatnonzero(same)

    def lost(self, host_of: Ints, failed: tuple[int, ...]) -> tuple[Ints, Ints]:
        """VMs to be restarted, and VMs that stay down."""
        there = np.isin(host_of, failed)
        return np.flatnonzero(there & self.site.restarts), np.flatnonzero(there & ~self.site.restarts)


def _members(row: Limit | AtLeast | Together | Near) -> Ints:
    return each_once(np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms)


def each_once(vms: Ints) -> Ints:
    """`vms` ascending, each once: most are so already, and there may be a rule for every service."""
    return vms if bool((vms[1:] > vms[:-1]).all()) else np.unique(vms)


def _slices(members: Sequence[Ints], vms: int) -> tuple[Ints, Ints]:
    """Rows of every VM: (V + 1,) starts, and row numbers."""
    who = np.concatenate([np.zeros(0, np.int64), *members])
    rows = np.repeat(np.arange(len(members)), [len(m) for m in members]).astype(np.int64)
    order = np.argsort(who, kind="stable")
    return np.concatenate([[0], np.cumsum(np.bincount(who, minlength=vms))]).astype(np.int64), rows[order]


def summed(row: Limit) -> tuple[Ints, Ints]:
    """Members of a Limit, each once and ascending, with their weights (n, D)."""
    vms, weight = each_once(row.vms), row.weight
    if vms is not row.vms:
        vms, inverse = np.unique(row.vms, return_inverse=True)
        weight = np.zeros((len(vms), row.weight.shape[1]), np.int64)
        np.add.at(weight, inverse, row.weight)
    return vms, weight


class _Rows:
    """The columns of the flat array that speak of rows, filled row by row."""

    def __init__(self, hosts: int) -> None:
        self.hosts = hosts
        self.kind: list[tuple[int, ...]] = []
        self.scopes: list[Ints] = []
        self._scope: dict[bytes, int] = {}
        self.upper: list[Ints] = []
        self.base: list[Ints] = []
        self.weight: list[Ints] = []
        self.a: list[Ints] = []
        self.b: list[Ints] = []
        self.heavy: list[Ints] = []
        self.heavy_at: list[int] = []
        self.sizes = [0, 0, 0, 0]  # of use, of upper, of weight, of heavy
        self.main, self.main_weight = -1, np.zeros(0, np.int64)
        self.marks = 3

    def add(self, row: Limit | AtLeast | Together | Near) -> None:
        from pro.placement.engines.restart_kernels import AT_LEAST, NEAR, TOGETHER

        self.marks = max(self.marks, int(row.scope.max(initial=-1)) + 3)
        weighed = isinstance(row, Together) and row.weight is not None
        self.heavy_at.append(self.sizes[3] if weighed else -1)
        match row:
            case Limit():
                self._limit(row)
            case AtLeast(vms, scope, count, _):
                self._group(AT_LEAST, scope, count, each_once(vms))
            case Together():
                self._group(TOGETHER, row.scope, row.most, each_once(row.vms))
                if row.weight is not None:
                    self.heavy.append(row.weighed())
                    self.sizes[3] += len(self.heavy[-1])
            case Near(a, b, scope, _, missing):
                self._group(NEAR, scope, missing, each_once(a), each_once(b))
            case _:
                assert_never(row)

    def _number(self, scope: Ints) -> int:
        key = scope.tobytes()
        if key not in self._scope:
            self._scope[key] = len(self.scopes)
            self.scopes.append(scope)
        return self._scope[key]

    def _group(self, kind: int, scope: Ints, bound: int, a: Ints, b: Ints | None = None) -> None:
        _, upper, weight, _ = self.sizes
        self.kind.append((kind, self._number(scope), 0, bound, -1, upper, 0, weight))
        self.a.append(a)
        self.b.append(np.zeros(0, np.int64) if b is None else b)

    def _limit(self, row: Limit) -> None:
        from pro.placement.engines.restart_kernels import LIMIT

        vms, weight = summed(row)
        dims = weight.shape[1]
        upper, base = row.upper, row.base
        wide = len(vms) > WIDE or (self.main < 0 and _one_each(row.scope))
        same = not wide and len(upper) > 1 and bool((upper == upper[:1]).all() and (base == base[:1]).all())
        if same:
            upper, base = upper[:1], base[:1]
        use, offset, woff, heavy = self.sizes
        if wide and _one_each(row.scope) and (self.main < 0 or len(vms) > len(self.a[self.main])):
            self.main, self.main_weight = len(self.kind), weight[:, 0]
        self.kind.append(
            (LIMIT, self._number(row.scope), dims, 0, use if wide else -1, offset, 0 if same else dims, woff)
        )
        self.upper.append(upper.ravel())
        self.base.append(base.ravel())
        self.weight.append(weight.ravel())
        self.a.append(vms)
        self.b.append(np.zeros(0, np.int64))
        self.sizes = [use + (upper.size if wide else 0), offset + upper.size, woff + weight.size, heavy]


def _one_each(scope: Ints) -> bool:
    """Whether every host is a scope item of its own."""
    return bool(len(scope)) and scope.min() >= 0 and len(np.unique(scope)) == len(scope)


def _pack(ready: Restarts) -> Ints:
    """The flat array that restart_kernels.py reads."""
    from pro.placement.engines.restart_kernels import ARRAYS, SIZES

    site = ready.site
    vms, hosts = len(site.restarts), len(site.open_hosts)
    rows = _Rows(hosts)
    for row in ready.rows:
        rows.add(row)
    columns = np.array(rows.kind, np.int64).reshape(-1, 8)
    who = _join(ready.members)
    number = np.repeat(np.arange(len(ready.members)), [len(m) for m in ready.members]).astype(np.int64)
    inside = _join([np.arange(len(m)) for m in ready.members])
    offset = columns[number, 7] + inside * columns[number, 2]
    order = np.argsort(who, kind="stable")
    size = np.zeros(vms, np.int64)
    if rows.main >= 0:
        size[rows.a[rows.main]] = rows.main_weight
    arrays: dict[str, Ints] = {
        "HA": site.restarts.astype(np.int64), "SIZE": size, "CLS": ready.cls, "ALLOWED": ready.allowed.astype(np.int64),
        "OPEN": site.open_hosts.astype(np.int64), "CLUSTER": site.cluster,
        "SCOPE": np.array(rows.scopes, np.int64).reshape(len(rows.scopes), hosts),
        "KIND": columns[:, 0], "R_SCOPE": columns[:, 1], "DIMS": columns[:, 2], "BOUND": columns[:, 3],
        "U_OFF": columns[:, 4], "L_OFF": np.append(columns[:, 5], rows.sizes[1]), "STRIDE": columns[:, 6],
        "W_OFF": columns[:, 7], "UPPER": _join(rows.upper), "BASE": _join(rows.base),
        "A_PTR": _starts(rows.a), "A_VM": _join(rows.a), "B_PTR": _starts(rows.b), "B_VM": _join(rows.b),
        "WEIGHT": _join(rows.weight), "T_OFF": np.array(rows.heavy_at, np.int64), "HEAVY": _join(rows.heavy),
        "M_PTR": np.concatenate([[0], np.cumsum(np.bincount(who, minlength=vms))]),
        "M_ROW": number[order], "M_OFF": offset[order],
    }  # fmt: skip
    sizes = {"V": vms, "H": hosts, "USE": rows.sizes[0], "MARKS": rows.marks, "MAIN": rows.main}
    header = np.zeros(len(SIZES) + len(ARRAYS), np.int64)
    header[: len(SIZES)] = [sizes[name] for name in SIZES]
    at = len(header)
    for i, name in enumerate(ARRAYS, start=len(SIZES)):
        header[i] = at
        at += arrays[name].size
    return np.concatenate([header, *(arrays[name].ravel() for name in ARRAYS)]).astype(np.int64, copy=False)


def _join(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _starts(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)
