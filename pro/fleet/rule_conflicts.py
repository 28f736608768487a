"""Rules of which each could hold alone, and which can never all hold, whatever is moved."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pro.fleet.names import quoted
from pro.fleet.rule_kinds import SCOPES
from pro.fleet.rule_reach import smallest, who

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.fleet.fleet import RuleSpec
    from pro.fleet.rule_reach import Hosts, Whereabouts

Told = tuple[str, int]
"""(text, row of a rule that it is about)."""


def rule_conflicts(at: Whereabouts) -> Iterator[Told]:
    """What hard rules ask of the same VMs, or of the same hosts, that cannot be had together."""
    yield from _called_alike(at)
    yield from _owned_twice(at)
    yield from _nowhere(at)
    yield from _narrowed(at)
    yield from _together_apart(at)


def _called_alike(at: Whereabouts) -> Iterator[Told]:
    """Rules of one name: both hold, but people who read of one cannot tell which it is."""
    alike: dict[str, list[int]] = defaultdict(list)
    for row, rule in enumerate(at.rules):
        alike[rule.name].append(row)
    for name, rows in alike.items():
        if len(rows) > 1:
            places = ", ".join(at.rules[row].origin or f"a {at.rules[row].kind}" for row in rows)
            yield (
                f"{len(rows)} rules are called {quoted(name)} ({places}); only where they are written tells them apart",
                rows[-1],
            )


def _owned_twice(at: Whereabouts) -> Iterator[Told]:
    """Hosts that two rules keep for different VMs."""
    names, ids = at.hosts["host"].tolist(), at.hosts["id"].tolist()
    owner: dict[int, int] = {}
    for row in at.kept:
        rule = at.rules[row]
        for h in sorted(at.places[row]):
            other = owner.setdefault(h, row)
            if at.members[other] != at.members[row]:
                both = at.members[other] & at.members[row]
                what = f"{who(rule)} and {who(at.rules[other])} keep host {quoted(names[h], ids[h])} for different VMs"
                yield f"{what}; {f'only {at.say(both)}' if both else 'nobody'} may come there", row


def _nowhere(at: Whereabouts) -> Iterator[Told]:
    """VMs to which rules leave no host, together or by keeping hosts for others."""
    lost: dict[tuple[int, ...], list[int]] = defaultdict(list)
    blamed: dict[object, tuple[int, ...]] = {}
    for vm in range(len(at.names)):
        if at.reachable(vm) and not at.left(vm):
            alike = at.alike(vm)
            if alike not in blamed:
                blamed[alike] = _blame(at, vm)
            rows = blamed[alike]
            if len(rows) > 1 or vm not in at.members[rows[0]]:  # else the judge of that rule has told it
                lost[rows].append(vm)
    for rows, vms in lost.items():
        some = "VMs" if len(vms) > 1 else "VM"
        so = "they cannot all hold" if len(rows) > 1 else "it cannot hold"
        verb = "leave" if len(rows) > 1 else "leaves"
        yield (
            f"{at.say_rules(rows)} {verb} {some} {at.say(vms)} no host; {so} for {'those' if len(vms) > 1 else 'that'} {some}",
            rows[-1],
        )


def _blame(at: Whereabouts, vm: int) -> tuple[int, ...]:
    return smallest(at.narrowing([vm]), lambda rows: not at.by(vm, rows))


def _placeable(at: Whereabouts, members: Hosts) -> list[int]:
    """Those of the members that have a host left: of the others all is told."""
    return [vm for vm in sorted(members) if at.left(vm)]


def _narrowed(at: Whereabouts) -> Iterator[Told]:
    """Spreads and gathers that could hold, but not where other rules let their members stand."""
    for row, rule in enumerate(at.rules):
        if rule.soft or rule.kind not in ("spread", "gather") or rule.scope not in SCOPES:
            continue
        vms = _placeable(at, at.members[row])
        # Who has no host is in no item: of a spread over at least some items nothing is known then.
        if (rule.least and len(vms) < len(at.members[row])) or all(at.left(vm) == at.reachable(vm) for vm in vms):
            continue
        others = () if _fails(at, rule, sorted(at.members[row]), ()) else _because(at, rule, vms)
        if not others:
            continue
        many = len(others) > 1
        if rule.kind == "gather":
            wants, how = f"together in one {rule.scope}", f"{'keep' if many else 'keeps'} apart"
        else:
            there = frozenset[int]().union(*(at.items(rule.scope, at.by(vm, others)) for vm in vms))
            wants = f"on {rule.least or len(vms)} {rule.scope}s"
            how = f"{'let' if many else 'lets'} stand on {len(there)}"
        yield f"{who(rule)} wants {wants} what {at.say_rules(others)} {how}: {at.say(vms)}; they cannot all hold", row


def _because(at: Whereabouts, rule: RuleSpec, vms: Sequence[int]) -> tuple[int, ...]:
    """The rules because of which this spread or gather of `vms` cannot hold; none where it can."""
    narrowing = at.narrowing(vms)
    if not _fails(at, rule, vms, narrowing):
        return ()
    return smallest(narrowing, lambda rows: _fails(at, rule, vms, rows))


def _fails(at: Whereabouts, rule: RuleSpec, vms: Sequence[int], rows: Sequence[int]) -> bool:
    """Whether this spread or gather of `vms` cannot hold where these rules let them stand."""
    items = [at.items(rule.scope, at.by(vm, rows)) for vm in vms]
    if rule.kind == "gather":
        return bool(items) and not frozenset.intersection(*items)
    return len(frozenset[int]().union(*items)) < min(rule.least or len(vms), len(vms))


def _together_apart(at: Whereabouts) -> Iterator[Told]:
    """VMs that one rule wants in one scope item and another in different ones."""
    spreads: dict[int, list[int]] = defaultdict(list)
    for row, rule in enumerate(at.rules):
        if rule.kind == "spread" and not rule.soft and rule.scope in SCOPES:
            for vm in at.members[row]:
                spreads[vm].append(row)
    for row, rule in enumerate(at.rules):
        if rule.kind != "gather" or rule.soft or rule.scope not in SCOPES:
            continue
        vms = _placeable(at, at.members[row])
        shared: dict[int, list[int]] = defaultdict(list)
        for vm in vms:
            for other in spreads[vm]:
                shared[other].append(vm)
        for other, both in shared.items():
            if len(both) > 1:
                yield from _torn(at, row, other, both)


def _torn(at: Whereabouts, gather: int, spread: int, both: Sequence[int]) -> Iterator[Told]:
    """Whether `both`, the VMs of both rules, can stand in one scope item of the one and in different ones of the other."""
    one, other = at.rules[gather], at.rules[spread]
    elsewhere = len(at.members[spread]) - len(both)
    wanted = min(other.least, len(at.members[spread])) or len(at.members[spread])

    def fail(rows: Sequence[int]) -> bool:
        hosts = [at.by(vm, rows) for vm in both]
        common = frozenset.intersection(*(at.items(one.scope, left) for left in hosts))
        anywhere: Hosts = frozenset().union(*hosts)
        inside: dict[int, set[int]] = {item: set() for item in common}
        for h in anywhere:
            if at.item(one.scope, h) in inside:
                inside[at.item(one.scope, h)].add(at.item(other.scope, h))
        most = max((min(len(items), len(both)) for items in inside.values()), default=None)
        return most is not None and most + elsewhere < wanted

    alone = fail(()) or all(at.left(vm) == at.reachable(vm) for vm in both)
    narrowing = [] if alone else at.narrowing(both)
    if fail(narrowing):
        others = smallest(narrowing, fail) if narrowing else ()
        where = f"; so where {at.say_rules(others)} {'let' if len(others) > 1 else 'lets'} them stand" if others else ""
        yield f"{who(one)} wants together what {who(other)} wants apart: {at.say(both)}{where}", gather
