"""The facts a plan depends on, in the open: a stale plan is refused, and can say what changed.

`facts` is {"vms": {vm: [host, memory MiB, state]}, "hosts": {host: [accepting, memory MiB, [vms that stand there]]}, "rules":
{rule: [[kind, scope, least, members, hosts, {more}]]}}, {more} only if there is more. Hosts are those where a VM arrives; VMs are
those that move, those that stand on such a host, and their companions in rules; rules are those about a VM that moves or a host
where one arrives. Nothing else can change what the plan does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pro.core.text import plain
from pro.planning.identity import canonical, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pro.fleet import Fleet, RuleSpec
    from pro.planning.plan import Migration

RUNNING = "running"


def facts(fleet: Fleet, vms: Iterable[str], hosts: Iterable[str]) -> dict[str, Any]:
    """What a plan that moves `vms` (ids) to `hosts` (ids, stop-overs included) depends on, as `fleet` knows it."""
    moving = set(vms)
    reached = sorted(set(hosts))
    memory = fleet.resources.index("memory")
    companions = {m for r in fleet.rules if _speaks(r, moving, reached) for m in r.members}
    stands: dict[str, list[str]] = {h: [] for h in reached}
    for vm, h in zip(fleet.vms, fleet.host_of.tolist(), strict=True):
        if fleet.hosts[h] in stands:
            stands[fleet.hosts[h]].append(vm)
    watched = moving | {vm for there in stands.values() for vm in there} | (companions & set(fleet.vms))
    return {
        "vms": {vm: _vm(fleet, vm) for vm in sorted(watched)},
        "hosts": {
            h: [bool(fleet.accepting[i]), int(fleet.capacity[i, memory]), stands[h]]
            for h, i in ((h, fleet.host_index(h)) for h in reached)
        },
        "rules": _rules(fleet, moving, reached),
    }


def _speaks(rule: RuleSpec, moving: set[str], hosts: Collection[str]) -> bool:
    """Whether `rule` is about one of the VMs `moving`, about everybody, or keeps one of `hosts` for its members."""
    return (
        bool(moving & set(rule.members))
        or not rule.members
        or (rule.kind == "dedicate" and not set(rule.hosts).isdisjoint(hosts))
    )


def _rules(fleet: Fleet, moving: set[str], hosts: Collection[str]) -> dict[str, list[Any]]:
    """Rules about `moving` and `hosts`, by name; several may have one name."""
    found: dict[str, list[Any]] = {}
    for r in fleet.rules:
        if _speaks(r, moving, hosts):
            more = {name: getattr(r, name) for name in ("most", "soft", "worth") if getattr(r, name)}
            places = list(r.hosts) if r.kind == "prefer" else sorted(r.hosts)
            found.setdefault(r.name, []).append(
                [r.kind, r.scope, r.least, sorted(r.members), places, *([more] if more else [])]
            )
    return {name: sorted(found[name], key=lambda said: (said[:5], canonical(said[5:]))) for name in sorted(found)}


def _vm(fleet: Fleet, vm: str) -> list[Any]:
    v = fleet.vm_index(vm)
    return [fleet.hosts[int(fleet.host_of[v])], int(fleet.memory_mib[v]), RUNNING]


def facts_from_world(
    then: Mapping[str, Any],
    vms: Mapping[str, tuple[str, int, str]],
    hosts: Mapping[str, tuple[bool, int]],
) -> dict[str, Any]:
    """The same facts as `then`, as observed now.

    `vms`: VM id -> (host id, memory MiB, state) for *every* VM seen; `hosts`: host id -> (accepting, memory MiB). What `then`
    speaks of and nobody sees any more is None. Rules cannot be observed and are taken over.
    """
    stands: dict[str, list[str]] = {h: [] for h in then["hosts"]}
    for vm, (host, _, _) in vms.items():
        if host in stands:
            stands[host].append(vm)
    watched = set(then["vms"]) | {vm for there in stands.values() for vm in there}
    return {
        "vms": {vm: list(vms[vm]) if vm in vms else None for vm in sorted(watched)},
        "hosts": {h: [*hosts[h], sorted(stands[h])] if h in hosts else None for h in sorted(then["hosts"])},
        "rules": {name: list(rule) for name, rule in then["rules"].items()},
    }


def facts_now(then: Mapping[str, Any], fleet: Fleet, moving: Iterable[str]) -> dict[str, Any]:
    """The same facts as `then`, as `fleet` knows them; `moving` are the VMs (ids) of the plan, `plan.ends`."""
    vms = {
        vm: (fleet.hosts[h], int(m), RUNNING)
        for vm, h, m in zip(fleet.vms, fleet.host_of, fleet.memory_mib, strict=True)
    }
    memory = fleet.capacity[:, fleet.resources.index("memory")].tolist()
    hosts = dict(zip(fleet.hosts, zip(fleet.accepting.tolist(), memory, strict=True), strict=True))
    return {**facts_from_world(then, vms, hosts), "rules": _rules(fleet, set(moving), then["hosts"])}


def facts_after(then: Mapping[str, Any], done: Iterable[Migration]) -> dict[str, Any]:
    """`then` as it must look once the steps `done` have been carried out, in order: for a plan that is half applied."""
    vms = {vm: list(fact) for vm, fact in then["vms"].items()}
    hosts = {h: [accepting, memory, set(stands)] for h, (accepting, memory, stands) in then["hosts"].items()}
    for step in done:
        vms[step.vm][0] = step.destination
        if step.source in hosts:
            hosts[step.source][2].discard(step.vm)
        hosts[step.destination][2].add(step.vm)
    return {
        "vms": vms,
        "hosts": {h: [accepting, memory, sorted(stands)] for h, (accepting, memory, stands) in hosts.items()},
        "rules": {name: list(rule) for name, rule in then["rules"].items()},
    }


def fingerprint(facts: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `facts`, in hex."""
    return digest(facts)


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different `now`, one sentence each; empty exactly when the fingerprints agree."""
    said: list[str] = []
    for vm in sorted(then["vms"].keys() | now["vms"].keys()):
        said += _vm_changes(plain(vm), then["vms"].get(vm), now["vms"].get(vm))
    for host in sorted(then["hosts"].keys() | now["hosts"].keys()):
        said += _host_changes(plain(host), then["hosts"].get(host), now["hosts"].get(host))
    for rule in sorted(then["rules"].keys() | now["rules"].keys()):
        if then["rules"].get(rule) != now["rules"].get(rule):
            how = "is new" if rule not in then["rules"] else "is gone" if rule not in now["rules"] else "has changed"
            said.append(f"rule {plain(rule)} {how} since the plan was made")
    return said


def _vm_changes(vm: str, then: Any, now: Any) -> list[str]:
    if then == now:
        return []
    if now is None:
        return [f"{vm} is gone, the plan expects it on {plain(then[0])}"]
    if then is None:
        return [f"{vm} stands on {plain(now[0])}, the plan does not know it there"]
    said = []
    if then[0] != now[0]:
        said.append(f"{vm} stands on {plain(now[0])}, the plan expects {plain(then[0])}")
    if then[1] != now[1]:
        said.append(f"{vm} has {now[1]:,} MiB of memory, the plan expects {then[1]:,}")
    if then[2] != now[2]:
        said.append(f"{vm} is {plain(now[2])}, the plan expects it {plain(then[2])}")
    return said


def _host_changes(host: str, then: Any, now: Any) -> list[str]:
    if then == now:
        return []
    if now is None:
        return [f"{host} is gone"]
    if then is None:
        return [f"{host} is new to the plan"]
    said = []
    if then[0] != now[0]:
        said.append(f"{host} {'accepts VMs now' if now[0] else 'does not accept VMs any more'}")
    if then[1] != now[1]:
        said.append(f"{host} has {now[1]:,} MiB of memory, the plan expects {then[1]:,}")
    came, left = sorted(set(now[2]) - set(then[2])), sorted(set(then[2]) - set(now[2]))
    if came:
        said.append(f"{host} holds {', '.join(map(plain, came))} as well")
    if left:
        said.append(f"{host} does not hold {', '.join(map(plain, left))} any more")
    return said
