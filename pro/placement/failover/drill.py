"""One fleet and its rules, made ready to let hosts fail: results per cluster, remembered for placements that agree on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.constraints import Capacity
from pro.placement.language import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pro.core.arrays import Bools, Ints
    from pro.fleet import Fleet
    from pro.placement.engines.restart import Restarts
    from pro.placement.rules import Constraint


MOST_SETS = 200_000
"""Sets of hosts of one cluster and size that are tried one and all; of more, as many are sampled."""

EFFORT = 1.0
"""Deterministic seconds CP-SAT may spend on one set of hosts."""

EFFORT_IN_ALL = 20.0
"""The same for one placement, unless told otherwise."""


@dataclass(frozen=True)
class Loss:
    """A set of hosts (indices) that leaves VMs down if it fails: at most `most` of them, at least `least`."""

    hosts: tuple[int, ...]
    most: int
    least: int


@dataclass(frozen=True)
class Found:
    """What was found out about one cluster: sets there are, sets tried, and those that leave somebody down."""

    sets: int
    checked: int
    losses: tuple[Loss, ...]
    quick: bool = False

    @property
    def amount(self) -> int:
        """VMs without a place, over all sets."""
        return sum(loss.most for loss in self.losses)

    @property
    def bar(self) -> int:
        """What another placement may leave without a place and be surely no worse: `amount`, but for a quick look, which may be too high, what is proven."""
        return sum(loss.least for loss in self.losses) if self.quick else self.amount


def binding(rules: Iterable[Constraint]) -> list[Constraint]:
    """The rules as they bind a restart. A rule that binds it otherwise than a migration says so by a method `at_restart`, which
    gives the rule that binds instead, or None. Of several reserves of one resource only the least binds."""
    found: list[Constraint] = []
    given = list(rules)
    reserves = [(r.resource, r.overcommit_percent, r) for r in given if isinstance(r, Capacity)]
    for rule in given:
        if isinstance(rule, Capacity) and any(
            (resource, percent) == (rule.resource, rule.overcommit_percent)
            and (other.reserve, other.reserve_percent) != (rule.reserve, rule.reserve_percent)
            and other.reserve <= rule.reserve
            and other.reserve_percent <= rule.reserve_percent
            for resource, percent, other in reserves
        ):
            continue
        ask = getattr(rule, "at_restart", None)
        bound = rule if ask is None else ask()
        if bound is not None:
            found.append(bound)
    return found


class Drill:
    """Rules of a fleet, compiled once; asked about placements again and again.

    Rows are those of the fleet as it stands: a placement that keeps to clusters and processors, and moves nothing off a host that
    says nothing of its networks and storage, has the same. `also_open` (H,):
    hosts that take restarts although the fleet says that they accept nothing. `effort`: deterministic seconds CP-SAT may spend
    on one placement; sets of hosts beyond it keep what the quick packing and the quick proofs say.
    """

    def __init__(
        self,
        fleet: Fleet,
        rules: Iterable[Constraint],
        also_open: Bools | None = None,
        effort: float = EFFORT_IN_ALL,
    ) -> None:
        from pro.placement.engines.restart import Restarts, Site

        if also_open is not None:
            fleet = replace(fleet, accepting=fleet.accepting | also_open)
        self.fleet = fleet
        self.effort = effort
        self.rules = binding(rules)
        groups = fleet.host_groups.get("cluster")
        self.cluster: Ints = np.full(fleet.n_hosts, -1, np.int64) if groups is None else groups.code.astype(np.int64)
        site = Site(fleet.highly_available, fleet.accepting & ~fleet.leaving, self.cluster)
        self.ready: Restarts = Restarts([row for rule in self.rules for row in rule.rows(fleet)], site)
        self.clusters: list[int] = np.unique(self.cluster[self.cluster >= 0]).tolist()
        home = self.cluster[fleet.host_of]
        self._inside: dict[int, Ints] = {c: np.flatnonzero(home == c) for c in self.clusters}
        self.tied = self._tie()
        self._known: dict[tuple[int, int, bytes], Found] = {}
        self._quick: dict[tuple[int, int, bytes], Found] = {}

    def _tie(self) -> dict[int, Ints]:
        """For each cluster, the VMs elsewhere on whose place its restarts depend too, through a rule they share."""
        home = self.cluster[self.fleet.host_of]
        own = np.arange(self.fleet.n_hosts)
        tied: dict[int, list[Ints]] = {c: [] for c in self.clusters}
        for row, members in zip(self.ready.rows, self.ready.members, strict=True):
            if isinstance(row, Limit) and np.array_equal(row.scope, own):
                continue
            touched = np.unique(home[members])
            if len(touched) > 1:
                for c in touched[touched >= 0].tolist():
                    tied[c].append(members)
        return {c: np.unique(np.concatenate(some)) if some else np.zeros(0, np.int64) for c, some in tied.items()}

    def touched(self, host_of: Ints) -> list[int]:
        """Clusters in which failures may end otherwise at `host_of` (V,) than today: those where some VM moved, or one tied to them."""
        moved = host_of != self.fleet.host_of
        near = set(self.cluster[self.fleet.host_of[moved]].tolist()) | set(self.cluster[host_of[moved]].tolist())
        return [c for c in self.clusters if c in near or moved[self.tied[c]].any()]

    def clusters_of(
        self, host_of: Ints, k: int, some: Sequence[int] | None = None, *, quick: bool = False
    ) -> dict[int, Found]:
        """For each cluster, or `some`, what happens when any `k` of its hosts, or fewer, fail while VMs stand at `host_of` (V,).

        `quick`: by the quick packing and the quick proofs alone, unless it is known better: never fewer VMs without a place than there are.
        """
        home = self.cluster[self.fleet.host_of]
        astray = bool((self.cluster[host_of] != home).any())
        effort = 0.0 if quick else self.effort
        result = {}
        for c in self.clusters if some is None else some:
            inside = np.flatnonzero((home == c) | (self.cluster[host_of] == c)) if astray else self._inside[c]
            key = (k, c, host_of.tobytes() if astray else host_of[inside].tobytes() + host_of[self.tied[c]].tobytes())
            kept = self._quick if quick and key not in self._known else self._known
            if key not in kept:
                found, spent = self._find(c, host_of, k, effort)
                effort = max(effort - spent, 0.0)
                kept[key] = replace(found, quick=quick)
            result[c] = kept[key]
        return result

    def _find(self, c: int, host_of: Ints, k: int, effort: float) -> tuple[Found, float]:
        hosts = np.flatnonzero(self.cluster == c).tolist()
        held = np.bincount(host_of, self.fleet.memory_mib * self.fleet.highly_available, minlength=self.fleet.n_hosts)
        restarted = np.bincount(host_of[self.fleet.highly_available], minlength=self.fleet.n_hosts)
        total, checked, spent = 0, 0, 0.0
        losses: list[Loss] = []
        for size in range(1, min(k, len(hosts)) + 1):
            sets = sets_of(hosts, size, held)
            total += comb(len(hosts), size)
            checked += len(sets)
            some = [s for s in sets if restarted[list(s)].any()]
            bounds = self.ready.drill(host_of, some)
            for n in np.flatnonzero(bounds[:, 0]).tolist():
                most, least = bounds[n].tolist()
                # Of one host people want to know how many VMs; of several, whether any.
                if least < most and spent < effort and (size == 1 or least == 0):
                    most, least, more = self._solve(host_of, some[n], (most, least), min(EFFORT, effort - spent))
                    spent += more
                if most:
                    losses.append(Loss(some[n], most, least))
        return Found(total, checked, tuple(losses)), spent

    def _solve(
        self, host_of: Ints, failed: tuple[int, ...], known: tuple[int, int], effort: float
    ) -> tuple[int, int, float]:
        from pro.placement.engines.restart_exact import solve

        solved = solve(self.ready, host_of, failed, self.ready.packed(host_of, failed), effort)
        most = min(known[0], solved.most)
        return most, min(max(known[1], solved.least), most), solved.effort

    def stands(self, host_of: Ints, loss: Loss) -> Ints:
        """(V,) where the best restarts known leave everybody, -1: down."""
        from pro.placement.engines.restart_exact import solve

        packed = self.ready.packed(host_of, loss.hosts)
        lost, _ = self.ready.lost(host_of, loss.hosts)
        if int((packed[lost] < 0).sum()) == loss.most:
            return packed
        return solve(self.ready, host_of, loss.hosts, packed, EFFORT).stands


def sets_of(hosts: Sequence[int], size: int, held: Ints) -> list[tuple[int, ...]]:
    """Every set of `size` hosts where these are at most `MOST_SETS`; else half of those among the fullest hosts, half at random.

    `held` (H,) is what there would be to restart.
    """
    if comb(len(hosts), size) <= MOST_SETS:
        return list(combinations(hosts, size))
    full = sorted(hosts, key=lambda h: (-held[h], h))
    some = size
    while comb(some + 1, size) <= MOST_SETS // 2:
        some += 1
    chosen = {tuple(sorted(s)) for s in combinations(full[:some], size)}
    rng = np.random.default_rng(1)
    while len(chosen) < MOST_SETS:
        picked = rng.permuted(np.tile(hosts, (1024, 1)), axis=1)[:, :size]
        chosen |= {tuple(sorted(s)) for s in picked.tolist()}
    return sorted(chosen)[:MOST_SETS] if len(chosen) > MOST_SETS else sorted(chosen)
