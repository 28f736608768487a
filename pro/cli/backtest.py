"""What would have happened: policies side by side over the store's own past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    Json,
    Progress,
    Settings,
    Store,
    Threshold,
    emit,
    errors,
    instant,
    remark,
    say,
    seconds,
    settings,
    table,
)

group = typer.Typer()

HEAD = (
    "policy", "hot min", "of nothing", "% x h", "peak", "contention", "migrations", "a day", "GiB", "blackout s", "undone",
    "hosts on", "kWh",
)  # fmt: skip


@group.command()
def backtest(
    store: Store = DEFAULT_STORE,
    begins: Annotated[
        str | None,
        typer.Option(
            "--from", help="First instant (ISO 8601, UTC if no offset); unset: three days after the first sample."
        ),
    ] = None,
    ends: Annotated[str | None, typer.Option("--to", help="Last instant; unset: the newest sample.")] = None,
    every: Annotated[str, typer.Option("--every", help="How often policies look, as 15m or 1h.")] = "15m",
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            help="A policy (TOML); may be given several times. Unset: ours at aggressiveness 1-5, and the rules people use.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the report, tables and state; run again, an interrupted backtest goes on.",
        ),
    ] = None,
    threshold: Threshold = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Had these policies run over the past: how hot would hosts have been, with how many migrations?"""
    replaced: list[str] = []
    kept = [0.0]

    def interrupted() -> str:
        if output is None:
            return "interrupted"
        if kept[-1] == 0:
            return "interrupted before anything was kept; run again, it begins anew"
        return f"interrupted; run again with the same -o, it goes on where it was last kept, at {kept[-1]:.0%}"

    with errors(interrupted):
        from pro.actions.backtesting import Listener, Span, run_backtest

        conf = settings(config, threshold=threshold)
        span = Span(instant(begins, "--from"), instant(ends, "--to"), seconds(every, "--every"))
        with Progress() as progress:
            listener = Listener(lambda done: progress.share("replaying", done), kept.append, replaced.append)
            found = run_backtest(store, conf, span, policy or (), output, listener)
        for warning in found.warnings:
            remark(f"warning: {warning}")
        document = found.to_json()
        if json:
            emit(document)
        else:
            say(table([_row(p) for p in document["policies"]], HEAD))
            say()
            say(document["verdict"])
        for line in replaced:
            remark(line)
        if output:
            remark(f"written: {output / 'backtest.html'}, and tables beside it")


def _row(p: dict[str, object]) -> tuple[object, ...]:
    share = p["hot_minutes_of_nothing"]
    return (
        p["name"], p["hot_minutes"], f"{share:.1%}" if isinstance(share, float) else "-", p["area"], f"{p['peak']:.0%}",
        p["contention_minutes"], p["migrations"], p["migrations_per_day"], p["gib"], p["blackout_s"], p["undone"],
        p["hosts_on"], p["energy_kwh"],
    )  # fmt: skip
