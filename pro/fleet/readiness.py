"""What is known, how fresh it is, and what therefore must not be acted on; which hosts can exchange VMs live.

Facts for `pro doctor`, reports and the dashboard: nothing here decides, and nothing reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pro.core.text import counted, listed
from pro.fleet.base import is_hyperv
from pro.fleet.entities import entity_of, host_entities, spokesmen
from pro.fleet.names import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet.fleet import Fleet
    from pro.telemetry.grid import Grid

FRESH_S = 1800
"""Seconds since the newest sample after which a counter is called stale."""

LEAST = 0.5
"""Share of the history below which a counter is called sparse."""

NAMED = 10
"""Hosts or VMs that one line names."""

STATES = ("ok", "sparse", "stale", "absent")

BLIND = 0.2
"""Share of the processor caps on a host that may lack fresh counters before the host is left alone."""


@dataclass(frozen=True)
class Coverage:
    """How much of one counter of one host or VM is known.

    `known` share of the grid; `newest` instant of the newest sample; `missing_since` from when on there is nothing (None:
    it is fresh); `gap_s` the longest time without a value; `entity` who speaks for it, "" when nobody does. `enough_from`:
    when half of the history will be known if samples go on coming; None: it is now, or nothing is coming.
    """

    kind: Literal["host", "vm"]
    id: str
    name: str
    counter: str
    entity: str
    known: float
    newest: datetime | None
    missing_since: datetime | None
    gap_s: int
    state: Literal["ok", "sparse", "stale", "absent"]
    enough_from: datetime | None = None


@dataclass(frozen=True)
class CounterState:
    """One counter over all hosts or VMs that should have it: how many are in which state, and from when all that come are enough."""

    counter: str
    kind: Literal["host", "vm"]
    states: Mapping[str, int]
    newest: datetime | None
    enough_from: datetime | None
    lacking: tuple[str, ...] = ()
    """Names of those that are stale or absent."""

    def sentence(self) -> str:
        """For people."""
        told = ", ".join(f"{n} {s}" for s, n in self.states.items() if n)
        until = f"; newest {self.newest:%Y-%m-%d %H:%M} UTC" if self.newest else ""
        enough = f"; enough from {self.enough_from:%Y-%m-%d %H:%M} UTC" if self.enough_from else ""
        without = f"; nothing fresh of {listed(self.lacking, NAMED)}" if self.lacking else ""
        return f"{self.counter} of {'hosts' if self.kind == 'host' else 'VMs'}: {told}{until}{enough}{without}"


@dataclass(frozen=True)
class Readiness:
    """What `pro doctor` tells about the data."""

    now: datetime
    rows: tuple[Coverage, ...]
    hold: Mapping[str, str]
    """Host id -> why it should not be acted on."""
    blind: Mapping[str, datetime | None] = field(default_factory=dict)
    """The same hosts -> since when their load is not seen; None: it never was."""
    memory: Mapping[str, str] = field(default_factory=dict)
    """Host id -> why its memory is judged by what is assigned alone, not by counters too."""

    def by_counter(self) -> tuple[CounterState, ...]:
        """One line per counter and kind, by name."""
        found = []
        for counter, kind in sorted({(r.counter, r.kind) for r in self.rows}):
            rows = [r for r in self.rows if (r.counter, r.kind) == (counter, kind)]
            found.append(
                CounterState(
                    counter, kind, {s: sum(r.state == s for r in rows) for s in STATES},
                    max((r.newest for r in rows if r.newest), default=None),
                    max((r.enough_from for r in rows if r.enough_from), default=None),
                    tuple(r.name for r in rows if r.state in ("stale", "absent")),
                )
            )  # fmt: skip
        return tuple(found)

    def blindness(self, fleet: Fleet) -> str:
        """Which hosts are not seen, and since when, in one sentence; "" where all are."""
        if not self.blind:
            return ""
        since: dict[str, list[str]] = {}
        for host, at in sorted(self.blind.items(), key=lambda one: (one[1] is None, one[1]))[:NAMED]:
            when = f"since {at:%Y-%m-%d %H:%M} UTC" if at else "never seen"
            since.setdefault(when, []).append(fleet.host_names[fleet.host_index(host)])
        told = "; ".join(f"{listed(names)} ({when})" for when, names in since.items())
        more = f"; and {len(self.blind) - NAMED:,} more" if len(self.blind) > NAMED else ""
        return (
            f"blind to {len(self.blind):,} of {counted(fleet.n_hosts, 'host')}, for want of fresh processor counters: {told}{more}; "
            "what is said of them is what was known before, or assumed"
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`: counts by state, each counter, whatever is not ok, and the hosts to hold."""
        return {
            "schema": "readiness/1",
            "now": self.now.isoformat(),
            "counters": {s: sum(r.state == s for r in self.rows) for s in STATES},
            "by_counter": [
                {
                    "counter": c.counter,
                    "kind": c.kind,
                    **c.states,
                    "newest": c.newest.isoformat() if c.newest else None,
                    "enough_from": c.enough_from.isoformat() if c.enough_from else None,
                }
                for c in self.by_counter()
            ],
            "missing": [
                {
                    "kind": r.kind,
                    "id": r.id,
                    "counter": r.counter,
                    "state": r.state,
                    "known": round(r.known, 4),
                    "since": r.missing_since.isoformat() if r.missing_since else None,
                    "longest_gap_s": r.gap_s,
                    "enough_from": r.enough_from.isoformat() if r.enough_from else None,
                }
                for r in self.rows
                if r.state != "ok"
            ],
            "hold": dict(self.hold),
            "memory": dict(self.memory),
        }


def readiness(
    fleet: Fleet, grids: Mapping[str, Grid], now: datetime | None = None, fresh_s: int = FRESH_S
) -> Readiness:
    """Coverage of every counter in `grids`, and the hosts that should be left alone. `now`: None is the grids' cutoff.

    Processor counters are expected of every host and VM even when `grids` has none; the others only when collected.
    """
    instant = now or max((g.cutoff for g in grids.values()), default=fleet.at)
    if instant is None:
        raise ValueError("no grids and no instant: there is nothing to be ready for")
    rows: list[Coverage] = []
    for counter in sorted(set(grids) | {"cpu_pct"}):
        rows += _counter_rows(fleet, counter, grids, instant, fresh_s)
    hold = _hold(fleet, rows)
    return Readiness(
        instant, tuple(rows), {h: why for h, (why, _) in hold.items()}, {h: at for h, (_, at) in hold.items()}
    )


def _counter_rows(fleet: Fleet, counter: str, grids: Mapping[str, Grid], now: datetime, fresh_s: int) -> list[Coverage]:
    grid = grids.get(counter)
    known = np.zeros(0, dtype=np.float32) if grid is None else np.isfinite(grid.values).mean(axis=1).astype(np.float32)
    matched = entity_of(fleet, grid.entities if grid else ())
    rows: list[Coverage] = []
    if not counter.startswith("host_"):
        rows += _rows(("vm", fleet.vms, fleet.vm_names), counter, grid, spokesmen(fleet, matched, known), now, fresh_s)
    of_hosts = host_entities(fleet, matched, known)
    hyperv = is_hyperv(fleet)
    expected = np.ones(fleet.n_hosts, dtype=np.bool_)
    if counter == "cpu_pct":
        expected = ~hyperv
        if "host_cpu_pct" not in grids and hyperv.any():
            rows += _subset("host_cpu_pct", fleet, np.flatnonzero(hyperv), None, of_hosts, now, fresh_s)
    elif counter == "host_cpu_pct":
        expected = hyperv | (of_hosts >= 0)
    elif not (of_hosts >= 0).any():
        expected[:] = False
    return rows + _subset(counter, fleet, np.flatnonzero(expected), grid, of_hosts, now, fresh_s)


def _subset(
    counter: str, fleet: Fleet, hosts: Ints, grid: Grid | None, speaker: Ints, now: datetime, fresh_s: int
) -> list[Coverage]:
    ids, names = [fleet.hosts[h] for h in hosts], [fleet.host_names[h] for h in hosts]
    return _rows(("host", ids, names), counter, grid, speaker[hosts], now, fresh_s)


def _rows(
    who: tuple[Literal["host", "vm"], Sequence[str], Sequence[str]],
    counter: str,
    grid: Grid | None,
    speaker: Ints,
    now: datetime,
    fresh_s: int,
) -> list[Coverage]:
    kind, ids, names = who
    rows = []
    share, last, gap = _seen(grid, speaker)
    for i, (ident, name) in enumerate(zip(ids, names, strict=True)):
        newest = since = None
        state: Literal["ok", "sparse", "stale", "absent"] = "absent"
        if grid is not None and last[i] >= 0:
            newest = _newest(grid, int(speaker[i]), int(last[i]))
            stale = (now - newest).total_seconds() > fresh_s
            since = newest if stale else None
            state = "stale" if stale else "sparse" if share[i] < LEAST else "ok"
        elif grid is not None:
            since = grid.start
        enough = None
        if state == "sparse" and grid is not None:
            lacking = int(np.ceil((LEAST - share[i]) * grid.values.shape[1]))
            enough = now + timedelta(seconds=lacking * grid.step_s)
        entity = grid.entities[speaker[i]] if grid is not None and speaker[i] >= 0 else ""
        step = grid.step_s if grid is not None else 0
        rows.append(
            Coverage(
                kind, ident, name, counter, entity, float(share[i]), newest, since, int(gap[i]) * step, state, enough
            )
        )
    return rows


def _newest(grid: Grid, entity: int, last: int) -> datetime:
    """When `entity` sent the sample that its `last` known point stands for, or a later one that no point stands for yet.

    A sample is carried on for a while, so the point itself may lie later. Values that were not believed are no sample.
    """
    point = grid.start + timedelta(seconds=last * grid.step_s)
    if grid.seen_us is None:
        return point
    sample = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(grid.seen_us[entity]))
    return sample if sample > grid.cutoff or sample < point + timedelta(seconds=grid.step_s) else point


def _seen(grid: Grid | None, speaker: Ints) -> tuple[NDArray[np.float64], Ints, Ints]:
    """Of each speaker: share of points known, last known point (-1: none), longest run of unknown points."""
    n = len(speaker)
    if grid is None or not len(grid.entities):
        return np.zeros(n), np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    finite = np.isfinite(grid.values[np.maximum(speaker, 0)]) & (speaker >= 0)[:, None]
    steps = finite.shape[1]
    at = np.arange(steps)
    last = np.where(finite, at, -1).max(axis=1, initial=-1)
    before = np.maximum.accumulate(np.where(finite, at, -1), axis=1)
    gap = (at - before).max(axis=1, initial=0)
    return finite.mean(axis=1), last, gap


def _hold(fleet: Fleet, rows: Sequence[Coverage]) -> dict[str, tuple[str, datetime | None]]:
    """Hosts whose agent fell silent, or most of whose load nobody sees: why, and since when."""
    hold: dict[str, tuple[str, datetime | None]] = {}
    cpu_of_host = {r.id: r for r in rows if r.kind == "host" and r.counter in ("host_cpu_pct", "cpu_pct")}
    lost = {
        r.id: r.newest for r in rows if r.kind == "vm" and r.counter == "cpu_pct" and r.state in ("stale", "absent")
    }
    dark = np.array([vm in lost for vm in fleet.vms], dtype=np.bool_)
    caps = np.bincount(fleet.host_of, weights=fleet.cpu_cap_mhz, minlength=fleet.n_hosts)
    unseen = np.bincount(fleet.host_of[dark], weights=fleet.cpu_cap_mhz[dark], minlength=fleet.n_hosts)
    counts = np.bincount(fleet.host_of, minlength=fleet.n_hosts)
    missing = np.bincount(fleet.host_of[dark], minlength=fleet.n_hosts)
    for h, host in enumerate(fleet.hosts):
        who = f"host {quoted(fleet.host_names[h], host)}"
        own = cpu_of_host.get(host)
        if own is not None and own.state == "stale" and own.newest is not None:
            hold[host] = f"{who} has sent no processor counter since {own.newest:%Y-%m-%d %H:%M}Z", own.newest
        elif caps[h] and unseen[h] > BLIND * caps[h]:
            newest = [lost[fleet.vms[v]] for v in np.flatnonzero((fleet.host_of == h) & dark)]
            since = max((at for at in newest if at is not None), default=None)
            hold[host] = f"of {counts[h]} VMs on {who}, {missing[h]} have no fresh processor counter", since
    return hold
