"""From an outlook to a plan: the stages of `workflow.decide` that need more than a line."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError, RefereeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.config import Config
    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.heat.baselines import Comparison
    from pro.outlook import Outlook
    from pro.placement.failover import Report as FailoverReport
    from pro.placement.placement import Placement
    from pro.placement.policy import Policy
    from pro.placement.question import Question
    from pro.planning.plan import Plan


def hold_back(outlook: Outlook, policy: Policy) -> Fleet:
    """The fleet with hosts we are blind on left alone: nothing moves to them or off them for the sake of load.

    An evacuation is asked for by a person who knows why, and a plan that only repairs rules does not depend on counters: these go on.
    """
    import numpy as np

    fleet, ready = outlook.fleet, outlook.readiness
    if ready is None or not ready.hold or policy.goal == "repair" or policy.evacuate:
        return fleet
    blind = np.isin(np.array(fleet.hosts, object), list(ready.hold))
    held = tuple(f"host {h} is left alone: {why}" for h, why in ready.hold.items())
    return replace(
        fleet, accepting=fleet.accepting & ~blind, movable=fleet.movable & ~blind[fleet.host_of],
        warnings=(*fleet.warnings, *held), left_alone=tuple(ready.hold),
    )  # fmt: skip


def standing_by(policy: Policy, outlook: Outlook, held: Fleet) -> Policy:
    """`policy`, told which hosts are only left alone in `held` (see `hold_back`): they do take the VMs of a failed host."""
    closed = outlook.fleet.accepting & ~held.accepting
    return replace(policy, take_restarts=tuple(h for h, shut in zip(held.hosts, closed, strict=True) if shut))


def order(
    wanted: Placement,
    question: Question,
    outlook: Outlook,
    config: Config,
    created_at: datetime,
    *,
    explain: bool = True,
) -> tuple[Plan, Placement]:
    """The plan to `wanted`, passed by the independent checker, and the placement it really leads to.

    They differ where a VM is blocked; the plan then says what it is good for without that VM. Raises RefereeError if the
    plan fails its check: a bug, and nothing of it is passed on.
    """
    from pro.heat.hotspots import summary
    from pro.placement.account import account
    from pro.placement.answers import answers
    from pro.placement.question import asked, unkept
    from pro.placement.referee import judge
    from pro.placement.told import explanations
    from pro.planning.checker import check
    from pro.planning.make import PlanContext, final_host_of, make_plan
    from pro.planning.standby import to_stay

    fleet, demand, policy, rule = question.fleet, outlook.demand, question.policy, question.failover
    granted = rule.granted(fleet, wanted.host_of) if rule else {}
    staying: dict[str, str] = {}

    def plan_of(reached: Placement, told: Mapping[str, Any]) -> Plan:
        context = PlanContext(
            goal=policy.goal, now=outlook.now.isoformat(), created_at=created_at.isoformat(),
            constraints=question.constraints, tiers=[t.to_json() for t in reached.tiers],
            proof={"engine": reached.engine, "bound": reached.bound, "gap": reached.gap,
                   "minimal_moves": reached.minimal_moves},
            before=summary(fleet, demand, fleet.host_of, policy.threshold).to_json(),
            after=summary(fleet, demand, reached.host_of, policy.threshold).to_json(),
            violations=[*(asdict(v) for v in reached.violations),
                        *({**asdict(v), "preference": True} for v in reached.unkept)], **told,
            policy={**asked(policy, fleet), "failover": {"hosts": policy.failover, "granted": granted}},
            asked=question_asked(outlook, config, policy),
            consent_quick=config.apply.consent_quick, threshold=policy.threshold, cost=question.problem.costs,
            staying=staying,
        )  # fmt: skip
        return make_plan(fleet, demand, wanted.host_of, context)

    plan, placement = plan_of(wanted, {}), wanted
    while rule is not None and (more := to_stay(plan, fleet, rule, wanted.host_of)):
        staying |= more
        plan = plan_of(wanted, {})
    if plan.blocked:
        host_of = final_host_of(plan, fleet)
        placement = replace(
            wanted, host_of=host_of, tiers=account(question, host_of), minimal_moves=None, gap=None,
            violations=judge(fleet, question.constraints, host_of).still, unkept=unkept(question, host_of),
        )  # fmt: skip
    told: dict[str, Any] = {}
    if explain:
        causes = (fleet.vm_index(c.vm) for hotspot in outlook.hotspots for c in hotspot.vms)
        explained = explanations(question, placement.host_of, causes)
        hot = hot_spots(placement.host_of, outlook, config, policy)
        told = {"explain": {e.vm: asdict(e) for e in explained},
                "answers": answers(question, placement, explained, hot, config.heat.min_probability,
                                   {b.vm: b.reason for b in plan.blocked})}  # fmt: skip
    if told or plan.blocked:
        plan = plan_of(placement, told)
    between = rule.between(fleet, wanted.host_of) if rule else []
    faults = check(plan, fleet, question.constraints, between=between)
    if faults:
        raise RefereeError("the plan failed its own check: " + "; ".join(faults))
    return plan, placement


def question_asked(outlook: Outlook, config: Config, policy: Policy) -> dict[str, Any]:
    """What it takes to ask the same question of the same store again, as JSON; see `Plan.asked`."""
    at = outlook.inventory_at
    # The answer does not depend on how many workers there are.
    wanted = {name: value for name, value in asdict(policy).items() if name != "workers"}
    return {
        "inventory": at.isoformat() if at is not None else None, "forecast": config.forecast.model_dump(),
        "heat": config.heat.model_dump(), "policy": wanted, "still": dict(outlook.fleet.steady),
    }  # fmt: skip


def failover_seen(question: Question, host_of: Any) -> tuple[FailoverReport, FailoverReport] | None:
    """Which hosts may fail today, and with VMs at `host_of` (V,); None where nobody asked."""
    from pro.placement.constraints import Evacuate
    from pro.placement.failover import Failover
    from pro.placement.failover.survey import report_of

    rule, fleet = question.failover, question.fleet
    if rule is None:
        return None
    # Today nobody empties a host yet: it takes restarts.
    lasting = [r for r in rule.rules if not isinstance(r, Evacuate)]
    today = rule if len(lasting) == len(rule.rules) else Failover(rule.k, lasting, rule.also_open)
    return report_of(today.drill(fleet), fleet.host_of, rule.k), report_of(rule.drill(fleet), host_of, rule.k)


def hot_spots(host_of: Ints, outlook: Outlook, config: Config, policy: Policy) -> dict[str, list[dict[str, Any]]]:
    """Hotspots "before" and "after", with VMs at `host_of` (V,), as JSON."""
    from pro.heat.hotspots import find_hotspots

    after = find_hotspots(
        outlook.fleet, outlook.demand, threshold=policy.threshold, dwell_s=config.heat.dwell_minutes * 60,
        min_probability=config.heat.min_probability, host_of=host_of,
    )  # fmt: skip
    return {when: [s.to_json() for s in spots] for when, spots in (("before", outlook.hotspots), ("after", after))}


def baselines(outlook: Outlook, threshold: float) -> Comparison | None:
    """Who would be flagged by what people use today, on measured host CPU; None where hosts are not counted."""
    import numpy as np

    from pro.fleet.entities import entity_of
    from pro.heat.baselines import compare

    grid = outlook.history.get("host_cpu_pct")
    if grid is None or not grid.entities:
        return None
    use = np.full((outlook.fleet.n_hosts, grid.values.shape[1]), np.nan)
    host = entity_of(outlook.fleet, grid.entities).host
    use[host[host >= 0]] = grid.values[host >= 0] / 100
    return compare(outlook.fleet.hosts, use, outlook.hotspots, threshold=threshold, step_s=grid.step_s)


def policy_of(config: Config, **given: Any) -> Policy:
    """The policy that the settings say, with what the caller gave on top (None: not given)."""
    from pro.placement.policy import Policy
    from pro.placement.weights import Weights

    base: dict[str, Any] = {
        "threshold": config.heat.threshold, "margin": config.placement.margin,
        "aggressiveness": config.placement.aggressiveness,
        "max_moves": config.placement.max_moves, "max_gib": config.placement.max_gib,
        "max_moves_per_service": config.placement.max_moves_per_service,
        "max_moves_per_cluster": config.placement.max_moves_per_cluster,
        "memory_reserve_mib": config.placement.memory_reserve_mib,
        "memory_start_mib": config.placement.memory_start_mib,
        "memory_placement_mib": config.placement.memory_placement_mib,
        "failover": config.placement.failover, "seconds": config.placement.seconds,
        "steps": config.placement.steps, "seed": config.placement.seed, "workers": config.placement.workers,
        "weights": Weights(**{name: getattr(config.placement, f"weigh_{name}") for name in Weights.__dataclass_fields__}),
    }  # fmt: skip
    try:
        return Policy(**{**base, **{k: v for k, v in given.items() if v is not None}})
    except ValueError as error:
        raise InputError(str(error), where="settings, [placement]") from None
