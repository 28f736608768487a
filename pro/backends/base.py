"""The seam to whatever really moves VMs. Four verbs, ids only, never names."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from pro.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping


class MigrationRefused(BackendError):
    """The backend looked and said no: nothing was started by this call.

    Any other `BackendError` out of `migrate` leaves open whether the migration runs. `busy`: it may be asked again when
    something else has ended (the limit of migrations per host, for example).
    """

    def __init__(self, reason: str, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.busy = busy


class VmState(StrEnum):
    """What a VM is doing, as far as a migration cares."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"


@dataclass(frozen=True)
class VmSeen:
    """Where a VM was observed. More than one host: the world is in doubt, nobody may move it."""

    vm: str
    hosts: tuple[str, ...]
    state: VmState
    memory_mib: int


@dataclass(frozen=True)
class HostSeen:
    """A host as observed. `accepting`: takes VMs. `balancer`: another balancer that is active here, or "". `migration_mbps`: Mbit/s of its
    migration network, 0: not known."""

    host: str
    accepting: bool
    memory_mib: int
    balancer: str = ""
    migration_mbps: int = 0


@dataclass(frozen=True)
class World:
    """What `inventory()` saw at one instant (ISO 8601, UTC)."""

    at: str
    hosts: Mapping[str, HostSeen]
    vms: Mapping[str, VmSeen]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class TicketState(StrEnum):
    """State of one migration."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ticket:
    """A migration as the backend sees it. `id` is the backend's; `progress` 0..1; measured values once it has ended."""

    id: str
    vm: str
    source: str
    destination: str
    state: TicketState
    progress: float = 0.0
    reason: str = ""
    seconds: float | None = None
    blackout_s: float | None = None
    mib: int | None = None


class Backend(Protocol):
    """One system that moves VMs.

    `migrate` refuses (BackendError with `refused=True` semantics: `MigrationRefused`) if the VM is not on `source` or the
    destination does not accept; repeating a call for a migration that is under way returns the same ticket, and for one that
    has arrived returns a finished ticket: harmless. `status` and `cancel` take a ticket id; `running(vm)` lets a resumed
    driver adopt a migration whose ticket it never saw.
    """

    url: str

    def inventory(self) -> World:
        """Observe every host and VM now."""
        ...

    def migrate(self, vm: str, source: str, destination: str, kind: str) -> Ticket:
        """Start one migration and return at once."""
        ...

    def status(self, ticket: str) -> Ticket:
        """How a migration stands; state UNKNOWN for a ticket nobody knows."""
        ...

    def cancel(self, ticket: str) -> Ticket:
        """Ask for a running migration to be abandoned; the VM stays on its source."""
        ...

    def running(self, vm: str) -> Ticket | None:
        """The migration of `vm` that is under way, if any."""
        ...
