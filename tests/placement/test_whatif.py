"""What-if by difference says exactly what a full count says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.placement.language import Allow, AtLeast, Limit, Near, Row, Together, broken
from pro.placement.whatif import RowAt, Standing, TiersAt
from tests.strategies import problems, stands

if TYPE_CHECKING:
    from pro.placement.problem import Problem

HOSTS, VMS = 4, 5


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Rows of every kind, also those that no rule makes."""
    vms = draw(st.lists(st.integers(0, VMS - 1), max_size=VMS))
    scope = draw(st.lists(st.integers(-1, 2), min_size=HOSTS, max_size=HOSTS))
    kind = draw(st.sampled_from(("allow", "limit", "least", "together", "near")))
    if kind == "allow":
        return Allow(vms, draw(st.lists(st.booleans(), min_size=HOSTS, max_size=HOSTS)), "allow")
    if kind == "least":
        return AtLeast(vms, scope, draw(st.integers(0, 3)), "least")
    if kind == "together":
        weight = draw(st.none() | st.lists(st.integers(0, 4), min_size=3, max_size=3))
        return Together(vms, scope, "together", draw(st.integers(0, 2)), weight)
    if kind == "near":
        others = draw(st.lists(st.integers(0, VMS - 1), max_size=VMS))
        return Near(vms, others, scope, "near", draw(st.integers(0, 1)))
    vms = sorted(set(vms))
    dims = draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    weight, base, upper = (
        rng.integers(0, 5, (len(vms), dims)),
        rng.integers(0, 4, (3, dims)),
        rng.integers(0, 9, (3, dims)),
    )
    return Limit(vms, weight, scope, base, upper, draw(st.sampled_from(("after", "during", "moved"))), "limit")


def hosts_of(low: int = 0) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.integers(low, HOSTS - 1), min_size=VMS, max_size=VMS).map(lambda xs: np.array(xs, np.int64))


@given(rows(), hosts_of(), hosts_of(), st.integers(0, VMS - 1))
def test_a_row_elsewhere_is_the_row_counted_anew(row: Row, home: np.ndarray, host_of: np.ndarray, v: int) -> None:
    standing = Standing(home, host_of, HOSTS)
    anew = [broken(row, home, standing.elsewhere(v, h)) for h in range(HOSTS)]
    assert RowAt(row, standing).broken(v).tolist() == anew


@given(rows(), hosts_of(), hosts_of(), st.integers(0, VMS - 1))
def test_a_row_refuses_wherever_it_gets_worse_and_never_as_placed(
    row: Row, home: np.ndarray, host_of: np.ndarray, v: int
) -> None:
    standing = Standing(home, host_of, HOSTS)
    at = RowAt(row, standing)
    worse = at.broken(v) > at.amount
    assert not np.any(worse & (at.refuses(v) == 0))
    assert at.refuses(v)[host_of[v]] == 0


@given(problems(), st.data())
def test_a_tier_elsewhere_is_the_tier_counted_anew(problem: Problem, data: st.DataObject) -> None:
    standing = Standing(problem.home, data.draw(stands(problem)), problem.hosts)
    now = np.array(problem.costs(standing.host_of))
    at = TiersAt(problem.tiers, standing)
    for v in range(len(problem.home)):
        anew = [np.array(problem.costs(standing.elsewhere(v, h))) - now for h in range(problem.hosts)]
        assert np.array_equal(at.changes(v), np.array(anew).T)
        some = np.arange(problem.hosts)[::2]
        assert np.array_equal(at.changes(v, some), np.array(anew).T[:, some])
