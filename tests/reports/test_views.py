"""What is drawn is what the other rooms computed."""

from __future__ import annotations

import numpy as np
import pytest

from pro.heat.hotspots import summary
from pro.reports import pictures, svg, views
from pro.reports.report import planned_hosts
from tests.reports.fixtures import NOW, make_demand, make_fleet, make_plan, make_report


def test_expected_use_is_the_plain_mean_of_sums() -> None:
    report = make_report()
    fleet, demand = report.fleet, report.demand
    drawn = views.expected_use(fleet, demand, report.host_of_after)
    for h in (0, 2, 5):
        here = np.flatnonzero(report.host_of_after == h)
        for slot in (0, 28, 47):
            moments = [s * demand.slots + slot for s in range(demand.scenarios)]
            total = [demand.base[h, 0, k] + sum(int(demand.use[v, 0, k]) for v in here) for k in moments]
            assert drawn[h, 0, slot] == pytest.approx(np.mean(total) / fleet.capacity[h, 0])


def test_the_dots_of_the_heat_map_add_up_to_the_minutes_of_the_summary() -> None:
    report = make_report()
    for host_of in (report.fleet.host_of, report.host_of_after):
        share = views.over_share(report, host_of, "cpu")
        minutes = summary(report.fleet, report.demand, host_of, report.threshold).minutes[:, 0]
        assert share.sum(axis=1) * report.demand.step_s / 60 == pytest.approx(minutes)


def test_a_host_without_capacity_is_not_drawn_as_full() -> None:
    report = make_report()
    capacity = report.fleet.capacity.copy()
    capacity[0, 0] = 0
    fleet = make_fleet()
    object.__setattr__(fleet, "capacity", capacity)
    assert views.expected_use(fleet, report.demand, fleet.host_of)[0, 0].max() == 0


def test_stop_overs_are_followed_to_where_they_end() -> None:
    fleet = make_fleet()
    plan = make_plan(fleet, ((12, 0), (13, 1), (12, 3)))
    host_of = planned_hosts(fleet, plan)
    assert host_of[12] == 3
    assert host_of[13] == 1
    assert (host_of != fleet.host_of).sum() == 2


def test_hosts_of_the_plan_are_always_drawn() -> None:
    report = make_report(hosts=40)
    drawn = views.hosts_to_draw(report, 6)
    assert len(drawn) == 6
    assert {0, 1, 2, 3} <= set(drawn)
    clusters = [views.cluster_of(report.fleet, h) for h in drawn]
    assert clusters == sorted(clusters)


def test_slots_end_where_demand_says() -> None:
    demand = make_demand(make_fleet())
    ends = views.slot_ends(demand)
    assert len(ends) == demand.slots
    assert (ends[0] - NOW).total_seconds() == demand.step_s
    assert (ends[-1] - NOW).total_seconds() == demand.step_s * demand.slots


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.65, 0.85, 1.0])
def test_classes_of_the_heat_map_rise_to_the_threshold_and_past_it(threshold: float) -> None:
    bounds = [low for low, _ in pictures.classes(threshold)]
    assert bounds == sorted(set(bounds))
    assert bounds[0] == 0
    assert bounds[-2] == threshold
    assert len({label for _, label in pictures.classes(threshold)}) == len(bounds)


@pytest.mark.parametrize("total", [0.5, 7, 59, 61, 600, 4000, 90_000, 900_000])
def test_axes_of_durations_have_few_ticks_within_the_plot(total: float) -> None:
    ticks = svg.seconds_ticks(total, 8)
    assert 1 <= len(ticks) <= 9
    assert ticks[0] == (0.0, "0")
    assert all(at <= total for at, _ in ticks)


@pytest.mark.parametrize("hours", [1, 6, 24, 48, 168, 336])
def test_axes_of_time_have_few_ticks_on_full_hours(hours: int) -> None:
    ticks = svg.hours(NOW.replace(hour=23, minute=55), hours * 3600, 12)
    assert 1 <= len(ticks) <= 13
    assert all((at + 23 * 3600 + 55 * 60) % 3600 == 0 for at, _ in ticks)
