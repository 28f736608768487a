"""Whether a plan holds: the independent checker, asked about everything that the plan was to keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.rules import Constraint
    from pro.planning.plan import Plan


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a plan, one sentence each, and which rules were asked about."""

    faults: tuple[str, ...]
    rules: tuple[str, ...]


def verify_plan(plan: Plan, store: Path, now: datetime | None) -> Verdict:
    """`verify` on the store's inventory, at `now`; if None, at the plan's own instant and on the inventory that it was made from."""
    from datetime import datetime as instant

    from pro.fleet.archive import load_inventory
    from pro.fleet.snapshot import snapshot

    at = now or instant.fromisoformat(plan.now)
    # Where nobody says "now", a plan is made from the newest inventory, which may be younger than the newest sample.
    known = plan.asked.get("inventory") if now is None else None
    seen = instant.fromisoformat(known) if known else at
    return verify(plan, snapshot(load_inventory(store, seen), at, leave_out=True))


def verify(plan: Plan, fleet: Fleet) -> Verdict:
    """Ask the independent checker about `plan`.

    About every rule that people wrote, and about what the plan's policy was told to keep: reserves, budgets, and that no wave leaves
    more VMs without a place than today when hosts fail. More are granted only in a cluster where the plan repairs a rule.
    """
    from pro.placement.constraints import build
    from pro.placement.failover import Failover
    from pro.planning.checker import check

    policy = {"failover": {"hosts": 0, "granted": {}}, **plan.policy}
    asked = policy.pop("failover")
    rules = build(fleet, **policy)
    names, between = [rule.name for rule in rules], []
    if asked["hosts"]:
        rule = Failover(asked["hosts"], rules)
        names.append(rule.name)
        if today := rule.allowed(fleet):
            repaired, clusters = _repaired(plan, fleet, rules), fleet.host_groups["cluster"].names
            for c, amount in today.items():
                granted = asked["granted"].get(clusters[c], 0) if c in repaired else 0
                between.append((rule.inside(fleet, c), max(amount, granted)))
    return Verdict(tuple(check(plan, fleet, rules, between=between)), tuple(dict.fromkeys(names)))


def _repaired(plan: Plan, fleet: Fleet, rules: Sequence[Constraint]) -> set[int]:
    """Clusters (codes) about which some rule is broken less when the plan is done than today."""
    ends = fleet.host_of.copy()
    for vm, host in plan.ends.items():
        if vm in fleet.vms and host in fleet.hosts:
            ends[fleet.vm_index(vm)] = fleet.host_index(host)
    found: set[int] = set()
    for rule in rules:
        less = _broken_in(rule, fleet, fleet.host_of)
        less.subtract(_broken_in(rule, fleet, ends))
        found |= {c for c, amount in less.items() if amount > 0}
    return found


def _broken_in(rule: Constraint, fleet: Fleet, host_of: Ints) -> Counter[int]:
    """Cluster (code) -> by how much `rule` is broken there; a VM counts where it stands today."""
    code, found = fleet.host_groups["cluster"].code, Counter[int]()
    for v in rule.violations(fleet, host_of):
        about = [fleet.host_index(h) for h in v.hosts] + [int(fleet.host_of[fleet.vm_index(vm)]) for vm in v.vms]
        found.update(dict.fromkeys({int(code[h]) for h in about}, v.amount))
    return found
