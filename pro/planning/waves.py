"""Where VMs stand + where they should stand -> waves, in which every rule holds at every moment.

A wave is filled greedily in order of urgency; a step joins it if no rule minds it at either end and the hosts have a hand free.
When nobody can set out, a VM that stands in another's way takes a stop-over on a third host, if a look ahead shows that it gets
home from there. What is left is blocked, with the reason. O(waves x pending x rows of a VM), plus O(pending x hosts) looks
ahead for each stop-over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pro.core.errors import RefereeError
from pro.core.text import plain
from pro.planning.estimates import LIVE, Estimates
from pro.planning.flight import Flight, members_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pro.placement.language import Near, Row, Together
    from pro.planning.physics import Transfer

    Ints = NDArray[np.int64]

SHARING_MAY_COST = 1.05
"""A wave may take this many times as long as the same steps one after the other: fewer waves are worth a little."""

_LOOKS_AHEAD = 400
"""How many stop-overs are tried before the rest counts as blocked."""


@dataclass(frozen=True)
class Step:
    """One VM (index) from one host to another, with what it costs in the company of its wave."""

    vm: int
    source: int
    destination: int
    kind: str
    transfer: Transfer
    stopover: bool = False


@dataclass(frozen=True)
class Schedule:
    """Waves in order, VMs that stay where they are with the reason, and rules of groups that are split on the way."""

    waves: tuple[tuple[Step, ...], ...]
    blocked: dict[int, str]
    split: tuple[Together | Near, ...]


def schedule(estimates: Estimates, rows: Sequence[Row], host_of: Ints, urgency: Sequence[int]) -> Schedule:
    """Order the migrations that turn `estimates.fleet.host_of` into `host_of` (V,).

    `urgency` (V,): smaller goes first. VMs that are not blocked end exactly on `host_of`; blocked ones never leave home.
    """
    fleet = estimates.fleet
    wanted = {v: int(host_of[v]) for v in (host_of != fleet.host_of).nonzero()[0].tolist()}
    blocked: dict[int, str] = {}
    while True:
        target = fleet.host_of.copy()
        for v in wanted.keys() - blocked.keys():
            target[v] = wanted[v]
        run = _Run(estimates, Flight(fleet, rows, target), target, urgency)
        waves, stuck = run.waves({v: h for v, h in wanted.items() if v not in blocked})
        blocked |= stuck
        end = target.copy()
        end[list(stuck)] = fleet.host_of[list(stuck)]
        torn = _torn(run.flight, end, wanted, blocked)
        if not torn:
            split = run.flight.split_on_the_way([[(s.vm, s.destination) for s in wave] for wave in waves])
            return Schedule(tuple(waves), blocked, tuple(split))
        blocked |= torn


def _torn(flight: Flight, end: Ints, wanted: dict[int, int], blocked: dict[int, str]) -> dict[int, str]:
    """VMs that must stay because a group of theirs would end up worse than it began, some member being blocked."""
    torn: dict[int, str] = {}
    for row in flight.worse_gatherings(end):
        members = members_of(row).tolist()
        missing = sorted({plain(flight.fleet.vm_names[v]) for v in members if v in blocked})
        because = f": {', '.join(missing[:3])} cannot move" if missing else ""
        for v in members:
            if v in wanted and v not in blocked:
                torn[v] = f"{plain(row.label)} would be broken worse than today{because}"
    return torn


class _Run:
    """One attempt to schedule; `flight` is left at its end."""

    def __init__(self, estimates: Estimates, flight: Flight, target: Ints, urgency: Sequence[int]) -> None:
        self.estimates = estimates
        self.flight = flight
        self.target = target
        self.urgency = urgency

    def waves(self, wanted: dict[int, int]) -> tuple[list[tuple[Step, ...]], dict[int, str]]:
        """Waves for `wanted` (VM -> host), and why the VMs that are left out cannot move. Those never left home."""
        blocked = self._hopeless(wanted)
        pending = sorted(wanted.keys() - blocked.keys(), key=self._turn)
        detoured: set[int] = set()
        waves: list[tuple[Step, ...]] = []
        while pending:
            wave = self._fill(pending) or self._detour(pending, detoured)
            if not wave:
                if any(self.flight.at[v] != self.flight.home[v] for v in pending):
                    raise RefereeError("a VM would be left on its stop-over: the look ahead and the schedule disagree")
                return waves, blocked | {v: self._why(v) for v in pending}
            self.flight.arrive()
            waves.append(wave)
            detoured |= {s.vm for s in wave if s.stopover}
            done = {s.vm for s in wave if not s.stopover}
            pending = [v for v in pending if v not in done]
        return waves, blocked

    def _hopeless(self, wanted: dict[int, int]) -> dict[int, str]:
        """VMs that the platform does not move that way at all."""
        kinds = {v: self.estimates.kind(v, self.flight.at[v], h) for v, h in wanted.items()}
        return {v: why for v, (kind, why) in sorted(kinds.items()) if not kind}

    def _turn(self, vm: int) -> tuple[int, int, int]:
        """Urgent ones first, then long ones (a wave lasts as long as its longest), then by id."""
        return self.urgency[vm], -int(self.estimates.fleet.memory_mib[vm]), vm

    def _why(self, vm: int) -> str:
        words = self.flight.refusal(vm, int(self.target[vm]))
        return f"{words}, and no host can take a VM in between to make room"

    def _fill(self, pending: list[int]) -> tuple[Step, ...]:
        """The next wave of direct moves; they have set out in `flight`."""
        wave = _WaveInMaking(self.estimates)
        for v in pending:
            source, host = self.flight.at[v], int(self.target[v])
            if wave.has_hands(source, host) and not self.flight.refusal(v, host) and wave.admit(v, source, host):
                self.flight.depart(v, host)
        return wave.steps()

    def _detour(self, pending: list[int], detoured: set[int]) -> tuple[Step, ...]:
        """A wave of stop-overs, for when nobody can move directly; they have set out in `flight`."""
        wave = _WaveInMaking(self.estimates)
        tries = _LOOKS_AHEAD
        for v in sorted(set(pending) - detoured, key=lambda v: (int(self.estimates.fleet.memory_mib[v]), v)):
            for host in self._by_room(v):
                source = self.flight.at[v]
                if not wave.has_hands(source, host) or self.flight.refusal(v, host, stopover=True):
                    continue
                if not (
                    self.estimates.kind(v, source, host)[0] and self.estimates.kind(v, host, int(self.target[v]))[0]
                ):
                    continue
                tries -= 1
                if tries < 0:
                    return wave.steps()
                if self._helps(v, host, pending, wave) and wave.admit(v, source, host, stopover=True):
                    self.flight.depart(v, host, stopover=True)
                    break
        return wave.steps()

    def _by_room(self, vm: int) -> list[int]:
        """Third hosts, the one with most free memory first."""
        fleet, memory = self.estimates.fleet, self.estimates.fleet.resources.index("memory")
        free = fleet.capacity[:, memory] - self.flight.memory_use()
        ends = {self.flight.at[vm], int(self.target[vm])}
        return [h for h in sorted(range(fleet.n_hosts), key=lambda h: (-int(free[h]), h)) if h not in ends]

    def _helps(self, vm: int, host: int, pending: list[int], wave: _WaveInMaking) -> bool:
        """Whether `vm`, set down on `host`, lets somebody go, and all on stop-overs reach their targets without another one."""
        flight, before = self.flight, list(self.flight.at)
        travelling = dict(flight.going)
        flight.arrive()
        flight.put(vm, host)
        waits = [u for u in pending if u != vm and u not in travelling]
        freed = any(
            (int(self.target[u]) == before[vm] or flight.shares_rule(u, vm))
            and not flight.refusal(u, int(self.target[u]))
            for u in waits
        )
        reached = False
        while freed and not reached:
            steps = self._fill([u for u in pending if flight.at[u] != self.target[u]])
            flight.arrive()
            reached = all(flight.at[u] == self.target[u] for u in (vm, *travelling))
            freed = bool(steps)
        for u, h in enumerate(before):
            if flight.at[u] != h:
                flight.put(u, h)
        for u, h in travelling.items():
            flight.depart(u, h)
        return reached


class _WaveInMaking:
    """Who travels together, with the links they share."""

    def __init__(self, estimates: Estimates) -> None:
        self.estimates = estimates
        self.busy: Counter[int] = Counter()
        self.members: list[Step] = []

    def has_hands(self, source: int, destination: int) -> bool:
        """Whether both hosts may take part in one more migration."""
        return max(self.busy[source], self.busy[destination]) < self.estimates.profile.per_host

    def admit(self, vm: int, source: int, destination: int, stopover: bool = False) -> bool:
        """Take the step in, unless sharing a link with it costs more than letting it wait for a later wave."""
        kind, _ = self.estimates.kind(vm, source, destination)
        shares = bool(self.busy[source] or self.busy[destination])
        busy = self.busy + Counter((source, destination))
        fresh = Step(vm, source, destination, kind, self.estimates.transfer(kind, vm, source, destination), stopover)
        members = [
            self._shared(s, busy) if {s.source, s.destination} & {source, destination} else s for s in self.members
        ]
        members.append(self._shared(fresh, busy))
        longest = max(s.transfer.seconds for s in members)
        if shares:
            before = max(s.transfer.seconds for s in self.members)
            if longest > SHARING_MAY_COST * (before + fresh.transfer.seconds) or not all(map(self._bearable, members)):
                return False
        self.members, self.busy = members, busy
        return True

    def _shared(self, step: Step, busy: Counter[int]) -> Step:
        """`step` as it fares when its hosts' links carry `busy` migrations."""
        sharers = (busy[step.source], busy[step.destination])
        transfer = self.estimates.transfer(step.kind, step.vm, step.source, step.destination, sharers)
        return replace(step, transfer=transfer)

    def _bearable(self, step: Step) -> bool:
        """Sharing must not keep a migration from converging that would alone, nor pause the VM beyond the limit."""
        if step.kind != LIVE:
            return True
        alone = self.estimates.transfer(step.kind, step.vm, step.source, step.destination)
        pause = step.transfer.blackout_s
        return (step.transfer.converged or not alone.converged) and pause <= self.estimates.profile.max_blackout_s

    def steps(self) -> tuple[Step, ...]:
        """The wave as it stands."""
        return tuple(self.members)
