"""A Problem as annealing reads it: what nearly every rule and goal counts, made dense; the rest, made rare.

Limits and Steps whose scope is the host become *dimensions*: columns of (V, D) weights and (H, D) use, capacity and knots. Rows
and terms that count the same thing share a column. "At most so many of these VMs on a host" becomes a *crowd*: one counter per
host, looked up. Spread, affinity and nearness share counters per *set* of VMs, and are looked at only when a set enters or
leaves a scope item. All else (other scopes, migration budgets, most moved, opened) is priced when a move is about to be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from pro.placement.engines.flat import AFTER, AT_LEAST, DURING, NEAR, TOGETHER
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Ints
    from pro.placement.problem import Problem


BIG = 1 << 50
"""No limit; with what is added to it still a whole number as a float."""
WEIGHED = 3
"""A kind of group row beside those of flat.py: Together with weights."""
_WHEN = {"after": AFTER, "moved": 1, "during": DURING}

SIZES = ("V", "H", "N_MOVABLE", "N_LINEAR", "N_MOST", "N_OPENED", "SLACK", "ANYWHERE", "RARE")
ARRAYS = (
    "HOME", "MOVABLE", "CLS", "ALLOWED", "SCOPE",
    "AWAY", "L_AT", "L_TABLE",  # linear costs: (V,), (V, L) where the VM's row begins in (rows, H)
    "C_PTR", "C_AT", "C_UPPER",  # crowds of each VM: where their counters begin, most on a host
    "SM_PTR", "SM_SET", "S_SCOPE", "S_OFF", "SR_PTR", "SR_ROW", "SR_ROLE",  # sets of each VM; group rows of each set
    "R_KIND", "R_SET", "R_OTHER", "R_BOUND", "R_PRICE",  # group rows; price 0: hard; R_OTHER where weights begin if WEIGHED
    "R_WEIGHT",  # what each scope item weighs, item -1 first
    "X_PTR", "X_BLOCK", "X_OFF", "X_WEIGHT",  # blocks of other scopes, by VM
    "B_SCOPE", "B_DIMS", "B_OFF", "B_WHEN", "B_KNOTS", "B_KOFF", "B_START", "B_UPPER", "B_KNOT", "B_SLOPE",
    "N_GROUP", "N_OFF", "N_PRICE",  # most moved
    "O_SCOPE", "O_OFF", "O_COST",  # opened
    "T_KNOTS", "T_OFF", "T_TABLE",  # dimensions with many knots: per host (knot, slope so far, slope * knot so far)
)  # fmt: skip
(
    V, H, N_MOVABLE, N_LINEAR, N_MOST, N_OPENED, SLACK, ANYWHERE, RARE,
    HOME, MOVABLE, CLS, ALLOWED, SCOPE, AWAY, L_AT, L_TABLE, C_PTR, C_AT, C_UPPER,
    SM_PTR, SM_SET, S_SCOPE, S_OFF, SR_PTR, SR_ROW, SR_ROLE, R_KIND, R_SET, R_OTHER, R_BOUND, R_PRICE, R_WEIGHT,
    X_PTR, X_BLOCK, X_OFF, X_WEIGHT, B_SCOPE, B_DIMS, B_OFF, B_WHEN, B_KNOTS, B_KOFF, B_START, B_UPPER, B_KNOT, B_SLOPE,
    N_GROUP, N_OFF, N_PRICE, O_SCOPE, O_OFF, O_COST, T_KNOTS, T_OFF, T_TABLE, END,
) = range(len(SIZES) + len(ARRAYS) + 1)  # fmt: skip


@dataclass(frozen=True)
class Lean:
    """`packed`: header and arrays end to end. (V, D) `weight`, (H, D) `upper`, `knot`, `slope` of dimensions with one knot at
    most, counted where VMs end; (V, E) `flight`, (H, E) `flight_upper` of those counted on both ends of a move; (V, T)
    `tabled`: weights in dimensions with many knots; `crowds`, `counts`, `rows`, `use`, `most`, `opened`: sizes of what the state
    keeps of each kind."""

    packed: Ints
    weight: Ints
    upper: Ints
    knot: Ints
    slope: Ints
    flight: Ints
    flight_upper: Ints
    tabled: Ints
    crowds: int
    counts: int
    rows: int
    use: int
    most: int
    opened: int


class _Column:
    """One weight per VM, capacity and knots per host."""

    def __init__(self, weight: Ints, hosts: int) -> None:
        self.weight = weight
        self.upper = np.full(hosts, BIG, np.int64)
        self.knots: list[tuple[Ints, Ints]] = []

    def capacity(self) -> _Column:
        """The same without its knots."""
        bare = _Column(self.weight, len(self.upper))
        bare.upper = self.upper
        return bare


class _Builder:
    """Collects rows and terms; see `lean`."""

    def __init__(self, problem: Problem) -> None:
        self.v, self.h, self.home = len(problem.home), problem.hosts, problem.home
        self.after: dict[bytes, _Column] = {}
        self.flight: dict[bytes, _Column] = {}
        self.scopes: list[Ints] = []
        self._scope_index: dict[bytes, int] = {}
        self.crowds: list[tuple[Ints, int]] = []
        self.sets: list[tuple[Ints, int]] = []
        self._set_index: dict[tuple[bytes, int], int] = {}
        self.rows: list[tuple[int, int, int, int, int]] = []  # kind, set, other, bound, price
        self.weights: list[Ints] = []
        self.blocks: list[tuple[Limit | Steps, int]] = []  # price of a soft Limit, 0: hard
        self.allows: list[Allow] = []
        self.away = np.zeros(self.v, np.int64)
        self.tables: list[tuple[Ints, Ints]] = []
        self.most: list[MostMoved] = []
        self.opened: list[Opened] = []

    def row(self, row: Row, price: int = 0) -> None:
        """Take a row; `price` 0: hard."""
        match row:
            case Allow():
                self._allow(row, price)
            case Limit():
                self._limit(row, price)
            case AtLeast(vms, scope, count, _):
                self.rows.append((AT_LEAST, self._set(vms, scope), -1, count, price))
            case Together(vms, scope, _, most):
                if row.weight is None:
                    self.rows.append((TOGETHER, self._set(vms, scope), -1, most, price))
                else:
                    self.rows.append((WEIGHED, self._set(vms, scope), sum(map(len, self.weights)), most, price))
                    self.weights.append(row.weighed())
            case Near(a, b, scope, _, missing):
                self.rows.append((NEAR, self._set(a, scope), self._set(b, scope), missing, price))
            case _:
                assert_never(row)

    def term(self, term: Term) -> None:
        """Take a term."""
        match term:
            case Steps():
                self._steps(term)
            case Linear(away, table, row_of, _):
                self.away += away
                if table is not None and row_of is not None:
                    self.tables.append((row_of, table))
            case Opened(scope, price, label, vms):
                if vms is None:
                    self.opened.append(term)
                else:
                    self.row(Together(vms, scope, label, 0, price), 1)
            case MostMoved():
                self.most.append(term)
            case Soft(row, price, _):
                if price > 0:
                    self.row(row, price)
            case _:
                assert_never(term)

    def scope(self, scope: Ints) -> int:
        """Number of `scope` in the table."""
        key = scope.tobytes()
        if key not in self._scope_index:
            self._scope_index[key] = len(self.scopes)
            self.scopes.append(scope)
        return self._scope_index[key]

    def _set(self, vms: Ints, scope: Ints) -> int:
        s = self.scope(scope)
        key = (vms.tobytes(), s)
        if key not in self._set_index:
            self._set_index[key] = len(self.sets)
            self.sets.append((np.unique(vms), s))
        return self._set_index[key]

    def _allow(self, row: Allow, price: int) -> None:
        if price == 0:
            self.allows.append(row)
            return
        table = np.zeros((2, self.h), np.int64)
        table[1] = np.where(row.hosts, 0, price)
        row_of = np.zeros(self.v, np.int64)
        row_of[row.vms] = 1
        self.tables.append((row_of, table))

    def _limit(self, row: Limit, price: int) -> None:
        per_host = _one_host_each(row.scope)
        if price or not per_host or row.when == "moved":
            self.blocks.append((row, price))
        elif row.when == "after" and _is_crowd(row):
            if len(row.vms) > row.upper.min():
                self.crowds.append((row.vms, int(row.upper[0, 0])))
        else:
            columns = self.after if row.when == "after" else self.flight
            for d in range(row.weight.shape[1]):
                column = self._column(columns, row.vms, row.weight[:, d])
                room = _by_host(row.upper[:, d] - row.base[:, d], row.scope, BIG)
                column.upper = np.minimum(column.upper, room)

    def _steps(self, term: Steps) -> None:
        if not _one_host_each(term.scope):
            self.blocks.append((term, 0))
            return
        for d in range(term.weight.shape[1]):
            column = self._column(self.after, term.vms, term.weight[:, d])
            for j in range(len(term.knots)):
                knot = _by_host(term.knots[j, :, d] - term.base[:, d], term.scope, BIG)
                slope = _by_host(term.slopes[j, :, d], term.scope, 0)
                if slope.any():
                    column.knots.append((knot, slope))

    def _column(self, columns: dict[bytes, _Column], vms: Ints, weight: Ints) -> _Column:
        full = np.zeros(self.v, np.int64)
        np.add.at(full, vms, weight)
        return columns.setdefault(full.tobytes(), _Column(full, self.h))


def _one_host_each(scope: Ints) -> bool:
    inside = scope[scope >= 0]
    return len(np.unique(inside)) == len(inside)


def _is_crowd(row: Limit) -> bool:
    return (
        row.weight.shape[1] == 1
        and bool((row.weight == 1).all())
        and not row.base.any()
        and bool((row.upper == row.upper[0, 0]).all() if row.upper.size else False)
        and bool((row.scope >= 0).all())
        and len(np.unique(row.vms)) == len(row.vms)
    )


def _by_host(values: Ints, scope: Ints, outside: int) -> Ints:
    out = np.full(len(scope), outside, np.int64)
    out[scope >= 0] = values[scope[scope >= 0]]
    return out


def lean(problem: Problem, tier: int) -> Lean:
    """`problem` with tier number `tier` as its only goal; soft rows of earlier tiers are hard. See `Anneal.tier`."""
    build = _Builder(problem)
    for row in problem.rows:
        build.row(row)
    for before in problem.tiers[:tier]:
        for term in before.terms:
            if not isinstance(term, Soft):
                raise ValueError(f"tier {before.name!r} is not of soft rows only")
            build.row(term.row)
    for term in problem.tiers[tier].terms:
        build.term(term)
    return _finish(build, problem.movable)


def _finish(b: _Builder, movable: NDArray[np.bool_]) -> Lean:
    many = [c for c in b.after.values() if len(c.knots) > 1]
    plain = [c for c in b.after.values() if len(c.knots) <= 1] + [c.capacity() for c in many if (c.upper < BIG).any()]
    cls, allowed = _classes(b)
    arrays: dict[str, Any] = {
        "HOME": b.home, "MOVABLE": np.flatnonzero(movable), "CLS": cls, "ALLOWED": allowed, "AWAY": b.away,
        "L_AT": _columns([r * b.h for r, _ in _stacked(b.tables)], b.v), "L_TABLE": _join([t.ravel() for _, t in b.tables]),
        **_crowds(b), **_sets(b), **_blocks(b), **_tables(many, b.h),
        "N_GROUP": _join([t.group for t in b.most]), "N_PRICE": np.array([t.cost for t in b.most], np.int64),
        "N_OFF": _starts([int(t.group.max(initial=-1)) + 1 for t in b.most]),
        "O_SCOPE": np.array([b.scope(t.scope) for t in b.opened], np.int64),
        "O_OFF": _starts([len(t.cost) for t in b.opened]), "O_COST": _join([t.cost for t in b.opened]),
    }  # fmt: skip
    arrays["SCOPE"] = _join(b.scopes)
    soft = any(price for *_, price in b.rows) or any(p or isinstance(r, Steps) for r, p in b.blocks)
    slack = sum(t.cost for t in b.most) + sum(int(t.cost.max(initial=0)) for t in b.opened)
    rare = bool(b.rows or b.blocks or b.most or b.opened)
    sizes = {"V": b.v, "H": b.h, "N_MOVABLE": int(movable.sum()), "N_LINEAR": len(b.tables),
             "N_MOST": len(b.most), "N_OPENED": len(b.opened), "SLACK": BIG if soft else slack,
             "ANYWHERE": int(allowed.all()), "RARE": int(rare)}  # fmt: skip
    flying = list(b.flight.values())
    first = [c.knots[0] if c.knots else (np.full(b.h, BIG), np.zeros(b.h, np.int64)) for c in plain]
    return Lean(
        packed=_pack(sizes, arrays),
        weight=_columns([c.weight for c in plain], b.v),
        upper=_columns([c.upper for c in plain], b.h),
        knot=_columns([k for k, _ in first], b.h),
        slope=_columns([s for _, s in first], b.h),
        flight=_columns([c.weight for c in flying], b.v),
        flight_upper=_columns([c.upper for c in flying], b.h),
        tabled=_columns([c.weight for c in many], b.v),
        crowds=len(b.crowds), counts=int(arrays["S_OFF"][-1]), rows=len(b.rows), use=int(arrays["B_OFF"][-1]),
        most=int(arrays["N_OFF"][-1]), opened=int(arrays["O_OFF"][-1]),
    )  # fmt: skip


def _stacked(tables: list[tuple[Ints, Ints]]) -> list[tuple[Ints, Ints]]:
    """Row numbers as they are once all tables lie end to end."""
    out, off = [], 0
    for row_of, table in tables:
        out.append((row_of + off, table))
        off += len(table)
    return out


def _classes(b: _Builder) -> tuple[Ints, Bools]:
    from pro.placement.engines.flat import classes

    return classes(b.allows, b.v, b.h)


def _crowds(b: _Builder) -> dict[str, Ints]:
    ptr, order = _by_vm([vms for vms, _ in b.crowds], b.v)
    owner = np.repeat(np.arange(len(b.crowds)), [len(vms) for vms, _ in b.crowds])
    upper = np.array([upper for _, upper in b.crowds], np.int64)
    return {"C_PTR": ptr, "C_AT": owner[order] * b.h, "C_UPPER": upper[owner[order]]}


def _sets(b: _Builder) -> dict[str, Ints]:
    ptr, order = _by_vm([vms for vms, _ in b.sets], b.v)
    owner = np.repeat(np.arange(len(b.sets)), [len(vms) for vms, _ in b.sets])
    items = [int(b.scopes[s].max(initial=-1)) + 2 for _, s in b.sets]
    rows = np.array(b.rows, np.int64).reshape(-1, 5)
    near = rows[:, 0] == NEAR
    number = np.arange(len(rows))
    sets = np.concatenate([rows[:, 1], rows[near, 2]])
    role = np.concatenate([np.where(near, 1, 0), np.full(int(near.sum()), 2)])
    by = np.argsort(sets, kind="stable")
    return {
        "SM_PTR": ptr, "SM_SET": owner[order], "S_SCOPE": np.array([s for _, s in b.sets], np.int64),
        "S_OFF": _starts(items), "SR_PTR": _starts(np.bincount(sets, minlength=len(b.sets)).tolist()),
        "SR_ROW": np.concatenate([number, number[near]])[by], "SR_ROLE": role[by],
        "R_KIND": rows[:, 0], "R_SET": rows[:, 1], "R_OTHER": rows[:, 2], "R_BOUND": rows[:, 3], "R_PRICE": rows[:, 4],
        "R_WEIGHT": _join(b.weights),
    }  # fmt: skip


def _blocks(b: _Builder) -> dict[str, Ints]:
    ptr, order = _by_vm([r.vms for r, _ in b.blocks], b.v)
    owner = np.repeat(np.arange(len(b.blocks)), [len(r.vms) for r, _ in b.blocks])
    sizes = [r.weight.size for r, _ in b.blocks]
    offsets = [
        s + np.arange(len(r.vms)) * r.weight.shape[1] for s, (r, _) in zip(_starts(sizes), b.blocks, strict=False)
    ]
    knots, slopes, upper, start = [], [], [], []
    for row, price in b.blocks:
        base = row.base.copy()
        if isinstance(row, Limit) and row.when == "during":  # in flight, a VM is counted at home wherever it goes
            at = row.scope[b.home[row.vms]]
            np.add.at(base, at[at >= 0], row.weight[at >= 0])
        start.append(base.ravel())
        if isinstance(row, Steps):
            knots.append(np.moveaxis(row.knots, 0, -1))
            slopes.append(np.moveaxis(row.slopes, 0, -1))
            upper.append(np.full(row.base.size, BIG))
        else:
            n = int(price > 0)
            knots.append(np.repeat(row.upper[..., None], n, axis=-1))
            slopes.append(np.full((*row.upper.shape, n), price))
            upper.append(np.full(row.base.size, BIG) if price else row.upper.ravel())
    rows = [r for r, _ in b.blocks]
    return {
        "X_PTR": ptr, "X_BLOCK": owner[order], "X_OFF": _join(offsets)[order],
        "X_WEIGHT": _join([r.weight.ravel() for r in rows]),
        "B_SCOPE": np.array([b.scope(r.scope) for r in rows], np.int64),
        "B_DIMS": np.array([r.base.shape[1] for r in rows], np.int64), "B_OFF": _starts([r.base.size for r in rows]),
        "B_WHEN": np.array([_WHEN[r.when] if isinstance(r, Limit) else AFTER for r in rows], np.int64),
        "B_KNOTS": np.array([k.shape[-1] for k in knots], np.int64), "B_KOFF": _starts([k.size for k in knots]),
        "B_START": _join(start), "B_UPPER": _join(upper), "B_KNOT": _join([k.ravel() for k in knots]),
        "B_SLOPE": _join([s.ravel() for s in slopes]),
    }  # fmt: skip


def _tables(columns: list[_Column], hosts: int) -> dict[str, Ints]:
    """Costs with many knots as what is added up below each knot, so that a price is one bisection."""
    parts = []
    for column in columns:
        knots = np.array([k for k, _ in column.knots]).T
        slopes = np.array([s for _, s in column.knots]).T
        order = np.argsort(knots, axis=1, kind="stable")
        knots, slopes = np.take_along_axis(knots, order, 1), np.take_along_axis(slopes, order, 1)
        rise = np.where(slopes == 0, 0, knots) * slopes
        parts.append(np.stack([knots, slopes.cumsum(1), rise.cumsum(1)], axis=-1).ravel())
    return {
        "T_KNOTS": np.array([len(c.knots) for c in columns], np.int64), "T_OFF": _starts([p.size for p in parts]),
        "T_TABLE": _join(parts),
    }  # fmt: skip


def _pack(sizes: dict[str, int], arrays: dict[str, Ints]) -> Ints:
    header = np.zeros(END + 1, np.int64)
    header[: len(SIZES)] = [sizes[name] for name in SIZES]
    at = len(header)
    for i, name in enumerate(ARRAYS, start=len(SIZES)):
        header[i] = at
        at += arrays[name].size
    header[END] = at
    return np.concatenate([header, *(np.asarray(arrays[name]).ravel() for name in ARRAYS)]).astype(np.int64)


def _columns(columns: list[Ints], rows: int) -> Ints:
    return np.ascontiguousarray(np.array(columns, np.int64).reshape(len(columns), rows).T)


def _join(parts: list[Ints]) -> Ints:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def _starts(sizes: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _by_vm(members: list[Ints], v: int) -> tuple[Ints, Ints]:
    vms = _join(members)
    order = np.argsort(vms, kind="stable")
    return _starts(np.bincount(vms, minlength=v).tolist()), order
