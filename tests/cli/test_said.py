"""What people read: one is one, the numbers of one answer agree, and a message names the file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from pro.cli import common
from pro.core.text import counted, minute
from pro.replay import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro

HOSTS = "host,cluster,cores,core_mhz,memory_mib\nH1,C,8,2000,65536\n"
VMS = "vm,vcpus,memory_mib,host\nV1,2,4096,H1\n"


@pytest.fixture
def lonely(home: Path, pro: Pro) -> Path:
    """A store with one host, one VM, and no counters."""
    (home / "hosts.csv").write_text(HOSTS)
    (home / "vms.csv").write_text(VMS)
    assert pro("inventory", "import", home / "hosts.csv", home / "vms.csv", "--store", home / "one").code == 0
    return home / "one"


def test_one_of_everything_is_told_in_the_singular(pro: Pro, lonely: Path) -> None:
    said = pro("doctor", "--store", lonely).out
    assert said.startswith("1 host, 1 VM, 0 rules; now is ")
    assert "warning: 1 host does not say its migration network" in said
    assert not re.search(r"\b1 (hosts|VMs|rules|migrations)\b", said)


def test_every_face_looks_as_far_ahead_as_it_says(pro: Pro, lonely: Path) -> None:
    ahead = pro("hotspots", "--store", lonely, "--json").json("hotspots/1")["horizon"]
    for command in ("hotspots", "plan"):
        assert f"in the next {ahead / 3600:g} h" in pro(command, "--store", lonely).out


def test_without_counters_there_is_nothing_to_forecast_from(pro: Pro, lonely: Path) -> None:
    assert pro("forecast", "--store", lonely).out == "there are no counters to forecast from: `pro ingest` first\n"


def test_a_vm_that_may_go_nowhere_does_not_stay_because_of_a_price(pro: Pro, lonely: Path, home: Path) -> None:
    plan = home / "plan.json"
    pro("plan", "--store", lonely, "-o", plan)
    assert pro("explain", plan, "V1").out == "V1 stays on H1: no other host may take it.\n"
    wrong = pro("explain", plan, "V1", "--on", "ZZZZ")
    assert (wrong.code, wrong.err.strip()[-2:]) == (1, "H1")


def test_a_rule_that_nothing_repairs_is_no_matter_of_price(pro: Pro, lonely: Path) -> None:
    said = pro("plan", "--store", lonely, "--evacuate", "H1").out
    assert said.startswith("1 rule is broken; no migration was found that would repair that.")


@pytest.mark.parametrize("text", ["{", '{"schema": "plan/1"}'])
def test_the_plan_file_that_is_wrong_is_named(pro: Pro, home: Path, text: str) -> None:
    (home / "my.json").write_text(text)
    for words in (("show", home / "my.json"), ("apply", home / "my.json", "--backend", "simulated:e.json")):
        assert pro(*words).err.startswith(f"error: {home / 'my.json'}: ")


def test_a_plan_that_is_not_there_is_said_to_be_so_once(pro: Pro, home: Path) -> None:
    said = pro("show", home / "none.json").err
    assert said == f"error: {home / 'none.json'}: the plan cannot be read (No such file or directory)\n"


def test_the_same_contradiction_is_told_once(pro: Pro, home: Path) -> None:
    (home / "hosts.csv").write_text(HOSTS + HOSTS.splitlines()[1] + "\n")
    (home / "vms.csv").write_text(VMS)
    said = pro("inventory", "import", home / "hosts.csv", home / "vms.csv", "--store", home / "s").err.splitlines()
    assert len(said) == len(set(said)) > 1


def test_a_plan_is_dated_as_people_do_and_its_figures_have_names(pro: Pro, lonely: Path, home: Path) -> None:
    plan = home / "plan.json"
    pro("plan", "--store", lonely, "-o", plan)
    said, known = pro("show", plan).out, json.loads(plan.read_text())
    assert f"for {minute(known['now'])}" in said
    for key in ("hot_hosts", "hot_minutes", "area"):
        assert key in known["before"]
        assert key not in said


def test_what_to_do_after_ctrl_c_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, common.errors("interrupted; go on"):
        raise KeyboardInterrupt
    assert (end.value.code, capsys.readouterr().err) == (130, "interrupted; go on\n")
    with pytest.raises(SystemExit), common.errors(lambda: "kept at 50%"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "kept at 50%\n"


@pytest.mark.parametrize("colour", [True, False])
def test_long_work_is_told_in_plain_lines_where_no_bar_can_be_drawn(
    colour: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal with NO_COLOR, and in a log: a line every tenth, if it takes a while; a bar only on a terminal."""
    clock = iter(range(10_000))
    monkeypatch.setattr(common.time, "monotonic", lambda: next(clock))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(common.sys.stderr, "isatty", lambda: not colour, raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    with common.Progress() as progress:
        for done in range(41):
            progress.share("replaying", done / 40)
    assert capsys.readouterr().err.splitlines() == [f"replaying {tenth}%" for tenth in range(10, 101, 10)]
    with common.Progress() as progress:
        progress.share("reading", 0.0)
        progress.share("reading", 1.0)
    assert capsys.readouterr().err == "", "short work is not worth a line"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3600, "In this hour"), (21_600, "In these 6 hours"), (86_400, "On this day"), (302_400, "In these 3.5 days")],
)
def test_the_time_that_was_replayed_in_words(seconds: int, said: str) -> None:
    assert verdict._span(seconds) == said


def test_counts_and_minutes() -> None:
    assert [counted(n, "host") for n in (0, 1, 1234)] == ["0 hosts", "1 host", "1,234 hosts"]
    assert minute("2026-03-01T01:30:59+01:00") == "2026-03-01 00:30 UTC"
    assert minute("soon") == "soon"
