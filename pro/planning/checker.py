"""The plan's checker: replays a plan step by step in the plainest words. Knows the rules, not the scheduler that obeys them.

What happens inside a wave is not known to the second, so every pair of its migrations is tried in both orders: each rule is
asked about moments at which one has arrived and the other has not. Small waves (and the few members of one rule that travel in
a wave) are tried in every order there is.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

from pro.core.errors import InputError
from pro.core.text import plain
from pro.placement.language import Near, Together
from pro.planning.facts import fingerprint
from pro.planning.identity import content_id
from pro.planning.profiles import Profile, refusal
from pro.planning.profiles import profile as profile_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.rules import Constraint
    from pro.planning.plan import Migration, Plan, Wave


_EVERY_ORDER = 4
_SLACK_S = 0.01
_WIRE_MIBPS_PER_MBPS = 1e6 / 8 / 2**20


def check(
    plan: Plan,
    fleet: Fleet,
    constraints: Sequence[Constraint] = (),
    profile: Profile | None = None,
    between: Sequence[tuple[Constraint, int]] = (),
) -> list[str]:
    """Everything that is wrong with `plan` on `fleet`, one sentence each; empty if it may be applied.

    `profile`: the law it was made by, where that is not the stock one of its name. `between`: rules that are asked about the
    moments between waves only, each with the amount by which it may be broken.
    """
    said: list[str] = []
    if content_id(plan) != plan.id:
        said.append("the content does not match the id: the plan was edited")
    if fingerprint(plan.facts) != plan.fleet_fingerprint:
        said.append("the facts do not match their fingerprint")
    if profile is None:
        try:
            profile = profile_named(plan.profile)
        except InputError as error:
            return [*said, str(error)]
    unknown = _unknown(plan, fleet)
    if unknown:
        return said + unknown
    return said + _Replay(plan, fleet, constraints, profile, between).run()


def _unknown(plan: Plan, fleet: Fleet) -> list[str]:
    vms, hosts = set(fleet.vms), set(fleet.hosts)
    said = [f"VM {plain(m.vm)} is not in the fleet" for m in plan.migrations if m.vm not in vms]
    named = {h for m in plan.migrations for h in (m.source, m.destination)}
    return said + [f"host {plain(h)} is not in the fleet" for h in sorted(named - hosts)]


class _Replay:
    def __init__(
        self,
        plan: Plan,
        fleet: Fleet,
        constraints: Sequence[Constraint],
        profile: Profile,
        between: Sequence[tuple[Constraint, int]] = (),
    ) -> None:
        self.plan = plan
        self.fleet = fleet
        self.profile = profile
        self.constraints = constraints
        self.between = between
        self.said: list[str] = []
        self.at: Ints = fleet.host_of.copy()
        self.worst_memory = 0.0
        self.today = [self._amount(c, fleet.host_of) for c in constraints]
        memory = fleet.resources.index("memory")
        self.room = [int(c) for c in fleet.capacity[:, memory]]

    def run(self) -> list[str]:
        starts = 0.0
        for number, wave in enumerate(self.plan.waves, 1):
            for m in wave.migrations:
                self._step(m, number, starts)
            self._hands(wave, number)
            self._memory(wave, number)
            self._rules(wave, number)
            for m in wave.migrations:
                self.at[self.fleet.vm_index(m.vm)] = self.fleet.host_index(m.destination)
            self._between(number)
            starts += max((m.seconds for m in wave.migrations), default=0.0)
        self._end()
        self._account(starts)
        return self.said

    def _step(self, m: Migration, number: int, starts: float) -> None:
        fleet, v = self.fleet, self.fleet.vm_index(m.vm)
        source, destination = fleet.host_index(m.source), fleet.host_index(m.destination)
        who = f"wave {number}: {plain(m.vm)}"
        if int(self.at[v]) != source:
            self.said.append(f"{who} stands on {plain(fleet.hosts[int(self.at[v])])}, not on {plain(m.source)}")
        if source == destination:
            self.said.append(f"{who} goes nowhere")
        if not fleet.accepting[destination]:
            self.said.append(f"{who} goes to {plain(m.destination)}, which does not accept VMs")
        if not fleet.movable[v]:
            self.said.append(f"{who} cannot be migrated")
        if m.memory_mib != int(fleet.memory_mib[v]):
            self.said.append(f"{who} has {int(fleet.memory_mib[v]):,} MiB of memory, not {m.memory_mib:,}")
        words = refusal(self.profile, fleet, source, destination)
        if words:
            self.said.append(f"{who}: {self.profile.name} does not migrate it: {words}")
        if abs(m.starts_s - starts) > _SLACK_S * number:
            self.said.append(f"{who} starts at {m.starts_s:,.1f} s, but the waves before it end at {starts:,.1f} s")
        self._times(m, who, min(int(fleet.migration_mbps[source]), int(fleet.migration_mbps[destination])))

    def _times(self, m: Migration, who: str, mbps: int) -> None:
        if not 0 <= m.blackout_s <= m.seconds + _SLACK_S or m.seconds <= 0:
            self.said.append(f"{who} takes {m.seconds} s with a blackout of {m.blackout_s} s")
        if m.kind == "live":
            if m.mib < m.memory_mib:
                self.said.append(f"{who} sends {m.mib:,} MiB, less than its memory")
            if m.seconds < m.memory_mib / max(mbps * _WIRE_MIBPS_PER_MBPS * self.profile.efficiency, 1e-9):
                self.said.append(f"{who} is faster than the wire")
            if self.profile.live_memory_mib and m.memory_mib > self.profile.live_memory_mib:
                self.said.append(f"{who} is too large for {self.profile.name} to migrate live")
        elif not self.fleet.highly_available[self.fleet.vm_index(m.vm)]:
            self.said.append(f"{who} is not highly available, so there is no quick migration")

    def _hands(self, wave: Wave, number: int) -> None:
        """No host takes part in more migrations at once than the platform allows, no VM in two."""
        busy = Counter(h for m in wave.migrations for h in (m.source, m.destination))
        for host, n in sorted(busy.items()):
            if n > self.profile.per_host:
                self.said.append(f"wave {number}: {plain(host)} takes part in {n} migrations at once")
        for vm, n in sorted(Counter(m.vm for m in wave.migrations).items()):
            if n > 1:
                self.said.append(f"wave {number}: {plain(vm)} moves {n} times at once")

    def _held(self, travelling: Sequence[Migration]) -> list[int]:
        """MiB held on every host, with `travelling` VMs at both ends."""
        held = [0] * self.fleet.n_hosts
        for h, mib in zip(self.at.tolist(), self.fleet.memory_mib.tolist(), strict=True):
            held[h] += mib
        for m in travelling:
            held[self.fleet.host_index(m.destination)] += int(self.fleet.memory_mib[self.fleet.vm_index(m.vm)])
        return held

    def _memory(self, wave: Wave, number: int) -> None:
        held = self._held(wave.migrations)
        memory = self.fleet.resources.index("memory")
        for host in sorted({m.destination for m in wave.migrations}):
            h = self.fleet.host_index(host)
            if held[h] > self.room[h]:
                self.said.append(f"wave {number}: {plain(host)} holds {held[h]:,} of {self.room[h]:,} MiB in flight")
            self.worst_memory = max(self.worst_memory, held[h] / max(int(self.fleet.capacity[h, memory]), 1))

    def _rules(self, wave: Wave, number: int) -> None:
        for rule, today in zip(self.constraints, self.today, strict=True):
            if rule.name in self.plan.in_flight.get("split", ()) and _gathers(rule, self.fleet):
                continue
            members = getattr(rule, "members", None)
            moving = [m for m in wave.migrations if members is None or m.vm in members]
            if not moving:
                continue  # whoever the rule is about stands still, as at the end of the wave before
            for moment in _moments(self.fleet, self.at, moving):
                amount = self._amount(rule, moment)
                if amount > today:
                    self.said.append(f"wave {number}: {plain(rule.name)} is broken by {amount}, today by {today}")
                    break

    def _between(self, number: int) -> None:
        for rule, allowed in self.between:
            amount = self._amount(rule, self.at)
            if amount > allowed:
                self.said.append(
                    f"after wave {number} {plain(rule.name)} is broken by {amount}, at most by {allowed} allowed"
                )

    def _amount(self, rule: Constraint, host_of: Ints) -> int:
        return sum(v.amount for v in rule.violations(self.fleet, host_of))

    def _end(self) -> None:
        for rule, today in zip(self.constraints, self.today, strict=True):
            amount = self._amount(rule, self.at)
            if amount > today:
                self.said.append(f"at the end {plain(rule.name)} is broken by {amount}, today by {today}")
        moved = {m.vm for m in self.plan.migrations}
        for vm in sorted(moved | self.plan.ends.keys()):
            if vm not in moved:
                self.said.append(f"{plain(vm)} never moves, but is promised to {plain(self.plan.ends[vm])}")
                continue
            stands = self.fleet.hosts[int(self.at[self.fleet.vm_index(vm)])]
            if self.plan.ends.get(vm) != stands:
                self.said.append(
                    f"{plain(vm)} ends on {plain(stands)}, not on {plain(self.plan.ends.get(vm, 'any host'))}"
                )
        for b in self.plan.blocked:
            if b.vm in moved:
                self.said.append(f"{plain(b.vm)} is called blocked, but moves")

    def _account(self, seconds: float) -> None:
        """What the plan says of its worst moment is what the replay found."""
        said = self.plan.in_flight
        if abs(said.get("seconds", -1.0) - seconds) > _SLACK_S * (len(self.plan.waves) + 1):
            self.said.append(f"the plan takes {seconds:,.1f} s, not {said.get('seconds')}")
        if abs(said.get("memory", {}).get("fraction", -1.0) - self.worst_memory) > 1e-5:
            self.said.append(
                f"memory peaks at {self.worst_memory:.1%} of a host in flight, which the plan does not say"
            )
        if said.get("concurrent") != max((len(w.migrations) for w in self.plan.waves), default=0):
            self.said.append("the plan does not say rightly how many migrations run at once")


def _gathers(rule: Constraint, fleet: Fleet) -> bool:
    """Whether a rule is about VMs that stand together: a group that moves cannot but break it on the way."""
    rows = list(rule.rows(fleet))
    return bool(rows) and all(isinstance(r, Near) or (isinstance(r, Together) and r.weight is None) for r in rows)


def _moments(fleet: Fleet, at: Ints, moving: Sequence[Migration]) -> Iterator[Ints]:
    """Placements that may be seen while `moving` travel: each is done or not, every pair in either order."""
    for done in _patterns(len(moving)):
        host_of = at.copy()
        for m, arrived in zip(moving, done, strict=True):
            if arrived:
                host_of[fleet.vm_index(m.vm)] = fleet.host_index(m.destination)
        yield host_of


def _patterns(n: int) -> Iterator[tuple[bool, ...]]:
    """Which of n migrations are done: all 2^n patterns if they are few, else one pattern per bit of their numbers, and all."""
    if n <= _EVERY_ORDER:
        yield from product((False, True), repeat=n)
        return
    for bit in range(n.bit_length()):
        yield tuple(bool(i >> bit & 1) for i in range(n))
        yield tuple(not i >> bit & 1 for i in range(n))
    yield (True,) * n
