"""Why a VM stands where it was put: what every other host would cost, and which rules refuse it.

Everything is said with all other VMs where the placement puts them. Pure functions; the records turn into JSON with
`dataclasses.asdict`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints import GroupBudget, MoveBudget
from pro.placement.constraints.common import say_immovable
from pro.placement.language import Soft, cost
from pro.placement.part import only
from pro.placement.problem import Tier
from pro.placement.referee import MOVABLE
from pro.placement.whatif import RowAt, Standing, TiersAt
from pro.placement.words import say_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.language import Term
    from pro.placement.rules import Constraint
    from pro.placement.words import Unit


@dataclass(frozen=True)
class Refusal:
    """A rule that would be broken more than it is as placed. `amount` in the rule's unit. `spent`: it is a budget of migrations, of the fleet or
    of a group, whatever it is called."""

    rule: str
    amount: int
    text: str
    spent: bool = False


@dataclass(frozen=True)
class Change:
    """What a tier, or one goal of a tier that trades several, costs with the VM elsewhere, less what it costs as placed;
    `percent` of the latter, None if that is 0."""

    tier: str
    amount: int
    percent: float | None


@dataclass(frozen=True)
class Option:
    """One host for one VM. `chosen`: it is where the VM was put. `home`: it is where the VM stands today.

    `refusals` is empty when the VM may stand there. `changes`: the most important tier first. `text` says both in one
    sentence.
    """

    host: str
    host_name: str
    chosen: bool
    home: bool
    refusals: tuple[Refusal, ...]
    changes: tuple[Change, ...]
    text: str

    @property
    def allowed(self) -> bool:
        """Whether no rule refuses."""
        return not self.refusals


@dataclass(frozen=True)
class Explanation:
    """One VM and every host (of a large fleet: of its cluster). The option that is `home` says what happens when its migration is dropped."""

    vm: str
    vm_name: str
    home: str
    chosen: str
    options: tuple[Option, ...]

    @property
    def moved(self) -> bool:
        """Whether the VM was given another host."""
        return self.home != self.chosen

    @property
    def without(self) -> Option:
        """What happens when this VM alone stays at home: what its migration is good for."""
        return next(option for option in self.options if option.home)


def explain(
    fleet: Fleet,
    constraints: Sequence[Constraint],
    tiers: Sequence[Tier],
    host_of: Ints,
    vms: Sequence[int] | None = None,
    hosts_for: Callable[[int], Ints] | None = None,
    units: Mapping[str, Unit] | None = None,
) -> tuple[Explanation, ...]:
    """Explain the VMs `vms` (indices; None: those that `host_of` (V,) moves), with `tiers` as the engines saw them.

    `hosts_for`: the hosts (n,) that a VM is told about, rising; None: all. `units`: of every goal, for the words (see words.py).
    """
    standing = Standing(fleet.host_of, np.asarray(host_of, np.int64), fleet.n_hosts)
    asked = np.flatnonzero(standing.host_of != standing.home).tolist() if vms is None else list(vms)
    goals = _by_goal(tiers, standing.home)
    costs, totals = TiersAt(goals, standing), _totals(goals, standing)
    objections = Objections(fleet, constraints, standing)
    found = []
    for v in asked:
        hosts = np.arange(fleet.n_hosts) if hosts_for is None else hosts_for(v)
        changes = costs.changes(v, hosts)
        refusals = objections.to(v, hosts)
        options = tuple(
            _option(fleet, standing, (v, h), _changes(goals, totals, changes[:, k]), refusals[k], units or {})
            for k, h in enumerate(hosts.tolist())
        )
        home, chosen = fleet.hosts[standing.home[v]], fleet.hosts[standing.host_of[v]]
        found.append(Explanation(fleet.vms[v], fleet.vm_names[v], home, chosen, options))
    return tuple(found)


class Objections:
    """Which rules refuse a VM on which host."""

    def __init__(self, fleet: Fleet, constraints: Sequence[Constraint], standing: Standing) -> None:
        self._fleet, self._at = fleet, standing
        self._parts: dict[bytes, Fleet] = {}
        self._rules = [(rule, [RowAt(row, standing) for row in rule.rows(fleet)]) for rule in constraints]
        self._about: dict[int, list[tuple[int, RowAt]]] = {}
        for i, (_, rows) in enumerate(self._rules):
            for row in rows:
                for v in row.members:
                    self._about.setdefault(v, []).append((i, row))

    def to(self, v: int, hosts: Ints | None = None) -> list[tuple[Refusal, ...]]:
        """For every host, or every one of `hosts` (n,), the refusals to `v`, none for the host where it was put."""
        asked = np.arange(self._at.hosts) if hosts is None else hosts
        amounts = self.amounts(v)[:, asked]
        found: list[list[Refusal]] = [[] for _ in asked]
        if not self._fleet.movable[v]:
            text = say_immovable(self._fleet, v)
            for k, h in enumerate(asked.tolist()):
                if h != int(self._at.home[v]):
                    found[k].append(Refusal(MOVABLE, 1, text))
        for i, k in zip(*(x.tolist() for x in np.nonzero(amounts)), strict=True):
            words = self._words(i, v, int(asked[k]))
            rule = self._rules[i][0]
            found[k].append(Refusal(rule.name, int(amounts[i, k]), words, isinstance(rule, MoveBudget | GroupBudget)))
        return [tuple(refusals) for refusals in found]

    def amounts(self, v: int) -> Ints:
        """(rules, H) by how much each rule would be broken where `v` would go, 0 where it does not object."""
        amounts = np.zeros((len(self._rules), self._at.hosts), np.int64)
        for i, row in self._about.get(v, ()):
            amounts[i] += row.refuses(v)
        return amounts

    def _words(self, i: int, v: int, h: int) -> str:
        """The rule's own words for what `v` on `h` breaks and the placement does not.

        The rule is asked about the part of the fleet that its rows say matters there: a rule is plain and slow.
        """
        rule, rows = self._rules[i]
        part = np.unique(np.concatenate([[v], *(row.matters(v, h) for row in rows)])).astype(np.int64)
        fleet = self._only(part)
        there = self._at.host_of[part]
        before = rule.violations(fleet, there)
        there[part == v] = h
        vm, host = self._fleet.vms[v], self._fleet.hosts[h]
        after = rule.violations(fleet, there)
        return "; ".join(x.text for x in after if x not in before and (vm in x.vms or host in x.hosts))

    def _only(self, part: Ints) -> Fleet:
        """The fleet with these VMs alone; the last one asked for is kept, because hosts often share it."""
        key = part.tobytes()
        if key not in self._parts:
            self._parts = {key: only(self._fleet, part)}
        return self._parts[key]


def _by_goal(tiers: Sequence[Tier], home: Ints) -> list[Tier]:
    """The tiers, those that trade several goals against each other cut up by goal. Rules broken today are one goal."""
    told: list[Tier] = []
    for tier in tiers:
        soft = bool(tier.terms) and all(isinstance(term, Soft) for term in tier.terms)
        parts: dict[str, list[Term]] = {}
        for term in tier.terms:
            parts.setdefault(tier.name if soft and cost(term, home, home) else term.label, []).append(term)
        told += [Tier(name, tuple(terms)) for name, terms in parts.items()] if soft or len(parts) > 1 else [tier]
    return told


def _totals(tiers: Sequence[Tier], standing: Standing) -> list[int]:
    return [sum(cost(t, standing.home, standing.host_of) for t in tier.terms) for tier in tiers]


def _changes(tiers: Sequence[Tier], totals: list[int], amounts: Ints) -> tuple[Change, ...]:
    return tuple(
        Change(tier.name, int(amount), round(100 * int(amount) / total, 1) if total else None)
        for tier, total, amount in zip(tiers, totals, amounts, strict=True)
    )


def _option(
    fleet: Fleet, standing: Standing, pair: tuple[int, int], changes: tuple[Change, ...], refusals: tuple[Refusal, ...],
    units: Mapping[str, Unit],
) -> Option:  # fmt: skip
    v, h = pair
    chosen, home = h == int(standing.host_of[v]), h == int(standing.home[v])
    name = plain(fleet.host_names[h])
    if chosen:
        text = f"{name}: chosen" if not home else f"{name}: stays"
    elif refusals:
        text = f"{name}: refused, {'; '.join(f'{plain(r.rule)}: {r.text}' for r in refusals)}"
    else:
        text = f"{name}: allowed, {say_changes(((c.tier, c.amount, c.percent) for c in changes), units) or 'as good as the one chosen'}"
    return Option(fleet.hosts[h], fleet.host_names[h], chosen, home, refusals, changes, text)
