"""Every JSON document that commands print or write has a schema, and fits it. `Ran.json` checks this of every document any test here reads.

Those that people write are in test_written_documents.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import pro
from pro.actions.schemas import names, schema_of
from tests.cli.conftest import validator

if TYPE_CHECKING:
    from tests.cli.conftest import Pro
    from tests.small import Estate

PACKAGE = Path(pro.__file__).parent
COMMANDS = PACKAGE.parent / "docs" / "commands.md"
INWARD = {"backtest-state/1", "simulated/1"}
"""Files that only PRO reads again."""


def test_every_kind_of_document_in_the_code_has_a_schema() -> None:
    said = {kind for p in PACKAGE.rglob("*.py") for kind in re.findall(r'"([a-z-]+/1)"', p.read_text("utf-8"))}
    assert said - INWARD == set(names())


@pytest.mark.parametrize("name", names())
def test_a_schema_is_one_of_draft_2020_12_and_says_what_it_is_of(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == name
    assert schema["description"].endswith(".")
    assert f"`{name}`" in COMMANDS.read_text("utf-8")


def test_the_command_prints_them_whole(pro: Pro) -> None:
    assert pro("config", "schema", "all").out.split() == list(names())
    whole = json.loads(pro("config", "schema", "doctor").out)
    assert whole == schema_of("doctor/1")
    assert set(whole["$defs"]) == {"readiness/1"}
    wrong = pro("config", "schema", "hotspot")
    assert wrong.code == 1
    assert "hotspots/1" in wrong.err


def altered(document: dict[str, Any]) -> list[dict[str, Any]]:
    """`document` with each key taken away in turn, and with one too many."""
    return [{k: v for k, v in document.items() if k != key} for key in document] + [{**document, "more": 1}]


def test_what_lacks_a_key_or_has_one_too_many_does_not_fit(pro: Pro, store: Path, small: Estate) -> None:
    found = pro("failover", "--store", store, "--now", small.now.isoformat(), "--json").json("failover/1")
    for wrong in altered(found):
        assert not validator("failover/1").is_valid(wrong)
    report = pro("report", "--store", store, "--now", small.now.isoformat(), "-o", "report.json", "--json").json(
        "report/1"
    )
    assert json.loads(Path("report.json").read_text("utf-8")) == report
    for wrong in altered(report):
        assert not validator("report/1").is_valid(wrong)
    assert not validator("report/1").is_valid({**report, "threshold": 85})


def test_documents_of_commands_that_no_other_test_reads(pro: Pro, store: Path) -> None:
    pro("config", "show", "--json").json("config/1")
    pro("tips", "list", "--store", store, "--json").json("tips/1")
