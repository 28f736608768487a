"""All commands in one tree."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import typer

from pro import __version__
from pro.cli import backtest, data, faces, hands, hook, plans, predict, tips
from pro.cli.common import owe

if TYPE_CHECKING:
    from typer.models import CommandInfo

app = typer.Typer(
    name="pro",
    help="Says which hosts will run hot, and moves the fewest virtual machines that fix it, safely.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pro {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Says which hosts will run hot, and moves the fewest virtual machines that fix it, safely."""
    owe(False)


EXITS = {
    "done or nothing to do": 0, "error": 1, "usage": 2, "there is something to do, with --check": 3,
    "refused": 4, "applied in part": 5,
}  # fmt: skip
"""What exit codes mean; a command's help tells those that it can end with."""
ERRORS = {
    "doctor": "error, or nothing to work with", "verify": "error, or something is wrong with the plan",
    "status": "error, or the run was interrupted and waits for `pro resume`",
}  # fmt: skip
REFUSE = (
    "demo",
    "ingest",
    "apply",
    "resume",
    "watch",
    "hook",
    "backtest",
    "tips approve",
    "tips dismiss",
    "tips test",
)
"""Where a lock, a gate or a person may say no."""
IN_PART = ("apply", "resume", "watch", "hook")


def exits(command: CommandInfo, under: str) -> str:
    """What the exit codes of `command` mean, on one line. `under`: the words before its own, such as `tips`."""
    assert command.callback is not None
    name = f"{under} {command.name or command.callback.__name__}".strip()
    kept = {0, 1, 2}
    kept |= {3} if "check" in signature(command.callback).parameters else set()
    kept |= {4} if name in REFUSE else set()
    kept |= {5} if name in IN_PART else set()
    meaning = {code: said for said, code in EXITS.items() if code in kept}
    meaning[1] = ERRORS.get(name, meaning[1])
    return "Exit codes: " + "; ".join(f"{code} {said}" for code, said in meaning.items()) + "."


for _group in (
    faces.demo_group,
    data.group,
    predict.group,
    plans.group,
    hands.group,
    hook.group,
    backtest.group,
    faces.group,
):
    for _command in _group.registered_commands:
        app.registered_commands.append(_command)
for _under, _typer in (("", app), ("inventory", data.inventory), ("tips", tips.group), ("config", faces.config_group)):
    for _command in _typer.registered_commands:
        _command.epilog = exits(_command, _under)
app.add_typer(data.inventory, name="inventory", help="Hosts, VMs and rules: bring them in, or ask a backend.")
app.add_typer(tips.group, name="tips", help="Recommendations: list, show, approve, dismiss, test.")
app.add_typer(faces.config_group, name="config", help="Settings: what is in force, and what there is.")
