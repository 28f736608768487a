"""What else counts beside heat and migrations, and what it is worth; and the benchmark of fragments."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fragments as benchmark
from pro.config import Config, PlacementConfig
from pro.decision import policy_of
from pro.fleet import RuleSpec
from pro.placement.account import account
from pro.placement.objectives import Contention, Fragments, LicenceCost, Power, Ratio
from pro.placement.policy import Policy, tiers
from pro.placement.question import prepare
from pro.placement.weights import Weights
from tests.builders import demand_of, fleet, stand


def test_nothing_else_counts_unless_said():
    calm = fleet("h1: a | h2: b")
    for goal, names in (("balance", ["heat", "moves"]), ("consolidate", ["heat", "moves", "hosts on"])):
        first = tiers(Policy(goal=goal), calm, demand_of(calm, 100))[0]
        assert [objective.name for objective in first[1]] == names


def test_hosts_are_emptied_for_what_they_draw_where_power_counts():
    calm = fleet("h1: a | h2: b")
    policy = Policy(goal="consolidate", weights=Weights(power=1.0))
    first = tiers(policy, calm, demand_of(calm, 100))[0]
    assert [objective.name for objective in first[1]] == ["heat", "moves", "power"]


@pytest.mark.parametrize("wrong", [-1.0, 1001.0, 1e300, float("nan"), float("inf")])
def test_a_weight_is_a_number_of_migrations(wrong: float):
    with pytest.raises(ValueError, match="weight of power"):
        Weights(power=wrong)


def test_two_licensed_vms_come_to_one_host_when_a_core_is_worth_it():
    rule = RuleSpec("SQL Server", "licence", ("a", "b"), most=100)
    apart = fleet("h1: a x | h2: b y | h3: z", cores=8, rules=(rule,))
    together = stand(apart, "h1: a b x | h2: y | h3: z")
    demand = demand_of(apart, 100)
    paid = prepare(apart, demand, Policy(weights=Weights(licences=0.5)))
    assert paid.problem.feasible(together)
    assert paid.problem.costs(together) < paid.problem.costs(apart.host_of)
    line = next(tier for tier in account(paid, together) if tier.name == "licences")
    assert (line.before, line.after) == (16, 8)
    unpaid = prepare(apart, demand, Policy())
    assert unpaid.problem.costs(together) > unpaid.problem.costs(apart.host_of)
    assert all(tier.name != "licences" for tier in account(unpaid, together))


@pytest.mark.parametrize("name", [f.name for f in fields(Weights)])
def test_every_weight_makes_a_tier_of_the_account_and_a_setting(name: str):
    calm = fleet("h1: a | h2: b", services={"a": "web"}, rules=(RuleSpec("SQL", "licence", ("a",), most=9),))
    policy = policy_of(Config(placement=PlacementConfig(**{f"weigh_{name}": 0.5})))
    assert getattr(policy.weights, name) == 0.5
    lines = account(prepare(calm, demand_of(calm, 100), policy), stand(calm, "h1: | h2: a b"))
    assert [line.name for line in lines[-2:]] == ["balance", name]


def test_an_empty_host_draws_nothing_and_the_curve_is_met_at_its_points():
    one = fleet("h1: a | h2:", cpu=1_000)
    at = {
        load: Power().value(one, demand_of(one, {"a": load}), one.host_of) / 1e6 for load in (0, 200, 500, 1_000, 1_500)
    }
    assert at == pytest.approx({0: 100, 200: 180, 500: 250, 1_000: 350, 1_500: 350}, abs=0.001)


@pytest.mark.parametrize("curve", [((0.0, 100.0),), ((0.1, 1.0), (1.0, 2.0)), ((0.0, 9.0), (1.0, 2.0))])
def test_a_power_curve_must_make_sense(curve: tuple[tuple[float, float], ...]):
    with pytest.raises(ValueError, match=r"curve|draws no less"):
        Power(otherwise=curve)


def test_an_uneven_fleet_in_which_all_get_what_they_ask_for_has_no_contention():
    uneven = fleet("h1: a b | h2:", cpu=1_000)
    assert Contention().value(uneven, demand_of(uneven, 500), uneven.host_of) == 0
    assert Contention().value(uneven, demand_of(uneven, 600), uneven.host_of) == 200


def test_the_favoured_lack_only_what_is_over_the_capacity_by_themselves():
    pair = fleet("h1: a b", cpu=1_000, services={"a": "web", "b": "batch"})
    goal = Contention(first=("web",), favour=3)
    assert goal.value(pair, demand_of(pair, {"a": 900, "b": 900}), pair.host_of) == 800
    assert goal.value(pair, demand_of(pair, {"a": 1_100, "b": 0}), pair.host_of) == 400


def test_two_halves_of_a_large_vms_room_are_fragments_and_together_they_are_not():
    halves = fleet("h1: a | h2: b", cores=16, vcpus=8)
    demand = demand_of(halves, 100)
    assert Fragments().value(halves, demand, halves.host_of) == 16
    assert Fragments().value(halves, demand, stand(halves, "h1: a b | h2:")) == 0


def test_licences_count_the_cores_of_every_host_that_holds_a_member():
    rule = RuleSpec("SQL Server", "licence", ("a", "b"), most=100)
    pair = fleet("h1: a | h2: b | h3: c", cores={"h1": 8, "h2": 10}, rules=(rule,))
    assert LicenceCost().value(pair, demand_of(pair, 1), pair.host_of) == 18
    assert LicenceCost().value(pair, demand_of(pair, 1), stand(pair, "h1: a b | h2: | h3: c")) == 8


def test_cpu_without_memory_beside_it_is_missed():
    lame = fleet("h1: a | h2:", cpu=1_000, memory=1_000, vm_memory=1_000)
    assert Ratio(target=1.0).value(lame, demand_of(lame, 100), lame.host_of) == 900 * 1_000


@given(st.integers(1, 100), st.integers(1, 40))
def test_a_sawtooth_is_what_is_left_of_the_free_cores(cores: int, unit: int):
    knots, slopes = benchmark.sawtooth(cores, unit)
    for use in range(cores + 1):
        assert int((slopes * np.maximum(use - knots, 0)).sum()) == (cores - use) % unit


def test_a_fleet_that_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="12 VMs do not fit on 4 hosts of 2 x 44 cores"):
        benchmark.make(132, hosts=4, vms=12)


@given(st.integers(0, 2**16), st.integers(0, 6), st.integers(0, 2**16))
def test_no_placement_within_the_budget_passes_the_bound(seed: int, moves: int, other: int):
    few = benchmark.make(seed, hosts=10, vms=10)
    problem = benchmark.compile_fleet(few, moves)
    assert problem.costs(few.place)[0] == ((44 - few.use(few.place)) % 16).sum()
    rng, place = np.random.default_rng(other), few.place.copy()
    for v in rng.permutation(len(place))[:moves]:
        place[v] = rng.integers(0, 3 * few.hosts)
        if not problem.feasible(place):
            place[v] = few.place[v]
    assert problem.feasible(place)
    assert problem.costs(place)[0] >= benchmark.bound(few, moves)
