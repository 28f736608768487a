"""Where every VM stands or travels, and what each rule would say to one more departure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.language import Allow, AtLeast, Limit, Near, Row, Together, broken, counted
from pro.placement.problem import loosen
from pro.planning.load import Load
from pro.planning.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet


MEMORY_LABEL = "memory"


@dataclass
class _Budget:
    """A Limit on what moves: what has set out so far, and what is planned to in all, stop-overs included."""

    row: Limit
    spent: Ints
    planned: Ints


@dataclass
class _Span:
    """An AtLeast while VMs move: how many members stand in each scope item, how many items there must be, who crosses."""

    row: AtLeast
    members: Counter[int]
    count: int
    crossing: int | None = None


@dataclass
class _Places:
    """Indices of the rows that speak about one VM."""

    allow: list[Allow] = field(default_factory=list)
    loads: list[tuple[Load, int]] = field(default_factory=list)
    budgets: list[tuple[_Budget, int]] = field(default_factory=list)
    spans: list[_Span] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """Everything that changes in a `Flight`; what rules count follows from it."""

    at: tuple[int, ...]
    going: dict[int, int]
    budgets: list[tuple[Ints, Ints]]


def members_of(row: Row) -> Ints:
    """(n,) the VMs that `row` speaks of, sorted."""
    members: Ints = np.unique(np.concatenate([row.a, row.b]) if isinstance(row, Near) else row.vms)
    return members


def memory_row(fleet: Fleet) -> Limit:
    """Memory as such: whatever the rules say, no host holds more than it has, arriving VMs included."""
    memory = fleet.resources.index("memory")
    return Limit(
        vms=np.arange(fleet.n_vms),
        weight=fleet.memory_mib[:, None],
        scope=np.arange(fleet.n_hosts),
        base=np.zeros((fleet.n_hosts, 1), np.int64),
        upper=fleet.capacity[:, memory][:, None],
        when="during",
        label=MEMORY_LABEL,
    )


class Flight:
    """The state between and during waves. Rules already broken at the start may stay so, never get worse.

    A departure costs O(rows of the VM x dimensions of the row). Between waves the state depends on `at` alone.
    Together without weights and Near are not judged here: a group that moves is split on the way. `worse_gatherings`
    judges an end.
    """

    def __init__(self, fleet: Fleet, rows: Iterable[Row], target: Ints) -> None:
        self.fleet = fleet
        self.home: Ints = fleet.host_of
        self.at: list[int] = fleet.host_of.tolist()
        self.going: dict[int, int] = {}
        self.gathering: list[Together | Near] = []
        self._budgets: list[_Budget] = []
        self._places: dict[int, _Places] = defaultdict(_Places)
        self._memory = memory_row(fleet)
        for row in (self._memory, *rows):
            self._add(row, target)

    def _add(self, row: Row, target: Ints) -> None:
        match row:
            case Allow():
                self._bar(row)
            case Limit(when="moved"):
                budget = _Budget(row, counted(row, self.home, self.home), counted(row, self.home, target))
                self._budgets.append(budget)
                for i, v in enumerate(row.vms.tolist()):
                    self._places[v].budgets.append((budget, i))
            case Limit():
                load = Load(row, self.home, physical=row is self._memory)
                for i, v in enumerate(row.vms.tolist()):
                    self._places[v].loads.append((load, i))
            case AtLeast():
                stands = Counter(row.scope[self.home[row.vms]].tolist())
                span = _Span(row, stands, row.count - broken(row, self.home, self.home))
                for v in row.vms.tolist():
                    self._places[v].spans.append(span)
            case Together() if row.weight is not None:
                self._tally(row)
            case Together() | Near():
                self.gathering.append(row)

    def _bar(self, row: Allow) -> None:
        for part in loosen(row, self.home):
            if isinstance(part, Allow):
                for v in part.vms.tolist():
                    self._places[v].allow.append(part)

    def _tally(self, row: Together) -> None:
        stands = Counter(row.scope[self.home[np.unique(row.vms)]].tolist())
        tally = Tally(row, stands, row.weighed().tolist(), row.most + broken(row, self.home, self.home))
        for v in set(row.vms.tolist()):
            self._places[v].tallies.append(tally)

    def barred(self, vm: int, host: int) -> str:
        """Why `vm` may never go to `host`, whoever stands where; "" if it may."""
        if not self.fleet.accepting[host]:
            return f"{self._host(host)} does not accept VMs"
        for allow in self._places[vm].allow:
            if not allow.hosts[host]:
                return f"{plain(allow.label)} keeps it off {self._host(host)}"
        return ""

    def refusal(self, vm: int, host: int, *, stopover: bool = False) -> str:
        """Why `vm` may not set out for `host` now, in words; "" if it may."""
        barred = self.barred(vm, host)
        if barred:
            return barred
        places = self._places[vm]
        for budget, i in places.budgets:
            item = int(budget.row.scope[host])
            # A stop-over must not take what a planned move will need.
            spent = budget.planned if stopover else budget.spent
            if item >= 0 and np.any(spent[item] + budget.row.weight[i] > budget.row.upper[item]):
                return f"{plain(budget.row.label)} leaves no room for {'a stop-over' if stopover else 'it'}"
        for load, i in places.loads:
            lack = load.lack(i, self.at[vm], host)
            if lack and load.row is self._memory:
                return f"{self._host(host)} lacks {lack:,} MiB of memory"
            if lack:
                return f"{plain(load.row.label)} is full at {self._host(host)}"
        for span in places.spans:
            words = self._narrows(span, self.at[vm], host)
            if words:
                return words
        for tally in places.tallies:
            words = tally.refusal(self.at[vm], host)
            if words:
                return words
        return ""

    def _narrows(self, span: _Span, source: int, host: int) -> str:
        old, new = int(span.row.scope[source]), int(span.row.scope[host])
        if old == new:
            return ""
        if span.crossing is not None:
            return f"another member of {plain(span.row.label)} is on its way"
        items = sum(1 for item, n in span.members.items() if item >= 0 and n > 0)
        after = items - (old >= 0 and span.members[old] == 1) + (new >= 0 and span.members[new] == 0)
        if after < span.count:
            return f"{plain(span.row.label)} would span {after} instead of {span.count}"
        return ""

    def depart(self, vm: int, host: int, *, stopover: bool = False) -> None:
        """Let `vm` set out for `host`: it counts at both ends until `arrive`."""
        self.going[vm] = host
        for load, i in self._places[vm].loads:
            load.weigh(i, self.at[vm], host, 1)
        for span in self._places[vm].spans:
            if span.row.scope[self.at[vm]] != span.row.scope[host]:
                span.crossing = vm
        for tally in self._places[vm].tallies:
            tally.depart(self.at[vm], host)
        for budget, i in self._places[vm].budgets:
            item = int(budget.row.scope[host])
            if item >= 0:
                budget.spent[item] += budget.row.weight[i]
                if stopover:
                    budget.planned[item] += budget.row.weight[i]

    def arrive(self) -> None:
        """End the wave: everybody under way has arrived."""
        for vm, host in self.going.items():
            for load, i in self._places[vm].loads:
                load.weigh(i, host, self.at[vm], -1)
            for tally in self._places[vm].tallies:
                tally.arrive(self.at[vm], host)
            self._settle(vm, host)
            for span in self._places[vm].spans:
                span.crossing = None
        self.going = {}

    def remember(self) -> Memory:
        """The state as it is, for `recall` to bring back after a look ahead."""
        spent = [(b.spent.copy(), b.planned.copy()) for b in self._budgets]
        return Memory(tuple(self.at), dict(self.going), spent)

    def recall(self, memory: Memory) -> None:
        """Bring `memory` back; nobody may be under way."""
        for vm, host in enumerate(memory.at):
            if self.at[vm] != host:
                self.put(vm, host)
        for vm, host in memory.going.items():
            self.depart(vm, host)
        for budget, (spent, planned) in zip(self._budgets, memory.budgets, strict=True):
            budget.spent, budget.planned = spent, planned

    def put(self, vm: int, host: int) -> None:
        """Set `vm` down on `host` without a journey, in a look ahead."""
        for load, i in self._places[vm].loads:
            load.weigh(i, self.at[vm], host, 1)
            load.weigh(i, host, self.at[vm], -1)
        self._settle(vm, host)

    def _settle(self, vm: int, host: int) -> None:
        for span in self._places[vm].spans:
            span.members[int(span.row.scope[self.at[vm]])] -= 1
            span.members[int(span.row.scope[host])] += 1
        for tally in self._places[vm].tallies:
            tally.members[int(tally.row.scope[self.at[vm]])] -= 1
            tally.members[int(tally.row.scope[host])] += 1
        self.at[vm] = host

    def memory_use(self) -> Ints:
        """(H,) MiB held on every host now, VMs under way at both ends."""
        use = np.bincount(self.at, weights=self.fleet.memory_mib, minlength=self.fleet.n_hosts).astype(np.int64)
        for vm, host in self.going.items():
            use[host] += self.fleet.memory_mib[vm]
        return use

    def shares_rule(self, vm: int, other: int) -> bool:
        """Whether a rule that is not about the whole fleet speaks of both VMs."""
        mine, theirs = self._places[vm], self._places[other]
        narrow = {id(load) for load, _ in mine.loads if len(load.row.vms) < self.fleet.n_vms}
        return bool(narrow & {id(load) for load, _ in theirs.loads}) or bool(
            {id(s) for s in (*mine.spans, *mine.tallies)} & {id(s) for s in (*theirs.spans, *theirs.tallies)}
        )

    def worse_gatherings(self, host_of: Ints) -> list[Together | Near]:
        """Rows of groups that `host_of` breaks worse than the start did."""
        return [r for r in self.gathering if broken(r, self.home, host_of) > broken(r, self.home, self.home)]

    def split_on_the_way(self, steps: Sequence[Sequence[tuple[int, int]]]) -> list[Together | Near]:
        """Rows of groups that some moment between or within these waves of (vm, host) breaks worse than the start."""
        split: list[Together | Near] = []
        for row in self.gathering:
            members = set(members_of(row).tolist())
            allowed = broken(row, self.home, self.home)
            host_of = self.home.copy()
            for wave in steps:
                mine = [(v, h) for v, h in wave if v in members]
                if mine and self._splits(row, host_of, mine, allowed):
                    split.append(row)
                    break
                for v, h in mine:
                    host_of[v] = h
        return split

    def _splits(self, row: Together | Near, host_of: Ints, wave: list[tuple[int, int]], allowed: int) -> bool:
        """Whether members of one wave, arriving in some order, break the row. Two or more in one wave: assume that they do."""
        if len(wave) > 1 and any(row.scope[host_of[v]] != row.scope[h] for v, h in wave):
            return True
        after = host_of.copy()
        for v, h in wave:
            after[v] = h
        return broken(row, self.home, after) > allowed

    def _host(self, host: int) -> str:
        return plain(self.fleet.host_names[host])
