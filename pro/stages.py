"""Stages of the walk that need more than a line; `workflow.py` puts them in order."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError, RefereeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pro.config import Config
    from pro.fleet import Demand, Fleet
    from pro.fleet.readiness import Readiness
    from pro.forecast import Scenarios
    from pro.heat import Hotspot
    from pro.heat.baselines import Comparison
    from pro.placement.place import Question
    from pro.placement.placement import Placement
    from pro.placement.policy import Policy
    from pro.planning.plan import Plan
    from pro.telemetry import Grid

EXPLAIN_AT_MOST = 5_000
"""VM x host pairs that a plan explains; above it only moved VMs and those that cause heat."""

EXPLAIN_LARGE = 50_000
"""VM x host pairs that the plan of a large fleet explains, moved VMs first. A VM is told about the hosts of its cluster."""


@dataclass(frozen=True)
class Outlook:
    """What is known and expected at `now`: everything that leads to a decision, before one is taken."""

    now: datetime
    fleet: Fleet
    demand: Demand
    history: Mapping[str, Grid]
    scenarios: Mapping[str, Scenarios]
    hotspots: tuple[Hotspot, ...]
    readiness: Readiness | None


def read_history(store: Any, fleet: Fleet, now: datetime, config: Config) -> dict[str, Grid]:
    """Grids of the counters this fleet is judged by; nothing after `now`."""
    from pro.core.units import CPU, DISK, NET
    from pro.fleet.entities import unite

    of = {CPU: ("cpu_pct", "host_cpu_pct"), DISK: ("disk_bps",), NET: ("net_bps",)}
    wanted = [name for resource in fleet.resources for name in of.get(resource, ())]
    grids = {name: unite(fleet, store.grid(name, now, config.forecast.history_days)) for name in wanted}
    return {name: grid for name, grid in grids.items() if grid.entities or name == "cpu_pct"}


def hold_back(outlook: Outlook, policy: Policy) -> Fleet:
    """The fleet with hosts we are blind on left alone: nothing moves to them or off them for the sake of load.

    An evacuation is asked for by a person who knows why, and broken rules do not depend on counters: these go on.
    """
    import numpy as np

    fleet, ready = outlook.fleet, outlook.readiness
    if ready is None or not ready.hold or policy.goal == "repair" or policy.evacuate:
        return fleet
    blind = np.isin(np.array(fleet.hosts, object), list(ready.hold))
    held = tuple(f"host {h} is left alone: {why}" for h, why in ready.hold.items())
    return replace(
        fleet, accepting=fleet.accepting & ~blind, movable=fleet.movable & ~blind[fleet.host_of],
        warnings=(*fleet.warnings, *held),
    )  # fmt: skip


def order(
    wanted: Placement, question: Question, outlook: Outlook, config: Config, created_at: datetime
) -> tuple[Plan, Placement]:
    """The plan to `wanted`, passed by the independent checker, and the placement it really leads to.

    They differ where a VM is blocked; the plan then says what it is good for without that VM. Raises RefereeError if the
    plan fails its check: a bug, and nothing of it is passed on.
    """
    from pro.heat.hotspots import summary
    from pro.placement.place import account
    from pro.placement.referee import judge
    from pro.planning.checker import check
    from pro.planning.make import PlanContext, final_host_of, make_plan

    fleet, demand, policy = question.fleet, outlook.demand, question.policy

    def plan_of(reached: Placement) -> Plan:
        context = PlanContext(
            goal=policy.goal, now=outlook.now.isoformat(), created_at=created_at.isoformat(),
            constraints=question.constraints, tiers=[asdict(t) for t in reached.tiers],
            proof={"engine": reached.engine, "bound": reached.bound, "gap": reached.gap,
                   "minimal_moves": reached.minimal_moves},
            before=summary(fleet, demand, fleet.host_of, policy.threshold).to_json(),
            after=summary(fleet, demand, reached.host_of, policy.threshold).to_json(),
            violations=[asdict(v) for v in reached.violations], explain=explanations(question, reached, outlook),
            consent_quick=config.apply.consent_quick, threshold=policy.threshold, cost=question.problem.costs,
        )  # fmt: skip
        return make_plan(fleet, demand, wanted.host_of, context)

    plan, placement = plan_of(wanted), wanted
    if plan.blocked:
        host_of = final_host_of(plan, fleet)
        placement = replace(
            wanted, host_of=host_of, tiers=account(question, host_of), minimal_moves=None, gap=None,
            violations=judge(fleet, question.constraints, host_of).still,
        )  # fmt: skip
        plan = plan_of(placement)
    faults = check(plan, fleet, question.constraints)
    if faults:
        raise RefereeError("the plan failed its own check: " + "; ".join(faults))
    return plan, placement


def explanations(question: Question, placement: Placement, outlook: Outlook) -> dict[str, Any]:
    """VM id -> why it goes where it goes, or stays: every other host with what it would cost or which rule refuses it."""
    import numpy as np

    from pro.placement.explain import explain

    fleet = question.fleet
    clusters = fleet.host_groups.get("cluster")
    large = fleet.n_vms * fleet.n_hosts > EXPLAIN_LARGE
    # A host of no cluster is a group of its own.
    near = (
        np.where(clusters.code >= 0, clusters.code, -1 - np.arange(fleet.n_hosts))
        if clusters
        else np.zeros(fleet.n_hosts, np.int64)
    )
    _, group, sizes = np.unique(near, return_inverse=True, return_counts=True)
    if fleet.n_vms * fleet.n_hosts <= EXPLAIN_AT_MOST:
        vms = list(range(fleet.n_vms))
    else:
        moved = np.flatnonzero(placement.host_of != fleet.host_of).tolist()
        causes = [fleet.vm_index(c.vm) for hotspot in outlook.hotspots for c in hotspot.vms]
        # Beyond so many pairs of a VM and a host of its cluster the first of those; every moved VM is told, whatever it takes.
        some = list(dict.fromkeys([*moved, *causes]))
        pairs = np.cumsum([sizes[group[fleet.host_of[v]]] for v in some])
        vms = sorted(some[: max(len(moved), int((pairs <= EXPLAIN_LARGE).sum()))])
    found = explain(
        fleet, question.constraints, question.problem.tiers, placement.host_of, vms, near if large else None
    )
    return {e.vm: asdict(e) for e in found}


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

    base: dict[str, Any] = {
        "threshold": config.heat.threshold, "aggressiveness": config.placement.aggressiveness,
        "max_moves": config.placement.max_moves, "max_gib": config.placement.max_gib,
        "memory_reserve_mib": config.placement.memory_reserve_mib, "seconds": config.placement.seconds,
        "seed": config.placement.seed, "workers": config.placement.workers,
    }  # fmt: skip
    try:
        return Policy(**{**base, **{k: v for k, v in given.items() if v is not None}})
    except ValueError as error:
        raise InputError(str(error)) from None
