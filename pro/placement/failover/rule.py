"""Failover as a rule: what may fail today may fail after the plan, and after each of its waves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.failover.drill import Drill
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.failover.drill import Found
    from pro.placement.language import Row
    from pro.placement.rules import Constraint

EFFORT = 3.0
"""Deterministic seconds CP-SAT may spend on one placement, since many are asked about."""

KEPT = 2
"""Fleets whose rules stay compiled."""


class Failover:
    """Any `k` hosts of one cluster, or fewer, may fail: the VMs on them are restarted elsewhere in it by all `rules`.

    It is made of the other rules and has no rows of its own: whether the VMs of a failed host can be packed is no sum of what
    stands where. So it is no member of the catalogue, and its law is its own: what `place` returns has in no cluster more VMs
    without a place than today, unless by repairing a broken rule, and no wave of a plan ends in more. `also_open` are ids of hosts that take restarts, whatever the
    fleet says.
    """

    def __init__(self, k: int, rules: Iterable[Constraint], also_open: Sequence[str] = ()) -> None:
        if k < 1:
            raise ValueError(f"k must be 1 or more, got {k}")
        self.k = k
        self.rules = tuple(rules)
        self.also_open = tuple(also_open)
        self.name = f"N+{k} failover"
        self._drills: list[tuple[Fleet, Drill]] = []

    def drill(self, fleet: Fleet) -> Drill:
        """The rules compiled for `fleet`; kept for the last fleets that were asked about."""
        for known, drill in self._drills:
            if known is fleet:
                return drill
        opened = np.isin(np.array(fleet.hosts, object), list(self.also_open)) if self.also_open else None
        drill = Drill(fleet, self.rules, opened, EFFORT)
        self._drills = [(fleet, drill), *self._drills][:KEPT]
        return drill

    def levels(
        self, fleet: Fleet, host_of: Ints, some: Sequence[int] | None = None, *, quick: bool = False
    ) -> dict[int, Found]:
        """What happens in each cluster (code), or in `some` of them, when hosts fail; `quick`: at most so bad."""
        return self.drill(fleet).clusters_of(np.asarray(host_of, np.int64), self.k, some, quick=quick)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One for every set of hosts that cannot fail; `amount` is the number of VMs without a place."""
        found = []
        for level in self.levels(fleet, host_of).values():
            for loss in level.losses:
                hosts = " and ".join(plain(fleet.host_names[h]) for h in loss.hosts)
                sure = "would" if loss.least else "may"
                text = (
                    f"{hosts} {sure} leave {loss.most:,} VM{'s' * (loss.most > 1)} without a place in case of failure"
                )
                ids = tuple(fleet.hosts[h] for h in loss.hosts)
                found.append(Violation(self.name, text, loss.most, (), ids))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Row]:
        """None."""
        yield from ()

    def worse(
        self,
        fleet: Fleet,
        host_of: Ints,
        granted: Ints | None = None,
        some: Sequence[int] | None = None,
        *,
        quick: bool = False,
    ) -> list[int]:
        """Clusters (codes), all or of `some`, in which more VMs would be without a place than at `fleet.host_of`, and than at `granted`;
        `quick`: or might be."""
        if some is None:
            # Where nothing moved, nothing is worse.
            some = self.drill(fleet).touched(np.asarray(host_of, np.int64))
        then = {c: found.amount for c, found in self.levels(fleet, host_of, some, quick=quick).items() if found.amount}
        # Where everybody finds a place, it does not matter how it is today.
        allowed = self.allowed(fleet, granted, list(then), quick=quick)
        return [c for c in then if then[c] > allowed[c]]

    def allowed(
        self, fleet: Fleet, granted: Ints | None = None, some: Sequence[int] | None = None, *, quick: bool = False
    ) -> dict[int, int]:
        """For each cluster (code), as many VMs without a place as today, or as at `granted` (V,) if that is more; `quick`: or fewer."""
        levels = [self.levels(fleet, x, some, quick=quick) for x in (fleet.host_of, granted) if x is not None]
        return {c: max(level[c].bar for level in levels) for c in levels[0]}

    def between(self, fleet: Fleet, granted: Ints) -> list[tuple[Inside, int]]:
        """The rule in each cluster alone, with the amount by which it may be broken on the way to `granted` (V,)."""
        return [(self.inside(fleet, c), amount) for c, amount in self.allowed(fleet, granted).items()]

    def inside(self, fleet: Fleet, cluster: int) -> Inside:
        """The rule in one cluster (code) alone."""
        return Inside(self, cluster, f"{self.name} of cluster {plain(fleet.host_groups['cluster'].names[cluster])}")

    def granted(self, fleet: Fleet, host_of: Ints) -> dict[str, int]:
        """Cluster -> VMs without a place at `host_of` (V,), where these are more than today."""
        today, then = self.levels(fleet, fleet.host_of), self.levels(fleet, host_of)
        names = fleet.host_groups["cluster"].names if today else ()
        return {names[c]: then[c].amount for c in today if then[c].amount > today[c].amount}


class Inside:
    """`Failover` in one cluster (code)."""

    def __init__(self, rule: Failover, cluster: int, name: str) -> None:
        self.rule, self.cluster, self.name = rule, cluster, name

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """Those of the rule that are about this cluster."""
        codes = fleet.host_groups["cluster"].code
        found = self.rule.violations(fleet, host_of)
        return [v for v in found if int(codes[fleet.host_index(v.hosts[0])]) == self.cluster]

    def rows(self, fleet: Fleet) -> Iterator[Row]:
        """None."""
        yield from ()
