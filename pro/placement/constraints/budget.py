"""Only so many migrations, in all and of one group; only so much memory moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import counted, plain
from pro.placement.constraints.common import vm_ids
from pro.placement.language import Limit
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


@dataclass(frozen=True)
class MoveBudget:
    """At most `max_moves` VMs change host, and their assigned memory is at most `max_gib` GiB; None: no such limit."""

    max_moves: int | None = None
    max_gib: int | None = None
    name: str = "move budget"

    def __post_init__(self) -> None:
        if any(limit is not None and limit < 0 for limit in (self.max_moves, self.max_gib)):
            raise ValueError("a budget must not be negative")

    def at_restart(self) -> None:
        """A restart is no migration."""

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """At most two violations: too many migrations; too much memory, `amount` in MiB."""
        stands = zip(fleet.host_of.tolist(), host_of.tolist(), strict=True)
        moved = [v for v, (home, host) in enumerate(stands) if home != host]
        mib = sum(int(fleet.memory_mib[v]) for v in moved)
        hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in moved}))
        found = []
        if self.max_moves is not None and len(moved) > self.max_moves:
            text = f"{counted(len(moved), 'migration')}, at most {self.max_moves} allowed"
            found.append(Violation(self.name, text, len(moved) - self.max_moves, vm_ids(fleet, moved), hosts))
        if self.max_gib is not None and mib > self.max_gib * 1024:
            text = f"{mib:,} MiB to move, at most {self.max_gib * 1024:,} MiB allowed"
            found.append(Violation(self.name, text, mib - self.max_gib * 1024, vm_ids(fleet, moved), hosts))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit]:
        """One limit over the whole fleet, with a dimension for each budget given."""
        limits = [
            (np.ones(fleet.n_vms, np.int64), self.max_moves),
            (fleet.memory_mib, None if self.max_gib is None else self.max_gib * 1024),
        ]
        given = [(weight, limit) for weight, limit in limits if limit is not None]
        if not given:
            return
        upper = np.array([[limit for _, limit in given]], np.int64)
        yield Limit(
            vms=np.arange(fleet.n_vms),
            weight=np.stack([weight for weight, _ in given], axis=1),
            scope=np.zeros(fleet.n_hosts, np.int64),
            base=np.zeros_like(upper),
            upper=upper,
            when="moved",
            label=self.name,
        )


@dataclass(frozen=True)
class GroupBudget:
    """At most `most` VMs of one group change host. `group` names a grouping of VMs: service, cluster, or an attribute."""

    group: str
    most: int

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError("a budget must not be negative")

    def at_restart(self) -> None:
        """A restart is no migration."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"move budget per {plain(self.group)}"

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every group with too many migrations."""
        groups = fleet.vm_groups.get(self.group)
        moved: dict[int, list[int]] = {}
        for v in range(len(fleet.vms)):
            if groups is not None and groups.code[v] >= 0 and int(host_of[v]) != int(fleet.host_of[v]):
                moved.setdefault(int(groups.code[v]), []).append(v)
        found = []
        for code, vms in sorted(moved.items()):
            if groups is not None and len(vms) > self.most:
                whose = f"{plain(self.group)} {plain(groups.names[code])}"
                text = f"{counted(len(vms), 'migration')} of {whose}, at most {self.most} allowed"
                hosts = tuple(sorted({fleet.hosts[int(host_of[v])] for v in vms}))
                found.append(Violation(self.name, text, len(vms) - self.most, vm_ids(fleet, vms), hosts))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Limit]:
        """One limit for each group that has more VMs than may move."""
        groups = fleet.vm_groups.get(self.group)
        code = np.full(fleet.n_vms, -1) if groups is None else groups.code
        everywhere, none = np.zeros(fleet.n_hosts, np.int64), np.zeros((1, 1), np.int64)
        for c, size in enumerate(np.bincount(code[code >= 0]).tolist()):
            if size > self.most:
                ones = np.ones((size, 1), np.int64)
                yield Limit(np.flatnonzero(code == c), ones, everywhere, none, none + self.most, "moved", self.name)
