"""Rules that name nobody, or that nothing could ever satisfy."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pro.fleet.names import AMBIGUOUS, quoted
from pro.fleet.rule_kinds import KINDS, SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.fleet.fleet import RuleSpec
    from pro.fleet.names import Names
    from pro.fleet.tables import Inventory

Found = tuple[bool, str, int]
"""(is a warning, text, row of the rule)."""


def rule_problems(inventory: Inventory) -> Iterator[Found]:
    """Everything that is wrong with the rules of `inventory`."""
    vms, hosts = inventory.vm_names(), inventory.host_names()
    judge = _Judge(inventory)
    for row, rule in enumerate(inventory.rules):
        who = f"rule {quoted(rule.name)} ({rule.origin})" if rule.origin else f"rule {quoted(rule.name)}"
        yield from ((w, text, row) for w, text in _members(rule, who, vms, hosts))
        members = [r for r in vms.find_all(rule.members) if r >= 0]
        places = [r for r in hosts.find_all(rule.hosts) if r >= 0]
        yield from ((w, text, row) for w, text in judge.rule(rule, who, members, places))
    yield from judge.pairs(vms)
    yield from _owned_twice(inventory, vms, hosts)


def _members(rule: RuleSpec, who: str, vms: Names, hosts: Names) -> Iterator[tuple[bool, str]]:
    found = vms.find_all(rule.members)
    # Hosts stay dedicated while their tenants are still to come: see `snapshot`.
    empty = rule.kind == "dedicate" and AMBIGUOUS not in found
    so = "; its hosts are kept empty" if empty else ""
    if not rule.members and not (rule.kind in KINDS and KINDS[rule.kind].everybody):
        yield True, f"{who} names nobody{so}"
    for label, texts, names in (("VM", rule.members, vms), ("host", rule.hosts, hosts)):
        for text, row in zip(texts, names.find_all(texts), strict=True):
            if row < 0:
                what = "no known" if row == -1 else "more than one"
                yield True, f"{who} names {quoted(text)}, which is {what} {label}; it holds for the others"
    if rule.members and all(r < 0 for r in found):
        yield True, f"{who} names no VM that exists{so}"
    if rule.hosts and all(r < 0 for r in hosts.find_all(rule.hosts)):
        yield rule.kind == "ban" or rule.soft, f"{who} names no host that exists"


def _owned_twice(inventory: Inventory, vms: Names, hosts: Names) -> Iterator[Found]:
    """Hosts that two rules keep for different VMs."""
    names, ids = inventory.hosts["host"].tolist(), inventory.hosts["id"].tolist()
    owner: dict[int, tuple[RuleSpec, set[int]]] = {}
    for row, rule in enumerate(inventory.rules):
        if rule.kind != "dedicate" or rule.soft:
            continue
        tenants = set(vms.find_all(rule.members))
        for h in sorted({r for r in hosts.find_all(rule.hosts) if r >= 0}):
            other, others = owner.setdefault(h, (rule, tenants))
            if others != tenants:
                what = f"rule {quoted(rule.name)} and rule {quoted(other.name)} keep host {quoted(names[h], ids[h])}"
                yield True, f"{what} for different VMs; both cannot hold", row


class _Judge:
    """Knows who stands where, and tells what can never hold."""

    def __init__(self, inventory: Inventory) -> None:
        self.rules = inventory.rules
        self.names = inventory.vms["vm"].tolist()
        self.ids = inventory.vms["id"].tolist()
        self.hosts = inventory.hosts
        self.standing = inventory.standing()
        self.clusters = [c.strip().casefold() for c in inventory.hosts["cluster"].tolist()]
        self.reach: dict[str, list[int]] = defaultdict(list)
        for row, cluster in enumerate(self.clusters):
            self.reach[cluster].append(row)

    def reachable(self, vm: int) -> list[int]:
        """Rows of the hosts this VM could ever stand on: its cluster's, or its own host where there is no cluster."""
        host = self.standing[vm]
        if host < 0:
            return []
        return self.reach[self.clusters[host]] if self.clusters[host] else [host]

    def rule(self, rule: RuleSpec, who: str, members: list[int], places: list[int]) -> Iterator[tuple[bool, str]]:
        """What is wrong with one rule, beyond unknown names."""
        if rule.kind in ("spread", "gather", "limit"):
            yield from self._scoped(rule, who, members, places)
        elif rule.kind == "licence":
            yield from self._licensed(rule, who, members)
        elif places and rule.kind != "prefer":
            yield from self._placed(rule, who, members, set(places))

    def _items(self, scope: str) -> list[str]:
        return self.hosts["id" if scope == "host" else scope].tolist()

    def _scoped(self, rule: RuleSpec, who: str, members: list[int], places: list[int]) -> Iterator[tuple[bool, str]]:
        if rule.scope not in SCOPES:
            yield False, f"{who} has the scope {quoted(rule.scope)}; expected {' | '.join(SCOPES)}"
            return
        items = self._items(rule.scope)
        if not any(items):
            yield True, f"{who} is about each {rule.scope}, and no host says its {rule.scope}"
            return
        if rule.kind == "limit":
            yield from self._limited(rule, who, members if rule.members else range(len(self.names)), places)
        if rule.kind != "spread" or not members:
            return
        wanted = rule.least or len(members)
        if rule.least > len(members):
            yield True, f"{who} wants {wanted} {rule.scope}s for {len(members)} VMs; it cannot hold"
            return
        there = {items[h] for vm in members for h in self.reachable(vm)} - {""}
        if wanted > len(there):
            yield True, f"{who} wants {wanted} {rule.scope}s and its VMs can reach {len(there)}; it cannot hold"

    def _limited(
        self, rule: RuleSpec, who: str, members: Sequence[int], places: list[int]
    ) -> Iterator[tuple[bool, str]]:
        """Whether so many VMs have room in the scope items that they can reach, and elsewhere."""
        items = self._items(rule.scope)
        reach = {h for vm in members for h in self.reachable(vm)}
        if (places and reach - set(places)) or any(not items[h] for h in reach):
            return
        room = rule.most * len({items[h] for h in reach})
        if len(members) > room:
            yield True, f"{who} lets {room} VMs stand where its {len(members)} can go; it cannot hold"

    def _licensed(self, rule: RuleSpec, who: str, members: list[int]) -> Iterator[tuple[bool, str]]:
        cores = self.hosts["cores"].fillna(0).tolist()
        least = max((min((cores[h] for h in self.reachable(vm)), default=0) for vm in members), default=0)
        if least > rule.most:
            yield (
                True,
                f"{who} licenses {rule.most} cores, and the smallest host for one VM has {least}; it cannot hold",
            )

    def _placed(self, rule: RuleSpec, who: str, members: list[int], places: set[int]) -> Iterator[tuple[bool, str]]:
        for vm in members:
            reach = set(self.reachable(vm))
            left = reach - places if rule.kind == "ban" else reach & places
            if reach and not left:
                name = quoted(self.names[vm], self.ids[vm])
                yield True, f"{who} leaves VM {name} no host it can reach; it cannot hold for that VM"

    def pairs(self, vms: Names) -> Iterator[Found]:
        """VMs that one rule wants on one scope item and another on different ones."""
        together = [
            (i, r, set(vms.find_all(r.members))) for i, r in enumerate(self.rules) if r.kind == "gather" and not r.soft
        ]
        apart: dict[str, list[tuple[RuleSpec, set[int]]]] = defaultdict(list)
        for rule in self.rules:
            if rule.kind == "spread" and not rule.least and not rule.soft:
                apart[rule.scope].append((rule, set(vms.find_all(rule.members))))
        for row, rule, members in together:
            for other, others in apart[rule.scope]:
                both = sorted(m for m in members & others if m >= 0)
                if len(both) > 1:
                    names = ", ".join(quoted(self.names[m], self.ids[m]) for m in both)
                    text = (
                        f"rule {quoted(rule.name)} wants together what rule {quoted(other.name)} wants apart: {names}"
                    )
                    yield True, text, row
