"""Stages of the walk that need more than a line; `workflow.py` puts them in order."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError, RefereeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.fleet import Demand, Fleet
    from pro.fleet.readiness import Readiness
    from pro.forecast import Scenarios
    from pro.heat import Hotspot
    from pro.heat.baselines import Comparison
    from pro.heat.soon import Soon
    from pro.placement.place import Question
    from pro.placement.placement import Placement
    from pro.placement.policy import Policy
    from pro.planning.plan import Plan
    from pro.telemetry import Grid

EXPLAIN_AT_MOST = 5_000
"""VM x host pairs that a plan explains; above it only moved VMs and those that cause heat."""


MODELS = "models"
"""Folder in the store for what `pro train` learned."""


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
    soon: tuple[Soon, ...] = ()
    """Probabilities within hours, by the classifier of `pro train`; empty where there is none that wins."""


def read_history(store: Any, fleet: Fleet, now: datetime, config: Config) -> dict[str, Grid]:
    """Grids of the counters this fleet is judged by; nothing after `now`."""
    from pro.core.units import CPU, DISK, NET
    from pro.fleet.entities import unite

    of = {CPU: ("cpu_pct", "host_cpu_pct"), DISK: ("disk_bps",), NET: ("net_bps",)}
    wanted = [name for resource in fleet.resources for name in of.get(resource, ())]
    grids = {name: unite(fleet, store.grid(name, now, config.forecast.history_days)) for name in wanted}
    return {name: grid for name, grid in grids.items() if grid.entities or name == "cpu_pct"}


def trained(root: Path, now: datetime) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What `pro train` learned; None where it has not, or only from what lies after `now`."""
    from datetime import datetime

    from pro.forecast.taught import read

    found = read(root / MODELS)
    return found if found is not None and datetime.fromisoformat(found[0]["until"]) <= now else None


def within_hours(outlook: Outlook, config: Config, known: tuple[dict[str, Any], dict[str, Any]]) -> tuple[Soon, ...]:
    """Every host's probability to run hot within 1, 4 and 24 h by the trained classifiers that win; they need the same threshold."""
    from pro.heat.direct import from_arrays
    from pro.heat.soon import loads_of, soon

    page, arrays = known
    if page["threshold"] != config.heat.threshold:
        return ()
    found: list[Soon] = []
    for resource in {row["resource"]: None for row in page["heat"] if row["used"]}:
        loads = loads_of(outlook.fleet, outlook.demand, outlook.history, resource, config.heat.threshold)
        models = {
            row["hours"]: from_arrays(arrays, f"heat.{resource}.{row['hours']}.")
            for row in page["heat"] if row["resource"] == resource and row["used"]
        }  # fmt: skip
        if loads is not None:
            found += soon(outlook.fleet, loads, models, resource)
    return tuple(found)


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
    if fleet.n_vms * fleet.n_hosts <= EXPLAIN_AT_MOST:
        vms = list(range(fleet.n_vms))
    else:
        moved = np.flatnonzero(placement.host_of != fleet.host_of).tolist()
        causes = [fleet.vm_index(c.vm) for hotspot in outlook.hotspots for c in hotspot.vms]
        vms = sorted({*moved, *causes})
    found = explain(fleet, question.constraints, question.problem.tiers, placement.host_of, vms)
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
        "seed": config.placement.seed,
    }  # fmt: skip
    try:
        return Policy(**{**base, **{k: v for k, v in given.items() if v is not None}})
    except ValueError as error:
        raise InputError(str(error)) from None
