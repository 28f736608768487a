"""Drivers that break the protocol in one place each. The laws must catch every one, or they are no laws."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pro.core.errors import BackendError
from pro.remediation.driver import Driver, Flight
from pro.remediation.executor import Executor
from pro.remediation.records import IN_FLIGHT, Step, StepState
from tests.remediation.schedules import driven_by

if TYPE_CHECKING:
    from pro.backends.base import World
    from pro.remediation.result import ApplyResult


class IntentAfterCall(Driver):
    """Asks first and writes it down afterwards."""

    def _ask(self, step: Step, world: World) -> None:
        try:
            ticket = self.backend.migrate(step.vm, step.source, step.destination, step.kind).id
        except BackendError:
            ticket = ""
        asked = self._write(step, StepState.INTENT, attempt=step.attempt + 1, vm_state=world.vms[step.vm].state.value)
        self._track(asked, quiet_since=self.clock.monotonic())
        if ticket:
            self.flights[step.step].step = self._write(asked, StepState.SENT, ticket=ticket)


class ForgetsInFlight(Driver):
    """On resume, takes what was under way for not begun."""

    def _adopt(self, run: int) -> None:
        self.steps = {s.step: s for s in self.journal.steps(run)}
        for step in [s for s in self.steps.values() if s.state in IN_FLIGHT]:
            self._write(step, StepState.PENDING, ticket="")


class NeverSettles(Driver):
    """Takes silence for an answer at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settle_s = 0.0


class AsksAgainAtOnce(Driver):
    """Takes an error for a no."""

    def _ask(self, step: Step, world: World) -> None:
        super()._ask(step, world)
        if (flight := self.flights.get(step.step)) is not None and flight.step.state == StepState.INTENT:
            self._write(flight.step, StepState.PENDING, ticket="")
            del self.flights[step.step]


class BelievesTheAnswer(Driver):
    """Takes "begun" for "done" and does not look."""

    def _ask(self, step: Step, world: World) -> None:
        super()._ask(step, world)
        if (flight := self.flights.get(step.step)) is not None and flight.step.ticket:
            self._finish(flight, StepState.DONE, "it said so")


class GoesOnAfterFailure(Driver):
    """Starts the next wave although one before it has failed."""

    def _halted(self) -> bool:
        return False


class ForgetsWaves(Driver):
    """Starts everything as soon as there is a slot."""

    def _start(self, run: int, world: World) -> None:
        kept = dict(self.steps)
        self.steps = {k: replace(s, wave=0) for k, s in kept.items()}
        super()._start(run, world)


class ForgetsSlots(Driver):
    """Starts a whole wave at once."""

    def _may_start(self, step: Step, world: World) -> bool:
        return True


class ForgetsMemory(Driver):
    """Counts slots, not memory in flight."""

    def _may_start(self, step: Step, world: World) -> bool:
        roomy = {k: replace(h, memory_mib=10**9) for k, h in world.hosts.items()}
        return super()._may_start(step, replace(world, hosts=roomy))


class GivesUpInFlight(Driver):
    """Ends the run as soon as there is nothing left to start."""

    def _over(self, run: int) -> Any:
        if self.flights and not any(s.state == StepState.PENDING for s in self.steps.values()):
            for flight in list(self.flights.values()):
                self._finish(flight, StepState.DONE, "surely")
        return super()._over(run)


class DoesNotLook(Driver):
    """Starts a step without looking where its VM is."""

    def _settled_without_a_call(self, step: Step, world: World) -> bool:
        return False


class RestartsFromTheTop(Executor):
    """On resume, begins the plan anew, without looking."""

    driver = DoesNotLook

    def resume(self) -> ApplyResult:
        run = self.journal.latest()
        for step in self.journal.steps(run.run) if run is not None else []:
            if step.state in (*IN_FLIGHT, StepState.DONE):
                self.journal._db.execute(
                    "UPDATE steps SET state='pending' WHERE run=? AND step=?", (step.run, step.step)
                )
        return super().resume()


class HasNoPatience(Driver):
    """Cancels nothing, waits for nothing: a migration that is late is called failed."""

    def _mind_deadline(self, flight: Flight, task: Any) -> None:
        if self.clock.monotonic() > flight.deadline - self.limits.grace_s - 2.0 * flight.step.expected_s:
            self._finish(flight, StepState.FAILED, "late")


MUTANTS: tuple[type[Executor], ...] = (
    driven_by(IntentAfterCall),
    driven_by(ForgetsInFlight),
    driven_by(NeverSettles),
    driven_by(AsksAgainAtOnce),
    driven_by(BelievesTheAnswer),
    driven_by(GoesOnAfterFailure),
    driven_by(ForgetsWaves),
    driven_by(ForgetsSlots),
    driven_by(ForgetsMemory),
    driven_by(GivesUpInFlight),
    driven_by(HasNoPatience),
    RestartsFromTheTop,
)
