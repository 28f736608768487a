"""Hotspot: a host that is expected to run hot, when, how surely, and which VMs cause it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Cause:
    """One VM's share of a hotspot."""

    vm: str
    share: float
    """Fraction 0..1 of the host's use by VMs while it is hot."""


@dataclass(frozen=True)
class Hotspot:
    """A host expected to pass the threshold for long enough to matter.

    `host` is an id. `starts`/`ends` bound the window in which the host is hot with at least the reporting
    probability (UTC). `probability` is the share of scenarios in which it is hot for at least the dwell time.
    `expected_peak` is the mean over scenarios of the highest use, as a fraction of capacity. `expected_hot_minutes`
    is the mean number of minutes over the threshold in the horizon. `severity`: "warning" or "critical". `measured`: of memory
    in use by counters, not as assigned (see `pro.fleet.memory`): it is watched, and no plan acts on it.
    """

    host: str
    resource: str
    starts: datetime
    ends: datetime
    probability: float
    expected_peak: float
    expected_hot_minutes: float
    severity: str
    vms: tuple[Cause, ...]
    measured: bool = False

    @property
    def what(self) -> str:
        """Its resource, for people."""
        return f"{self.resource}, measured" if self.measured else self.resource

    def to_json(self) -> dict[str, Any]:
        """Plain values: instants in ISO 8601 UTC, shares and probabilities as fractions; `measured` only where it is."""
        said = {**asdict(self), "starts": self.starts.isoformat(), "ends": self.ends.isoformat()}
        return said if self.measured else {key: value for key, value in said.items() if key != "measured"}
