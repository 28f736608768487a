"""Carrying out: apply, status, stop, resume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pro.cli.common import ERROR, OK, Backend, Json, Settings, emit, errors, remark, say, settings
from pro.cli.plans import PlanFile, read_plan

if TYPE_CHECKING:
    from pro.remediation.records import Event
    from pro.remediation.result import ApplyResult

group = typer.Typer()

INTERRUPTED = (
    "interrupted; what was in flight may still end: `pro resume` finds out what really happened and does the rest"
)

MaybeStore = Annotated[
    Path | None,
    typer.Option(
        "--store", envvar="PRO_STORE", help="Store whose journal is meant; default: ./pro-store, then the newest apply."
    ),
]


@group.command()
def apply(
    plan: PlanFile,
    backend: Backend,
    store: MaybeStore = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ignore_balancer: Annotated[bool, typer.Option(help="Go on although another balancer is active.")] = False,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Carry out a plan. Exit code 0 done or nothing to do, 4 refused (stale, lock, kill switch), 5 applied in part."""
    with errors(INTERRUPTED):
        from pro.actions.applying import apply_plan

        found = read_plan(plan)
        if found.migrations and not yes:
            _ask(len(found.migrations))
        result = apply_plan(found, backend, store, settings(config), ignore_balancer=ignore_balancer, on_event=_hear)
        _end(result, json)


@group.command()
def resume(
    store: MaybeStore = None,
    backend: Annotated[str | None, typer.Option(help="URL of the backend, if it is another one by now.")] = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Take up an interrupted apply: look at what really happened, then do the rest."""
    with errors(INTERRUPTED):
        from pro.actions.applying import resume_run

        _end(resume_run(store, settings(config), backend, _hear), json)


@group.command()
def stop(store: MaybeStore = None, json: Json = False) -> None:
    """No new migration from now on; what is in flight is let end. Returns at once."""
    with errors():
        from pro.actions.applying import stop_run
        from pro.core.text import plain

        found = stop_run(store)
        if json:
            emit({"schema": "stop/1", "asked": found is not None, "status": None if found is None else found.to_json()})
        elif found is None:
            say("nothing is under way")
        else:
            say(
                f"asked run {found.run} to stop; in flight: {', '.join(plain(s.vm) for s in found.in_flight) or 'nothing'}"
            )


@group.command()
def status(store: MaybeStore = None, json: Json = False) -> None:
    """How the newest apply stands. Exit code 1 if it was interrupted and waits for `pro resume`."""
    with errors():
        from pro.actions.applying import status_of
        from pro.core.text import counted, plain

        found = status_of(store)
        if found is None:
            if json:
                emit({"schema": "status/1", "run": None})
            else:
                say("nothing was ever applied")
            return
        if json:
            emit(found.to_json())
        else:
            done = sum(s.state == "done" for s in found.steps)
            say(
                f"run {found.run} of plan {plain(found.plan_id)[:12]}: {found.state}, {done} of {counted(len(found.steps), 'migration')} done"
            )
            for step in found.steps:
                name = plain(step.vm)
                say(
                    f"  {step.state:8}  {name}  {plain(step.source)} -> {plain(step.destination)}  {plain(step.reason, 200)}".rstrip()
                )
            if found.driven:
                say(f"under way: {found.driver}")
            elif found.interrupted:
                say("interrupted: `pro resume` finds out what really happened and does the rest")
        raise SystemExit(ERROR if found.interrupted else OK)


def _ask(count: int) -> None:
    from pro.core.errors import RefusedError
    from pro.core.text import counted

    if not sys.stdin.isatty():
        raise RefusedError(f"{counted(count, 'migration')} and nobody to ask: give --yes")
    if not typer.confirm(f"Carry out {counted(count, 'migration')}?", err=True):
        raise RefusedError("not confirmed")


def _hear(event: Event) -> None:
    """Says on stderr what the executor does."""
    from pro.core.text import plain

    remark(f"{event.at[11:19]}  {plain(event.kind.replace('_', ' ')):8}  {plain(event.text, 200)}")


def _end(result: ApplyResult, json: bool) -> None:
    from pro.core.text import counted
    from pro.remediation.result import NOTHING

    if json:
        emit(result.to_json())
    else:
        say(NOTHING if result.state == NOTHING else f"{result.state}: {counted(result.moved, 'migration')} done")
        for reason in result.reasons:
            say(f"  {reason}")
    raise SystemExit(result.exit_code)
