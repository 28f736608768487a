"""The columns of hosts and VMs, stated once: readers, storage and the data dictionary all follow this list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pro.core.table import field

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

Kind = Literal["text", "int", "float", "bool", "time"]


@dataclass(frozen=True)
class Column:
    """One canonical column. `required`: a table without it cannot be used."""

    name: str
    kind: Kind
    unit: str
    doc: str
    required: bool = False


HOST_COLUMNS: tuple[Column, ...] = (
    Column("id", "text", "", "stable id; where the file has none, the host's name"),
    Column("host", "text", "", "name of the host", required=True),
    Column("fqdn", "text", "", "DNS name under which its counters arrive"),
    Column("cluster", "text", "", "failover cluster; empty: the host stands alone"),
    Column("site", "text", "", "building or data centre"),
    Column("rack", "text", "", "rack inside the site"),
    Column("hypervisor", "text", "", "product and version, as the management system says it"),
    Column("cpu_vendor", "text", "", "maker of the processors"),
    Column("cpu_family", "text", "", "processor generation; VMs cross it only in compatibility mode"),
    Column("cores", "int", "", "processor cores", required=True),
    Column("core_mhz", "int", "MHz", "clock of one core", required=True),
    Column("memory_mib", "int", "MiB", "physical memory", required=True),
    Column("migration_mbps", "int", "Mbit/s", "bandwidth of the migration network; 0: there is none"),
    Column("disk_kibps", "int", "KiB/s", "what its storage path carries, reads and writes together"),
    Column("net_mbps", "int", "Mbit/s", "what its VM network carries, in and out together"),
    Column("state", "text", "", "ok | restricted | maintenance | paused | down"),
    Column("networks", "text", "", "VM networks it is connected to, between semicolons; empty: not known"),
    Column("storage", "text", "", "datastores, CSVs or shares it reaches, between semicolons; empty: not known"),
    Column(
        "numa_nodes",
        "int",
        "",
        "NUMA nodes, which share cores and memory evenly; missing: not known, VMs are not fitted",
    ),
)

VM_COLUMNS: tuple[Column, ...] = (
    Column("id", "text", "", "stable id; where the file has none, the VM's name"),
    Column("vm", "text", "", "name of the VM", required=True),
    Column("fqdn", "text", "", "DNS name of the guest, under which its counters arrive"),
    Column("vcpus", "int", "", "virtual processors", required=True),
    Column("cpu_cap_mhz", "int", "MHz", "processor time at 100 %; missing: vcpus times its host's core clock"),
    Column("memory_mib", "int", "MiB", "memory assigned", required=True),
    Column("role", "text", "", "what the VM is for; the service it belongs to"),
    Column("host", "text", "", "the host it stands on: id, name or DNS name", required=True),
    Column("cluster", "text", "", "failover cluster it belongs to; missing: its host's"),
    Column("highly_available", "bool", "", "is a cluster role; missing: yes when its host is in a cluster"),
    Column("cpu_compatibility_mode", "bool", "", "newer processor features are masked; missing: no"),
    Column("oldest_snapshot", "time", "UTC", "when the oldest checkpoint was taken"),
    Column("snapshot_gib", "float", "GiB", "size of the checkpoint chain; missing: 0"),
    Column("movable", "bool", "", "a migration is possible at all; missing: yes"),
    Column("dirty_mib_s", "float", "MiB/s", "memory written per second, where it was measured"),
    Column("networks", "text", "", "VM networks it needs, between semicolons; empty: any host will do"),
    Column(
        "storage",
        "text",
        "",
        "datastores, CSVs or shares its disks lie on, between semicolons; empty: any host will do",
    ),
    Column("numa_span", "bool", "", "may be larger than a NUMA node of its host; missing: no"),
)

STATES: dict[str, str] = {
    "": "ok",
    **dict.fromkeys(("ok", "up", "online", "normal", "healthy", "connected", "responding", "running"), "ok"),
    **dict.fromkeys(("restricted", "cordoned", "no new vms", "noplacement"), "restricted"),
    **dict.fromkeys(("maintenance", "maintenance mode", "inmaintenance", "in maintenance"), "maintenance"),
    "paused": "paused",
    **dict.fromkeys(("down", "offline", "disconnected", "not responding", "notresponding", "powered off"), "down"),
}
"""Host states as management systems spell them -> ours. Anything else is taken as restricted, with a warning.

ok: takes VMs. restricted: takes no more, keeps what it has. maintenance: takes none and must be emptied. paused: a
cluster node that takes none and keeps what it has. down: takes none, and what stands there cannot be moved live.
"""


def named(cell: str) -> dict[str, str]:
    """The names between the semicolons of a cell (networks, storage): folded to compare -> as it was written."""
    return {name.strip().casefold(): name.strip() for name in cell.split(";") if name.strip()}


def schema(columns: Sequence[Column], attributes: Sequence[str] = ()) -> pa.Schema:
    """Arrow schema of a hosts or VMs table; `attributes` are the columns PRO does not know and keeps as text."""
    import pyarrow as pa

    kinds = {
        "text": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    known = [field(c.name, kinds[c.kind], c.unit, c.doc) for c in columns]
    return pa.schema(known + [field(a, pa.string(), "", "attribute, kept as it came") for a in attributes])
