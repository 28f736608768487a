"""A tip: what is wrong, what to do, what it costs, and what happens if nobody does it. Words and states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pro.core.errors import RefusedError
from pro.core.text import counted, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pro.heat.hotspot import Hotspot
    from pro.placement.rules import Violation
    from pro.planning.plan import Migration, Plan


class TipState(StrEnum):
    """NEW -> APPROVED (by a person) or AUTO (by the contract) -> RUNNING -> RESOLVED or FAILED; the others are side exits."""

    NEW = "new"
    APPROVED = "approved"
    AUTO = "auto"
    RUNNING = "running"
    RESOLVED = "resolved"
    FAILED = "failed"
    DISMISSED = "dismissed"
    CLEARED = "cleared"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


_SIDE = (TipState.DISMISSED, TipState.CLEARED, TipState.SUPERSEDED, TipState.EXPIRED)
NEXT: dict[TipState, tuple[TipState, ...]] = {
    TipState.NEW: (TipState.APPROVED, TipState.AUTO, *_SIDE),
    TipState.APPROVED: (TipState.RUNNING, *_SIDE),
    TipState.AUTO: (TipState.RUNNING, *_SIDE),
    TipState.RUNNING: (TipState.RESOLVED, TipState.FAILED),
}
"""Which state may follow which; states that are not listed are final."""

ACTIVE = tuple(NEXT)
DECIDED = (TipState.APPROVED, TipState.AUTO)
TEST = "test:"
"""What keys of test tips begin with."""
PLACES = 3
"""In so many places a broken rule is told of in its tip."""
LOOK = "See what takes the memory: plans go by what is assigned and do not act on it."
"""What to do about memory that is measured."""
SEVERITIES = ("info", "warning", "critical")


class TipRefusedError(RefusedError):
    """A tip cannot do what was asked of it; the message says why."""


@dataclass(frozen=True)
class Tip:
    """One tip. Instants are ISO 8601, UTC. `key` says what it is about: two tips with one key are about the same trouble.

    Tips are views of one plan per cluster: `plan_id` names it ("" where nothing helps). `reason` is why
    the tip is in its state, `author` what raised it, `approver` who decided.
    """

    id: int
    key: str
    state: TipState
    severity: str
    host: str
    cluster: str
    title: str
    problem: str
    action: str
    cost: str
    ignored: str
    probability: float
    plan_id: str
    created: str
    updated: str
    reason: str = ""
    author: str = ""
    approver: str = ""

    @property
    def test(self) -> bool:
        """Whether it was raised to see that tips find their way (`pro tips test`), and nothing is wrong."""
        return self.key.startswith(TEST)

    def to_json(self) -> dict[str, Any]:
        """Schema "tip/1"."""
        return {"schema": "tip/1", **vars(self)}


@dataclass(frozen=True)
class Concern:
    """Something a tip can be about, in words: a hotspot, or a rule that is broken."""

    key: str
    severity: str
    host: str
    title: str
    problem: str
    ignored: str
    probability: float
    vms: frozenset[str] = frozenset()
    action: str = ""
    """What to do, where no plan says it."""


def of_hotspot(hotspot: Hotspot, names: Mapping[str, str]) -> Concern:
    """A hotspot as a concern. `names`: host and VM ids to what people call them."""
    host = plain(names.get(hotspot.host, hotspot.host))
    when = f"{hotspot.starts:%a %H:%M} to {hotspot.ends:%a %H:%M} UTC"
    causes = [f"{plain(names.get(c.vm, c.vm))} ({c.share:.0%})" for c in hotspot.vms[:3]]
    because = f" Most of it: {', '.join(causes)}." if causes else ""
    return Concern(
        key=f"heat:{hotspot.host}:{hotspot.resource}{':measured' if hotspot.measured else ''}",
        severity=hotspot.severity,
        host=hotspot.host,
        title=f"{host} {'will' if hotspot.probability >= 0.5 else 'may'} run hot on {hotspot.what}",
        problem=f"{hotspot.probability:.0%} sure, {when}, peak about {hotspot.expected_peak:.0%} of its {hotspot.resource}.{because}",
        ignored=f"about {hotspot.expected_hot_minutes:.0f} minutes too hot in the time forecast",
        probability=hotspot.probability,
        vms=frozenset(c.vm for c in hotspot.vms),
        action=LOOK if hotspot.measured else "",
    )


def of_rule(rule: str, text: str, vms: Sequence[str] = (), severity: str = "warning") -> Concern:
    """A broken rule as a concern. It is certain: it is broken now."""
    return Concern(
        key=f"rule:{rule}",
        severity=severity,
        host="",
        title=f"Rule {plain(rule)} is broken",
        problem=plain(text, 400),
        ignored="the rule stays broken",
        probability=1.0,
        vms=frozenset(vms),
    )


def of_rules(violations: Iterable[Violation]) -> list[Concern]:
    """One concern a broken rule, in however many places it is broken."""
    places: dict[str, list[Violation]] = {}
    for violation in violations:
        places.setdefault(violation.rule, []).append(violation)
    return [of_rule(rule, _said(told), [vm for v in told for vm in v.vms]) for rule, told in places.items()]


def _said(told: Sequence[Violation]) -> str:
    more = f"; and in {counted(len(told) - PLACES, 'more place')}" if len(told) > PLACES else ""
    return "; ".join(v.text for v in told[:PLACES]) + more


def of_test(who: str, at: str) -> Concern:
    """Nothing is wrong, and somebody wants to see that a tip would get through. `at` tells one test from another."""
    return Concern(
        key=f"{TEST}{at}",
        severity="info",
        host="",
        title="TEST, nothing is wrong",
        problem=f"{plain(who)} wants to see whether a tip would go the whole way",
        ignored="nothing happens",
        probability=1.0,
        action="Move nothing.",
    )


@dataclass(frozen=True)
class Part:
    """What of a plan is for one concern: `own` migrations mend it, `room` those that make room for these."""

    own: tuple[Migration, ...] = ()
    room: tuple[Migration, ...] = ()


def parts(concerns: Sequence[Concern], plan: Plan | None) -> dict[str, Part]:
    """Concern's key -> its part of `plan`. Parts may overlap: one migration may mend a rule and cool a host. What is for another
    concern does not count as making room."""
    if plan is None:
        return {c.key: Part() for c in concerns}
    home = {m.vm: m.source for m in reversed(plan.migrations)}
    end = {m.vm: m.destination for m in plan.migrations}
    own = {c.key: {vm for vm in home if _mends(c, vm, home[vm], end[vm])} for c in concerns}
    claimed = {vm for vms in own.values() for vm in vms}
    found = {}
    for key, vms in own.items():
        room: set[str] = set()
        while more := _in_the_way(plan, home, vms | room) - claimed - room:
            room |= more
        found[key] = Part(*(tuple(m for m in plan.migrations if m.vm in group) for group in (vms, room)))
    return found


def _mends(concern: Concern, vm: str, home: str, end: str) -> bool:
    """A hot host is cooled by who leaves it for good, a rule mended by moving those it is about."""
    return home == concern.host != end if concern.host else vm in concern.vms


def _in_the_way(plan: Plan, home: Mapping[str, str], vms: set[str]) -> set[str]:
    """VMs of the plan that leave a host which one of `vms` comes to."""
    entered = {m.destination for m in plan.migrations if m.vm in vms}
    return {vm for vm, host in home.items() if host in entered}


def action_of(concern: Concern, part: Part, names: Mapping[str, str]) -> str:
    """What to do about `concern`, in one sentence."""
    if concern.action:
        return concern.action
    if not part.own:
        return "No migration was found that helps; `pro plan` says what stands in the way."
    room = f"; to make room, {_moves(part.room, names)}" if part.room else ""
    return f"Move {_moves(part.own, names)}{room}."


def _moves(migrations: Sequence[Migration], names: Mapping[str, str]) -> str:
    final = {m.vm: m for m in migrations}
    said = [f"{plain(m.vm_name or m.vm)} to {plain(names.get(m.destination, m.destination))}" for m in final.values()]
    return f"{', '.join(said[:4])}{f' and {len(said) - 4} more' if len(said) > 4 else ''}"


def cost_of(part: Part, plan: Plan | None) -> str:
    """What carrying out `part` costs, and the whole plan if there is more to it: a plan is applied whole."""
    mine, whole = {m.vm for m in (*part.own, *part.room)}, set() if plan is None else {m.vm for m in plan.migrations}
    if plan is None or not mine:
        return "nothing"
    return _cost(plan, mine) if mine == whole else f"{_cost(plan, mine)}; whole plan: {_cost(plan, whole)}"


def _cost(plan: Plan, vms: set[str]) -> str:
    """What the migrations of `vms` cost."""
    waves = [[m for m in wave.migrations if m.vm in vms] for wave in plan.waves]
    migrations = [m for wave in waves for m in wave]
    gib = sum(m.mib for m in migrations) / 1024
    # Migrations of a wave run side by side, waves one after the other.
    seconds = sum(max((m.seconds for m in wave), default=0.0) for wave in waves)
    worst = max(m.blackout_s for m in migrations)
    return f"{counted(len(migrations), 'migration')}, {gib:.1f} GiB sent in {seconds:,.0f} s, longest blackout {worst:.1f} s"


def moves_of(plan: Plan | None) -> frozenset[tuple[str, str, str]]:
    """What a plan does, as a set: two plans that do the same are the same to whoever has to decide."""
    return frozenset() if plan is None else frozenset((m.vm, m.source, m.destination) for m in plan.migrations)
