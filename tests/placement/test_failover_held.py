"""Failover is never made worse: by an answer, by a wave, by a blocked half of a plan."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.decision import failover_seen
from pro.fleet import RuleSpec
from pro.placement.constraints import build
from pro.placement.engines import Exact, Few, Greedy, Local
from pro.placement.engines.exact import Settled
from pro.placement.engines.wide import Wide
from pro.placement.failover import Failover, survives
from pro.placement.failover.drill import Drill, Found, Loss
from pro.placement.failover.hold import _retreat, hold
from pro.placement.failover.undo import Rows
from pro.placement.place import place
from pro.placement.policy import Policy
from pro.placement.question import Question, prepare
from pro.planning import make_plan
from pro.planning.checker import check
from pro.planning.standby import to_stay
from tests.builders import demand_of, fleet, stand
from tests.placement.tight import keeps, tight
from tests.planning.worlds import CONTEXT
from tests.strategies import demands, fleets, placements

if TYPE_CHECKING:
    from typing import Any

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet
    from pro.placement.problem import Problem, Stop

QUICK: dict[str, Any] = {"seconds": 1.0, "steps": 4, "memory_reserve_mib": 0, "max_moves": 9}


class Wants:
    """An engine that wants one placement and nothing else, as far as rows let it."""

    name = "wants"

    def __init__(self, host_of: Ints) -> None:
        self.host_of = host_of

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        better = problem.feasible(self.host_of) and problem.costs(self.host_of) <= problem.costs(start)
        return self.host_of if better else start


@st.composite
def estates(draw: st.DrawFn) -> tuple[Fleet, Demand]:
    """One cluster or more, and load; some VMs are not highly available."""
    found = draw(fleets())
    up = np.array([draw(st.integers(0, 4)) > 0 for _ in found.vms], np.bool_)
    return replace(found, highly_available=up), draw(demands(found))


def left_down(question: Question, host_of: Ints) -> dict[int, int]:
    """Cluster -> VMs without a place, by a rule that remembers nothing."""
    assert question.failover is not None
    fresh = Failover(question.failover.k, question.constraints)
    return {c: level.amount for c, level in fresh.levels(question.fleet, host_of).items()}


@given(estates(), st.integers(1, 2), st.sampled_from([1e9, 0.0, 5.0]), st.data())
def test_whatever_an_engine_wants_and_however_little_time_is_left_what_is_kept_is_never_worse_than_today(
    estate: tuple[Fleet, Demand], k: int, looks: float, data: st.DataObject
) -> None:
    """Each look at the clock takes a second of `looks`."""
    found, demand = estate
    question = prepare(found, demand, Policy(failover=k, **QUICK))
    problem, home = question.problem, found.host_of
    wanted = data.draw(placements(found))
    if not problem.feasible(wanted) or problem.costs(wanted) > problem.costs(home):
        return
    kept = hold(question, wanted, Wants(wanted), left=count(looks, -1.0).__next__)
    assert problem.feasible(kept)
    assert problem.costs(kept) <= problem.costs(home)
    assert problem.costs(kept)[0] <= problem.costs(wanted)[0]
    today, then = left_down(question, home), left_down(question, kept)
    if problem.costs(home)[0] == 0:
        assert all(then[c] <= today[c] for c in today)
    if looks > 0 and all(x <= today[c] for c, x in left_down(question, wanted).items()):
        assert kept is wanted


@given(estates(), st.integers(1, 2), st.data())
def test_a_quick_look_is_never_too_hopeful(estate: tuple[Fleet, Demand], k: int, data: st.DataObject) -> None:
    found, demand = estate
    question = prepare(found, demand, Policy(failover=k, **QUICK))
    wanted = data.draw(placements(found))
    quick, full = Failover(k, question.constraints), Failover(k, question.constraints)
    rough, sure = quick.levels(found, wanted, quick=True), full.levels(found, wanted)
    assert all(rough[c].bar <= sure[c].amount <= rough[c].amount for c in sure)
    assert set(full.worse(found, wanted)) <= set(quick.worse(found, wanted, quick=True))
    # What is known better is not forgotten for a quick look, nor the other way round.
    assert full.levels(found, wanted, quick=True) == sure
    assert {c: level.amount for c, level in quick.levels(found, wanted).items()} == left_down(question, wanted)


@settings(max_examples=40)
@given(estates(), st.sampled_from([0.001, 0.1, 1.0, 10.0]))
def test_however_fast_the_clock_runs_an_answer_is_no_worse_than_today(
    estate: tuple[Fleet, Demand], step: float
) -> None:
    found, demand = estate
    policy = Policy(seconds=2.0, memory_reserve_mib=0, max_moves=9)
    answer, question = place(found, demand, policy, clock=count(0.0, step).__next__)
    problem, home = question.problem, found.host_of
    assert problem.feasible(answer.host_of)
    assert problem.costs(answer.host_of) <= problem.costs(home)
    if problem.costs(home)[0] == 0:
        today, then = left_down(question, home), left_down(question, answer.host_of)
        assert all(then[c] <= today[c] for c in today)


def test_what_a_proof_finds_beyond_counts_only_if_failover_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, demand = crowded()
    policy = Policy(memory_reserve_mib=0, seconds=5.0, steps=20)
    careless, _ = place(found, demand, replace(policy, failover=0))
    assert (careless.host_of != found.host_of).any()
    for engine in (Greedy, Few, Local):
        monkeypatch.setattr(engine, "improve", lambda self, problem, start, *_: start)
    monkeypatch.setattr(Exact, "settle", lambda *_: (careless.host_of, Settled(0, True)))
    careful, question = place(found, demand, policy)
    assert left_down(question, careful.host_of) == left_down(question, found.host_of)
    assert not np.array_equal(careful.host_of, careless.host_of)
    free, _ = place(found, demand, replace(policy, failover=0))
    assert np.array_equal(free.host_of, careless.host_of)


@pytest.mark.parametrize("prove", [True, False])
def test_a_slow_look_at_failover_keeps_to_the_limit(prove: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes a second, and every VM that is not at home costs a place: all six migrations are to be undone, one by one."""
    now, looks = [0.0], []
    hot = fleet("h1: a b c d e f g h i | h2: | h3: | h4:", clusters=dict.fromkeys(["h1", "h2", "h3", "h4"], "c"))
    demand = demand_of(hot, 3_000)

    def slow(
        self: Failover, a_fleet: Fleet, host_of: Ints, some: Any = None, *, quick: bool = False
    ) -> dict[int, Found]:
        now[0] += 0.0 if quick else 1.0
        looks.append(quick)
        away = int((host_of != a_fleet.host_of).sum())
        return {0: Found(4, 4, (Loss((0,), away, away),) if away else (), quick)}

    monkeypatch.setattr(Failover, "levels", slow)
    monkeypatch.setattr("pro.placement.chain.ready", lambda *_: None)  # it runs engines, before any clock
    policy = Policy(seconds=8.0, memory_reserve_mib=0, max_moves=9)
    free, _ = place(hot, demand, replace(policy, failover=0), clock=lambda: 0.0, prove=False)
    assert (free.host_of != hot.host_of).sum() >= 4
    answer, _ = place(hot, demand, policy, clock=lambda: now[0], prove=prove)
    assert answer.host_of.tolist() == hot.host_of.tolist()
    assert now[0] <= 8.0
    assert len(looks) > 4


@settings(max_examples=25)
@given(estates())
def test_the_wide_search_mends_what_was_found_without_a_look_at_failover(estate: tuple[Fleet, Demand]) -> None:
    found, demand = estate
    wanted = place(found, demand, Policy(failover=0, **QUICK))[0].host_of
    question = prepare(found, demand, Policy(failover=1, **QUICK))
    kept = hold(question, wanted, Wide())
    assert question.problem.feasible(kept)
    assert question.problem.costs(kept) <= question.problem.costs(found.host_of)
    if question.problem.costs(found.host_of)[0] == 0:
        today, then = left_down(question, found.host_of), left_down(question, kept)
        assert all(then[c] <= today[c] for c in today)


def test_something_else_is_found_where_a_migration_was_undone_and_other_clusters_keep_theirs() -> None:
    """With e on a1 nobody would take c if a2 failed, so that is undone. a2 takes e just as well; d has moved in another cluster."""
    clusters = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b"}
    both = fleet(
        "a1: a | a2: c | a3: e g | b1: d f | b2:", clusters=clusters, memory=8_192, vm_memory=4_096,
        rules=[RuleSpec("shared disk", "fence", ("c",), ("a1", "a2"))],
    )  # fmt: skip
    demand = demand_of(both, {"e": 6_000, "g": 6_000, "d": 6_000, "f": 6_000})
    question = prepare(both, demand, Policy(failover=1, **{**QUICK, "seconds": 300.0}))
    kept = hold(question, stand(both, "a1: e | b2: d"), Wide())
    assert kept.tolist() == stand(both, "a2: e | b2: d").tolist()


@settings(max_examples=8)
@given(estates(), st.sampled_from(["balance", "consolidate"]))
def test_an_answer_of_place_is_never_worse_in_failover_where_no_rule_was_broken(
    estate: tuple[Fleet, Demand], goal: str
) -> None:
    found, demand = estate
    answer, question = place(found, demand, Policy(goal=goal, **QUICK))  # type: ignore[arg-type]
    if question.problem.costs(found.host_of)[0] == 0:
        today, then = left_down(question, found.host_of), left_down(question, answer.host_of)
        assert all(then[c] <= today[c] for c in today)


@given(estates(), st.data())
def test_no_wave_ends_worse_than_today_or_than_what_was_granted(
    estate: tuple[Fleet, Demand], data: st.DataObject
) -> None:
    found, _ = estate
    rules = build(found)
    wanted = data.draw(placements(found))
    rule = Failover(1, rules)
    context = replace(CONTEXT, constraints=rules)
    staying: dict[str, str] = {}
    plan = make_plan(found, None, wanted, context)
    while more := to_stay(plan, found, rule, found.host_of):
        staying |= more
        plan = make_plan(found, None, wanted, replace(context, staying=staying))
    assert check(plan, found, rules, between=rule.between(found, found.host_of)) == []
    assert set(staying) <= {b.vm for b in plan.blocked}
    at = found.host_of.copy()
    today = {f.hosts: f.amount for f in survives(found, rules).failures}
    for wave in plan.waves:
        for m in wave.migrations:
            at[found.vm_index(m.vm)] = found.host_index(m.destination)
        then = {f.hosts: f.amount for f in survives(found, rules, at).failures}
        assert sum(then.values()) <= sum(today.values())


# -- stories ------------------------------------------------------------------------------------------------------


def crowded() -> tuple[Fleet, Demand]:
    """Two busy VMs on h1; h2 is the only host with room for the large VM of h3, as long as nobody fills it."""
    found = fleet(
        "h1: hot warm | h2: | h3: large", memory={"h1": 4_096, "h2": 6_144, "h3": 6_144},
        vm_memory={"hot": 2_048, "warm": 1_024, "large": 5_120}, stuck=["warm"],
    )  # fmt: skip
    return found, demand_of(found, {"hot": 7_000, "warm": 3_000}, step_s=3_600)


def test_a_host_that_stands_by_for_another_is_not_filled() -> None:
    found, demand = crowded()
    policy = Policy(memory_reserve_mib=0, seconds=5.0, steps=20)
    careless, _ = place(found, demand, replace(policy, failover=0))
    assert found.hosts[careless.host_of[found.vm_index("hot")]] == "h2"
    careful, question = place(found, demand, policy)
    assert left_down(question, careful.host_of) == left_down(question, found.host_of)
    assert found.hosts[careful.host_of[found.vm_index("hot")]] != "h2"
    assert "failover" in careful.engine


def test_a_search_goes_on_without_the_migration_that_was_undone() -> None:
    found = fleet(
        "h1: hot warm | h2: | h3: large | h4: spare", memory={"h1": 4_096, "h2": 6_144, "h3": 6_144, "h4": 4_096},
        vm_memory={"hot": 2_048, "warm": 1_024, "large": 5_120, "spare": 512}, stuck=["warm"],
    )  # fmt: skip
    demand = demand_of(found, {"hot": 7_000, "warm": 3_000, "spare": 1_000}, step_s=3_600)
    question = prepare(found, demand, Policy(memory_reserve_mib=0, seconds=5.0, steps=20))
    to_h2 = stand(found, "h2: hot")
    from pro.placement.engines import Local, warm

    warm()
    kept = hold(question, to_h2, Local())
    assert question.failover is not None
    assert not question.failover.worse(found, kept)
    assert question.problem.costs(kept) < question.problem.costs(found.host_of)
    assert found.hosts[kept[found.vm_index("hot")]] != "h2"
    hurried = hold(question, to_h2, Local(), left=lambda: 0.0)
    assert np.array_equal(hurried, found.host_of)


def test_a_broken_rule_is_repaired_although_a_host_less_may_fail() -> None:
    """Two that must stand apart on three hosts of which one is closed to them: repaired, neither host may fail."""
    rules = [RuleSpec("apart", "spread", ("a", "b")), RuleSpec("zone", "fence", ("a", "b"), ("h1", "h2"))]
    found = fleet("h1: a b | h2: | h3: c", rules=rules)
    answer, question = place(found, demand_of(found), Policy(memory_reserve_mib=0, seconds=2.0, steps=10))
    assert len(set(answer.host_of[:2].tolist())) == 2
    assert sum(left_down(question, answer.host_of).values()) > sum(left_down(question, found.host_of).values())


def test_the_checker_sees_a_wave_after_which_a_host_may_not_fail() -> None:
    found, _ = crowded()
    rules = build(found)
    plan = make_plan(found, None, stand(found, "h2: hot"), replace(CONTEXT, constraints=rules))
    rule = Failover(1, rules)
    assert check(plan, found, rules) == []
    assert check(plan, found, rules, between=rule.between(found, found.host_of)) == [
        "after wave 1 N+1 failover of cluster c is broken by 1, at most by 0 allowed"
    ]
    assert to_stay(plan, found, rule, found.host_of) == {
        "hot": "on the way, or with the others blocked, N+1 failover would be worse than today"
    }


def test_a_host_that_is_only_left_alone_takes_restarts() -> None:
    found = fleet("h1: a | h2:", closed=["h2"])
    rules = build(found)
    assert sum(x.amount for x in Failover(1, rules).levels(found, found.host_of).values()) == 1
    assert sum(x.amount for x in Failover(1, rules, ("h2",)).levels(found, found.host_of).values()) == 0


def test_failover_that_nobody_asked_for_is_not_looked_at() -> None:
    found, demand = crowded()
    assert prepare(found, demand, Policy(failover=0)).failover is None
    with pytest.raises(ValueError, match="failover must be"):
        Policy(failover=-1)


def test_what_is_remembered_of_a_cluster_is_forgotten_when_a_tie_to_another_one_changes() -> None:
    racks = {"h1": "r1", "h2": "r2", "h3": "r1", "h4": "r2"}
    clusters = {"h1": "x", "h2": "x", "h3": "y", "h4": "y"}
    rules = [RuleSpec("racks", "spread", ("a", "c"), scope="rack")]
    found = fleet("h1: a | h2: | h3: | h4: c", racks=racks, clusters=clusters, rules=rules)
    rule = Failover(1, build(found))
    once = [v.hosts for v in rule.violations(found, found.host_of)]
    again = [v.hosts for v in rule.violations(found, stand(found, "h2: a | h3: c"))]
    assert once == [("h1",), ("h4",)]
    assert again == [("h2",), ("h3",)]
    assert [v.hosts for v in rule.violations(found, stand(found, "h3: c"))] == []


@pytest.mark.parametrize(("seconds", "gathered", "undone"), [(60.0, "", "ab"), (0.0, "", "abc"), (60.0, "bc", "abc")])
def test_where_no_migration_alone_is_to_blame_only_those_are_undone_that_are_together(
    monkeypatch: pytest.MonkeyPatch, seconds: float, gathered: str, undone: str
) -> None:
    """A VM is left down as long as a or b is away; c has nothing to do with it. Without time, or where c must stand with b, all go home."""
    rules = [RuleSpec("together", "gather", tuple(gathered))] if gathered else []
    found = fleet("h1: a b c | h2:", clusters={"h1": "k", "h2": "k"}, rules=rules)
    question = prepare(found, demand_of(found, {"a": 900, "b": 900, "c": 900}), Policy(failover=1, **QUICK))
    assert question.failover is not None
    home, wanted = found.host_of, stand(found, "h2: a b c")
    assert question.problem.feasible(wanted)

    def levels(
        self: Failover, fleet: Fleet, host_of: Ints, some: Any = None, *, quick: bool = False
    ) -> dict[int, Found]:
        away = bool((host_of != home)[[found.vms.index("a"), found.vms.index("b")]].any())
        return {0: Found(1, 1, (Loss((0,), 1, 1),) if away else ())}

    monkeypatch.setattr(Failover, "levels", levels)
    kept, cuts = _retreat(question, question.failover, wanted, lambda: seconds)
    assert [v for v, a, b in zip(found.vms, kept, wanted, strict=True) if a != b] == list(undone)
    assert len(cuts) == len(undone)


def test_a_quick_look_is_kept_apart_from_what_is_known_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick packing leaves two VMs down and proves nothing; the solver finds that it is one."""
    found = fleet("h1: a | h2:", clusters={"h1": "k", "h2": "k"})

    def find(self: Drill, c: int, host_of: Ints, k: int, effort: float) -> tuple[Found, float]:
        return Found(1, 1, (Loss((0,), 1, 1) if effort else Loss((0,), 2, 0),)), effort

    monkeypatch.setattr(Drill, "_find", find)
    drill = Drill(found, [])

    def look(quick: bool) -> tuple[int, int]:
        level = drill.clusters_of(found.host_of, 1, quick=quick)[0]
        return level.amount, level.bar

    assert [look(quick) for quick in (True, False, True)] == [(2, 0), (1, 1), (1, 1)]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_what_is_left_of_a_problem_says_of_undoing_what_the_whole_says(seed: int) -> None:
    """Cut down to some VMs and the hosts where these stand it allows the same, and costs differ from the whole's by as much everywhere."""
    rng = np.random.default_rng(seed)
    problem, now = tight(rng)
    touched = (now != problem.home) & (rng.random(len(now)) < 0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pro.placement.failover.undo.MANY", 0)
        small = Rows(problem).about(now, touched)
    whole, part = problem.costs(now), small.costs(now)
    for _ in range(8):
        trial = np.where(touched & (rng.random(len(now)) < 0.5), problem.home, now)
        assert keeps(small, trial) == keeps(problem, trial)
        changed = zip(problem.costs(trial), whole, small.costs(trial), part, strict=True)
        assert all(a - b == c - d for a, b, c, d in changed)


def test_who_only_might_be_worse_is_looked_at_closely() -> None:
    """A quick look may find no place for a VM that has one."""

    class Doubtful(Failover):
        def worse(self, *given: Any, quick: bool = False, **more: Any) -> list[int]:
            return [0] if quick else super().worse(*given, **more)

    found, demand = crowded()
    question = prepare(found, demand, Policy(failover=1, **QUICK))
    question = replace(question, failover=Doubtful(1, question.constraints))
    wanted = _kept(question)
    assert hold(question, wanted, Wants(wanted)) is wanted


def _kept(question: Question) -> Ints:
    """A migration that leaves everybody a place who has one today."""
    home = question.fleet.host_of
    for v in range(len(home)):
        for h in range(question.fleet.n_hosts):
            trial = np.where(np.arange(len(home)) == v, h, home)
            fine = (
                question.problem.feasible(trial) and question.problem.costs(trial)[0] <= question.problem.costs(home)[0]
            )
            if h != home[v] and fine and not Failover(1, question.constraints).worse(question.fleet, trial):
                return trial
    raise AssertionError("there is none")


@given(estates(), st.data())
@settings(deadline=None)
def test_what_may_fail_today_does_not_hang_on_which_hosts_are_to_be_emptied(
    estate: tuple[Fleet, Demand], data: st.DataObject
) -> None:
    found, demand = estate
    emptied = tuple(data.draw(st.lists(st.sampled_from(found.hosts), min_size=1, unique=True)))
    asked = [prepare(found, demand, Policy(evacuate=hosts, **QUICK)) for hosts in ((), emptied)]
    today, wished = (failover_seen(question, found.host_of) for question in asked)
    assert today is not None
    assert wished is not None
    assert wished[0] == today[0]


def test_a_host_that_is_to_be_emptied_takes_restarts_today_and_none_with_the_plan() -> None:
    """Two hosts; b finds its place on h0 when h1 fails, unless h0 is to be emptied."""
    found = fleet("h0: | h1: b")
    question = prepare(found, demand_of(found, {}), Policy(evacuate=("h0",), **QUICK))
    seen = failover_seen(question, found.host_of)
    assert seen is not None
    assert [report.holds for report in seen] == [True, False]
