"""Resources, counters and their units, stated once.

Ratios are fractions 0..1 in code and per cent on screen; instants are UTC; durations are seconds with suffix `_s`.
"""

from __future__ import annotations

from dataclasses import dataclass

CPU, MEMORY, DISK, NET = "cpu", "memory", "disk", "net"


@dataclass(frozen=True)
class Resource:
    """Something a host has and VMs use. Capacity and demand are integers in `unit`."""

    name: str
    unit: str
    doc: str


RESOURCES: dict[str, Resource] = {
    CPU: Resource(CPU, "MHz", "processor time: per cent of the entity's own processors times their clock"),
    MEMORY: Resource(MEMORY, "MiB", "memory assigned to the VM; static, it is held whether touched or not"),
    DISK: Resource(DISK, "KiB/s", "bytes read and written per second"),
    NET: Resource(NET, "KiB/s", "bytes sent and received per second"),
}


@dataclass(frozen=True)
class Counter:
    """A canonical performance counter: the name under which samples are stored, its unit and physical range."""

    name: str
    unit: str
    doc: str
    low: float
    high: float
    carry_s: int
    """How long one sample may stand for what follows it (optimised collection stores only changes)."""


COUNTERS: dict[str, Counter] = {
    c.name: c
    for c in (
        Counter(
            "cpu_pct",
            "%",
            "processor use of the entity itself: in a guest, of its virtual processors; on a Hyper-V "
            "host, of the root partition only",
            0.0,
            6400.0,
            900,
        ),
        Counter(
            "host_cpu_pct",
            "%",
            "use of all logical processors by root, guests and hypervisor together",
            0.0,
            110.0,
            900,
        ),
        Counter("memory_available_mib", "MiB", "memory free inside the entity", 0.0, 2.0**26, 3900),
        Counter("memory_assigned_mib", "MiB", "physical memory the host has given to the VM", 0.0, 2.0**26, 3900),
        Counter("disk_bps", "B/s", "bytes read and written per second, all disks", 0.0, 2.0**40, 3900),
        Counter("net_bps", "B/s", "bytes sent and received per second, all adapters", 0.0, 2.0**40, 3900),
    )
}
"""`high` is the largest value that can be true (a counter may pass 100 % by rounding or per-core counting); anything
outside goes to quarantine. Every name `x` has a companion `x_max`: the maximum inside an aggregated interval."""

MIBPS_PER_MBPS = 1 / 9
"""Payload in MiB/s of one Mbit/s: BtrPlace divides by nine. In MiB that is 93 % of the wire, about TCP's share of Ethernet."""
