"""Every rule of the catalogue keeps the laws of a rule; and its story."""

from __future__ import annotations

from pro.placement import constraints as room
from tests.strategies import RULES
from tests.suites import constraint_suite

for _kind, _strategy in RULES.items():
    globals()[f"TestLawsOf{_kind.capitalize()}"] = constraint_suite(_strategy)


def test_every_rule_of_the_catalogue_is_under_the_laws():
    assert set(RULES) == set(room.CONSTRAINTS)
    assert {k for k in globals() if k.startswith("TestLawsOf")} == {f"TestLawsOf{k.capitalize()}" for k in RULES}
