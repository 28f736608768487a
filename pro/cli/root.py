"""All commands in one tree."""

from __future__ import annotations

import typer

from pro import __version__
from pro.cli import backtest, data, faces, hands, hook, plans, predict, tips

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
app.add_typer(data.inventory, name="inventory", help="Hosts, VMs and rules: bring them in, or ask a backend.")
app.add_typer(tips.group, name="tips", help="Recommendations: list, show, approve, dismiss.")
app.add_typer(faces.config_group, name="config", help="Settings: what is in force, and what there is.")
