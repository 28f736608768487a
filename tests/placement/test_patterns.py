"""Patterns: the laws of an engine; on small packings as good as brute force; its kernels against plain enumeration."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.packing import Instance, compile_packing, instances, parse, solve
from pro.placement.engines.pattern_kernels import DEEPEST, fill, price, tight
from pro.placement.engines.patterns import Patterns, read
from pro.placement.language import Allow, AtLeast, Limit, Opened
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.strategies import problems
from tests.suites import engine_suite

if TYPE_CHECKING:
    from pathlib import Path

FEW = Stop(seconds=60, steps=60)


@st.composite
def packings(draw: st.DrawFn, *, ties: bool = True) -> Problem:
    """Up to 5 VMs on as many hosts of one or two kinds; some stay, some may not stand everywhere, some keep apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, dims = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    each, zero = np.arange(n), np.zeros((n, dims), np.int64)
    size = rng.integers(0, 7, (n, dims))
    room = np.maximum(size, rng.choice([6, 9], (n, 1)))
    rows: list[Limit | Allow | AtLeast] = [Limit(each, size, each, zero, room, "after", "capacity")]
    if draw(st.booleans()):
        some = rng.random(n) < 0.6
        rows.append(Allow(each[some], np.ones(n, bool) if some.all() else some, "fence"))
    if ties and draw(st.booleans()):
        rows.append(AtLeast(each, each, min(2, n), "spread"))
    cost = rng.integers(0, 3, n) if draw(st.booleans()) else np.ones(n, np.int64)
    movable = rng.random(n) < draw(st.sampled_from((0.7, 1.0)))
    return Problem(each, n, movable, tuple(rows), (Tier("hosts on", (Opened(each, cost, "hosts on"),)),))


TestPatterns = engine_suite(Patterns, FEW, packings())
TestPatternsOnAnyProblem = engine_suite(Patterns, FEW, problems())


@settings(max_examples=60)
@given(packings(ties=False))
def test_small_packings_are_solved_as_brute_force_solves_them(problem: Problem) -> None:
    best, _ = oracles.best(problem)
    found = Patterns().improve(problem, problem.home, Stop(seconds=60, steps=300), np.random.default_rng(1))
    assert problem.costs(found) == best


@st.composite
def boxes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (n, D) and room (D,)."""
    n, dims = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.integers(0, 9, (n, dims)), rng.integers(5, 14, dims)


def _all(size: np.ndarray, room: np.ndarray) -> list[tuple[int, ...]]:
    every = (c for k in range(1, len(size) + 1) for c in combinations(range(len(size)), k))
    return [c for c in every if (size[list(c)].sum(axis=0) <= room).all()]


@given(boxes(), st.integers(0, 13), st.sampled_from([1, 3, 10**6]))
def test_tight_patterns_are_all_that_waste_little_however_often_it_is_interrupted(
    box: tuple[np.ndarray, np.ndarray], least: int, looks: int
) -> None:
    size, room = box
    out, lengths = np.zeros((300, DEEPEST), np.int64), np.zeros(300, np.int64)
    low = np.minimum(room, least)
    state, left = np.zeros(3 + DEEPEST, np.int64), np.zeros((DEEPEST + 1, len(room)), np.int64)
    while not tight(size, room, low, looks, out, lengths, state, left):
        pass
    listed = sorted(tuple(sorted(out[f, : lengths[f]].tolist())) for f in range(state[0]))
    assert listed == sorted(c for c in _all(size, room) if (size[list(c)].sum(axis=0) >= low).all())


@given(boxes(), st.integers(0, 2**16))
def test_pricing_finds_the_most_valuable_pattern(box: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    size, room = box
    value = np.random.default_rng(seed).uniform(0.1, 1.0, len(size))
    share = np.maximum((size / room).mean(axis=1), 1e-9)
    order = np.argsort(-value / share, kind="stable")
    out, lengths = np.zeros((len(size), DEEPEST), np.int64), np.zeros(len(size), np.int64)
    cut = np.zeros(1, np.int64)
    ordered = np.ascontiguousarray(size[order])
    found = price(ordered, room, value[order], share[order], 0.5, 10**6, 10**9, out, lengths, cut)
    worth = [value[order][out[f, : lengths[f]]].sum() for f in range(found)]
    best = max((value[list(c)].sum() for c in _all(size, room)), default=0.0)
    assert cut[0] == 0
    assert max(worth, default=0.0) == pytest.approx(best if best > 0.5 else 0.0)
    assert all((ordered[out[f, : lengths[f]]].sum(axis=0) <= room).all() for f in range(found))


@given(boxes())
def test_filled_hosts_hold_what_they_have_room_for(box: tuple[np.ndarray, np.ndarray]) -> None:
    size, room = box
    of = np.empty(len(size), np.int64)
    bins = fill(size, room, np.ones(len(room)), np.ones(len(size)), of)
    assert set(of.tolist()) - {-1} == set(range(bins))
    assert all((size[of == b].sum(axis=0) <= room).all() for b in range(bins))
    assert all((size[of < 0] > room).any(axis=1))


def test_triplets_that_leave_no_room_at_all_are_found() -> None:
    rng = np.random.default_rng(4)
    pairs = rng.integers(25, 37, (20, 2, 3))
    size = np.concatenate([pairs[:, 0], pairs[:, 1], 100 - pairs.sum(axis=1)])[rng.permutation(60)]
    problem = compile_packing(np.full(3, 100), size)
    found = Patterns().improve(problem, problem.home, FEW, rng)
    assert problem.costs(found) == (20,)


def test_problems_with_another_goal_are_left_alone() -> None:
    problem = compile_packing(np.full(1, 9), np.array([[4], [5]]))
    licence = Opened(np.arange(2), np.ones(2, np.int64), "licence", np.array([0]))
    assert read(problem, problem.home) is not None
    other = Problem(problem.home, 2, problem.movable, problem.rows, (Tier("goal", (licence,)),))
    assert read(other, other.home) is None


def test_an_instance_is_read_and_solved() -> None:
    room, size = parse("2\n10 10\n3\n4 5 1\n6 5 2\n1 1 1\n")
    assert room.tolist() == [10, 10]
    assert size.tolist() == [[4, 5], [6, 5], [6, 5], [1, 1]]
    assert solve(Instance("tiny", room, size, 2, 2), 60, 1)[0] == 2
    with pytest.raises(RuntimeError, match="cannot be"):
        solve(Instance("wrong", room, size, 3, 3), 60, 1)


def test_the_public_sets_are_whole(shared: Path) -> None:
    counts = {name: len(list(instances(shared / "data" / "vectorpack", name))) for name in ("New", "Triplet")}
    assert counts == {"New": 726, "Triplet": 240}
