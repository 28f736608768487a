"""Plans: make one, look at it, ask why, check it, see it as a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    ERROR,
    SOMETHING_TO_DO,
    Goal,
    Horizon,
    Json,
    MaxMoves,
    Now,
    Progress,
    Settings,
    Store,
    Threshold,
    emit,
    emit_text,
    errors,
    instant,
    remark,
    say,
    settings,
    write_text,
)

if TYPE_CHECKING:
    from pro.planning.plan import Plan

group = typer.Typer()

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN.JSON", help="A plan that `pro plan -o` wrote.")]


@group.command()
def plan(
    store: Store = DEFAULT_STORE,
    now: Now = None,
    goal: Goal = "balance",
    evacuate: Annotated[list[str] | None, typer.Option(help="Empty this host; may be given several times.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Touch only this cluster.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Time for the search.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Threads for a large fleet.")] = None,
    max_moves: MaxMoves = None,
    aggressiveness: Annotated[
        int | None, typer.Option(min=1, max=5, help="1 only what hurts, 5 almost any gain.")
    ] = None,
    threshold: Threshold = None,
    horizon: Horizon = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write plan.json here.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 3 when there is something to do.")] = False,
    json: Json = False,
    config: Settings = None,
) -> None:
    """The fewest migrations that cool hot hosts (balance), also empty hosts (consolidate), or only repair rules (repair)."""
    with errors():
        from pro.actions.looking import host_ids
        from pro.core.clock import SystemClock
        from pro.planning.io import dumps
        from pro.planning.show import show
        from pro.workflow import decide, look_ahead, policy_of

        with Progress() as progress:
            conf = settings(config, threshold=threshold, horizon=horizon)
            outlook = look_ahead(store, conf, instant(now), progress)
            policy = policy_of(
                conf, goal=goal, evacuate=host_ids(outlook.fleet, evacuate or []) or None, cluster=cluster, seconds=seconds,
                seed=seed, workers=workers, max_moves=max_moves, aggressiveness=aggressiveness,
            )  # fmt: skip
            found = decide(outlook, conf, policy, created_at=SystemClock().now(), tell=progress)
        for warning in found.report.warnings:
            remark(f"warning: {warning}")
        text = dumps(found.plan)
        if output is not None and not (json and str(output) == "-"):
            write_text(output, text)
        if json:
            emit_text(text)
        elif str(output) != "-":
            from pro.reports.words import failover, headline

            say(headline(found.report))
            if standby := failover(found.report):
                say(standby)
            say()
            for line in show(found.plan):
                say(line)
            if output is not None:
                remark(f"written: {output}")
        if check and found.plan.migrations:
            raise SystemExit(SOMETHING_TO_DO)


@group.command()
def failover(
    store: Store = DEFAULT_STORE,
    now: Now = None,
    k: Annotated[int, typer.Option("--k", min=1, help="So many hosts of one cluster may fail together, or fewer.")] = 1,
    cpu: Annotated[
        int | None,
        typer.Option("--cpu", min=1, help="Processor promises, too, stay within so many per cent of a host's."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 3 unless every failure can be survived.")] = False,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Whether any host may fail: each VM of it must find a place on the others by every rule, or you are told which does not and why."""
    with errors():
        from pro.actions.looking import failover_document

        found = failover_document(store, settings(config), instant(now), k, cpu)
        if json:
            emit(found)
        else:
            for line in found["lines"]:
                say(line)
        if check and found["holds"] is not True:
            raise SystemExit(SOMETHING_TO_DO)


@group.command()
def show(plan: PlanFile, json: Json = False) -> None:
    """Print a plan for people."""
    with errors():
        from pro.planning.io import dumps
        from pro.planning.show import show as lines

        found = read_plan(plan)
        if json:
            emit_text(dumps(found))
            return
        for line in lines(found):
            say(line)


@group.command()
def explain(
    plan: PlanFile,
    name: Annotated[
        str, typer.Argument(metavar="VM|HOST|RULE", help="Id or name of a VM or of a host, name of a rule.")
    ],
    on: Annotated[str | None, typer.Option(help="Why is the VM not on this host? What would it cost there?")] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Work it out anew from the store the plan was made of: any VM, host or rule, not only those it tells of."
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="With --store: how long to look for rules to relax.")
    ] = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Why a VM moves, what happens if it does not, and which other hosts refuse it; what a host gets, and what binds it; how a rule is
    broken, and what would have to be relaxed for it."""
    with errors():
        from pro.actions.explaining import explain

        asked = read_plan(plan)
        if store is not None:
            from pro.actions.asking import answered, ask_again

            with Progress() as progress:
                again = ask_again(asked, store, settings(config), progress)
                asked = answered(again, name, everywhere=on is not None, seconds=seconds)
            for warning in again.remarks:
                remark(f"warning: {warning}")
        elif seconds is not None:
            from pro.core.errors import UsageError

            raise UsageError("to look longer takes a store", expected="--store DIR as well", where="--seconds")
        found = explain(asked, name, on)
        if json:
            emit(found.document)
            return
        for line in found.lines:
            say(line)


@group.command()
def verify(plan: PlanFile, store: Store = DEFAULT_STORE, now: Now = None, json: Json = False) -> None:
    """Check a plan independently of whatever made it, against the inventory in the store. Exit code 1 if anything is wrong."""
    with errors():
        from pro.actions.verifying import verify_plan
        from pro.core.text import plain

        found = verify_plan(read_plan(plan), store, instant(now))
        if json:
            emit({"schema": "verify/1", "ok": not found.faults, "faults": found.faults, "rules": found.rules})
        else:
            for fault in found.faults:
                say(f"wrong: {fault}")
            if not found.faults:
                say("the plan holds: every start and end of every migration keeps every rule")
                say(f"rules: {', '.join(plain(name) for name in found.rules)}")
        if found.faults:
            raise SystemExit(ERROR)


@group.command()
def script(
    plan: PlanFile,
    dialect: Annotated[
        Literal["scvmm", "cluster", "hyperv"], typer.Option(help="Whose commands the script is made of.")
    ] = "scvmm",
    tip: Annotated[str, typer.Option(help="GUID of the PRO tip that asked for it, for VMM's job log.")] = "",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the script here.")] = None,
) -> None:
    """The plan in the platform's own words, safe to paste: names never become script text."""
    with errors():
        from pro.planning.scripts.powershell import script as render

        write_text(output or Path("-"), render(read_plan(plan), dialect, tip))


def read_plan(path: Path) -> Plan:
    """A plan from a file (`-`: stdin)."""
    import sys

    from pro.core.errors import InputError
    from pro.planning.io import loads

    try:
        text: Any = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the plan cannot be read ({getattr(error, 'strerror', None) or error})", where=path) from None
    try:
        return loads(text)
    except InputError as error:
        where = path if error.where is None else f"{path}: {error.where}"
        raise InputError(error.what, got=error.got, expected=error.expected, where=where) from None
