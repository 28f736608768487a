"""Memory in use, as hosts count it: what is left of it is free, whatever was assigned to whom.

Heat is told from it and nothing is placed by it: memory that nobody touches today may be touched tomorrow, so capacity, reserves and
rules go by what is assigned (`Demand`). Hosts run short all the same, where memory is handed out as VMs ask for it, or something on the host itself takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import counted, listed
from pro.core.units import MEMORY
from pro.fleet.entities import entity_of, host_entities, spokesmen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.core.arrays import Bools, Floats, Ints, Singles
    from pro.fleet.fleet import Fleet
    from pro.forecast.scenarios import Scenarios
    from pro.telemetry.grid import Grid

FREE, GIVEN = "memory_available_mib", "memory_assigned_mib"
"""What is free on a host; what a host has given to a VM, where that changes."""
COUNTED = "Memory, Available MBytes"
ENOUGH = 12
"""Points of the grid without which nothing is said of a host: an hour."""
FRESH_S = 3900
"""For so long a sample of memory stands for what follows it: collection may store only what has changed."""


@dataclass(frozen=True)
class MemoryUse:
    """Memory in use of H hosts over S paths of T slots, and what V VMs take along when they move.

    Attributes
    ----------
    use
        (H, S, T) int64 MiB with every VM at `host_of`; 0 on hosts that are not judged.
    judged
        (H,) bool: the host's counters say enough.
    held
        (V,) int64 MiB of its host's memory in use that is a VM's.
    host_of
        (V,) where the VMs stand.
    start, step_s
        As in `Demand`.
    unjudged
        Host id -> why its memory is not judged by counters.
    """

    use: Ints
    judged: Bools
    held: Ints
    host_of: Ints
    start: datetime
    step_s: int
    unjudged: Mapping[str, str]

    def placed(self, host_of: Ints) -> Ints:
        """(H, S, T) MiB in use if the VMs stood at `host_of` (V,): who moves takes along what it holds."""
        moved = np.flatnonzero(host_of != self.host_of)
        shift = np.zeros(len(self.judged), dtype=np.int64)
        np.add.at(shift, host_of[moved], self.held[moved])
        np.subtract.at(shift, self.host_of[moved], self.held[moved])
        return np.where(self.judged[:, None, None], np.maximum(self.use + shift[:, None, None], 0), 0)


def hosts_only(fleet: Fleet, names: Sequence[str]) -> Bools:
    """Which of the entities `names` are hosts."""
    return np.asarray(entity_of(fleet, names).host >= 0)


def seen_free(fleet: Fleet, free: Grid, settled: Mapping[str, datetime]) -> tuple[Grid, dict[str, str]]:
    """Of `free` (`memory_available_mib`) one row for every host that can be judged, named by its id; and why others cannot.

    `settled` says since when the VMs of a host are those of now: before, it had others, whose memory says nothing of these.
    """
    known = np.isfinite(free.values)
    speaker = host_entities(fleet, entity_of(fleet, free.entities), known.mean(axis=1).astype(np.float32))
    capacity = fleet.capacity[:, fleet.resources.index(MEMORY)]
    rows, why = {}, {}
    for h, host in enumerate(fleet.hosts):
        if speaker[h] < 0:
            why[host] = f"no {COUNTED}"
            continue
        row = free.values[speaker[h]]
        own = np.where(row <= capacity[h], row, np.float32(np.nan))
        own[: _points_before(free, settled.get(host))] = np.nan
        if reason := _doubt(row, own, int(capacity[h])):
            why[host] = reason
        else:
            rows[host] = own
    values = np.array(list(rows.values()), dtype=np.float32).reshape(len(rows), free.values.shape[1])
    return replace(free, entities=tuple(rows), values=values, seen_us=None), why


def _points_before(grid: Grid, since: datetime | None) -> int:
    """How many points of `grid` lie before `since`."""
    if since is None or since <= grid.start:
        return 0
    points = -(-(since - grid.start) // timedelta(seconds=grid.step_s))
    return int(min(points, grid.values.shape[1]))


def _doubt(row: Singles, own: Singles, capacity: int) -> str:
    """Why a host is not judged by its free memory `row` (T,), of which `own` is that of its VMs of now, and possible; "" where it is."""
    if not np.isfinite(row[-1]):
        return f"its newest {COUNTED} is older than {FRESH_S // 60} minutes"
    if row[-1] > capacity:
        return f"more is free by {COUNTED} than hosts.csv says it has"
    if np.isfinite(own).sum() < ENOUGH:
        return f"less than an hour of {COUNTED} is known with the VMs that stand there now"
    return ""


def memory_use(
    fleet: Fleet, free: Grid, ahead: Scenarios, given: Grid | None, unjudged: Mapping[str, str]
) -> MemoryUse:
    """Memory in use over the horizon: what each host has, less what is `ahead` of its free memory (see `seen_free`, as `free`).

    A VM holds what `given` (`memory_assigned_mib`, newest point) says that its host gave it, else what is assigned to it. Where a
    host has less in use than that comes to, for it hands out memory as it is touched, each of its VMs holds its share of what is in use.
    """
    capacity = fleet.capacity[:, fleet.resources.index(MEMORY)]
    rows = np.array([fleet.host_index(h) for h in free.entities], dtype=np.int64)
    paths = np.zeros((fleet.n_hosts, *ahead.values.shape[1:]), dtype=np.int64)
    left = np.floor(np.clip(ahead.values, 0, None)).astype(np.int64)
    paths[rows] = np.maximum(capacity[rows, None, None] - left, 0)
    judged = np.zeros(fleet.n_hosts, dtype=np.bool_)
    judged[rows] = True
    held = _given(fleet, given)
    asked = np.bincount(fleet.host_of, weights=held, minlength=fleet.n_hosts)
    share = np.ones(fleet.n_hosts)
    share[rows] = (capacity[rows] - newest(free.values)) / np.maximum(asked[rows], 1)
    holds = np.floor(held * np.minimum(share, 1.0)[fleet.host_of]).astype(np.int64)
    return MemoryUse(paths, judged, holds, fleet.host_of, ahead.cutoff, ahead.step_s, unjudged)


def newest(values: Singles) -> Singles:
    """(E,) the last known of each row of `values` (E, T); every row knows one."""
    at = values.shape[1] - 1 - np.argmax(np.isfinite(values)[:, ::-1], axis=1)
    return np.asarray(values[np.arange(len(values)), at])


def _given(fleet: Fleet, given: Grid | None) -> Floats:
    """(V,) MiB that each VM was last known to be given."""
    held = fleet.memory_mib.astype(np.float64)
    if given is None or not given.entities:
        return held
    known = np.isfinite(given.values).mean(axis=1).astype(np.float32)
    speaker = spokesmen(fleet, entity_of(fleet, given.entities), known)
    vms = np.flatnonzero(speaker >= 0)
    held[vms] = newest(given.values[speaker[vms]])
    return held


def sentence(fleet: Fleet, unjudged: Mapping[str, str]) -> str:
    """On which hosts memory is judged by counters, and on which not and why, for people."""
    seen = fleet.n_hosts - len(unjudged)
    reasons: dict[str, list[str]] = {}
    for host, why in unjudged.items():
        reasons.setdefault(why, []).append(fleet.host_names[fleet.host_index(host)])
    told = "; ".join(f"{why}: {listed(names)}" for why, names in reasons.items())
    return (
        f"memory in use is judged by counters on {seen:,} of {counted(fleet.n_hosts, 'host')}{'; ' * bool(told)}{told}"
    )
