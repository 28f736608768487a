"""Anti-flap: laws of the pure pieces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.placement.constraints.common import say_immovable
from pro.remediation.antiflap import (
    AntiFlap,
    Trip,
    came_from,
    doubt,
    incredible,
    lasting,
    rest,
    resting,
    steadied,
    undone,
    worth_returning,
)
from tests.builders import fleet

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)
RULES = AntiFlap()


def ago(hours: float, vm: str = "a", source: str = "h1", destination: str = "h2") -> Trip:
    return Trip(vm, source, destination, NOW - timedelta(hours=hours))


@given(st.integers(1, 200), st.floats(1, 1e4), st.floats(1, 1e5))
def test_each_migration_doubles_the_rest_up_to_the_longest(trips: int, first: float, longest: float) -> None:
    now, then = rest(trips, first, longest), rest(trips + 1, first, longest)
    assert now <= then <= timedelta(minutes=longest)
    assert then == timedelta(minutes=longest) or abs(then / now - 2) < 1e-6
    assert rest(1, first, longest) == timedelta(minutes=min(first, longest))


def test_a_vm_rests_for_the_cooldown_and_twice_as_long_after_a_second_migration() -> None:
    rules = AntiFlap(cooldown_minutes=60, longest_minutes=600)
    assert resting([ago(0.9)], NOW, rules) == {"a": NOW + timedelta(hours=0.1)}
    assert resting([ago(1.1)], NOW, rules) == {}
    assert set(resting([ago(5), ago(1.1)], NOW, rules)) == {"a"}
    assert resting([ago(5, "b"), ago(1.1)], NOW, rules) == {}


def test_the_ledger_forgets_after_its_hours() -> None:
    trips = [ago(25, source="old"), ago(23, source="young"), ago(1, source="new")]
    assert came_from(trips, NOW, RULES) == {"a": ("new", "young")}


@given(st.lists(st.tuples(st.sampled_from("abz"), st.sampled_from(["h1", "h2", "h3"]), st.floats(0, 100)), max_size=6))
def test_who_rests_stays_and_it_is_said_until_when(moves: list[tuple[str, str, float]]) -> None:
    """Also of VMs (z) that are gone meanwhile. No rule is made of it: a restart after a failure is no migration."""
    a_fleet = fleet("h1: a | h2: b | h3: c")
    trips = [Trip(vm, source, "h9", NOW - timedelta(hours=hours)) for vm, source, hours in moves]
    steady = steadied(a_fleet, trips, NOW, RULES)
    assert a_fleet.movable.all()
    rests = resting(trips, NOW, RULES)
    stay = {vm for vm, free in zip(a_fleet.vms, steady.movable, strict=True) if not free}
    assert stay == set(rests) & {"a", "b", "c"}
    assert steady.rules == a_fleet.rules
    for vm in stay:
        assert say_immovable(steady, steady.vm_index(vm)) == f"{vm} {steady.steady[vm]}"
        assert f"{rests[vm]:%Y-%m-%d %H:%M}" in steady.steady[vm]


def test_a_way_back_needs_many_times_the_usual_gain() -> None:
    assert not worth_returning(gain=10.0, least=1.0, moves=1, rules=RULES)
    assert worth_returning(gain=10.1, least=1.0, moves=1, rules=RULES)
    assert not worth_returning(gain=10.1, least=1.0, moves=2, rules=RULES)


def test_undone_is_a_return_within_a_day_and_nothing_else() -> None:
    there, back = ago(20), ago(10, source="h2", destination="h1")
    assert undone([there, back]) == 1
    assert undone([there, ago(10, source="h2", destination="h3")]) == 0
    assert undone([ago(40), back]) == 0
    assert undone([there, ago(10, "b", "h2", "h1")]) == 0
    assert undone([there, back, ago(1)]) == 2


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_lasting_counts_what_is_unbroken_up_to_now(hot: list[bool]) -> None:
    expected = 0
    for one in reversed(hot):
        if not one:
            break
        expected += 1
    assert lasting(np.array([hot, [True] * len(hot)])).tolist() == [expected, len(hot)]


@given(st.integers(0, 60), st.integers(1, 60))
def test_too_many_hot_hosts_are_doubted_but_never_three_or_fewer(hot: int, hosts: int) -> None:
    assert bool(doubt(hot, hosts, RULES)) == (hot >= 4 and hot > 0.4 * hosts)


@given(st.floats(0.016, 1.0), st.integers(1, 20))
def test_a_unit_error_by_a_hundred_is_seen_and_full_load_is_not(level: float, wrong: int) -> None:
    share = np.full((2, 200), level)
    share[1, 150:] = 1.0
    share[0, -wrong:] *= 100
    found = incredible(share, RULES)
    assert found[0].sum() == wrong
    assert not found[1].any()


def test_a_vm_counted_per_core_is_believed_and_gaps_are_not_values() -> None:
    share = np.full((2, 50), 3.0)
    share[0, 10:] = np.nan
    share[1, ::2] = 4.0
    assert not incredible(share, RULES).any()
