"""What every command shares: options, where output goes, and how errors become exit codes.

The result goes to stdout (with `--json`: JSON and nothing else, also where it is an error); progress and remarks go to stderr. Exit codes: 0 done or
nothing to do, 1 error, 2 usage, 3 there is something to do (only with `--check`), 4 refused, 5 applied in part.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from pro.actions.places import DEFAULT_STORE as DEFAULT_STORE
from pro.core.text import lines, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pro.config import Config

OK, ERROR, USAGE, SOMETHING_TO_DO, REFUSED, IN_PART, CTRL_C = 0, 1, 2, 3, 4, 5, 130

_OWED: ContextVar[bool] = ContextVar("owed", default=False)
"""Whether the command at work was asked for JSON and has printed none yet: then an error is told in JSON."""


def owe(document: bool) -> bool:
    """Note that a document is owed, or that none is; returns which. Called for the option `--json` of every command that has it."""
    _OWED.set(document)
    return document


Store = Annotated[
    Path, typer.Option("--store", envvar="PRO_STORE", help="Folder with samples, inventory, tips and journal.")
]
Now = Annotated[
    str | None,
    typer.Option("--now", help="Pretend it is this instant (ISO 8601, UTC if no offset); nothing later is read."),
]
Json = Annotated[bool, typer.Option("--json", callback=owe, help="JSON on stdout.")]
Settings = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default: $PRO_CONFIG, then ./pro.toml.")
]
Goal = Annotated[
    Literal["balance", "consolidate", "repair"],
    typer.Option("--goal", help="Cool hot hosts; also empty hosts; or only bring broken rules back into force."),
]
MaybeGoal = Annotated[
    Literal["balance", "consolidate", "repair"] | None, typer.Option("--goal", help="Default: as `pro watch`.")
]
MaxMoves = Annotated[int | None, typer.Option("--max-moves", min=0, help="At most so many migrations.")]
Threshold = Annotated[float | None, typer.Option(help="Fraction of capacity from which a host is hot.")]
Backend = Annotated[str, typer.Option(help="URL of the backend, such as simulated:estate.json.")]
MaybeBackend = Annotated[
    str | None, typer.Option("--backend", envvar="PRO_BACKEND", help="URL of the backend; default: as `pro watch`.")
]
ContractFile = Annotated[
    Path | None,
    typer.Option("--contract", envvar="PRO_CONTRACT", help="What may be applied alone; without one, nothing."),
]
Horizon = Annotated[str | None, typer.Option("--horizon", help="How far ahead, as 24h, 90m or 2d.")]


def settings(path: Path | None, *, threshold: float | None = None, horizon: str | None = None) -> Config:
    """The settings in force, with the options that several commands share on top; None means not given."""
    from pydantic import ValidationError

    from pro.config import load
    from pro.core.errors import UsageError

    config = load(path)
    for where, section, key, value in (
        ("--threshold", "heat", "threshold", threshold), ("--horizon, in hours", "forecast", "horizon_h", hours(horizon)),
    ):  # fmt: skip
        if value is not None:
            old = getattr(config, section)
            try:
                new = type(old)(**{**old.model_dump(), key: value})
            except ValidationError as error:
                raise UsageError(error.errors()[0]["msg"], got=value, where=where) from None
            config = config.model_copy(update={section: new})
    return config


def instant(text: str | None, where: str = "--now") -> datetime | None:
    """An instant from an option. Without an offset it is UTC."""
    if text is None:
        return None
    from pro.core.errors import UsageError

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "not an instant", got=text, expected="ISO 8601, such as 2026-03-01T00:00Z", where=where
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def hours(text: str | None, where: str = "--horizon") -> float | None:
    """Hours from `24h`, `90m` or `2d`."""
    if text is None:
        return None
    return seconds(text, where) / 3600


def seconds(text: str, where: str) -> float:
    """Seconds from `10m`, `24h`, `2d` or `30s`."""
    from pro.core.errors import UsageError

    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    try:
        value = float(text[:-1]) * units[text[-1]]
    except (KeyError, ValueError, IndexError):
        raise UsageError(
            "not a duration", got=text, expected="a number and s, m, h or d, such as 24h", where=where
        ) from None
    if not 0 < value < 1e9:
        raise UsageError("not a duration", got=text, expected="more than nothing", where=where)
    return value


def filled(text: str, where: str) -> str:
    """Words from an option, which must not be blank."""
    from pro.core.errors import UsageError

    if not text.strip():
        raise UsageError("it is empty", where=where)
    return text


def emit(document: Any) -> None:
    """A JSON document on stdout. NaN is refused: it is no JSON."""
    emit_text(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False, default=str))


def emit_text(document: str) -> None:
    """A JSON document that is text already, on stdout."""
    owe(False)
    typer.echo(document)


def failure(message: str, exit_code: int, problems: Sequence[str] = ()) -> dict[str, Any]:
    """Schema "error/1": what went wrong, or was refused, in place of the document that was asked for."""
    return {"schema": "error/1", "exit_code": exit_code, "message": message, "problems": list(problems)}


def say(text: str = "") -> None:
    """A line for people on stdout: the result of a command without `--json`. With plain spaces, so that it can be searched."""
    typer.echo(lines(text).replace("\u00a0", " "))


def remark(text: str) -> None:
    """A line for people on stderr: progress, warnings."""
    typer.echo(lines(text), err=True)


class Progress:
    """One line on stderr that says what is going on, on a terminal. Elsewhere, and with NO_COLOR, a line for each step, and for each
    tenth of one that takes long."""

    LEAST_S = 2.0
    """Seconds between two such lines, at least."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self.told = ("", 0, 0.0)
        """Step, tenths and instant of the last line that was printed, or of the step's begin."""

    def __call__(self, step: str) -> None:
        if self.live:
            sys.stderr.write(f"\r\x1b[K{plain(step)} \u2026")
            sys.stderr.flush()
        else:
            remark(f"{step} ...")

    def share(self, step: str, done: float) -> None:
        """The same with a bar, `done` 0..1."""
        if self.live:
            width = 30
            full = int(done * width)
            sys.stderr.write(f"\r\x1b[K{plain(step)} [{'#' * full}{'.' * (width - full)}] {done:4.0%}")
            sys.stderr.flush()
            return
        now = time.monotonic()
        known, tenth, at = self.told
        tenths = int(10 * done + 1e-9)
        if known != step:
            self.told = (step, tenths, now)
        elif tenths > tenth and now - at >= self.LEAST_S:
            self.told = (step, tenths, now)
            remark(f"{plain(step)} {done:.0%}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line, for the result or for what went wrong."""
        if self.live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def errors(interrupted: str | Callable[[], str] = "interrupted") -> Iterator[None]:
    """Turn PRO's errors, and those of the disk, into a message, on stdout in JSON if that was asked for, and an exit code; a bug keeps
    its traceback. `interrupted`: what is said after Ctrl-C, or tells what there is to say then."""
    from pro.core.errors import FleetError, ProError

    try:
        yield
    except ProError as error:
        problems = error.problems if isinstance(error, FleetError) else ()
        _fail(f"error: {error}", failure(str(error), error.exit_code, problems))
    except KeyboardInterrupt:
        words = interrupted if isinstance(interrupted, str) else interrupted()
        _fail(words, failure(words, CTRL_C))
    except Exception as error:
        why = of_the_disk(error)
        if why is None:
            raise
        _fail(f"error: {why}", failure(why, ERROR))


def _fail(words: str, document: dict[str, Any]) -> NoReturn:
    """Say it to people and, if a document is owed, to programs; exit."""
    remark(words)
    if _OWED.get():
        emit(document)
    raise SystemExit(document["exit_code"]) from None


def of_the_disk(error: Exception) -> str | None:
    """What a file system or SQLite says is wrong (full, forbidden, a folder, locked); None for everything else."""
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and error.strerror:
        name = error.filename2 or error.filename
        return f"{name}: {error.strerror}" if name is not None else error.strerror
    return f"journal or tips: {error}" if type(error).__module__ == "sqlite3" else None


def write_text(path: Path, text: str) -> None:
    """Write a result file whole or not at all; `-` is stdout."""
    if str(path) == "-":
        typer.echo(text)
        return
    from pro.core.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode("utf-8"))


def table(rows: list[tuple[Any, ...]], head: tuple[str, ...]) -> str:
    """A plain table: numbers to the right, the rest to the left."""
    cells = [tuple(str(c) for c in row) for row in rows]
    widths = [max(len(h), *(len(r[i]) for r in cells)) if cells else len(h) for i, h in enumerate(head)]
    right = [bool(rows) and all(isinstance(r[i], int | float) for r in rows) for i in range(len(head))]

    def line(parts: tuple[str, ...]) -> str:
        return "  ".join(p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)).rstrip()

    return "\n".join([line(head), *map(line, cells)])
