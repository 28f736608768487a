"""`simulated:STATE_FILE`: an estate in a file. It moves on by the clock, whoever asks, and outlives whoever drives it.

    simulated:state.json?speed=60&per_host=2&fault=lost_ack,vm=7c1&fault=fail,vm=9d0,attempt=2

Options are kept in the file, so that every process sees the same estate; given again, they change it from then on.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from pro.backends.base import MigrationRefused, Ticket, World
from pro.backends.faults import Fault, parse_fault
from pro.backends.simulation import Model, Simulation
from pro.core.errors import BackendError, InputError
from pro.core.files import OsLock, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pro.core.clock import Clock

LOCK_WAIT_S = 30.0


class StateStore(Protocol):
    """Where a simulation's state lives between calls."""

    def open(self) -> AbstractContextManager[Simulation]:
        """The state, for one call alone; kept when the block ends, if it has changed."""
        ...


class MemoryStore:
    """A state that lives as long as this object: for tests and replays."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    @contextmanager
    def open(self) -> Iterator[Simulation]:
        """The state itself."""
        yield self.simulation


class FileStore:
    """A state in a JSON file, under an OS lock on `FILE.lock`; replaced whole, so a crash leaves the old or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_name(path.name + ".lock")

    @contextmanager
    def open(self) -> Iterator[Simulation]:
        """The state as read from the file; written back, and on disk, when the block ends and it has changed."""
        lock = OsLock(self._lock_path)
        if not lock.acquire(LOCK_WAIT_S):
            raise BackendError(f"another process has kept {self._lock_path} locked for {LOCK_WAIT_S:.0f} s")
        with lock:
            try:
                data = self.path.read_bytes()
            except OSError as error:
                raise InputError(f"the simulator's state cannot be read ({error})", where=self.path) from None
            simulation = Simulation.loads(data, where=str(self.path))
            refusal = None
            try:
                yield simulation
            except BackendError as error:
                refusal = error
            if simulation.changed:
                self.write(simulation)
            if refusal is not None:
                raise refusal

    def create(self, simulation: Simulation) -> None:
        """Write `simulation` unless the file is there already."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with OsLock(self._lock_path) as lock:
            if not lock.acquire(LOCK_WAIT_S):
                raise BackendError(f"another process has kept {self._lock_path} locked for {LOCK_WAIT_S:.0f} s")
            if not self.path.exists():
                self.write(simulation)

    def write(self, simulation: Simulation) -> None:
        """Replace the file. The caller holds the lock."""
        write_atomically(self.path, simulation.dumps(), self.path.with_name(self.path.name + ".tmp"))


class SimulatedBackend:
    """The `Backend` seam over a simulation. See `pro.backends.base.Backend` for what every verb promises."""

    def __init__(self, store: StateStore, clock: Clock, url: str = "simulated:") -> None:
        self.url = url
        self._store, self._clock = store, clock
        with self.edit() as simulation:
            late = [f.seconds for f in simulation.faults if f.kind == "delay"]
            self.settle_s = 1.0 + max(late, default=0.0) / simulation.model.speed
        """Seconds after which no request that was sent can still take effect."""

    @contextmanager
    def edit(self) -> Iterator[Simulation]:
        """The state up to date, for tests and demonstrations that play the part of the outside world."""
        with self._store.open() as simulation:
            simulation.advance(self._clock.now().timestamp())
            yield simulation

    def inventory(self) -> World:
        """Where every VM stands now."""
        with self.edit() as simulation:
            return simulation.world()

    def status(self, ticket: str) -> Ticket:
        """How a migration stands."""
        with self.edit() as simulation:
            return simulation.ticket(ticket)

    def cancel(self, ticket: str) -> Ticket:
        """Abandon a migration; the VM stays on its source."""
        with self.edit() as simulation:
            simulation.cancel(ticket)
            return simulation.ticket(ticket)

    def running(self, vm: str) -> Ticket | None:
        """The migration of `vm` that is under way, if any."""
        with self.edit() as simulation:
            key = simulation.running(vm)
            return None if key is None else simulation.ticket(key)

    def migrate(self, vm: str, source: str, destination: str, kind: str) -> Ticket:
        """Start one migration, or answer with the ticket of the one that is under way or over."""
        blocked_s = 0.0
        with self.edit() as simulation:
            now = self._clock.now().timestamp()
            known = simulation.repeated(vm, destination, now)
            if known is not None:
                return simulation.ticket(known)
            if vm in simulation.vms:
                simulation.vms[vm].attempts += 1
                simulation.changed = True
                blocked_s = self._call_fault(simulation, vm, source, destination, kind)
            if not blocked_s:
                ticket = simulation.ticket(simulation.begin(vm, source, destination, kind, now))
                if simulation.fault("lost_ack", vm, simulation.vms[vm].attempts):
                    raise BackendError(f"no answer to the request to migrate {vm!r}")
                return ticket
        self._clock.sleep(blocked_s)
        raise BackendError(f"no answer to the request to migrate {vm!r} for {blocked_s:g} s")

    def _call_fault(self, simulation: Simulation, vm: str, source: str, destination: str, kind: str) -> float:
        """Act out the faults of the call itself; returns for how long the call hangs."""
        attempt = simulation.vms[vm].attempts
        if simulation.fault("refuse", vm, attempt):
            raise MigrationRefused(f"injected refusal to migrate {vm!r}")
        if simulation.fault("error", vm, attempt):
            raise BackendError(f"the connection broke before {vm!r} could be asked for")
        if delay := simulation.fault("delay", vm, attempt):
            due = self._clock.now().timestamp() + delay.seconds / simulation.model.speed
            simulation.request(due, vm, source, destination, kind)
            raise BackendError(f"no answer to the request to migrate {vm!r}")
        hang = simulation.fault("hang", vm, attempt)
        return hang.seconds if hang else 0.0


def open_simulated(url: str, *, world: World | None, clock: Clock) -> SimulatedBackend:
    """The simulator behind `url`; made from `world` when its file is absent. Raises InputError if there is no world either."""
    path, options, faults = parse_url(url)
    store = FileStore(path)
    if not path.exists():
        if world is None:
            raise InputError(
                "the simulator has no state yet and no inventory to make it from", got=str(path), where=url
            )
        store.create(Simulation.of(world, clock.now().timestamp(), Model(**options), faults))
    if options or faults:
        with store.open() as simulation:
            simulation.advance(clock.now().timestamp())
            simulation.set_speed(options.get("speed", simulation.model.speed))
            vars(simulation.model).update(options)
            simulation.faults.extend(f for f in faults if not any(same_fault(f, g) for g in simulation.faults))
            simulation.changed = True
    return SimulatedBackend(store, clock, f"simulated:{path.resolve()}")


def same_fault(a: Fault, b: Fault) -> bool:
    """Whether two faults differ in nothing but in having struck."""
    return {**vars(a), "spent": False} == {**vars(b), "spent": False}


def parse_url(url: str) -> tuple[Path, Mapping[str, Any], list[Fault]]:
    """Path, options of the model, and faults of a `simulated:` URL. Raises InputError for anything not listed."""
    path, _, query = url.removeprefix("simulated:").partition("?")
    if not path:
        raise InputError("a simulator needs a file for its state", got=url, expected="simulated:FILE")
    types = {f.name: int if f.type == "int" else float for f in fields(Model)}
    options: dict[str, Any] = {}
    faults = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "fault":
            faults.append(parse_fault(value, url))
        elif key in types:
            try:
                options[key] = types[key](value)
            except ValueError:
                raise InputError(f"{key} must be a number", got=value, where=url) from None
        else:
            raise InputError("unknown option", got=key, expected=", ".join([*types, "fault"]), where=url)
    for key, number in options.items():
        least = 1e-6 if key in ("speed", "bandwidth_mib_s") else 0
        if not least <= number <= (1.0 if key == "jitter" else 1e12):
            raise InputError(f"{key} is out of range", got=number, where=url)
    return Path(path), options, faults
