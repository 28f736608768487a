"""The past as it was measured, and as it would have been measured had the VMs stood elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import InputError
from pro.core.text import plain
from pro.core.units import CPU, DISK, NET
from pro.fleet.base import MOST_BASE, SEEN, UNKNOWN_BASE, is_hyperv
from pro.fleet.entities import entity_of, host_entities, spokesmen, unite
from pro.fleet.sizes import of_today

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pro.core.arrays import Bools, Floats, Ints
    from pro.fleet import Fleet
    from pro.fleet.sizes import Sizes
    from pro.fleet.tables import Inventory
    from pro.telemetry.grid import Grid
    from pro.telemetry.store import Store


STEP_S = 300
FULL = 0.995
"""A host that is measured at this share of its capacity or more may have been asked for more than was measured."""
NAMED = 3
LONGEST_DAYS = 400.0
"""So far back from its newest sample a store is searched for its first."""
COUNTERS_OF = {CPU: ("cpu_pct", "host_cpu_pct"), DISK: ("disk_bps",), NET: ("net_bps",)}


@dataclass(frozen=True)
class Past:
    """Everything a replay rests on. Column k of every array is the instant `start + k * STEP_S`.

    Attributes
    ----------
    fleet
        Hosts, VMs and rules at the first instant that is replayed; VMs stand where the replay begins.
    first, last
        Columns of the first and the last instant that is replayed; what is before `first` is history.
    grids
        Counters over all columns.
    use
        (V, T) MHz of every VM as its counter has it; NaN where nobody knows. More than the VM's size is a unit error, and counts as its size.
    own
        (H, T) MHz that every host spent on itself: measured use of the host minus that of the VMs that really stood there.
        Where the host was not measured, or was full, the newest value before.
    counted
        (H, T) whether the host's own processor counter is known.
    lookup
        Counters up to an instant, where a slice of `grids` could not be trusted because averages of longer intervals reach into
        the future; None: slices are exact.
    warnings
        What a replay cannot know.
    """

    fleet: Fleet
    first: int
    last: int
    grids: Mapping[str, Grid]
    use: Floats
    own: Floats
    counted: Bools
    lookup: Callable[[datetime], Mapping[str, Grid]] | None = None
    known_at: Ints | None = None
    """(V, T) column at which a value of `use` became known; None: each at its own."""
    warnings: tuple[str, ...] = ()

    def seen(self, column: int) -> Floats:
        """(V, column + 1) of `use`, as it was known at a column."""
        use = self.use[:, : column + 1]
        return use if self.known_at is None else np.where(self.known_at[:, : column + 1] <= column, use, np.nan)

    @cached_property
    def start(self) -> datetime:
        """Instant of column 0, UTC."""
        return next(iter(self.grids.values())).start

    def at(self, column: int) -> datetime:
        """Instant of a column, UTC."""
        return self.start + timedelta(seconds=column * STEP_S)

    @cached_property
    def capacity(self) -> Floats:
        """(H,) MHz."""
        return np.asarray(self.fleet.capacity[:, self.fleet.resources.index(CPU)], dtype=np.float64)

    def load(self, host_of: Ints, begin: int, end: int) -> Floats:
        """(H, end - begin) MHz that every host would have been asked for with VMs on `host_of` (V,); unknown loads are none."""
        total = self.own[:, begin:end].copy()
        order = np.argsort(host_of, kind="stable")
        if order.size:
            there, first = np.unique(host_of[order], return_index=True)
            size = self.fleet.cpu_cap_mhz[order, None]
            total[there] += np.add.reduceat(np.minimum(np.nan_to_num(self.use[order, begin:end]), size), first, axis=0)
        return np.maximum(total, 0.0)

    def until(self, column: int, days: float, load: Floats | None = None) -> dict[str, Grid]:
        """Counters as they were known at a column, over the `days` before it.

        `load` (H, at least column + 1) MHz: what hosts were asked for in the replay; their processor counters then show this,
        never more than 100 %, wherever they were counted at all. None: counters as they were.
        """
        points = max(round(days * 86_400 / STEP_S), 1)
        begin = max(column + 1 - points, 0)
        known = self.lookup(self.at(column)) if self.lookup else self.grids
        out = {}
        for name, grid in known.items():
            values = grid.values[:, begin : column + 1] if self.lookup is None else grid.values[:, -points:]
            start = (
                self.at(begin)
                if self.lookup is None
                else grid.cutoff - timedelta(seconds=STEP_S * (values.shape[1] - 1))
            )
            kept = np.flatnonzero(np.isfinite(values).any(axis=1))
            part = replace(
                grid, entities=tuple(grid.entities[i] for i in kept), start=start, values=values[kept], seen_us=None
            )
            out[name] = part if load is None else self._seen_on(part, load[:, : column + 1])
        return {name: grid for name, grid in out.items() if grid.entities or name == "cpu_pct"}

    def _seen_on(self, grid: Grid, load: Floats) -> Grid:
        """`grid` with processor counters of hosts as the replay has them."""
        rows = _host_rows(self.fleet, grid)
        if not rows.size:
            return grid
        host = entity_of(self.fleet, grid.entities).host[rows]
        width = grid.values.shape[1]
        share = np.minimum(100.0 * load[host, -width:] / self.capacity[host, None], 100.0)
        values = grid.values.copy()
        values[rows] = np.where(np.isfinite(values[rows]), share, np.nan)
        return replace(grid, values=values)


def read_past(root: Path, begins: datetime, ends: datetime, days: float, inventory: Inventory | None = None) -> Past:
    """What the store knows from `days` before `begins` up to `ends`. `inventory`: where VMs stand at first, instead of the store.

    Raises InputError when the store has no counters of this stretch, or it is empty, or no VM's processors are known in it.
    """
    from pro.fleet.archive import load_inventory, resized
    from pro.fleet.snapshot import snapshot
    from pro.telemetry.store import Store

    if not begins < ends:
        raise InputError("there is nothing to replay", got=f"{begins} to {ends}", expected="--from before --to")
    store, newest = Store(root), Store(root).newest()
    if newest is None:
        raise InputError("the store holds no samples", expected="`pro ingest` first", where=root)
    if begins >= newest:
        raise InputError(
            "there are no samples to replay", got=begins.isoformat(), expected=f"before {newest}", where="--from"
        )
    warnings = []
    if ends > newest + timedelta(hours=1):
        warnings.append(f"samples end at {newest:%Y-%m-%d %H:%M} UTC, and so does the replay")
    ends = min(ends, newest)
    inventory = inventory or load_inventory(root, begins)
    fleet, sizes = snapshot(inventory, begins, leave_out=True), resized(root, inventory, begins - timedelta(days=days))
    later = sorted(set(resized(root, load_inventory(root, ends), begins)) & set(fleet.vms))
    if later:
        names = ", ".join(plain(fleet.vm_names[fleet.vm_index(vm)]) for vm in later[:NAMED])
        more = f" and {len(later) - NAMED} more" if len(later) > NAMED else ""
        warnings.append(f"resized while replayed, and taken to have the size they began with: {names}{more}")
    span = (ends - begins).total_seconds() / 86_400 + days
    grids = _grids(store, fleet, ends, span, sizes)
    points = next(iter(grids.values())).values.shape[1]
    start = next(iter(grids.values())).start
    stood = _stood(root, fleet, (begins, ends), start, points)
    whole = _whole(store, grids, ends, span)
    lookup = None if whole else lambda now: _grids(store, fleet, now, days, sizes)
    known_at = None if whole else _known_at(store, fleet, start, points)
    if not whole:
        warnings.append(
            "counters hold averages of longer intervals, so each look reads the store again: this takes longer"
        )
    first = int((begins - start).total_seconds() // STEP_S)
    use, own, counted = measured(fleet, grids, stood, first)
    if not np.isfinite(use[:, first + 1 :]).any():
        raise InputError(
            f"no VM's processors are known from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC, so there is nothing to replay; "
            f"the store holds {held(store, 'cpu_pct')}",
            where=root,
        )
    return Past(fleet, first, points - 1, grids, use, own, counted, lookup, known_at, (*fleet.warnings, *warnings))


def held(store: Store, counter: str | None = None) -> str:
    """From when to when a store holds samples (of one counter), in words."""
    rows = [r for r in store.coverage(days=LONGEST_DAYS) if counter in (None, r.counter)]
    what = "samples" if counter is None else f"samples of {counter}"
    if not rows:
        return f"no {what}"
    first, newest = min(r.first for r in rows), max(r.newest for r in rows)
    return f"{what} from {first:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M} UTC"


def measured(fleet: Fleet, grids: Mapping[str, Grid], stood: Ints, first: int) -> tuple[Floats, Floats, Bools]:
    """(V, T) MHz of VMs by their counters, (H, T) MHz hosts spent on themselves, (H, T) whether hosts were counted.

    `stood` (V, T): where the VMs really were. Who speaks for a VM is decided by what is known up to `first`.
    """
    plain = unite(fleet, grids["cpu_pct"])
    finite = np.isfinite(plain.values)
    known = finite[:, : first + 1].mean(axis=1) + 1e-6 * finite.mean(axis=1)
    speaker = spokesmen(fleet, entity_of(fleet, plain.entities), known.astype(np.float32))
    use = np.full((fleet.n_vms, plain.values.shape[1]), np.nan)
    there = speaker >= 0
    use[there] = plain.values[speaker[there]] / 100.0 * fleet.cpu_cap_mhz[there, None]
    capacity = fleet.capacity[:, fleet.resources.index(CPU)].astype(np.float64)[:, None]
    whole = np.full((fleet.n_hosts, use.shape[1]), np.nan)
    for name in ("cpu_pct", "host_cpu_pct"):
        if name in grids:
            grid = grids[name]
            rows = _host_rows(fleet, grid)
            hosts = entity_of(fleet, grid.entities).host[rows]
            whole[hosts] = np.where(np.isfinite(grid.values[rows]), grid.values[rows] / 100.0, whole[hosts])
    spent, seen = np.zeros(whole.shape), np.zeros(whole.shape)
    columns = np.broadcast_to(np.arange(use.shape[1]), use.shape)
    np.add.at(spent, (stood, columns), np.minimum(np.nan_to_num(use), fleet.cpu_cap_mhz[:, None]))
    np.add.at(seen, (stood, columns), np.isfinite(use) * fleet.cpu_cap_mhz[:, None].astype(np.float64))
    caps = np.zeros(whole.shape)
    np.add.at(caps, (stood, columns), np.broadcast_to(fleet.cpu_cap_mhz[:, None].astype(np.float64), use.shape))
    told = (whole < FULL) & (seen >= SEEN * caps)
    rest = np.where(told, whole * capacity - spent, np.nan)
    own = np.clip(rest, -MOST_BASE * capacity, MOST_BASE * capacity)
    return use, _held(own, UNKNOWN_BASE * capacity), np.isfinite(whole)


def _held(own: Floats, usual: Floats) -> Floats:
    """`own` (H, T) with holes filled by the newest value before them, and by `usual` (H, 1) where there is none: never by a later one."""
    newest = np.maximum.accumulate(np.where(np.isfinite(own), np.arange(own.shape[1]), -1), axis=1)
    held = np.take_along_axis(own, np.maximum(newest, 0), axis=1)
    return np.where(newest >= 0, held, usual)


def _host_rows(fleet: Fleet, grid: Grid) -> Ints:
    """Rows of `grid` that count a whole host's processors, one a host."""
    if grid.counter not in ("cpu_pct", "host_cpu_pct"):
        return np.zeros(0, dtype=np.int64)
    known = np.isfinite(grid.values).mean(axis=1).astype(np.float32)
    row = host_entities(fleet, entity_of(fleet, grid.entities), known)
    roots = is_hyperv(fleet) if grid.counter == "cpu_pct" else np.zeros(fleet.n_hosts, dtype=np.bool_)
    return row[(row >= 0) & ~roots]


def _grids(store: Store, fleet: Fleet, until: datetime, days: float, sizes: Sizes) -> dict[str, Grid]:
    wanted = [name for resource in fleet.resources for name in COUNTERS_OF.get(resource, ())]
    grids = {name: store.grid(name, until, days, STEP_S) for name in wanted}
    grids["cpu_pct"] = of_today(fleet, grids["cpu_pct"], sizes)
    return {name: grid for name, grid in grids.items() if grid.entities or name == "cpu_pct"}


def _whole(store: Store, grids: Mapping[str, Grid], until: datetime, days: float) -> bool:
    """Whether all samples are raw, so that a grid cut at an instant is what was known at that instant."""
    from pro.telemetry.arrow import numbers

    since = until - timedelta(days=days + 1)
    for name in grids:
        spans: Any = numbers(store.samples(name, since=since, until=until).column("span_s"))
        if len(spans) and int(spans.max()) > 0:
            return False
    return True


def _known_at(store: Store, fleet: Fleet, start: datetime, points: int) -> Ints:
    """(V, T) column at which a VM's processor value was known: an average of an interval is known at its end, for all of it."""
    from pro.telemetry.arrow import codes, numbers

    table = store.samples("cpu_pct", since=start, until=start + timedelta(seconds=points * STEP_S))
    which, names = codes(table.column("entity"))
    vm = entity_of(fleet, names).vm[which]
    ends: Any = (numbers(table.column("time")) / 1e6 - start.timestamp()) / STEP_S
    spans: Any = numbers(table.column("span_s")) / STEP_S
    out = np.repeat(np.arange(points)[None, :], fleet.n_vms, axis=0)
    for v, end, span in zip(vm.tolist(), ends.tolist(), spans.tolist(), strict=True):
        if v >= 0 and span > 0:
            inside = slice(max(math.floor(end - span) + 1, 0), max(math.floor(end) + 1, 0))
            out[v, inside] = np.maximum(out[v, inside], math.ceil(end))
    return out


def _stood(root: Path, fleet: Fleet, replayed: tuple[datetime, datetime], start: datetime, points: int) -> Ints:
    """(V, T) where the VMs of `fleet` really stood, as far as the store remembers."""
    from pro.fleet.archive import load_inventory

    stood = np.repeat(fleet.host_of[:, None], points, axis=1)
    until, end = replayed[1], points
    while end > 0:
        inventory = load_inventory(root, until)
        begin = max(int((inventory.at - start).total_seconds() // STEP_S), 0) if inventory.at <= until else 0
        ids, hosts = inventory.vms["id"].tolist(), inventory.hosts["id"].tolist()
        for vm, row in zip(ids, inventory.standing(), strict=True):
            if row >= 0 and vm in fleet.vms and hosts[row] in fleet.hosts:
                stood[fleet.vm_index(vm), begin if begin < end else 0 : end] = fleet.host_index(hosts[row])
        end = begin
        until = inventory.at - timedelta(microseconds=1)
    return stood
