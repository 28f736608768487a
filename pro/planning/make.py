"""Fleet + where VMs should stand -> Plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import InputError
from pro.core.text import plain
from pro.planning.estimates import Estimates
from pro.planning.facts import facts, fingerprint
from pro.planning.flight import members_of
from pro.planning.identity import content_id
from pro.planning.plan import Blocked, Migration, Plan, Wave
from pro.planning.profiles import Profile, of_hosts
from pro.planning.reasons import Reasons
from pro.planning.waves import Schedule, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet
    from pro.placement.language import Row
    from pro.placement.problem import Constraint
    from pro.planning.physics import Dirtying
    from pro.planning.steps import Step


@dataclass(frozen=True)
class PlanContext:
    """What the plan says besides its steps, and by which law it is made.

    Attributes
    ----------
    goal, now, created_at
        The goal's name; the instant the plan is made for and the instant it was made at (ISO 8601, UTC).
    constraints
        The rules; their rows hold in flight. `rows`, where given, are used instead of compiling them again.
    tiers, proof, before, after, violations, explain, answers, policy, asked
        Copied into the plan as JSON (see `Plan`). Leave wall-clock seconds out: they would change the id.
    reasons
        VM id -> sentence, instead of the computed one.
    profile
        The law of migration; None: chosen by the hypervisors of the hosts involved.
    dirtying
        VM id -> how it writes its memory, instead of the fleet's measurement or the guess from its demand for CPU.
    consent_quick
        A VM may be saved and resumed (an outage) where live migration is refused.
    threshold
        Fraction of capacity over which a host is called hot, in sentences.
    cost
        What a placement costs, comparable with `<` (for example `Problem.costs`). Half a swap may be worse than none: where
        VMs are blocked and the rest would cost more than today, more VMs stay. None: not asked.
    staying
        VM id -> why it stays where it is although it is wanted elsewhere; it counts as blocked.
    """

    goal: str
    now: str
    created_at: str
    constraints: Sequence[Constraint] = ()
    rows: Sequence[Row] | None = None
    tiers: Sequence[Mapping[str, Any]] = ()
    proof: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    violations: Sequence[Mapping[str, Any]] = ()
    explain: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    profile: Profile | None = None
    dirtying: Mapping[str, Dirtying] = field(default_factory=dict)
    consent_quick: bool = False
    threshold: float = 0.85
    cost: Callable[[Ints], Any] | None = None
    staying: Mapping[str, str] = field(default_factory=dict)


def make_plan(fleet: Fleet, demand: Demand | None, host_of: Ints, context: PlanContext) -> Plan:
    """Order the migrations from `fleet.host_of` to `host_of` (V,) into waves in which every rule holds at every moment.

    Pure: the same arguments give the same plan and the same id, whatever `created_at` says. Raises ValueError if `host_of`
    does not fit the fleet, InputError if what the caller wants copied is not JSON.
    """
    target = np.asarray(host_of, dtype=np.int64)
    if target.shape != (fleet.n_vms,) or (fleet.n_vms and not 0 <= target.min() <= target.max() < fleet.n_hosts):
        raise ValueError(f"host_of must have shape ({fleet.n_vms},) and lie in 0..{fleet.n_hosts - 1}")
    rows = context.rows
    if rows is None:
        rows = [row for constraint in context.constraints for row in constraint.rows(fleet)]
    stay = {v: why for vm, why in context.staying.items() if target[v := fleet.vm_index(vm)] != fleet.host_of[v]}
    target = target.copy()
    target[list(stay)] = fleet.host_of[list(stay)]
    moved = np.flatnonzero(target != fleet.host_of)
    profile = context.profile or of_hosts(fleet, [*fleet.host_of[moved].tolist(), *target[moved].tolist()])
    estimates = Estimates(fleet, demand, profile, context.dirtying, context.consent_quick)
    reasons = Reasons.find(fleet, demand, rows, target, context.goal, context.threshold)
    for rule in context.constraints:
        for violation in rule.violations(fleet, fleet.host_of):
            reasons.broken_today.update({(rule.name, vm): violation.text for vm in violation.vms})
    timed = _worthwhile(estimates, rows, target, reasons.urgency(), context.cost)
    waves = _waves(fleet, timed, reasons, context)
    steps = [m for wave in waves for m in wave.migrations]
    known = facts(fleet, [m.vm for m in steps], [m.destination for m in steps])
    plan = Plan(
        id="",
        created_at=context.created_at,
        now=context.now,
        fleet_fingerprint=fingerprint(known),
        goal=context.goal,
        profile=profile.name,
        waves=waves,
        blocked=tuple(Blocked(fleet.vms[v], why) for v, why in sorted((stay | timed.blocked).items())),
        tiers=tuple(_json(context.tiers, "tiers")),
        proof=_json(context.proof, "proof"),
        before=_json(context.before, "before"),
        after=_json(context.after, "after"),
        in_flight=_in_flight(fleet, timed),
        facts=known,
        explain=_json(context.explain, "explain"),
        answers=_json(context.answers, "answers"),
        policy=_json(context.policy, "policy"),
        asked=_json(context.asked, "asked"),
        violations=tuple(_json(context.violations, "violations")),
        ends={m.vm: m.destination for m in steps},
    )
    return replace(plan, id=content_id(plan))


def _worthwhile(
    estimates: Estimates,
    rows: Sequence[Row],
    target: Ints,
    urgency: Sequence[int],
    cost: Callable[[Ints], Any] | None,
) -> Schedule:
    """The schedule; where some are blocked and the rest costs more than today, those stay too whose staying helps most."""
    home = estimates.fleet.host_of
    timed = schedule(estimates, rows, target, urgency)
    if cost is None:
        return timed
    blocked, today = dict(timed.blocked), cost(home)
    while timed.waves and blocked:
        end = target.copy()
        end[list(blocked)] = home[list(blocked)]
        if not today < cost(end):
            break
        worst = min(np.flatnonzero(end != home).tolist(), key=lambda v: (cost(_staying(end, v, home)), v))
        blocked[worst] = "without those that are blocked, its move would make things worse than today"
        timed = schedule(estimates, rows, _staying(end, worst, home), urgency)
        blocked |= timed.blocked
    return replace(timed, blocked=blocked)


def _staying(host_of: Ints, vm: int, home: Ints) -> Ints:
    stays = host_of.copy()
    stays[vm] = home[vm]
    return stays


def final_host_of(plan: Plan, fleet: Fleet) -> Ints:
    """(V,) where the plan leaves every VM: the wanted placement, except for VMs that are blocked."""
    host_of = fleet.host_of.copy()
    for m in plan.migrations:
        host_of[fleet.vm_index(m.vm)] = fleet.host_index(m.destination)
    return host_of


def _waves(fleet: Fleet, timed: Schedule, reasons: Reasons, context: PlanContext) -> tuple[Wave, ...]:
    waves: list[Wave] = []
    starts = 0.0
    splits: dict[int, list[str]] = {}
    for row in timed.split:
        for v in members_of(row).tolist():
            splits.setdefault(v, []).append(plain(row.label))
    for wave in timed.waves:
        waves.append(Wave(tuple(_migration(fleet, s, starts, _reason(s, reasons, splits, context)) for s in wave)))
        starts += max(m.seconds for m in waves[-1].migrations)
    return tuple(waves)


def _reason(step: Step, reasons: Reasons, splits: dict[int, list[str]], context: PlanContext) -> str:
    given = context.reasons.get(reasons.fleet.vms[step.vm])
    said = given if given is not None else reasons.sentence(step.vm)
    if step.stopover:
        said = f"Stop-over that makes room for the others; it moves on later. {said}"
    elif step.source != reasons.fleet.host_of[step.vm]:
        said = f"Moves on from its stop-over. {said}"
    if step.vm in splits:
        said += f" On the way, until its group is together again, {' and '.join(splits[step.vm])} does not hold."
    if step.kind == "quick":
        said += " Live migration is refused, so it is saved and resumed: an outage, consented to."
    return said


def _migration(fleet: Fleet, step: Step, starts: float, reason: str) -> Migration:
    return Migration(
        vm=fleet.vms[step.vm],
        source=fleet.hosts[step.source],
        destination=fleet.hosts[step.destination],
        kind=step.kind,
        memory_mib=int(fleet.memory_mib[step.vm]),
        seconds=round(step.transfer.seconds, 3),
        blackout_s=round(step.transfer.blackout_s, 3),
        mib=step.transfer.mib,
        starts_s=round(starts, 3),
        reason=reason,
        stopover=step.stopover,
        vm_name=fleet.vm_names[step.vm],
    )


def _in_flight(fleet: Fleet, timed: Schedule) -> dict[str, Any]:
    """The worst moment on the way. Memory of a VM under way is held at both ends."""
    memory = fleet.resources.index("memory")
    capacity = np.maximum(fleet.capacity[:, memory], 1)
    use = np.bincount(fleet.host_of, weights=fleet.memory_mib, minlength=fleet.n_hosts)
    worst, where = 0.0, ""
    for wave in timed.waves:
        for s in wave:
            use[s.destination] += fleet.memory_mib[s.vm]
        for s in wave:
            fraction = float(use[s.destination] / capacity[s.destination])
            if fraction > worst:
                worst, where = fraction, fleet.hosts[s.destination]
        for s in wave:
            use[s.source] -= fleet.memory_mib[s.vm]
    steps = [s for wave in timed.waves for s in wave]
    return {
        "memory": {"host": where, "fraction": round(worst, 6)},
        "concurrent": max((len(wave) for wave in timed.waves), default=0),
        "seconds": round(sum(round(max(s.transfer.seconds for s in wave), 3) for wave in timed.waves), 3),
        "blackout_s": round(max((s.transfer.blackout_s for s in steps), default=0.0), 3),
        "split": sorted({row.label for row in timed.split}),
    }


def _json(value: Any, where: str) -> Any:
    """`value` as plain JSON data (lists, dicts with text keys, finite numbers): what a reader of the file will get back."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_scalar))
    except (TypeError, ValueError) as error:
        raise InputError(f"not JSON: {error}", where=where) from error


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
