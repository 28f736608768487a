"""Steps of a schedule, and the company they keep: a wave in the making, whose migrations share hosts and links."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pro.planning.estimates import LIVE, Estimates

if TYPE_CHECKING:
    from pro.planning.physics import Transfer

SHARING_MAY_COST = 1.05
"""A wave may take this many times as long as the same steps one after the other: fewer waves are worth a little."""


@dataclass(frozen=True)
class Step:
    """One VM (index) from one host to another, with what it costs in the company of its wave."""

    vm: int
    source: int
    destination: int
    kind: str
    transfer: Transfer
    stopover: bool = False


class WaveInMaking:
    """Who travels together, with the links they share."""

    def __init__(self, estimates: Estimates) -> None:
        self.estimates = estimates
        self.busy: Counter[int] = Counter()
        self.members: list[Step] = []

    def has_hands(self, source: int, destination: int) -> bool:
        """Whether both hosts may take part in one more migration."""
        return max(self.busy[source], self.busy[destination]) < self.estimates.profile.per_host

    def admit(self, vm: int, source: int, destination: int, stopover: bool = False) -> bool:
        """Take the step in, unless sharing a link with it costs more than letting it wait for a later wave."""
        kind, _ = self.estimates.kind(vm, source, destination)
        shares = bool(self.busy[source] or self.busy[destination])
        busy = self.busy + Counter((source, destination))
        fresh = Step(vm, source, destination, kind, self.estimates.transfer(kind, vm, source, destination), stopover)
        members = [
            self._shared(s, busy) if {s.source, s.destination} & {source, destination} else s for s in self.members
        ]
        members.append(self._shared(fresh, busy))
        longest = max(s.transfer.seconds for s in members)
        if shares:
            before = max(s.transfer.seconds for s in self.members)
            if longest > SHARING_MAY_COST * (before + fresh.transfer.seconds) or not all(map(self._bearable, members)):
                return False
        self.members, self.busy = members, busy
        return True

    def _shared(self, step: Step, busy: Counter[int]) -> Step:
        """`step` as it fares when its hosts' links carry `busy` migrations."""
        sharers = (busy[step.source], busy[step.destination])
        transfer = self.estimates.transfer(step.kind, step.vm, step.source, step.destination, sharers)
        return replace(step, transfer=transfer)

    def _bearable(self, step: Step) -> bool:
        """Sharing must not keep a migration from converging that would alone, nor pause the VM beyond the limit."""
        if step.kind != LIVE:
            return True
        alone = self.estimates.transfer(step.kind, step.vm, step.source, step.destination)
        pause = step.transfer.blackout_s
        return (step.transfer.converged or not alone.converged) and pause <= self.estimates.profile.max_blackout_s

    def steps(self) -> tuple[Step, ...]:
        """The wave as it stands."""
        return tuple(self.members)
