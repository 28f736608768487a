"""Our own policy: the workflow, looked at as often as it pays, and steadied.

Every look sees what is measured. A forecast is drawn when a host has been hot for the dwell time, and every `look_minutes` anyway, as long as
there is budget left to act on it; what lies between is left out on purpose, which is part of the policy and of its price.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.decision import hold_back, order, policy_of, standing_by
from pro.fleet.entities import entity_of, spokesmen
from pro.fleet.fleet import RuleSpec
from pro.outlook import Outlook, expect
from pro.placement.place import place
from pro.placement.policy import WORTH, default_moves
from pro.remediation.antiflap import (
    came_from,
    doubt,
    incredible,
    lasting,
    leaving_only,
    saved,
    staying,
    steadied,
    worth_returning,
)
from pro.replay.past import STEP_S
from pro.replay.view import Decision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.config import Config
    from pro.fleet import Fleet
    from pro.placement.placement import Placement
    from pro.placement.policy import Policy
    from pro.planning.plan import Plan
    from pro.remediation.antiflap import AntiFlap
    from pro.replay.policies import PolicySpec
    from pro.replay.view import View

SLACK = 0.03
"""Fraction of capacity by which the quick look is more careful than the full one."""
BAN = "went back and forth"


class Ours:
    """The steering of kind "ours"."""

    def __init__(self, spec: PolicySpec, config: Config) -> None:
        self.spec, self.rules = spec, spec.antiflap
        self.config = adapted(config, spec)
        self.threshold = self.config.heat.threshold
        self.due: datetime | None = None
        self.answered: dict[str, str] = {}
        """Host -> instant of the last look at it that moved nothing off it."""

    def memory(self) -> dict[str, Any]:
        """When the next forecast is due, and which hosts were looked at in vain."""
        return {"due": None if self.due is None else self.due.isoformat(), "answered": self.answered}

    def recall(self, memory: dict[str, Any]) -> None:
        """The inverse of `memory`."""
        self.due = None if memory["due"] is None else datetime.fromisoformat(memory["due"])
        self.answered = dict(memory["answered"])

    def decide(self, view: View) -> Decision:
        """Look, and act if it pays."""
        if view.coming:
            return Decision(why="a plan is under way")
        hot = self._hot_now(view)
        if why := doubt(len(hot), view.base.n_hosts, self.rules):
            return Decision(why=why)
        again = timedelta(minutes=self.spec.again_minutes)
        fresh = [
            h for h in hot if view.now - datetime.fromisoformat(self.answered.get(h, "1970-01-01T00:00+00:00")) >= again
        ]
        if not fresh and self.due is not None and view.now < self.due:
            return Decision(why="answered lately" if hot else "nothing is hot")
        budget = self._budget(view, hot)
        if budget == 0:
            return Decision(why="the budget is used up")
        if not hot and self.spec.goal == "balance" and self._calm(view):
            self.due = view.now + timedelta(minutes=self.spec.look_minutes)
            return Decision(why="no heat is near", forecast=True)
        outlook = self._outlook(view)
        self.due = view.now + timedelta(minutes=self.spec.look_minutes)
        near = view.now + timedelta(hours=self.spec.lead_h)
        urgent = {s.host for s in outlook.hotspots if s.starts <= near} | set(hot)
        if not urgent and self.spec.goal == "balance":
            return Decision(why="no heat is near", forecast=True)
        # What is kept for hot hosts is not spent on packing: that waits for a look at which none is.
        relief = urgent if hot and self.spec.goal == "consolidate" else None
        plan = self._plan(view, outlook, budget, relief)
        at = view.now.isoformat()
        self.answered = {h: t for h, t in self.answered.items() if h in hot} | {h: at for h in hot}
        if len(plan.migrations) > budget:
            return Decision(why="stop-overs would pass the budget", forecast=True)
        return Decision(plan.migrations, "heat" if plan.migrations else "no migration pays", forecast=True)

    def _hot_now(self, view: View) -> list[str]:
        """Hosts measured over the threshold for the dwell time, without a break."""
        need = max(round(self.rules.dwell_minutes * 60 / STEP_S), 1)
        share = view.share(need)
        if (odd := self._odd(view)).any():
            share[np.unique(view.placed[odd])] = np.nan
        run = lasting(share > self.threshold)
        return [view.fleet.hosts[h] for h in np.flatnonzero(run >= need)]

    def _odd(self, view: View) -> NDArray[np.bool_]:
        """(V,) VMs whose newest values cannot be."""
        share = view.use[:, -3:] / np.maximum(view.base.cpu_cap_mhz, 1)[:, None]
        if not (share > self.rules.impossible).any():
            return np.zeros(view.base.n_vms, dtype=np.bool_)
        days = round(self.spec.history_days * 86_400 / STEP_S)
        lately = view.use[:, -days:] / np.maximum(view.base.cpu_cap_mhz, 1)[:, None]
        return np.asarray(incredible(lately, self.rules)[:, -3:].any(axis=1))

    def _budget(self, view: View, hot: list[str]) -> int:
        """Migrations that may be asked for now; a part of a day's is kept for hosts that are measured hot."""
        daily = self.spec.daily(view.base.n_vms)
        most = default_moves(view.base.n_vms) if self.spec.moves_per_plan is None else self.spec.moves_per_plan
        left = saved(view.trips, view.now, daily, self.spec.saved_days)
        return max(min(left if hot else left - int(self.spec.reserve * daily), most), 0)

    def _calm(self, view: View) -> bool:
        """Whether the forecast alone, without demand and hotspots, already says that no heat is near.

        Sums of paths a little below the threshold, with the most that hosts spent on themselves in the last hour: what passes here would
        not be found near by `find_hotspots` either, unless a host spends `SLACK` of its capacity more on itself than it did in that hour.
        """
        drawn = view.reader.scenarios(self.config)["cpu_pct"]
        fleet, matched = view.fleet, entity_of(view.fleet, drawn.entities)
        speaker = spokesmen(fleet, matched, drawn.known)
        if (speaker < 0).any():
            return False
        stands = np.zeros((fleet.n_hosts, fleet.n_vms))
        stands[view.placed, np.arange(fleet.n_vms)] = fleet.cpu_cap_mhz
        asked = np.minimum(drawn.values[speaker] / 100.0, 1.0)
        use = (stands @ asked.reshape(fleet.n_vms, -1)).reshape(fleet.n_hosts, *asked.shape[1:])
        lately = np.minimum(view.use[:, -12:] / np.maximum(fleet.cpu_cap_mhz, 1)[:, None], 1.0)
        own = view.load[:, -12:] - stands @ np.nan_to_num(lately)
        base = np.nan_to_num(np.maximum(own, 0.0)).max(axis=1)
        hot = use + base[:, None, None] > (self.threshold - SLACK) * view.capacity[:, None, None]
        near = hot[:, :, : math.floor(self.spec.lead_h * 3600 / drawn.step_s) + 1].any(axis=(1, 2))
        return not (near & (hot.any(axis=2).mean(axis=1) >= self.spec.min_probability)).any()

    def _outlook(self, view: View) -> Outlook:
        """The workflow's outlook, on the fleet as it stands."""
        history = view.reader.history(self.spec.history_days)
        return expect(view.fleet, history, view.reader.scenarios(self.config), view.now, self.config, view.since)

    def _plan(self, view: View, outlook: Outlook, budget: int, relief: set[str] | None = None) -> Plan:
        """The plan with VMs that rest left alone, and ways back barred unless they gain a lot. `relief`: only VMs on these hosts move."""
        fleet, policy = self._steadied(view, outlook.fleet), self._policy(budget)
        if relief is not None:
            fleet = leaving_only(fleet, relief)
        ways_back = ways_back_of(view, self.rules)
        barred = replace(fleet, rules=(*fleet.rules, *_bans(ways_back)))
        outlook = replace(outlook, fleet=barred)
        held = hold_back(outlook, policy)
        wanted, question = place(held, outlook.demand, standing_by(policy, outlook, held), prove=False)
        if ways_back and _heat(wanted) > self.rules.return_gain * WORTH[policy.aggressiveness]:
            free = replace(outlook, fleet=fleet)
            held = hold_back(free, policy)
            other, asked = place(held, outlook.demand, standing_by(policy, free, held), prove=False)
            if self._gains_a_lot(wanted, other, ways_back, fleet, policy):
                wanted, question, outlook = other, asked, free
        return order(wanted, question, outlook, self.config, outlook.now, explain=False)[0]

    def _gains_a_lot(
        self, kept: Placement, free: Placement, ways_back: dict[str, tuple[str, ...]], fleet: Fleet, policy: Policy
    ) -> bool:
        back = sum(
            fleet.hosts[free.host_of[fleet.vm_index(vm)]] in hosts
            and free.host_of[fleet.vm_index(vm)] != fleet.host_of[fleet.vm_index(vm)]
            for vm, hosts in ways_back.items()
        )
        return back == 0 or worth_returning(_heat(kept) - _heat(free), WORTH[policy.aggressiveness], back, self.rules)

    def _steadied(self, view: View, fleet: Fleet) -> Fleet:
        """The fleet in which VMs that rest, and those whose values cannot be, stay where they are."""
        odd = np.flatnonzero(self._odd(view)).tolist()
        steady = steadied(fleet, view.trips, view.now, self.rules)
        return staying(steady, {fleet.vms[v]: "is measured at what cannot be" for v in odd})

    def _policy(self, budget: int) -> Policy:
        return replace(
            policy_of(
                self.config, goal=self.spec.goal, aggressiveness=self.spec.aggressiveness, max_moves=budget,
                threshold=self.threshold, margin=self.rules.margin,
            ),
            steps=self.spec.rounds, seconds=3600.0,
        )  # fmt: skip


def ways_back_of(view: View, rules: AntiFlap) -> dict[str, tuple[str, ...]]:
    """VM -> hosts it left within the ledger, other than the one it stands on."""
    here = dict(zip(view.base.vms, (view.base.hosts[h] for h in view.placed.tolist()), strict=True))
    found = {
        vm: tuple(h for h in hosts if h != here[vm]) for vm, hosts in came_from(view.trips, view.now, rules).items()
    }
    return {vm: hosts for vm, hosts in found.items() if hosts}


def adapted(config: Config, spec: PolicySpec) -> Config:
    """The settings as this policy has them."""
    own = ("horizon_h", "slot_minutes", "scenarios", "history_days")
    forecast = config.forecast.model_copy(update={name: getattr(spec, name) for name in own})
    heat = config.heat.model_copy(
        update={
            "threshold": config.heat.threshold if spec.threshold is None else spec.threshold,
            "min_probability": spec.min_probability,
        }
    )
    power = config.placement.weigh_power if spec.weigh_power is None else spec.weigh_power
    placement = config.placement.model_copy(update={"weigh_power": power})
    return config.model_copy(update={"forecast": forecast, "heat": heat, "placement": placement})


def _heat(found: Placement) -> float:
    """Expected per cent x hours over the threshold, with margin, that are left: no plan can gain more than this on top."""
    return next(t.after for t in found.tiers if t.name == "heat")


def _bans(ways_back: dict[str, tuple[str, ...]]) -> list[RuleSpec]:
    return [RuleSpec(f"{BAN}: {vm}", "ban", (vm,), hosts) for vm, hosts in sorted(ways_back.items())]
