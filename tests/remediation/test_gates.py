"""Gates and contracts: every reason not to act, and nothing that is not one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.actions.alone import going_back
from pro.actions.watching import Watch
from pro.config import Config
from pro.core.errors import InputError
from pro.remediation.antiflap import SAVED_DAYS, AntiFlap, Trip, daily, saved
from pro.remediation.contract import ContractGate, load_contract, parse_contract
from pro.remediation.gates import (
    MEMORY,
    CircuitBreaker,
    Cooldown,
    FreshCounters,
    Freshness,
    HoldWhenTooMuchIsHot,
    KillSwitch,
    LaterHeat,
    MoveBudget,
    OtherBalancer,
    refusals,
    stamp,
    trips_since,
)
from pro.remediation.journal import Journal
from pro.remediation.records import Run, RunState, Step, StepState
from pro.remediation.window import ChangeWindow, plan_seconds
from tests.remediation.estate import START, plan, world

if TYPE_CHECKING:
    from pathlib import Path

SEEN = world({"a": "h0", "b": "h0", "c": "h1"})
PLAN = plan(SEEN, [("a", "h0", "h1")], [("b", "h0", "h2")])
BERLIN = "Europe/Berlin"


def journal_of(path: Path, *moves: tuple[str, str, str, datetime, StepState]) -> Path:
    """A journal with one run per (vm, source, destination, asked for at, state)."""
    with Journal(path, write=True) as journal:
        for run, (vm, source, destination, at, state) in enumerate(moves, start=1):
            ended = "" if state in (StepState.INTENT, StepState.SENT) else stamp(at)
            step = Step(
                run,
                0,
                0,
                vm,
                "",
                source,
                destination,
                "live",
                4.0,
                2048,
                state,
                attempt=1,
                intent_at=stamp(at),
                ended_at=ended,
            )
            journal.start_run(Run(run, "p", "{}", "x", stamp(at), stamp(at), RunState.DONE, "", "", "{}"), [step])
    return path


def test_a_budget_counts_the_plan_and_the_day_with_what_is_in_flight(tmp_path: Path) -> None:
    path = journal_of(
        tmp_path / "j.sqlite",
        ("a", "h0", "h1", START - timedelta(hours=25), StepState.DONE),
        ("b", "h0", "h1", START - timedelta(hours=5), StepState.DONE),
        ("c", "h0", "h1", START - timedelta(minutes=1), StepState.SENT),
    )
    assert MoveBudget(path, per_plan=2, per_day=4).permits(PLAN, SEEN, START).allowed
    assert not MoveBudget(path, per_plan=1, per_day=4).permits(PLAN, SEEN, START).allowed
    refused = MoveBudget(path, per_plan=2, per_day=3).permits(PLAN, SEEN, START)
    assert "4 migrations in 24 hours" in refused.reason
    assert MoveBudget(path, gib_per_plan=2, gib_per_day=6).permits(PLAN, SEEN, START).allowed
    assert not MoveBudget(path, gib_per_plan=1.9).permits(PLAN, SEEN, START).allowed
    assert not MoveBudget(path, gib_per_day=5.9).permits(PLAN, SEEN, START).allowed


def test_where_nobody_says_how_many_a_day_it_is_as_many_as_in_a_backtest(tmp_path: Path) -> None:
    """Two a day are filled into a bucket of five, which was full before the first."""
    assert daily(len(SEEN.vms)) == 2
    done = [("c", "h0", "h1", START - timedelta(hours=k), StepState.DONE) for k in (1, 2, 3)]
    two_left = journal_of(tmp_path / "a.sqlite", *done)
    assert saved(trips_since(two_left, START - MEMORY), START, 2, SAVED_DAYS) == 2
    assert MoveBudget(two_left).permits(PLAN, SEEN, START).allowed
    one_left = journal_of(tmp_path / "b.sqlite", *done, ("c", "h1", "h0", START - timedelta(hours=4), StepState.DONE))
    refused = MoveBudget(one_left).permits(PLAN, SEEN, START)
    assert refused.reason == "2 migrations now, the budget is 1"
    assert MoveBudget(one_left, per_day=60).permits(PLAN, SEEN, START).allowed
    failed = journal_of(tmp_path / "c.sqlite", *((*m[:4], StepState.FAILED) for m in done), *done)
    assert MoveBudget(failed).permits(PLAN, SEEN, START).allowed, "what failed was no migration"


def test_a_trip_is_from_where_a_run_found_a_vm_to_where_it_left_it(tmp_path: Path) -> None:
    """Over a stop-over; what failed was none."""
    path = tmp_path / "j.sqlite"
    with Journal(path, write=True) as journal:
        steps = [
            Step(1, n, n, "a", "", source, destination, "live", 4.0, 2048, state, attempt=1, intent_at=stamp(START),
                 ended_at=stamp(START + timedelta(minutes=n + 1)))
            for n, (source, destination, state) in enumerate(
                [("h0", "h3", StepState.DONE), ("h3", "h1", StepState.DONE), ("h1", "h2", StepState.FAILED)]
            )
        ]  # fmt: skip
        journal.start_run(Run(1, "p", "{}", "x", stamp(START), stamp(START), RunState.DONE, "", "", "{}"), steps)
    assert trips_since(path, START - MEMORY) == [Trip("a", "h0", "h1", START + timedelta(minutes=2))]


def test_who_would_go_back_is_known_before_the_gate_refuses(tmp_path: Path) -> None:
    journal_of(
        tmp_path / "journal.sqlite",
        ("a", "h1", "h0", START - timedelta(hours=23), StepState.DONE),
        ("b", "h2", "h0", START - timedelta(hours=25), StepState.DONE),
    )
    watch = Watch(tmp_path, None, "", None, Config())
    found: Any = SimpleNamespace(plan=PLAN)
    assert going_back(watch, found, START) == ["a"]


@pytest.mark.parametrize(("minutes", "allowed"), [(-6, False), (-4, True), (89, True), (91, False), (7 * 1440, False)])
def test_counters_of_a_dead_collector_are_not_acted_on(minutes: int, allowed: bool) -> None:
    permit = FreshCounters(START - timedelta(minutes=minutes)).permits(PLAN, SEEN, START)
    assert permit.allowed == allowed, permit.reason
    if minutes == 7 * 1440:
        assert "7 days ago: is the collector dead?" in permit.reason


@pytest.mark.parametrize(
    ("hours", "measured", "broken", "goal", "allowed"),
    [
        (4, 0, 0, "balance", False),
        (2, 0, 0, "balance", True),
        (4, 1, 0, "balance", True),
        (4, 0, 1, "balance", True),
        (4, 0, 0, "repair", True),
        (None, 0, 0, "balance", True),
    ],
)
def test_heat_that_is_far_off_can_wait(hours: int | None, measured: int, broken: int, goal: str, allowed: bool) -> None:
    starts = None if hours is None else START + timedelta(hours=hours)
    permit = LaterHeat(starts, measured, broken, START).permits(replace(PLAN, goal=goal), SEEN, START)
    assert permit.allowed == allowed, permit.reason


def test_without_a_journal_nothing_was_moved(tmp_path: Path) -> None:
    gates = [MoveBudget(tmp_path / "none"), Cooldown(tmp_path / "none"), CircuitBreaker(tmp_path / "none")]
    assert refusals(gates, PLAN, SEEN, START) == []


@pytest.mark.parametrize(
    ("times", "minutes", "allowed"),
    [(1, 29, False), (1, 31, True), (2, 59, False), (2, 61, True), (5, 239, False), (5, 241, True)],
)
def test_a_vm_rests_longer_after_each_migration(tmp_path: Path, times: int, minutes: int, allowed: bool) -> None:
    last = START - timedelta(minutes=minutes)
    moves = [("a", "h3", "h0", last - timedelta(hours=k), StepState.DONE) for k in range(times)]
    rules = AntiFlap(cooldown_minutes=30, longest_minutes=240)
    permit = Cooldown(journal_of(tmp_path / "j.sqlite", *moves), rules).permits(PLAN, SEEN, START)
    assert permit.allowed == allowed, permit.reason


def test_a_vm_is_not_sent_back_within_a_day(tmp_path: Path) -> None:
    back = journal_of(tmp_path / "j.sqlite", ("a", "h1", "h0", START - timedelta(hours=23), StepState.DONE))
    refused = Cooldown(back).permits(PLAN, SEEN, START)
    assert "would go back to h1" in refused.reason
    assert Cooldown(back).permits(PLAN, SEEN, START + timedelta(hours=2)).allowed
    on = plan(SEEN, [("a", "h0", "h2")])
    assert Cooldown(back).permits(on, SEEN, START).allowed


def test_a_failed_migration_moved_nobody(tmp_path: Path) -> None:
    failed = journal_of(tmp_path / "j.sqlite", ("a", "h1", "h0", START - timedelta(minutes=1), StepState.FAILED))
    assert Cooldown(failed).permits(PLAN, SEEN, START).allowed


@pytest.mark.parametrize(
    ("states", "minutes", "allowed"),
    [
        (["failed"], 1, True),
        (["failed", "failed"], 1, False),
        (["failed", "failed"], 11, True),
        (["in_doubt"], 1, False),
        (["done", "done"], 1, True),
    ],
)
def test_the_circuit_opens_after_failures(tmp_path: Path, states: list[str], minutes: int, allowed: bool) -> None:
    moves = [(f"v{i}", "h0", "h1", START - timedelta(minutes=minutes), StepState(s)) for i, s in enumerate(states)]
    assert CircuitBreaker(journal_of(tmp_path / "j.sqlite", *moves)).permits(PLAN, SEEN, START).allowed == allowed


def test_too_much_heat_or_too_little_data_holds_everything() -> None:
    many = world({"a": "h0"}, hosts=10)
    assert HoldWhenTooMuchIsHot(4, 1.0).permits(PLAN, many, START).allowed
    assert "5 of 10" in HoldWhenTooMuchIsHot(5, 1.0).permits(PLAN, many, START).reason
    assert not HoldWhenTooMuchIsHot(1, 0.98).permits(PLAN, many, START).allowed
    assert HoldWhenTooMuchIsHot(3, 1.0).permits(PLAN, SEEN, START).allowed


def test_plans_grow_old() -> None:
    assert Freshness(60).permits(PLAN, SEEN, START + timedelta(minutes=60)).allowed
    assert not Freshness(60).permits(PLAN, SEEN, START + timedelta(minutes=61)).allowed
    assert "clock" in Freshness(60).permits(PLAN, SEEN, START - timedelta(hours=1)).reason


def test_the_kill_switch_says_why(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "stop")
    assert switch.permits(PLAN, SEEN, START).allowed
    (tmp_path / "stop").write_text("storage work until six\nsecret")
    refused = switch.permits(PLAN, SEEN, START)
    assert not refused.allowed
    assert refused.reason.endswith("storage work until six")


def test_two_balancers_are_one_too_many() -> None:
    hosts = {**SEEN.hosts, "h1": replace(SEEN.hosts["h1"], balancer="Node Fairness")}
    assert OtherBalancer().permits(PLAN, SEEN, START).allowed
    assert "Node Fairness on h1" in OtherBalancer().permits(PLAN, replace(SEEN, hosts=hosts), START).reason


# -- change windows -----------------------------------------------------------------------------------------------------


def open_at(window: ChangeWindow, local: str) -> bool:
    """Whether the window is open at a local time in Berlin."""
    return window.closes(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)) is not None


def test_a_window_over_midnight_belongs_to_the_day_it_opens_on() -> None:
    window = ChangeWindow(BERLIN, time(22), time(5), frozenset({4}))
    assert [open_at(window, f"2026-03-06T{t}") for t in ("21:59", "22:00", "23:59")] == [False, True, True]
    assert [open_at(window, f"2026-03-07T{t}") for t in ("00:00", "04:59", "05:00", "22:00")] == [
        True,
        True,
        False,
        False,
    ]
    assert not open_at(window, "2026-03-06T01:00")


def test_equal_times_mean_a_whole_day() -> None:
    window = ChangeWindow(BERLIN, time(6), time(6), frozenset({0}))
    assert open_at(window, "2026-03-02T06:00")
    assert open_at(window, "2026-03-03T05:59")
    assert not open_at(window, "2026-03-03T06:00")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 6.0), ("2026-10-24", 8.0), ("2026-05-02", 7.0)])
def test_a_night_in_which_the_clocks_change_is_as_long_as_people_think(day: str, hours: float) -> None:
    window = ChangeWindow(BERLIN, time(22), time(5))
    opens = datetime.fromisoformat(f"{day}T22:00").replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    closes = window.closes(opens)
    assert closes is not None
    assert closes - opens == timedelta(hours=hours)


@given(
    st.integers(0, 365 * 24 * 4),
    st.integers(0, 95),
    st.integers(0, 95),
    st.sampled_from([BERLIN, "Australia/Lord_Howe", "UTC", "America/New_York"]),
)
def test_a_window_is_open_exactly_from_its_opening_to_its_closing(
    quarter: int, starts: int, ends: int, zone: str
) -> None:
    window = ChangeWindow(zone, time(starts // 4, starts % 4 * 15), time(ends // 4, ends % 4 * 15))
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)
    closes = window.closes(now)
    if closes is not None:
        assert now < closes <= now + timedelta(hours=25)
        assert window.closes(closes - timedelta(seconds=1)) == closes
        assert closes.astimezone(ZoneInfo(zone)).minute % 15 == 0


def test_a_plan_has_to_end_before_the_window_does() -> None:
    window = ChangeWindow("UTC", time(10), time(12, 0, 5))
    assert plan_seconds(PLAN) == 8.0
    assert not window.permits(PLAN, SEEN, START).allowed
    assert window.permits(PLAN, SEEN, START - timedelta(seconds=4)).allowed
    assert "closes before" in window.permits(PLAN, SEEN, START).reason
    assert "outside" in window.permits(PLAN, SEEN, START + timedelta(hours=1)).reason


# -- contracts ----------------------------------------------------------------------------------------------------------

CONTRACT: dict[str, Any] = {
    "schema": "contract/1",
    "goals": ["balance", "repair"],
    "max_moves": 2,
    "max_gib": 2,
    "max_blackout_s": 0.3,
    "min_probability": 0.7,
    "window": {"zone": "UTC", "starts": "11:00", "ends": "13:00", "days": ["mon"]},
}


def test_what_is_within_the_contract_is_allowed() -> None:
    assert parse_contract(CONTRACT, "here").allows(PLAN, 0.7, SEEN, START).allowed


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("goals", ["repair"], "goal"),
        ("max_moves", 1, "migrations"),
        ("max_gib", 1.9, "GiB"),
        ("max_blackout_s", 0.29, "blackout"),
        ("min_probability", 0.71, "probability"),
        ("window", {"zone": "UTC", "starts": "11:00", "ends": "13:00", "days": ["tue"]}, "window"),
    ],
)
def test_each_limit_holds_by_itself(key: str, value: Any, word: str) -> None:
    permit = parse_contract({**CONTRACT, key: value}, "here").allows(PLAN, 0.7, SEEN, START)
    assert not permit.allowed
    assert word in permit.reason
    assert ";" not in permit.reason


def test_an_outage_needs_consent() -> None:
    waves = tuple(replace(w, migrations=tuple(replace(m, kind="quick") for m in w.migrations)) for w in PLAN.waves)
    quick = replace(PLAN, waves=waves)
    assert not parse_contract(CONTRACT, "here").allows(quick, 1.0, SEEN, START).allowed
    assert parse_contract({**CONTRACT, "quick": True}, "here").allows(quick, 1.0, SEEN, START).allowed


def test_an_unknown_probability_is_not_enough() -> None:
    assert not parse_contract(CONTRACT, "here").allows(PLAN, float("nan"), SEEN, START).allowed


def test_without_a_contract_nothing_is_done_alone() -> None:
    assert not ContractGate(None, 1.0).permits(PLAN, SEEN, START).allowed
    assert ContractGate(parse_contract({**CONTRACT, "window": "always"}, ""), 1.0).permits(PLAN, SEEN, START).allowed


@pytest.mark.parametrize("key", [k for k in CONTRACT])
def test_every_limit_has_to_be_stated(key: str) -> None:
    with pytest.raises(InputError, match=f"missing: {key}"):
        parse_contract({k: v for k, v in CONTRACT.items() if k != key}, "here")


@pytest.mark.parametrize(
    "change",
    [
        {"max_move": 3},
        {"schema": "contract/2"},
        {"goals": []},
        {"goals": ["destroy"]},
        {"max_moves": 2.5},
        {"max_moves": "3"},
        {"max_moves": True},
        {"max_gib": -1},
        {"max_gib": float("nan")},
        {"min_probability": 70},
        {"quick": "no"},
        {"window": "never"},
        {"window": {"zone": "Mars/Olympus", "starts": "1:00", "ends": "2:00"}},
        {"window": {"zone": "UTC", "starts": "25:00", "ends": "2:00"}},
        {"window": {"zone": "UTC", "starts": "1:00", "ends": "2:00", "days": ["monday"]}},
        {"window": {"zone": "UTC", "starts": "1:00"}},
    ],
)
def test_what_is_not_a_contract_is_refused_with_the_place(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="here"):
        parse_contract({**CONTRACT, **change}, "here")


def test_contracts_are_toml_or_json(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(CONTRACT))
    (tmp_path / "c.toml").write_text(
        'schema = "contract/1"\ngoals = ["balance", "repair"]\nmax_moves = 2\nmax_gib = 2\nmax_blackout_s = 0.3\n'
        'min_probability = 0.7\n[window]\nzone = "UTC"\nstarts = 11:00:00\nends = "13:00"\ndays = ["mon"]\n'
    )
    assert load_contract(tmp_path / "c.json") == load_contract(tmp_path / "c.toml")
    (tmp_path / "bad.toml").write_text("= = =")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(InputError, match="cannot be read"):
            load_contract(tmp_path / name)
