"""What each platform allows and how fast it is: its law of migration. The checker reads the limits from here too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.core.units import MIBPS_PER_MBPS
from pro.planning.physics import PreCopy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pro.fleet import Fleet


@dataclass(frozen=True)
class Profile:
    """A platform's law of migration.

    Attributes
    ----------
    per_host
        Live migrations one host takes part in at once, as source or destination.
    same_cluster, same_cpu_vendor
        Whether live migration stays inside a cluster, and among processors of one maker.
    live_memory_mib
        Largest VM that can be migrated live; 0: no limit.
    efficiency
        Factor on the payload rate of the migration network (see `MIBPS_PER_MBPS`).
    quick_mibps
        MiB/s to and from the shared storage for a saved state. An assumption; override it where it is known.
    max_blackout_s
        A live migration that would pause the VM for longer is refused; a quick one is planned where that is consented to.
    """

    name: str
    per_host: int
    same_cluster: bool
    same_cpu_vendor: bool
    live_memory_mib: int = 0
    efficiency: float = 1.0
    quick_mibps: float = 100.0
    max_blackout_s: float = 60.0
    law: PreCopy = field(default_factory=PreCopy)

    def __post_init__(self) -> None:
        if self.per_host < 1 or not self.efficiency > 0 or not self.quick_mibps > 0 or not self.max_blackout_s > 0:
            raise ValueError(
                f"profile {self.name!r}: per_host, efficiency, quick_mibps, max_blackout_s must be positive"
            )

    def mibps(self, mbps: float) -> float:
        """Payload MiB/s of a migration network of `mbps` Mbit/s."""
        return mbps * MIBPS_PER_MBPS * self.efficiency


PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile("hyperv-2008r2", per_host=1, same_cluster=True, same_cpu_vendor=True, live_memory_mib=64 * 1024),
        Profile("hyperv-2012+", per_host=2, same_cluster=True, same_cpu_vendor=True),
    )
}
"""Hyper-V 2008 R2: failover cluster, one CPU maker, a host takes part in one migration at a time, VMs of at most 64 GiB.
2012 and later: `MaximumVirtualMachineMigrations`, 2 unless changed, sharing the link. A move between clusters would carry the
disks along, which is not modelled: refused."""

_R2 = re.compile(r"hyper-?v.*2008", re.IGNORECASE | re.DOTALL)


def profile(name: str) -> Profile:
    """The profile called `name`; InputError if there is none."""
    try:
        return PROFILES[name]
    except KeyError:
        raise InputError("unknown migration profile", got=name, expected=" or ".join(PROFILES)) from None


def of_hosts(fleet: Fleet, hosts: Iterable[int]) -> Profile:
    """The strictest profile among `hosts` (indices), from their `hypervisor` text: one 2008 R2 host binds all."""
    groups = fleet.host_groups.get("hypervisor")
    if groups is not None:
        texts = {groups.names[c] for c in groups.code[sorted(set(hosts))].tolist() if c >= 0}
        if any(_R2.search(t) for t in texts):
            return PROFILES["hyperv-2008r2"]
    return PROFILES["hyperv-2012+"]


def refusal(profile: Profile, fleet: Fleet, source: int, destination: int) -> str:
    """Why `profile` cannot move any VM from `source` to `destination` (host indices), in words; "" if it can."""
    for group, asked, words in (
        ("cluster", profile.same_cluster, "the hosts are in different clusters"),
        ("cpu_vendor", profile.same_cpu_vendor, "the hosts have processors of different makers"),
    ):
        groups = fleet.host_groups.get(group)
        if asked and groups is not None and groups.code[source] != groups.code[destination]:
            return words
    if min(int(fleet.migration_mbps[source]), int(fleet.migration_mbps[destination])) <= 0:
        return "a host has no migration network"
    return ""
