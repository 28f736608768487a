"""What a VM costs wherever it goes, for the bound by sources: giants that no host takes for nothing.

A VM pays its home for leaving and rewards whoever takes it with the same sum. As long as the reward is no more than what the
cheapest taker would ask, with the best choice of who leaves there to make room, no taker's least cost falls, and the home's
least cost rises: a dual ascent, one VM after the other. Any rewards would give a bound; these are worth their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pro.placement.engines.flat import classes
from pro.placement.language import Allow, Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pro.core.arrays import Ints
    from pro.placement.engines.sources import Site, Sites
    from pro.placement.problem import Problem

    Solved = tuple[int, bool]

TAKER_NODES = 2_000
"""Nodes that branch and bound gets for one VM on one host."""

NEVER = np.iinfo(np.int64).max // 8
COLUMNS = 16
"""So many of the dearest moments of a host are looked at when it is asked what a VM costs there."""

TOGETHER = 4
"""Hosts asked at a time."""

WORTH = 20
"""A VM is looked at when its cheapest arrival costs more than one part in so many of what it pays for leaving."""


def with_takers(
    problem: Problem, sites: Sites, hosts: Sequence[Site], solved: Sequence[Solved],
    each: Callable[..., Iterable[Any]], left: Callable[[], float],
) -> list[Solved]:  # fmt: skip
    """`solved`, the least cost of each of `hosts`, raised by what those who leave cost where they go."""
    if left() <= 0:
        return list(solved)
    reach = Reach(problem, sites)
    alone = {site.host: value for site, (value, _) in zip(hosts, solved, strict=True)}
    rewards = np.zeros(len(problem.home), np.int64)
    for v in _giants(sites, hosts, reach, left):
        if left() <= 0:
            break
        rewards[v] = _cheapest(v, sites, reach, rewards, alone, each, left)
    given = np.flatnonzero(rewards)
    again = []
    for site, before in zip(hosts, solved, strict=True):
        if not rewards[site.may].any() or left() <= 0:
            again.append(before)
            continue
        come = np.array([u for u in given.tolist() if site.host in reach.of(u)], np.int64)
        value, proven = sites.at(site.host, come, rewards).least(left)
        again.append((value, proven) if value >= before[0] else before)
    return again


class Reach:
    """On which hosts other than its own a VM may land, as far as that is certain."""

    def __init__(self, problem: Problem, sites: Sites) -> None:
        self._problem = problem
        rows = [r for r in problem.rows if isinstance(r, Allow)]
        self._class, self._allowed = classes(rows, len(problem.home), problem.hosts)
        self._limits = [(r, _always(r, problem)) for r in problem.rows if isinstance(r, Limit) and r.when != "moved"]
        self._at: dict[int, list[tuple[int, int]]] = {}
        for i, (row, _) in enumerate(self._limits):
            for k, v in enumerate(row.vms.tolist()):
                self._at.setdefault(v, []).append((i, k))
        self._known: dict[int, frozenset[int]] = {}
        self._sets: dict[frozenset[int], frozenset[int]] = {}
        self._peaks = [_peaks(t, w, problem) for t, w in sites.terms]
        self._sites = sites

    def of(self, v: int) -> frozenset[int]:
        """Hosts."""
        if v not in self._known:
            home = int(self._problem.home[v])
            may = self._allowed[self._class[v]].copy()
            may[home] = False
            for i, k in self._at.get(v, ()):
                row, always = self._limits[i]
                no = (row.scope >= 0) & ((always + row.weight[k] > row.upper).any(axis=1))[np.maximum(row.scope, 0)]
                may &= ~no | (row.scope == row.scope[home])
            found = frozenset(np.flatnonzero(may).tolist())
            # Most VMs of a host may go to the same hosts: one set for all of them.
            self._known[v] = self._sets.setdefault(found, found)
        return self._known[v]

    def arrival(self, v: int) -> dict[int, int]:
        """What use costs more on each host when v arrives at how it is today; {}: there is one that takes v for nothing."""
        hosts = np.array(sorted(self.of(v)), np.int64)
        asks = [(t, w[v], peaks) for (t, w), peaks in zip(self._sites.terms, self._peaks, strict=True)]
        dear = np.zeros(len(hosts), bool)
        for _, w, (peak, knot, _) in asks:
            dear |= peak[hosts] + int(w.max(initial=0)) > knot[hosts]
        if not dear.all():
            return {}
        cost = np.zeros(len(hosts), np.int64)
        for t, w, (_, _, use) in asks:
            item = t.scope[hosts]
            inside, s = item >= 0, item[item >= 0]
            over = use[s][None] - t.knots[:, s]
            more = t.slopes[:, s] * (np.maximum(over + w, 0) - np.maximum(over, 0))
            cost[inside] += more.sum(axis=(0, 2))
        return dict(zip(hosts.tolist(), cost.tolist(), strict=True))


def _always(row: Limit, problem: Problem) -> Ints:
    """(S, D) what is counted in each scope item whoever moves: while a VM moves, it counts at home, too."""
    use = row.base.copy()
    use.flags.writeable = True
    item = row.scope[problem.home[row.vms]]
    there = (item >= 0) & (~problem.movable[row.vms] | (row.when == "during"))
    np.add.at(use, item[there], row.weight[there])
    return use


def _peaks(term: Any, weight: Ints, problem: Problem) -> tuple[Ints, Ints, Ints]:
    """(H,) the greatest use of a host, (H,) the lowest knot that costs; (S, D) use today."""
    use = term.base.copy()
    use.flags.writeable = True
    item = term.scope[problem.home]
    np.add.at(use, item[item >= 0], weight[item >= 0])
    knot = np.where(term.slopes > 0, term.knots, NEVER).min(axis=(0, 2))
    s = np.maximum(term.scope, 0)
    return np.where(term.scope >= 0, use.max(axis=1)[s], -NEVER), np.where(term.scope >= 0, knot[s], NEVER), use


def _giants(sites: Sites, hosts: Sequence[Site], reach: Reach, left: Callable[[], float]) -> list[int]:
    """VMs on hosts that cost something which might leave, and which no host takes for nothing; the dearest first.

    Those that nobody can take at all do not leave: their price says so.
    """
    asked = []
    for site in hosts:
        if left() <= 0:
            return []
        over = site.use[None] - site.knots
        today = int((site.slopes * np.maximum(over, 0)).sum())
        for v, w, price in zip(site.may.tolist(), site.weight, site.leaving.tolist(), strict=True):
            saves = today - int((site.slopes * np.maximum(over - w, 0)).sum())
            if saves <= price:
                continue
            if not reach.of(v):
                asked.append((NEVER, v))
                continue
            costs = reach.arrival(v)
            if costs and min(costs.values()) * WORTH > max(int(sites.prices.leaves[v]), 1):
                asked.append((min(costs.values()), v))
    return [v for _, v in sorted(asked, key=lambda c: (-c[0], c[1]))]


def _cheapest(
    v: int, sites: Sites, reach: Reach, rewards: Ints, alone: dict[int, int],
    each: Callable[..., Iterable[Any]], left: Callable[[], float],
) -> int:  # fmt: skip
    """What the cheapest taker asks for v."""
    given = np.flatnonzero(rewards).tolist()

    costs = reach.arrival(v)
    if not costs:
        return 0 if reach.of(v) else NEVER // 8

    def site(h: int) -> Site:
        come = np.array([v, *(u for u in given if h in reach.of(u))], np.int64)
        return sites.at(h, come, rewards, forced=1)

    def asks(h: int) -> int:
        return site(h).narrow(COLUMNS).least(left, TAKER_NODES)[0] - idle[h]

    idle = {h: alone[h] if h in alone else sites.at(h).idle for h in costs}
    # A little less, for it is a float.
    glance = {h: 0.999 * (site(h).glance() - idle[h]) for h in costs}
    lowest, order = NEVER // 8, sorted(costs, key=lambda h: (glance[h], costs[h], h))
    for at in range(0, len(order), TOGETHER):
        some = [h for h in order[at : at + TOGETHER] if glance[h] < lowest]
        if left() <= 0 or lowest <= 0:
            return 0
        lowest = min([lowest, *each(asks, some)])
    return max(lowest, 0)
