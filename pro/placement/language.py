"""The language between rules and engines: a few kinds of row, a few kinds of term.

Rules compile to rows, goals to terms; engines read rows and terms and know no rule. Everything is an integer, so the
referee, the local search and CP-SAT agree exactly. `home` is where every VM stands now, `host_of` where it would stand.

A *scope* maps hosts to scope items (a host itself, a rack, a site, the whole fleet): `scope[h]` is the item of host h,
-1 if the host is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

from pro.fleet import frozen

if TYPE_CHECKING:
    from pro.core.arrays import Bools, Ints


When = Literal["after", "during", "moved"]

MANY = 100_000
"""So many numbers are added up faster as a sparse product."""

NEVER = np.iinfo(np.int64).max


def _freeze(row: object, **dtypes: type) -> None:
    for name, dtype in dtypes.items():
        value = getattr(row, name)
        if value is not None:
            object.__setattr__(row, name, frozen(np.asarray(value), dtype))


@dataclass(frozen=True, eq=False)
class Allow:
    """These VMs may stand only on these hosts. `vms` (n,), `hosts` (H,) bool."""

    vms: Ints
    hosts: Bools
    label: str

    def __post_init__(self) -> None:
        _freeze(self, vms=np.int64, hosts=np.bool_)


@dataclass(frozen=True, eq=False)
class Limit:
    """In each scope item, `base` plus the counted weight stays at or under `upper`, in each of D dimensions.

    `vms` (n,), `weight` (n, D), `scope` (H,), `base` and `upper` (S, D). `when`:
    "after" counts VMs where they end; "during" counts a moving VM on both ends; "moved" counts only VMs that move,
    where they end. Weights are not negative (ValueError): so nobody breaks a Limit by leaving, and engines look only where a VM arrives.
    """

    vms: Ints
    weight: Ints
    scope: Ints
    base: Ints
    upper: Ints
    when: When
    label: str

    def __post_init__(self) -> None:
        _freeze(self, vms=np.int64, weight=np.int64, scope=np.int64, base=np.int64, upper=np.int64)
        n, d = self.weight.shape
        if n != len(self.vms) or self.base.shape != self.upper.shape or self.upper.shape[1] != d:
            raise ValueError(
                f"Limit {self.label!r}: weight {self.weight.shape}, base {self.base.shape}, "
                f"upper {self.upper.shape} do not fit {len(self.vms)} VMs"
            )
        if self.weight.min(initial=0) < 0:
            raise ValueError(f"Limit {self.label!r}: a weight must not be negative, or who leaves could break it")


@dataclass(frozen=True, eq=False)
class AtLeast:
    """These VMs stand in at least `count` different scope items."""

    vms: Ints
    scope: Ints
    count: int
    label: str

    def __post_init__(self) -> None:
        _freeze(self, vms=np.int64, scope=np.int64)


@dataclass(frozen=True, eq=False)
class Together:
    """These VMs all stand in one scope item (or in at most `most`).

    With `weight` (S,), not negative: the scope items that hold any of them weigh at most `most` in all (licences: cores
    of the hosts that hold any member); a host of no item weighs nothing. Without it each item weighs 1, and so do the
    hosts of no item, all together.
    """

    vms: Ints
    scope: Ints
    label: str
    most: int = 1
    weight: Ints | None = None

    def __post_init__(self) -> None:
        _freeze(self, vms=np.int64, scope=np.int64, weight=np.int64)
        if self.weight is not None and (
            len(self.weight) <= self.scope.max(initial=-1) or self.weight.min(initial=0) < 0
        ):
            raise ValueError(f"Together {self.label!r}: weights are one number per scope item and not negative")

    def weighed(self) -> Ints:
        """(S + 1,) what each scope item weighs that holds a member, item -1 first."""
        if self.weight is None:
            return np.ones(int(self.scope.max(initial=-1)) + 2, np.int64)
        return np.concatenate([np.zeros(1, np.int64), self.weight])


@dataclass(frozen=True, eq=False)
class Near:
    """In every scope item that holds some VM of `a` there is also some VM of `b`; `missing` items may lack one."""

    a: Ints
    b: Ints
    scope: Ints
    label: str
    missing: int = 0

    def __post_init__(self) -> None:
        _freeze(self, a=np.int64, b=np.int64, scope=np.int64)


Row = Allow | Limit | AtLeast | Together | Near


@dataclass(frozen=True, eq=False)
class Linear:
    """A cost per VM and host: `away[v]` when v leaves home, plus `table[row_of[v], h]`.

    `away` (V,); `table` (C, H) and `row_of` (V,) or both None. VMs of one class share a row of the table.
    """

    away: Ints
    table: Ints | None
    row_of: Ints | None
    label: str

    def __post_init__(self) -> None:
        _freeze(self, away=np.int64, table=np.int64, row_of=np.int64)


@dataclass(frozen=True, eq=False)
class Steps:
    """A piecewise linear cost of use: in scope item s and dimension d, sum over j of `slopes[j,s,d] * max(0, use - knots[j,s,d])`.

    `use` is `base[s,d]` plus the weight of the VMs that stand there. `vms` (n,), `weight` (n, D), `scope` (H,), `base`
    (S, D), `knots` and `slopes` (J, S, D). A slope is what is added to the slope beyond its knot: with none negative the
    cost is convex (heat, safety capacity), with some it may be anything that is linear between integers (power curves,
    sawteeth of what is left over). Weights may be negative: the goal `Ratio(r1, r2, target)`, so much of r2 left for
    each unit of r1, is a Steps whose weight is `need[r2] - target * need[r1]`.
    """

    vms: Ints
    weight: Ints
    scope: Ints
    base: Ints
    knots: Ints
    slopes: Ints
    label: str

    def __post_init__(self) -> None:
        _freeze(self, vms=np.int64, weight=np.int64, scope=np.int64, base=np.int64, knots=np.int64, slopes=np.int64)
        if self.knots.shape != self.slopes.shape or self.knots.shape[1:] != self.base.shape:
            raise ValueError(
                f"Steps {self.label!r}: knots {self.knots.shape}, slopes {self.slopes.shape}, "
                f"base {self.base.shape} do not fit"
            )

    @property
    def convex(self) -> bool:
        """Whether no slope is negative, so that the cost of a mean is at most the mean of the costs."""
        return bool((self.slopes >= 0).all())


@dataclass(frozen=True, eq=False)
class Opened:
    """`cost[s]` for each scope item that holds at least one of the VMs `vms` (n,), None: of the fleet (licences, hosts on).

    `scope` (H,), `cost` (S,), not negative.
    """

    scope: Ints
    cost: Ints
    label: str
    vms: Ints | None = None

    def __post_init__(self) -> None:
        _freeze(self, scope=np.int64, cost=np.int64, vms=np.int64)
        if self.cost.min(initial=0) < 0:
            raise ValueError(f"Opened {self.label!r}: a cost must not be negative")


@dataclass(frozen=True, eq=False)
class MostMoved:
    """`cost` times the number of moved VMs in the group that has most of them. `group` (V,), -1: no group."""

    group: Ints
    cost: int
    label: str

    def __post_init__(self) -> None:
        _freeze(self, group=np.int64)


@dataclass(frozen=True, eq=False)
class Soft:
    """`price` for every unit by which `row` is broken: a soft rule, or a broken one that is to be repaired."""

    row: Row
    price: int
    label: str


Term = Linear | Steps | Opened | MostMoved | Soft


def counted(row: Limit, home: Ints, host_of: Ints) -> Ints:
    """(S, D) what `row` counts in each scope item, base included."""
    use = row.base.copy()
    use.flags.writeable = True
    new, old = row.scope[host_of[row.vms]], row.scope[home[row.vms]]
    moved = host_of[row.vms] != home[row.vms]
    here = new >= 0
    if row.when == "moved":
        here &= moved
    add_by_item(use, np.where(here, new, -1), row.weight)
    if row.when == "during":
        leaving = moved & (old >= 0) & (old != new)
        np.add.at(use, old[leaving], row.weight[leaving])
    return use


def add_by_item(use: Ints, item: Ints, weight: Ints) -> None:
    """Add row i of `weight` (n, D) to row `item[i]` of `use` (S, D), in place; -1: to none."""
    here = item >= 0
    if not here.all():
        item, weight = item[here], weight[here]
    if weight.size < MANY:
        np.add.at(use, item, weight)
        return
    from scipy.sparse import csr_array

    # Several times as fast as `np.add.at`, and exact: integers.
    ones = np.ones(len(item), np.int64)
    use += csr_array((ones, item, np.arange(len(item) + 1)), shape=(len(item), len(use))).T @ weight


def broken(row: Row, home: Ints, host_of: Ints) -> int:
    """By how much `host_of` breaks `row`; 0 when it holds.

    Allow: VMs on hosts they may not use. Limit: weight above `upper`, summed. AtLeast: scope items missing. Together:
    scope items, or their weight, beyond `most`. Near: scope items with an `a` and no `b`, beyond `missing`.
    """
    match row:
        case Allow(vms, hosts, _):
            return int((~hosts[host_of[vms]]).sum())
        case Limit():
            return int(np.maximum(counted(row, home, host_of) - row.upper, 0).sum())
        case AtLeast(vms, scope, count, _):
            return max(count - len(set(scope[host_of[vms]].tolist()) - {-1}), 0)
        case Together(vms, scope, _, most):
            items = list(set(scope[host_of[vms]].tolist()))
            weight = len(items) if row.weight is None else int(row.weighed()[np.array(items, np.int64) + 1].sum())
            return max(weight - most, 0)
        case Near(a, b, scope, _, missing):
            lonely = set(scope[host_of[a]].tolist()) - set(scope[host_of[b]].tolist()) - {-1}
            return max(len(lonely) - missing, 0)
        case _:
            assert_never(row)


def cost(term: Term, home: Ints, host_of: Ints) -> int:
    """What `host_of` costs under `term`."""
    match term:
        case Linear(away, table, row_of, _):
            total = int(away[host_of != home].sum())
            if table is not None and row_of is not None:
                total += int(table[row_of, host_of].sum())
            return total
        case Steps():
            use = term.base.copy()
            use.flags.writeable = True
            add_by_item(use, term.scope[host_of[term.vms]], term.weight)
            # Most scope items are under their lowest knot: only the others are looked at moment by moment.
            dear = (use > term.knots.min(axis=0, initial=NEVER)).any(axis=1)
            over = use[None, dear] - term.knots[:, dear]
            return int((term.slopes[:, dear] * np.maximum(over, 0)).sum())
        case Opened(scope, price, _, vms):
            items = np.unique(scope[host_of if vms is None else host_of[vms]])
            return int(price[items[items >= 0]].sum())
        case MostMoved(group, price, _):
            moved = group[(host_of != home) & (group >= 0)]
            return int(price * np.bincount(moved).max()) if len(moved) else 0
        case Soft(row, price, _):
            return price * broken(row, home, host_of)
        case _:
            assert_never(term)
