"""Acting alone: what is planned then, and all that must permit it. The same rules with the same numbers as a backtest's policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pro.actions.applying import switch_in
from pro.actions.places import JOURNAL
from pro.workflow import decide, policy_of

if TYPE_CHECKING:
    from datetime import datetime

    from pro.actions.watching import Watch
    from pro.config import Config
    from pro.core.clock import Clock
    from pro.outlook import Outlook
    from pro.placement.policy import Policy
    from pro.remediation.antiflap import AntiFlap
    from pro.remediation.gates import Gate, MoveBudget
    from pro.workflow import Recommendation, Tell


def recommended(watch: Watch, outlook: Outlook, clock: Clock, tell: Tell) -> Recommendation:
    """The plan for `outlook`. With a contract it is made around VMs that rest and within what may be moved now, so that it is not refused
    because of these, and nobody goes back where it came from: that takes a person."""
    from pro.remediation.antiflap import staying

    policy = policy_of(watch.config, goal=watch.goal)
    if watch.contract is None:
        return decide(outlook, watch.config, policy, created_at=clock.now(), tell=tell)
    outlook = cooling(watch, _steady(watch, outlook, clock.now()))
    policy = _frugal(watch, policy, outlook.fleet.n_vms, clock.now())
    found = decide(outlook, watch.config, policy, created_at=clock.now(), tell=tell)
    while back := going_back(watch, found, clock.now()):
        why = dict.fromkeys(back, "came from elsewhere lately, and would go back")
        outlook = replace(outlook, fleet=staying(outlook.fleet, why))
        found = decide(outlook, watch.config, policy, created_at=clock.now(), tell=tell)
    return found


def _steady(watch: Watch, outlook: Outlook, now: datetime) -> Outlook:
    from pro.remediation.antiflap import steadied
    from pro.remediation.gates import MEMORY, trips_since

    trips = trips_since(watch.store / JOURNAL, now - MEMORY)
    return replace(outlook, fleet=steadied(outlook.fleet, trips, now, rules_of(watch.config)))


def cooling(watch: Watch, outlook: Outlook) -> Outlook:
    """While hosts are measured hot nothing is packed: only VMs on these, and on those that will be within the lead, move."""
    from pro.remediation.antiflap import leaving_only

    if watch.goal != "consolidate" or not (hot := measured_hot(outlook, watch.config)):
        return outlook
    near = outlook.now + timedelta(hours=watch.config.apply.lead_hours)
    urgent = {*hot, *(h.host for h in outlook.hotspots if h.starts <= near)}
    return replace(outlook, fleet=leaving_only(outlook.fleet, urgent))


def going_back(watch: Watch, found: Recommendation, now: datetime) -> list[str]:
    """VMs that the plan sends to a host that they left within the ledger."""
    from pro.remediation.antiflap import came_from
    from pro.remediation.gates import MEMORY, trips_since

    left = came_from(trips_since(watch.store / JOURNAL, now - MEMORY), now, rules_of(watch.config))
    final = {m.vm: m.destination for m in found.plan.migrations}
    return [vm for vm, host in final.items() if host in left.get(vm, ())]


def _frugal(watch: Watch, policy: Policy, vms: int, now: datetime) -> Policy:
    """`policy` with no more migrations than may be made now; as it is where none may, for then a person is asked."""
    from pro.placement.policy import budget

    left, most = budget_of(watch).left(vms, now), budget(policy, vms)
    return replace(policy, max_moves=left if most is None else min(left, most)) if left else policy


def gates_of(watch: Watch, found: Recommendation) -> tuple[Gate, ...]:
    """Everything that must permit before PRO acts alone."""
    from pro.remediation.contract import ContractGate
    from pro.remediation.gates import FreshCounters, HoldWhenTooMuchIsHot, LaterHeat

    settings = watch.config.apply
    sure = min((h.probability for h in found.outlook.hotspots), default=1.0)
    hot, now = len(measured_hot(found.outlook, watch.config)), found.outlook.now
    starts = min((h.starts for h in found.outlook.hotspots), default=None)
    still = sum(int(v["amount"]) for v in found.plan.violations if not v.get("preference", False))
    mended = sum(v.amount for v in found.broken) - still
    return (
        switch_in(watch.store, watch.config),
        ContractGate(watch.contract, sure),
        FreshCounters(now, settings.counters_minutes),
        HoldWhenTooMuchIsHot(hot, coverage_of(found), settings.most_hot, settings.least_coverage),
        LaterHeat(starts, hot, mended, now, settings.lead_hours),
        *standing_gates(watch),
    )


def measured_hot(outlook: Outlook, config: Config) -> list[str]:
    """Hosts whose VMs have asked for more processor than the threshold for the dwell time, without a break, up to now."""
    from pro.core.units import CPU
    from pro.heat.soon import loads_of
    from pro.remediation.antiflap import lasting

    loads = loads_of(outlook.fleet, outlook.demand, outlook.history, CPU, config.heat.threshold)
    if loads is None:
        return []
    need = max(round(config.heat.dwell_minutes / 5), 1)
    run, hosts = lasting(loads.use()[:, -need:] > 1).tolist(), outlook.fleet.hosts
    # Of a host that nobody sees any more the last value says nothing of now.
    blind = outlook.readiness.blind if outlook.readiness is not None else {}
    return [host for host, lasted in zip(hosts, run, strict=True) if lasted >= need and host not in blind]


def budget_of(watch: Watch) -> MoveBudget:
    """What may be moved alone."""
    from pro.remediation.gates import MoveBudget

    return MoveBudget(watch.store / JOURNAL, per_day=watch.config.apply.per_day)


def rules_of(config: Config) -> AntiFlap:
    """How steady it is, as the settings say."""
    from pro.remediation.antiflap import AntiFlap

    settings = config.apply
    return AntiFlap(
        dwell_minutes=config.heat.dwell_minutes, cooldown_minutes=settings.cooldown_minutes,
        longest_minutes=settings.longest_minutes, most_hot=settings.most_hot,
    )  # fmt: skip


def standing_gates(watch: Watch) -> tuple[Gate, ...]:
    """Those of them that ask nothing of a forecast, nor of the contract."""
    from pro.remediation.gates import CircuitBreaker, Cooldown, Freshness, OtherBalancer

    settings, journal = watch.config.apply, watch.store / JOURNAL
    return (
        budget_of(watch),
        Cooldown(journal, rules_of(watch.config)),
        Freshness(settings.expires_minutes),
        OtherBalancer(),
        CircuitBreaker(journal),
    )


def coverage_of(found: Recommendation) -> float:
    """Share of the processor samples of the last day that are known, over all VMs that have any."""
    import numpy as np

    grid = found.outlook.history.get("cpu_pct")
    if grid is None or not grid.values.size:
        return 0.0
    day = grid.values[:, -(86_400 // grid.step_s) :]
    return float(np.isfinite(day).mean())
