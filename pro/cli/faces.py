"""Things to look at: the demo, reports, the dashboard, the settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
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
    errors,
    instant,
    remark,
    say,
    settings,
    table,
)

demo_group = typer.Typer()
group = typer.Typer()
config_group = typer.Typer(no_args_is_help=True)


@demo_group.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's files.")] = Path("demo-out"),
    json: Json = False,
    config: Settings = None,
) -> None:
    """The main job on the sample estate: counters in, plan applied on the simulator, report out."""
    with errors():
        from pro.actions.demo import run_demo

        with Progress() as progress:
            done = run_demo(out, settings(config), progress)
        if json:
            emit(done.document)
            return
        for line in done.lines:
            say(line)


@group.command()
def report(
    store: Store = DEFAULT_STORE,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o", "--output", help="report.html, .xlsx, .json, or a folder for CSV; may be given several times."
        ),
    ] = None,
    now: Now = None,
    goal: Goal = "balance",
    max_moves: MaxMoves = None,
    threshold: Threshold = None,
    horizon: Horizon = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """A report to read and to pass on: what will run hot, what to do, what it costs and what it is good for."""
    with errors():
        from pro.actions.reporting import check_ending, with_record, write_report
        from pro.core.clock import SystemClock
        from pro.reports.json import document
        from pro.reports.words import headline
        from pro.workflow import policy_of, recommend

        outputs = output or [Path("report.html")]
        for path in outputs:
            check_ending(path)
        with Progress() as progress:
            conf = settings(config, threshold=threshold, horizon=horizon)
            policy = policy_of(conf, goal=goal, max_moves=max_moves)
            found = recommend(store, conf, policy, now=instant(now), created_at=SystemClock().now(), tell=progress)
            told = with_record(found, conf, progress)
            files = [p for path in outputs for p in write_report(told, path)]
        if json:
            emit(document(told))
        else:
            say(headline(found.report))
        for path in files:
            remark(f"written: {path}")


@group.command()
def dashboard(
    store: Store = DEFAULT_STORE,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
) -> None:
    """The dashboard in a browser, on this machine only."""
    with errors():
        from pro.actions.reporting import start_dashboard

        remark(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
        sys.exit(start_dashboard(store, port))


@config_group.command("show")
def show(json: Json = False, config: Settings = None) -> None:
    """Every setting in force, and where it came from."""
    with errors():
        from pro.config import origins

        rows = origins(settings(config))
        if json:
            emit({"schema": "config/1", "settings": [{"key": k, "value": v, "from": o} for k, v, o in rows]})
        else:
            say(table([(k, "" if v is None else str(v), o) for k, v, o in rows], ("setting", "value", "from")))


@config_group.command("schema")
def schema(
    document: Annotated[
        str | None, typer.Argument(help="A document, such as hotspots/1; unset: pro.toml; `all`: which there are.")
    ] = None,
) -> None:
    """JSON Schema of pro.toml, or of a document that commands print or write."""
    with errors():
        if document is None:
            from pro.config import Config

            emit(Config.model_json_schema())
            return
        from pro.actions.schemas import names, schema_of

        if document == "all":
            for name in names():
                say(name)
        else:
            emit(schema_of(document))
