"""The auto-remediation hook: on a schedule, or at once for an alert."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    ContractFile,
    Goal,
    Json,
    MaybeBackend,
    MaybeGoal,
    Progress,
    Settings,
    Store,
    emit,
    errors,
    failure,
    remark,
    say,
    seconds,
    settings,
)

if TYPE_CHECKING:
    from pro.actions.watching import Cycle, Watch

group = typer.Typer()

Inbox = Annotated[Path | None, typer.Option(envvar="PRO_INBOX", help="Folder where new counter files arrive.")]
BackendUrl = Annotated[str, typer.Option("--backend", envvar="PRO_BACKEND", help="URL of the backend.")]
_ALERT = re.compile(r"[0-9A-Za-z-]{1,64}")


@group.command()
def watch(
    backend: BackendUrl,
    store: Store = DEFAULT_STORE,
    inbox: Inbox = None,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
    every: Annotated[str, typer.Option(help="How often to look, as 10m.")] = "10m",
    contract: ContractFile = None,
    goal: Goal = "balance",
    json: Json = False,
    config: Settings = None,
) -> None:
    """Take in what is new, forecast, raise or close tips, plan, and apply alone only what the contract allows."""
    with errors():
        from pro.actions.watchers import alone, note_watch
        from pro.actions.watching import told_to_watch
        from pro.core.errors import ProError, RefusedError

        pause = seconds(every, "--every")
        watched = told_to_watch(store, settings(config), backend=backend, inbox=inbox, contract=contract, goal=goal)
        lock = alone(store)
        if lock is None:
            raise RefusedError(f"another `pro watch` is at work on {store}")
        try:
            note_watch(watched, contract)
            cause = "schedule"
            while True:
                begun = time.monotonic()
                try:
                    code = _look(watched, cause, json)
                except ProError as error:
                    if once:
                        raise
                    remark(f"this look failed, the next one is due: {error}")
                    if json:
                        emit(failure(str(error), error.exit_code))
                if once:
                    raise SystemExit(code)
                cause = _wait(store, begun + pause)
        finally:
            lock.release()


@group.command()
def hook(
    alert_id: Annotated[str, typer.Option(help="Id of the alert that asks; nothing else of it is used.")],
    store: Store = DEFAULT_STORE,
    backend: MaybeBackend = None,
    inbox: Inbox = None,
    contract: ContractFile = None,
    goal: MaybeGoal = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """One look of `pro watch`, at once, because of an alert. If a watch is at work on the store, it is woken to do it."""
    with errors():
        from pro.core.errors import UsageError

        if not _ALERT.fullmatch(alert_id):
            raise UsageError("no alert id", expected="letters, digits and hyphens, at most 64", where="--alert-id")
        from pro.actions.watchers import alone, wake
        from pro.actions.watching import told_to_watch

        cause = f"alert {alert_id}"
        lock = alone(store)
        if lock is None:
            wake(store, cause)
            if json:
                emit({"schema": "hook/1", "cause": cause, "woken": True})
            else:
                say("a watch is at work on this store; it was woken and looks at once")
            return
        try:
            watched = told_to_watch(store, settings(config), backend=backend, inbox=inbox, contract=contract, goal=goal)
            raise SystemExit(_look(watched, cause, json))
        finally:
            lock.release()


def _wait(store: Path, due: float) -> str:
    """Sleep until `due` (monotonic) or until somebody asks for a look, a second at least; returns why to look."""
    from pro.actions.watchers import answer_knock, woken

    due = max(due, time.monotonic() + 1.0)
    while time.monotonic() < due:
        answer_knock(store)
        cause = woken(store)
        if cause is not None:
            return cause
        time.sleep(min(0.5, max(due - time.monotonic(), 0.0)))
    return "schedule"


def _look(watched: Watch, cause: str, json: bool) -> int:
    from pro.actions.watching import cycle

    with Progress() as progress:
        done = cycle(watched, cause, progress)
    if json:
        emit(done.to_json())
    else:
        _say(done)
    return done.exit_code


def _say(done: Cycle) -> None:
    from pro.core.text import counted

    took = done.ingested
    news = f"{took['kept']:,} new samples" if took else "no inbox"
    found = f"{counted(done.hotspots, 'hotspot')}, {counted(done.migrations, 'migration')} would help"
    say(f"{done.at}  {done.cause}: {news}; {found}")
    for warning in done.warnings:
        remark(f"warning: {warning}")
    for line in done.left:
        remark(f"left in the inbox: {line}")
    if done.resumed:
        say(f"  an interrupted run was taken up: {done.resumed['state']}")
    if done.migrations and not any(tip["plan_id"] for tip in done.tips) and not done.applied:
        say("  no tip calls for them; `pro plan` shows what they would bring")
    for tip in done.tips:
        say(f"  tip {tip['id']} {tip['state']}: {tip['title']}. {tip['action']} ({tip['cost']})")
    if done.cleared:
        say(f"  cleared: {', '.join(map(str, done.cleared))}")
    if done.expired:
        say(f"  expired: {', '.join(map(str, done.expired))}")
    for run in done.applied:
        came_to = "; ".join([f"{run['state']}, {counted(run['moved'], 'migration')}", *run["reasons"]])
        say(f"  plan {run['plan'][:12]}: {came_to}")
    for reason in done.asked:
        say(f"  not applied alone: {reason}")
