"""Inventory -> Fleet: names become indices, here and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import FleetError
from pro.core.text import counted
from pro.core.units import CPU, DISK, MEMORY, NET
from pro.fleet.columns import HOST_COLUMNS, STATES, VM_COLUMNS
from pro.fleet.demand import demand as demand
from pro.fleet.demand import flat_demand as flat_demand
from pro.fleet.entities import entity_of as entity_of
from pro.fleet.fleet import Fleet, Groups
from pro.fleet.grouping import group as group
from pro.fleet.grouping import maker_labels, rack_labels
from pro.fleet.names import AMBIGUOUS
from pro.fleet.problems import Problem, find_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet.fleet import RuleSpec
    from pro.fleet.inventory import Inventory

MIGRATION_MBPS = 1000
"""Assumed where nobody says: a network of its own at 1 Gbit/s, what the requirements of live migration ask for."""

_HOST_GROUPS = ("cluster", "rack", "site", "hypervisor", "cpu_vendor", "cpu_family", "networks", "storage")


def snapshot(inventory: Inventory, at: datetime, *, leave_out: bool = False) -> Fleet:
    """The fleet at instant `at`.

    Raises FleetError with every error of `find_problems`. With `leave_out`, hosts, VMs and rules that cannot be planned
    with are left out instead (a host takes its VMs with it), each with a warning in `Fleet.warnings`; FleetError remains
    when no host is left.
    """
    problems = find_problems(inventory)
    errors = [p for p in problems if p.severity == "error"]
    if errors and not leave_out:
        raise FleetError(tuple(p.text for p in errors))
    dropped: list[str] = []
    if errors:
        inventory, dropped = _without(inventory, errors)
    if not len(inventory.hosts):
        raise FleetError(tuple(p.text for p in errors) or ("there are no hosts",))
    warnings = [*inventory.warnings, *dropped, *(p.text for p in problems if p.severity == "warning")]
    return _build(inventory, at.astimezone(UTC), warnings)


def _without(inventory: Inventory, errors: Sequence[Problem]) -> tuple[Inventory, list[str]]:
    """`inventory` without what `errors` are about, and what was left out, why."""
    bad = {kind: {p.row for p in errors if p.about == kind} for kind in ("host", "vm", "rule")}
    standing = inventory.standing()
    with_host = [i for i, h in enumerate(standing) if h in bad["host"]]
    said = [f"left out: {p.text}" for p in errors if p.about]
    lost = len(set(with_host) - bad["vm"])
    if lost:
        said.append(f"left out: {counted(lost, 'VM')} on hosts that were left out")
    bad["vm"].update(with_host)
    slim = replace(
        inventory,
        hosts=inventory.hosts.drop(index=sorted(bad["host"])).reset_index(drop=True),
        vms=inventory.vms.drop(index=sorted(bad["vm"])).reset_index(drop=True),
        rules=tuple(r for i, r in enumerate(inventory.rules) if i not in bad["rule"]),
    )
    return slim, said


def _build(inventory: Inventory, at: datetime, warnings: list[str]) -> Fleet:
    hosts = inventory.hosts.sort_values("id", ignore_index=True)
    vms = inventory.vms.sort_values("id", ignore_index=True)
    sorted_inventory = replace(inventory, hosts=hosts, vms=vms)
    host_of = np.array(sorted_inventory.standing(), dtype=np.int64)
    states = [STATES.get(s.strip().casefold(), "restricted") for s in hosts["state"].tolist()]
    down = np.array([s == "down" for s in states], dtype=np.bool_)
    host_groups = _host_groups(hosts)
    resources, capacity = _capacity(hosts)
    vcpus = _ints(vms["vcpus"], 0)
    cap = _ints(vms["cpu_cap_mhz"], 0)
    clustered = host_groups["cluster"].code[host_of] >= 0
    age, gib = _checkpoints(vms, at)
    if hosts["migration_mbps"].isna().any():
        missing = int(hosts["migration_mbps"].isna().sum())
        who = counted(missing, "host does not say its", "hosts do not say their")
        warnings.append(f"{who} migration network; {MIGRATION_MBPS} Mbit/s is assumed")
    return Fleet(
        hosts=tuple(hosts["id"].tolist()),
        vms=tuple(vms["id"].tolist()),
        host_names=tuple(hosts["host"].tolist()),
        vm_names=tuple(vms["vm"].tolist()),
        host_fqdn=tuple(hosts["fqdn"].tolist()),
        vm_fqdn=tuple(vms["fqdn"].tolist()),
        resources=resources,
        capacity=capacity,
        host_of=host_of,
        accepting=np.array([s == "ok" for s in states], dtype=np.bool_),
        leaving=np.array([s == "maintenance" for s in states], dtype=np.bool_),
        movable=_bools(vms["movable"], np.ones(len(vms), dtype=np.bool_)) & ~down[host_of],
        host_groups=host_groups,
        vm_groups=_vm_groups(vms, host_groups["cluster"], host_of),
        compatibility_mode=_bools(vms["cpu_compatibility_mode"], np.zeros(len(vms), dtype=np.bool_)),
        highly_available=_bools(vms["highly_available"], clustered),
        vcpus=vcpus,
        cpu_cap_mhz=np.where(cap > 0, cap, vcpus * _ints(hosts["core_mhz"], 0)[host_of]),
        memory_mib=_ints(vms["memory_mib"], 0),
        migration_mbps=_ints(hosts["migration_mbps"], MIGRATION_MBPS),
        snapshot_gib=gib,
        snapshot_age_days=age,
        rules=_rules(sorted_inventory),
        at=at,
        warnings=tuple(warnings),
        dirty_mib_s=vms["dirty_mib_s"].to_numpy(dtype=np.float64, na_value=np.nan),
        cores=_ints(hosts["cores"], 0),
        numa_nodes=_ints(hosts["numa_nodes"], 0),
        numa_span=_bools(vms["numa_span"], np.zeros(len(vms), dtype=np.bool_)),
    )


def _ints(column: pd.Series[Any], missing: int) -> Ints:
    return column.fillna(missing).to_numpy(dtype=np.int64)


def _bools(column: pd.Series[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.where(column.isna().to_numpy(), missing, column.fillna(False).to_numpy(dtype=np.bool_))


def _capacity(hosts: pd.DataFrame) -> tuple[tuple[str, ...], Ints]:
    """Resources, and (H, R) what hosts have of them; disk and net only where every host says."""
    names = [CPU, MEMORY]
    columns = [_ints(hosts["cores"], 0) * _ints(hosts["core_mhz"], 0), _ints(hosts["memory_mib"], 0)]
    if hosts["disk_kibps"].notna().all():
        names.append(DISK)
        columns.append(_ints(hosts["disk_kibps"], 0))
    if hosts["net_mbps"].notna().all():
        names.append(NET)
        columns.append(_ints(hosts["net_mbps"], 0) * 1_000_000 // 8 // 1024)
    return tuple(names), np.stack(columns, axis=1)


def _host_groups(hosts: pd.DataFrame) -> dict[str, Groups]:
    """The groups every fleet has, and one for each attribute column."""
    groups = {name: group(hosts[name].tolist()) for name in _HOST_GROUPS}
    groups["cpu_vendor"] = group(maker_labels(hosts["cpu_vendor"].tolist()))
    groups["rack"] = group(rack_labels(hosts["site"].tolist(), hosts["rack"].tolist()))
    return groups | {str(name): group(hosts[name].tolist()) for name in hosts.columns[len(HOST_COLUMNS) :]}


def _vm_groups(vms: pd.DataFrame, clusters: Groups, host_of: Ints) -> dict[str, Groups]:
    groups = {str(name): group(vms[name].tolist()) for name in ("networks", "storage", *vms.columns[len(VM_COLUMNS) :])}
    return groups | {"service": group(vms["role"].tolist()), "cluster": Groups(clusters.code[host_of], clusters.names)}


def _checkpoints(vms: pd.DataFrame, at: datetime) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Age in days (-1: no checkpoint) and size in GiB of each VM's chain."""
    import pandas as pd

    taken = vms["oldest_snapshot"]
    gib = vms["snapshot_gib"].fillna(0.0).to_numpy(dtype=np.float64)
    days = ((pd.Timestamp(at) - taken).dt.total_seconds() / 86400).to_numpy(dtype=np.float64)
    age = np.where(taken.isna().to_numpy(), np.where(gib > 0, 0.0, -1.0), np.maximum(days, 0.0))
    return age, gib


def _rules(inventory: Inventory) -> tuple[RuleSpec, ...]:
    """Rules with ids for names, without the members and hosts nobody knows, without those that are left empty.

    Hosts come in order of their ids, but those of a preference stay in its order. Hosts that are dedicated stay so while no tenant
    is there yet; not where a tenant's name is shared, for it may be one of those that stand there.
    """
    vms, hosts = inventory.vm_names(), inventory.host_names()
    vm_ids, host_ids = inventory.vms["id"].tolist(), inventory.hosts["id"].tolist()
    resolved = []
    for rule in inventory.rules:
        found = vms.find_all(rule.members)
        members = tuple(sorted({vm_ids[r] for r in found if r >= 0}))
        alone = (rule.kind == "limit" and not rule.members) or (rule.kind == "dedicate" and AMBIGUOUS not in found)
        places = tuple(dict.fromkeys(host_ids[r] for r in hosts.find_all(rule.hosts) if r >= 0))
        if (members or alone) and (places or not rule.hosts):
            places = places if rule.kind == "prefer" else tuple(sorted(places))
            resolved.append(replace(rule, members=members, hosts=places))
    return tuple(resolved)
