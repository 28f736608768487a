"""Plan: a diff of two placements, ordered in time, with what each step costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Migration:
    """One step: `vm` goes from `source` to `destination` (ids).

    `kind`: "live", or "quick" (saved, handed over, resumed: an outage, only with consent). `seconds` expected duration,
    `blackout_s` expected pause of the VM, `mib` data expected on the wire, `starts_s` earliest start in seconds after the
    plan's. `stopover`: this step only makes room and the VM moves on in a later wave. `vm_name`: for people.
    """

    vm: str
    source: str
    destination: str
    kind: str
    memory_mib: int
    seconds: float
    blackout_s: float
    mib: int
    starts_s: float
    reason: str
    stopover: bool = False
    vm_name: str = ""


@dataclass(frozen=True)
class Wave:
    """Migrations that may run at the same time. A wave starts when the one before it has ended."""

    migrations: tuple[Migration, ...]


@dataclass(frozen=True)
class Blocked:
    """A VM that should move and cannot, and why."""

    vm: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to do, in order. Immutable; `id` is a hash of the content, so an approval binds to exactly this plan.

    `fleet_fingerprint` hashes the facts the plan depends on; `facts` are those facts in the open, so that a stale plan can
    say what changed (see `pro.planning.facts`).
    `tiers`: [{name, unit, before, after}]. `proof`: {engine, bound, gap, minimal_moves}. `before`, `after`: {hot_hosts,
    hot_minutes, peak, hosts: {host: {resource: peak fraction}}}. `in_flight`: the worst moment on the way:
    {memory: {host, fraction}, concurrent, seconds, blackout_s, split: [rules of groups that are apart on the way]}. `profile`: the
    platform's law of migration.
    """

    id: str
    created_at: str
    now: str
    fleet_fingerprint: str
    goal: str
    profile: str
    waves: tuple[Wave, ...]
    blocked: tuple[Blocked, ...]
    tiers: tuple[Mapping[str, Any], ...]
    proof: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    in_flight: Mapping[str, Any]
    facts: Mapping[str, Any]
    explain: Mapping[str, Any] = field(default_factory=dict)
    """Per VM (moved or on a hot host): what happens without the move, refused destinations with reasons, gain."""
    violations: tuple[Mapping[str, Any], ...] = ()
    """Rules still broken after the plan, with what would be needed; with `preference`: soft ones."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """{told, gains, fewer, hosts, remedies, more_remedies, units}: see `pro.placement.answers`; empty where nobody asked."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """What it was asked to keep besides the rules that people wrote: what `pro.placement.constraints.build` is told, and `failover`:
    {hosts: so many of a cluster may fail, granted: {cluster: VMs that may be without a place then, where repairs make that more than
    today}}. Empty: not known."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The question, so that it can be asked again of the same store (see `pro.actions.asking`): {inventory: its instant, forecast, heat:
    settings, policy: all of it, still: {VM: why it was not to move}}. Empty: not known."""
    ends: Mapping[str, str] = field(default_factory=dict)
    """The promise: where every VM that moves stands when the plan is done (ids)."""

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """All steps in order."""
        return tuple(m for w in self.waves for m in w.migrations)
