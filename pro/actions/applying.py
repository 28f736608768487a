"""Applying, resuming, stopping: the executor with the right journal, gates and backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.actions.places import DEFAULT_STORE, absolute, find_journal, journal_in, remember, world_in
from pro.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.backends.base import World
    from pro.config import Config
    from pro.planning.plan import Plan
    from pro.remediation.driver import Limits
    from pro.remediation.gates import Gate, KillSwitch
    from pro.remediation.records import Event
    from pro.remediation.result import ApplyResult, RunStatus


def limits_of(config: Config, ignore_balancer: bool = False) -> Limits:
    """The executor's limits from the settings."""
    from pro.remediation.driver import Limits

    return Limits(concurrent=config.apply.concurrent, per_host=config.apply.per_host, ignore_balancer=ignore_balancer)


def switch_in(store: Path, config: Config) -> KillSwitch:
    """The kill switch of a store."""
    from pro.remediation.gates import KillSwitch

    return KillSwitch(store / config.apply.kill_switch)


def apply_plan(
    plan: Plan,
    url: str,
    store: Path | None,
    config: Config,
    *,
    gates: Sequence[Gate] = (),
    ignore_balancer: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> ApplyResult:
    """Carry out `plan`. A simulator whose file is absent starts from the store's newest inventory.

    The kill switch always counts; `gates` are what else must permit. Afterwards the store knows where the VMs stand.
    """
    from pro.backends import open_backend
    from pro.remediation import executor

    clock = SystemClock()
    backend = open_backend(absolute(url), world=world_in(store), clock=clock)
    journal = journal_in(store)
    remember(journal)
    switch = switch_in(store or DEFAULT_STORE, config)
    result = executor.apply(
        plan, backend, journal, clock=clock, gates=(switch, *gates),
        limits=limits_of(config, ignore_balancer), on_event=on_event,
    )  # fmt: skip
    if result.run is not None:
        note_placement(store or DEFAULT_STORE, backend.inventory(), clock.now())
    return result


def resume_run(
    store: Path | None, config: Config, url: str | None = None, on_event: Callable[[Event], None] | None = None
) -> ApplyResult:
    """Take up the newest run where it was left, on the backend it was begun with (or `url`)."""
    from pro.backends import open_backend
    from pro.remediation import executor
    from pro.remediation.result import NOTHING, ApplyResult

    journal = find_journal(store)
    found = executor.status(journal)
    if found is None:
        return ApplyResult(NOTHING, ("nothing was ever applied",))
    clock = SystemClock()
    backend = open_backend(absolute(url) if url else found.backend, clock=clock)
    switch = switch_in(journal.parent, config)
    result = executor.resume(
        backend, journal, clock=clock, limits=limits_of(config), on_event=on_event, halt=switch.thrown
    )
    if result.run is not None:
        note_placement(journal.parent, backend.inventory(), clock.now())
    return result


def stop_run(store: Path | None) -> RunStatus | None:
    """Ask the run under way for no further migration."""
    from pro.remediation import executor

    return executor.request_stop(find_journal(store), clock=SystemClock())


def status_of(store: Path | None) -> RunStatus | None:
    """How the newest run stands."""
    from pro.remediation import executor

    return executor.status(find_journal(store))


def note_placement(store: Path, world: World, at: datetime) -> None:
    """Keep in the store where VMs were seen, if it has an inventory. VMs seen twice or nowhere stay where they were noted."""
    from pro.fleet.archive import load_inventory, save_inventory
    from pro.fleet.inventory import with_placement

    if not (store / "inventory").is_dir():
        return
    inventory = load_inventory(store)
    where = {v.vm: v.hosts[0] for v in world.vms.values() if len(v.hosts) == 1}
    standing = dict(zip(inventory.vms["id"].tolist(), inventory.standing(), strict=True))
    hosts = inventory.hosts["id"].tolist()
    if any(hosts[standing[vm]] != host for vm, host in where.items() if standing.get(vm, -1) >= 0):
        save_inventory(store, with_placement(inventory, where, at))
