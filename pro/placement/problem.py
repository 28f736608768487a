"""Problem: rules as rows, goals as tiers of terms, and the policy that nothing gets worse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, assert_never

import numpy as np

from pro.placement.language import Allow, AtLeast, Limit, Near, Row, Soft, Term, Together, broken, cost, counted
from pro.placement.rules import Constraint as Constraint
from pro.placement.rules import Violation as Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet


class Objective(Protocol):
    """Something that is better when smaller. `value` and `terms` say the same."""

    @property
    def name(self) -> str:
        """What people call the goal; also the label of its terms."""
        ...

    @property
    def unit(self) -> str:
        """What `value` counts, in words."""
        ...

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """The cost of `host_of`, computed in the plainest way."""
        ...

    def terms(self, fleet: Fleet, demand: Demand) -> Iterable[Term]:
        """Terms whose costs add up to `value`."""
        ...


@dataclass(frozen=True)
class Tier:
    """Terms that may be traded against each other. Tiers are compared in order, the first one first."""

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Stop:
    """When an engine stops: after `seconds` of wall time or `steps` accepted or tried rounds, whichever comes first.

    With the same seed and a `steps` limit that is reached before `seconds`, the answer is the same, always.
    """

    seconds: float = 5.0
    steps: int = 1_000_000_000


@dataclass(frozen=True)
class Problem:
    """What an engine sees. `rows` hold at `home` by construction; `tiers[0]` repairs what the true rules found broken.

    `home` (V,) where VMs stand, H hosts, `movable` (V,) VMs that may change host at all.
    """

    home: Ints
    hosts: int
    movable: NDArray[np.bool_]
    rows: tuple[Row, ...]
    tiers: tuple[Tier, ...]

    def costs(self, host_of: Ints) -> tuple[int, ...]:
        """The cost of every tier, comparable with `<`."""
        return tuple(sum(cost(t, self.home, host_of) for t in tier.terms) for tier in self.tiers)

    def feasible(self, host_of: Ints) -> bool:
        """Whether every row holds and nothing immovable moved."""
        moved = host_of != self.home
        if np.any(moved & ~self.movable):
            return False
        still = not moved.any()
        # Where no member moved, a row holds as it does at home.
        return all(broken(r, self.home, host_of) == 0 for r in self.rows if still or moved[members(r)].any())


def members(row: Row) -> Ints:
    """(n,) the VMs that `row` speaks of."""
    return np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms


class Engine(Protocol):
    """Improves a placement. Never returns one that is infeasible or costs more than `start`; engines chain."""

    @property
    def name(self) -> str:
        """What people call the engine."""
        ...

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        ...


def compile_problem(fleet: Fleet, rows: Sequence[Row], tiers: Sequence[Tier]) -> Problem:
    """Apply the never-worse policy: rules broken at home are repaired first, and never exceed today's level."""
    kept: list[Row] = []
    repair: list[Term] = []
    for row in rows:
        if broken(row, fleet.host_of, fleet.host_of):
            repair.append(Soft(row, 1, row.label))
        kept.extend(loosen(row, fleet.host_of))
    return Problem(
        home=fleet.host_of,
        hosts=fleet.n_hosts,
        movable=fleet.movable,
        rows=tuple(kept),
        tiers=(Tier("broken rules", tuple(repair)), *tiers),
    )


def loosen(row: Row, home: Ints) -> list[Row]:
    """`row` as it can be held from today on: where it is broken at `home`, today's level is its bound."""
    amount = broken(row, home, home)
    if amount == 0:
        return [row]
    match row:
        case Allow(vms, hosts, label):
            right = hosts[home[vms]]
            kept: list[Row] = [replace(row, vms=vms[right])] if right.any() else []
            for h in np.unique(home[vms[~right]]):
                stay = hosts.copy()
                stay[h] = True
                kept.append(Allow(vms[~right & (home[vms] == h)], stay, label))
            return kept
        case Limit():
            return [replace(row, upper=np.maximum(row.upper, counted(row, home, home)))]
        case AtLeast():
            return [replace(row, count=row.count - amount)]
        case Together():
            return [replace(row, most=row.most + amount)]
        case Near():
            return [replace(row, missing=row.missing + amount)]
        case _:
            assert_never(row)
