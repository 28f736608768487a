"""Small words the rules share. `violations` uses the first half, `rows` the second, and neither the other's."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.fleet.fleet import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pro.core.arrays import Bools, Ints
    from pro.fleet import Fleet


# -- for violations: plain words over ids -----------------------------------------------------------------------


def present(fleet: Fleet, members: Iterable[str]) -> list[int]:
    """The members that the fleet holds, each once, in the fleet's order. A rule says nothing about the others."""
    return fleet.present_vms(members)


def scope_item(fleet: Fleet, scope: str, host: int) -> tuple[str, int]:
    """The scope item a host belongs to. A host of which it is not known counts as an item of its own."""
    groups = None if scope == "host" else fleet.host_groups.get(scope)
    if groups is None or groups.code[host] < 0:
        return ("host", int(host))
    return (scope, int(groups.code[host]))


def say_closed(fleet: Fleet, host: int) -> str:
    """Why a host accepts nothing, after its name."""
    return "which is left alone for want of data" if fleet.hosts[host] in fleet.left_alone else "which accepts no VM"


def say_immovable(fleet: Fleet, v: int) -> str:
    """Why a VM cannot be moved, with its name."""
    vm, host = plain(fleet.vm_names[v]), int(fleet.host_of[v])
    if why := fleet.steady.get(fleet.vms[v]):
        return f"{vm} {why}"
    if fleet.hosts[host] in fleet.left_alone:
        return f"{vm} stands on {say_host(fleet, host)}, which is left alone for want of data"
    return f"{vm} cannot be migrated"


def say_item(fleet: Fleet, item: tuple[str, int]) -> str:
    """A scope item for people: `HV01`, `rack R2`."""
    kind, code = item
    return plain(fleet.host_names[code]) if kind == "host" else f"{kind} {plain(fleet.host_groups[kind].names[code])}"


def say_host(fleet: Fleet, host: int) -> str:
    """A host for people."""
    return plain(fleet.host_names[host])


def say_vms(fleet: Fleet, vms: Iterable[int]) -> str:
    """VMs for people: `a`, `a and b`, `a, b and 7 more`."""
    names = [plain(fleet.vm_names[v]) for v in vms]
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def vm_ids(fleet: Fleet, vms: Iterable[int]) -> tuple[str, ...]:
    """Ids of VMs by index."""
    return tuple(fleet.vms[v] for v in vms)


# -- for rows: arrays ---------------------------------------------------------------------------------------------


def vm_indices(fleet: Fleet, members: Iterable[str]) -> Ints:
    """(n,) indices of the members that the fleet holds, ascending, each once."""
    return np.array(fleet.present_vms(members), np.int64)


def host_mask(fleet: Fleet, hosts: Iterable[str]) -> Bools:
    """(H,) which hosts are named; names the fleet does not hold are ignored."""
    mask = np.zeros(fleet.n_hosts, np.bool_)
    mask[fleet.present_hosts(hosts)] = True
    return mask


@lru_cache(maxsize=64)
def each(items: int, value: int) -> Ints:
    """(items, 1) `value` for every scope item: always the same array, for there may be a rule for every service."""
    return frozen(np.full((items, 1), value, np.int64))


def group_codes(fleet: Fleet, group: str) -> Ints:
    """(H,) codes of a host group; -1 where it is not known, or where there is no such group at all."""
    groups = fleet.host_groups.get(group)
    return np.full(fleet.n_hosts, -1, np.int64) if groups is None else groups.code.astype(np.int64)
