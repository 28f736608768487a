"""Annealing: an engine like the others, and its running cost is what the language says it is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pro.placement.engines import anneal, lean
from pro.placement.engines.anneal import Anneal, Cooling, Manner, Trial, Walk, least_cost
from pro.placement.engines.neighbourhood import Neighbourhoods
from pro.placement.language import (
    Limit,
    Linear,
    Steps,
    cost,
)
from pro.placement.problem import Problem, Stop, Tier
from tests import oracles
from tests.strategies import one_tier, problems
from tests.suites import engine_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pro.core.arrays import Ints
    from pro.placement.language import When

FEW = Stop(seconds=60, steps=8)


def quick() -> Anneal:
    return Anneal(tries=300)


TestAnneal = engine_suite(quick, FEW)


@given(one_tier(), st.integers(0, 2**16), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, inf]))
def test_the_running_cost_and_what_is_broken_are_what_the_language_says(
    problem: Problem, seed: int, scan: float, dear: float
) -> None:
    from pro.placement.engines.anneal_kernels import BAD, COST
    from pro.placement.engines.lean import lean

    assert problem.feasible(problem.home)
    walk = Walk(lean(problem, 0), problem.home, np.array([seed + 1], np.uint64))
    assert walk.cost == problem.costs(problem.home)[0]
    walk.begin(problem.home, Manner(1.0, scan=scan, dear=dear))
    for heat in (50.0, 5.0, 0.5):
        walk.run(heat, 200)
        state, over = walk.arrays[1], walk.arrays[8]
        here = _here(walk)
        assert state[COST] == problem.costs(here)[0]
        assert (state[BAD] == 0 and over[-1] == 0) == problem.feasible(here)
        assert problem.feasible(walk.best)
        assert walk.cost == problem.costs(walk.best)[0]


def _here(walk: Walk) -> Ints:
    from pro.placement.engines.anneal_kernels import HOST

    state = walk.arrays[1]
    where: Ints = state[state[HOST] : state[HOST] + len(walk.best)]
    return where


@contextlib.contextmanager
def _counting(times: float) -> Iterator[None]:
    """Where VMs stand counts so many times, at any heat."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Walk, "times", lambda *_: times)
        yield


@given(one_tier(), st.integers(0, 2**16), st.sampled_from([0.0, 1.0]), st.sampled_from([1, 7]))
def test_where_nothing_worse_is_accepted_the_cost_never_rises(
    problem: Problem, seed: int, scan: float, times: int
) -> None:
    """So what a shift, an exchange and a host drawn from many are said to cost is what they cost; where VMs stand counts `times`."""
    from pro.placement.engines.anneal_kernels import BAD, COST
    from pro.placement.engines.lean import lean

    linear = [term for term in problem.tiers[0].terms if isinstance(term, Linear)]

    def counted() -> int:
        more = sum(cost(term, problem.home, _here(walk)) for term in linear)
        return int(walk.arrays[1][COST]) + (times - 1) * more

    walk = Walk(lean(problem, 0), problem.home, np.array([seed + 1], np.uint64))
    walk.begin(problem.home, Manner(0.0, least=1e12, scan=scan))
    with _counting(times):
        walk.run(1e-6, 1)  # after it prices are so high that no row is broken
        assume(walk.arrays[1][BAD] == 0 and walk.arrays[8][-1] == 0)
        before = counted()
        for _ in range(6):
            walk.run(1e-6, 50)
            assert counted() <= before
            before = counted()


DEAR = {
    "who is at home stays, though its host costs more": ([0], [[0, 1, 1]], [5, 0, 0], [0], [0], [0]),
    "who is away goes home, though its host costs more": ([0], [[0, 1, 1]], [5, 0, 0], [0], [1], [0]),
    "who is away pays for that, wherever it is": ([1], [[0, 0, 0]], [5, 0, 0], [0], [1], [0]),
    "who makes way for another stands where that costs little": (
        [0, 0], [[50, 9, 0, 50], [50, 50, 0, 3]], [0, 0, 0, 30], [0, 0], [1, 2], [2, 3],
    ),
}  # fmt: skip
"""What being away costs; what VMs cost on hosts of one slot (all but the first); what hosts cost for each VM on them; where VMs are at home, where they stand,
and where they are to end."""


@given(st.integers(1, 2**16))
@pytest.mark.parametrize("case", DEAR)
def test_hosts_that_are_priced_at_once_know_how_dear_standing_is(case: str, seed: int) -> None:
    """Where nothing worse is accepted, where VMs stand counts seven times, and no shift is priced alone."""
    from pro.placement.engines.lean import lean

    away, table, price, home, begin, end = (np.array(part) for part in DEAR[case])
    vms, hosts = table.shape
    slots = np.where(np.arange(hosts) == 0, vms, 1)[:, None]
    room = Limit(np.arange(vms), np.ones((vms, 1)), np.arange(hosts), 0 * slots, slots, "after", "slots")
    use = Steps(
        np.arange(vms), np.ones((vms, 1)), np.arange(hosts), 0 * slots, 0 * slots[None], price[None, :, None], "use"
    )
    goal = Tier("goal", (use, Linear(away, table, np.arange(vms), "where")))
    walk = Walk(lean(Problem(home, hosts, np.ones(vms, bool), (room,), (goal,)), 0), home, np.array([seed], np.uint64))
    walk.begin(begin, Manner(0.0, least=1e12, scan=2.0))
    with _counting(7):
        for _ in range(8):
            walk.run(1e-6, 200)
            assert begin.tolist() != end.tolist() or _here(walk).tolist() == end.tolist()
    assert _here(walk).tolist() == end.tolist()


@cache
def _on() -> Callable[..., int]:
    """A small kernel lives in its callers' code only; this is one that Python may call."""
    from numba import njit

    from pro.placement.engines import anneal_kernels

    inner = anneal_kernels._on
    outer: Callable[..., int] = njit(lambda vms, host_of, seed, h, reach: inner(vms, host_of, seed, h, reach))
    return outer


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=99), st.integers(1, 2**32), st.integers(0, 5), st.integers(0, 99)
)
def test_a_vm_on_a_given_host_is_found_if_one_is_within_reach(
    host_of: list[int], seed: int, host: int, reach: int
) -> None:
    where, random = np.array(host_of, np.int64), np.array([seed], np.uint64)
    vms = np.arange(0, len(where), 2)
    for _ in range(20):
        found = _on()(vms, where, random, host, reach)
        if found == -1:
            assert where[vms][-1] != host or len(vms) > reach
        else:
            assert found in vms
            assert where[found] == host


@pytest.mark.parametrize(
    ("vms", "when", "crowded"), [(199, "during", False), (200, "after", False), (200, "during", True)]
)
def test_many_vms_where_room_in_flight_is_limited_make_a_crowd(vms: int, when: When, crowded: bool) -> None:
    from pro.placement.engines.lean import lean

    plain = _plain(vms)
    room = Limit(np.arange(vms), np.ones((vms, 1)), np.arange(2), np.zeros((2, 1)), np.full((2, 1), vms), when, "room")
    walk = Walk(lean(replace(plain, rows=(room,)), 0), plain.home, np.array([1], np.uint64))
    assert walk.crowded == crowded
    hottest = max(manner.hot for manner in Anneal()._by_crowd(plain, walk.crowded))
    assert (hottest > 1) == (not crowded)


@pytest.mark.parametrize("crowded", [True, False])
def test_in_a_crowd_who_goes_home_changes_places_with_one_that_stands_there(crowded: bool) -> None:
    """Of 2,000 VMs on 20 full hosts two stand on each other's host: to meet is one chance in a hundred, or in two thousand."""
    from pro.placement.engines.lean import lean

    vms, hosts = 2_000, 20
    home = np.arange(vms) % hosts
    slots = np.full((hosts, 1), vms // hosts)
    room = Limit(np.arange(vms), np.ones((vms, 1)), np.arange(hosts), 0 * slots, slots, "after", "slots")
    goal = Tier("goal", (Linear(np.ones(vms), np.zeros((1, hosts)), np.zeros(vms, np.int64), "moves"),))
    form = lean(Problem(home, hosts, np.ones(vms, bool), (room,), (goal,)), 0)
    begin, settled = home.copy(), 0
    begin[[0, 1]] = begin[[1, 0]]
    for seed in range(1, 41):
        walk = Walk(form, home, np.array([seed], np.uint64))
        walk.begin(begin, Manner(0.0, least=1e12))
        walk.crowded = crowded
        walk.run(1e-6, 1)  # after it prices are so high that no row is broken
        walk.run(1e-6, 2_000)
        settled += walk.standing() == 0
    assert (settled > 15) == crowded


@given(st.integers(2, 400), st.floats(1, 1e4))
def test_held_dear_vms_would_pay_a_quarter_of_what_being_away_costs(hosts: int, spread: float) -> None:
    """At that many heats, by the odds of heat alone: of hosts that all cost the same, and of half of them that cost next to nothing."""
    for costs in (np.ones(hosts - 1), np.where(np.arange(hosts - 1) % 2 == 0, 1, 1 / spread)):
        firm = anneal._firm(costs, hosts)
        odds = np.exp(-firm * costs)
        paid = (odds * costs).sum() / (1 + odds.sum())
        assert paid == pytest.approx(anneal.KEPT, rel=1e-3) or (firm < 1e-6 and paid < anneal.KEPT)


def test_standing_away_counts_for_more_while_it_is_hot_and_for_what_it_costs_in_the_end() -> None:
    from pro.placement.engines.lean import lean

    goal = Tier("goal", (Linear(np.full(4, 2), np.zeros((1, 9)), np.zeros(4, np.int64), "moves"),))
    problem = Problem(np.zeros(4, np.int64), 9, np.ones(4, bool), (), (goal,))
    walk = Walk(lean(problem, 0), problem.home, np.array([1], np.uint64))
    heats = np.geomspace(100 * walk.scale, 1e-3, 40)
    for dear in (0.0, 0.1, inf):
        walk.begin(problem.home, Manner(1.0, dear=dear))
        times = [walk.times(heat) for heat in heats]
        assert times == sorted(times, reverse=True)
        assert times[-1] == 1 <= min(times)
        assert times[0] <= max(1.0, dear * walk.scale / walk._away)
    assert times[0] > 100, "with no limit it counts for as much as the heat asks for"
    assert walk.times(1e-9) == 1


@given(st.integers(1, 2**16))
def test_the_heat_of_who_keeps_close_to_home_is_what_being_away_costs(seed: int) -> None:
    from pro.placement.engines.lean import lean

    use = Steps(
        np.arange(4),
        100 * np.ones((4, 1)),
        np.arange(2),
        np.zeros((2, 1)),
        np.full((1, 2, 1), 150),
        np.ones((1, 2, 1)),
        "use",
    )
    away = Linear(np.full(4, 3), np.array([[0, 2], [2, 0]]), np.array([0, 0, 1, 1]), "moves")
    problem = Problem(np.array([0, 0, 1, 1]), 2, np.ones(4, bool), (), (Tier("goal", (use, away)),))
    walk = Walk(lean(problem, 0), problem.home, np.array([seed], np.uint64))
    walk.begin(problem.home, Manner(1.0, near=True))
    assert walk.unit == 5
    walk.begin(problem.home, Manner(1.0))
    assert walk.unit == walk.scale == 55, "a third VM on a host: 150 over instead of 50 twice, and the move"


def test_of_many_vms_that_might_move_only_those_move_that_must() -> None:
    """One of 40 hosts is 6 over, by VMs of 1 and 2: three of 2 are sent, wherever there is room, and none of 400 others."""
    hosts, each = 40, 10
    size = np.tile([1, 2], hosts * each // 2)[:, None]
    home = np.repeat(np.arange(hosts), each)
    knots = np.full((1, hosts, 1), 15 + 6)
    knots[0, 0, 0] = 15 - 6
    use = Steps(
        np.arange(len(home)), size, np.arange(hosts), np.zeros((hosts, 1)), knots, np.full((1, hosts, 1), 1_000), "use"
    )
    away = Linear(np.ones(len(home)), 1 - np.eye(hosts), home, "moves")
    problem = Problem(home, hosts, np.ones(len(home), bool), (), (Tier("goal", (use, away)),))
    found = Anneal(tries=5_000).improve(problem, home, Stop(60, 400), np.random.default_rng(1))
    moved = np.flatnonzero(found != home)
    assert problem.costs(found) == (6,)
    assert size[moved].ravel().tolist() == [2, 2, 2]


@given(st.integers(1, 2**16))
def test_hosts_are_drawn_from_the_whole_fleet_where_it_is_wider_than_the_window(seed: int) -> None:
    """300 hosts, each good for one VM only: all find theirs, the first and the last hosts as well."""
    from pro.placement.engines.anneal_kernels import WINDOW
    from pro.placement.engines.lean import lean

    hosts, own = 300, np.array([0, 127, 128, 171, 172, 299])
    assert hosts > 2 * WINDOW
    table = np.full((len(own), hosts), 50)
    table[np.arange(len(own)), own] = 0
    wrong = Linear(np.zeros(len(own)), table, np.arange(len(own)), "wrong")
    problem = Problem(own[::-1].copy(), hosts, np.ones(len(own), bool), (), (Tier("goal", (wrong,)),))
    walk = Walk(lean(problem, 0), problem.home, np.array([seed], np.uint64))
    walk.begin(problem.home, Manner(0.1, scan=2.0))
    for _ in range(10):
        walk.run(0.1, 500)
    assert walk.best.tolist() == own.tolist()


@given(one_tier())
def test_the_bound_that_tells_how_long_the_end_is_is_one(problem: Problem) -> None:
    from pro.placement.engines.lean import lean

    plain = tuple(term for term in problem.tiers[0].terms if isinstance(term, Steps) and len(term.knots) == 1)
    only = replace(problem, tiers=(Tier("goal", plain),))
    assert 0 <= least_cost(lean(only, 0)) <= oracles.best(only)[0][0]


@given(one_tier())
def test_on_a_few_vms_it_comes_as_near_to_the_best_as_the_rows_let_it_walk(problem: Problem) -> None:
    best, _ = oracles.best(problem)
    found = Anneal(tries=2_000).improve(problem, problem.home, Stop(60, 20), np.random.default_rng(1))
    assert best <= problem.costs(found) <= problem.costs(problem.home)


@given(problems())
def test_what_an_earlier_tier_has_reached_is_kept(problem: Problem) -> None:
    found = quick().improve(problem, problem.home, FEW, np.random.default_rng(1))
    tier = quick().tier(problem, problem.home)
    if tier is not None:
        assert problem.costs(found)[:tier] == problem.costs(problem.home)[:tier]


def test_a_crowd_that_is_full_everywhere_is_exchanged_not_shifted() -> None:
    """Two hosts with one slot each and the wrong VM on each: only an exchange helps."""
    slots = Limit(np.arange(2), np.ones((2, 1)), np.arange(2), np.zeros((2, 1)), np.ones((2, 1)), "after", "slots")
    wrong = Linear(np.zeros(2), np.array([[0, 9], [9, 0]]), np.arange(2), "wrong")
    problem = Problem(np.array([1, 0]), 2, np.ones(2, bool), (slots,), (Tier("goal", (wrong,)),))
    assert Anneal().improve(problem, problem.home, FEW, np.random.default_rng(1)).tolist() == [0, 1]


def test_what_fits_only_by_way_of_what_does_not_fit_is_found() -> None:
    """A VM of size 2 and two of size 1 are to change places; each shift and each exchange alone overfills a host."""
    size = np.array([[2], [1], [1]])
    room = Limit(np.arange(3), size, np.arange(2), np.zeros((2, 1)), 2 * np.ones((2, 1)), "after", "room")
    wrong = Linear(np.zeros(3), np.array([[9, 0], [0, 9], [0, 9]]), np.arange(3), "wrong")
    problem = Problem(np.array([0, 1, 1]), 2, np.ones(3, bool), (room,), (Tier("goal", (wrong,)),))
    assert Anneal().improve(problem, problem.home, FEW, np.random.default_rng(1)).tolist() == [1, 0, 0]


def test_one_worker_finds_what_two_find() -> None:
    from pro.placement.engines.portfolio import best_of

    problem, stop = _plain(), Stop(seconds=60, steps=4)
    alone, together = (best_of(problem, problem.home, stop, 7, workers=n) for n in (1, 2))
    assert np.array_equal(alone, together)
    assert problem.costs(alone) < problem.costs(problem.home)


def test_workers_of_one_that_is_killed_end_too(tmp_path: Path) -> None:
    script = tmp_path / "asks.py"
    script.write_text(
        "from multiprocessing import active_children\n"
        "from threading import Thread\n"
        "from pro.placement.engines.portfolio import best_of\n"
        "from pro.placement.problem import Stop\n"
        "from tests.placement.test_anneal import _plain\n"
        "def tell():\n"
        "    while len(found := active_children()) < 2:\n"
        "        pass\n"
        "    print(*(child.pid for child in found), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    problem = _plain()\n"
        "    Thread(target=tell).start()\n"
        "    best_of(problem, problem.home, Stop(seconds=120), 1, workers=2)\n"
    )
    root = Path(__file__).resolve().parents[2]
    asker = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert asker.stdout is not None
    workers = [int(word) for word in asker.stdout.readline().split()]
    assert len(workers) == 2
    asker.kill()
    asker.wait()
    asker.stdout.close()
    ends = time.monotonic() + 60
    while any(_runs(pid) for pid in workers) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(_runs(pid) for pid in workers)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_time_limit_is_kept() -> None:
    ticks = iter(np.arange(0, 10, 0.01))
    problem = _plain()
    Anneal(clock=lambda: float(next(ticks)), tries=1).improve(
        problem, problem.home, Stop(1.0), np.random.default_rng(1)
    )
    assert next(ticks) == pytest.approx(1.05, abs=0.06)


def _walks(monkeypatch: pytest.MonkeyPatch) -> list[Manner]:
    """The manners of passes from the start, as they come."""
    walked: list[Manner] = []
    walk_from = Cooling.walk_from

    def noted(self: Cooling, start: Ints, manner: Manner, since: float, until: float) -> None:
        walked.append(manner)
        walk_from(self, start, manner, since, until)

    monkeypatch.setattr(Cooling, "walk_from", noted)
    return walked


@pytest.mark.parametrize(("enough", "passes"), [(10**9, 1), (1, 8)])
def test_where_there_is_time_for_more_than_one_pass_the_two_best_manners_take_turns(
    monkeypatch: pytest.MonkeyPatch, enough: int, passes: int
) -> None:
    walked = _walks(monkeypatch)
    monkeypatch.setattr(anneal, "ENOUGH", enough)
    problem, stop = _plain(), Stop(seconds=60, steps=200)
    found = Anneal(anneal.MANNERS, tries=100).improve(problem, problem.home, stop, np.random.default_rng(1))
    tried, then = walked[: len(anneal.MANNERS)], walked[len(anneal.MANNERS) :]
    assert tried == list(anneal.MANNERS)
    assert len(then) == passes
    assert then == (then[:2] * 4)[:passes]
    assert len(set(then)) == min(passes, 2)
    assert problem.costs(found) < problem.costs(problem.home)


@pytest.mark.parametrize(("long", "short"), [(89, False), (90, False), (91, True)])
def test_where_a_long_pass_was_worse_than_a_short_one_many_short_ones_follow(
    monkeypatch: pytest.MonkeyPatch, long: int, short: bool
) -> None:
    costs, taken, manners = [100, 90, 300, 400, long], [], []

    def walk_from(self: Cooling, start: Ints, manner: Manner, since: float, until: float) -> None:
        self.done, self.walk.cost = round(until * self.stop.steps), costs.pop(0) if costs else 89
        self.made, _ = self.done * self.tries, self.walk.winning()
        taken.append(until - since)
        manners.append(manner)

    def cool(self: Cooling, hot: float, cold: float, since: float, until: float, lax: float = 0.0) -> None:
        self.done = round(until * self.stop.steps)
        self.made = self.done * self.tries

    monkeypatch.setattr(Cooling, "walk_from", walk_from)
    monkeypatch.setattr(Cooling, "cool", cool)
    monkeypatch.setattr(Walk, "standing", lambda self: 1_000)
    monkeypatch.setattr(anneal, "ENOUGH", 12_000)
    monkeypatch.setattr(anneal, "least_cost", lambda form: 0.0)
    engine, problem = Anneal(anneal.MANNERS, tries=100), _plain()
    engine.improve(problem, problem.home, Stop(seconds=60, steps=2_000), np.random.default_rng(1))
    passes = taken[len(anneal.MANNERS) :]
    assert len(passes) > 1
    if short:
        assert passes[1:] == pytest.approx([passes[1]] * (len(passes) - 1))
        assert engine.trial <= passes[1] < 2 * engine.trial < passes[0]
        assert set(manners[len(anneal.MANNERS) :]) == {anneal.MANNERS[1]}
    else:
        assert passes == pytest.approx([passes[0]] * len(passes))


def test_what_is_left_by_who_keeps_close_to_home_counts_more_and_who_is_stuck_comes_last() -> None:
    hot, homely, near = Manner(4.0), Manner(1.0, dear=inf), Manner(0.3, near=True)
    much, by = 1e6, anneal.HASTE

    def order(*left: tuple[Manner, float]) -> list[Manner]:
        trials = [Trial(manner, x, 0, 0.0) for manner, x in left]
        return [trial.manner for trial in sorted(trials, key=lambda trial: trial.rank(much))]

    assert order((hot, 100), (homely, 101 / by)) == [hot, homely]
    assert order((hot, 100), (homely, 99 / by)) == [homely, hot]
    left = anneal.UNDONE * much
    assert order((hot, 10 * by * left), (near, left)) == [near, hot]
    assert order((hot, 10 * by * left), (near, left + 1)) == [hot, near]


@pytest.mark.parametrize(("vms", "manners"), [(50, anneal.SPARSE_MANNERS), (51, anneal.MANNERS)])
def test_where_hosts_hold_few_vms_one_manner_prices_all_hosts_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch, vms: int, manners: tuple[Manner, ...]
) -> None:
    walked = _walks(monkeypatch)
    problem = _plain(vms)
    found = Anneal(tries=50).improve(problem, problem.home, Stop(seconds=60, steps=300), np.random.default_rng(1))
    assert tuple(walked[: len(manners)]) == manners
    assert any(manner.thorough for manner in walked) == (vms == 50)
    assert problem.feasible(found)
    assert problem.costs(found) < problem.costs(problem.home)


def test_where_nothing_was_better_than_the_start_a_trial_is_judged_by_where_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends, walked = [12, 12, 700, 300, 500, 12], []  # the first two and the last are what it costs at the start

    def walk_from(self: Cooling, start: Ints, manner: Manner, since: float, until: float) -> None:
        self.done = round(until * self.stop.steps)
        walked.append(manner)

    monkeypatch.setattr(Cooling, "walk_from", walk_from)
    monkeypatch.setattr(Cooling, "cool", lambda *_: None)
    monkeypatch.setattr(Walk, "standing", lambda self: ends.pop(0) if len(ends) > 1 else ends[0])
    manners = (Manner(0.2), Manner(1.0), Manner(4.0))
    Anneal(manners, tries=100).improve(_plain(), _plain().home, Stop(60, 2_000), np.random.default_rng(1))
    assert walked == [*manners, manners[1]]


def test_a_batch_of_tries_that_price_all_hosts_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: dict[bool, set[int]] = {True: set(), False: set()}
    run = Walk.run

    def noted(self: Walk, heat: float, tries: int, lax: float = anneal.SELDOM) -> None:
        tried[self.manner.thorough].add(tries)
        run(self, heat, tries, lax)

    monkeypatch.setattr(Walk, "run", noted)
    problem, manners = _plain(30), (Manner(1.0), Manner(1.0, scan=1.0))
    Anneal(manners, tries=200).improve(problem, problem.home, Stop(60, 200), np.random.default_rng(1))
    assert tried == {True: {30 * anneal.SHORT}, False: {200}}


def test_reading_a_problem_for_long_leaves_time_for_trials_and_the_limit_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, walked = [0.0], _walks(monkeypatch)
    problem, read = _plain(), lean.lean

    def slowly(problem: Problem, tier: int) -> lean.Lean:
        now[0] += 0.5
        return read(problem, tier)

    def clock() -> float:
        now[0] += 1e-4
        return now[0]

    monkeypatch.setattr(lean, "lean", slowly)
    Anneal(anneal.MANNERS, tries=1, clock=clock).improve(problem, problem.home, Stop(1.0), np.random.default_rng(1))
    assert walked[: len(anneal.MANNERS)] == list(anneal.MANNERS)
    assert now[0] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("manners", [(Manner(1.0),), (Manner(1.0, dear=inf),), (Manner(0.3, near=True),), ()])
def test_it_ends_at_the_heat_of_one_migration(monkeypatch: pytest.MonkeyPatch, manners: tuple[Manner, ...]) -> None:
    walked: list[Manner] = []
    again = Cooling.again

    def noted(self: Cooling, manner: Manner, since: float, until: float) -> None:
        walked.append(manner)
        again(self, manner, since, until)

    monkeypatch.setattr(Cooling, "again", noted)
    Anneal(manners, tries=100).improve(_plain(), _plain().home, FEW, np.random.default_rng(1))
    first = anneal.HOMING if any(m.near for m in manners) else anneal.AGAIN
    assert walked == [first, anneal.HOMING]


@pytest.mark.parametrize(("vms", "left", "share"), [(25, 0.5, 0.12), (25, 0.0, 0.72), (26, 0.0, 0.0)])
def test_where_hosts_hold_few_vms_neighbourhoods_end_the_search_and_the_more_where_all_else_is_settled(
    monkeypatch: pytest.MonkeyPatch, vms: int, left: float, share: float
) -> None:
    """`left`: what passes leave of all that could be won."""
    rests: list[int] = []
    problem, steps = _plain(vms), 2_000

    def improve(self: Neighbourhoods, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        rests.append(stop.steps)
        return start

    def walk_from(self: Cooling, start: Ints, manner: Manner, since: float, until: float) -> None:
        self.done, self.walk.cost = round(until * self.stop.steps), int(left * problem.costs(problem.home)[0])

    def cool(self: Cooling, hot: float, cold: float, since: float, until: float, lax: float = 0.0) -> None:
        self.done = round(until * self.stop.steps)
        self.made = self.done * self.tries

    monkeypatch.setattr(Neighbourhoods, "improve", improve)
    monkeypatch.setattr(Cooling, "walk_from", walk_from)
    monkeypatch.setattr(Cooling, "cool", cool)
    monkeypatch.setattr(anneal, "least_cost", lambda form: 0.0)
    monkeypatch.setattr(anneal, "ENOUGH", 1_000)
    Anneal(tries=100).improve(problem, problem.home, Stop(60, steps), np.random.default_rng(1))
    assert bool(rests) == (share > 0)
    for rest in rests:
        assert rest == pytest.approx(share * steps / anneal.BATCHES, rel=0.2)


def _plain(vms: int = 4) -> Problem:
    return Problem(
        np.zeros(vms, np.int64), 2, np.ones(vms, bool), (),
        (Tier("goal", (Linear(np.zeros(vms), np.array([[3, 1]]), np.zeros(vms, np.int64), "where"),)),),
    )  # fmt: skip
