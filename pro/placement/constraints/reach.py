"""A VM goes only to hosts that are connected to its networks and reach its storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.fleet.columns import named
from pro.placement.constraints.common import say_host
from pro.placement.language import Allow
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Fleet, Groups

KINDS = ("networks", "storage")


@dataclass(frozen=True)
class Reach:
    """What a VM needs of networks and of storage, its host has.

    A VM that needs nothing goes anywhere. A host that says nothing is not known: what stands there today may stay, and
    nothing that needs something goes there.
    """

    name: str = "reach"

    @staticmethod
    def matters(fleet: Fleet) -> bool:
        """Whether any VM says that it needs anything."""
        return any(kind in fleet.vm_groups and bool((fleet.vm_groups[kind].code >= 0).any()) for kind in KINDS)

    def violations(self, fleet: Fleet, host_of: Ints) -> list[Violation]:
        """One violation for every VM that lacks networks, and one for every VM that lacks storage."""

        def said(groups: Groups | None, i: int) -> dict[str, str]:
            return {} if groups is None or groups.code[i] < 0 else named(groups.names[groups.code[i]])

        found = []
        for kind in KINDS:
            for v, vm in enumerate(fleet.vms):
                needs, host = said(fleet.vm_groups.get(kind), v), int(host_of[v])
                if not needs:
                    continue
                there = said(fleet.host_groups.get(kind), host)
                if not there and host == int(fleet.host_of[v]):
                    continue
                lacks = [needs[n] for n in sorted(needs) if n not in there]
                if lacks:
                    what = f"{plain(lacks[0])}{f' and {len(lacks) - 1} more' if len(lacks) > 1 else ''}"
                    text = (
                        f"{plain(fleet.vm_names[v])} needs {kind} {what}, which {say_host(fleet, host)} does not reach"
                    )
                    found.append(Violation(self.name, text, 1, (vm,), (fleet.hosts[host],)))
        return found

    def rows(self, fleet: Fleet) -> Iterator[Allow]:
        """One row for everything that VMs need alike, and one more for each silent host that holds some of them."""
        for kind in KINDS:
            needs, has = fleet.vm_groups.get(kind), fleet.host_groups.get(kind)
            if needs is None:
                continue
            there = [set(named(text)) for text in (has.names if has else ())]
            code = has.code if has else np.full(fleet.n_hosts, -1)
            silent = np.array([c < 0 or not there[c] for c in code.tolist()], np.bool_)
            for need, text in enumerate(needs.names):
                wanted = set(named(text))
                vms = np.flatnonzero(needs.code == need)
                if not wanted or not len(vms):
                    continue
                reach = np.array([c >= 0 and wanted <= there[c] for c in code.tolist()], np.bool_)
                at_silent = silent[fleet.host_of[vms]]
                if not at_silent.all():
                    yield Allow(vms[~at_silent], reach, self.name)
                for home in np.unique(fleet.host_of[vms[at_silent]]):
                    own = reach | (np.arange(fleet.n_hosts) == home)
                    yield Allow(vms[fleet.host_of[vms] == home], own, self.name)
