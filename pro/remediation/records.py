"""What the journal knows: runs, their steps, and the words for their states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class StepState(StrEnum):
    """PENDING -> INTENT (written before the call) -> SENT (after it) -> DONE (after the VM was seen there), or a side exit."""

    PENDING = "pending"
    INTENT = "intent"
    SENT = "sent"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"


IN_FLIGHT = (StepState.INTENT, StepState.SENT)

NEXT: dict[StepState, tuple[StepState, ...]] = {
    StepState.PENDING: (StepState.INTENT, StepState.DONE, StepState.SKIPPED, StepState.FAILED, StepState.IN_DOUBT),
    StepState.INTENT: (
        StepState.SENT,
        StepState.PENDING,
        StepState.DONE,
        StepState.SKIPPED,
        StepState.FAILED,
        StepState.IN_DOUBT,
    ),
    StepState.SENT: (
        StepState.SENT,
        StepState.PENDING,
        StepState.DONE,
        StepState.SKIPPED,
        StepState.FAILED,
        StepState.IN_DOUBT,
    ),
    StepState.DONE: (),
    StepState.SKIPPED: (),
    StepState.FAILED: (),
    StepState.IN_DOUBT: (StepState.INTENT, StepState.SENT),
}
"""Which state may follow which. IN_DOUBT leads back under way only when somebody resumes the run."""


class RunState(StrEnum):
    """State of one apply. RUNNING and IN_DOUBT are unfinished: nothing new is applied before they are resumed or abandoned."""

    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    STOPPED = "stopped"
    IN_DOUBT = "in_doubt"
    ABANDONED = "abandoned"


UNFINISHED = (RunState.RUNNING, RunState.IN_DOUBT)


@dataclass(frozen=True)
class Step:
    """One migration of a run. Instants are ISO 8601, UTC; `seconds`, `blackout_s`, `mib` are measured, `expected_*` planned.

    `attempt`: how often it was asked for. `vm_state`: what the VM was doing when it was first asked for.
    """

    run: int
    step: int
    wave: int
    vm: str
    vm_name: str
    source: str
    destination: str
    kind: str
    expected_s: float
    expected_mib: int
    state: StepState
    attempt: int = 0
    ticket: str = ""
    vm_state: str = ""
    intent_at: str = ""
    ended_at: str = ""
    reason: str = ""
    seconds: float | None = None
    blackout_s: float | None = None
    mib: int | None = None


@dataclass(frozen=True)
class Run:
    """One apply of one plan."""

    run: int
    plan_id: str
    plan: str
    backend: str
    started: str
    ended: str
    state: RunState
    stop_at: str
    reason: str
    options: str


@dataclass(frozen=True)
class Event:
    """One line of the audit trail."""

    at: str
    run: int
    step: int
    kind: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))
