"""A search for an order of migrations, for when letting everybody go who can go shuts somebody out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.core.arrays import Ints
    from pro.planning.estimates import Estimates
    from pro.planning.flight import Flight

    Leg = tuple[int, int]

_LOOKS = 5_000
"""How many departures are considered before the search gives up."""

_THIRD_HOSTS = 6
"""How many hosts are considered for a stop-over, those with most free memory first."""


def find_route(estimates: Estimates, flight: Flight, target: Ints, eager: Sequence[int], stopovers: int) -> list[Leg]:
    """Legs (VM, host) that bring all of `eager` to `target`, one after the other, with at most so many stop-overs.

    Empty if none was found. Depth first over the placements of `eager`, each looked at once; `flight` ends where it began if
    nothing was found. At most `_LOOKS` departures are considered, each in O(rows of the VM).
    """
    search = _Search(estimates, flight, target, eager, stopovers)
    legs: list[Leg] = []
    left: list[int] = []
    choices = [search.choices(legs)]
    while choices:
        if search.arrived():
            return legs
        leg = next(choices[-1], None)
        if leg is not None:
            left.append(flight.at[leg[0]])
            legs.append(leg)
            flight.put(*leg)
            choices.append(search.choices(legs))
        else:
            choices.pop()
            if legs:
                flight.put(legs.pop()[0], left.pop())
    return []


class _Search:
    def __init__(
        self, estimates: Estimates, flight: Flight, target: Ints, eager: Sequence[int], stopovers: int
    ) -> None:
        self.estimates = estimates
        self.flight = flight
        self.target = target
        self.eager = eager
        self.stopovers = stopovers
        self.seen: set[tuple[int, ...]] = set()
        self.looks = _LOOKS

    def arrived(self) -> bool:
        """Whether everybody is where they should be."""
        return all(self.flight.at[v] == self.target[v] for v in self.eager)

    def choices(self, legs: Sequence[Leg]) -> Iterator[Leg]:
        """Legs that may come next and lead somewhere new: straight ones, then stop-overs of VMs that are still at home."""
        at, target = self.flight.at, self.target
        waiting = [v for v in self.eager if at[v] != target[v]]
        for v in waiting:
            if self._leads_on(v, int(target[v]), stopover=False):
                yield v, int(target[v])
        if sum(host != target[v] for v, host in legs) >= self.stopovers:
            return
        for v in waiting:
            if at[v] == self.flight.home[v]:
                for host in by_room(self.flight, v, int(target[v]))[:_THIRD_HOSTS]:
                    if self._leads_on(v, host, stopover=True) and self._possible(v, host):
                        yield v, host

    def _leads_on(self, vm: int, host: int, *, stopover: bool) -> bool:
        self.looks -= 1
        if self.looks < 0 or self.flight.refusal(vm, host, stopover=stopover):
            return False
        after = tuple(host if v == vm else self.flight.at[v] for v in self.eager)
        new = after not in self.seen
        self.seen.add(after)
        return new

    def _possible(self, vm: int, host: int) -> bool:
        return possible_stopover(self.estimates, vm, self.flight.at[vm], host, int(self.target[vm]))


def possible_stopover(estimates: Estimates, vm: int, source: int, host: int, target: int) -> bool:
    """Whether the platform migrates `vm` both to `host` and on from there."""
    return bool(estimates.kind(vm, source, host)[0] and estimates.kind(vm, host, target)[0])


def by_room(flight: Flight, vm: int, target: int) -> list[int]:
    """Third hosts with memory to spare for `vm`, the one with most of it first."""
    fleet = flight.fleet
    free = fleet.capacity[:, fleet.resources.index("memory")] - flight.memory_use()
    third = (h for h in (free >= fleet.memory_mib[vm]).nonzero()[0].tolist() if h not in (flight.at[vm], target))
    return sorted(third, key=lambda h: (-int(free[h]), h))
