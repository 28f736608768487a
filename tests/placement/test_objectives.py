"""Every goal of the catalogue keeps the laws of a goal; and its story."""

from __future__ import annotations

from pro.placement.objectives import OBJECTIVES
from tests.strategies import GOALS
from tests.suites import objective_suite

for _name, _strategy in GOALS.items():
    globals()[f"TestLawsOf{_name.title().replace('_', '')}"] = objective_suite(_strategy)


def test_every_goal_of_the_catalogue_is_under_the_laws():
    assert set(GOALS) == set(OBJECTIVES)
