"""The simulated estate: a plain state machine over a state that goes in and out of JSON. No clock, no disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pro.backends.base import HostSeen, MigrationRefused, Ticket, TicketState, VmSeen, VmState, World
from pro.backends.faults import Fault
from pro.core.errors import InputError
from pro.core.units import MIBPS_PER_MBPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pro.fleet import Fleet

SCHEMA = "simulated/1"
UNKNOWN_MIB_S = 1000.0
"""What a migration network carries that nobody knows."""


@dataclass
class SimHost:
    """A host of the simulation. `down`: its VMs are off and every migration from or to it fails. `migration_mbps`: 0, not known."""

    memory_mib: int
    accepting: bool = True
    balancer: str = ""
    down: bool = False
    migration_mbps: int = 0


@dataclass
class SimVm:
    """A VM. `seconds` overrides the model's duration; `attempts` counts the migrations asked for."""

    hosts: list[str]
    memory_mib: int
    state: str = VmState.RUNNING.value
    seconds: float | None = None
    attempts: int = 0


@dataclass
class SimTicket:
    """A migration. `ends` is the instant (seconds since 1970) at which it is over; None: never by itself.

    `fate`: "" if it will arrive, otherwise why it will fail.
    """

    vm: str
    source: str
    destination: str
    kind: str
    started: float
    ends: float | None
    seconds: float
    blackout_s: float
    mib: int
    fate: str = ""
    state: str = TicketState.RUNNING.value
    reason: str = ""


@dataclass
class SimRequest:
    """A request still on its way: it takes effect at `due`, although its sender has given up on it."""

    due: float
    vm: str
    source: str
    destination: str
    kind: str


@dataclass
class Model:
    """How long migrations take: overhead_s + memory / bandwidth, times 1 +- jitter drawn from `seed`, VM and attempt.

    `speed`: simulated seconds per second of the clock. `per_host`: migrations one host bears at a time, 0: any number.
    `bandwidth_mib_s`: 0, what the slower migration network of the two hosts carries, `UNKNOWN_MIB_S` where that is not known. What is
    written meanwhile is not sent again, and migrations do not share a network: a plan, which reckons with both, may say more.
    """

    speed: float = 1.0
    bandwidth_mib_s: float = 0.0
    overhead_s: float = 2.0
    blackout_s: float = 0.3
    jitter: float = 0.1
    seed: int = 0
    per_host: int = 0

    def duration(self, vm: str, memory_mib: int, attempt: int, mbps: int = 0) -> float:
        """Seconds (simulated) that one attempt takes over a network of `mbps`. The same question always has the same answer."""
        digest = hashlib.sha256(json.dumps([self.seed, vm, attempt]).encode()).digest()
        unit = int.from_bytes(digest[:8], "big") / 2.0**63 - 1.0
        bandwidth = self.bandwidth_mib_s or mbps * MIBPS_PER_MBPS or UNKNOWN_MIB_S
        return (self.overhead_s + memory_mib / bandwidth) * (1.0 + self.jitter * unit)


@dataclass
class Simulation:
    """Hosts, VMs, what is under way, what has happened (`history`), and what is going to go wrong (`faults`).

    Instants are seconds since 1970. `changed` says that the state is no longer the one that was read.
    """

    created: float
    hosts: dict[str, SimHost]
    vms: dict[str, SimVm]
    model: Model = field(default_factory=Model)
    faults: list[Fault] = field(default_factory=list)
    tickets: dict[str, SimTicket] = field(default_factory=dict)
    requests: list[SimRequest] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    latest: float = 0.0
    changed: bool = False

    @staticmethod
    def of(world: World, now: float, model: Model, faults: Iterable[Fault]) -> Simulation:
        """A simulation that starts as `world` was seen."""
        return Simulation(
            created=now,
            hosts={
                h: SimHost(s.memory_mib, s.accepting, s.balancer, migration_mbps=s.migration_mbps)
                for h, s in world.hosts.items()
            },
            vms={v: SimVm(list(s.hosts), s.memory_mib, s.state.value) for v, s in world.vms.items()},
            model=model,
            faults=list(faults),
            changed=True,
        )

    def dumps(self) -> bytes:
        """The state as JSON."""
        body = {
            "schema": SCHEMA,
            "created": self.created,
            "latest": self.latest,
            "model": vars(self.model),
            "faults": [vars(f) for f in self.faults],
            "requests": [vars(r) for r in self.requests],
            "hosts": {k: vars(h) for k, h in self.hosts.items()},
            "vms": {k: vars(v) for k, v in self.vms.items()},
            "tickets": {k: vars(t) for k, t in self.tickets.items()},
            "history": self.history,
        }
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()

    @staticmethod
    def loads(data: bytes, where: str) -> Simulation:
        """The inverse of `dumps`. Raises InputError for anything else."""
        try:
            body = json.loads(data)
            if body["schema"] != SCHEMA:
                raise InputError("unknown schema", got=body["schema"], expected=SCHEMA, where=where)
            return Simulation(
                created=float(body["created"]),
                latest=float(body["latest"]),
                model=Model(**body["model"]),
                faults=[Fault(**f) for f in body["faults"]],
                requests=[SimRequest(**r) for r in body["requests"]],
                hosts={k: SimHost(**h) for k, h in body["hosts"].items()},
                vms={k: SimVm(**v) for k, v in body["vms"].items()},
                tickets={k: SimTicket(**t) for k, t in body["tickets"].items()},
                history=list(body["history"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a simulator's state ({error})", where=where) from error

    # -- time ---------------------------------------------------------------------------------------------------

    def set_speed(self, speed: float) -> None:
        """From the latest instant seen on, time passes at `speed`, for what is under way as well."""
        if speed == self.model.speed:
            return
        pace, now = self.model.speed / speed, self.latest
        self.model.speed = speed
        # Instants move so that as much simulated time lies between them and now as before.
        self.created = now + (self.created - now) * pace
        for request in self.requests:
            request.due = now + (request.due - now) * pace
        for ticket in self.tickets.values():
            if ticket.state == TicketState.RUNNING:
                ticket.started = now + (ticket.started - now) * pace
                ticket.ends = None if ticket.ends is None else now + (ticket.ends - now) * pace

    def advance(self, now: float) -> None:
        """Let everything happen that is due by `now`, in order. A clock that went back changes nothing."""
        self.latest = max(self.latest, now)
        while (event := self._next_event()) is not None:
            self.changed = True
            at, what = event
            if isinstance(what, SimTicket):
                self._finish(what, at)
            elif isinstance(what, SimRequest):
                self.requests.remove(what)
                self._deliver(what, at)
            else:
                self._strike(what, at)

    def _next_event(self) -> tuple[float, SimTicket | SimRequest | Fault] | None:
        due: list[tuple[float, SimTicket | SimRequest | Fault]] = [
            (t.ends, t) for t in self.tickets.values() if t.state == TicketState.RUNNING and t.ends is not None
        ]
        due += [(r.due, r) for r in self.requests]
        due += [
            (self.created + f.after / self.model.speed, f) for f in self.faults if f.after is not None and not f.spent
        ]
        first = min(due, key=lambda e: e[0], default=None)
        return first if first is not None and first[0] <= self.latest else None

    def _finish(self, ticket: SimTicket, at: float) -> None:
        gone = next((h for h in (ticket.source, ticket.destination) if self.hosts[h].down), None)
        if self.vms[ticket.vm].hosts != [ticket.source]:
            self._end(ticket, TicketState.FAILED, "the VM left its source by another hand")
        elif gone is not None:
            self._end(ticket, TicketState.FAILED, f"host {gone} is down")
        elif ticket.fate:
            self._end(ticket, TicketState.FAILED, ticket.fate)
        else:
            self._end(ticket, TicketState.DONE, "")
            self._place(ticket.vm, ticket.destination, at, by="migration")

    def _end(self, ticket: SimTicket, state: TicketState, reason: str) -> None:
        ticket.state, ticket.reason = state.value, reason
        self.changed = True

    def _place(self, vm: str, host: str, at: float, by: str) -> None:
        source = self.vms[vm].hosts
        self.vms[vm].hosts = [host]
        self.history.append(
            {"vm": vm, "source": source[0] if source else "", "destination": host, "at": iso(at), "by": by}
        )
        self.changed = True

    def _deliver(self, request: SimRequest, at: float) -> None:
        if self.running(request.vm) is None and self.vms[request.vm].hosts != [request.destination]:
            try:
                self.begin(request.vm, request.source, request.destination, request.kind, at)
            except MigrationRefused as refusal:
                self.history.append({"vm": request.vm, "at": iso(at), "by": "late request", "refused": str(refusal)})

    def _strike(self, fault: Fault, at: float) -> None:
        fault.spent = True
        if fault.kind == "host_down" and fault.host in self.hosts:
            self.hosts[fault.host].down = True
            for ticket in self.tickets.values():
                if ticket.state == TicketState.RUNNING and fault.host in (ticket.source, ticket.destination):
                    self._end(ticket, TicketState.FAILED, f"host {fault.host} is down")
        elif fault.kind == "moved" and fault.vm in self.vms and fault.to in self.hosts:
            self._place(fault.vm, fault.to, at, by="another hand")

    # -- verbs --------------------------------------------------------------------------------------------------

    def fault(self, kind: str, vm: str, attempt: int) -> Fault | None:
        """The fault of `kind` that strikes this attempt at this VM, if any."""
        return next((f for f in self.faults if f.kind == kind and f.strikes(vm, attempt)), None)

    def repeated(self, vm: str, destination: str, now: float) -> str | None:
        """The ticket to answer with when this migration is already under way or over; None if it has to be begun."""
        running = self.running(vm)
        if running is not None and self.tickets[running].destination == destination:
            return running
        if vm in self.vms and self.vms[vm].hosts == [destination]:
            arrived = [k for k, t in self.tickets.items() if t.vm == vm and t.destination == destination]
            done = [k for k in arrived if self.tickets[k].state == TicketState.DONE]
            if done:
                return done[-1]
            return self._issue(SimTicket(vm, destination, destination, "live", now, now, 0.0, 0.0, 0, state="done"))
        return None

    def request(self, due: float, vm: str, source: str, destination: str, kind: str) -> None:
        """Put a request on its way that takes effect at `due`."""
        self.requests.append(SimRequest(due, vm, source, destination, kind))
        self.changed = True

    def begin(self, vm: str, source: str, destination: str, kind: str, now: float) -> str:
        """Start a migration and return its ticket's id. Raises MigrationRefused when the preconditions do not hold."""
        self.check(vm, source, destination)
        seen = self.vms[vm]
        link = min(self.hosts[source].migration_mbps, self.hosts[destination].migration_mbps)
        seconds = (
            self.model.duration(vm, seen.memory_mib, seen.attempts, link) if seen.seconds is None else seen.seconds
        )
        slow, stuck = self.fault("slow", vm, seen.attempts), self.fault("stuck", vm, seen.attempts)
        fail = self.fault("fail", vm, seen.attempts)
        seconds *= slow.factor if slow else 1.0
        lasts = seconds / 2.0 if fail else seconds
        return self._issue(
            SimTicket(
                vm=vm,
                source=source,
                destination=destination,
                kind=kind,
                started=now,
                ends=None if stuck else now + lasts / self.model.speed,
                seconds=lasts,
                blackout_s=lasts if kind == "quick" else min(self.model.blackout_s, lasts),
                mib=seen.memory_mib,
                fate="injected failure" if fail else "",
            )
        )

    def _issue(self, ticket: SimTicket) -> str:
        key = f"migration-{len(self.tickets) + 1:06d}"
        self.tickets[key] = ticket
        self.changed = True
        return key

    def check(self, vm: str, source: str, destination: str) -> None:
        """Raise MigrationRefused unless `vm` could start from `source` to `destination` now."""
        if vm not in self.vms:
            raise MigrationRefused(f"there is no VM {vm!r}")
        for host in (source, destination):
            if host not in self.hosts:
                raise MigrationRefused(f"there is no host {host!r}")
        if self.vms[vm].hosts != [source]:
            raise MigrationRefused(f"VM {vm!r} is not on {source!r} but on {self.vms[vm].hosts}")
        if self.running(vm) is not None:
            raise MigrationRefused(f"VM {vm!r} is already on its way to another host", busy=True)
        target = self.hosts[destination]
        if source == destination or not target.accepting or target.down or self.hosts[source].down:
            raise MigrationRefused(f"host {destination!r} does not accept VM {vm!r} from {source!r}")
        if self.memory_in_use(destination) + self.vms[vm].memory_mib > target.memory_mib:
            raise MigrationRefused(
                f"host {destination!r} has no room for {self.vms[vm].memory_mib} MiB in flight", busy=True
            )
        for host in (source, destination):
            if self.model.per_host and self.in_flight(host) >= self.model.per_host:
                raise MigrationRefused(f"host {host!r} already bears {self.model.per_host} migrations", busy=True)

    def cancel(self, ticket: str) -> None:
        """Abandon a migration; the VM stays on its source. Nothing happens to one that is over."""
        known = self.tickets.get(ticket)
        if known is not None and known.state == TicketState.RUNNING:
            self._end(known, TicketState.CANCELLED, "cancelled")

    # -- questions ----------------------------------------------------------------------------------------------

    def running(self, vm: str) -> str | None:
        """Ticket id of the migration of `vm` that is under way."""
        return next((k for k, t in self.tickets.items() if t.vm == vm and t.state == TicketState.RUNNING), None)

    def in_flight(self, host: str) -> int:
        """Number of migrations under way from or to `host`."""
        return sum(t.state == TicketState.RUNNING and host in (t.source, t.destination) for t in self.tickets.values())

    def memory_in_use(self, host: str) -> int:
        """MiB of the VMs on `host` and of those on their way to it."""
        there = sum(v.memory_mib for v in self.vms.values() if host in v.hosts)
        coming = [t for t in self.tickets.values() if t.state == TicketState.RUNNING and t.destination == host]
        return there + sum(self.vms[t.vm].memory_mib for t in coming)

    def ticket(self, key: str) -> Ticket:
        """A ticket as the seam shows it, at the latest instant this simulation has seen."""
        known = self.tickets.get(key)
        if known is None:
            return Ticket(key, "", "", "", TicketState.UNKNOWN, reason="unknown ticket")
        state = TicketState(known.state)
        over = state != TicketState.RUNNING
        gone = (self.latest - known.started) * self.model.speed / known.seconds if known.seconds else 1.0
        return Ticket(
            id=key,
            vm=known.vm,
            source=known.source,
            destination=known.destination,
            state=state,
            progress=1.0 if state == TicketState.DONE else max(0.0, min(0.99, gone)),
            reason=known.reason,
            seconds=known.seconds if over else None,
            blackout_s=known.blackout_s if state == TicketState.DONE else None,
            mib=known.mib if over else None,
        )

    def world(self) -> World:
        """What an observer sees: a VM under way is seen on its source only."""
        hosts = {k: HostSeen(k, h.accepting and not h.down, h.memory_mib, h.balancer) for k, h in self.hosts.items()}
        vms = {k: VmSeen(k, tuple(v.hosts), self._seen(v), v.memory_mib) for k, v in self.vms.items()}
        return World(iso(self.latest), hosts, vms)

    def _seen(self, vm: SimVm) -> VmState:
        lost = bool(vm.hosts) and all(h in self.hosts and self.hosts[h].down for h in vm.hosts)
        return VmState.OFF if lost else VmState(vm.state)


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def world_of(fleet: Fleet) -> World:
    """What a simulator starts from: the fleet as the inventory knows it."""
    memory = fleet.capacity[:, fleet.resources.index("memory")]
    hosts = {
        h: HostSeen(h, bool(fleet.accepting[i]), int(memory[i]), migration_mbps=max(int(fleet.migration_mbps[i]), 0))
        for i, h in enumerate(fleet.hosts)
    }
    vms = {
        v: VmSeen(v, (fleet.hosts[fleet.host_of[i]],), VmState.RUNNING, int(fleet.memory_mib[i]))
        for i, v in enumerate(fleet.vms)
    }
    return World(fleet.at.isoformat() if fleet.at else "", hosts, vms)
