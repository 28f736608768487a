"""A Problem as one flat array that numba kernels can run on.

Every Limit and Steps becomes a *block*: `dims` counters for each of its scope items, laid end to end in one array `use`.
A VM's memberships are a slice of (block, offset of its weights). Group rows (AtLeast, Together, Near) keep a count of
members per scope item instead. Linear costs are merged per tier. Nothing here is dense in V x H except the table of
allowed hosts, which has one row per class of VMs, not per VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import numpy as np

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
    from pro.core.arrays import Bools, Ints
    from pro.placement.problem import Problem


# Codes used in the arrays.
AFTER, MOVED, DURING = 0, 1, 2
AT_LEAST, TOGETHER, NEAR = 0, 1, 2
NO_TIER = -1
_WHEN = {"after": AFTER, "moved": MOVED, "during": DURING}

# The problem is ONE int64 array: a header of sizes and offsets, then the arrays end to end. One array instead of forty
# is what keeps numba's compile time at seconds. `F[HOME] + v` is the address of VM v's home, and so on.
SIZES = ("V", "H", "T", "N_BLOCKS", "N_GROUPS", "N_LINEAR", "N_OPENED", "N_MOST", "MOST_WIDTH", "COUNTS")
ARRAYS = (
    "HOME", "MOVABLE", "CLS",  # (V,)
    "ALLOWED",  # (C, H) 0/1
    "SCOPE",  # (distinct scopes, H) scope item of a host, -1: none
    "B_SCOPE", "B_ITEMS", "B_DIMS", "B_OFF", "B_WHEN", "B_HARD", "B_TIER", "B_KNOTS", "B_KOFF",  # (blocks,)
    "BASE", "UPPER",  # by B_OFF: [item][dim]
    "KNOTS", "SLOPES",  # by B_KOFF: [item][dim][knot]
    "M_PTR", "M_BLOCK", "M_OFF", "WEIGHT",  # memberships of VMs in blocks: slices by VM, offset of the weights
    "G_KIND", "G_SCOPE", "G_OFF", "G_ITEMS", "G_BOUND", "G_TIER", "G_PRICE",  # (groups,); G_TIER NO_TIER: hard
    "G_WEIGHT",  # by G_OFF: what each scope item weighs that holds a member, item -1 first (not for Near)
    "GM_PTR", "GM_GROUP", "GM_ROLE",  # memberships of VMs in groups; role 1: a, 2: b, 3: both (Near)
    "GV_PTR", "GV_VM",  # members of each group
    "L_AWAY",  # (T, V)
    "L_TIER", "L_ROW", "L_TABLE",  # (L,), (L, V), (rows of all tables, H)
    "O_SCOPE", "O_OFF", "O_TIER", "O_COST",  # opened items
    "N_TIER", "N_PRICE", "N_GROUP", "N_WIDTH",  # most moved: (N,), (N, V)
)  # fmt: skip
(
    V, H, T, N_BLOCKS, N_GROUPS, N_LINEAR, N_OPENED, N_MOST, MOST_WIDTH, COUNTS,
    HOME, MOVABLE, CLS, ALLOWED, SCOPE,
    B_SCOPE, B_ITEMS, B_DIMS, B_OFF, B_WHEN, B_HARD, B_TIER, B_KNOTS, B_KOFF,
    BASE, UPPER, KNOTS, SLOPES, M_PTR, M_BLOCK, M_OFF, WEIGHT,
    G_KIND, G_SCOPE, G_OFF, G_ITEMS, G_BOUND, G_TIER, G_PRICE, G_WEIGHT, GM_PTR, GM_GROUP, GM_ROLE, GV_PTR, GV_VM,
    L_AWAY, L_TIER, L_ROW, L_TABLE, O_SCOPE, O_OFF, O_TIER, O_COST, N_TIER, N_PRICE, N_GROUP, N_WIDTH,
) = range(len(SIZES) + len(ARRAYS))  # fmt: skip


def _pack(sizes: dict[str, int], arrays: dict[str, Ints]) -> Ints:
    header = np.zeros(len(SIZES) + len(ARRAYS), np.int64)
    header[: len(SIZES)] = [sizes[name] for name in SIZES]
    at = len(header)
    for i, name in enumerate(ARRAYS, start=len(SIZES)):
        header[i] = at
        at += arrays[name].size
    return np.concatenate([header, *(arrays[name].ravel() for name in ARRAYS)]).astype(np.int64, copy=False)


def flatten(problem: Problem) -> Ints:
    """`problem` as one int64 array (see ARRAYS). Cost: linear in the size of its rows and terms."""
    v, h = len(problem.home), problem.hosts
    scopes = _Scopes(h)
    blocks: list[tuple[Limit | Steps, int]] = [(r, NO_TIER) for r in problem.rows if isinstance(r, Limit)]
    groups: list[tuple[AtLeast | Together | Near, int, int]] = []
    allows: list[Allow] = []
    linear: list[tuple[Linear, int]] = []
    opened: list[tuple[Opened, int]] = []
    most: list[tuple[MostMoved, int]] = []
    for row in problem.rows:
        if isinstance(row, Allow):
            allows.append(row)
        elif not isinstance(row, Limit):
            groups.append((row, NO_TIER, 0))
    for tier, terms in enumerate(problem.tiers):
        for term in terms.terms:
            _sort_term(term, tier, v, h, (blocks, groups, linear, opened, most))
    cls, allowed = classes(allows, v, h)
    arrays: dict[str, Ints] = {
        "HOME": problem.home, "MOVABLE": problem.movable.astype(np.int64), "CLS": cls,
        "ALLOWED": allowed.astype(np.int64),
        **_flat_blocks(blocks, problem.home, scopes), **_flat_groups(groups, v, scopes),
        **_flat_linear(linear, v, h, len(problem.tiers)), **_flat_opened(opened, scopes), **_flat_most(most, v),
    }  # fmt: skip
    arrays["SCOPE"] = scopes.table()
    near = arrays["G_KIND"] == NEAR
    sizes = {
        "V": v, "H": h, "T": len(problem.tiers), "N_BLOCKS": len(blocks), "N_GROUPS": len(groups),
        "N_LINEAR": len(arrays["L_TIER"]), "N_OPENED": len(opened), "N_MOST": len(most),
        "MOST_WIDTH": max(int(arrays["N_WIDTH"].max(initial=0)), 1),
        "COUNTS": int(((arrays["G_ITEMS"] + 1) * np.where(near, 2, 1)).sum()),
    }  # fmt: skip
    return _pack(sizes, arrays)


def _sort_term(
    term: Term,
    tier: int,
    v: int,
    h: int,
    into: tuple[
        list[tuple[Limit | Steps, int]],
        list[tuple[AtLeast | Together | Near, int, int]],
        list[tuple[Linear, int]],
        list[tuple[Opened, int]],
        list[tuple[MostMoved, int]],
    ],
) -> None:
    blocks, groups, linear, opened, most = into
    match term:
        case Steps():
            blocks.append((term, tier))
        case Linear():
            linear.append((term, tier))
        case Opened(scope, price, label, vms):
            if vms is None:
                opened.append((term, tier))
            else:
                groups.append((Together(vms, scope, label, 0, price), tier, 1))
        case MostMoved():
            most.append((term, tier))
        case Soft(row, price, _):
            _soften(row, price, tier, (v, h), (blocks, groups, linear))
        case _:
            assert_never(term)


def _soften(
    row: Row,
    price: int,
    tier: int,
    size: tuple[int, int],
    into: tuple[
        list[tuple[Limit | Steps, int]], list[tuple[AtLeast | Together | Near, int, int]], list[tuple[Linear, int]]
    ],
) -> None:
    blocks, groups, linear = into
    v, h = size
    match row:
        case Limit():
            blocks.append((_Priced(row, price), tier))
        case Allow(vms, hosts, label):
            table = np.zeros((2, h), np.int64)
            table[1] = np.where(hosts, 0, price)
            row_of = np.zeros(v, np.int64)
            row_of[vms] = 1
            linear.append((Linear(np.zeros(v, np.int64), table, row_of, label), tier))
        case AtLeast() | Together() | Near():
            groups.append((row, tier, price))
        case _:
            assert_never(row)


class _Priced(Limit):
    """A Limit that may be exceeded at a price per unit."""

    price: int

    def __init__(self, row: Limit, price: int) -> None:
        super().__init__(row.vms, row.weight, row.scope, row.base, row.upper, row.when, row.label)
        object.__setattr__(self, "price", price)


class _Scopes:
    """Distinct scope vectors, stored once."""

    def __init__(self, hosts: int) -> None:
        self._rows: list[Ints] = []
        self._index: dict[bytes, int] = {}
        self._hosts = hosts

    def add(self, scope: Ints) -> int:
        """Number of `scope` in the table."""
        key = scope.tobytes()
        if key not in self._index:
            self._index[key] = len(self._rows)
            self._rows.append(scope)
        return self._index[key]

    def table(self) -> Ints:
        """(scopes, H)."""
        return np.array(self._rows, np.int64).reshape(len(self._rows), self._hosts)


def classes(allows: list[Allow], v: int, h: int) -> tuple[Ints, Bools]:
    """(V,) class and (C, H) hosts: VMs that share the same set of allowed hosts share a row."""
    cls = np.zeros(v, np.int64)
    masks = [np.ones(h, bool)]
    seen: dict[bytes, int] = {masks[0].tobytes(): 0}
    for row in allows:
        for old in np.unique(cls[row.vms]):
            mask = masks[old] & row.hosts
            new = seen.setdefault(mask.tobytes(), len(masks))
            if new == len(masks):
                masks.append(mask)
            here = row.vms[cls[row.vms] == old] if new != old else row.vms[:0]
            cls[here] = new
    used, cls = np.unique(cls, return_inverse=True)
    return cls.astype(np.int64), np.array([masks[i] for i in used], np.bool_).reshape(-1, h)


def _standing(row: Limit | Steps, home: Ints) -> Ints:
    """What a block holds when every VM is in the hand. In flight, a VM is counted at home wherever it goes."""
    if isinstance(row, Steps) or row.when != "during":
        return row.base
    base = row.base.copy()
    at = row.scope[home[row.vms]]
    np.add.at(base, at[at >= 0], row.weight[at >= 0])
    return base


def _flat_blocks(blocks: list[tuple[Limit | Steps, int]], home: Ints, scopes: _Scopes) -> dict[str, Ints]:
    cols: dict[str, list[int]] = {
        k: [] for k in ("scope", "items", "dims", "off", "when", "hard", "tier", "knots", "koff")
    }
    base, upper, knots, slopes, weight = [], [], [], [], []
    vms, block_of, w_off = [], [], []
    off = koff = woff = 0
    for i, (row, tier) in enumerate(blocks):
        s, d = row.base.shape
        when = AFTER if isinstance(row, Steps) else _WHEN[row.when]
        kn, sl = _knots(row)
        j = kn.shape[0]
        values = (scopes.add(row.scope), s, d, off, when,
                  int(tier == NO_TIER), tier, j, koff)  # fmt: skip
        for key, value in zip(cols, values, strict=True):
            cols[key].append(value)
        base.append(_standing(row, home).ravel())
        upper.append((row.upper if isinstance(row, Limit) else np.zeros_like(row.base)).ravel())
        knots.append(np.moveaxis(kn, 0, -1).ravel())
        slopes.append(np.moveaxis(sl, 0, -1).ravel())
        weight.append(row.weight.ravel())
        vms.append(row.vms)
        block_of.append(np.full(len(row.vms), i))
        w_off.append(woff + np.arange(len(row.vms)) * d)
        off, koff, woff = off + s * d, koff + s * d * j, woff + len(row.vms) * d
    ptr, order = _by_vm(_join(vms), len(home))
    out = {f"B_{k.upper()}": np.array(c, np.int64) for k, c in cols.items()}
    return out | {
        "BASE": _join(base), "UPPER": _join(upper), "KNOTS": _join(knots), "SLOPES": _join(slopes),
        "WEIGHT": _join(weight), "M_PTR": ptr, "M_BLOCK": _join(block_of)[order], "M_OFF": _join(w_off)[order],
    }  # fmt: skip


def _knots(row: Limit | Steps) -> tuple[Ints, Ints]:
    if isinstance(row, Steps):
        return row.knots, row.slopes
    if isinstance(row, _Priced):
        return row.upper[None], np.full_like(row.upper, row.price)[None]
    return np.zeros((0, *row.base.shape), np.int64), np.zeros((0, *row.base.shape), np.int64)


def _flat_groups(groups: list[tuple[AtLeast | Together | Near, int, int]], v: int, scopes: _Scopes) -> dict[str, Ints]:
    kind, scope, offs, items, bound, tiers, prices = [], [], [], [], [], [], []
    vms, group, role, members, weight = [], [], [], [], []
    off = 0
    for i, (row, tier, price) in enumerate(groups):
        n = int(row.scope.max(initial=-1)) + 1
        weight.append(np.zeros((n + 1) * (2 if isinstance(row, Near) else 1), np.int64))
        match row:
            case AtLeast():
                weight[-1][1:] = 1
                kind.append(AT_LEAST)
                bound.append(row.count)
                roles = dict.fromkeys(row.vms.tolist(), 1)
            case Together():
                kind.append(TOGETHER)
                bound.append(row.most)
                weight[-1] = row.weighed()[: n + 1]
                roles = dict.fromkeys(row.vms.tolist(), 1)
            case Near():
                kind.append(NEAR)
                bound.append(row.missing)
                roles = dict.fromkeys(row.a.tolist(), 1)
                for b in row.b.tolist():
                    roles[b] = roles.get(b, 0) | 2
        scope.append(scopes.add(row.scope))
        offs.append(off)
        items.append(n)
        tiers.append(tier)
        prices.append(price)
        vms.append(np.array(list(roles), np.int64))
        role.append(np.array(list(roles.values()), np.int64))
        group.append(np.full(len(roles), i))
        members.append(np.array(list(roles), np.int64))
        off += len(weight[-1])
    ptr, order = _by_vm(_join(vms), v)
    names = ("G_KIND", "G_SCOPE", "G_OFF", "G_ITEMS", "G_BOUND", "G_TIER", "G_PRICE")
    out: dict[str, Ints] = {
        n: np.array(c, np.int64) for n, c in zip(names, (kind, scope, offs, items, bound, tiers, prices), strict=True)
    }
    return out | {
        "G_WEIGHT": _join(weight), "GM_PTR": ptr, "GM_GROUP": _join(group)[order], "GM_ROLE": _join(role)[order],
        "GV_PTR": np.concatenate([[0], np.cumsum([len(m) for m in members])]).astype(np.int64),
        "GV_VM": _join(members),
    }  # fmt: skip


def _flat_linear(linear: list[tuple[Linear, int]], v: int, h: int, tiers: int) -> dict[str, Ints]:
    away = np.zeros((tiers, v), np.int64)
    tier_of, rows, tables = [], [], []
    off = 0
    for term, tier in linear:
        away[tier] += term.away
        if term.table is not None and term.row_of is not None:
            tier_of.append(tier)
            rows.append(term.row_of + off)
            tables.append(term.table)
            off += len(term.table)
    return {
        "L_AWAY": away, "L_TIER": np.array(tier_of, np.int64),
        "L_ROW": np.array(rows, np.int64).reshape(len(rows), v),
        "L_TABLE": np.concatenate(tables) if tables else np.zeros((0, h), np.int64),
    }  # fmt: skip


def _flat_opened(opened: list[tuple[Opened, int]], scopes: _Scopes) -> dict[str, Ints]:
    offs = np.concatenate([[0], np.cumsum([len(t.cost) for t, _ in opened])]).astype(np.int64)
    return {
        "O_SCOPE": np.array([scopes.add(t.scope) for t, _ in opened], np.int64), "O_OFF": offs,
        "O_TIER": np.array([tier for _, tier in opened], np.int64), "O_COST": _join([t.cost for t, _ in opened]),
    }  # fmt: skip


def _flat_most(most: list[tuple[MostMoved, int]], v: int) -> dict[str, Ints]:
    return {
        "N_TIER": np.array([tier for _, tier in most], np.int64),
        "N_PRICE": np.array([t.cost for t, _ in most], np.int64),
        "N_GROUP": np.array([t.group for t, _ in most], np.int64).reshape(len(most), v),
        "N_WIDTH": np.array([int(t.group.max(initial=-1)) + 1 for t, _ in most], np.int64),
    }  # fmt: skip


def _join(parts: list[Ints]) -> Ints:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def _by_vm(vms: Ints, v: int) -> tuple[Ints, Ints]:
    """Slices per VM: (V + 1,) starts, and the order that sorts memberships by VM."""
    order = np.argsort(vms, kind="stable")
    ptr = np.concatenate([[0], np.cumsum(np.bincount(vms, minlength=v))]).astype(np.int64)
    return ptr, order
