"""A Problem as a few hosts see it: their VMs may change places among them, everybody else stays where they stand.

What is cut out is again a Problem, exactly: a placement of it keeps its rows where the whole placement keeps the whole's rows, and
costs differ from today's as much. (The one exception is `MostMoved`, which becomes a Limit: the group that has most may not have more.)
Rows that cannot be broken from there are left out. A cut takes time by the rows of the VMs on its hosts, not by the size of the fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    add_by_item,
    counted,
)
from pro.placement.problem import Problem, Tier, members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Ints


@dataclass(frozen=True)
class Cut:
    """`problem`: VM i of the first `len(vms)` is VM `vms[i]` of the whole, host k of the first `len(hosts)` is host `hosts[k]`; what comes
    behind is only there to be counted. `start` is where they stand now; there all rows hold, but, unlike in other problems, perhaps not at
    home: that may be taken by those who stay."""

    vms: Ints
    hosts: Ints
    problem: Problem
    start: Ints


@dataclass(frozen=True)
class _Part:
    """A row, or a term of `tier`; `what` without the price, where it has one (`soft`). `scope` is the number of its scope.

    `use`, which changes: what Limit and Steps count (S, D); how many of its VMs stand in each scope item, item -1 first (S + 1,), of Near
    for both sides (2, S + 1); how many of each group have moved (G,) for MostMoved.
    """

    tier: int
    what: Row | Term
    soft: Soft | None
    scope: int
    use: Ints


@dataclass(frozen=True)
class _Touch:
    """A part, which VMs of a cut it concerns, and their places in it."""

    part: _Part
    which: Ints
    place: Ints


class Around:
    """The whole problem at a placement that changes, `host_of` (V,), and what its rows and terms count there."""

    def __init__(self, problem: Problem, start: Ints) -> None:
        self.problem, self.host_of = problem, start.astype(np.int64)
        self.scopes: list[Ints] = []
        self._known: dict[bytes, int] = {}
        parts = [self._part(-1, row) for row in problem.rows]
        for number, tier in enumerate(problem.tiers):
            parts += [self._part(number, term) for term in tier.terms if not isinstance(term, Linear)]
        self._parts = parts
        concern = [_concerned(part.what, len(start)) for part in parts]
        sizes = [len(vms) for vms in concern]
        flat = np.concatenate([np.zeros(0, np.int64), *concern])
        order = np.argsort(flat, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=len(start)))])
        self._number = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._place = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in sizes)])[order]

    def _part(self, tier: int, whole: Row | Term) -> _Part:
        soft = whole if isinstance(whole, Soft) else None
        what = soft.row if soft else whole
        scope = np.zeros(0, np.int64) if isinstance(what, Allow | Linear | MostMoved | Soft) else what.scope
        number = self._known.setdefault(scope.tobytes(), len(self.scopes))
        if number == len(self.scopes):
            self.scopes.append(scope)
        return _Part(tier, what, soft, number, _count(what, self.problem.home, self.host_of))

    def dear(self) -> NDArray[np.float64]:
        """(H,) what the use of each host costs, all tiers alike; of a scope item of several hosts each has the whole."""
        cost = np.zeros(self.problem.hosts)
        for part in self._parts:
            if isinstance(term := part.what, Steps):
                over = np.maximum(part.use - term.knots, 0)
                cost += np.append((term.slopes * over).sum(axis=(0, 2)), 0)[term.scope]
        return cost

    def put(self, vms: Ints, hosts: Ints) -> None:
        """VMs `vms` (n,) now stand on `hosts` (n,)."""
        changed = self.host_of[vms] != hosts
        vms, hosts = vms[changed], hosts[changed]
        touched = self._touched(vms)
        for sign in (-1, 1):
            for touch in touched:
                self._tally(touch, vms[touch.which], sign)
            self.host_of[vms] = hosts

    def cut(self, hosts: Ints) -> Cut:
        """What `hosts` (k,), all different, can do among themselves."""
        problem = self.problem
        chosen = np.zeros(problem.hosts, bool)
        chosen[hosts] = True
        vms = np.flatnonzero(chosen[self.host_of])
        view = _View(self, vms, hosts.astype(np.int64), self._touched(vms))
        rows: list[Row] = []
        terms: list[list[Term]] = [[] for _ in problem.tiers]
        if len(view.hosts) > len(hosts):
            free = np.flatnonzero(problem.movable[vms])
            rows.append(Allow(free, np.arange(len(view.hosts)) < len(hosts), "hosts of the cut"))
        for touch in view.touched:
            for piece in view.pieces(touch):
                if isinstance(piece, Steps | Opened):
                    terms[touch.part.tier].append(piece)
                elif touch.part.soft:
                    terms[touch.part.tier].append(replace(touch.part.soft, row=piece))
                else:
                    rows.append(piece)
        for tier, own in zip(problem.tiers, terms, strict=True):
            own.extend(view.linear(term) for term in tier.terms if isinstance(term, Linear))
        movable = np.concatenate([problem.movable[vms], np.zeros(len(view.ghosts), bool)])
        tiers = tuple(Tier(tier.name, tuple(own)) for tier, own in zip(problem.tiers, terms, strict=True))
        start = view.local[self.host_of[np.concatenate([vms, view.ghosts])]]
        return Cut(vms, hosts, Problem(view.home, len(view.hosts), movable, tuple(rows), tiers), start)

    def _touched(self, vms: Ints) -> list[_Touch]:
        """Rows and terms that concern some of `vms`."""
        counts = self._first[vms + 1] - self._first[vms]
        ends = np.cumsum(counts)
        at = np.repeat(self._first[vms] - ends + counts, counts) + np.arange(int(counts.sum()))
        number, which = self._number[at], np.repeat(np.arange(len(vms)), counts)
        order = np.argsort(number, kind="stable")
        numbers, first = np.unique(number[order], return_index=True)
        which, place, first = which[order], self._place[at[order]], np.append(first, len(order))
        return [
            _Touch(self._parts[n], which[a:b], place[a:b])
            for n, a, b in zip(numbers.tolist(), first[:-1].tolist(), first[1:].tolist(), strict=True)
        ]

    def _tally(self, touch: _Touch, vms: Ints, sign: int) -> None:
        """Count `vms` where they stand; `sign` -1: no longer."""
        what, use, host_of = touch.part.what, touch.part.use, self.host_of[vms]
        match what:
            case Limit() | Steps():
                for item, counts, weight in _counts(what, touch.place, self.problem.home[vms], host_of):
                    np.add.at(use, item[counts], sign * weight[counts])
            case MostMoved():
                np.add.at(use, what.group[vms[host_of != self.problem.home[vms]]], sign)
            case Near():
                np.add.at(use, (_side(what, touch.place), what.scope[host_of] + 1), sign)
            case AtLeast() | Together() | Opened():
                np.add.at(use, what.scope[host_of] + 1, sign)
            case _:
                pass


class _View:
    """What a cut sees: its `vms`; `ghosts` that stand elsewhere, in one of its scope items, and need one of `vms` beside them (`Near`);
    the chosen hosts and behind them those that are only some VM's home: `hosts`, of which `local` (H,) tells the numbers."""

    def __init__(self, around: Around, vms: Ints, chosen: Ints, touched: list[_Touch]) -> None:
        self.around, self.vms, self.touched, self._chosen = around, vms, touched, chosen
        self._items: dict[int, Ints] = {}
        self._own: dict[int, Ints] = {}
        self._scope: dict[int, Ints] = {}
        self.local = np.full(around.problem.hosts, -1, np.int64)
        self.local[chosen] = 0
        self.ghosts = self._ghosts()
        at_home = np.concatenate([around.problem.home[vms], around.host_of[self.ghosts]])
        self.hosts = np.concatenate([chosen, np.unique(at_home[self.local[at_home] < 0])])
        self.local[self.hosts] = np.arange(len(self.hosts))
        self.home = self.local[at_home]

    def items(self, scope: int) -> Ints:
        """(n,) scope items of the chosen hosts, ascending."""
        if scope not in self._items:
            items = np.unique(self.around.scopes[scope][self._chosen])
            self._items[scope] = items[items >= 0]
        return self._items[scope]

    def own(self, scope: int) -> Ints:
        """(vms,) the place of each VM's scope item among `items`, -1: none."""
        if scope not in self._own:
            self._own[scope] = _found(self.items(scope), self.around.scopes[scope][self.around.host_of[self.vms]])
        return self._own[scope]

    def scope(self, scope: int) -> Ints:
        """(hosts,) the place of each host's scope item among `items`, -1: none."""
        if scope not in self._scope:
            self._scope[scope] = _found(self.items(scope), self.around.scopes[scope][self.hosts])
        return self._scope[scope]

    def others(self, touch: _Touch) -> Ints:
        """(n,), of Near (2, n): how many that are none of `vms` stand in each of `items`."""
        own = self.own(touch.part.scope)[touch.which]
        others = touch.part.use[..., self.items(touch.part.scope) + 1]
        here = own >= 0
        if isinstance(touch.part.what, Near):
            np.subtract.at(others, (_side(touch.part.what, touch.place)[here], own[here]), 1)
        else:
            np.subtract.at(others, own[here], 1)
        return others

    def _ghosts(self) -> Ints:
        found = [np.zeros(0, np.int64)]
        for touch in self.touched:
            if isinstance(row := touch.part.what, Near):
                needy, served = self.others(touch)
                lonely = self.items(touch.part.scope)[(needy > 0) & (served == 0)]
                if len(lonely):
                    a = row.a[self.local[self.around.host_of[row.a]] < 0]
                    item = row.scope[self.around.host_of[a]]
                    a, item = a[np.isin(item, lonely)], item[np.isin(item, lonely)]
                    found.append(a[np.unique(item, return_index=True)[1]])
        return np.unique(np.concatenate(found))

    def pieces(self, touch: _Touch) -> Iterator[Row | Steps | Opened]:
        """What is left of a row or term; of a soft row without its price."""
        match touch.part.what:
            case Allow() as row:
                yield replace(row, vms=touch.which, hosts=row.hosts[self.hosts])
            case Limit() as row:
                yield from self._limit(row, touch)
            case Steps() as term:
                items = self.items(touch.part.scope)
                yield replace(term, vms=touch.which, weight=term.weight[touch.place], scope=self.scope(touch.part.scope),
                              base=self._base(term, touch), knots=term.knots[:, items], slopes=term.slopes[:, items])  # fmt: skip
            case AtLeast() as row:
                yield from self._at_least(row, touch)
            case Together() as row:
                yield from self._together(row, touch)
            case Near() as row:
                yield from self._near(row, touch)
            case Opened() as term:
                cost = np.where(self.others(touch) > 0, 0, term.cost[self.items(touch.part.scope)])
                yield replace(term, vms=touch.which, scope=self.scope(touch.part.scope), cost=cost)
            case MostMoved() as term:
                yield from self._most(term, touch)
            case Linear() | Soft():
                raise TypeError("a Linear is cut by `linear`, a Soft has no place inside another")
            case _ as never:
                assert_never(never)

    def linear(self, term: Linear) -> Linear:
        """The same term for the VMs here."""
        n = len(self.ghosts)
        away = np.concatenate([term.away[self.vms], np.zeros(n, np.int64)])
        if term.table is None or term.row_of is None:
            return replace(term, away=away)
        table = term.table[np.ix_(term.row_of[self.vms], self.hosts)]
        return replace(term, away=away, table=np.vstack([table, np.zeros((n, len(self.hosts)), np.int64)]),
                       row_of=np.arange(len(self.vms) + n))  # fmt: skip

    def _base(self, part: Limit | Steps, touch: _Touch) -> Ints:
        """(n, D) what is counted in each of `items` without `vms`."""
        items, vms, around = self.items(touch.part.scope), self.vms[touch.which], self.around
        base = touch.part.use[items]
        for item, counts, weight in _counts(part, touch.place, around.problem.home[vms], around.host_of[vms]):
            at = _found(items, item)
            here = counts & (at >= 0)
            np.subtract.at(base, at[here], weight[here])
        return base

    def _limit(self, row: Limit, touch: _Touch) -> Iterator[Limit]:
        base, weight = self._base(row, touch), row.weight[touch.place]
        upper = row.upper[self.items(touch.part.scope)]
        if (base + np.maximum(weight, 0).sum(axis=0) > upper).any():
            yield replace(
                row, vms=touch.which, weight=weight, scope=self.scope(touch.part.scope), base=base, upper=upper
            )

    def _at_least(self, row: AtLeast, touch: _Touch) -> Iterator[AtLeast]:
        taken, use = self.others(touch) > 0, touch.part.use
        elsewhere = int((use[1:] > 0).sum() - (use[self.items(touch.part.scope) + 1] > 0).sum())
        if (count := row.count - elsewhere - int(taken.sum())) > 0:
            yield replace(row, vms=touch.which, scope=_without(self.scope(touch.part.scope), taken), count=count)

    def _together(self, row: Together, touch: _Touch) -> Iterator[Together]:
        """Item -1 comes first, as an item like the others; who stands in an item of somebody else's pays nothing for it."""
        items, use, weight = self.items(touch.part.scope), touch.part.use, row.weighed()
        nowhere = use[0] - int((self.own(touch.part.scope)[touch.which] < 0).sum())
        taken = np.concatenate([[nowhere], self.others(touch)]) > 0
        here = np.concatenate([[-1], items]) + 1
        elsewhere = int(weight[use > 0].sum() - weight[here][use[here] > 0].sum())
        own = np.where(taken, 0, weight[here])
        if own.any():
            most = row.most - elsewhere - int(weight[here][taken].sum())
            scope = np.where(row.scope[self.hosts] < 0, 0, self.scope(touch.part.scope) + 1)
            yield replace(row, vms=touch.which, scope=scope, weight=own, most=most)

    def _near(self, row: Near, touch: _Touch) -> Iterator[Near]:
        (needy, served), use = self.others(touch) > 0, touch.part.use
        side = _side(row, touch.place)
        a = touch.which[side == 0]
        if served.all() or not (len(a) or needy.any()):
            return
        if len(self.ghosts) and (needy & ~served).any():
            a = np.concatenate([a, len(self.vms) + np.flatnonzero(np.isin(self.ghosts, row.a))])
        lonely = (use[0] > 0) & (use[1] == 0)
        elsewhere = int(lonely[1:].sum() - lonely[self.items(touch.part.scope) + 1].sum())
        yield replace(row, a=a, b=touch.which[side == 1], scope=_without(self.scope(touch.part.scope), served),
                      missing=row.missing - elsewhere)  # fmt: skip

    def _most(self, term: MostMoved, touch: _Touch) -> Iterator[Limit]:
        """The group that has most of those that moved may not have more."""
        vms, use = self.vms[touch.which], touch.part.use
        most, group = int(use.max(initial=0)), term.group[vms]
        moved = self.around.host_of[vms] != self.around.problem.home[vms]
        everywhere = np.where(np.arange(len(self.hosts)) < len(self._chosen), 0, -1)
        for g in np.unique(group).tolist():
            own = touch.which[group == g]
            others = int(use[g]) - int(moved[group == g].sum())
            if others + len(own) > most:
                one, base, upper = np.ones((len(own), 1), np.int64), np.array([[others]]), np.array([[most]])
                yield Limit(own, one, everywhere, base, upper, "moved", term.label)


def _concerned(part: Row | Term, vms: int) -> Ints:
    """(n,) the VMs that a row or term speaks of, each at its place in it."""
    match part:
        case Steps():
            return part.vms
        case Opened():
            return np.arange(vms) if part.vms is None else part.vms
        case MostMoved():
            return np.flatnonzero(part.group >= 0)
        case Linear() | Soft():
            return np.zeros(0, np.int64)
        case _:
            return members(part)


def _count(part: Row | Term, home: Ints, host_of: Ints) -> Ints:
    """What a part counts; see `_Part`."""
    match part:
        case Limit():
            return counted(part, home, host_of)
        case Steps():
            use = part.base.copy()
            use.flags.writeable = True
            add_by_item(use, part.scope[host_of[part.vms]], part.weight)
            return use
        case MostMoved():
            moved = part.group[(host_of != home) & (part.group >= 0)]
            return np.bincount(moved, minlength=int(part.group.max(initial=-1)) + 1)
        case Near():
            items = int(part.scope.max(initial=-1)) + 2
            return np.stack([np.bincount(part.scope[host_of[vms]] + 1, minlength=items) for vms in (part.a, part.b)])
        case AtLeast() | Together() | Opened():
            items = len(part.weighed()) if isinstance(part, Together) else int(part.scope.max(initial=-1)) + 2
            return np.bincount(part.scope[host_of[_concerned(part, len(home))]] + 1, minlength=items)
        case _:
            return np.zeros(0, np.int64)


def _counts(row: Limit | Steps, place: Ints, home: Ints, host_of: Ints) -> Iterator[tuple[Ints, Bools, Ints]]:
    """Scope items (n,), whether the VMs at `place`, which stand on `host_of`, are counted there, and what is counted (n, D)."""
    new, old, weight = row.scope[host_of], row.scope[home], row.weight[place]
    when = row.when if isinstance(row, Limit) else "after"
    moved = host_of != home
    yield new, (new >= 0) & moved if when == "moved" else new >= 0, weight
    if when == "during":
        yield old, moved & (old >= 0) & (old != new), weight


def _side(row: Near, place: Ints) -> Ints:
    """0: of `a`, 1: of `b`."""
    return (place >= len(row.a)).astype(np.int64)


def _found(items: Ints, wanted: Ints) -> Ints:
    """Places among `items`, which are ascending and not negative; -1: it is not there."""
    if not len(items):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(items, wanted), len(items) - 1)
    return np.where(items[at] == wanted, at, -1)


def _without(scope: Ints, taken: Bools) -> Ints:
    """`scope` with -1 for the items (n,) that are taken."""
    return np.where(np.append(taken, False)[scope], -1, scope)
