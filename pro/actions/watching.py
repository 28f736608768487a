"""The auto-remediation hook: look, tip, and apply alone only what the contract allows.

One cycle: take up what was interrupted; take in what is new; ask the backend where VMs stand; forecast and plan; raise, refresh
and close tips; apply what people approved, and what the contract and every gate allow. Safe to kill at any point: samples are
idempotent, tips and journal are transactions, and the next cycle resumes an interrupted run first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pro.actions.alone import gates_of, recommended
from pro.actions.applying import apply_plan, limits_of, note_placement, switch_in
from pro.actions.inbox import read_ledger, take_in, write_ledger
from pro.actions.places import TIPS, absolute, journal_in, world_in
from pro.actions.watchers import noted_watch
from pro.core.clock import SystemClock
from pro.core.text import listed
from pro.remediation.result import REFUSED
from pro.workflow import Recommendation, look_ahead, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.backends.base import World
    from pro.config import Config
    from pro.fleet.tables import Inventory
    from pro.planning.plan import Plan
    from pro.remediation.contract import Contract
    from pro.remediation.gates import Gate
    from pro.remediation.result import ApplyResult, RunStatus
    from pro.remediation.tip import Concern, Tip
    from pro.remediation.tips import TipBook
    from pro.workflow import Tell


MOSTLY_GONE = 0.5
"""A backend that does not know more than this share of the VMs is another one, or broken."""


@dataclass(frozen=True)
class Watch:
    """What to watch. `contract` None: nothing is applied that no person has approved."""

    store: Path
    inbox: Path | None
    backend: str
    contract: Contract | None
    config: Config
    goal: str = "balance"


def told_to_watch(
    store: Path, config: Config, *, backend: str | None, inbox: Path | None = None, contract: Path | None = None,
    goal: str | None = None,
) -> Watch:  # fmt: skip
    """What to watch; where no `backend` is named, as the last `pro watch` on the store was told, as far as nothing else is said.

    Raises InputError if none has run yet, or for a contract that cannot be read.
    """
    from pathlib import Path as Folder

    from pro.remediation.contract import load_contract

    if backend is None:
        noted = noted_watch(store)
        backend, goal = str(noted["backend"]), goal or noted["goal"]
        inbox = inbox or (Folder(noted["inbox"]) if noted["inbox"] else None)
        contract = contract or (Folder(noted["contract"]) if noted["contract"] else None)
    return Watch(store, inbox, backend, load_contract(contract) if contract else None, config, goal or "balance")


@dataclass
class Cycle:
    """What one cycle did."""

    at: str
    cause: str
    now: str = ""
    resumed: dict[str, Any] | None = None
    ingested: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """Files of the inbox that were not taken in, and why."""
    warnings: list[str] = field(default_factory=list)
    """What is to be known of the data and of the estate."""
    hotspots: int = 0
    migrations: int = 0
    tips: list[dict[str, Any]] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    expired: list[int] = field(default_factory=list)
    applied: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Why what could have been applied alone was not."""

    @property
    def exit_code(self) -> int:
        """5 if something was applied in part, 4 if what was approved was refused, else 0: a refusal of the contract is normal work."""
        parts = [a["exit_code"] for a in self.applied] + ([self.resumed["exit_code"]] if self.resumed else [])
        return next((code for code in (5, 4) if code in parts), 0)

    def to_json(self) -> dict[str, Any]:
        """Schema "watch/1"."""
        return {"schema": "watch/1", "exit_code": self.exit_code, **vars(self)}


def cycle(watch: Watch, cause: str = "schedule", tell: Tell = silent) -> Cycle:
    """One cycle. The caller holds the lock of `watchers.alone`."""
    from pro.backends import open_backend
    from pro.fleet.archive import load_inventory
    from pro.fleet.inventory import with_placement
    from pro.remediation import executor
    from pro.remediation.tips import TipBook

    clock = SystemClock()
    done = Cycle(at=clock.now().isoformat(timespec="seconds"), cause=cause)
    journal = journal_in(watch.store)
    tell("taking in what is new")
    done.ingested, done.left = take_in(watch.inbox, watch.store)
    backend = open_backend(absolute(watch.backend), world=world_in(watch.store), clock=clock)
    before = executor.status(journal)
    with TipBook(watch.store / TIPS) as book:
        if before is not None and before.interrupted and not before.stopped:
            tell("taking up an interrupted run")
            limits, halt = limits_of(watch.config), switch_in(watch.store, watch.config).thrown
            result = executor.resume(backend, journal, clock=clock, limits=limits, halt=halt)
            _took_up(book, before, result, done)
        _settle(book, before, clock.now())
    world = backend.inventory()
    note_placement(watch.store, world, clock.now())
    inventory, missing = _there(load_inventory(watch.store), world)
    where = {v.vm: v.hosts[0] for v in world.vms.values() if len(v.hosts) == 1}
    _learn(watch, tell)
    seen = with_placement(inventory, where, clock.now())
    outlook = look_ahead(watch.store, watch.config, None, tell, seen)
    if outlook.stale and _learn(watch, tell, stale=True):
        outlook = look_ahead(watch.store, watch.config, None, tell, seen)
    found = recommended(watch, outlook, clock, tell)
    done.warnings = [*missing, *found.report.warnings]
    done.now, done.hotspots, done.migrations = (
        found.outlook.now.isoformat(),
        len(found.outlook.hotspots),
        len(found.plan.migrations),
    )
    with TipBook(watch.store / TIPS) as book:
        tips = _tip(book, found, clock.now(), done)
        done.expired = [t.id for t in book.expire(clock.now(), watch.config.apply.expires_minutes)]
        if _free(before, done):
            _apply_approved(watch, book, done, tell)
            _apply_alone(watch, book, (found, tips), done)
        done.tips = [t.to_json() for t in book.tips(active=True)]
    return done


def _took_up(book: TipBook, run: RunStatus, result: ApplyResult, done: Cycle) -> None:
    """What came of resuming an interrupted run: how it ended, or what holds it back."""
    if result.state == REFUSED:
        done.asked += [f"run {run.run} was interrupted and waits: {why}" for why in result.reasons]
        return
    done.resumed = result.to_json()
    _finish(book, run.plan_id, result, SystemClock().now())


def _free(last: RunStatus | None, done: Cycle) -> bool:
    """Whether anything may be begun after the `last` run; says why not."""
    if last is None:
        return True
    if last.driven:
        done.asked.append(f"{last.driver} is at work: nothing is applied beside it")
    elif last.stopped:
        # Whoever stopped it did not mean until the next look.
        done.asked.append(
            f"a person stopped run {last.run}: nothing is applied before `pro resume`, or an apply by a person"
        )
    else:
        return not last.interrupted or done.resumed is not None
    return False


def _there(inventory: Inventory, world: World) -> tuple[Inventory, list[str]]:
    """`inventory` without VMs that the backend does not know, and which these are: no plan that counts on them would fit it. Where it knows
    hardly any, that is not about VMs, and all stay."""
    gone = ~inventory.vms["id"].isin(list(world.vms))
    if not gone.any():
        return inventory, []
    missing = [f"not on the backend: {listed(inventory.vms['vm'][gone].tolist())}"]
    if gone.mean() > MOSTLY_GONE:
        return inventory, missing
    return replace(inventory, vms=inventory.vms[~gone].reset_index(drop=True)), missing


def _learn(watch: Watch, tell: Tell, *, stale: bool = False) -> bool:
    """Train anew when the models are too old for the newest counters, or `stale` and watch may train at all; whether new ones are there.

    A store that cannot be learned from is no reason to stop.
    """
    from pro.actions.training import due, train_models
    from pro.core.errors import ProError
    from pro.telemetry.store import Store

    try:
        newest = Store(watch.store).newest()
        told = stale and watch.config.forecast.retrain_days > 0
        if newest is not None and (told or due(watch.store, watch.config, newest)):
            page = train_models(watch.store, watch.config, None, tell, spare=True)
            if "kept" not in page:
                return True
            tell(page["kept"])
    except ProError as error:
        tell(f"not trained: {error}")
    return False


def _settle(book: TipBook, last: RunStatus | None, now: datetime) -> None:
    """Close tips that a look began to carry out and did not live to close. The journal knows whether they were."""
    from pro.remediation.tip import TipState

    active = [t for t in book.tips(active=True) if not t.test]
    if last is not None and last.state == "done":
        # Approved here, carried out by `pro apply`.
        for plan_id in {t.plan_id for t in active if t.state == TipState.APPROVED} & {last.plan_id}:
            book.start(plan_id, now)
            book.finish(plan_id, resolved=True, now=now, reason=f"applied by run {last.run}")
    begun = [t for t in active if t.state in (TipState.AUTO, TipState.RUNNING)]
    for plan_id in {t.plan_id for t in begun}:
        ran = last if last is not None and last.plan_id == plan_id else None
        if ran is not None and ran.driven:
            continue
        if any(t.plan_id == plan_id and t.state == TipState.AUTO for t in begun):
            book.start(plan_id, now)
        resolved = ran is not None and ran.state == "done"
        book.finish(plan_id, resolved=resolved, now=now, reason="the look that began it was interrupted")


def _tip(book: TipBook, found: Recommendation, now: datetime, done: Cycle) -> list[Tip]:
    """Raise or refresh what there is, close what is over."""
    from pro.remediation.tip import of_hotspot, of_rules

    plan, names, rules = found.plan, _names(found), of_rules(found.broken)
    tips: list[Tip] = book.raise_or_refresh(
        found.outlook.hotspots, plan if plan.migrations else None, now, repairs=rules, names=names
    )
    tips += book.raise_or_refresh(found.outlook.short, None, now, names=names)
    # What is measured is watched and not mended: it has tips, and no plan to be held back.
    watched = [of_hotspot(h, names) for h in found.outlook.short]
    done.cleared = [t.id for t in book.clear_missing([c.key for c in (*_concerns(found), *watched)], now)]
    return tips


def _concerns(found: Recommendation) -> list[Concern]:
    """What a plan would mend, now."""
    from pro.remediation.tip import of_hotspot, of_rules

    names = _names(found)
    return [*(of_hotspot(h, names) for h in found.outlook.hotspots), *of_rules(found.broken)]


def _names(found: Recommendation) -> dict[str, str]:
    """Id -> name, of hosts and VMs."""
    fleet = found.outlook.fleet
    hosts, vms = zip(fleet.hosts, fleet.host_names, strict=True), zip(fleet.vms, fleet.vm_names, strict=True)
    return {**dict(hosts), **dict(vms)}


def _apply_approved(watch: Watch, book: TipBook, done: Cycle, tell: Tell) -> None:
    """Carry out what a person has approved, as long as it still fits the world."""
    from pro.remediation.tip import TipState

    plans: dict[str, Plan] = {}
    for tip in book.tips(active=True):
        if tip.state == TipState.APPROVED and tip.plan_id not in plans and not tip.test:
            plans[tip.plan_id] = book.plan(tip.id)
    for plan in plans.values():
        tell(f"applying plan {plan.id[:12]}, which was approved")
        _apply(watch, book, plan, (), done)


def _apply_alone(watch: Watch, book: TipBook, found: tuple[Recommendation, list[Tip]], done: Cycle) -> None:
    """Carry out the new plan if the contract and every gate permit; else leave it to a person and say why."""
    from pro.remediation.tip import TipState

    recommendation, tips = found
    plan = recommendation.plan
    waiting = [t for t in tips if t.state == TipState.NEW and t.plan_id == plan.id]
    if not plan.migrations or not waiting or any(a["run"] is not None for a in done.applied):
        return
    if watch.contract is None:
        done.asked.append("there is no contract, so a person has to approve")
        return
    silenced = book.dismissed(_concerns(recommendation), SystemClock().now())
    if silenced := silenced or [t.id for t in book.views(plan.id, TipState.DISMISSED)]:
        done.asked.append(f"tip {silenced[0]} was dismissed: a person has to approve what else is to be moved")
        return
    if read_ledger(watch.store).get("acted_on", "") >= done.now:
        done.asked.append(f"no counters newer than {done.now} since PRO last acted: a person has to approve")
        return
    now = SystemClock().now()
    gates = gates_of(watch, recommendation)
    refused = _refusals(watch, plan, gates, now)
    if refused:
        done.asked += refused
        return
    book.approve_by_contract(waiting[0].id, now, "within the contract, and every gate permits")
    _apply(watch, book, plan, gates, done)


def _refusals(watch: Watch, plan: Plan, gates: Sequence[Gate], now: datetime) -> list[str]:
    from pro.backends import open_backend
    from pro.remediation.gates import refusals

    backend = open_backend(absolute(watch.backend), world=world_in(watch.store), clock=SystemClock())
    return refusals(gates, plan, backend.inventory(), now)


def _apply(watch: Watch, book: TipBook, plan: Plan, gates: Sequence[Gate], done: Cycle) -> None:
    """Apply, noting first on which counters PRO acts: even if it is killed now, it will not act on them twice."""
    now = SystemClock().now()
    book.start(plan.id, now)
    ledger = read_ledger(watch.store)
    write_ledger(watch.store, {**ledger, "acted_on": done.now})
    result = apply_plan(plan, watch.backend, watch.store, watch.config, gates=gates)
    if result.run is None:
        write_ledger(watch.store, ledger)
    done.applied.append({"plan": plan.id, **result.to_json()})
    _finish(book, plan.id, result, SystemClock().now())


def _finish(book: TipBook, plan_id: str, result: ApplyResult, now: datetime) -> None:
    good = result.exit_code == 0
    book.finish(
        plan_id, resolved=good, now=now, reason="; ".join(result.reasons) or ("applied" if good else result.state)
    )
