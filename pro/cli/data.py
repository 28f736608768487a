"""Bringing data in: counters, inventory, and a look at what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    ERROR,
    Backend,
    Json,
    Now,
    Progress,
    Settings,
    Store,
    emit,
    errors,
    instant,
    remark,
    say,
    settings,
    table,
)

group = typer.Typer()
inventory = typer.Typer(no_args_is_help=True)

Sources = Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)]


@group.command()
def ingest(
    source: Sources,
    store: Store = DEFAULT_STORE,
    tz: Annotated[str, typer.Option(help="Time zone of files that do not state theirs.")] = "UTC",
    encoding: Annotated[str | None, typer.Option(help="Encoding of files that are not UTF-8.")] = None,
    json: Json = False,
) -> None:
    """Take in performance counters of any supported format; the same file twice adds nothing."""
    with errors():
        from pro.telemetry.readers.options import ReadOptions
        from pro.telemetry.store import Store as SampleStore

        with Progress() as progress:
            options = ReadOptions(tz=tz, encoding=encoding)
            report = SampleStore(store).ingest(
                source, lambda file, done: progress.share(Path(file).name, done), options
            )
        for warning in report.warnings:
            remark(f"warning: {warning}")
        if json:
            emit(report.to_json())
            return
        say(
            f"read {report.read:,}  kept {report.kept:,}  duplicate {report.duplicate:,}"
            f"  ignored {report.ignored:,}  quarantined {report.quarantined:,}"
        )
        if report.quarantined:
            say(f"what could not be read, with file, line and reason: {store / 'quarantine'}")


@inventory.command("import")
def import_(
    source: Sources,
    store: Store = DEFAULT_STORE,
    at: Annotated[str | None, typer.Option(help="Instant the inventory describes; default: now.")] = None,
    leave_out: Annotated[
        bool, typer.Option(help="Import in spite of contradictions; VMs they concern are left out.")
    ] = False,
    json: Json = False,
) -> None:
    """Take in hosts.csv, vms.csv and rules.json; every contradiction is reported, all at once."""
    with errors():
        from pro.fleet.inventory import import_inventory

        report = import_inventory(store, source, instant(at, "--at"), leave_out=leave_out)
        for problem in report.problems:
            remark(f"{problem.severity}: {problem.text}")
        if json:
            emit(report.to_json())
            return
        stored = "" if report.stored else "  (already known)"
        say(f"hosts {report.hosts:,}  VMs {report.vms:,}  rules {report.rules:,}{stored}")


@inventory.command("discover")
def discover(
    backend: Backend,
    store: Annotated[
        Path | None, typer.Option(envvar="PRO_STORE", help="Also note in this store where VMs stand.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask a backend where every VM stands now."""
    with errors():
        from pro.actions.looking import discover as ask

        world = ask(backend, store)
        if json:
            emit(world)
            return
        say(table([(v["vm"], ", ".join(v["hosts"]), v["state"]) for v in world["vms"]], ("vm", "host", "state")))


@group.command()
def doctor(store: Store = DEFAULT_STORE, now: Now = None, json: Json = False, config: Settings = None) -> None:
    """What is missing in the data, since when, and which hosts are therefore left alone. Exit code 1 if there is nothing to work with."""
    with errors():
        from pro.actions.looking import examine
        from pro.core.clock import SystemClock

        found = examine(store, settings(config), instant(now), SystemClock().now())
        if json:
            emit(found)
        else:
            for line in found["lines"]:
                say(line)
        if not found["usable"]:
            raise SystemExit(ERROR)
