"""Running commands: in this process for speed, with everything that a shell would see of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import jsonschema
import pytest
from typer.testing import CliRunner

from pro.actions.schemas import schema_of
from tests.small import fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small import Estate


@dataclass(frozen=True)
class Ran:
    """What a shell sees of a command."""

    code: int
    out: str
    err: str

    def json(self, schema: str) -> Any:
        """stdout as one JSON document of this schema, and nothing else."""
        document = json.loads(self.out)
        assert document["schema"] == schema
        validator(schema).validate(document)
        return document


@lru_cache
def validator(schema: str) -> jsonschema.Draft202012Validator:
    """Of the schema that is shipped for this kind of document."""
    return jsonschema.Draft202012Validator(
        schema_of(schema), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


class Pro(Protocol):
    """`pro("hotspots", "--json")`."""

    def __call__(self, *words: object, stdin: str | None = None) -> Ran:
        """Run a command."""
        ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with nothing of this account's settings; the search is short."""
    for name in [n for n in os.environ if n.startswith("PRO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    monkeypatch.setenv("PRO__PLACEMENT__SECONDS", "0.5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pro(home: Path) -> Pro:
    """Runs commands in `home`. An exception that is no exit is a bug and fails the test."""
    from pro.cli.root import app

    def run(*words: object, stdin: str | None = None) -> Ran:
        result = CliRunner().invoke(app, [str(w) for w in words], input=stdin, prog_name="pro")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory, small: Estate) -> Path:
    """Stores and plans made once, to be copied from."""
    folder = tmp_path_factory.mktemp("shelf")
    fill(folder / "store", small)
    fill(folder / "past", small, until_now=True)
    return folder


@pytest.fixture
def store(home: Path, shelf: Path) -> Path:
    """A store with four days of counters, of which the last lies after `small.now`."""
    return shutil.copytree(shelf / "store", home / "store")


@pytest.fixture
def past(home: Path, shelf: Path) -> Path:
    """A store as it was at `small.now`."""
    return shutil.copytree(shelf / "past", home / "past")


@pytest.fixture(scope="session")
def plan_text(shelf: Path, small: Estate) -> str:
    """A plan of that instant."""
    from pro.config import load
    from pro.planning.io import dumps
    from pro.workflow import policy_of, recommend

    config = load(None)
    found = recommend(shelf / "store", config, policy_of(config, seconds=0.5), now=small.now)
    assert found.plan.migrations
    return dumps(found.plan)


@pytest.fixture
def plan(home: Path, plan_text: str) -> Path:
    """That plan in a file."""
    path = home / "plan.json"
    path.write_text(plan_text, encoding="utf-8")
    return path
