"""A test tip: raised, approved, carried out and closed as any other, by way of everything on a tip's way; it moves nothing."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.actions.alone import standing_gates
from pro.actions.applying import apply_plan
from pro.actions.places import TIPS, absolute, world_in
from pro.actions.watchers import alone, knock, noted_watch
from pro.core.clock import SystemClock
from pro.core.errors import BackendError, InputError, ProError
from pro.remediation.result import NOTHING, REFUSED, ApplyResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pro.actions.watching import Watch
    from pro.backends.base import World
    from pro.planning.plan import Plan
    from pro.remediation.gates import Permit
    from pro.remediation.tip import Tip
    from pro.remediation.tips import TipBook
    from pro.workflow import Tell

NO_TICKET = "pro-tips-test"
"""A ticket that no backend has given out."""
ANSWER_S = 5.0
"""So long a watch that is at work has to answer; it does at once, unless it is in the middle of a look."""


@dataclass(frozen=True)
class Rehearsal:
    """How it went. `gates`: name, whether it is about acting alone only, and what it said. `watch`: "answers", "busy" or "none";
    `noted`: what a hook would use without options."""

    tip: Tip
    history: tuple[dict[str, str], ...]
    world: World
    backend: str
    ticket: str
    watch: str
    noted: dict[str, str | None] | None
    gates: tuple[tuple[str, bool, Permit], ...]
    applied: ApplyResult

    def to_json(self) -> dict[str, Any]:
        """Schema "tips-test/1"."""
        return {
            "schema": "tips-test/1",
            "exit_code": self.applied.exit_code,
            "tip": {**self.tip.to_json(), "history": list(self.history)},
            "backend": {
                "url": self.backend, "hosts": len(self.world.hosts), "vms": len(self.world.vms), "ticket": self.ticket,
            },
            "watch": {"state": self.watch, "noted": self.noted},
            "gates": [
                {"gate": name, "alone": alone, "allowed": permit.allowed, "reason": permit.reason}
                for name, alone, permit in self.gates
            ],
            "applied": self.applied.to_json(),
        }  # fmt: skip


def rehearse(watch: Watch, who: str, tell: Tell) -> Rehearsal:
    """Send a test tip the whole way, approved by `who`. What stops it closes it as failed, and is raised again.

    The plan is empty, so no gate can let anything through. A watch at work is asked for a sign of life, not for a look, which
    could move something.
    """
    from pro.remediation.tips import TipBook

    clock = SystemClock()
    plan = _empty_plan(watch, clock.now())
    with TipBook(watch.store / TIPS) as book:
        _close_left(book, clock.now)
        tip = book.raise_test(plan, clock.now(), who)
        try:
            tell("asking the backend")
            world, ticket = _ask_backend(watch)
            tell("asking the watch")
            state = _ask_watch(watch.store)
            gates = _ask_gates(watch, plan, world, clock.now())
            book.approve(tip.id, who, clock.now(), plan_id=plan.id, reason="a test")
            book.start(plan.id, clock.now())
            applied = _apply(watch, plan, gates)
            said = "; ".join(applied.reasons) or "the test went the whole way; nothing was moved"
            book.finish(plan.id, resolved=applied.exit_code == 0, now=clock.now(), reason=said)
        except ProError as error:
            _fail(book, tip.id, who, clock.now, str(error))
            raise
        noted = None
        with suppress(InputError):
            noted = noted_watch(watch.store)
        return Rehearsal(
            book.tip(tip.id), tuple(book.history(tip.id)), world, absolute(watch.backend), ticket, state, noted, gates, applied
        )  # fmt: skip


def _empty_plan(watch: Watch, now: datetime) -> Plan:
    from pro.fleet.archive import load_inventory
    from pro.fleet.snapshot import snapshot
    from pro.planning.make import PlanContext, make_plan

    fleet = snapshot(load_inventory(watch.store), now, leave_out=True)
    stamp = now.isoformat()
    return make_plan(fleet, None, fleet.host_of, PlanContext(goal=watch.goal, now=stamp, created_at=stamp))


def _close_left(book: TipBook, now: Callable[[], datetime]) -> None:
    """Close what a test that was killed has left."""
    for tip in book.tips(active=True):
        if tip.test:
            _fail(book, tip.id, "pro", now, "the test that raised it was interrupted")


def _fail(book: TipBook, number: int, who: str, now: Callable[[], datetime], reason: str) -> None:
    from pro.remediation.tip import DECIDED, TipState

    if book.tip(number).state == TipState.NEW:
        book.approve(number, who, now(), reason="a test")
    if book.tip(number).state in DECIDED:
        book.start(book.tip(number).plan_id, now())
    book.finish(book.tip(number).plan_id, resolved=False, now=now(), reason=reason)


def _ask_backend(watch: Watch) -> tuple[World, str]:
    """What the backend sees, and what it says of a ticket that nobody has."""
    from pro.backends import TicketState, open_backend

    backend = open_backend(absolute(watch.backend), world=world_in(watch.store), clock=SystemClock())
    world, ticket = backend.inventory(), backend.status(NO_TICKET)
    if ticket.state != TicketState.UNKNOWN:
        raise BackendError(f"the backend calls a ticket that nobody has {ticket.state.value}, not unknown")
    return world, ticket.state.value


def _ask_watch(store: Path) -> str:
    """Whether a watch is at work on the store and answers."""
    lock = alone(store)
    if lock is not None:
        lock.release()
        return "none"
    path = knock(store)
    until = time.monotonic() + ANSWER_S
    while path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    busy = path.exists()
    path.unlink(missing_ok=True)
    return "busy" if busy else "answers"


def _ask_gates(watch: Watch, plan: Plan, world: World, now: datetime) -> tuple[tuple[str, bool, Permit], ...]:
    """What every gate says that can be asked without a forecast: those for everybody, then those for acting alone."""
    from pro.remediation.contract import ContractGate
    from pro.remediation.gates import FreshCounters, KillSwitch, OtherBalancer
    from pro.telemetry.store import Store

    everybody = (KillSwitch(watch.store / watch.config.apply.kill_switch), OtherBalancer())
    newest = Store(watch.store).newest()
    fresh = () if newest is None else (FreshCounters(newest, watch.config.apply.counters_minutes),)
    alone_only = (ContractGate(watch.contract, 1.0), *fresh, *standing_gates(watch))
    by_itself = [g for g in alone_only if g.name != OtherBalancer.name]
    asked = [*((gate, False) for gate in everybody), *((gate, True) for gate in by_itself)]
    return tuple((gate.name, alone, gate.permits(plan, world, now)) for gate, alone in asked)


def _apply(watch: Watch, plan: Plan, gates: tuple[tuple[str, bool, Permit], ...]) -> ApplyResult:
    """Carry out a plan that is empty. An executor has nothing to do then and asks no gate, so what gates said counts here."""
    result = apply_plan(plan, watch.backend, watch.store, watch.config)
    refused = tuple(permit.reason for _, alone, permit in gates if not alone and not permit.allowed)
    return ApplyResult(REFUSED, refused) if result.state == NOTHING and refused else result
