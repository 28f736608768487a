"""Fleet and Demand: names outside, indices inside. Everything past this file is integers in numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from pro.core.arrays import Bools, Ints


def frozen(array: NDArray[Any], dtype: type | None = None) -> NDArray[Any]:
    """`array` itself where it is read-only, contiguous and owns its memory, as all that came from here; else a copy that is."""
    flags = array.flags
    if flags.c_contiguous and flags.owndata and not flags.writeable and (dtype is None or array.dtype == dtype):
        return array
    copy = np.array(array, dtype=dtype, copy=True, order="C")
    copy.flags.writeable = False
    return copy


@dataclass(frozen=True)
class Groups:
    """A labelling: `code[i]` is the group of item i (-1: none), `names[code]` its name."""

    code: Ints
    names: tuple[str, ...]


@dataclass(frozen=True)
class RuleSpec:
    """One rule as it was written, with where it came from.

    `kind`: spread | gather | fence | pin | ban | limit | licence | dedicate | prefer. `members` are VM ids (none: of a
    limit, all VMs); `hosts` host ids, of a prefer in order, best first; `scope`: host | rack | site | cluster (spread,
    gather, limit). `least`: spread over at least so many scope items (0: no two members together). `most`: members in
    one scope item (limit), cores of the hosts that hold any (licence). `soft`: a preference, not a rule; `worth`: how many
    migrations one unit of it is worth (0: one). `owner` and `origin` tell whom to ask and which file and entry it is.
    """

    name: str
    kind: str
    members: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    scope: str = "host"
    least: int = 0
    owner: str = ""
    origin: str = ""
    most: int = 0
    soft: bool = False
    worth: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """A columnar snapshot of H hosts and V VMs with R resources. Immutable; arrays are read-only.

    Attributes
    ----------
    hosts, vms
        Stable ids, in sorted order: the index of a host or VM is its position here.
    host_names, vm_names
        What people call them; hostile text, for display only.
    host_fqdn, vm_fqdn
        DNS names as counters know them ("" if none).
    resources
        R resource names, a subset of `pro.core.units.RESOURCES`, always starting ("cpu", "memory").
    capacity
        (H, R) int64 in each resource's unit.
    host_of
        (V,) int64: the host every VM stands on now.
    accepting
        (H,) bool: may receive VMs (false: maintenance, paused, down).
    leaving
        (H,) bool: must be emptied (maintenance).
    movable
        (V,) bool: a migration of this VM is possible at all.
    host_groups
        "cluster", "rack", "site", "hypervisor", "cpu_vendor", "cpu_family" -> Groups over hosts; "networks" and
        "storage", what a host reaches, as it was written: names between semicolons.
    vm_groups
        "service" (role) and others -> Groups over VMs; "networks" and "storage", what a VM needs.
    compatibility_mode
        (V,) bool: processor compatibility mode is on, so CPU families may mix.
    highly_available
        (V,) bool
    vcpus, cpu_cap_mhz, memory_mib
        (V,) int64: the VM's size.
    migration_mbps
        (H,) int64, megabits per second of the host's migration network.
    snapshot_gib, snapshot_age_days
        (V,) float64: checkpoint chain; 0 and -1 when there is none.
    dirty_mib_s
        (V,) float64: memory the VM writes per second, NaN where nobody measured it.
    cores, numa_nodes
        (H,) int64: processor cores, and the NUMA nodes that share them and the memory evenly; 0 where it is not known.
    numa_span
        (V,) bool: may be larger than a NUMA node.
    rules
        User rules with provenance; members and hosts are ids of this fleet.
    at
        Instant of the snapshot, UTC.
    warnings
        What was odd about the inventory but could be lived with.
    left_alone
        Ids of hosts that accept nothing, and whose VMs do not move, only because too little is known of their load.
    steady
        VM id -> why it is not moved although it could be, as said of it ("rests until ...").
    """

    hosts: tuple[str, ...]
    vms: tuple[str, ...]
    host_names: tuple[str, ...]
    vm_names: tuple[str, ...]
    host_fqdn: tuple[str, ...]
    vm_fqdn: tuple[str, ...]
    resources: tuple[str, ...]
    capacity: Ints
    host_of: Ints
    accepting: Bools
    leaving: Bools
    movable: Bools
    host_groups: Mapping[str, Groups]
    vm_groups: Mapping[str, Groups]
    compatibility_mode: Bools
    highly_available: Bools
    vcpus: Ints
    cpu_cap_mhz: Ints
    memory_mib: Ints
    migration_mbps: Ints
    snapshot_gib: NDArray[np.float64]
    snapshot_age_days: NDArray[np.float64]
    rules: tuple[RuleSpec, ...] = ()
    at: datetime | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    dirty_mib_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    cores: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    numa_nodes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    numa_span: Bools = field(default_factory=lambda: np.empty(0, np.bool_))
    left_alone: tuple[str, ...] = field(default=(), compare=False)
    steady: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def n_hosts(self) -> int:
        """H."""
        return len(self.hosts)

    @property
    def n_vms(self) -> int:
        """V."""
        return len(self.vms)

    def host_index(self, host: str) -> int:
        """Index of a host by id; KeyError if there is none."""
        return self._host_lookup[host]

    def vm_index(self, vm: str) -> int:
        """Index of a VM by id; KeyError if there is none."""
        return self._vm_lookup[vm]

    def present_vms(self, vms: Iterable[str]) -> list[int]:
        """Indices, ascending, each once, of those of these ids that the fleet holds. O(n log n) in the number asked for."""
        return sorted({self._vm_lookup[vm] for vm in vms if vm in self._vm_lookup})

    def present_hosts(self, hosts: Iterable[str]) -> list[int]:
        """The same of hosts."""
        return sorted({self._host_lookup[host] for host in hosts if host in self._host_lookup})

    def scope_codes(self, scope: str) -> tuple[Ints, int]:
        """(H,) the scope item ("host", or a host group) of every host, and how many there are; hosts of no known item have their own.

        Always the same array, for there may be a rule for every service.
        """
        if scope not in self._scopes:
            groups, own = None if scope == "host" else self.host_groups.get(scope), np.arange(self.n_hosts)
            code = own if groups is None else np.where(groups.code >= 0, groups.code, len(groups.names) + own)
            items = self.n_hosts + (0 if groups is None else len(groups.names))
            self._scopes[scope] = frozen(code, np.int64), items
        return self._scopes[scope]

    @cached_property
    def _scopes(self) -> dict[str, tuple[Ints, int]]:
        return {}

    def __post_init__(self) -> None:
        object.__setattr__(self, "_host_lookup", {h: i for i, h in enumerate(self.hosts)})
        object.__setattr__(self, "_vm_lookup", {v: i for i, v in enumerate(self.vms)})
        h, v, r = len(self.hosts), len(self.vms), len(self.resources)
        if len(self.dirty_mib_s) == 0:
            object.__setattr__(self, "dirty_mib_s", np.full(v, np.nan))
        for name, missing in (("cores", np.zeros(h, np.int64)), ("numa_nodes", np.zeros(h, np.int64)),
                              ("numa_span", np.zeros(v, np.bool_))):  # fmt: skip
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, missing)
        shapes = {
            "capacity": (h, r),
            "host_of": (v,),
            "accepting": (h,),
            "leaving": (h,),
            "movable": (v,),
            "compatibility_mode": (v,),
            "highly_available": (v,),
            "vcpus": (v,),
            "cpu_cap_mhz": (v,),
            "memory_mib": (v,),
            "migration_mbps": (h,),
            "snapshot_gib": (v,),
            "snapshot_age_days": (v,),
            "dirty_mib_s": (v,),
            "cores": (h,),
            "numa_nodes": (h,),
            "numa_span": (v,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
            object.__setattr__(self, name, frozen(array))
        if v and (self.host_of.min() < 0 or self.host_of.max() >= h):
            raise ValueError(f"host_of must lie in 0..{h - 1}")

    _host_lookup: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _vm_lookup: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True)
class Demand:
    """What each VM will ask of each resource at each moment; a moment is one (scenario, time slot) pair.

    Attributes
    ----------
    use
        (V, R, K) int32 in the resource's unit. K = S * T, moment k = s * T + t.
    base
        (H, R, K) int32: the host's own use that belongs to no VM (root partition, hypervisor).
    scenarios, slots
        S and T.
    start
        End of slot 0 minus `step_s`, UTC (the cutoff).
    step_s
        Seconds per slot.
    known
        (V,) float32: share of the history that was known; a VM with little is moved with care.
    warnings
        What had to be assumed.
    tie
        Resource -> how strongly all VMs move together beyond what the moments show (see `pro.forecast.together`): for pictures of
        sums. Nothing is decided by it.
    """

    use: NDArray[np.int32]
    base: NDArray[np.int32]
    scenarios: int
    slots: int
    start: datetime
    step_s: int
    known: NDArray[np.float32]
    warnings: tuple[str, ...] = field(default=(), compare=False)
    tie: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def moments(self) -> int:
        """K."""
        return self.scenarios * self.slots

    def __post_init__(self) -> None:
        if self.use.shape[2] != self.moments or self.base.shape[2] != self.moments:
            raise ValueError(f"{self.use.shape[2]} moments, expected {self.scenarios} scenarios x {self.slots} slots")
        for name in ("use", "base", "known"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


def host_use(demand: Demand, host_of: Ints, hosts: int) -> Ints:
    """(H, R, K) int64: use of every host at every moment under `host_of`, base included. The plain sum."""
    total = demand.base.astype(np.int64)
    order = np.argsort(host_of, kind="stable")
    if order.size:
        there, first = np.unique(host_of[order], return_index=True)
        total[there] += np.add.reduceat(demand.use[order], first, axis=0, dtype=np.int64)
    return total[:hosts]
