"""worthwhile: an answer that keeps hosts hot for longer must at least halve the heat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.heat.hotspots import summary
from pro.placement.longer import WORTH_LONGER, worthwhile
from pro.placement.place import place
from pro.placement.policy import Policy
from pro.placement.question import prepare
from pro.placement.referee import judge
from pro.placement.weights import Weights
from tests.builders import demand_of, fleet, stand
from tests.strategies import demands, fleets, placements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.fleet import Demand, Fleet
    from pro.placement.question import Question

EAGER: dict[str, Any] = {
    "seconds": 1.0, "steps": 4, "memory_reserve_mib": 0, "aggressiveness": 5, "max_moves": 99, "failover": 0, "threshold": 0.5,
}  # fmt: skip


@st.composite
def estates(draw: st.DrawFn) -> tuple[Fleet, Demand]:
    """A fleet and its demand."""
    found = draw(fleets())
    return found, draw(demands(found))


def _heat(question: Question, host_of: Any) -> tuple[float, float]:
    found = summary(question.fleet, question.demand, host_of, question.policy.threshold)
    return found.hot_minutes, found.area


def _asked(vms: Mapping[str, Sequence[int]], **given: Any) -> Question:
    here = fleet("h1: big small | h2: other", cpu=1000)
    return prepare(here, demand_of(here, cpu=vms), Policy(**{**EAGER, **given}))


def test_a_little_less_heat_for_much_longer_is_no_plan() -> None:
    # h1 is over 500 for one moment; without `small` it still is, and h2 is over it for two.
    question = _asked({"big": [700, 100, 100], "small": [10, 10, 10], "other": [100, 495, 495]})
    home = question.problem.home
    assert np.array_equal(worthwhile(question, stand(question.fleet, "h1: big | h2: other small")), home)


def test_a_very_hot_host_may_become_two_warm_ones() -> None:
    question = _asked({"big": [520, 520, 520], "small": [470, 470, 470], "other": [60, 60, 60]})
    spread = stand(question.fleet, "h1: big | h2: other small")
    (before, hot), (after, warm) = (_heat(question, x) for x in (question.problem.home, spread))
    assert after > before
    assert warm < WORTH_LONGER * hot
    assert worthwhile(question, spread) is spread


def test_what_helps_is_kept_where_another_migration_does_not() -> None:
    here = fleet("h1: big small | h2: other | h3: hot cold | h4:", cpu=1000)
    loads = {
        "big": [700, 100, 100],
        "small": [10, 10, 10],
        "other": [495] * 3,
        "hot": [450] * 3,
        "cold": [100, 100, 10],
    }
    question = prepare(here, demand_of(here, cpu=loads), Policy(**EAGER))
    kept = worthwhile(question, stand(here, "h1: big | h2: other small | h3: hot | h4: cold"))
    assert np.array_equal(kept, stand(here, "h1: big small | h2: other | h3: hot | h4: cold"))


def test_what_is_left_must_pay_for_itself_over_the_threshold() -> None:
    # Without `cold` h3 is hot for two moments less, but only just; the margin would have it moved.
    here = fleet("h1: big small | h2: other | h3: hot cold | h4:", cpu=1000)
    loads = {"big": [700, 100, 100], "small": [10, 10, 10], "other": [495] * 3, "hot": [450] * 3, "cold": [52, 52, 10]}
    question = prepare(here, demand_of(here, cpu=loads), Policy(**{**EAGER, "margin": 0.2}))
    costs, alone = question.problem.costs, stand(here, "h1: big small | h2: other | h3: hot | h4: cold")
    assert costs(alone) < costs(here.host_of)
    assert np.array_equal(
        worthwhile(question, stand(here, "h1: big | h2: other small | h3: hot | h4: cold")), here.host_of
    )


def test_a_goal_that_somebody_weighed_is_not_taken_back() -> None:
    question = _asked(
        {"big": [700, 100, 100], "small": [10, 10, 10], "other": [100, 495, 495]}, weights=Weights(power=1.0)
    )
    moved = stand(question.fleet, "h1: big | h2: other small")
    assert worthwhile(question, moved) is moved


@settings(max_examples=60)
@given(st.data())
def test_what_is_left_is_feasible_and_either_no_longer_hot_or_half_as_hot(data: st.DataObject) -> None:
    here, demand = data.draw(estates())
    question = prepare(here, demand, Policy(**EAGER))
    proposed = data.draw(placements(here))
    if not question.problem.feasible(proposed) or question.problem.costs(proposed) > question.problem.costs(
        here.host_of
    ):
        return
    kept = worthwhile(question, proposed)
    assert question.problem.feasible(kept)
    assert question.problem.costs(kept) <= question.problem.costs(here.host_of)
    assert set(np.flatnonzero(kept != here.host_of)) <= set(np.flatnonzero(proposed != here.host_of))
    if question.problem.costs(kept)[0] == question.problem.costs(here.host_of)[0]:
        _pays(question, kept)


@settings(max_examples=8)
@given(estates())
def test_no_answer_keeps_hosts_hot_for_longer_unless_it_halves_the_heat_or_repairs(
    estate: tuple[Fleet, Demand],
) -> None:
    answer, question = place(*estate, Policy(**EAGER))
    assert judge(question.fleet, question.constraints, answer.host_of).accepted
    costs = question.problem.costs
    if costs(answer.host_of)[0] == costs(question.fleet.host_of)[0]:
        _pays(question, answer.host_of)


def _pays(question: Question, host_of: Any) -> None:
    if question.preferences:
        return
    (before, hot), (after, left) = (_heat(question, x) for x in (question.fleet.host_of, host_of))
    assert after <= before + 1e-9 or left <= WORTH_LONGER * hot + 1e-9
