"""Plan step -> the real world.

In: ids of a VM, its source and its destination. Out: a ticket to ask about, and what stands where now. Never: knows plans,
rules or names; retries on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.backends.base import Backend, HostSeen, MigrationRefused, Ticket, TicketState, VmSeen, VmState, World
from pro.core.errors import InputError

if TYPE_CHECKING:
    from pro.core.clock import Clock

__all__ = [
    "Backend",
    "HostSeen",
    "MigrationRefused",
    "Ticket",
    "TicketState",
    "VmSeen",
    "VmState",
    "World",
    "open_backend",
]

SCHEMES = ("simulated",)
_LATER = ("libvirt", "libvirt+unix", "vsphere", "hyperv")


def open_backend(url: str, *, world: World | None = None, clock: Clock) -> Backend:
    """The backend behind `url`. `world` seeds a simulator whose state file is absent.

    Raises InputError for a scheme that is not on the list: a URL can make some clients run commands, so nothing is passed
    on unread.
    """
    scheme = url.partition(":")[0]
    if scheme == "simulated" and ":" in url:
        from pro.backends.simulated import open_simulated

        return open_simulated(url, world=world, clock=clock)
    exists = ", ".join(f"{s}:..." for s in SCHEMES)
    if scheme in _LATER:
        raise InputError(f"{scheme} backends are not in this version", got=url, expected=exists)
    raise InputError("unknown backend", got=url, expected=exists)
