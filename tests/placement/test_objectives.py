"""Every goal of the catalogue keeps the laws of a goal; and its story."""

from __future__ import annotations

import pytest

from pro.core.errors import InputError
from pro.placement.objectives import OBJECTIVES, Balance, Disturbance, Heat, HostsOn, Moves, host_minutes
from tests.builders import demand_of, fleet, stand
from tests.strategies import GOALS
from tests.suites import objective_suite

for _name, _strategy in GOALS.items():
    globals()[f"TestLawsOf{_name.title().replace('_', '')}"] = objective_suite(_strategy)


def test_every_goal_of_the_catalogue_is_under_the_laws():
    assert set(GOALS) == set(OBJECTIVES)


def test_a_host_below_the_soft_margin_costs_nothing():
    cool = fleet("h1: a | h2:", cpu=1_000)
    assert Heat().value(cool, demand_of(cool, {"a": 750}), cool.host_of) == 0


def test_heat_over_the_threshold_is_the_area_in_host_minutes():
    hot = fleet("h1: a | h2:", cpu=1_000)
    demand = demand_of(hot, {"a": [850, 950, 1_000]}, step_s=300)
    sharp = Heat(knots=((0.85, 1.0),))
    assert host_minutes(sharp.value(hot, demand, hot.host_of), demand) == pytest.approx((0.10 + 0.15) * 5)


def test_heat_is_a_mean_over_scenarios():
    hot = fleet("h1: a", cpu=1_000)
    one = demand_of(hot, {"a": [950]})
    two = demand_of(hot, {"a": [950, 0]}, scenarios=2)
    goal = Heat()
    assert host_minutes(goal.value(hot, one, hot.host_of), one) == pytest.approx(
        2 * host_minutes(goal.value(hot, two, hot.host_of), two)
    )


def test_two_peaks_that_do_not_coincide_share_a_host_for_nothing():
    pair = fleet("h1: a b | h2:", cpu=1_000)
    apart_in_time = demand_of(pair, {"a": [700, 0], "b": [0, 700]})
    at_once = demand_of(pair, {"a": [700, 0], "b": [700, 0]})
    assert Heat().value(pair, apart_in_time, pair.host_of) == 0
    assert Heat().value(pair, at_once, pair.host_of) > 0


def test_one_very_hot_host_is_worse_than_two_warm_ones():
    four = fleet("h1: a b | h2: c d", cpu=1_000)
    demand = demand_of(four, {"a": 480, "b": 480, "c": 360, "d": 360})
    assert Heat().value(four, demand, stand(four, "h1: a c | h2: b d")) < Heat().value(four, demand, four.host_of)


def test_the_hosts_own_use_counts():
    busy = fleet("h1: a", cpu=1_000)
    assert Heat().value(busy, demand_of(busy, 500), busy.host_of) == 0
    assert Heat().value(busy, demand_of(busy, 500, 500), busy.host_of) > 0


def test_hosts_of_different_size_compare_by_fraction():
    sizes = fleet("h1: a | h2: b", cpu={"h1": 1_000, "h2": 100_000})
    demand = demand_of(sizes, {"a": 950, "b": 0})
    other = demand_of(sizes, {"a": 0, "b": 95_000})
    assert Heat().value(sizes, demand, sizes.host_of) == Heat().value(sizes, other, sizes.host_of)


def test_an_unknown_resource_is_an_error():
    with pytest.raises(InputError, match="gpu"):
        Heat(resources=("gpu",)).value(fleet("h1: a"), demand_of(fleet("h1: a")), fleet("h1: a").host_of)


def test_migrations_cost_by_number_and_by_memory():
    two = fleet("h1: a b | h2:", vm_memory={"a": 1_024, "b": 1_025})
    away = stand(two, "h2: a b")
    assert Moves().value(two, demand_of(two), away) == 2
    assert Moves(per_move=10, per_gib=1).value(two, demand_of(two), away) == 10 + 1 + 10 + 2


def test_an_even_share_of_the_load_costs_nothing():
    even = fleet("h1: a b | h2:", cpu=1_000)
    demand = demand_of(even, {"a": [100, 300], "b": [300, 100]})
    assert Balance().value(even, demand, stand(even, "h2: b")) == 0
    assert Balance().value(even, demand, even.host_of) > 0


def test_an_empty_host_is_off():
    two = fleet("h1: a | h2: b | h3:")
    assert HostsOn().value(two, demand_of(two), two.host_of) == 2
    assert HostsOn().value(two, demand_of(two), stand(two, "h1: b")) == 1


def test_the_worst_hit_service_counts():
    services = fleet("h1: a b c | h2:", services={"a": "web", "b": "web", "c": "sql"})
    assert Disturbance().value(services, demand_of(services), stand(services, "h2: a b c")) == 2
