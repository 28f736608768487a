"""Fleet + Scenarios -> Demand: percentages become MHz, bytes become KiB, and everything an integer, rounded up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU, DISK, MEMORY, NET
from pro.fleet.base import base_cpu, up
from pro.fleet.entities import entity_of, spokesmen
from pro.fleet.fleet import Demand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pro.fleet.fleet import Fleet
    from pro.forecast.scenarios import Scenarios
    from pro.telemetry.grid import Grid

UNSEEN_CPU = 0.20
"""Share of its cap a VM without history is taken to use: VMM's own default."""

_CHUNK = 1024


def demand(
    fleet: Fleet,
    scenarios: Mapping[str, Scenarios],
    host_history: Mapping[str, Grid],
    vm_history: Mapping[str, Grid],
    settled: Mapping[str, datetime] | None = None,
) -> Demand:
    """What every VM will ask for at every moment, and what every host spends on itself.

    CPU is `cpu_pct` of the VM's cap, from the entity `spokesmen` chose; a VM no counter knows asks for 20 % of its
    cap. Memory is what is assigned, at every moment. Disk and net are `disk_bps` and `net_bps` where the fleet has these
    resources; a VM no counter knows asks for none. All scenarios must share cutoff, step and shape. `host_history` and
    `vm_history` may be the same grids: they are matched to hosts and VMs here. `settled`: see `base.base_cpu`.
    Raises ValueError when there are no scenarios, or their shapes differ.
    """
    if not scenarios:
        raise ValueError("no scenarios: use flat_demand")
    first = next(iter(scenarios.values()))
    paths, slots = first.values.shape[1:]
    for s in scenarios.values():
        if s.values.shape[1:] != (paths, slots) or s.cutoff != first.cutoff or s.step_s != first.step_s:
            raise ValueError(f"scenarios of {s.counter} do not fit those of {first.counter}")
    use = np.zeros((fleet.n_vms, len(fleet.resources), paths * slots), dtype=np.int32)
    r = {name: i for i, name in enumerate(fleet.resources)}
    use[:, r[MEMORY]] = fleet.memory_mib[:, None]
    known = np.zeros(fleet.n_vms, dtype=np.float32)
    use[:, r[CPU]] = up(UNSEEN_CPU * fleet.cpu_cap_mhz)[:, None]
    if "cpu_pct" in scenarios:
        known = _fill(fleet, use[:, r[CPU]], scenarios["cpu_pct"], fleet.cpu_cap_mhz / 100.0, fleet.cpu_cap_mhz)
    for name, counter in ((DISK, "disk_bps"), (NET, "net_bps")):
        if name in r and counter in scenarios:
            none = np.full(fleet.n_vms, 2**31 - 1, dtype=np.int64)
            _fill(fleet, use[:, r[name]], scenarios[counter], np.full(fleet.n_vms, 1 / 1024), none)
    cpu, warnings = base_cpu(fleet, host_history, vm_history, settled or {})
    unseen = int((known == 0).sum())
    if unseen:
        warnings = (
            *warnings,
            f"{unseen} of {fleet.n_vms} VMs {'has' if unseen == 1 else 'have'} no CPU history; {UNSEEN_CPU:.0%} of their cap is assumed",
        )
    base = np.zeros((fleet.n_hosts, len(fleet.resources), paths * slots), dtype=np.int32)
    base[:, r[CPU]] = cpu[:, None]
    of = {CPU: "cpu_pct", DISK: "disk_bps", NET: "net_bps"}
    tie = {name: scenarios[of[name]].tie for name in fleet.resources if of.get(name) in scenarios}
    return Demand(use, base, paths, slots, first.cutoff, first.step_s, known, warnings, tie)


def flat_demand(fleet: Fleet, at: datetime | None = None, step_s: int = 3600) -> Demand:
    """One moment without counters: every VM uses 20 % of its cap, hosts the default base. For repairing rules only."""
    use = np.zeros((fleet.n_vms, len(fleet.resources), 1), dtype=np.int32)
    base = np.zeros((fleet.n_hosts, len(fleet.resources), 1), dtype=np.int32)
    r = {name: i for i, name in enumerate(fleet.resources)}
    use[:, r[CPU], 0] = up(UNSEEN_CPU * fleet.cpu_cap_mhz)
    use[:, r[MEMORY], 0] = fleet.memory_mib
    base[:, r[CPU], 0] = base_cpu(fleet, {}, {}, {})[0]
    start = at or fleet.at or datetime.fromtimestamp(0, UTC)
    warning = f"no counters: every VM is taken to use {UNSEEN_CPU:.0%} of its processor cap"
    return Demand(use, base, 1, 1, start, step_s, np.zeros(fleet.n_vms, dtype=np.float32), (warning,))


def _fill(
    fleet: Fleet, out: NDArray[np.int32], s: Scenarios, factor: NDArray[np.float64], most: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Write the demand of the VMs `s` knows into `out` (V, K); (V,) how much of each was known."""
    speaker = spokesmen(fleet, entity_of(fleet, s.entities), s.known)
    vms = np.flatnonzero(speaker >= 0)
    for start in range(0, len(vms), _CHUNK):
        part = vms[start : start + _CHUNK]
        values = s.values[speaker[part]].reshape(len(part), -1).astype(np.float64) * factor[part, None]
        out[part] = np.minimum(up(values), most[part, None])
    known = np.zeros(fleet.n_vms, dtype=np.float32)
    known[vms] = s.known[speaker[vms]]
    return known
