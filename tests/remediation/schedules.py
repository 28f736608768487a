"""Deterministic simulation of applying: one clock, one seed, a crash at any point; the laws are checked as things happen.

A point is the instant before or after a journal transaction, before or after a call to the backend, or a sleep. `explore`
runs a case once to count its points and then once for every point, crashing there and resuming.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pro.backends.base import Backend, Ticket, TicketState, World
from pro.backends.faults import Fault
from pro.backends.simulated import MemoryStore, SimulatedBackend
from pro.backends.simulation import Model, Simulation
from pro.core.clock import ManualClock
from pro.remediation.driver import Driver, Limits
from pro.remediation.executor import Executor
from pro.remediation.journal import Journal
from pro.remediation.records import StepState
from tests.remediation.estate import START, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.planning.plan import Plan
    from pro.remediation.result import ApplyResult

T = TypeVar("T")

LIMITS = Limits(concurrent=2, per_host=2, attempts=9, poll_s=1.0, grace_s=30.0, call_timeout_s=0.0)


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing in the product may catch it."""


class BrokenLawError(AssertionError):
    """A law of applying does not hold."""


@dataclass
class Points:
    """Counts points and dies at the chosen one."""

    dies_at: int | None = None
    passed: int = 0

    def here(self) -> None:
        """One point."""
        self.passed += 1
        if self.dies_at == self.passed:
            raise Crash


class DyingJournal(Journal):
    """A journal whose owner may die before or after each of its transactions."""

    points = Points()

    def _commit(self, statements: Sequence[tuple[str, Sequence[Any]]], event: tuple[str, int, int, str, str]) -> None:
        self.points.here()
        super()._commit(statements, event)
        self.points.here()


class TrustingSimulation(Simulation):
    """Does what it is told, like a system that checks neither memory nor, `blind`, where the VM is. Watches the laws."""

    blind = False
    limits = LIMITS
    plan: Plan

    def check(self, vm: str, source: str, destination: str) -> None:
        if not self.blind and self.vms[vm].hosts != [source]:
            super().check(vm, source, destination)
        if self.running(vm) is not None:
            super().check(vm, source, destination)

    def begin(self, vm: str, source: str, destination: str, kind: str, now: float) -> str:
        key = super().begin(vm, source, destination, kind, now)
        flying = [t for t in self.tickets.values() if t.state == TicketState.RUNNING]
        if len(flying) > self.limits.concurrent:
            raise BrokenLawError(f"{len(flying)} migrations at once")
        for host in (source, destination):
            if self.in_flight(host) > self.limits.per_host:
                raise BrokenLawError(f"{self.in_flight(host)} migrations at once on {host}")
            if self.memory_in_use(host) > self.hosts[host].memory_mib:
                raise BrokenLawError(f"{self.memory_in_use(host)} MiB in flight on {host}")
        self._check_order(vm, destination)
        return key

    def _check_order(self, vm: str, destination: str) -> None:
        """A migration begins only when all earlier waves have arrived, and no VM is sent where it has already been."""
        arrived = [(h["vm"], h["destination"]) for h in self.history if h.get("by") in ("migration", "another hand")]
        if (vm, destination) in arrived:
            raise BrokenLawError(f"{vm} is moved to {destination} twice")
        for wave in self.plan.waves:
            moves = [(m.vm, m.destination) for m in wave.migrations]
            if (vm, destination) in moves:
                return
            if missing := [m for m in moves if m not in arrived]:
                raise BrokenLawError(f"{vm} starts for {destination} before {missing} have arrived")


class DyingBackend:
    """A backend with latency, whose caller may die before or after each call."""

    def __init__(self, inner: SimulatedBackend, journal: DyingJournal, clock: ManualClock, rng: random.Random) -> None:
        self.url, self.settle_s = inner.url, inner.settle_s
        self._inner, self._journal, self._points = inner, journal, journal.points
        self._clock, self._rng = clock, rng

    def _call(self, call: Callable[..., T], *args: str) -> T:
        self._points.here()
        self._clock.sleep(self._rng.choice((0.0, 0.01, 0.2)))
        answer = call(*args)
        self._points.here()
        return answer

    def inventory(self) -> World:
        return self._call(self._inner.inventory)

    def migrate(self, vm: str, source: str, destination: str, kind: str) -> Ticket:
        run = self._journal.latest()
        steps = self._journal.steps(run.run) if run is not None else []
        if not any((s.vm, s.destination, s.state) == (vm, destination, StepState.INTENT) for s in steps):
            raise BrokenLawError(f"{vm} is sent to {destination} before the journal knows of it")
        with self._inner.edit() as simulation:
            if any(r.vm == vm for r in simulation.requests):
                raise BrokenLawError(f"{vm} is asked for again while a request is still on its way")
        return self._call(self._inner.migrate, vm, source, destination, kind)

    def status(self, ticket: str) -> Ticket:
        return self._call(self._inner.status, ticket)

    def cancel(self, ticket: str) -> Ticket:
        return self._call(self._inner.cancel, ticket)

    def running(self, vm: str) -> Ticket | None:
        return self._call(self._inner.running, vm)


class BoundedClock(ManualClock):
    """A clock on which nothing may take for ever."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.monotonic() > 20_000.0:
            raise BrokenLawError("the run does not end")


@dataclass
class Case:
    """An estate, a plan, what goes wrong, and who drives (a mutant, perhaps)."""

    seen: World
    plan: Plan
    faults: tuple[Fault, ...] = ()
    blind: bool = False
    limits: Limits = LIMITS
    executor: type[Executor] = Executor
    seed: int = 0
    must_finish: bool = True


@dataclass
class Outcome:
    """How one schedule went."""

    points: list[int]
    result: ApplyResult
    simulation: Simulation
    journal: Journal
    backend: Backend = field(repr=False)


def run(case: Case, crashes: Sequence[int] = ()) -> Outcome:
    """Apply the plan, dying at each of `crashes` (the first counts from the apply, each other from its resume), and resume."""
    clock, rng = BoundedClock(START), random.Random(case.seed)
    simulation = TrustingSimulation(
        **vars(Simulation.of(case.seen, START.timestamp(), Model(jitter=0.5, seed=case.seed), _copies(case.faults)))
    )
    simulation.plan, simulation.blind, simulation.limits = case.plan, case.blind, case.limits
    journal = DyingJournal(":memory:", write=True)
    inner = SimulatedBackend(MemoryStore(simulation), clock)
    counted: list[int] = []
    result: ApplyResult | None = None
    begun = False
    for dies_at in [*crashes, None]:
        points = Points(dies_at)
        journal.points = points
        executor = case.executor(journal, DyingBackend(inner, journal, clock, rng), clock, case.limits)
        try:
            result = executor.resume() if begun else executor.apply(case.plan)
        except Crash:
            clock.sleep(rng.choice((0.0, 0.5, 3.0, 30.0)))
        counted.append(points.passed)
        begun = journal.latest() is not None
        if result is not None:
            break
    assert result is not None
    outcome = Outcome(counted, result, simulation, journal, inner)
    check_end(case, outcome)
    return outcome


def check_end(case: Case, outcome: Outcome) -> None:
    """The laws that hold when a schedule is over."""
    moves: dict[str, list[str]] = {}
    for row in outcome.simulation.history:
        if row.get("by") == "migration":
            moves.setdefault(row["vm"], []).append(row["destination"])
    for vm, hosts in moves.items():
        chain = [m.destination for m in case.plan.migrations if m.vm == vm]
        if hosts != chain[: len(hosts)]:
            raise BrokenLawError(f"{vm} went {hosts}, the plan says {chain}")
    if set(outcome.simulation.vms) != set(case.seen.vms):
        raise BrokenLawError("VMs were lost or came from nowhere")
    if any(len(v.hosts) != 1 for v in outcome.simulation.vms.values()):
        raise BrokenLawError("a VM is not in exactly one place")
    if any(t.state == TicketState.RUNNING for t in outcome.simulation.tickets.values()):
        raise BrokenLawError("the run ended while a migration was under way")
    if problems := outcome.journal.verify():
        raise BrokenLawError(f"the audit trail is broken: {problems}")
    if case.must_finish and outcome.result.exit_code != 0:
        raise BrokenLawError(f"the plan was not finished: {outcome.result.reasons}")
    stands = {vm: v.hosts[0] for vm, v in outcome.simulation.vms.items()}
    if outcome.result.exit_code == 0 and stands != final(case.plan, case.seen):
        raise BrokenLawError("the run says done, but the VMs do not stand where the plan puts them")


def explore(case: Case, *, every: int = 1, offset: int = 0) -> int:
    """Crash at every point of `case` (or every n-th); returns the number of schedules tried."""
    points = run(case).points[0]
    tried = 1
    for point in range(1 + offset, points + 1, every):
        run(case, (point,))
        tried += 1
    return tried


def _copies(faults: Sequence[Fault]) -> list[Fault]:
    return [Fault(**vars(f)) for f in faults]


def some_faults(seed: int, vms: Sequence[str], *, failing: bool) -> tuple[Fault, ...]:
    """Lost answers, late requests, broken connections, slow migrations; with `failing`, migrations that break off."""
    rng = random.Random(seed)
    kinds = ["lost_ack", "delay", "error", "slow"] + (["fail", "refuse"] if failing else [])
    chosen = rng.sample(sorted(vms), min(len(vms), rng.randint(1, 3)))
    return tuple(
        Fault(rng.choice(kinds), vm=vm, attempt=rng.choice((1, 1, 2)), seconds=rng.choice((1.0, 4.0, 8.0)))
        for vm in chosen
    )


def driven_by(driver: type[Driver]) -> type[Executor]:
    """An executor that drives with `driver`: for mutants of the protocol."""
    return type(f"ExecutorOf{driver.__name__}", (Executor,), {"driver": driver})
