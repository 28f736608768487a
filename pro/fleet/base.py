"""What a host spends on itself: measured use of the whole host minus what its VMs used at the same instants."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import CPU
from pro.fleet.entities import entity_of, host_entities, spokesmen
from pro.fleet.names import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet.fleet import Fleet
    from pro.telemetry.grid import Grid

UNKNOWN_BASE, MOST_BASE = 0.02, 0.30
"""Share of a host's capacity: assumed where it cannot be measured, and never believed to be exceeded."""

WINDOW_H = 48.0
ENOUGH = 12
"""Instants needed before a median is trusted."""

SEEN = 0.9
"""Share of the processor caps on a host that must be known at an instant for that instant to count."""


def up(values: NDArray[np.floating[Any]]) -> Ints:
    """Round up, but not for the dust that single precision leaves behind: a millionth of the value, at most 0.001."""
    whole: Ints = np.ceil(values - np.minimum(values * 1e-6, 1e-3)).astype(np.int64)
    return whole


def base_cpu(
    fleet: Fleet,
    host_history: Mapping[str, Grid],
    vm_history: Mapping[str, Grid],
    settled: Mapping[str, datetime],
) -> tuple[Ints, tuple[str, ...]]:
    """(H,) MHz of every host's own use, and what had to be assumed.

    The median, over the last 48 h of instants at which both were known, of the host's use minus that of the VMs that stand
    there now; between 0 and 30 % of capacity. `settled` says since when the VMs of a host are those of now: earlier
    instants would blame a host for VMs that have left. A host with fewer than 12 such instants has 2 % of its capacity.
    """
    capacity = fleet.capacity[:, fleet.resources.index(CPU)]
    base = up(capacity * UNKNOWN_BASE)
    measured, start, step_s, warnings = _host_mhz(fleet, host_history, capacity)
    if measured is None or start is None or "cpu_pct" not in vm_history:
        return base, warnings
    spent, seen = _vm_mhz(fleet, vm_history["cpu_pct"], start, step_s, measured.shape[1])
    residual = np.where(seen >= SEEN, measured - spent, np.nan)
    for host, since in settled.items():
        if host in fleet.hosts:
            first = (
                int(np.clip(np.ceil((since - start).total_seconds() / step_s), 0, residual.shape[1]))
                if since > start
                else 0
            )
            residual[fleet.host_index(host), :first] = np.nan
    counted = np.isfinite(residual).sum(axis=1)
    rows = np.flatnonzero(counted >= ENOUGH)
    if len(rows):
        median = np.nanmedian(residual[rows], axis=1)
        base[rows] = up(np.clip(median, 0.0, MOST_BASE * capacity[rows]))
    return base, warnings


def _host_mhz(
    fleet: Fleet, history: Mapping[str, Grid], capacity: Ints
) -> tuple[NDArray[np.float64] | None, datetime | None, int, tuple[str, ...]]:
    """(H, T) measured MHz of whole hosts over the window, its first instant and step, and warnings.

    `host_cpu_pct` where there is one; `cpu_pct` only for hosts whose hypervisor is not Hyper-V, for there it would be the
    root partition's alone.
    """
    grid = history.get("host_cpu_pct")
    plain = history.get("cpu_pct")
    shape = grid or plain
    if shape is None:
        return None, None, 0, ()
    width = min(shape.values.shape[1], max(int(WINDOW_H * 3600 // shape.step_s), 1))
    start = shape.cutoff - timedelta(seconds=shape.step_s * (width - 1))
    out = np.full((fleet.n_hosts, width), np.nan)
    roots = np.zeros(fleet.n_hosts, dtype=np.bool_)
    for source in (plain, grid):
        if source is None:
            continue
        values = _cut(source, start, shape.step_s, width)
        row = host_entities(
            fleet, entity_of(fleet, source.entities), np.isfinite(values).mean(axis=1).astype(np.float32)
        )
        there = row >= 0
        if source is plain:
            roots = there & is_hyperv(fleet)
            there &= ~roots
        else:
            roots &= ~there
        out[there] = values[row[there]] / 100.0 * capacity[there, None]
    warnings = tuple(
        f"host {quoted(fleet.host_names[h], fleet.hosts[h])} is counted only by its root partition "
        "(Processor); collect Hyper-V Hypervisor Logical Processor, % Total Run Time"
        for h in np.flatnonzero(roots)
    )
    return out, start, shape.step_s, warnings


def is_hyperv(fleet: Fleet) -> NDArray[np.bool_]:
    """(H,) whether a host runs Hyper-V, where `Processor` counts the root partition only."""
    groups = fleet.host_groups.get("hypervisor")
    if groups is None:
        return np.zeros(fleet.n_hosts, dtype=np.bool_)
    kind = np.array([*("hyper" in n.casefold() and "v" in n.casefold() for n in groups.names), False], dtype=np.bool_)
    return kind[groups.code]


def _vm_mhz(
    fleet: Fleet, grid: Grid, start: datetime, step_s: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, T) MHz the VMs of now used on each host, and (H, T) the share of their caps that was known."""
    values = _cut(grid, start, step_s, width)
    speaker = spokesmen(fleet, entity_of(fleet, grid.entities), np.isfinite(values).mean(axis=1).astype(np.float32))
    spent = np.zeros((fleet.n_hosts, width))
    seen = np.zeros((fleet.n_hosts, width))
    vms = np.flatnonzero(speaker >= 0)
    part = values[speaker[vms]].astype(np.float64)
    cap = fleet.cpu_cap_mhz[vms, None].astype(np.float64)
    np.add.at(spent, fleet.host_of[vms], np.nan_to_num(part) / 100.0 * cap)
    np.add.at(seen, fleet.host_of[vms], np.isfinite(part) * cap)
    caps = np.bincount(fleet.host_of, weights=fleet.cpu_cap_mhz, minlength=fleet.n_hosts)[:, None]
    return spent, np.where(caps > 0, seen / np.maximum(caps, 1), 1.0)


def _cut(grid: Grid, start: datetime, step_s: int, width: int) -> NDArray[np.float32]:
    """(E, width) of `grid` from `start` on; NaN outside it. Raises ValueError when the steps differ."""
    if grid.step_s != step_s:
        raise ValueError(f"grid {grid.counter} has steps of {grid.step_s} s, expected {step_s} s")
    out = np.full((len(grid.entities), width), np.nan, dtype=np.float32)
    offset = round((start - grid.start).total_seconds() / step_s)
    first, last = max(offset, 0), min(offset + width, grid.values.shape[1])
    if first < last:
        out[:, first - offset : last - offset] = grid.values[:, first:last]
    return out
