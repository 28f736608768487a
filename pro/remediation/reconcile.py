"""What a step that was asked for has come to: the table that decides, from journal and observation alone.

| VM seen                             | migration seen          | verdict                                          |
|-------------------------------------|-------------------------|--------------------------------------------------|
| on the destination, as it was       | none                    | DONE                                             |
| further on, where a later step puts it | any                  | DONE                                             |
| on the source                       | running, ours           | WAIT (adopt it)                                  |
| on the source                       | ended badly             | FAILED                                           |
| on the source, as it was            | none, settled           | RETRY                                            |
| on the source                       | running, to elsewhere   | SKIPPED: another hand is at it                   |
| elsewhere                           | any                     | SKIPPED: moved by another hand                   |
| absent, on two hosts, paused, gone off | none, settled        | IN DOUBT: a person must look                     |
| any of these, not settled           |                         | WAIT                                             |

"Ours": to our destination. "Settled": so long without a sign of life that no request still on its way can take effect.
A paused VM whose migration runs is no cause for alarm: the end of every migration is a pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pro.backends.base import Ticket, TicketState, VmSeen, VmState

if TYPE_CHECKING:
    from collections.abc import Collection

    from pro.remediation.records import Step


class Verdict(StrEnum):
    """What to do about a step."""

    WAIT = "wait"
    DONE = "done"
    RETRY = "retry"
    FAILED = "failed"
    SKIPPED = "skipped"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True)
class Decision:
    """A verdict, and why."""

    verdict: Verdict
    reason: str = ""


def judge(
    step: Step, vm: VmSeen | None, task: Ticket | None, *, settled: bool, later: Collection[str] = ()
) -> Decision:
    """The table above. `later`: destinations of later steps of the same VM. `task`: its migration, running or ended."""
    running = task is not None and task.state == TicketState.RUNNING
    ours = task is not None and running and task.destination == step.destination
    if vm is None or len(vm.hosts) != 1:
        where = "is nowhere to be seen" if vm is None or not vm.hosts else f"is on {len(vm.hosts)} hosts at once"
        return _doubt(f"the VM {where}", settled=settled)
    host = vm.hosts[0]
    if host in later and host not in (step.source, step.destination):
        return Decision(Verdict.DONE, "already further on")
    if host not in (step.source, step.destination):
        return Decision(Verdict.SKIPPED, f"moved by another hand to {host}")
    if ours:
        return Decision(Verdict.WAIT)
    if _changed(step, vm):
        return _doubt(f"the VM was {step.vm_state or 'running'} and is now {vm.state.value} on {host}", settled=settled)
    if host == step.destination:
        return Decision(Verdict.DONE)
    if running and task is not None:
        return Decision(Verdict.SKIPPED, f"another hand is moving it to {task.destination}")
    if task is not None and task.state in (TicketState.FAILED, TicketState.CANCELLED):
        return Decision(Verdict.FAILED, task.reason or f"the migration was {task.state.value}")
    return Decision(Verdict.RETRY, "no trace of the migration") if settled else Decision(Verdict.WAIT)


def _doubt(reason: str, *, settled: bool) -> Decision:
    return Decision(Verdict.IN_DOUBT, reason) if settled else Decision(Verdict.WAIT)


def _changed(step: Step, vm: VmSeen) -> bool:
    """Whether the VM no longer does what it did when its migration was asked for."""
    return vm.state == VmState.PAUSED or vm.state.value != (step.vm_state or VmState.RUNNING.value)
