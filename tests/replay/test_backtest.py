"""Backtests: laws every policy obeys, and loads made to trip them up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.config import Config
from pro.fleet import RuleSpec
from pro.placement.constraints import build
from pro.placement.referee import check
from pro.remediation.antiflap import AntiFlap, Trip, undone
from pro.replay.backtest import STATE, Backtest, Keep, backtest
from pro.replay.course import Course, Moved, stretches
from pro.replay.loop import Shared, view_of
from pro.replay.measure import account
from pro.replay.ours import Ours, adapted, saved, ways_back_of
from pro.replay.policies import PolicySpec, side_by_side
from tests.replay.pasts import DAY, past_of, steady

if TYPE_CHECKING:
    from pathlib import Path

    from pro.replay.past import Past
    from pro.replay.view import View

KINDS = (
    PolicySpec(name="nothing", kind="nothing"),
    PolicySpec(name="pro-2008", kind="pro2008"),
    PolicySpec(name="threshold-mmt", kind="mmt"),
    PolicySpec(name="hourly-greedy", kind="hourly"),
    PolicySpec(name="ours", kind="ours", scenarios=6, rounds=1, history_days=2.0, horizon_h=12.0),
)
OURS = KINDS[-1]


def run(past: Past, *specs: PolicySpec, every_s: float = 900.0, **more: Any) -> Backtest:
    return backtest(past, specs or KINDS, Config(), every_s=every_s, **more)


def moves(found: Backtest, name: str) -> list[tuple[str, str, str, int]]:
    row = next(r for r in found.rows if r.name == name)
    return [(m.vm, m.source, m.destination, m.column) for m in row.runner.course.trail]


@pytest.fixture(scope="module")
def busy() -> Past:
    """Three hosts; the first gets hot when its VMs wake up together on the third morning. Two must stay apart."""
    share = steady([0.5, 0.5, 0.3, 0.3, 0.3, 0.2, 0.2, 0.1])
    morning = slice(2 * DAY + 96, None)
    share[:3, morning] += 0.35
    apart = RuleSpec("apart", "spread", ("V00", "V05"))
    return past_of(share, [0, 0, 0, 1, 1, 2, 2, 2], rules=(apart,))


@pytest.fixture(scope="module")
def found(busy: Past) -> Backtest:
    return run(busy)


def test_doing_nothing_is_what_happened(busy: Past, found: Backtest) -> None:
    first = busy.first + 1
    load = np.array([busy.use[busy.fleet.host_of == h, first:].sum(axis=0) for h in range(3)]) + busy.own[:, first:]
    share = load / busy.capacity[:, None]
    row = found.nothing.account
    assert row.hot_minutes == (share > 0.85).sum() * 5 > 0
    assert row.peak == round(share.max(), 4)
    assert row.area == pytest.approx(np.maximum(share - 0.85, 0).sum() * 100 / 12, abs=0.01)
    assert (row.migrations, row.gib, row.undone) == (0, 0, 0)


def test_ours_and_the_rules_people_use_cool_the_host(found: Backtest) -> None:
    for row in found.rows[1:]:
        assert row.account.migrations > 0, row.name
        assert row.account.hot_minutes < 0.5 * found.nothing.account.hot_minutes, row.name
    assert found.best.name != "nothing"


def test_no_policy_ever_breaks_a_rule_or_fills_memory(busy: Past, found: Backtest) -> None:
    rules = build(busy.fleet, memory_reserve_mib=2048)
    for row in found.rows:
        for _, _, host_of in stretches(busy, row.runner.course.trail, busy.last):
            assert check(busy.fleet, rules, host_of) == [], row.name


def test_ours_stays_within_its_budget_in_any_day(busy: Past, found: Backtest) -> None:
    ends = [m[3] for m in moves(found, "ours")]
    most = max((sum(e - DAY < other <= e for other in ends) for e in ends), default=0)
    assert most <= OURS.daily(busy.fleet.n_vms) * (1 + OURS.saved_days)
    assert moves(run(busy, OURS.model_copy(update={"moves_per_day": 0})), "ours") == []


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(0, 10), st.floats(1, 5))
def test_whoever_keeps_to_what_is_saved_never_passes_it_in_any_stretch(
    hours: list[int], daily: int, days: float
) -> None:
    """So many days' worth, and a day's for every day of the stretch, however long it is."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    trips: list[Trip] = []
    for hour in sorted(hours):
        now = at + timedelta(hours=hour)
        assert saved(trips, now, daily, days) <= days * daily + 1e-6
        if saved(trips, now, daily, days) >= 1:
            trips.append(Trip("vm", "a", "b", now))
    for i, first in enumerate(trips):
        for j, last in enumerate(trips[i:], i):
            stretch = (last.ended - first.ended) / timedelta(days=1)
            assert j - i + 1 <= days * daily + daily * stretch + 1e-6


def test_a_plan_takes_its_time(busy: Past, found: Backtest) -> None:
    for row in found.rows:
        for m in row.runner.course.trail:
            assert m.ended > m.asked
            assert m.ended <= busy.at(m.column).timestamp() < m.ended + 300
            assert m.mib >= 4096


def test_the_same_backtest_has_the_same_result(busy: Past, found: Backtest) -> None:
    assert run(busy).to_json() == found.to_json()


def otherwise(past: Past, cut: int) -> Past:
    """The same past up to `cut`, and quite another one after it."""
    use, own = past.use.copy(), past.own.copy()
    use[:, cut + 1 :] = np.random.default_rng(cut).uniform(5_000, 10_000, use[:, cut + 1 :].shape)
    use[2, cut + 1 :] = np.nan
    own[:, cut + 1 :] += 1_000
    grid = past.grids["cpu_pct"]
    values = grid.values.copy()
    values[:, cut + 1 :] = use[:, cut + 1 :] / 100
    return replace(past, use=use, own=own, grids={"cpu_pct": replace(grid, values=values)})


@pytest.mark.parametrize("cut", [2 * DAY + 90, 2 * DAY + 111, 2 * DAY + 150])
def test_what_comes_after_an_instant_changes_nothing_before_it(busy: Past, found: Backtest, cut: int) -> None:
    other = run(otherwise(busy, cut))
    for row, changed in zip(found.rows, other.rows, strict=True):
        asked = [[m for m in r.runner.course.trail if m.asked <= busy.at(cut).timestamp()] for r in (row, changed)]
        assert asked[0] == asked[1], row.name
        known = [[c for c in r.runner.chances if c[0] <= cut] for r in (row, changed)]
        assert known[0] == known[1], row.name
    assert other.to_json() != found.to_json()


@given(ahead=st.integers(0, DAY - 10))
@settings(max_examples=12)
def test_a_view_holds_nothing_later_than_its_instant(busy: Past, ahead: int) -> None:
    cut, views = busy.first + ahead, []
    for past in (busy, otherwise(busy, busy.first + ahead)):
        course = Course.begin(past)
        course.go_to(cut)
        views.append(view_of(course, Shared(past)))
    one, two = views
    assert one.now == two.now == busy.at(cut)
    for name in ("use", "load", "counted", "placed", "blind"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.use.shape[1] == one.load.shape[1] == one.counted.shape[1] == cut + 1
    here, there = one.reader.history(2.0)["cpu_pct"], two.reader.history(2.0)["cpu_pct"]
    assert (here.start, here.cutoff) == (there.start, busy.at(cut))
    np.testing.assert_array_equal(here.values, there.values)
    config = adapted(Config(), OURS)
    drawn = [v.reader.scenarios(config)["cpu_pct"].values for v in views]
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_the_quick_look_saves_time_and_changes_nothing(busy: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    careful = OURS.model_copy(update={"aggressiveness": 1})  # moves less, so heat stays near
    fast = run(busy, careful)
    answers = []
    quick = Ours._calm

    def remembered(self: Ours, view: View) -> bool:
        answers.append(quick(self, view))
        return False

    monkeypatch.setattr(Ours, "_calm", remembered)
    slow = run(busy, careful)
    assert True in answers
    assert False in answers
    assert moves(slow, "ours") == moves(fast, "ours") != []
    assert slow.rows[1].runner.said == fast.rows[1].runner.said


class Killed(Exception):
    """The machine went down."""


@pytest.mark.parametrize("share", [0.35, 0.6])
def test_killed_and_run_again_it_ends_the_same(busy: Past, found: Backtest, share: float, tmp_path: Path) -> None:
    def die(done: float) -> None:
        if done > share:
            raise Killed

    with pytest.raises(Killed):
        run(busy, keep=Keep(tmp_path, looks=7), tell=die)
    seen: list[float] = []
    kept: list[float] = []
    again = run(busy, keep=Keep(tmp_path, kept.append, looks=7), tell=seen.append)
    assert again.to_json() == found.to_json()
    assert seen[0] > kept[0] > share / 2
    assert kept[-1] == 1
    assert [r.runner.chances for r in again.rows] == [r.runner.chances for r in found.rows]
    assert [r.runner.course.trail for r in again.rows] == [r.runner.course.trail for r in found.rows]


def test_the_state_of_another_backtest_is_not_taken_up(busy: Past, found: Backtest, tmp_path: Path) -> None:
    run(busy, *KINDS[:2], keep=Keep(tmp_path))
    assert (tmp_path / STATE).is_file()
    kept = json.loads((tmp_path / STATE).read_text(encoding="utf-8"))
    for broken in ("{", json.dumps({**kept, "policies": {"nothing": kept["policies"]["nothing"]}})):
        (tmp_path / STATE).write_text(broken, encoding="utf-8")
        assert run(busy, *KINDS[:2], keep=Keep(tmp_path)).to_json() == run(busy, *KINDS[:2]).to_json()
    assert run(busy, keep=Keep(tmp_path)).to_json() == found.to_json()


def test_doing_nothing_is_always_beside_it_and_comes_first(busy: Past) -> None:
    rows = run(busy, KINDS[1]).rows
    assert [r.name for r in rows] == ["nothing", "pro-2008"]
    assert [s.kind for s in side_by_side()].count("ours") == 5


# -- loads made to trip a policy up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [3, 6])
def test_loads_that_swing_as_fast_as_it_looks_do_not_make_ours_flap(period: int) -> None:
    """The two VMs of one host and the two of the other are busy in turn, for one look or two."""
    share = steady([0.2, 0.2, 0.2, 0.2, 0.1, 0.1])
    turn = (np.arange(share.shape[1]) // period) % 2
    share[:2, :] += 0.75 * (turn == 0)
    share[2:4, :] += 0.75 * (turn == 1)
    past = past_of(np.clip(share, 0, 1), [0, 0, 1, 1, 2, 2])
    found = run(past, OURS, KINDS[1])
    trips = [Trip(vm, a, b, past.at(c)) for vm, a, b, c in moves(found, "ours")]
    assert undone(trips) == 0
    assert len(trips) <= OURS.daily(6)
    assert max((sum(t.vm == v for t in trips) for v in past.fleet.vms), default=0) <= 1


def test_one_spike_moves_nobody() -> None:
    share = steady([0.4, 0.4, 0.2, 0.2])
    share[:2, 2 * DAY + 100 : 2 * DAY + 102] = 1.0
    found = run(past_of(share, [0, 0, 1, 1]), OURS)
    assert found.nothing.account.hot_minutes == 10
    assert moves(found, "ours") == []


@pytest.mark.parametrize("wrong", [slice(0, 2), slice(0, 8)], ids=["one host", "all hosts"])
def test_a_unit_error_by_a_hundred_moves_nobody(wrong: slice) -> None:
    share = steady([0.3] * 8, seed=2)
    share[wrong, 2 * DAY + 60 : 2 * DAY + 120] *= 100
    past = past_of(share, [0, 0, 1, 1, 2, 2, 3, 3])
    found = run(past, OURS, KINDS[1])
    assert moves(found, "ours") == []
    if wrong.stop == 2:
        assert len(moves(found, "pro-2008")) > 0


def test_a_collector_that_died_moves_nobody_and_attracts_nobody() -> None:
    """The VMs of host 1 fall silent; host 0 gets hot, host 2 has room. Nobody is sent to the host that nobody sees."""
    share = steady([0.45, 0.45, 0.3, 0.1, 0.1, 0.1, 0.3])
    share[3:5, 2 * DAY + 30 :] = np.nan
    share[:3, 2 * DAY + 60 :] += 0.3
    past = past_of(share, [0, 0, 0, 1, 1, 2, 2])
    for spec in KINDS[1:]:
        found = run(past, spec)
        made = moves(found, spec.name)
        assert made, spec.name
        assert {m[2] for m in made} == {"H2"}, spec.name
        assert not {m[0] for m in made} & {"V03", "V04"}, spec.name
    silent = share.copy()
    silent[:, 2 * DAY + 30 :] = np.nan
    assert moves(run(past_of(silent, [0, 0, 0, 1, 1, 2, 2]), OURS), "ours") == []


def test_when_nearly_all_hosts_are_hot_at_once_it_holds() -> None:
    share = steady([0.4] * 10)
    share[:8, 2 * DAY + 60 : 2 * DAY + 120] = 1.0
    past = past_of(share, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    found = run(past, OURS)
    said = next(r for r in found.rows if r.name == "ours").runner.said
    assert any("may be wrong" in why for why in said)


def test_a_vm_that_did_go_back_is_not_driven_away_again() -> None:
    """The ledger bars ways back, not the host where the VM stands."""
    past = past_of(steady([0.2, 0.2]), [0, 1])
    course = Course.begin(past)
    for source, destination, column in (("H0", "H1", past.first - 30), ("H1", "H0", past.first - 20)):
        course.trail.append(Moved("V00", source, destination, 0.0, 0.0, column, 4096, 0.1))
    course.trail.append(Moved("V01", "H0", "H1", 0.0, 0.0, past.first - 10, 4096, 0.1))
    assert ways_back_of(view_of(course, Shared(past)), AntiFlap()) == {"V00": ("H1",), "V01": ("H0",)}


def test_contention_counts_vms_on_hosts_that_are_asked_for_more_than_they_have() -> None:
    share = steady([1.0, 1.0, 0.5, 0.1], days=2.1)
    share[:3] = [[1.0], [1.0], [0.5]]
    past = past_of(share, [0, 0, 0, 1])
    row = account(past, [], 0.85)
    columns = past.last - past.first
    assert row.contention_minutes == 3 * 5 * columns
    assert row.hot_minutes == 5 * columns
    assert row.hosts_on == 2
    half = 1.0 + (100 + 150 * (0.1 + 0.04) / 2) / 250
    assert row.energy_kwh == pytest.approx(250 * half * columns * 300 / 3.6e6, rel=0.05)
