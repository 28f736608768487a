"""A few hosts cut out of a problem are the problem, as far as they can change it; and what they do among themselves is the best they can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pro.placement.engines.around import Around, Cut
from pro.placement.engines.exact import domains
from pro.placement.engines.neighbourhood import Neighbourhoods
from pro.placement.language import Limit, Linear, MostMoved, Steps, cost
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.placement.tight import keeps, tight
from tests.strategies import one_tier, problems
from tests.suites import engine_suite

if TYPE_CHECKING:
    from pro.core.arrays import Ints

TestNeighbourhoods = engine_suite(Neighbourhoods, Stop(seconds=600, steps=2))


def whole(now: Ints, cut: Cut, placed: Ints) -> Ints:
    out = now.copy()
    out[cut.vms] = cut.hosts[placed[: len(cut.vms)]]
    return out


def more_moved(problem: Problem, then: Ints, now: Ints) -> bool:
    terms = [term for tier in problem.tiers for term in tier.terms if isinstance(term, MostMoved)]
    return any(cost(term, problem.home, then) > cost(term, problem.home, now) for term in terms)


def most_moved(problem: Problem) -> bool:
    return any(isinstance(term, MostMoved) for tier in problem.tiers for term in tier.terms)


def dearer(problem: Problem, then: Ints, now: Ints) -> list[int]:
    return [a - b for a, b in zip(problem.costs(then), problem.costs(now), strict=True)]


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_cut_allows_what_the_whole_allows_and_costs_differ_as_much(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, now = tight(rng)
    around = Around(problem, now)
    for _ in range(3):
        hosts = rng.permutation(problem.hosts)[: rng.integers(1, 4)]
        cut = around.cut(hosts)
        assert np.array_equal(cut.vms, np.flatnonzero(np.isin(now, hosts)))
        assert np.array_equal(whole(now, cut, cut.start), now)
        assert all(d.max() < len(hosts) for d in domains(cut.problem)[: len(cut.vms)])
        kept = [now]
        for _ in range(20):
            placed = cut.start.copy()
            free = np.flatnonzero(cut.problem.movable)
            placed[free] = rng.integers(0, len(hosts), len(free))
            then = whole(now, cut, placed)
            allowed = keeps(cut.problem, placed)
            if most_moved(problem):
                # The group that has most may not have more, and what it would cost less is not seen.
                assert keeps(problem, then) or not allowed
                assert not allowed or all(
                    a <= b
                    for a, b in zip(dearer(problem, then, now), dearer(cut.problem, placed, cut.start), strict=True)
                )
                assert allowed == keeps(problem, then) or more_moved(problem, then, now)
            else:
                assert allowed == keeps(problem, then)
                assert not allowed or dearer(problem, then, now) == dearer(cut.problem, placed, cut.start)
            if allowed:
                kept.append(then)
        now = kept[rng.integers(len(kept))]
        around.put(np.arange(len(now)), now)


@given(problems() | one_tier(), st.integers(0, 2**16))
def test_a_neighbourhood_of_all_hosts_is_solved_as_well_as_can_be(problem: Problem, seed: int) -> None:
    assume(not most_moved(problem) and problem.hosts ** int(problem.movable.sum()) <= 5_000)
    best, _ = oracles.best(problem)
    engine = Neighbourhoods(pairs=1e9, effort=5.0)
    found = engine.improve(problem, problem.home, Stop(600, 1), np.random.default_rng(seed))
    assert problem.costs(found) == best


def ring(n: int) -> tuple[Problem, Ints]:
    """Hosts in a ring, each full with one VM whose home is the one before: none can go home alone, nor can two by changing places."""
    vms = np.arange(n)
    room = Limit(vms, np.full((n, 1), 6), vms, np.zeros((n, 1), np.int64), np.full((n, 1), 10), "after", "room")
    away = Tier("away from home", (Linear(np.ones(n, np.int64), None, None, "away"),))
    return Problem(vms, n, np.ones(n, bool), (room,), (away,)), (vms + 1) % n


@given(st.integers(3, 6), st.integers(0, 2**16))
def test_vms_that_can_only_go_home_together_go_home(n: int, seed: int) -> None:
    problem, start = ring(n)
    engine = Neighbourhoods(pairs=float(n * n), linked=1.0)
    assert problem.costs(engine.improve(problem, start, Stop(600, 1), np.random.default_rng(seed))) == (0,)


def test_neighbourhoods_hang_together_and_grow_while_they_are_solved() -> None:
    problem, start = ring(40)
    seen: list[int] = []

    class Watched(Neighbourhoods):
        def _hosts(self, around: Around, pairs: float, rng: np.random.Generator) -> Ints:
            chosen = super()._hosts(around, pairs, rng)
            seen.append(len(chosen))
            away = np.flatnonzero(around.host_of != problem.home)
            assert not len(away) or (np.isin(problem.home[away], chosen) & np.isin(around.host_of[away], chosen)).any()
            return chosen

    Watched(pairs=9.0, linked=1.0).improve(problem, start, Stop(600, 20), np.random.default_rng(1))
    assert seen[0] == 3
    assert seen[-1] > 3


@given(st.integers(0, 2**16))
def test_a_host_whose_use_costs_something_is_looked_at_though_nobody_is_away(seed: int) -> None:
    vms, each = np.arange(20), np.arange(10)
    home, over = vms // 2, int(seed % 10)
    knots = np.where(each == over, 1, 2)[None, :, None]
    term = Steps(
        vms, np.ones((20, 1), np.int64), each, np.zeros((10, 1), np.int64), knots, np.full((1, 10, 1), 7), "over"
    )
    around = Around(Problem(home, 10, np.ones(20, bool), (), (Tier("goal", (term,)),)), home)
    assert around.dear().tolist() == [7.0 * (h == over) for h in each]
    assert over in Neighbourhoods()._hosts(around, 9.0, np.random.default_rng(seed))


@pytest.mark.parametrize(("vms", "seconds", "fits"), [(25, 1.0, True), (26, 1.0, False), (25, 0.03, False)])
def test_it_fits_where_hosts_hold_few_vms_and_there_is_time_for_all(vms: int, seconds: float, fits: bool) -> None:
    problem = Problem(np.zeros(vms, np.int64), 2, np.ones(vms, bool), (), ())
    assert Neighbourhoods().fits(problem, seconds) is fits


def test_its_time_limit_is_kept() -> None:
    problem, start = ring(40)
    now = iter(np.arange(0.0, 100.0, 1.0).tolist())
    engine = Neighbourhoods(clock=lambda: next(now))
    engine.improve(problem, start, Stop(5.0), np.random.default_rng(1))
    assert next(now) <= 8.0
