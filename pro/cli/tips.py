"""Tips: what PRO thinks should be done, and what people think of it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    ContractFile,
    Json,
    MaybeBackend,
    Progress,
    Settings,
    Store,
    emit,
    errors,
    filled,
    remark,
    say,
    settings,
    table,
)

if TYPE_CHECKING:
    from pro.actions.rehearsal import Rehearsal
    from pro.remediation.tips import TipBook

WATCHES = {
    "answers": "one is at work and answers", "none": "none is at work",
    "busy": "one is at work and does not answer: it is in the middle of a look, or stuck",
}  # fmt: skip

group = typer.Typer(no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="TIP", help="Number of the tip.")]
Who = Annotated[str | None, typer.Option("--as", help="Who decides; default: your account.")]


def _book(store: Path) -> TipBook:
    """The tip book of a store. One that nobody has begun is read as an empty one, and not begun by that."""
    from pro.actions.places import TIPS, present
    from pro.remediation.tips import TipBook

    path = present(store) / TIPS
    return TipBook(path if path.exists() else Path(":memory:"))


def _name(who: str | None) -> str:
    return getpass.getuser() if who is None else filled(who, "--as")


@group.command("list")
def list_(
    store: Store = DEFAULT_STORE,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    json: Json = False,
) -> None:
    """Tips that call for something."""
    with errors(), _book(store) as book:
        tips = book.tips(active=not every)
        if json:
            emit({"schema": "tips/1", "tips": [t.to_json() for t in tips]})
        elif not tips:
            say("no tips")
        else:
            say(table([(t.id, t.state.value, t.severity, t.title, t.action, t.cost) for t in tips],
                      ("tip", "state", "severity", "what is wrong", "what to do", "what it costs")))  # fmt: skip


@group.command("show")
def show(number: Number, store: Store = DEFAULT_STORE, json: Json = False) -> None:
    """One tip, its plan and its history."""
    from pro.core.text import minute

    with errors(), _book(store) as book:
        tip = book.tip(number)
        history = book.history(number)
        if json:
            emit({**tip.to_json(), "history": history})
            return
        for label, text in (
            ("what is wrong", f"{tip.title}. {tip.problem}"), ("what to do", tip.action), ("what it costs", tip.cost),
            ("if ignored", tip.ignored), ("state", f"{tip.state.value} {tip.reason}".rstrip()), ("plan", tip.plan_id or "none"),
        ):  # fmt: skip
            say(f"{label:14} {text}")
        for change in history:
            step = f"{change['before'] or '-'} -> {change['after']}"
            say("  ".join([minute(change["at"]), step, change["who"], change["reason"]]).rstrip())
        if tip.plan_id:
            from pro.planning.show import show as lines

            _tell_dismissed(book, tip.plan_id)
            say()
            for line in lines(book.plan(number)):
                say(line)


@group.command("approve")
def approve(
    number: Number,
    store: Store = DEFAULT_STORE,
    who: Who = None,
    plan: Annotated[
        str | None, typer.Option(help="Id of the plan you have seen; refused if it is another by now.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the approved plan.json here.")] = None,
    json: Json = False,
) -> None:
    """Say yes to a tip's plan, the whole of it. `pro watch` carries it out at its next look, or `pro apply` does."""
    with errors(), _book(store) as book:
        from pro.core.clock import SystemClock
        from pro.core.text import counted

        approved = book.approve(number, _name(who), SystemClock().now(), plan_id=plan)
        if output is not None:
            from pro.cli.common import write_text
            from pro.planning.io import dumps

            write_text(output, dumps(book.plan(number)))
        if json:
            emit({"schema": "tips/1", "tips": [t.to_json() for t in approved]})
        else:
            moves = counted(len(book.plan(number).migrations), "migration")
            say(
                f"approved: {', '.join(map(str, sorted(t.id for t in approved)))} (plan {approved[0].plan_id[:12]}, {moves})"
            )
        _tell_dismissed(book, approved[0].plan_id)


def _tell_dismissed(book: TipBook, plan_id: str) -> None:
    """A plan is carried out whole: who says yes to it should know who said no to some of it."""
    from pro.core.text import plain
    from pro.remediation.tip import TipState

    for tip in book.views(plan_id, TipState.DISMISSED):
        remark(
            f"tip {tip.id} of the same plan was dismissed ({plain(tip.reason, 200)}); what it asks for is carried out with the plan"
        )


@group.command("dismiss")
def dismiss(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why not.")],
    store: Store = DEFAULT_STORE,
    who: Who = None,
    json: Json = False,
) -> None:
    """Say no to a tip; the same trouble is not raised again for a day, unless it gets worse."""
    with errors(), _book(store) as book:
        from pro.core.clock import SystemClock
        from pro.remediation.tip import DECIDED

        tip = book.dismiss(number, _name(who), SystemClock().now(), filled(reason, "--reason"))
        if json:
            emit(tip.to_json())
        else:
            say(f"dismissed: {tip.id}")
        if tip.plan_id and (still := book.views(tip.plan_id, *DECIDED)):
            names = ", ".join(map(str, sorted(t.id for t in still)))
            remark(
                f"its plan stays approved by tip {names}, and is carried out whole; dismiss these, too, if it must not be"
            )


@group.command("test")
def rehearse_(
    store: Store = DEFAULT_STORE,
    backend: MaybeBackend = None,
    contract: ContractFile = None,
    who: Who = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """A test tip goes the whole way, marked as one: raised, put to backend, watch and gates, approved, carried out, closed. Moves nothing."""
    with errors():
        from pro.actions.rehearsal import rehearse
        from pro.actions.watching import told_to_watch

        with Progress() as progress:
            watched = told_to_watch(store, settings(config), backend=backend, contract=contract)
            found = rehearse(watched, _name(who), progress)
        if json:
            emit(found.to_json())
        else:
            _say_test(found)
        raise SystemExit(found.applied.exit_code)


def _say_test(found: Rehearsal) -> None:
    from pro.core.text import counted

    tip, world, noted = found.tip, found.world, found.noted
    say(f"tip {tip.id}: {tip.title}")
    say(
        f"backend   {found.backend}: {counted(len(world.hosts), 'host')}, {counted(len(world.vms), 'VM')}; a ticket nobody has is {found.ticket} to it"
    )
    say(f"watch     {WATCHES[found.watch]}")
    say(
        f"hook      looks at {noted['backend']}"
        if noted
        else "hook      needs --backend: no watch has run on this store yet"
    )
    for name, alone, permit in found.gates:
        say(
            f"gate      {name}: {'permits' if permit.allowed else 'refuses'}{' acting alone' if alone else ''}, {permit.reason}"
        )
    say(f"applied   {found.applied.state}")
    say(f"tip {tip.id} {tip.state.value}: {tip.reason}")
