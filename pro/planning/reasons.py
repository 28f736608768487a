"""Why each migration is in the plan: one sentence for people, and how urgent it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.language import Allow, Limit, Row, broken, counted
from pro.planning.flight import members_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints
    from pro.fleet import Demand, Fleet


REPAIR_FIRST = 0
_COOLEST = 1_000_000


def peaks(fleet: Fleet, demand: Demand | None, host_of: Ints) -> Floats:
    """(H, R) expected peak of every host, as a fraction of capacity: the mean over scenarios of the highest use.

    Without a demand, zeros.
    """
    if demand is None or demand.moments == 0:
        return np.zeros(fleet.capacity.shape)
    shape = (fleet.n_hosts, demand.scenarios, demand.slots)
    peak = np.empty(fleet.capacity.shape)
    for r in range(len(fleet.resources)):
        use = demand.base[:, r, :].astype(np.int64)
        np.add.at(use, host_of, demand.use[:, r, :])
        peak[:, r] = use.reshape(shape).max(axis=2).mean(axis=1)
    return peak / np.maximum(fleet.capacity, 1)


def repairs(fleet: Fleet, rows: Iterable[Row], host_of: Ints) -> dict[int, list[str]]:
    """Moved VM (index) -> labels of the rules broken today that its move helps to repair."""
    home = fleet.host_of
    moved = host_of != home
    helps: dict[int, list[str]] = {}
    for row in rows:
        if not broken(row, home, home):
            continue
        for v in _helpers(row, home, host_of, moved).tolist():
            labels = helps.setdefault(v, [])
            if row.label not in labels:
                labels.append(row.label)
    return helps


def _helpers(row: Row, home: Ints, host_of: Ints, moved: NDArray[np.bool_]) -> Ints:
    """(n,) the VMs whose move makes `row`, broken at home, hold better."""
    members = members_of(row)
    old, new = home[members], host_of[members]
    if isinstance(row, Allow):
        crosses: NDArray[np.bool_] = ~row.hosts[old] & row.hosts[new]
        return np.asarray(members[crosses])
    crosses = moved[members] & (row.scope[old] != row.scope[new])
    if isinstance(row, Limit):
        over: NDArray[np.bool_] = np.max(counted(row, home, home) - row.upper, axis=1) > 0
        crosses &= (row.scope[old] >= 0) & over[row.scope[old]]
    elif broken(row, home, host_of) >= broken(row, home, home):
        crosses &= False
    helpers: Ints = members[crosses]
    return helpers


@dataclass(frozen=True)
class Reasons:
    """Words and urgency for the moves from `fleet.host_of` to `host_of`."""

    fleet: Fleet
    host_of: Ints
    goal: str
    before: Floats
    after: Floats
    helps: dict[int, list[str]]
    threshold: float
    broken_today: dict[tuple[str, str], str] = field(default_factory=dict)
    """(rule, VM id) -> what the rule says is wrong with it today."""

    @classmethod
    def find(
        cls, fleet: Fleet, demand: Demand | None, rows: Iterable[Row], host_of: Ints, goal: str, threshold: float
    ) -> Reasons:
        """Measure both placements once."""
        before = peaks(fleet, demand, fleet.host_of)
        after = peaks(fleet, demand, host_of)
        return cls(fleet, host_of, goal, before, after, repairs(fleet, rows, host_of), threshold)

    def urgency(self) -> list[int]:
        """(V,) smaller is more urgent: repairs and hosts that must be emptied, then the hottest hosts."""
        heat = self.before.max(axis=1) if self.before.size else np.zeros(self.fleet.n_hosts)
        cool = _COOLEST - np.minimum(np.round(heat * 1000).astype(np.int64), _COOLEST - 1)
        urgency = cool[self.fleet.host_of]
        urgency[self.fleet.leaving[self.fleet.host_of]] = REPAIR_FIRST
        urgency[list(self.helps)] = REPAIR_FIRST
        return [int(u) for u in urgency]

    def sentence(self, vm: int) -> str:
        """One clear sentence."""
        fleet, source, end = self.fleet, int(self.fleet.host_of[vm]), int(self.host_of[vm])
        if vm in self.helps:
            return f"Repairs {' and '.join(self._rule(label, vm) for label in self.helps[vm][:3])}."
        if fleet.leaving[source]:
            return f"Empties {self._host(source)}, which is to take no more part."
        if self.goal == "consolidate" and not (self.host_of == source).any():
            return f"Empties {self._host(source)}, so that it can be switched off."
        r = self._hottest(source)
        was, becomes, there = self.before[source, r], self.after[source, r], self.after[end, r]
        resource = fleet.resources[r]
        if was > self.threshold and becomes < was:
            return f"Cools {self._host(source)}: its {resource} peak falls from {was:.0%} to {becomes:.0%} of capacity."
        for_whom = np.flatnonzero((self.host_of == source) & (fleet.host_of != source))
        if len(for_whom):
            return f"Makes room on {self._host(source)} for {plain(fleet.vm_names[int(for_whom[0])])}."
        if was > becomes:
            return (
                f"Evens out {resource}: {self._host(source)} peaks at {becomes:.0%} instead of {was:.0%}, "
                f"{self._host(end)} at {there:.0%}."
            )
        return f"Brings it to {self._host(end)}, where goal {plain(self.goal)} wants it."

    def _rule(self, label: str, vm: int) -> str:
        text = self.broken_today.get((label, self.fleet.vms[vm]))
        return f"{plain(label)}: {text}" if text else plain(label)

    def _hottest(self, host: int) -> int:
        """The resource, memory aside (it is held, not used), that is nearest to its capacity."""
        heat = self.before[host].copy()
        heat[self.fleet.resources.index("memory")] = -1.0
        return int(heat.argmax())

    def _host(self, host: int) -> str:
        return plain(self.fleet.host_names[host])
