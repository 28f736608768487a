"""When a rule stays broken: what stands in the way of repairing it, and whom to ask.

Looks at single migrations: for every VM that breaks the rule and every host where it would break it less, which other
rules refuse. Repairs that need two migrations at once are not searched here; engines have tried those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.explain import Objections
from pro.placement.referee import MOVABLE
from pro.placement.whatif import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.fleet import Fleet
    from pro.placement.rules import Constraint, Ints, Violation

MOST_WAYS = 20
"""Ways out that are listed for one violation, those that need least first."""


@dataclass(frozen=True)
class Way:
    """A migration that would repair something (ids), and the rules that refuse it."""

    vm: str
    host: str
    refused_by: tuple[str, ...]


@dataclass(frozen=True)
class Blockage:
    """A violation that stayed. `relax` is the smallest set of rules of which the relaxing would let one migration
    lessen it; empty when none refuses (then it was not worth it, or there was no time) or when no migration helps.

    `owners` are those of the broken rule and of `relax`, as far as the rules name them.
    """

    violation: Violation
    ways: tuple[Way, ...]
    relax: tuple[str, ...]
    owners: tuple[str, ...]
    text: str


def blockages(fleet: Fleet, constraints: Sequence[Constraint], host_of: Ints) -> tuple[Blockage, ...]:
    """One record for every violation of `host_of` (V,)."""
    standing = Standing(fleet.host_of, np.asarray(host_of, np.int64), fleet.n_hosts)
    objections = Objections(fleet, constraints, standing)
    owner = {rule.name: rule.owner for rule in fleet.rules if rule.owner}
    found = []
    for i, rule in enumerate(constraints):
        for violation in rule.violations(fleet, host_of):
            ways = _ways(fleet, constraints, objections, i, violation)
            relax = ways[0].refused_by if ways else ()
            names = dict.fromkeys((rule.name, *relax))
            owners = tuple(dict.fromkeys(owner[name] for name in names if name in owner))
            found.append(Blockage(violation, ways, relax, owners, _say(fleet, violation, ways)))
    return tuple(found)


def _ways(
    fleet: Fleet, constraints: Sequence[Constraint], objections: Objections, i: int, violation: Violation
) -> tuple[Way, ...]:
    """Migrations that lessen rule `i`, those that the fewest rules refuse first."""
    ways = []
    for vm in violation.vms:
        v = fleet.vm_index(vm)
        hosts = np.flatnonzero(objections.broken(i, v) < objections.amount_as_placed(i))
        amounts = objections.amounts(v)
        fewest = hosts[np.argsort((amounts[:, hosts] > 0).sum(axis=0), kind="stable")][:MOST_WAYS]
        for h in fewest.tolist():
            refused = [constraints[j].name for j in np.flatnonzero(amounts[:, h]).tolist()]
            if not fleet.movable[v]:
                refused.insert(0, MOVABLE)
            ways.append(Way(vm, fleet.hosts[h], tuple(dict.fromkeys(refused))))
    return tuple(sorted(ways, key=lambda way: len(way.refused_by))[:MOST_WAYS])


def _say(fleet: Fleet, violation: Violation, ways: tuple[Way, ...]) -> str:
    if not ways:
        return f"{plain(violation.rule)}: {violation.text}; no single migration helps"
    first = ways[0]
    vm = plain(fleet.vm_names[fleet.vm_index(first.vm)])
    host = plain(fleet.host_names[fleet.host_index(first.host)])
    if not first.refused_by:
        return f"{plain(violation.rule)}: {violation.text}; {vm} to {host} would help and no rule refuses it"
    rules = " and ".join(plain(name) for name in first.refused_by)
    return f"{plain(violation.rule)}: {violation.text}; {vm} to {host} would help, but {rules} refuse{'s' * (len(first.refused_by) == 1)} it"
