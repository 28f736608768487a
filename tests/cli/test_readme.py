"""README.md is true: its links lead somewhere, its ten minutes can be walked, its make targets exist."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from typer.main import get_command

from pro.cli.root import app

if TYPE_CHECKING:
    from tests.cli.conftest import Pro
    from tests.small import Estate

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", TEXT)
    assert len(targets) > 10
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_ten_minutes_with_an_estate(pro: Pro, home: Path, small: Estate) -> None:
    for table in small.tables:
        shutil.copy(table, home / table.name)
    (home / "counters.csv").write_bytes(gzip.decompress(small.counters.read_bytes()))
    block = TEXT.split("## Ten minutes")[1].split("```")[1]
    lines = [line.partition(" #")[0] for line in block.splitlines() if line.startswith("pro ")]
    assert len(lines) == 9
    for line in lines:
        words = shlex.split(line.replace("SQL01", "SQL002"))[1:]
        if words[0] == "apply":
            words = [w.replace("estate.json", "estate.json?speed=10000") for w in words] + ["--yes"]
        ran = pro(*words)
        assert ran.code == 0, (line, ran.err)
    assert {"plan.json", "report.html", "plan.ps1", "estate.json"} <= {p.name for p in home.iterdir()}


def test_every_command_is_in_the_table() -> None:
    told = set(re.findall(r"`pro ([a-z]+)", TEXT.split("## What you get")[1].split("## How")[0]))
    assert told == set(getattr(get_command(app), "commands", {}))


def test_the_two_commands_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)", TEXT)) <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_picture_is_small_and_fetches_nothing() -> None:
    picture = ROOT / "docs" / "img" / "heat.svg"
    assert picture.stat().st_size < 150_000
    assert not re.search(r"href|@import|url\(", picture.read_text("utf-8"))
