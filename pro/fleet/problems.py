"""What does not fit together in an inventory: everything, at once, each with how grave it is.

An "error" leaves something that cannot be planned with (the host or VM it is about can only be left out). A "warning" is
odd, but PRO can live with it and says how.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pro.fleet.columns import STATES, named
from pro.fleet.names import AMBIGUOUS, quoted
from pro.fleet.rule_problems import rule_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from pro.fleet.tables import Inventory


@dataclass(frozen=True)
class Problem:
    """One contradiction. `about` and `row` say which host, VM or rule has to go if it is to be left out."""

    severity: Literal["error", "warning"]
    text: str
    about: Literal["host", "vm", "rule", ""] = ""
    row: int = -1


def find_problems(inventory: Inventory) -> list[Problem]:
    """Every problem of `inventory`, errors first, else in the order hosts, VMs, rules."""
    found = [
        *_host_values(inventory.hosts),
        *_identity(inventory.hosts, "host"),
        *_vm_values(inventory.vms),
        *_identity(inventory.vms, "vm"),
        *_standing(inventory),
        *_shared_dns_names(inventory),
        *(Problem("warning" if w else "error", text, "rule", row) for w, text, row in rule_problems(inventory)),
    ]
    if not len(inventory.hosts):
        found.append(Problem("error", "there are no hosts"))
    if not len(inventory.vms):
        found.append(Problem("warning", "there are no VMs"))
    return sorted(found, key=lambda p: p.severity)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts, None for what is missing."""
    return [
        dict(zip(frame.columns, values, strict=True))
        for values in zip(*(frame[c].astype(object).where(frame[c].notna(), None) for c in frame.columns), strict=True)
    ]


def _numbers(
    row: dict[str, Any], who: str, positive: tuple[str, ...], natural: tuple[str, ...]
) -> Iterator[tuple[bool, str]]:
    """(is a warning, text) for each number that cannot be true."""
    for name in positive:
        if row[name] is None:
            yield False, f"{who} says no {name}"
        elif row[name] <= 0:
            yield False, f"{who} has {row[name]} {name}; expected more than 0"
    for name in natural:
        if row[name] is not None and row[name] < 0:
            yield False, f"{who} has {row[name]} {name}; expected 0 or more"


def _host_values(hosts: pd.DataFrame) -> Iterator[Problem]:
    for i, row in enumerate(_records(hosts)):
        who = f"host {quoted(row['host'], row['id'])}"
        if not row["id"]:
            yield Problem("error", f"a host has no name (row {i + 1} by id)", "host", i)
        for warning, text in _numbers(
            row, who, ("cores", "core_mhz", "memory_mib"), ("migration_mbps", "disk_kibps", "net_mbps", "numa_nodes")
        ):
            yield Problem("warning" if warning else "error", text, "host", i)
        if (row["cores"] or 0) * (row["core_mhz"] or 0) >= 2**31:
            yield Problem(
                "error", f"{who} has {row['cores']} cores of {row['core_mhz']} MHz; that is beyond belief", "host", i
            )
        if row["numa_nodes"] and (row["cores"] or 0) % row["numa_nodes"]:
            text = (
                f"{who} has {row['cores']} cores on {row['numa_nodes']} NUMA nodes; they are taken to share them evenly"
            )
            yield Problem("warning", text, "host", i)
        if row["migration_mbps"] == 0:
            yield Problem("warning", f"{who} has no migration network: nothing moves to or from it live", "host", i)
        if row["state"].strip().casefold() not in STATES:
            state = quoted(row["state"])
            yield Problem("warning", f"{who} is in the unknown state {state}; taken as restricted", "host", i)


def _vm_values(vms: pd.DataFrame) -> Iterator[Problem]:
    for i, row in enumerate(_records(vms)):
        who = f"VM {quoted(row['vm'], row['id'])}"
        if not row["id"]:
            yield Problem("error", f"a VM has no name (row {i + 1} by id)", "vm", i)
        for warning, text in _numbers(
            row, who, ("vcpus", "memory_mib"), ("cpu_cap_mhz", "snapshot_gib", "dirty_mib_s")
        ):
            yield Problem("warning" if warning else "error", text, "vm", i)


def _identity(frame: pd.DataFrame, kind: Literal["host", "vm"]) -> Iterator[Problem]:
    label = "VM" if kind == "vm" else "host"
    ids, names = frame["id"].tolist(), frame[kind].tolist()
    for i, (ident, count) in enumerate(zip(ids, map(Counter(ids).get, ids), strict=True)):
        if ident and count != 1:
            yield Problem(
                "error", f"{count} {label}s have the id {quoted(ident)}; {label} {quoted(names[i])} is one", kind, i
            )
    by_name: dict[str, set[str]] = defaultdict(set)
    for ident, name in zip(ids, names, strict=True):
        by_name[name].add(ident)
    for name, owners in sorted(by_name.items()):
        if name and len(owners) > 1:
            several = ", ".join(quoted(o) for o in sorted(owners))
            yield Problem(
                "warning",
                f"{len(owners)} {label}s are called {quoted(name)} (ids {several}); only their ids tell them apart",
            )
    by_case = Counter(ident.casefold() for ident in set(ids))
    for ident in sorted(set(ids)):
        if by_case[ident.casefold()] > 1:
            yield Problem("warning", f"the id of {label} {quoted(ident)} differs from another's only by case")


def _standing(inventory: Inventory) -> Iterator[Problem]:
    """VMs against the hosts they stand on."""
    hosts, vms = _records(inventory.hosts), _records(inventory.vms)
    used = [0] * len(hosts)
    for i, (vm, row) in enumerate(zip(vms, inventory.standing(), strict=True)):
        who = f"VM {quoted(vm['vm'], vm['id'])}"
        if not vm["host"]:
            yield Problem("error", f"{who} stands on no host", "vm", i)
        elif row == AMBIGUOUS:
            yield Problem("error", f"{who} stands on {quoted(vm['host'])}, which is more than one host", "vm", i)
        elif row < 0:
            yield Problem("error", f"{who} stands on {quoted(vm['host'])}, which is no known host", "vm", i)
        else:
            used[row] += max(vm["memory_mib"] or 0, 0)
            yield from _misplaced(who, vm, hosts[row], i)
    for i, (host, mib) in enumerate(zip(hosts, used, strict=True)):
        if host["memory_mib"] is not None and 0 < host["memory_mib"] < mib:
            who = f"host {quoted(host['host'], host['id'])}"
            yield Problem("warning", f"{who} has {host['memory_mib']} MiB and its VMs hold {mib} MiB", "host", i)


def _misplaced(who: str, vm: dict[str, Any], host: dict[str, Any], row: int) -> Iterator[Problem]:
    name = quoted(host["host"], host["id"])
    if vm["cluster"] and vm["cluster"].strip().casefold() != host["cluster"].strip().casefold():
        theirs = f"cluster {quoted(host['cluster'])}" if host["cluster"] else "no cluster"
        text = f"{who} belongs to cluster {quoted(vm['cluster'])} and stands on host {name} of {theirs}; its host's is used"
        yield Problem("warning", text, "vm", row)
    for kind in ("networks", "storage"):
        missing = named(vm[kind]).keys() - named(host[kind]).keys()
        if missing and host[kind].strip():
            what = ", ".join(quoted(named(vm[kind])[n]) for n in sorted(missing))
            yield Problem(
                "warning", f"{who} needs of {kind} {what}, which its host {name} does not say it reaches", "vm", row
            )
    if STATES.get(host["state"].strip().casefold()) == "down":
        yield Problem("warning", f"{who} stands on host {name}, which is down; it cannot be moved live", "vm", row)


def _shared_dns_names(inventory: Inventory) -> Iterator[Problem]:
    owners: dict[str, list[str]] = defaultdict(list)
    for frame, kind, label in ((inventory.hosts, "host", "host"), (inventory.vms, "vm", "VM")):
        for fqdn, name, ident in zip(frame["fqdn"].tolist(), frame[kind].tolist(), frame["id"].tolist(), strict=True):
            if fqdn:
                owners[fqdn.casefold()].append(f"{label} {quoted(name, ident)}")
    for fqdn, names in sorted(owners.items()):
        if len(names) > 1:
            text = (
                f"{len(names)} share the DNS name {quoted(fqdn)}, so its counters belong to nobody: {', '.join(names)}"
            )
            yield Problem("warning", text)
