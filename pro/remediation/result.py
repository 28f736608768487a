"""What an apply came to, and how a run stands: for people, for scripts, and for other processes while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.remediation.records import IN_FLIGHT, RunState, Step, StepState

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = "refused"
NOTHING = "nothing to do"


@dataclass(frozen=True)
class ApplyResult:
    """`state`: a `RunState`, "refused" or "nothing to do". `moved`: migrations of this run that arrived, measured or seen.

    `reasons`: why it was refused, or what went wrong, one sentence each. `run` is None when nothing was begun.
    """

    state: str
    reasons: tuple[str, ...] = ()
    run: int | None = None
    steps: tuple[Step, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all done or nothing to do, 4 refused, 5 applied in part."""
        return {REFUSED: 4, NOTHING: 0, RunState.DONE.value: 0}.get(self.state, 5)

    @property
    def moved(self) -> int:
        """Migrations that were asked for and arrived."""
        return sum(s.state == StepState.DONE and s.attempt > 0 for s in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Schema "apply/1"."""
        return {
            "schema": "apply/1",
            "state": self.state,
            "exit_code": self.exit_code,
            "run": self.run,
            "moved": self.moved,
            "counts": counts(self.steps),
            "reasons": list(self.reasons),
            "steps": [vars(s) for s in self.steps],
        }


@dataclass(frozen=True)
class RunStatus:
    """How the newest run stands. `driven`: a process is at work on it now; `driver` says which."""

    run: int
    plan_id: str
    backend: str
    state: RunState
    started: str
    ended: str
    reason: str
    driven: bool
    driver: str
    stop_asked: bool
    steps: tuple[Step, ...]

    @property
    def in_flight(self) -> tuple[Step, ...]:
        """Migrations that were asked for and of which no end has been seen."""
        return tuple(s for s in self.steps if s.state in IN_FLIGHT)

    @property
    def interrupted(self) -> bool:
        """Whether the run waits for `resume`: it is not at its end, and nobody is at work on it."""
        return self.state in (RunState.RUNNING, RunState.IN_DOUBT) and not self.driven

    @property
    def stopped(self) -> bool:
        """Whether a person asked it to stop and it did not end before that."""
        return self.stop_asked and self.state in (RunState.RUNNING, RunState.IN_DOUBT, RunState.STOPPED)

    def to_json(self) -> dict[str, Any]:
        """Schema "status/1"."""
        return {
            "schema": "status/1",
            **{k: v for k, v in vars(self).items() if k != "steps"},
            "interrupted": self.interrupted,
            "counts": counts(self.steps),
            "steps": [vars(s) for s in self.steps],
        }


def counts(steps: Sequence[Step]) -> dict[str, int]:
    """How many steps are in each state."""
    return {state.value: sum(s.state == state for s in steps) for state in StepState}
