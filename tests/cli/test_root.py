"""The command line as a whole: what it loads, what it says about itself, and how it refuses nonsense."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from pro import __version__
from pro.cli.common import Progress, errors
from pro.cli.root import app
from pro.core.errors import InputError
from pro.forecast.history import history
from tests.fleet.grids import grid

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro

HEAVY = ("pandas", "pyarrow", "numpy", "sklearn", "ortools", "numba", "streamlit", "altair", "jinja2", "rich")


def commands(command: object, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command there is, as its words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [prefix]
    return [words for name, c in inner.items() for words in commands(c, (*prefix, name))]


EVERY = commands(get_command(app))


def shell(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m pro ...` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pro", *words], cwd=cwd, env={**os.environ, **environment}, text=True, encoding="utf-8",
        capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("words", [("--help",), ("plan", "--help"), ("--version",)], ids=" ".join)
def test_help_loads_no_heavy_library(words: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pro.cli.root import app\n"
        f"try:\n    app({list(words)!r}, prog_name='pro')\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(','.join(m for m in {HEAVY!r} if m in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert done.stdout
    assert done.stderr == ""


def test_a_line_of_progress_is_cleared_before_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def look() -> None:
        with errors(), Progress() as progress:
            progress("looking")
            raise InputError("nothing there")

    with pytest.raises(SystemExit):
        look()
    assert capsys.readouterr().err.endswith("\u2026\r\x1b[Kerror: nothing there\n")


def test_it_is_a_module_and_says_its_version(tmp_path: Path) -> None:
    assert shell("--version", cwd=tmp_path).stdout == f"pro {__version__}\n"


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], pro: Pro) -> None:
    said = pro(*words, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: pro {' '.join(words)}")
    codes = set(re.findall(r"(\d)\s+[a-z]", said.out.partition("Exit codes: ")[2]))
    assert codes >= {"0", "1", "2"}
    assert ("3" in codes) == ("--check" in said.out.partition("Exit codes: ")[0])
    assert said.err == ""


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_an_unknown_option_is_a_usage_error(words: tuple[str, ...], pro: Pro) -> None:
    said = pro(*words, "--no-such-option")
    assert said.code == 2
    assert said.out == ""
    assert "--no-such-option" in said.err


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("ingest",), ("tips", "nonsense"), ("apply", "plan.json"), ("forecast", "--origins", "0")],
    ids=" ".join,
)
def test_nonsense_is_a_usage_error(words: tuple[str, ...], pro: Pro) -> None:
    said = pro(*words)
    assert (said.code, said.out) == (2, "")
    assert "Usage" in said.err


def test_settings_say_where_they_come_from(pro: Pro, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pro.toml").write_text("[heat]\nthreshold = 0.8\n", encoding="utf-8")
    monkeypatch.setenv("PRO__HEAT__DWELL_MINUTES", "20")
    rows = {r["key"]: r for r in pro("config", "show", "--json").json("config/1")["settings"]}
    assert rows["heat.threshold"] == {"key": "heat.threshold", "value": 0.8, "from": "file"}
    assert rows["heat.dwell_minutes"] == {"key": "heat.dwell_minutes", "value": 20, "from": "environment"}
    assert rows["heat.min_probability"]["from"] == "default"
    assert "heat.threshold" in pro("config", "show").out


def test_settings_have_a_schema(pro: Pro) -> None:
    schema = json.loads(pro("config", "schema").out)
    assert set(schema["properties"]) >= {"heat", "forecast", "placement", "apply"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[heat]\nthreshhold = 0.8\n", "did you mean heat.threshold?"),
        ("[heat]\nthreshold = 8\n", "heat.threshold"),
        ("[forecast]\nslot_minutes = 7\n", "forecast.slot_minutes: expected a multiple of 5 that divides a day"),
        ("[forecast]\nslot_minutes = 50\n", "forecast.slot_minutes: expected a multiple of 5 that divides a day"),
        ("[heat\n", "not TOML"),
    ],
)
def test_wrong_settings_are_named(text: str, says: str, pro: Pro, home: Path) -> None:
    (home / "pro.toml").write_text(text, encoding="utf-8")
    said = pro("config", "show")
    assert (said.code, said.out) == (1, "")
    assert says in said.err
    assert "pro.toml" in said.err


def test_a_wrong_setting_of_the_environment_is_not_blamed_on_the_file(
    pro: Pro, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "pro.toml").write_text("[heat]\nthreshold = 0.8\n", encoding="utf-8")
    monkeypatch.setenv("PRO__FORECAST__SLOT_MINUTES", "7")
    said = pro("config", "show")
    assert said.code == 1
    assert "environment, $PRO__FORECAST__SLOT_MINUTES: forecast.slot_minutes" in said.err
    assert "pro.toml" not in said.err


@pytest.mark.parametrize("minutes", [m for m in range(5, 1441, 5) if 1440 % m == 0])
def test_every_slot_that_the_settings_allow_is_one_that_forecasts_take(minutes: int, pro: Pro, home: Path) -> None:
    (home / "pro.toml").write_text(f"[forecast]\nslot_minutes = {minutes}\n", encoding="utf-8")
    assert pro("config", "show").code == 0
    g = grid("cpu_pct", {"a": [1.0] * 576})
    assert history(g, g.cutoff, minutes * 60).per_day == 1440 // minutes


def test_an_absent_settings_file_is_an_error(pro: Pro, home: Path) -> None:
    said = pro("config", "show", "--config", home / "none.toml")
    assert said.code == 1
    assert "none.toml" in said.err


def test_no_colour_and_no_control_characters_where_nobody_looks(tmp_path: Path) -> None:
    for words in ([], ["--help"], ["nonsense"], ["config", "show"]):
        done = shell(*words, cwd=tmp_path, NO_COLOR="1")
        assert "\x1b" not in done.stdout + done.stderr
