"""The walk: from counters to a plan, on one page.

    store --grids--> forecast --scenarios--> fleet, demand --> hotspots --> placement --> plan --> report

Everything here is a step that the command line can also run alone. Clocks, seeds and "now" are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pro.decision import baselines as baselines
from pro.decision import failover_seen, hold_back, order, standing_by
from pro.decision import policy_of as policy_of
from pro.outlook import Outlook as Outlook
from pro.outlook import draw_scenarios, expect, read_history, short_of, unjudged, watch_memory, within_hours
from pro.outlook import trained as learnt

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.fleet.tables import Inventory
    from pro.placement.placement import Placement
    from pro.placement.policy import Policy
    from pro.placement.question import Question
    from pro.placement.rules import Violation
    from pro.planning.plan import Plan
    from pro.reports.report import Report

    Tell = Callable[[str], None]


@dataclass(frozen=True)
class Recommendation:
    """An outlook and what to do about it. `broken`: rules that are broken today, repaired by the plan or not."""

    outlook: Outlook
    question: Question
    placement: Placement
    plan: Plan
    report: Report
    broken: tuple[Violation, ...]


def silent(_: str) -> None:
    """Hears nothing."""


def look_ahead(
    root: Path,
    config: Config,
    now: datetime | None = None,
    tell: Tell = silent,
    inventory: Inventory | None = None,
    trained: bool = True,
) -> Outlook:
    """Read the store up to `now`, forecast, and find hotspots.

    Without `now`, it is the newest sample, and VMs stand where they were last seen; with it, nothing later is read, not
    even of the inventory. `trained`: use what `pro train` learned at or before that instant. `inventory` says where VMs
    stand instead of the store. A store without counters is looked at with VMM's default load, so that rules can be repaired.
    Raises InputError for a store without inventory.
    """
    from pro.fleet.archive import load_inventory, settled
    from pro.fleet.demand import flat_demand
    from pro.fleet.sizes import sized
    from pro.fleet.snapshot import snapshot
    from pro.forecast.stale import believed
    from pro.telemetry.store import Store

    store = Store(root)
    newest = store.newest(until=now)
    inventory = inventory or load_inventory(root, now)
    instant = now or newest or inventory.at
    fleet = snapshot(inventory, instant, leave_out=True)
    if newest is None:
        tell("no counters: every VM is taken to use 20 % of its cap")
        expected = flat_demand(fleet, instant)
        return Outlook(instant, fleet, expected, {}, {}, (), None, inventory_at=inventory.at)
    tell("reading counters")
    fleet, sizes = sized(root, inventory, fleet, instant - timedelta(days=config.forecast.history_days))
    history = read_history(store, fleet, instant, config, sizes)
    tell("forecasting")
    known, unused = learnt(root, instant, config.heat.threshold) if trained else (None, "")
    taught, stale = believed(known.taught, history, instant) if known is not None else (None, ())
    scenarios = draw_scenarios(history, config, taught)
    outlook = expect(fleet, history, scenarios, instant, config, settled(root, inventory))
    outlook = watch_memory(store, outlook, settled(root, inventory, 24 * config.forecast.history_days), config)
    likely, wrong = within_hours(outlook, config, known) if known is not None else ((), ())
    stale = (*stale, *wrong)
    remarks = (*unjudged(store, fleet, instant, config), *((unused,) if unused else ()), *stale)
    return replace(outlook, soon=likely, remarks=remarks, stale=stale, inventory_at=inventory.at)


def recommend(
    root: Path,
    config: Config,
    policy: Policy,
    *,
    now: datetime | None = None,
    created_at: datetime | None = None,
    tell: Tell = silent,
) -> Recommendation:
    """The whole walk: what will run hot, and the fewest migrations that fix it, as a checked plan."""
    outlook = look_ahead(root, config, now, tell)
    return decide(outlook, config, policy, created_at=created_at, tell=tell)


def decide(
    outlook: Outlook, config: Config, policy: Policy, *, created_at: datetime | None = None, tell: Tell = silent
) -> Recommendation:
    """Place, plan, check the plan by the independent checker, and gather the report."""
    from pro.heat.hotspots import find_hotspots, summary
    from pro.placement.place import place
    from pro.placement.referee import check as violations_of
    from pro.placement.referee import judge
    from pro.reports.report import Report, planned_hosts

    fleet, demand, threshold = hold_back(outlook, policy), outlook.demand, policy.threshold
    wanted, question = place(fleet, demand, standing_by(policy, outlook, fleet), tell=tell)
    tell("ordering migrations")
    plan, placement = order(wanted, question, outlook, config, created_at or outlook.now)
    host_of = planned_hosts(fleet, plan)
    hot_after = find_hotspots(
        fleet, demand, threshold=threshold, dwell_s=config.heat.dwell_minutes * 60,
        min_probability=config.heat.min_probability, host_of=host_of,
    )  # fmt: skip
    report = Report(
        now=outlook.now, horizon_s=demand.slots * demand.step_s, threshold=threshold, fleet=fleet, demand=demand,
        hotspots=outlook.hotspots, hotspots_after=hot_after, placement=placement, plan=plan,
        before=summary(fleet, demand, fleet.host_of, threshold), after=summary(fleet, demand, host_of, threshold),
        warnings=tuple(w for w in (outlook.thinness, *outlook.remarks, *outlook.shortage, *fleet.warnings, *demand.warnings) if w), repaired=judge(fleet, question.constraints, host_of).repaired,
        readiness=outlook.readiness, baselines=baselines(outlook, threshold), failover=failover_seen(question, host_of),
        soon=outlook.soon, question=question, short=outlook.short,
        short_after=short_of(fleet, outlook.memory, config, host_of) if outlook.memory is not None else (),
    )  # fmt: skip
    broken = tuple(violations_of(fleet, question.constraints, fleet.host_of))
    return Recommendation(outlook, question, placement, plan, report, broken)
