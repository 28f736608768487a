"""Tips on the command line: list, show, approve, dismiss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro


@pytest.fixture
def raised(pro: Pro, past: Path) -> list[Any]:
    """The tips of one look, with a plan first."""
    said = pro("watch", "--once", "--json", "--backend", "simulated:sim.json", "--store", past)
    found = said.json("watch/1")["tips"]
    assert found
    return sorted(found, key=lambda t: not t["plan_id"])


def test_no_tips_is_an_answer(pro: Pro, past: Path) -> None:
    assert pro("tips", "list", "--store", past).out == "no tips\n"
    assert pro("tips", "list", "--store", past, "--json").json("tips/1")["tips"] == []


def test_tips_are_listed_and_shown(pro: Pro, past: Path, raised: list[Any]) -> None:
    listed = pro("tips", "list", "--store", past)
    assert all(t["title"] in listed.out for t in raised)
    shown = pro("tips", "show", raised[0]["id"], "--store", past)
    assert shown.code == 0
    assert raised[0]["action"] in shown.out
    document = pro("tips", "show", raised[0]["id"], "--store", past, "--json").json("tip/1")
    assert [h["after"] for h in document["history"]] == ["new"]


def test_an_approval_binds_to_the_plan_that_was_seen(pro: Pro, past: Path, raised: list[Any], home: Path) -> None:
    number, plan_id = raised[0]["id"], raised[0]["plan_id"]
    other = pro("tips", "approve", number, "--store", past, "--plan", "another")
    assert (other.code, other.out) == (4, "")
    words = ("tips", "approve", number, "--store", past, "--plan", plan_id, "--as", "ann", "-o", "plan.json", "--json")
    said = pro(*words)
    assert said.code == 0
    assert {t["approver"] for t in said.json("tips/1")["tips"]} == {"ann"}
    assert json.loads((home / "plan.json").read_text("utf-8"))["id"] == plan_id
    twice = pro("tips", "approve", number, "--store", past)
    assert (twice.code, twice.out) == (4, "")


def test_an_approved_plan_may_be_applied_by_hand(pro: Pro, past: Path, raised: list[Any]) -> None:
    assert pro("tips", "approve", raised[0]["id"], "--store", past, "-o", "plan.json").code == 0
    url = "simulated:sim.json?speed=10000"
    said = pro("apply", "plan.json", "--backend", url, "--store", past, "--yes", "--json")
    assert said.code == 0
    assert said.json("apply/1")["moved"] > 0


def test_a_dismissed_tip_stays_quiet(pro: Pro, past: Path, raised: list[Any]) -> None:
    number = raised[0]["id"]
    said = pro("tips", "dismiss", number, "--store", past, "--reason", "known, and planned for Sunday")
    assert (said.code, said.out) == (0, f"dismissed: {number}\n")
    again = pro("watch", "--once", "--json", "--backend", "simulated:sim.json", "--store", past).json("watch/1")
    assert raised[0]["key"] not in {t["key"] for t in again["tips"]}
    history = pro("tips", "show", number, "--store", past, "--json").json("tip/1")["history"]
    assert history[-1]["reason"] == "known, and planned for Sunday"


def test_of_a_plan_that_is_carried_out_whole_everybody_hears_who_else_has_decided(
    pro: Pro, past: Path, raised: list[Any]
) -> None:
    plan_id = raised[0]["plan_id"]
    refused, taken, other, *_ = sorted(t["id"] for t in raised if t["plan_id"] == plan_id)
    assert pro("tips", "dismiss", refused, "--store", past, "--reason", "a batch").err == ""
    said = pro("tips", "approve", taken, "--store", past, "--json")
    assert f"tip {refused} of the same plan was dismissed (a batch)" in said.err
    assert refused not in {t["id"] for t in said.json("tips/1")["tips"]}
    late = pro("tips", "dismiss", other, "--store", past, "--reason", "another")
    assert late.code == 0
    assert f"its plan stays approved by tip {taken}" in late.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "99"), 1),
        (("approve", "99"), 1),
        (("dismiss", "99", "--reason", "x"), 1),
        (("dismiss", "1", "--reason", " "), 2),
        (("approve", "1", "--as", " "), 2),
        (("dismiss", "1"), 2),
        (("approve", "one"), 2),
        (("approve", "1", "--plan", "another"), 4),
    ],
)
def test_what_is_not_there_is_an_error_what_makes_no_sense_usage_and_what_may_not_be_refused(
    words: tuple[str, ...], code: int, pro: Pro, past: Path, raised: list[Any]
) -> None:
    said = pro("tips", *words, "--store", past)
    assert (said.code, said.out) == (code, "")
    assert said.err
