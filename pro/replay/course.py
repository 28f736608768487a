"""The course of one policy: the simulated estate, what is under way on it, and what has happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.backends.base import MigrationRefused, TicketState
from pro.backends.simulation import Model, Simulation, world_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.planning.plan import Migration
    from pro.replay.past import Past


@dataclass(frozen=True)
class Moved:
    """A migration that was carried out. `column` is the first at which the VM stands on `destination`; `asked` and `ended` are
    seconds since 1970."""

    vm: str
    source: str
    destination: str
    asked: float
    ended: float
    column: int
    mib: int
    blackout_s: float


@dataclass
class Course:
    """Where a replay under one policy stands. `column` is the last instant that has happened; `load` (H, T) MHz up to it."""

    past: Past
    simulation: Simulation
    column: int
    load: NDArray[np.float64]
    host_of: Ints
    """(V,) host of every VM now; one under way is on its source."""
    trail: list[Moved] = field(default_factory=list)
    waiting: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    refused: int = 0
    noted: set[str] = field(default_factory=set)
    """Tickets of the simulator that are over and have been looked at."""

    @staticmethod
    def begin(past: Past) -> Course:
        """At the first instant of the replay, VMs where they stand."""
        simulation = Simulation.of(world_of(past.fleet), past.at(past.first).timestamp(), Model(jitter=0.0), ())
        load = np.zeros((past.fleet.n_hosts, past.last + 1))
        load[:, : past.first + 1] = past.load(past.fleet.host_of, 0, past.first + 1)
        return Course(past, simulation, past.first, load, past.fleet.host_of.copy())

    @property
    def under_way(self) -> dict[str, str]:
        """VM -> destination, of what is being migrated or waits for its wave."""
        coming = {m["vm"]: m["destination"] for _, m in self.waiting}
        running = {t.vm: t.destination for k, t in self.simulation.tickets.items() if k not in self.noted}
        return coming | running

    def known_load(self) -> NDArray[np.float64]:
        """(H, column + 1) MHz as it is known now: NaN where a host's VMs will only be known when an interval has ended."""
        load, k = self.load[:, : self.column + 1], self.column
        if self.past.known_at is None:
            return load
        late, out = self.past.known_at[:, : k + 1] > k, load.copy()
        for v in np.flatnonzero(late.any(axis=1)):
            out[self.host_of[v], late[v]] = np.nan
        return out

    def ask(self, migrations: Iterable[Migration]) -> None:
        """Begin a plan now: every migration at its own offset, and each takes the time the plan says."""
        now = self.past.at(self.column).timestamp()
        wanted = [(now + m.starts_s, {k: v for k, v in asdict(m).items() if k != "reason"}) for m in migrations]
        self.waiting = sorted([*self.waiting, *wanted], key=lambda w: w[0])

    def go_to(self, column: int) -> None:
        """Let everything happen up to `column`."""
        while self.column < column:
            busy = self.waiting or self.simulation.tickets
            end = self.column + 1 if busy else column
            if busy:
                self._one_step(self.past.at(end).timestamp(), end)
            self.load[:, self.column + 1 : end + 1] = self.past.load(self.host_of, self.column + 1, end + 1)
            self.column = end

    def _one_step(self, until: float, column: int) -> None:
        while self.waiting and self.waiting[0][0] <= until:
            at, m = self.waiting.pop(0)
            self._settle(at, column)
            self.simulation.vms[m["vm"]].seconds = m["seconds"]
            try:
                key = self.simulation.begin(m["vm"], m["source"], m["destination"], m["kind"], at)
            except MigrationRefused:
                self.refused += 1
                continue
            self.simulation.tickets[key].mib, self.simulation.tickets[key].blackout_s = m["mib"], m["blackout_s"]
        self._settle(until, column)

    def _settle(self, until: float, column: int) -> None:
        """Advance the simulator, and note what has arrived."""
        self.simulation.advance(until)
        for key, t in self.simulation.tickets.items():
            if t.state == TicketState.RUNNING or key in self.noted:
                continue
            self.noted.add(key)
            if t.state == TicketState.DONE:
                self.host_of = self.host_of.copy()
                self.host_of[self.past.fleet.vm_index(t.vm)] = self.past.fleet.host_index(t.destination)
                self.trail.append(
                    Moved(t.vm, t.source, t.destination, t.started, t.ends or until, column, t.mib, t.blackout_s)
                )
            else:
                self.refused += 1
        if len(self.noted) == len(self.simulation.tickets):
            self.simulation.tickets.clear()
            self.noted.clear()
        self.simulation.history.clear()

    def to_json(self) -> dict[str, Any]:
        """What `restored` needs."""
        return {
            "column": self.column, "trail": [asdict(m) for m in self.trail], "waiting": self.waiting,
            "refused": self.refused, "noted": sorted(self.noted), "simulation": self.simulation.dumps().decode(),
        }  # fmt: skip

    @staticmethod
    def restored(past: Past, body: dict[str, Any]) -> Course:
        """The course that `to_json` described."""
        course = Course.begin(past)
        course.trail = [Moved(**m) for m in body["trail"]]
        course.waiting = [(float(at), m) for at, m in body["waiting"]]
        course.refused, course.column, course.noted = body["refused"], body["column"], set(body["noted"])
        course.simulation = Simulation.loads(body["simulation"].encode(), "the state of the backtest")
        for begin, end, host_of in stretches(past, course.trail, course.column):
            course.load[:, begin:end] = past.load(host_of, begin, end)
            course.host_of = host_of
        return course


def stretches(past: Past, trail: Iterable[Moved], last: int) -> list[tuple[int, int, Ints]]:
    """(begin, end, host_of): the placement in columns begin..end-1, from the first after `past.first` up to `last`."""
    host_of, begin, out = past.fleet.host_of.copy(), past.first + 1, []
    for m in trail:
        if m.column > begin:
            out.append((begin, min(m.column, last + 1), host_of.copy()))
            begin = m.column
        host_of[past.fleet.vm_index(m.vm)] = past.fleet.host_index(m.destination)
    if begin <= last:
        out.append((begin, last + 1, host_of))
    return out
