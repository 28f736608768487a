"""Apply a plan, safely: refuse what is stale or not permitted, journal, drive, and take up again what was interrupted.

Never rolls back: going back is just another plan.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pro.core.errors import RefusedError
from pro.core.text import minute, plain
from pro.planning.io import dumps, loads
from pro.planning.plan import Wave
from pro.remediation.driver import Driver, Limits, nothing_halts
from pro.remediation.gates import KillSwitch, refusals
from pro.remediation.guard import Guard
from pro.remediation.journal import Journal
from pro.remediation.lock import LockHeldError, WriterLock, describe_holder, holder_path, is_held
from pro.remediation.records import Event, Run, RunState, Step, StepState
from pro.remediation.result import NOTHING, REFUSED, ApplyResult, RunStatus
from pro.remediation.staleness import changes, done_already

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pro.backends.base import Backend, World
    from pro.core.clock import Clock
    from pro.planning.plan import Plan
    from pro.remediation.gates import Gate


def apply(
    plan: Plan,
    backend: Backend,
    journal_path: Path,
    *,
    clock: Clock,
    gates: Sequence[Gate] = (),
    limits: Limits | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> ApplyResult:
    """Carry out `plan` on `backend`, wave after wave, and return what came of it.

    Refused (a value, exit code 4) when another apply is at work, an earlier run is unfinished, the plan no longer fits the
    world (every change is listed), another balancer is active, or a gate says no. Migrations whose VMs already stand where
    the plan puts them are not repeated, so a second apply moves nothing. The first failure lets what is under way end and
    starts nothing more. `on_event` hears every change after it is in the journal. A kill switch
    among the gates counts on the way, too: while it is thrown nothing new is started, and the run ends as stopped.
    """
    limits = limits or Limits()
    try:
        with (
            WriterLock(journal_path, f"apply of plan {plan.id}", clock.now()),
            Journal(journal_path, write=True) as journal,
        ):
            switch = next((gate for gate in gates if isinstance(gate, KillSwitch)), None)
            executor = Executor(journal, backend, clock, limits, on_event, switch.thrown if switch else None)
            return executor.apply(plan, gates)
    except LockHeldError as held:
        return ApplyResult(REFUSED, (str(held),))


def resume(
    backend: Backend,
    journal_path: Path,
    *,
    clock: Clock,
    limits: Limits | None = None,
    on_event: Callable[[Event], None] | None = None,
    halt: Callable[[], str] | None = None,
) -> ApplyResult:
    """Take up the newest run where it was left: interrupted, stopped or in doubt. Of one that is done or abandoned nothing is left to do; one that
    ended in part is only told of again, so that whoever resumes blindly after a crash learns of it.

    Nothing is asked for until every request that may still be on its way has had its time and the world has been read; and
    nothing new is started if the world has changed so that the rest of the plan no longer fits. Refused while `halt` gives a reason.
    """
    limits = limits or Limits()
    try:
        with WriterLock(journal_path, "resume", clock.now()), Journal(journal_path, write=True) as journal:
            return Executor(journal, backend, clock, limits, on_event, halt).resume()
    except LockHeldError as held:
        return ApplyResult(REFUSED, (str(held),))


def request_stop(journal_path: Path, *, clock: Clock) -> RunStatus | None:
    """Ask the run that is under way to make no new call; returns how it stands, None if none is under way.

    What is in flight is let end. Works from any process and does not wait.
    """
    if not journal_path.exists():
        return None
    with Journal(journal_path, write=True) as journal:
        run = journal.latest()
        if run is None or run.state != RunState.RUNNING:
            return None
        journal.ask_stop(run.run, clock.now().isoformat(timespec="milliseconds"))
    return status(journal_path)


def abandon(journal_path: Path, reason: str, *, clock: Clock) -> bool:
    """Close an unfinished run for good because a person has looked. False if there is none; RefusedError if it is driven."""
    if not reason.strip():
        raise RefusedError("abandoning a run needs a reason: what has been looked at, and by whom")
    with WriterLock(journal_path, "abandon", clock.now()), Journal(journal_path, write=True) as journal:
        run = journal.unfinished()
        if run is not None:
            journal.end_run(run.run, RunState.ABANDONED, clock.now().isoformat(timespec="milliseconds"), reason)
        return run is not None


def status(journal_path: Path) -> RunStatus | None:
    """How the newest run stands; None if nothing was ever applied. Works from any process at any time."""
    if not journal_path.exists():
        return None
    with Journal(journal_path) as journal:
        run = journal.latest()
        if run is None:
            return None
        driven = is_held(journal_path)
        return RunStatus(
            run=run.run,
            plan_id=run.plan_id,
            backend=run.backend,
            state=run.state,
            started=run.started,
            ended=run.ended,
            reason=run.reason,
            driven=driven,
            driver=describe_holder(holder_path(journal_path)) if driven else "",
            stop_asked=run.stop_at != "",
            steps=tuple(journal.steps(run.run)),
        )


OVER = {RunState.DONE: "all done", RunState.PARTIAL: "applied in part", RunState.ABANDONED: "abandoned"}
"""States in which nothing of a run can be resumed, in words."""


class Executor:
    """Apply and resume on an open journal. The caller sees to it that nobody else writes."""

    driver = Driver

    def __init__(
        self,
        journal: Journal,
        backend: Backend,
        clock: Clock,
        limits: Limits,
        on_event: Callable[[Event], None] | None = None,
        halt: Callable[[], str] | None = None,
    ) -> None:
        self.journal, self.clock, self.limits, self.on_event = journal, clock, limits, on_event
        self.halt = halt or nothing_halts
        self.backend = Guard(backend, limits.call_timeout_s)
        self.settle_s = limits.settle(backend)

    def apply(self, plan: Plan, gates: Sequence[Gate] = ()) -> ApplyResult:
        """See `apply`."""
        unfinished = self.journal.unfinished()
        if unfinished is not None:
            how = "in doubt" if unfinished.state == RunState.IN_DOUBT else "unfinished"
            return ApplyResult(
                REFUSED,
                (f"run {unfinished.run} of plan {unfinished.plan_id} is {how}: `pro resume` first",),
                unfinished.run,
            )
        world = self.backend.inventory()
        done = done_already(plan, world)
        if all(done):
            return ApplyResult(NOTHING)
        reasons = self._balancers(world) + changes(plan, world, done, self.backend)
        reasons += refusals(gates, _rest(plan, done), world, self.clock.now())
        if reasons:
            return ApplyResult(REFUSED, tuple(reasons))
        return self._drive(self._begin(plan, done))

    def resume(self) -> ApplyResult:
        """See `resume`."""
        run = self.journal.latest()
        if run is None:
            return ApplyResult(NOTHING, ("nothing was ever applied",))
        if run.state in OVER:
            over = f"nothing to resume: run {run.run} ended {minute(run.ended)}, {OVER[run.state]}"
            if run.state != RunState.PARTIAL:
                return ApplyResult(NOTHING, (over,))
            told = self._result(run.run, run.state)
            return replace(told, reasons=(f"{over}; what is left takes another plan", *told.reasons))
        if run.backend != self.backend.url:
            return ApplyResult(
                REFUSED, (f"run {run.run} was begun on {run.backend}, not on {self.backend.url}",), run.run
            )
        if why := self.halt():
            return ApplyResult(REFUSED, (why,), run.run)
        now = self._now()
        for step in self.journal.steps(run.run):
            if step.state == StepState.IN_DOUBT:
                self.journal.change(
                    step, StepState.SENT if step.ticket else StepState.INTENT, now, reason="looking again"
                )
        self.journal.end_run(run.run, RunState.RUNNING, now, "resumed")
        plan = loads(run.plan)

        def recheck(world: World) -> list[str]:
            return self._balancers(world) + changes(plan, world, done_already(plan, world), self.backend)

        return self._drive(run.run, recheck)

    def _balancers(self, world: World) -> list[str]:
        if self.limits.ignore_balancer:
            return []
        active = {h.host: h.balancer for h in world.hosts.values() if h.balancer}
        return [f"another balancer is active on {plain(h)}: {plain(name)}" for h, name in sorted(active.items())]

    def _begin(self, plan: Plan, done: Sequence[bool]) -> int:
        """Write the run and all its steps; returns its number."""
        run, now = self.journal.next_run(), self._now()
        steps: list[Step] = []
        for wave_no, wave in enumerate(plan.waves):
            for m in wave.migrations:
                over = done[len(steps)]
                steps.append(
                    Step(
                        run=run,
                        step=len(steps),
                        wave=wave_no,
                        vm=m.vm,
                        vm_name=m.vm_name,
                        source=m.source,
                        destination=m.destination,
                        kind=m.kind,
                        expected_s=m.seconds,
                        expected_mib=m.mib,
                        state=StepState.DONE if over else StepState.PENDING,
                        reason="already there" if over else "",
                        ended_at=now if over else "",
                    )
                )
        options = json.dumps(vars(self.limits), sort_keys=True)
        self.journal.start_run(
            Run(run, plan.id, dumps(plan), self.backend.url, now, "", RunState.RUNNING, "", "", options), steps
        )
        return run

    def _drive(self, run: int, recheck: Callable[[World], list[str]] | None = None) -> ApplyResult:
        driver = self.driver(
            self.journal, self.backend, self.clock, self.limits, self.settle_s, self.on_event, recheck, self.halt
        )
        state = driver.run(run)
        result = self._result(run, state)
        if state != RunState.RUNNING:
            self.journal.end_run(run, state, self._now(), "; ".join(result.reasons))
        return result

    def _result(self, run: int, state: RunState) -> ApplyResult:
        """How `run` stands, as an answer."""
        steps = tuple(self.journal.steps(run))
        said = [s for s in steps if s.state in (StepState.FAILED, StepState.SKIPPED, StepState.IN_DOUBT)]
        reasons = [f"{plain(s.vm_name or s.vm)}: {s.state.value.replace('_', ' ')}, {s.reason}" for s in said]
        if state == RunState.STOPPED and (why := self.halt()):
            reasons.append(why)
        if state == RunState.RUNNING:
            reasons.append("the backend does not answer; `pro resume` when it does")
        return ApplyResult(state.value, tuple(reasons), run, steps)

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds")


def _rest(plan: Plan, done: Sequence[bool]) -> Plan:
    """`plan` without the steps that are done: what gates have to judge. Keeps the id, which is what was approved."""
    over = iter(done)
    waves = [Wave(tuple(m for m in wave.migrations if not next(over))) for wave in plan.waves]
    return replace(plan, waves=tuple(w for w in waves if w.migrations))
