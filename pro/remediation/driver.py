"""The loop that carries out a run: start what may start, look, believe what was seen, write it down, sleep, again.

One loop serves a fresh run and a resumed one: a resumed run merely begins with steps that are already under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pro.backends.base import MigrationRefused, TicketState
from pro.core.errors import BackendError
from pro.core.text import plain
from pro.remediation.reconcile import Decision, Verdict, judge
from pro.remediation.records import IN_FLIGHT, Event, RunState, Step, StepState

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.backends.base import Ticket, World
    from pro.core.clock import Clock
    from pro.remediation.guard import Guard
    from pro.remediation.journal import Journal


@dataclass(frozen=True)
class Limits:
    """What an apply may load on the estate, and how long it waits for what.

    `concurrent`, `per_host`: migrations at the same time, in all and on one host (a wave may ask for fewer, never more).
    `attempts`: how often a step is asked for when nothing is seen to come of it. A migration is given `deadline_factor`
    times its expected seconds plus `grace_s`, then it is cancelled. `settle_s`: how long an unanswered request may still
    take effect (None: what the backend says, or the time-out of a call plus 5 s). `unreachable_s`: how long a backend may
    fail to answer before the run is left for `resume`. `ignore_balancer`: go on although another balancer is active.
    """

    concurrent: int = 4
    per_host: int = 2
    attempts: int = 3
    poll_s: float = 0.5
    deadline_factor: float = 3.0
    grace_s: float = 60.0
    settle_s: float | None = None
    call_timeout_s: float = 30.0
    unreachable_s: float = 300.0
    ignore_balancer: bool = False

    def settle(self, backend: object) -> float:
        """Seconds after which an unanswered request cannot take effect any more."""
        own = getattr(backend, "settle_s", None)
        return (
            self.settle_s if self.settle_s is not None else float(own) if own is not None else self.call_timeout_s + 5.0
        )


@dataclass
class Flight:
    """A step under way, as this process knows it. Instants are of the monotonic clock.

    `quiet_since`: since when there is no sign of life. `refused`: the answer was no (so this call started nothing).
    """

    step: Step
    deadline: float
    quiet_since: float
    refused: MigrationRefused | None = None
    cancelled: bool = False


def nothing_halts() -> str:
    """Where there is no kill switch."""
    return ""


@dataclass
class Driver:
    """Carries out one run. Holds no truth of its own: all of it can be lost and read again from journal and world.

    `steps` is the journal's table, read once and kept in step with every write; nobody else writes. `recheck`, in a resumed
    run, says what has changed since the plan was made; it is asked once, before the first new start. While `halt` gives a reason
    nothing new is started.
    """

    journal: Journal
    backend: Guard
    clock: Clock
    limits: Limits
    settle_s: float
    on_event: Callable[[Event], None] | None = None
    recheck: Callable[[World], list[str]] | None = None
    halt: Callable[[], str] = nothing_halts
    flights: dict[int, Flight] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)
    _held_back: dict[int, int] = field(default_factory=dict)

    def run(self, run: int) -> RunState:
        """Drive `run` to an end, of whatever kind, and return the state it is in now.

        RUNNING as an answer means that the backend stopped answering; the run is left as it is, for `resume`.
        """
        self._adopt(run)
        last_seen = self.clock.monotonic()
        while True:
            try:
                world = self.backend.inventory()
                self._look(world)
                self._start(run, world)
                last_seen = self.clock.monotonic()
            except BackendError as error:
                self._tell(run, -1, "backend silent", str(error))
                if self.clock.monotonic() - last_seen >= self.limits.unreachable_s:
                    return RunState.RUNNING
            if (state := self._over(run)) is not None:
                return state
            self.clock.sleep(self.limits.poll_s)

    def _adopt(self, run: int) -> None:
        """Take over what the journal says is under way, after every request still on its way has had its time."""
        self.steps = {s.step: s for s in self.journal.steps(run)}
        left = [s for s in self.steps.values() if s.state in IN_FLIGHT]
        if left:
            self._tell(run, -1, "settling", f"{len(left)} under way; waiting {self.settle_s:g} s before looking")
            self.clock.sleep(self.settle_s)
        for step in left:
            self._track(step, quiet_since=self.clock.monotonic() - self.settle_s)

    def _track(self, step: Step, quiet_since: float) -> Flight:
        patience = self.limits.deadline_factor * step.expected_s + self.limits.grace_s
        self.flights[step.step] = Flight(step, self.clock.monotonic() + patience, quiet_since)
        return self.flights[step.step]

    def _over(self, run: int) -> RunState | None:
        """How the run has ended; None while there is something under way or to be started."""
        if self.flights:
            return None
        states = {s.state for s in self.steps.values()}
        if StepState.IN_DOUBT in states:
            return RunState.IN_DOUBT
        if states & {StepState.FAILED, StepState.SKIPPED}:
            return RunState.PARTIAL
        if StepState.PENDING not in states:
            return RunState.DONE
        return RunState.STOPPED if self._stopped(run) else None

    def _stopped(self, run: int) -> bool:
        """Whether somebody asked for no further start, of this run or of any."""
        return self.journal.stop_asked(run) or bool(self.halt())

    # -- looking ------------------------------------------------------------------------------------------------

    def _look(self, world: World) -> None:
        """Judge every step under way by what is seen."""
        for flight in list(self.flights.values()):
            step = flight.step
            try:
                task = self._task(step)
            except BackendError as error:  # of this one only: the others must not wait for it
                self._tell(step.run, step.step, "no answer", str(error))
                self._mind_deadline(flight, None)
                continue
            if task is not None and task.state == TicketState.RUNNING:
                flight.quiet_since = self.clock.monotonic()
            quiet_s = self.clock.monotonic() - flight.quiet_since
            settled = quiet_s >= self.settle_s and not self.backend.hanging(step.vm)
            decision = judge(step, world.vms.get(step.vm), task, settled=settled, later=self._later(step))
            self._act(flight, decision, task)

    def _later(self, step: Step) -> list[str]:
        """Where later steps put the same VM."""
        return [s.destination for s in self.steps.values() if s.vm == step.vm and s.step > step.step]

    def _task(self, step: Step) -> Ticket | None:
        """The step's migration as the backend knows it: by its ticket, or by its VM when the answer was lost."""
        if step.ticket:
            known = self.backend.status(step.ticket)
            if known.state != TicketState.UNKNOWN:
                return known
        return self.backend.running(step.vm)

    def _act(self, flight: Flight, decision: Decision, task: Ticket | None) -> None:
        verdict, step = decision.verdict, flight.step
        if verdict == Verdict.WAIT:
            if task is not None and task.state == TicketState.RUNNING and task.id != step.ticket:
                flight.step = self._write(step, StepState.SENT, ticket=task.id)
            self._mind_deadline(flight, task)
        elif verdict == Verdict.RETRY:
            self._retry(flight, decision.reason)
        elif verdict == Verdict.DONE:
            known = task is not None and task.state == TicketState.DONE
            measured = (
                {"seconds": task.seconds, "blackout_s": task.blackout_s, "mib": task.mib} if task and known else {}
            )
            self._finish(flight, StepState.DONE, decision.reason, **measured)
        else:
            reason = f"not over in time; {decision.reason}" if flight.cancelled else decision.reason
            self._finish(flight, StepState(verdict.value), reason)

    def _retry(self, flight: Flight, reason: str) -> None:
        """Nothing came of a request. Ask again if it may help, up to `attempts` times."""
        step = flight.step
        if flight.refused is not None and flight.refused.busy:
            self._held_back[step.step] = self._held_back.get(step.step, 0) + 1
            if self._held_back[step.step] < self.limits.attempts or len(self.flights) > 1:
                self._write(step, StepState.PENDING, attempt=step.attempt - 1, ticket="", reason=str(flight.refused))
                del self.flights[step.step]
                return
        if flight.refused is not None:
            self._finish(flight, StepState.FAILED, f"refused: {flight.refused}")
        elif flight.cancelled or step.attempt >= self.limits.attempts:
            self._finish(flight, StepState.FAILED, f"{reason}, asked for {step.attempt} times")
        else:
            self._write(step, StepState.PENDING, ticket="", reason=reason)
            del self.flights[step.step]

    def _mind_deadline(self, flight: Flight, task: Ticket | None) -> None:
        """Cancel what takes too long; give up on what cannot even be cancelled."""
        if self.clock.monotonic() < flight.deadline:
            return
        if flight.cancelled:
            self._finish(flight, StepState.IN_DOUBT, "not over in time, and it cannot be cancelled")
            return
        if task is not None and task.state == TicketState.RUNNING:
            self._tell(flight.step.run, flight.step.step, "cancelling", "not over in time")
            self.backend.cancel(task.id)
        flight.cancelled, flight.deadline = True, self.clock.monotonic() + self.limits.grace_s

    # -- starting -----------------------------------------------------------------------------------------------

    def _start(self, run: int, world: World) -> None:
        """Start what the present wave still has to start and the limits allow. Nothing after a failure, a doubt or a stop."""
        open_steps = [s for s in self.steps.values() if s.state in (StepState.PENDING, *IN_FLIGHT)]
        present = min((s.wave for s in open_steps), default=0)
        waiting = []
        pending = [s for s in open_steps if s.state == StepState.PENDING and s.wave == present]
        if pending and self.recheck is not None and not self._still_fits(pending[0], world):
            return
        for step in pending:
            if self._halted() or self._stopped(run):
                return
            if self._settled_without_a_call(step, world):
                continue
            if self._may_start(step, world):
                self._ask(step, world)
            else:
                waiting.append(step)
        if waiting and not self.flights:
            self._write(waiting[0], StepState.FAILED, reason="the destination has no room for the VM")

    def _still_fits(self, first: Step, world: World) -> bool:
        """Ask `recheck`, as soon as nothing is under way; False: not yet, or the rest of the plan does not fit any more."""
        if self.flights or self._halted() or self.recheck is None:
            return False
        changed = self.recheck(world)
        self.recheck = None
        if changed:
            self._write(first, StepState.SKIPPED, reason=f"the plan no longer fits: {'; '.join(changed)}")
        return not changed

    def _halted(self) -> bool:
        bad = (StepState.FAILED, StepState.SKIPPED, StepState.IN_DOUBT)
        return any(s.state in bad for s in self.steps.values())

    def _settled_without_a_call(self, step: Step, world: World) -> bool:
        """Whether a look is enough: the VM is there already, or has gone elsewhere, or its destination is closed."""
        seen = world.vms.get(step.vm)
        if seen is not None and seen.hosts == (step.source,):
            target = world.hosts.get(step.destination)
            if target is None or not target.accepting:
                self._write(step, StepState.FAILED, reason="the destination does not accept VMs")
                return True
            return False
        now = Step(**{**vars(step), "vm_state": seen.state.value if seen is not None else ""})
        decision = judge(now, seen, None, settled=True, later=self._later(step))
        reason = decision.reason or "already there"
        self._write(step, StepState(decision.verdict.value), reason=reason)
        return True

    def _may_start(self, step: Step, world: World) -> bool:
        """Whether slots and memory, those of what is in flight counted on both ends, allow one more migration."""
        flying = [f.step for f in self.flights.values()]
        if len(flying) >= self.limits.concurrent:
            return False
        for host in (step.source, step.destination):
            if sum(host in (s.source, s.destination) for s in flying) >= self.limits.per_host:
                return False
        target = world.hosts[step.destination]
        here = {v.vm: v.memory_mib for v in world.vms.values() if step.destination in v.hosts}
        coming = {
            s.vm: world.vms[s.vm].memory_mib for s in flying if s.destination == step.destination and s.vm in world.vms
        }
        room = target.memory_mib - sum({**here, **coming}.values())
        return world.vms[step.vm].memory_mib <= room and not (self._held_back.get(step.step) and flying)

    def _ask(self, step: Step, world: World) -> None:
        """Write the intent, make the call, write the answer. No answer is an answer too: look for what came of it."""
        step = self._write(
            step,
            StepState.INTENT,
            attempt=step.attempt + 1,
            ticket="",
            vm_state=world.vms[step.vm].state.value,
            reason="",
        )
        flight = self._track(step, quiet_since=self.clock.monotonic())
        try:
            ticket = self.backend.migrate(step.vm, step.source, step.destination, step.kind)
        except MigrationRefused as refusal:
            flight.refused = refusal
            if step.attempt == 1:
                flight.quiet_since -= self.settle_s
            self._tell(step.run, step.step, "refused", str(refusal))
        except BackendError as error:
            flight.quiet_since = self.clock.monotonic()
            self._tell(step.run, step.step, "no answer", str(error))
        else:
            flight.step = self._write(step, StepState.SENT, ticket=ticket.id)

    # -- writing ------------------------------------------------------------------------------------------------

    def _finish(self, flight: Flight, state: StepState, reason: str, **measured: float | None) -> None:
        self._write(flight.step, state, reason=reason, **measured)
        del self.flights[flight.step.step]

    def _write(self, step: Step, state: StepState, **fields: object) -> Step:
        """Journal first, then tell whoever listens."""
        self.journal.change(step, state, self._now(), **fields)
        text = f"{plain(step.vm_name or step.vm)}: {plain(step.source)} -> {plain(step.destination)}"
        reason = str(fields.get("reason") or "")
        self._tell(step.run, step.step, state.value, f"{text} ({reason})" if reason else text)
        self.steps[step.step] = self.journal.step(step.run, step.step)
        return self.steps[step.step]

    def _tell(self, run: int, step: int, kind: str, text: str) -> None:
        if self.on_event is not None:
            self.on_event(Event(self._now(), run, step, kind, text))

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds")
