"""What if one VM stood elsewhere, all others as placed? Every host at once, by difference, exact in integers."""

from __future__ import annotations

from dataclasses import dataclass
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
    broken,
    counted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Bools, Ints
    from pro.placement.problem import Tier


@dataclass(frozen=True, eq=False)
class Standing:
    """A placement `host_of` (V,) beside `home` (V,), on `hosts` hosts: what "elsewhere" is compared with."""

    home: Ints
    host_of: Ints
    hosts: int

    def elsewhere(self, v: int, host: int) -> Ints:
        """(V,) the placement with `v` on `host`."""
        host_of = self.host_of.copy()
        host_of[v] = host
        return host_of


class RowAt:
    """One row, asked about one VM after another; what does not depend on the VM is computed once."""

    def __init__(self, row: Row, standing: Standing) -> None:
        self.row, self._at = row, standing
        self.amount = broken(row, standing.home, standing.host_of)
        """By how much the row is broken as placed."""
        self.members = _members(row)
        """VMs that the row is about; it refuses no other."""
        self._use = (
            counted(row, standing.home, standing.host_of) if isinstance(row, Limit) else np.zeros((0, 0), np.int64)
        )

    def broken(self, v: int) -> Ints:
        """(H,) by how much the row would be broken with `v` on each host."""
        if v not in self.members:
            return np.full(self._at.hosts, self.amount, np.int64)
        match self.row:
            case Allow(vms, hosts, _):
                wrong: Ints = np.where(hosts, 0, int((vms == v).sum()))
                return wrong + (self.amount - int(wrong[self._at.host_of[v]]))
            case Limit() as limit:
                lone, with_v, counts, item = self._limit(limit, v)
                extra: Ints = np.where(counts, (with_v - lone)[item], 0)
                home = limit.scope[self._at.home[v]]
                if limit.when == "during" and home >= 0:
                    extra = extra + np.where(limit.scope != home, (with_v - lone)[home], 0)
                return int(lone.sum()) + extra
            case AtLeast() | Together() | Near() as about_items:
                return self._by_item(about_items, v)
            case _:
                assert_never(self.row)

    def refuses(self, v: int) -> Ints:
        """(H,) by how much the row would be broken where `v` would go; 0 where nothing there gets worse than as placed."""
        if v not in self.members:
            return np.zeros(self._at.hosts, np.int64)
        if not isinstance(self.row, Limit):
            there = self.broken(v)
            return np.where(there > self.amount, there, 0)
        _, with_v, counts, item = self._limit(self.row, v)
        as_placed = _excess(self.row, self._use)
        return np.where(counts & (with_v > as_placed)[item], with_v[item], 0)

    def matters(self, v: int, h: int) -> Ints:
        """(n,) VMs that decide, as placed, whether the row holds for `v` on host `h`; `v` itself is understood."""
        if v not in self.members or isinstance(self.row, Allow):
            return np.zeros(0, np.int64)
        if isinstance(self.row, Near):
            return np.concatenate([self.row.a, self.row.b])
        vms = self.row.vms
        if not isinstance(self.row, Limit):
            return vms
        item = int(self.row.scope[h])
        here: Bools = self.row.scope[self._at.host_of[vms]] == item
        if self.row.when == "moved":
            here &= self._at.host_of[vms] != self._at.home[vms]
        if self.row.when == "during":
            here |= self.row.scope[self._at.home[vms]] == item
        some: Ints = vms[here]
        return some

    def _limit(self, row: Limit, v: int) -> tuple[Ints, Ints, Bools, Ints]:
        """(S,) excess of each item without `v`; (S,) with it; (H,) whether v counts on a host; (H,) its item."""
        home, now = int(self._at.home[v]), int(self._at.host_of[v])
        weight = row.weight[row.vms == v].sum(axis=0)
        counts = row.scope >= 0
        if row.when == "moved":
            counts = counts & (np.arange(self._at.hosts) != home)
        use = self._use.copy()
        if counts[now]:
            use[row.scope[now]] -= weight
        if row.when == "during" and row.scope[home] >= 0 and row.scope[home] != row.scope[now]:
            use[row.scope[home]] -= weight
        return _excess(row, use), _excess(row, use + weight), counts, np.maximum(row.scope, 0)

    def _by_item(self, row: AtLeast | Together | Near, v: int) -> Ints:
        """Rows about sets of scope items: one question for each scope item."""
        _, first, item = np.unique(row.scope, return_index=True, return_inverse=True)
        amounts = [broken(row, self._at.home, self._at.elsewhere(v, h)) for h in first.tolist()]
        return np.array(amounts, np.int64)[item]


class TermAt:
    """One term, asked about one VM after another."""

    def __init__(self, term: Term, standing: Standing) -> None:
        self._term, self._at = term, standing
        self._soft = [RowAt(term.row, standing)] if isinstance(term, Soft) else []
        self._use = _use(term, standing.host_of) if isinstance(term, Steps) else np.zeros((0, 0), np.int64)
        self._held = _held(term, standing.host_of) if isinstance(term, Opened) else np.zeros(0, np.int64)

    def change(self, v: int, hosts: Ints | None = None) -> Ints:
        """(H,) cost with `v` on each host less the cost as placed; with `hosts` (n,): (n,) on these."""
        asked = np.arange(self._at.hosts) if hosts is None else hosts
        if isinstance(self._term, Steps):
            there = self._steps(self._term, v, np.append(asked, self._at.host_of[v]))
            return there[:-1] - int(there[-1])
        there = self._there(v)
        return there[asked] - int(there[self._at.host_of[v]])

    def _there(self, v: int) -> Ints:
        """(H,) cost with `v` on each host, but for a constant."""
        home, now, every = int(self._at.home[v]), int(self._at.host_of[v]), np.arange(self._at.hosts)
        match self._term:
            case Linear(away, table, row_of, _):
                there: Ints = np.where(every != home, away[v], 0)
                return there if table is None or row_of is None else there + table[row_of[v]]
            case Steps() as steps:
                return self._steps(steps, v, every)
            case Opened(scope, cost, _, vms):
                if vms is not None and v not in vms:
                    return np.zeros(self._at.hosts, np.int64)
                others = self._held.copy()
                if scope[now] >= 0:
                    others[scope[now]] -= 1
                return np.where((scope >= 0) & (others[scope] == 0), cost[scope], 0)
            case MostMoved(group, price, _):
                moved = (self._at.host_of != self._at.home) & (group >= 0)
                moved[v] = False
                counts = np.bincount(group[moved], minlength=int(group.max(initial=-1)) + 1)
                stays = int(counts.max(initial=0))
                leaves = max(stays, int(counts[group[v]]) + 1) if group[v] >= 0 else stays
                return price * np.where(every != home, leaves, stays)
            case Soft(_, price, _):
                none = np.zeros(self._at.hosts, np.int64)
                return price * sum((row.broken(v) for row in self._soft), none)
            case _:
                assert_never(self._term)

    def _steps(self, term: Steps, v: int, hosts: Ints) -> Ints:
        weight = term.weight[term.vms == v].sum(axis=0)
        now = term.scope[self._at.host_of[v]]
        items, which = np.unique(np.maximum(term.scope[hosts], 0), return_inverse=True)
        use = self._use[items]
        if now >= 0:
            use[items == now] -= weight
        extra = _price(term, use + weight, items) - _price(term, use, items)
        return np.where(term.scope[hosts] >= 0, extra[which], 0)


class TiersAt:
    """All tiers, asked about one VM after another."""

    def __init__(self, tiers: Sequence[Tier], standing: Standing) -> None:
        self._tiers = [[TermAt(term, standing) for term in tier.terms] for tier in tiers]
        self._hosts = standing.hosts

    def changes(self, v: int, hosts: Ints | None = None) -> Ints:
        """(T, H) cost of every tier with `v` on each host less the cost as placed; with `hosts` (n,): (T, n) on these."""
        none = np.zeros(self._hosts if hosts is None else len(hosts), np.int64)
        changes = [sum((term.change(v, hosts) for term in terms), none) for terms in self._tiers]
        return np.array(changes, np.int64).reshape(len(changes), len(none))


def _members(row: Row) -> frozenset[int]:
    vms = np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms
    return frozenset(vms.tolist())


def _excess(row: Limit, use: Ints) -> Ints:
    excess: Ints = np.maximum(use - row.upper, 0).sum(axis=1)
    return excess


def _use(term: Steps, host_of: Ints) -> Ints:
    use = term.base.copy()
    at = term.scope[host_of[term.vms]]
    np.add.at(use, at[at >= 0], term.weight[at >= 0])
    return use


def _held(term: Opened, host_of: Ints) -> Ints:
    """(S,) number of VMs in each scope item, of those that the term is about."""
    items = term.scope[host_of if term.vms is None else host_of[np.unique(term.vms)]]
    return np.bincount(items[items >= 0], minlength=len(term.cost)).astype(np.int64)


def _price(term: Steps, use: Ints, items: Ints) -> Ints:
    """(n,) cost of `use` (n, D) in the scope items `items` (n,)."""
    price: Ints = (term.slopes[:, items] * np.maximum(use[None] - term.knots[:, items], 0)).sum(axis=(0, 2))
    return price
