"""Where VMs could ever stand: in their cluster, on processors like their own, and where hard rules let them."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

from pro.fleet.grouping import group, maker_labels, rack_labels
from pro.fleet.names import AMBIGUOUS, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pro.fleet.fleet import RuleSpec
    from pro.fleet.tables import Inventory

Hosts = frozenset[int]
"""Rows of hosts."""
MANY, PAIRS = 6, 60
"""Rules that one sentence names; of so many, all pairs are tried for two that are enough."""


def who(rule: RuleSpec) -> str:
    """A rule for a message, with where it was written."""
    return f"rule {quoted(rule.name)} ({rule.origin})" if rule.origin else f"rule {quoted(rule.name)}"


class Whereabouts:
    """The rules of an inventory with rows for names, and for every VM the hosts that they, its cluster and its processor leave it.

    Only what no migration could ever change counts: not what is broken today, not a host's state, not how full it is. A rule that
    names hosts of which none is known says nothing here.
    """

    def __init__(self, inventory: Inventory) -> None:
        vms, hosts = inventory.vm_names(), inventory.host_names()
        self.rules = inventory.rules
        self.found = [vms.find_all(rule.members) for rule in self.rules]
        self.members = [frozenset(r for r in found if r >= 0) for found in self.found]
        self.places: list[Hosts] = [frozenset(r for r in hosts.find_all(rule.hosts) if r >= 0) for rule in self.rules]
        self.names = inventory.vms["vm"].tolist()
        self.ids = inventory.vms["id"].tolist()
        self.hosts = inventory.hosts
        self.standing = inventory.standing()
        clusters = group(self.hosts["cluster"].tolist()).code.tolist()
        makers = group(maker_labels(self.hosts["cpu_vendor"].tolist())).code.tolist()
        families = group(self.hosts["cpu_family"].tolist()).code.tolist()
        self._clusters, self._alike = clusters, list(zip(clusters, makers, families, strict=True))
        self._any_family = inventory.vms["cpu_compatibility_mode"].fillna(False).tolist()
        inside: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for row, cpu in enumerate(self._alike):
            inside[cpu].append(row)
            inside[cpu[:2]].append(row)
        self._inside = {cpu: frozenset(rows) for cpu, rows in inside.items()}
        self._own: dict[int, list[int]] = defaultdict(list)
        self.kept: list[int] = []
        for row, rule in enumerate(self.rules):
            if rule.soft or not (self.places[row] or (rule.kind == "pin" and not rule.hosts)):
                continue
            if rule.kind in ("fence", "pin", "ban", "dedicate"):
                for vm in self.members[row]:
                    self._own[vm].append(row)
            # One whose VMs share their names is no rule of the fleet: see `snapshot`.
            if rule.kind == "dedicate" and (self.members[row] or AMBIGUOUS not in self.found[row]):
                self.kept.append(row)
        self._all_kept: Hosts = frozenset().union(*(self.places[row] for row in self.kept))
        tenanted: Hosts = frozenset().union(*(self.places[row] for row in self.kept if self.members[row]))
        self._empty = self._all_kept - tenanted
        """Hosts kept for nobody there is: who stands there stays."""
        self._items: dict[str, list[int]] = {}
        self._seen: dict[tuple[str, Hosts], Hosts] = {}
        self._left: dict[tuple[object, ...], Hosts] = {}

    def reachable(self, vm: int) -> Hosts:
        """The hosts of its cluster with processors that it can run on, or its own host where there is no cluster; none where it is
        not known where it stands."""
        host = self.standing[vm]
        if host < 0:
            return frozenset()
        if self._clusters[host] < 0:
            return frozenset((host,))
        return self._inside[self._alike[host][:2] if self._any_family[vm] else self._alike[host]]

    def left(self, vm: int) -> Hosts:
        """The hosts of `reachable` that all hard rules together leave this VM."""
        alike = self.alike(vm)
        if alike not in self._left:
            own, stays = self._own.get(vm, ()), self._stays(vm)
            if any(self.rules[row].kind == "dedicate" for row in own):
                self._left[alike] = self.by(vm, self.about(vm))
            else:
                self._left[alike] = self.by(vm, own) - (self._all_kept - stays)
        return self._left[alike]

    def alike(self, vm: int) -> tuple[object, ...]:
        """The same for VMs to which all rules leave the same hosts, for the same reasons."""
        own = self._own.get(vm, ())
        here = any(self.rules[row].kind == "pin" and not self.rules[row].hosts for row in own)
        return self.reachable(vm), tuple(own), self._stays(vm), self.standing[vm] if here else -1

    def _stays(self, vm: int) -> Hosts:
        """The host it stands on, where that is kept for nobody there is."""
        return self._empty & {self.standing[vm]}

    def about(self, vm: int) -> list[int]:
        """The rules (rows) that say where this VM may stand, those that keep hosts for others among them."""
        own, reach = self._own.get(vm, []), self.reachable(vm)
        return own + [row for row in self.kept if row not in own and not reach.isdisjoint(self.places[row])]

    def by(self, vm: int, rows: Iterable[int]) -> Hosts:
        """The hosts of `reachable` that these rules leave this VM."""
        hosts = self.reachable(vm)
        for row in rows:
            rule, places = self.rules[row], self.places[row]
            if rule.kind == "pin" and not rule.hosts:
                hosts &= {self.standing[vm]} if vm in self.members[row] else hosts
            elif rule.kind == "dedicate":
                stays = frozenset() if self.members[row] else frozenset({self.standing[vm]})
                hosts = hosts & places if vm in self.members[row] else hosts - (places - stays)
            elif vm in self.members[row]:
                hosts = hosts - places if rule.kind == "ban" else hosts & places
        return hosts

    def narrowing(self, vms: Iterable[int]) -> list[int]:
        """The rules (rows) that take any of these VMs a host it could reach."""
        found = {row for vm in vms for row in self.about(vm) if self.by(vm, (row,)) != self.reachable(vm)}
        return sorted(found)

    def item(self, scope: str, host: int) -> int:
        """The scope item of a host, as `Fleet.scope_codes` tells it: one of its own where it is not known."""
        if scope not in self._items:
            own = range(len(self.hosts))
            if scope == "host":
                self._items[scope] = list(own)
            else:
                labels = self.hosts[scope].tolist()
                labels = rack_labels(self.hosts["site"].tolist(), labels) if scope == "rack" else labels
                codes = group(labels).code.tolist()
                self._items[scope] = [code if code >= 0 else -1 - h for h, code in zip(own, codes, strict=True)]
        return self._items[scope][host]

    def items(self, scope: str, hosts: Hosts) -> Hosts:
        """The scope items of these hosts."""
        if (scope, hosts) not in self._seen:
            self._seen[scope, hosts] = frozenset(self.item(scope, h) for h in hosts)
        return self._seen[scope, hosts]

    def say(self, vms: Iterable[int]) -> str:
        """VMs for a message."""
        names = [quoted(self.names[vm], self.ids[vm]) for vm in sorted(vms)]
        return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"

    def say_rules(self, rows: Sequence[int]) -> str:
        """Rules for a message."""
        said = [who(self.rules[row]) for row in rows]
        if len(said) > MANY:
            return f"{', '.join(said[: MANY - 1])} and {len(said) - MANY + 1} more rules"
        return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def smallest(rows: Sequence[int], fail: Callable[[Sequence[int]], bool]) -> tuple[int, ...]:
    """Of rules that `fail` together, those that do and of which none can be spared: one, or of at most `PAIRS` two, if so few are enough."""
    for size in (1, 2) if len(rows) <= PAIRS else (1,):
        for few in combinations(rows, size):
            if fail(few):
                return few
    kept = list(rows)
    for row in rows:
        without = [r for r in kept if r != row]
        if fail(without):
            kept = without
    return tuple(kept)
