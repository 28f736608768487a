"""Errors and refusals: what is left behind by them, and how they are told to programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from pro.cli.root import app
from tests.cli.test_root import EVERY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro

NOWHERE = ("--backend", "simulated:absent.json")
GONE = {
    ("demo",): ("--out", "."),
    ("ingest",): ("absent.csv",),
    ("forecast",): (),
    ("train",): (),
    ("hotspots",): (),
    ("plan",): (),
    ("failover",): (),
    ("show",): ("absent.json",),
    ("explain",): ("absent.json", "vm"),
    ("verify",): ("absent.json",),
    ("apply",): ("absent.json", *NOWHERE),
    ("resume",): (),
    ("stop",): (),
    ("status",): (),
    ("watch",): ("--once", *NOWHERE),
    ("hook",): ("--alert-id", "1", *NOWHERE),
    ("backtest",): ("--from", "2024-01-01", "--to", "2024-01-02"),
    ("report",): ("-o", "report.html"),
    ("inventory", "import"): ("absent.csv",),
    ("inventory", "discover"): NOWHERE,
    ("tips", "list"): (),
    ("tips", "show"): ("1",),
    ("tips", "approve"): ("1",),
    ("tips", "dismiss"): ("1", "--reason", "x"),
    ("tips", "test"): NOWHERE,
    ("config", "show"): ("--config", "absent.toml"),
}
"""What every command with `--json` is told here, of things that are not there."""
ITS_OWN = {("doctor",)}
"""Commands whose own document tells of it."""


def options(words: tuple[str, ...]) -> set[str]:
    """The options of a command."""
    command = get_command(app)
    for word in words:
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    return {name for parameter in command.params for name in parameter.opts}


def told(words: tuple[str, ...]) -> tuple[str, ...]:
    """The whole line: the command, what it needs, and a store that is not there."""
    return (*words, *GONE[words], *(("--store", "typo") if "--store" in options(words) else ()))


def test_every_command_with_json_is_asked() -> None:
    assert {words for words in EVERY if "--json" in options(words)} == set(GONE) | ITS_OWN


@pytest.mark.parametrize("words", GONE, ids=" ".join)
def test_a_store_that_is_not_there_is_an_error_and_is_not_made(words: tuple[str, ...], pro: Pro, home: Path) -> None:
    (home / "mine.txt").write_text("a folder of somebody's", encoding="utf-8")
    said = pro(*told(words))
    assert (said.code, said.out) == (1, "")
    assert said.err
    assert os.listdir(home) == ["mine.txt"]


@pytest.mark.parametrize("words", GONE, ids=" ".join)
def test_with_json_an_error_is_a_document_too_and_the_same_code(words: tuple[str, ...], pro: Pro, home: Path) -> None:
    (home / "mine.txt").write_text("a folder of somebody's", encoding="utf-8")
    plainly, said = pro(*told(words)), pro(*told(words), "--json")
    document = said.json("error/1")
    assert plainly.code == said.code == document["exit_code"]
    assert document["message"] in said.err
    assert said.err == plainly.err


def test_what_was_asked_for_once_is_not_owed_by_the_next_command(pro: Pro) -> None:
    assert pro("show", "absent.json", "--json").out
    assert pro("show", "absent.json", "--no-such-option", "--json").out == ""
    assert pro("script", "absent.json").out == ""


def test_every_contradiction_of_an_inventory_is_an_entry_of_its_own(pro: Pro, home: Path) -> None:
    (home / "hosts.csv").write_text(
        "host,cores,core_mhz,memory_mib\nh1,8,2400,65536\nh1,8,2400,65536\n", encoding="utf-8"
    )
    (home / "vms.csv").write_text("vm,vcpus,memory_mib,host\nv1,2,1024,h9\n", encoding="utf-8")
    said = pro("inventory", "import", "hosts.csv", "vms.csv", "--store", "new", "--json")
    problems = said.json("error/1")["problems"]
    assert len(problems) > 1
    assert all(problem in said.err for problem in problems)


def test_an_approval_that_is_refused_says_why_in_json(pro: Pro, past: Path) -> None:
    said = pro("tips", "approve", "99", "--store", past, "--json")
    assert said.json("error/1")["message"] == "there is no tip 99"
    assert not (past / "tips.sqlite").exists()


def test_a_plan_to_stdout_is_one_document(pro: Pro, past: Path) -> None:
    assert pro("plan", "--store", past, "-o", "-", "--json").json("plan/1")


@pytest.mark.parametrize(
    "words",
    [
        ("hotspots", "--now", "tomorrow"),
        ("hotspots", "--horizon", "soon"),
        ("hotspots", "--threshold", "85"),
        ("plan", "--max-moves", "-1"),
        ("forecast", "--origins", "0"),
        ("backtest", "--every", "7m"),
        ("backtest", "--from", "soon"),
        ("inventory", "import", "vms.csv", "--at", "noon"),
        ("watch", "--once", "--every", "often", *NOWHERE),
        ("hook", "--alert-id", "$(reboot)", *NOWHERE),
        ("tips", "dismiss", "1", "--reason", ""),
        ("tips", "approve", "1", "--as", " "),
    ],
    ids=" ".join,
)
def test_a_value_that_is_none_of_its_options_kind_is_usage_wherever_that_is_found(
    words: tuple[str, ...], pro: Pro, past: Path
) -> None:
    said = pro(*words, "--store", past)
    assert (said.code, said.out) == (2, "")
    assert next(w for w in words if w.startswith("--") and w not in ("--once", *NOWHERE)) in said.err
