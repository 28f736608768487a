"""Rules that name nobody, or that nothing could ever satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.fleet.names import AMBIGUOUS, quoted
from pro.fleet.rule_conflicts import rule_conflicts
from pro.fleet.rule_kinds import KINDS, SCOPES
from pro.fleet.rule_reach import Whereabouts, who

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pro.fleet.fleet import RuleSpec
    from pro.fleet.names import Names
    from pro.fleet.rule_reach import Hosts
    from pro.fleet.tables import Inventory

Found = tuple[bool, str, int]
"""(is a warning, text, row of the rule)."""


def rule_problems(inventory: Inventory) -> Iterator[Found]:
    """Everything that is wrong with the rules of `inventory`."""
    vms, hosts = inventory.vm_names(), inventory.host_names()
    at = Whereabouts(inventory)
    judge = _Judge(at)
    for row, rule in enumerate(inventory.rules):
        yield from ((w, text, row) for w, text in _members(rule, who(rule), vms, hosts))
        yield from ((w, text, row) for w, text in judge.rule(rule, who(rule), at.members[row], at.places[row]))
    yield from ((True, text, row) for text, row in rule_conflicts(at))


def _members(rule: RuleSpec, named: str, vms: Names, hosts: Names) -> Iterator[tuple[bool, str]]:
    found = vms.find_all(rule.members)
    # Hosts stay dedicated while their tenants are still to come: see `snapshot`.
    empty = rule.kind == "dedicate" and not rule.soft and AMBIGUOUS not in found
    so = "; nobody is sent to its hosts" if empty else ""
    if not rule.members and not (rule.kind in KINDS and KINDS[rule.kind].everybody):
        yield True, f"{named} names nobody{so}"
    for label, texts, names in (("VM", rule.members, vms), ("host", rule.hosts, hosts)):
        for text, row in zip(texts, names.find_all(texts), strict=True):
            if row < 0:
                what = "no known" if row == -1 else "more than one"
                yield True, f"{named} names {quoted(text)}, which is {what} {label}; it holds for the others"
    if rule.members and all(r < 0 for r in found):
        yield True, f"{named} names no VM that exists{so}"
    if rule.hosts and all(r < 0 for r in hosts.find_all(rule.hosts)):
        yield rule.kind == "ban" or rule.soft, f"{named} names no host that exists"


class _Judge:
    """Tells what one rule asks that can never hold."""

    def __init__(self, at: Whereabouts) -> None:
        self.at = at

    def rule(self, rule: RuleSpec, named: str, members: Hosts, places: Hosts) -> Iterator[tuple[bool, str]]:
        """What is wrong with one rule, beyond unknown names."""
        if rule.kind in ("spread", "gather", "limit"):
            yield from self._scoped(rule, named, members, places)
        elif rule.kind == "licence":
            yield from self._licensed(rule, named, members)
        elif places and rule.kind != "prefer":
            yield from self._placed(rule, named, members, places)

    def _scoped(self, rule: RuleSpec, named: str, members: Hosts, places: Hosts) -> Iterator[tuple[bool, str]]:
        if rule.scope not in SCOPES:
            yield False, f"{named} has the scope {quoted(rule.scope)}; expected {' | '.join(SCOPES)}"
            return
        if not any(label.strip() for label in self.at.hosts["id" if rule.scope == "host" else rule.scope].tolist()):
            yield (
                True,
                f"{named} is about each {rule.scope}, and no host says its {rule.scope}; each counts as one of its own",
            )
        if rule.kind == "limit":
            yield from self._limited(rule, named, members if rule.members else range(len(self.at.names)), places)
        elif rule.kind == "gather":
            yield from self._gathered(rule, named, members)
        elif members:
            yield from self._spread(rule, named, members)

    def _spread(self, rule: RuleSpec, named: str, members: Hosts) -> Iterator[tuple[bool, str]]:
        if rule.least > len(members):
            yield (
                True,
                f"{named} wants {rule.least} {rule.scope}s for {len(members)} VMs; as many as there are VMs will do",
            )
        wanted = min(rule.least or len(members), len(members))
        there = self.at.items(rule.scope, self._reach(members))
        if len(there) < wanted and all(self.at.reachable(vm) for vm in members):
            yield True, f"{named} wants {wanted} {rule.scope}s and its VMs can reach {len(there)}; it cannot hold"

    def _gathered(self, rule: RuleSpec, named: str, members: Hosts) -> Iterator[tuple[bool, str]]:
        stand = [vm for vm in sorted(members) if self.at.reachable(vm)]
        items = {vm: self.at.items(rule.scope, self.at.reachable(vm)) for vm in stand}
        if stand and not frozenset.intersection(*items.values()):
            apart = next(([stand[0], vm] for vm in stand if not items[stand[0]] & items[vm]), stand)
            yield (
                True,
                f"{named} wants VMs in one {rule.scope} that can reach none together: {self.at.say(apart)}; it cannot hold",
            )

    def _limited(self, rule: RuleSpec, named: str, members: Iterable[int], places: Hosts) -> Iterator[tuple[bool, str]]:
        """Whether so many VMs have room in the scope items that they can reach, and elsewhere."""
        stand = [vm for vm in members if self.at.reachable(vm)]
        reach = self._reach(stand)
        if (rule.hosts and not places) or (places and reach - places):
            return
        room = rule.most * len(self.at.items(rule.scope, reach))
        if len(stand) > room:
            yield True, f"{named} lets {room} VMs stand where its {len(stand)} can go; it cannot hold"

    def _licensed(self, rule: RuleSpec, named: str, members: Hosts) -> Iterator[tuple[bool, str]]:
        cores = self.at.hosts["cores"].fillna(0).tolist()
        least = max((min((cores[h] for h in self.at.reachable(vm)), default=0) for vm in members), default=0)
        if least > rule.most:
            yield (
                True,
                f"{named} licenses {rule.most} cores, and the smallest host for one VM has {least}; it cannot hold",
            )

    def _placed(self, rule: RuleSpec, named: str, members: Hosts, places: Hosts) -> Iterator[tuple[bool, str]]:
        for vm in sorted(members):
            reach = self.at.reachable(vm)
            left = reach - places if rule.kind == "ban" else reach & places
            if reach and not left:
                yield True, f"{named} leaves VM {self.at.say([vm])} no host it can reach; it cannot hold for that VM"

    def _reach(self, members: Iterable[int]) -> Hosts:
        """The hosts that any of these VMs can reach."""
        found: Hosts = frozenset()
        return found.union(*{self.at.reachable(vm) for vm in members})
