"""Where VMs stand + where they should stand -> waves, in which every rule holds at every moment.

A wave is filled greedily in order of urgency; a step joins it if no rule minds it at either end and the hosts have a hand free.
When nobody can set out, a VM that stands in another's way takes a stop-over on a third host, if a look ahead shows that it gets
home from there. What is left is blocked, with the reason. O(waves x pending x rows of a VM), plus O(pending x hosts) looks
ahead for each stop-over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.errors import RefereeError
from pro.core.text import plain
from pro.planning.flight import Flight, members_of
from pro.planning.routes import by_room, find_route, possible_stopover
from pro.planning.steps import Step, WaveInMaking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Ints
    from pro.placement.language import Near, Row, Together
    from pro.planning.estimates import Estimates


_STOPOVERS_SEARCHED = 3
"""The search for a better order allows itself at most so many stop-overs."""

_LOOKS_AHEAD = 400
"""How many stop-overs are tried before the rest counts as blocked."""


@dataclass(frozen=True)
class Schedule:
    """Waves in order, VMs that stay where they are with the reason, and rules of groups that are split on the way."""

    waves: tuple[tuple[Step, ...], ...]
    blocked: dict[int, str]
    split: tuple[Together | Near, ...]

    @property
    def cost(self) -> tuple[int, int]:
        """What makes one schedule worse than another: VMs blocked, then steps."""
        return len(self.blocked), sum(map(len, self.waves))


def schedule(estimates: Estimates, rows: Sequence[Row], host_of: Ints, urgency: Sequence[int]) -> Schedule:
    """Order the migrations that turn `estimates.fleet.host_of` into `host_of` (V,).

    `urgency` (V,): smaller goes first. VMs that are not blocked end exactly on `host_of`; blocked ones never leave home. Who goes
    first may shut others out: if somebody was blocked, or needed a stop-over, a search for an order without that follows.
    """
    home = estimates.fleet.host_of
    wanted = {v: int(host_of[v]) for v in (host_of != home).nonzero()[0].tolist()}
    hopeless = _hopeless(estimates, wanted)
    best = _attempt(estimates, rows, wanted, hopeless, urgency)
    late = {s.vm for wave in best.waves for s in wave if s.stopover} | best.blocked.keys() - hopeless.keys()
    if late:
        eager = sorted(wanted.keys() - hopeless.keys(), key=lambda v: (v not in late, urgency[v], v))
        routed = _routed(estimates, rows, wanted, hopeless, eager, best.cost)
        best = min(best, routed or best, key=lambda s: s.cost)
    return best


def _routed(
    estimates: Estimates,
    rows: Sequence[Row],
    wanted: dict[int, int],
    hopeless: dict[int, str],
    eager: Sequence[int],
    worst: tuple[int, int],
) -> Schedule | None:
    """Waves along a route that blocks nobody of `eager`, with as few stop-overs as may be; None if that is no better."""
    target = estimates.fleet.host_of.copy()
    target[list(eager)] = [wanted[v] for v in eager]
    for stopovers in range(_STOPOVERS_SEARCHED + 1):
        if worst <= (len(hopeless), len(eager) + stopovers):
            return None
        route = find_route(estimates, Flight(estimates.fleet, rows, target), target, eager, stopovers)
        if route:
            run = _Run(estimates, Flight(estimates.fleet, rows, target), target, [])
            waves = run.follow(route)
            if waves and not run.flight.worse_gatherings(target):
                return _schedule_of(run.flight, waves, dict(hopeless))
    return None


def _schedule_of(flight: Flight, waves: list[tuple[Step, ...]], blocked: dict[int, str]) -> Schedule:
    split = flight.split_on_the_way([[(s.vm, s.destination) for s in wave] for wave in waves])
    return Schedule(tuple(waves), blocked, tuple(split))


def _hopeless(estimates: Estimates, wanted: dict[int, int]) -> dict[int, str]:
    """VMs that the platform does not move that way at all, and why."""
    kinds = {v: estimates.kind(v, int(estimates.fleet.host_of[v]), h) for v, h in wanted.items()}
    return {v: why for v, (kind, why) in kinds.items() if not kind}


def _attempt(
    estimates: Estimates, rows: Sequence[Row], wanted: dict[int, int], hopeless: dict[int, str], turns: Sequence[int]
) -> Schedule:
    """One attempt, with VMs let go in the order of `turns` (V,)."""
    home = estimates.fleet.host_of
    blocked = dict(hopeless)
    while True:
        target = home.copy()
        for v in wanted.keys() - blocked.keys():
            target[v] = wanted[v]
        run = _Run(estimates, Flight(estimates.fleet, rows, target), target, turns)
        waves, stuck = run.waves()
        blocked |= stuck
        target[list(stuck)] = home[list(stuck)]
        torn = _torn(run.flight, target, wanted, blocked)
        if not torn:
            return _schedule_of(run.flight, waves, blocked)
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

    def __init__(self, estimates: Estimates, flight: Flight, target: Ints, turns: Sequence[int]) -> None:
        self.estimates = estimates
        self.flight = flight
        self.target = target
        self.turns = turns

    def waves(self) -> tuple[list[tuple[Step, ...]], dict[int, str]]:
        """Waves that bring all to `target`, and why those that are left out cannot move. They never left home."""
        pending = sorted((self.target != self.flight.home).nonzero()[0].tolist(), key=self._turn)
        detoured: set[int] = set()
        waves: list[tuple[Step, ...]] = []
        while pending:
            wave = self._fill(pending) or self._detour(pending, detoured)
            if not wave:
                if any(self.flight.at[v] != self.flight.home[v] for v in pending):
                    raise RefereeError("a VM would be left on its stop-over: the look ahead and the schedule disagree")
                return waves, {v: self._why(v) for v in pending}
            self.flight.arrive()
            waves.append(wave)
            detoured |= {s.vm for s in wave if s.stopover}
            done = {s.vm for s in wave if not s.stopover}
            pending = [v for v in pending if v not in done]
        return waves, {}

    def _turn(self, vm: int) -> tuple[int, int, int]:
        """Urgent ones first, then long ones (a wave lasts as long as its longest), then by id."""
        return self.turns[vm], -int(self.estimates.fleet.memory_mib[vm]), vm

    def _why(self, vm: int) -> str:
        host = int(self.target[vm])
        room = f"{self.flight.refusal(vm, host)}, and no host can take a VM in between to make room"
        return self.flight.barred(vm, host) or room

    def follow(self, route: Sequence[tuple[int, int]]) -> list[tuple[Step, ...]]:
        """Waves along `route` (VM, host): nobody touches a host that somebody whose turn is earlier still waits for.

        Empty if a rule stops the front one after all, because of others who went ahead.
        """
        waves: list[tuple[Step, ...]] = []
        legs = list(route)
        while legs:
            wave = WaveInMaking(self.estimates)
            kept: set[int] = set()
            later: list[tuple[int, int]] = []
            for v, host in legs:
                source, stopover = self.flight.at[v], host != int(self.target[v])
                free = v not in self.flight.going and not kept & {source, host} and wave.has_hands(source, host)
                if (
                    free
                    and not self.flight.refusal(v, host, stopover=stopover)
                    and wave.admit(v, source, host, stopover)
                ):
                    self.flight.depart(v, host, stopover=stopover)
                else:
                    kept |= {source, host}
                    later.append((v, host))
            if not wave.members:
                return []
            self.flight.arrive()
            waves.append(wave.steps())
            legs = later
        return waves

    def _fill(self, pending: list[int]) -> tuple[Step, ...]:
        """The next wave of direct moves; they have set out in `flight`."""
        wave = WaveInMaking(self.estimates)
        for v in pending:
            source, host = self.flight.at[v], int(self.target[v])
            if wave.has_hands(source, host) and not self.flight.refusal(v, host) and wave.admit(v, source, host):
                self.flight.depart(v, host)
        return wave.steps()

    def _detour(self, pending: list[int], detoured: set[int]) -> tuple[Step, ...]:
        """A wave of stop-overs, for when nobody can move directly; they have set out in `flight`."""
        wave = WaveInMaking(self.estimates)
        tries = _LOOKS_AHEAD
        for v in sorted(set(pending) - detoured, key=lambda v: (int(self.estimates.fleet.memory_mib[v]), v)):
            for host in by_room(self.flight, v, int(self.target[v])):
                source = self.flight.at[v]
                if not wave.has_hands(source, host) or self.flight.refusal(v, host, stopover=True):
                    continue
                if not possible_stopover(self.estimates, v, source, host, int(self.target[v])):
                    continue
                tries -= 1
                if tries < 0:
                    return wave.steps()
                if self._helps(v, host, pending, wave) and wave.admit(v, source, host, stopover=True):
                    self.flight.depart(v, host, stopover=True)
                    break
        return wave.steps()

    def _helps(self, vm: int, host: int, pending: list[int], wave: WaveInMaking) -> bool:
        """Whether `vm`, set down on `host`, lets somebody go, and all on stop-overs reach their targets without another one."""
        flight, now = self.flight, self.flight.remember()
        flight.arrive()
        flight.put(vm, host)
        waits = [u for u in pending if u != vm and u not in now.going]
        freed = any(
            (int(self.target[u]) == now.at[vm] or flight.shares_rule(u, vm))
            and not flight.refusal(u, int(self.target[u]))
            for u in waits
        )
        reached = False
        while freed and not reached:
            freed = bool(self._fill([u for u in pending if flight.at[u] != self.target[u]]))
            flight.arrive()
            reached = all(flight.at[u] == self.target[u] for u in (vm, *now.going))
        flight.recall(now)
        return reached
