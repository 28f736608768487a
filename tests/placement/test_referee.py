"""The referee agrees with the rows, and refuses what is worse than today."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import RefereeError
from pro.fleet import RuleSpec
from pro.placement import referee
from pro.placement.constraints import build
from pro.placement.language import broken
from tests.builders import fleet, stand
from tests.strategies import cases, placements


@given(cases(), st.data())
def test_what_engines_may_answer_the_referee_accepts(case, data):
    a_fleet, _, rules, problem = case
    host_of = data.draw(placements(a_fleet))
    if problem.feasible(host_of):
        assert referee.judge(a_fleet, rules, host_of).accepted


@given(cases(), st.data())
def test_nothing_is_broken_for_the_referee_exactly_when_no_row_is(case, data):
    a_fleet, _, rules, _ = case
    host_of = data.draw(placements(a_fleet))
    rows = [row for rule in rules for row in rule.rows(a_fleet)]
    amount = sum(broken(row, a_fleet.host_of, host_of) for row in rows)
    assert sum(v.amount for v in referee.check(a_fleet, rules, host_of)) == amount


@given(cases())
def test_staying_put_is_always_accepted(case):
    a_fleet, _, rules, _ = case
    verdict = referee.judge(a_fleet, rules, a_fleet.host_of)
    assert verdict.accepted
    assert verdict.repaired == ()
    assert list(verdict.still) == referee.check(a_fleet, rules, a_fleet.host_of)


def pair_on_one_host():
    return fleet("h1: a b | h2: c | h3:", rules=[RuleSpec("apart", "spread", ("a", "b", "c"))])


def test_a_repaired_rule_is_reported():
    a_fleet = pair_on_one_host()
    verdict = referee.judge(a_fleet, build(a_fleet), stand(a_fleet, "h3: b"))
    assert verdict.accepted
    assert [v.text for v in verdict.repaired] == ["a and b stand together on h1"]


def test_a_rule_broken_more_than_today_is_refused_with_words():
    a_fleet = pair_on_one_host()
    with pytest.raises(RefereeError, match="apart: a, b and c stand together on h1"):
        referee.require(a_fleet, build(a_fleet), stand(a_fleet, "h1: c"))


def test_an_immovable_vm_that_moved_is_refused():
    a_fleet = fleet("h1: a | h2:", stuck=["a"])
    verdict = referee.judge(a_fleet, build(a_fleet), stand(a_fleet, "h2: a"))
    assert verdict.reason() == "movable: a cannot be migrated but was put on h2"


@pytest.mark.parametrize("host_of", [[0], [0, 5], [0, -1]])
def test_what_is_no_placement_is_refused(host_of):
    a_fleet = fleet("h1: a b")
    with pytest.raises(RefereeError):
        referee.judge(a_fleet, build(a_fleet), np.array(host_of))


def test_the_referee_knows_no_engine_and_no_row():
    code = "import sys, json, pro.placement.referee; print(json.dumps([m for m in sys.modules if m.startswith('pro.placement')]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(json.loads(out.stdout)) == {"pro.placement", "pro.placement.referee", "pro.placement.rules"}
