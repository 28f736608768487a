"""A tip: what is wrong, what to do, what it costs, and what happens if nobody does it. Words and states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pro.core.errors import RefusedError
from pro.core.text import counted, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.heat.hotspot import Hotspot
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


def action_of(concern: Concern, plan: Plan | None, names: Mapping[str, str]) -> str:
    """What to do about `concern`, in one sentence."""
    if concern.action:
        return concern.action
    if plan is None or not plan.migrations:
        return "No migration helps: see the plan's reasons."
    mine = [m for m in plan.migrations if m.source == concern.host or m.vm in concern.vms] or list(plan.migrations)
    final: dict[str, Migration] = {m.vm: m for m in mine}
    said = [
        f"{plain(m.vm_name or m.vm)} to {plain(names.get(m.destination, m.destination))}"
        for m in list(final.values())[:4]
    ]
    more = f" and {len(final) - 4} more" if len(final) > 4 else ""
    return f"Move {', '.join(said)}{more}."


def cost_of(plan: Plan | None) -> str:
    """What carrying out `plan` costs, all of it: a plan is applied whole."""
    if plan is None or not plan.migrations:
        return "nothing"
    gib = sum(m.mib for m in plan.migrations) / 1024
    worst = max(m.blackout_s for m in plan.migrations)
    return f"{counted(len(plan.migrations), 'migration')}, {gib:.1f} GiB sent, longest blackout {worst:.1f} s"


def moves_of(plan: Plan | None) -> frozenset[tuple[str, str, str]]:
    """What a plan does, as a set: two plans that do the same are the same to whoever has to decide."""
    return frozenset() if plan is None else frozenset((m.vm, m.source, m.destination) for m in plan.migrations)
