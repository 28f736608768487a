"""Results as a table, on screen and in RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULTS = Path(__file__).with_name("RESULTS.md")


def command_line(story: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark that `story` (its docstring) explains, with `--record`."""
    options = argparse.ArgumentParser(description=story, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--record", action="store_true", help="append to RESULTS.md")
    return options


def tell(what: str, how: str, rows: Sequence[Mapping[str, Any]], record: bool) -> None:
    """Print `rows` under `what`, the day, the machine and `how` it was measured; with `record`, also append them to RESULTS.md."""
    heads = list(rows[0])
    text = "\n".join(
        [
            f"\n## {what}, {date.today()}, {platform.machine()} with {os.cpu_count()} cores, {how}\n",
            f"| {' | '.join(heads)} |",
            "|" + "---|" * len(heads),
            *(f"| {' | '.join(_cell(row[h]) for h in heads)} |" for row in rows),
        ]
    )
    print(text)
    if record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
