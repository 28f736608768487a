"""Gates: all must permit before anything is applied. A refusal is a value with a reason; a bug is an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pro.backends.base import World
    from pro.planning.plan import Plan


@dataclass(frozen=True)
class Permit:
    """A gate's answer. `reason` says why not, or what was looked at."""

    allowed: bool
    reason: str


class Gate(Protocol):
    """One reason not to act. `plan` holds only the migrations that are left to do."""

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Whether `plan` may be applied to `world` now."""
        ...


def refusals(gates: Iterable[Gate], plan: Plan, world: World, now: datetime) -> list[str]:
    """The reasons of all gates that refuse."""
    permits = [gate.permits(plan, world, now) for gate in gates]
    return [p.reason for p in permits if not p.allowed]
