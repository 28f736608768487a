"""The lives of tips."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.heat.hotspot import Cause, Hotspot
from pro.planning.identity import content_id
from pro.remediation.tip import NEXT, Tip, TipRefusedError, TipState, of_rule
from pro.remediation.tips import TipBook
from tests.conftest import HOSTILE_NAMES
from tests.remediation.estate import START, plan, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pro.planning.plan import Plan

SEEN = world({"a": "h0", "b": "h1", "c": "h1"})
PLAN = plan(SEEN, [("a", "h0", "h2"), ("b", "h1", "h3")])
OTHER = plan(SEEN, [("a", "h0", "h3")])


def hot(host: str = "h0", severity: str = "warning", vm: str = "a") -> Hotspot:
    return Hotspot(host, "cpu", START, START + timedelta(hours=2), 0.8, 0.97, 55.0, severity, (Cause(vm, 0.6),))


def again(what: Plan) -> Plan:
    """A later plan that does the same."""
    later = replace(what, now=(START + timedelta(minutes=10)).isoformat())
    return replace(later, id=content_id(later))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[TipBook]:
    with TipBook(tmp_path / "tips.sqlite") as made:
        yield made


def test_a_tip_says_what_is_wrong_what_to_do_what_it_costs_and_what_happens_if_ignored(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], PLAN, START, names={"h0": "red", "a": "db1", "h2": "blue"})
    assert tip.state == TipState.NEW
    assert tip.title == "red will run hot on cpu"
    assert "80% sure, Mon 12:00 to Mon 14:00 UTC, peak about 97%" in tip.problem
    assert "db1 (60%)" in tip.problem
    assert tip.action == "Move a to blue."
    assert tip.cost == "2 migrations, 2.0 GiB sent, longest blackout 0.3 s"
    assert "55 minutes" in tip.ignored
    assert book.plan(tip.id) == PLAN
    assert json.loads(json.dumps(tip.to_json()))["schema"] == "tip/1"


def test_raising_the_same_again_refreshes_one_tip(book: TipBook) -> None:
    (first,) = book.raise_or_refresh([hot()], PLAN, START)
    (second,) = book.raise_or_refresh([hot()], again(PLAN), START + timedelta(minutes=10))
    assert second.id == first.id
    assert second.plan_id != first.plan_id
    assert second.updated > first.updated
    assert len(book.tips()) == 1


def test_other_moves_make_another_tip(book: TipBook) -> None:
    (first,) = book.raise_or_refresh([hot()], PLAN, START)
    (second,) = book.raise_or_refresh([hot()], OTHER, START)
    assert second.id != first.id
    assert book.tip(first.id).state == TipState.SUPERSEDED
    assert str(second.id) in book.tip(first.id).reason
    assert [t.id for t in book.tips(active=True)] == [second.id]


def test_approving_one_view_approves_the_plan(book: TipBook) -> None:
    one, two = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START)
    approved = book.approve(one.id, "kim", START, plan_id=PLAN.id)
    assert {t.id for t in approved} == {one.id, two.id}
    assert {t.approver for t in approved} == {"kim"}
    assert [h["after"] for h in book.history(two.id)] == ["new", "approved"]


def test_an_approval_is_for_the_plan_that_was_seen(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], PLAN, START)
    book.raise_or_refresh([hot()], again(PLAN), START)
    with pytest.raises(TipRefusedError, match="new plan"):
        book.approve(tip.id, "kim", START, plan_id=PLAN.id)


def test_what_was_approved_is_left_alone_until_it_expires(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], PLAN, START)
    book.approve(tip.id, "kim", START)
    (kept,) = book.raise_or_refresh([hot()], OTHER, START + timedelta(minutes=50))
    assert (kept.id, kept.plan_id, kept.state) == (tip.id, PLAN.id, TipState.APPROVED)
    (gone,) = book.expire(START + timedelta(minutes=61))
    assert gone.state == TipState.EXPIRED
    (fresh,) = book.raise_or_refresh([hot()], OTHER, START + timedelta(minutes=61))
    assert (fresh.state, fresh.plan_id) == (TipState.NEW, OTHER.id)


def test_from_approval_to_the_end(book: TipBook) -> None:
    one, two = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START)
    with pytest.raises(TipRefusedError, match="nobody has approved"):
        book.start(PLAN.id, START)
    book.approve(one.id, "kim", START)
    assert {t.state for t in book.start(PLAN.id, START)} == {TipState.RUNNING}
    assert book.expire(START + timedelta(days=1)) == []
    assert book.clear_missing([], START) == []
    done = book.finish(PLAN.id, resolved=True, now=START)
    assert {t.id for t in done} == {one.id, two.id}
    assert {t.state for t in done} == {TipState.RESOLVED}
    (anew,) = book.raise_or_refresh([hot()], PLAN, START)
    assert anew.id not in (one.id, two.id)


def test_a_contract_approves_too(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], PLAN, START)
    (auto,) = book.approve_by_contract(tip.id, START, "within the contract")
    assert (auto.state, auto.approver) == (TipState.AUTO, "contract")
    book.start(PLAN.id, START)
    assert book.finish(PLAN.id, resolved=False, now=START, reason="one failed")[0].state == TipState.FAILED


def test_a_dismissed_tip_keeps_quiet_for_a_day_unless_it_gets_worse(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], PLAN, START)
    with pytest.raises(TipRefusedError, match="reason"):
        book.dismiss(tip.id, "kim", START, "")
    book.dismiss(tip.id, "kim", START, "known, backup night")
    assert book.raise_or_refresh([hot()], OTHER, START + timedelta(hours=23)) == []
    assert book.raise_or_refresh([hot("h1", vm="b")], PLAN, START + timedelta(hours=1)) != []
    (worse,) = book.raise_or_refresh([hot(severity="critical")], PLAN, START + timedelta(hours=2))
    assert worse.severity == "critical"
    book.dismiss(worse.id, "kim", START + timedelta(hours=2), "still known")
    assert book.raise_or_refresh([hot(severity="critical")], PLAN, START + timedelta(hours=25)) == []
    assert book.raise_or_refresh([hot()], PLAN, START + timedelta(hours=27)) != []


def test_a_plan_with_a_dismissed_view_is_not_approved_by_another(book: TipBook) -> None:
    one, two = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START)
    book.dismiss(one.id, "kim", START, "leave h0 alone")
    with pytest.raises(TipRefusedError, match="dismissed"):
        book.approve(two.id, "kim", START)


def test_trouble_that_went_away_is_cleared(book: TipBook) -> None:
    book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START, cluster="one")
    book.raise_or_refresh([hot("h2")], OTHER, START, cluster="two")
    (cleared,) = book.clear_missing(["heat:h1:cpu"], START, cluster="one")
    assert (cleared.host, cleared.state) == ("h0", TipState.CLEARED)
    assert {t.host for t in book.tips(active=True)} == {"h1", "h2"}


def test_a_broken_rule_is_a_tip_without_a_host(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([], PLAN, START, repairs=[of_rule("spread-dns", "b and c stand on one host", ["b"])])
    assert (tip.host, tip.probability) == ("", 1.0)
    assert tip.action == "Move b to h3."


def test_where_nothing_helps_there_is_nothing_to_approve(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], None, START)
    assert tip.action.startswith("No migration helps")
    with pytest.raises(TipRefusedError, match="no plan"):
        book.approve(tip.id, "kim", START)
    with pytest.raises(TipRefusedError, match="no plan"):
        book.plan(tip.id)


def test_four_eyes_and_names(tmp_path: Path) -> None:
    with TipBook(tmp_path / "t.sqlite", four_eyes=True) as strict:
        (tip,) = strict.raise_or_refresh([hot()], PLAN, START)
        with pytest.raises(TipRefusedError, match="somebody else"):
            strict.approve(tip.id, "pro", START)
        with pytest.raises(TipRefusedError, match="name"):
            strict.approve(tip.id, " ", START)
        with pytest.raises(TipRefusedError, match="no tip 99"):
            strict.approve(99, "kim", START)
        assert strict.approve(tip.id, "kim", START)[0].state == TipState.APPROVED


def test_tips_outlive_the_process(tmp_path: Path) -> None:
    with TipBook(tmp_path / "t.sqlite") as first:
        first.raise_or_refresh([hot()], PLAN, START)
    with TipBook(tmp_path / "t.sqlite") as second:
        assert second.tips()[0].plan_id == PLAN.id


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_shown_plainly(book: TipBook, name: str) -> None:
    (tip,) = book.raise_or_refresh([hot(vm=name)], PLAN, START, names={"h0": name, name: name})
    assert "\n" not in tip.title + tip.problem + tip.action
    assert len(tip.title) < 120


def test_a_refused_change_leaves_nothing_half_done(book: TipBook) -> None:
    one, two = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START)
    book.approve(one.id, "kim", START)
    before = (book.tips(), book.history(one.id), book.history(two.id))
    with pytest.raises(TipRefusedError):
        book.approve(two.id, "lee", START)
    assert (book.tips(), book.history(one.id), book.history(two.id)) == before


VERBS = ("approve", "auto", "dismiss", "start", "finish", "fail", "clear", "expire", "raise", "change")


def do(book: TipBook, verb: str, tip: Tip, now: datetime) -> None:
    """One of VERBS."""
    {
        "approve": lambda: book.approve(tip.id, "kim", now),
        "auto": lambda: book.approve_by_contract(tip.id, now, ""),
        "dismiss": lambda: book.dismiss(tip.id, "kim", now, "no"),
        "start": lambda: book.start(tip.plan_id, now),
        "finish": lambda: book.finish(tip.plan_id, resolved=True, now=now),
        "fail": lambda: book.finish(tip.plan_id, resolved=False, now=now),
        "clear": lambda: book.clear_missing([], now),
        "expire": lambda: book.expire(now),
        "raise": lambda: book.raise_or_refresh([hot()], PLAN, now),
        "change": lambda: book.raise_or_refresh([hot()], OTHER, now),
    }[verb]()


@given(st.lists(st.sampled_from(VERBS), max_size=15))
def test_whatever_is_asked_only_listed_changes_happen(
    tmp_path_factory: pytest.TempPathFactory, verbs: list[str]
) -> None:
    now = START
    with TipBook(tmp_path_factory.mktemp("t") / "tips.sqlite") as book:
        book.raise_or_refresh([hot()], PLAN, now)
        for verb in verbs:
            now += timedelta(minutes=61 if verb == "expire" else 1)
            tip = book.tips()[0]
            try:
                do(book, verb, tip, now)
            except TipRefusedError:
                assert book.tip(tip.id) == tip
        active = [t for t in book.tips(active=True) if t.key == "heat:h0:cpu"]
        assert len(active) <= 1
        for tip in book.tips():
            states = [h["after"] for h in book.history(tip.id)]
            assert states[0] == "new"
            assert states[-1] == tip.state.value
            for before, after in pairwise(states):
                assert TipState(after) in NEXT[TipState(before)]
