"""The wide search: an engine like the others, parts that add up to the whole, budgets that are kept, bounds that hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.placement.engines.budgets import UNSEEN, deal
from pro.placement.engines.sources import priced_bound, source_bound
from pro.placement.engines.split import split
from pro.placement.engines.wide import Wide, falling, goal_tier
from pro.placement.engines.wide_form import form, stand
from pro.placement.language import AtLeast, Limit, Linear, Soft, Steps, Together
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.placement.tight import keeps, tight
from tests.strategies import problems, stands
from tests.suites import engine_suite

FEW = Stop(seconds=60, steps=4)


def quick(workers: int = 1) -> Wide:
    return Wide(workers=workers, tries=2_000)


TestWide = engine_suite(quick, FEW)


@st.composite
def clusters(draw: st.DrawFn) -> Problem:
    """Two or three clusters of two or three hosts, heat over several moments, rules inside and across, a shared budget."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    cluster = np.repeat(np.arange(draw(st.integers(2, 3))), draw(st.integers(2, 3)))
    hosts, vms = len(cluster), draw(st.integers(2, 7))
    home, each = rng.integers(0, hosts, vms), np.arange(hosts)
    rack = rng.integers(0, 2, hosts) if draw(st.booleans()) else each // 2
    weight, memory = rng.integers(0, 9, (vms, 5)), rng.integers(1, 5, (vms, 1))
    held = np.zeros((hosts, 1), np.int64)
    np.add.at(held, home, memory)
    zero, one = np.zeros((hosts, 1), np.int64), np.ones((vms, 1), np.int64)
    budget = Limit(np.arange(vms), one, 0 * each, [[0]], [[draw(st.integers(0, 4))]], "moved", "budget")
    gib = Limit(np.arange(vms), memory, 0 * each, [[0]], [[draw(st.integers(0, 9))]], "moved", "memory moved")
    rows: list[object] = [
        Limit(np.arange(vms), memory, each, zero, held + 4, "during", "memory"),
        *(_inside(home, cluster)), *draw(st.sampled_from([(budget,), (gib,), (budget, gib), ()])),
    ]  # fmt: skip
    some = rng.permutation(vms)[:3]
    if draw(st.booleans()):
        rows.append(AtLeast(some, rack, len(set(rack[home[some]].tolist())), "spread"))
    if draw(st.booleans()):
        rows.append(Together(some, rack, "together", len(set(rack[home[some]].tolist()))))
    knots, base = np.sort(rng.integers(0, 15, (2, hosts, 1)), axis=0), rng.integers(0, 4, (hosts, 5))
    slopes = rng.integers(0, 5, (2, hosts, 1))
    wide = (np.broadcast_to(knots, (2, hosts, 5)), np.broadcast_to(slopes, (2, hosts, 5)))
    heat = Steps(np.arange(vms), weight, each, base, *wide, "heat")
    bend = Steps(
        some,
        weight[some, :2],
        rack,
        np.zeros((hosts, 2)),
        np.full((1, hosts, 2), 6),
        np.full((1, hosts, 2), 2),
        "racks",
    )
    goal = [heat, Linear(rng.integers(0, 3, vms), None, None, "moves"), *([bend] if draw(st.booleans()) else [])]
    repair = [Soft(Together(some, each, "apart"), 2, "apart")] if draw(st.booleans()) else []
    movable = rng.random(vms) > 0.2
    tiers = (
        Tier("repair", tuple(repair)),
        Tier("goal", tuple(goal)),
        Tier("rest", (Linear(one[:, 0], None, None, "m"),)),
    )
    return Problem(home, hosts, movable, tuple(rows), tiers)  # type: ignore[arg-type]


def _inside(home: np.ndarray, cluster: np.ndarray) -> list[object]:
    from pro.placement.language import Allow

    at = cluster[home]
    return [Allow(np.flatnonzero(at == c), cluster == c, "border") for c in np.unique(at)]


TestWideOnClusters = engine_suite(quick, FEW, clusters())


@given(clusters(), st.integers(0, 99))
def test_costs_of_parts_add_up_to_the_whole_but_for_a_constant(problem: Problem, seed: int) -> None:
    cut = split(problem, problem.home)
    assert sorted(np.concatenate([p.vms for p in cut.parts]).tolist()) == list(range(len(problem.home)))
    rng = np.random.default_rng(seed)

    def of_parts(host_of: np.ndarray) -> np.ndarray:
        placed = [(p, np.searchsorted(p.hosts, host_of[p.vms])) for p in cut.parts]
        return np.array([p.problem.costs(x) for p, x in placed]).sum(axis=0)

    constant = np.array(problem.costs(problem.home)) - of_parts(problem.home)
    for _ in range(5):
        host_of = problem.home.copy()
        for p in cut.parts:
            host_of[p.vms] = p.hosts[rng.integers(0, len(p.hosts), len(p.vms))]
        assert (of_parts(host_of) + constant).tolist() == list(problem.costs(host_of))
        inside = [p.problem.feasible(np.searchsorted(p.hosts, host_of[p.vms])) for p in cut.parts]
        alone = replace(problem, rows=tuple(r for r in problem.rows if r not in cut.shared))
        if all(inside):
            assert alone.feasible(host_of)


@given(clusters(), st.integers(0, 2**16))
def test_one_worker_or_two_the_same_answer(problem: Problem, seed: int) -> None:
    one, two = (quick(w).improve(problem, problem.home, FEW, np.random.default_rng(seed)) for w in (1, 2))
    assert np.array_equal(one, two)


@settings(max_examples=40)
@given(clusters())
def test_the_answer_lies_between_the_best_there_is_and_greedy_repair(problem: Problem) -> None:
    free = int(problem.movable.sum())
    if problem.hosts**free > 5_000:
        return
    best, _ = oracles.best(problem)
    rng = np.random.default_rng(1)
    greedy = problem.costs(quick().improve(problem, problem.home, Stop(60, 0), rng))
    assert best <= problem.costs(quick().improve(problem, problem.home, FEW, np.random.default_rng(1))) <= greedy


@settings(max_examples=40)
@given(st.one_of(clusters(), problems()), st.integers(0, 9), st.booleans())
def test_a_bound_by_sources_is_never_above_the_best(problem: Problem, price: int, hurry: bool) -> None:
    tier = goal_tier(problem)
    if problem.hosts ** int(problem.movable.sum()) > 5_000:
        return
    best, placed = oracles.best(problem)
    bound = source_bound(problem, placed, tier, price, left=lambda: 0.0 if hurry else 1.0)
    if bound is not None:
        assert bound.value <= best[tier]
        assert bound.proven <= bound.hosts
        searched = priced_bound(problem, placed, tier, price, (lambda: 0.0) if hurry else (lambda: 1.0))
        assert searched is not None
        assert searched.value <= best[tier]


@given(st.integers(0, 2**16), st.integers(0, 6), st.integers(0, 4))
def test_who_leaves_a_host_is_the_best_choice_there_is(seed: int, vms: int, limit: int) -> None:
    from pro.placement.engines.source_kernels import least_leaving

    rng = np.random.default_rng(seed)
    columns, bends = rng.integers(1, 5), rng.integers(1, 4)
    weight, price = rng.integers(0, 9, (vms, columns)), rng.integers(1, 15, vms)
    use = weight.sum(axis=0) + rng.integers(0, 5, columns)
    knots, slopes = rng.integers(0, 15, (bends, columns)), rng.integers(0, 5, (bends, columns))

    def cost(leaves: np.ndarray) -> int:
        rest = use - weight[leaves].sum(axis=0)
        return int((slopes * np.maximum(rest - knots, 0)).sum() + price[leaves].sum())

    best = min(cost(np.array(leaves, bool)) for leaves in product((0, 1), repeat=vms))
    found = np.zeros(vms, np.int64)
    assert least_leaving(use, weight, knots, slopes, price, 1_000, found) == (best, best)
    assert cost(found > 0) == best
    value, low = least_leaving(use, weight, knots, slopes, price, limit, found)
    assert low <= best <= value == cost(found > 0)


def test_the_bound_is_met_where_leaving_is_all_that_costs() -> None:
    """Ten VMs on a host for six, and an empty one beside it."""
    vms, hosts = np.arange(10), np.arange(2)
    heat = Steps(vms, np.ones((10, 3)), hosts, np.zeros((2, 3)), np.full((1, 2, 3), 6), np.full((1, 2, 3), 5), "heat")
    goal = Tier("goal", (heat, Linear(np.full(10, 2), None, None, "moves")))
    problem = Problem(np.zeros(10, np.int64), 2, np.ones(10, bool), (), (Tier("repair", ()), goal))
    found = quick().improve(problem, problem.home, FEW, np.random.default_rng(1))
    bound = source_bound(problem, found, 1)
    assert bound is not None
    assert (bound.value, bound.proven, problem.costs(found)[1]) == (8, 1, 8)


def test_the_bound_knows_what_a_giant_costs_wherever_it_goes() -> None:
    """A giant of 9 and one of 5 on a host for six: whoever leaves, the giant heats a host."""
    vms, hosts = np.arange(2), np.arange(3)
    heat = Steps(vms, [[9], [5]], hosts, np.zeros((3, 1)), np.full((1, 3, 1), 6), np.full((1, 3, 1), 5), "heat")  # type: ignore[arg-type]
    goal = Tier("goal", (heat, Linear(np.full(2, 2), None, None, "moves")))
    problem = Problem(np.zeros(2, np.int64), 3, np.ones(2, bool), (), (Tier("repair", ()), goal))
    best, placed = oracles.best(problem)
    bound = source_bound(problem, placed, 1)
    assert bound is not None
    assert (bound.value, best[1]) == (17, 17)


@given(clusters(), st.integers(0, 2**16))
def test_running_costs_are_what_the_language_says(problem: Problem, seed: int) -> None:
    from pro.placement.engines import kernels
    from pro.placement.engines.wide_kernels import GATHER, SETTLE, STEEPEST, WANDER, work

    v, tiers = len(problem.home), len(problem.tiers)
    arrays = stand(form(problem), problem.home)
    front = (np.full((1, tiers), UNSEEN), np.zeros((1, v), np.int32))
    known = (np.full(v, 2), np.zeros((v, tiers), np.int64), np.full(v, -1))
    noise = np.array([seed + 1], np.uint64)
    for what in ((0, SETTLE), (5, 0, STEEPEST), (0, GATHER), (3, 500, WANDER), (0, 500, WANDER)):
        work(*arrays, *front, *known, np.array([1, 0, *what]), noise)
        here = kernels.placement(*arrays[:2])
        assert tuple(kernels.costs(*arrays[:2])) == problem.costs(here)
        assert problem.feasible(here)
        assert problem.feasible(front[1][0].astype(np.int64))
        assert tuple(front[0][0]) == problem.costs(front[1][0].astype(np.int64))


@st.composite
def somewhere(draw: st.DrawFn) -> tuple[Problem, np.ndarray]:
    """A problem, and a placement that keeps its rows."""
    seed = draw(st.integers(0, 2**32))
    if draw(st.booleans()):
        return tight(np.random.default_rng(seed))
    problem = draw(st.one_of(clusters(), problems()))
    start = draw(stands(problem))
    return problem, start if problem.feasible(start) else problem.home


@settings(max_examples=100)
@given(somewhere(), st.integers(0, 9))
def test_the_relocation_that_is_made_is_the_one_that_helps_most(case: tuple[Problem, np.ndarray], price: int) -> None:
    from pro.placement.engines.kernels import HOST
    from pro.placement.engines.wide_kernels import SETTLE, STEEPEST, work

    problem, start = case
    tier, v = goal_tier(problem), len(problem.home)
    costs, placements = np.full((1, len(problem.tiers)), UNSEEN), np.zeros((1, v), np.int32)
    state, best, where = np.full(v, 2), np.zeros((v, len(problem.tiers)), np.int64), np.full(v, -1)
    flat, standing, dense = stand(form(problem), start)
    arrays = (flat, standing, dense, costs, placements, state, best, where)

    def do(*given: int) -> int:
        return int(work(*arrays, np.array([tier, price, *given]), np.ones(1, np.uint64)))

    def charged(host_of: np.ndarray) -> tuple[int, ...]:
        total = list(problem.costs(host_of))
        total[tier] += price * int((host_of != problem.home).sum())
        return tuple(total)

    bent = any(falling(t) for each in problem.tiers for t in each.terms)
    do(0, SETTLE)
    for _ in range(2 * v):
        now = standing[standing[HOST] : standing[HOST] + v].copy()
        free = np.flatnonzero(problem.movable).tolist()
        moved = [np.where(np.arange(v) == u, h, now) for u in free for h in range(problem.hosts) if h != now[u]]
        least = min((charged(x) for x in moved if keeps(problem, x)), default=charged(now))
        state[:] = 2
        done = do(1, bent, STEEPEST)
        then = charged(standing[standing[HOST] : standing[HOST] + v])
        assert then == min(least, charged(now))
        assert done == int(then < charged(now))
        if not done:
            return


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 6),
    st.integers(0, 99),
    st.sampled_from([1, 3**29]),
)
def test_a_budget_is_dealt_as_well_as_any_way_of_dealing_it(
    costs: list[list[int]], count: int, seed: int, unit: int
) -> None:
    rng = np.random.default_rng(seed)
    fronts = [np.array([[rng.integers(0, 2) * unit, c * unit] for c in part], np.int64) for part in costs]
    for front in fronts:
        front[1:][rng.random(len(front) - 1) < 0.3] = UNSEEN
    chosen, price = deal(fronts, count, 1)
    ways = [
        [f[m].tolist() for f, m in zip(fronts, way, strict=True)]
        for way in product(*(range(len(f)) for f in fronts)) if sum(way) <= count
    ]  # fmt: skip
    seen = [np.array(way).sum(axis=0).tolist() for way in ways if all(c[0] < UNSEEN for c in way)]
    assert sum(chosen) <= count
    assert np.array([f[m] for f, m in zip(fronts, chosen, strict=True)]).sum(axis=0).tolist() == min(seen)
    assert price >= 0


def test_parts_are_clusters_and_the_budget_is_what_they_share() -> None:
    hosts, vms = np.arange(4), np.arange(8)
    budget = Limit(vms, np.ones((8, 1)), 0 * hosts, [[0]], [[3]], "moved", "budget")
    problem = Problem(vms // 2, 4, np.ones(8, bool), (*_inside(vms // 2, hosts // 2), budget), (Tier("goal", ()),))  # type: ignore[arg-type]
    cut = split(problem, problem.home)
    assert [p.hosts.tolist() for p in cut.parts] == [[0, 1], [2, 3]]
    assert cut.shared == (budget,)


@pytest.mark.parametrize("tied", [True, False])
def test_a_rack_that_two_clusters_share_ties_them_where_a_rule_counts_it(tied: bool) -> None:
    hosts, vms = np.arange(4), np.arange(8)
    rack = np.array([0, 1, 1, 2]) if tied else np.array([0, 1, 2, 3])
    rule = AtLeast(vms[::2], rack, 2, "spread")
    problem = Problem(vms // 2, 4, np.ones(8, bool), (*_inside(vms // 2, hosts // 2), rule), (Tier("goal", ()),))  # type: ignore[arg-type]
    assert len(split(problem, problem.home).parts) == (1 if tied else 2)
