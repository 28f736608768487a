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

from pro.core.errors import InputError
from pro.heat.hotspot import Cause, Hotspot
from pro.placement.rules import Violation
from pro.planning.identity import content_id
from pro.remediation.tip import NEXT, Tip, TipRefusedError, TipState, of_hotspot, of_rule, of_rules, parts
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
    assert tip.cost == (
        "1 migration, 1.0 GiB sent in 4 s, longest blackout 0.3 s; "
        "whole plan: 2 migrations, 2.0 GiB sent in 4 s, longest blackout 0.3 s"
    )
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


def test_of_a_plan_with_a_dismissed_view_a_person_may_approve_another_and_a_contract_may_not(book: TipBook) -> None:
    one, two = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], PLAN, START)
    book.dismiss(one.id, "kim", START, "leave h0 alone")
    assert book.views(PLAN.id, TipState.DISMISSED) == [book.tip(one.id)]
    with pytest.raises(TipRefusedError, match=f"tip {one.id} of the same plan was dismissed"):
        book.approve_by_contract(two.id, START, "within the contract")
    assert [t.id for t in book.approve(two.id, "lee", START, plan_id=PLAN.id)] == [two.id]
    assert book.tip(one.id).state == TipState.DISMISSED
    assert [t.id for t in book.start(PLAN.id, START)] == [two.id]


LARGER = plan(
    world({"a": "h0", "b": "h1", "c": "h1", "d": "h2", "e": "h4", "f": "h5"}, hosts=7),
    [("a", "h0", "h2"), ("b", "h1", "h3")], [("d", "h2", "h4")], [("e", "h4", "h6")],
)  # fmt: skip
"""a goes where d stood, d where e stood; b has nothing to do with any of it."""


def test_a_tip_tells_what_of_the_plan_is_for_its_host_and_what_makes_room_for_that(book: TipBook) -> None:
    cool, other = book.raise_or_refresh([hot("h0"), hot("h1", vm="b")], LARGER, START)
    assert cool.action == "Move a to h2; to make room, d to h4, e to h6."
    assert cool.cost.startswith("3 migrations, 3.0 GiB sent in 12 s, longest blackout 0.3 s; whole plan: 4 ")
    assert other.action == "Move b to h3."
    assert other.cost.startswith("1 migration, 1.0 GiB sent in 4 s")


def test_what_cools_another_host_does_not_count_as_making_room(book: TipBook) -> None:
    cool, crowded = book.raise_or_refresh([hot("h0"), hot("h2", vm="d")], LARGER, START)
    assert cool.action == "Move a to h2."
    assert crowded.action == "Move d to h4; to make room, e to h6."


def test_a_tip_for_which_the_plan_does_nothing_has_nothing_to_approve(book: TipBook) -> None:
    helped, left = book.raise_or_refresh([hot("h0"), hot("h5", vm="f")], LARGER, START)
    assert (helped.plan_id, left.plan_id) == (LARGER.id, "")
    assert left.action.startswith("No migration was found that helps")
    assert left.cost == "nothing"
    with pytest.raises(TipRefusedError, match="no plan"):
        book.approve(left.id, "kim", START)
    book.approve(helped.id, "kim", START)
    assert book.tip(left.id).state == TipState.NEW


def test_who_only_passes_through_a_hot_host_does_not_cool_it(book: TipBook) -> None:
    passing = plan(SEEN, [("b", "h1", "h0")], [("b", "h0", "h3")])
    (tip,) = book.raise_or_refresh([hot("h0")], passing, START)
    assert tip.plan_id == ""


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 4)), max_size=8),
    st.sets(st.integers(0, 4), min_size=1),
)
def test_parts_tell_migrations_of_the_plan_each_once_and_only_who_leaves_the_host_cools_it(
    drawn: list[tuple[int, int, int]], hosts: set[int]
) -> None:
    stands: dict[str, str] = {}
    steps = []
    for v, a, b in drawn:
        vm, source = f"v{v}", stands.get(f"v{v}", f"h{a}")
        if source != f"h{b}":
            steps.append([(vm, source, f"h{b}")])
            stands[vm] = f"h{b}"
    firsts = {vm: source for [(vm, source, _)] in reversed(steps)}
    made = plan(world(firsts, hosts=5), *steps)
    concerns = [of_hotspot(hot(f"h{h}"), {}) for h in sorted(hosts)]
    leaves = {vm: host for vm, host in firsts.items() if stands[vm] != host}
    for concern, part in zip(concerns, parts(concerns, made).values(), strict=True):
        assert {m.vm for m in part.own} == {vm for vm, host in leaves.items() if host == concern.host}
        assert not {m.vm for m in part.own} & {m.vm for m in part.room}
        assert not {m.vm for m in part.room} & {vm for vm, host in leaves.items() if host in {c.host for c in concerns}}
        together = [*part.own, *part.room]
        vms = {m.vm for m in together}
        assert sorted(map(repr, together)) == sorted(repr(m) for m in made.migrations if m.vm in vms)


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


def test_a_rule_that_is_broken_in_several_places_is_one_trouble_about_all_their_vms(book: TipBook) -> None:
    places = [Violation("fence", f"{vm} is outside", 1, (vm,)) for vm in ("b", "c", "d", "e")]
    (tip,) = book.raise_or_refresh([], PLAN, START, repairs=of_rules(places))
    assert tip.problem == "b is outside; c is outside; d is outside; and in 1 more place"
    assert tip.action == "Move b to h3."


def test_where_nothing_helps_there_is_nothing_to_approve(book: TipBook) -> None:
    (tip,) = book.raise_or_refresh([hot()], None, START)
    assert tip.action.startswith("No migration was found that helps")
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
        with pytest.raises(InputError, match="no tip 99"):
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
