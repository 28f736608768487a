"""Gates: all must permit before anything is applied. A refusal is a value with a reason; a bug is an exception.

What was moved and when is read from the journal, migrations in flight included, so that no gate forgets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Protocol

from pro.core.text import counted, plain, span
from pro.remediation.antiflap import DAY, LEAD_H, SAVED_DAYS, AntiFlap, Trip, came_from, daily, doubt, resting, saved
from pro.remediation.journal import Journal
from pro.remediation.records import Step, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pro.backends.base import World
    from pro.planning.plan import Plan

MEMORY = timedelta(days=30)
"""So far back migrations count for what may be moved now, and for how long VMs rest."""


@dataclass(frozen=True)
class Permit:
    """A gate's answer. `reason` says why not, or what was looked at."""

    allowed: bool
    reason: str


class Gate(Protocol):
    """One reason not to act. `plan` holds only the migrations that are left to do."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Whether `plan` may be applied to `world` now."""
        ...


def refusals(gates: Iterable[Gate], plan: Plan, world: World, now: datetime) -> list[str]:
    """The reasons of all gates that refuse."""
    permits = [gate.permits(plan, world, now) for gate in gates]
    return [p.reason for p in permits if not p.allowed]


def moves_since(journal: Path, at: datetime) -> list[Step]:
    """Migrations asked for since `at`, oldest first; none if nothing was ever applied."""
    if not journal.exists():
        return []
    with Journal(journal) as book:
        return [s for s in book.moves_since(stamp(at)) if s.state not in (StepState.PENDING, StepState.SKIPPED)]


def trips_since(journal: Path, at: datetime) -> list[Trip]:
    """The same as trips, in the order of their end; what is in flight ends when it was asked for, what failed was none.

    All steps of one run make one trip of a VM, so a stop-over is none of its own.
    """
    runs: dict[tuple[int, str], list[Step]] = {}
    for step in moves_since(journal, at):
        if step.state != StepState.FAILED:
            runs.setdefault((step.run, step.vm), []).append(step)
    trips = [
        Trip(
            vm,
            steps[0].source,
            steps[-1].destination,
            max(datetime.fromisoformat(s.ended_at or s.intent_at) for s in steps),
        )
        for (_, vm), steps in runs.items()
    ]
    return sorted(trips, key=lambda t: t.ended)


def stamp(at: datetime) -> str:
    """`at` as the journal writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class MoveBudget:
    """At most so many migrations and GiB in one plan and in any 24 hours.

    `per_day` None: what a backtest's policy may, so many a day on the average (`antiflap.daily`), saved up for some days.
    """

    name: ClassVar[str] = "move budget"
    journal: Path
    per_plan: int = 20
    per_day: int | None = None
    gib_per_plan: float | None = None
    gib_per_day: float | None = None

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Counts what is left of `plan`, and everything asked for in the last 24 hours."""
        lately = moves_since(self.journal, now - DAY)
        moves, gib = len(plan.migrations), sum(m.mib for m in plan.migrations) / 1024
        day_gib = gib + sum(s.expected_mib if s.mib is None else s.mib for s in lately) / 1024
        checks = [
            (moves, self.per_plan, "migrations in one plan"),
            (moves + len(lately), self.per_day, "migrations in 24 hours"),
            (moves, self.left(len(world.vms), now) if self.per_day is None else None, "migrations now"),
            (gib, self.gib_per_plan, "GiB in one plan"),
            (day_gib, self.gib_per_day, "GiB in 24 hours"),
        ]
        over = [
            f"{value:.4g} {what}, the budget is {upper:g}"
            for value, upper, what in checks
            if upper is not None and value > upper
        ]
        return Permit(not over, "; ".join(over) or f"{counted(moves, 'migration')}, within the budget")

    def left(self, vms: int, now: datetime) -> int:
        """Migrations that may be asked for now, in a fleet of so many VMs."""
        if self.per_day is not None:
            return max(self.per_day - len(moves_since(self.journal, now - DAY)), 0)
        return max(saved(trips_since(self.journal, now - MEMORY), now, daily(vms), SAVED_DAYS), 0)


@dataclass(frozen=True)
class Cooldown:
    """Let a VM rest after a migration, longer each time, and never send it back within the ledger. See `AntiFlap`."""

    name: ClassVar[str] = "cooldown"
    journal: Path
    rules: AntiFlap = field(default_factory=AntiFlap)

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Refuses with every VM that rests or would go back."""
        trips = trips_since(self.journal, now - MEMORY)
        rests, left = resting(trips, now, self.rules), came_from(trips, now, self.rules)
        reasons = []
        for vm, migration in {m.vm: m for m in plan.migrations}.items():
            name = plain(migration.vm_name or vm)
            if vm in rests:
                last = max(t.ended for t in trips if t.vm == vm)
                reasons.append(f"{name} was moved at {last:%H:%M} UTC and rests until {rests[vm]:%Y-%m-%d %H:%M} UTC")
            if migration.destination in left.get(vm, ()):
                where = plain(migration.destination)
                reasons.append(
                    f"{name} would go back to {where}, which it left in the last {self.rules.ledger_h:g} hours"
                )
        return Permit(not reasons, "; ".join(reasons) or "no VM rests")


@dataclass(frozen=True)
class HoldWhenTooMuchIsHot:
    """Too many hot hosts, or too little data, point at bad data rather than bad hosts.

    `hot_hosts`: how many are measured hot now. `coverage`: share 0..1 of the expected samples that are known. Fewer than `fewest` hot
    hosts never hold a plan back: in a small estate two of four may well be hot.
    """

    name: ClassVar[str] = "hold when too much is hot"
    hot_hosts: int
    coverage: float
    most_hot: float = 0.4
    least_coverage: float = 0.99
    fewest: int = 4

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Compares with all hosts of `world`."""
        rules = AntiFlap(most_hot=self.most_hot, fewest=self.fewest)
        reasons = [why for why in [doubt(self.hot_hosts, len(world.hosts), rules)] if why]
        if self.coverage < self.least_coverage:
            reasons.append(
                f"only {self.coverage:.1%} of the expected samples are known, {self.least_coverage:.1%} are needed"
            )
        return Permit(
            not reasons, "; ".join(reasons) or f"{self.hot_hosts} hot hosts, {self.coverage:.1%} of samples known"
        )


@dataclass(frozen=True)
class Freshness:
    """A plan that answers an old forecast answers the wrong question."""

    name: ClassVar[str] = "freshness"
    minutes: float = 60.0

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Counts from the instant the plan was made at. A plan from the future is refused too: some clock is wrong."""
        age = now - datetime.fromisoformat(plan.created_at)
        if age > timedelta(minutes=self.minutes):
            return Permit(
                False, f"the plan is {age.total_seconds() / 60:.0f} minutes old, it expires after {self.minutes:g}"
            )
        if age < -timedelta(minutes=5):
            return Permit(False, f"the plan was made at {plan.created_at}, which is yet to come: a clock is wrong")
        return Permit(True, f"the plan is {max(age.total_seconds(), 0.0) / 60:.0f} minutes old")


@dataclass(frozen=True)
class FreshCounters:
    """A forecast made of old counters is old, however new the plan is: a collector may be dead. `newest`: the last sample."""

    name: ClassVar[str] = "fresh counters"
    newest: datetime
    minutes: float = 90.0

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Counts by the clock. Counters from the future are refused too: some clock is wrong."""
        age = now - self.newest
        if age > timedelta(minutes=self.minutes):
            return Permit(
                False,
                f"the newest counters are of {self.newest:%Y-%m-%d %H:%M} UTC, {span(age)} ago: is the collector dead?",
            )
        if age < -timedelta(minutes=5):
            return Permit(
                False, f"the newest counters are of {self.newest:%Y-%m-%d %H:%M} UTC, yet to come: a clock is wrong"
            )
        return Permit(True, f"the newest counters are {max(age.total_seconds(), 0.0) / 60:.0f} minutes old")


@dataclass(frozen=True)
class LaterHeat:
    """Heat that is far off can wait for a forecast that knows more. `starts`: when the first is expected; None: none is. `measured`: hosts hot
    now; `broken`: by how much the plan repairs rules."""

    name: ClassVar[str] = "later heat"
    starts: datetime | None
    measured: int
    broken: int
    now: datetime
    hours: float = LEAD_H

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Permits what cannot wait, and all that is not about heat."""
        if plan.goal != "balance" or self.measured or self.broken or self.starts is None:
            return Permit(True, "not only about later heat")
        if self.starts > self.now + timedelta(hours=self.hours):
            return Permit(
                False,
                f"no host is hot, and none is expected to be before {self.starts:%Y-%m-%d %H:%M} UTC: that can wait for a later look",
            )
        return Permit(True, f"heat is expected within {self.hours:g} hours")


@dataclass(frozen=True)
class KillSwitch:
    """While the file exists nothing is applied. Its first line says why."""

    name: ClassVar[str] = "kill switch"
    path: Path

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Looks at the file system, nothing else."""
        why = self.thrown()
        return Permit(not why, why or f"not thrown: there is no {self.path}")

    def thrown(self) -> str:
        """Why nothing is to be started; "" where it is not thrown."""
        if not self.path.exists():
            return ""
        first = self.path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
        return f"the kill switch {self.path} is thrown" + (f": {plain(first, 200)}" if first else "")


@dataclass(frozen=True)
class OtherBalancer:
    """Two balancers on one estate undo each other's work."""

    name: ClassVar[str] = "other balancer"

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Refuses while any host of `world` reports one."""
        active = [f"{plain(h.balancer)} on {plain(h.host)}" for h in world.hosts.values() if h.balancer]
        return Permit(
            not active, f"another balancer is active: {', '.join(active)}" if active else "no other balancer is active"
        )


@dataclass(frozen=True)
class CircuitBreaker:
    """After `failures` failed migrations within `minutes`, or one in doubt, nothing is applied until that time has passed."""

    name: ClassVar[str] = "circuit breaker"
    journal: Path
    failures: int = 2
    minutes: float = 10.0

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Counts steps that failed within the last `minutes`, of any run."""
        since = stamp(now - timedelta(minutes=self.minutes))
        lately = [s for s in moves_since(self.journal, now - DAY) if s.ended_at >= since]
        failed = [s for s in lately if s.state == StepState.FAILED]
        doubt = [s for s in lately if s.state == StepState.IN_DOUBT]
        if len(failed) < self.failures and not doubt:
            return Permit(True, f"{len(failed)} failed in the last {self.minutes:g} minutes")
        what = f"{counted(len(failed), 'migration')} failed" if not doubt else f"migrations in doubt: {len(doubt)}"
        return Permit(False, f"{what} in the last {self.minutes:g} minutes: the circuit is open")
