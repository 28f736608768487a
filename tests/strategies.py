"""Random fleets, demands, rules, placements and problems for laws. Small on purpose: laws break on small cases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from pro.fleet import Demand, Fleet, RuleSpec
from pro.fleet.rule_kinds import KINDS
from pro.placement import constraints as rules_room
from pro.placement.language import (
    AtLeast,
    Limit,
    Linear,
    MostMoved,
    Near,
    Opened,
    Soft,
    Steps,
    Together,
)
from pro.placement.objectives import (
    Balance,
    Contention,
    Disturbance,
    Fragments,
    Heat,
    HostsOn,
    LicenceCost,
    Moves,
    Power,
    Ratio,
)
from pro.placement.problem import Problem, Tier, compile_problem
from tests.builders import START, fleet_of
from tests.conftest import HOSTILE_NAMES

if TYPE_CHECKING:
    from pro.placement.language import Row, Term
    from pro.placement.rules import Constraint

    Ints = np.ndarray[Any, np.dtype[np.int64]]

HOSTS = ("h1", "h2", "h3", "h4")
VMS = ("a", "b", "c", "d", "e", "f")
PLAIN_AND_HOSTILE = (*HOSTILE_NAMES, "SQL01", "web-2")


def vm_names() -> st.SearchStrategy[str]:
    """Names as they come from outside: hostile, empty of sense, or plain."""
    return st.sampled_from(PLAIN_AND_HOSTILE) | st.text(min_size=1, max_size=20)


@st.composite
def fleets(draw: st.DrawFn, *, max_hosts: int = 4, max_vms: int = 6) -> Fleet:
    """Fleets of 1..4 hosts and 0..6 VMs: tight or roomy, with clusters, racks, sites, CPUs, hostile names."""
    hosts = list(HOSTS[: draw(st.integers(1, max_hosts))])
    vms = list(VMS[: draw(st.integers(0, max_vms))])

    def some(ids: list[str]) -> list[str]:
        return draw(st.lists(st.sampled_from(ids), unique=True, max_size=2)) if ids and draw(st.booleans()) else []

    def label(ids: list[str], labels: tuple[str, ...]) -> dict[str, str]:
        return dict(
            zip(ids, draw(st.lists(st.sampled_from(labels), min_size=len(ids), max_size=len(ids))), strict=True)
        )

    def number(ids: list[str], most: int) -> dict[str, int]:
        numbers = draw(st.lists(st.integers(0, most), min_size=len(ids), max_size=len(ids)))
        return dict(zip(ids, numbers, strict=True))

    one, noise = draw(st.booleans()), np.random.default_rng(draw(st.integers(0, 2**16)))
    return fleet_of(
        {vm: draw(st.sampled_from(hosts)) for vm in vms},
        hosts,
        cpu={h: draw(st.sampled_from((0, 700, 1_000, 3_000))) for h in hosts},
        memory=number(hosts, 40),
        vm_memory=number(vms, 20),
        vm_cpu=number(vms, 900),
        clusters=dict.fromkeys(hosts, "c1") if one else label(hosts, ("c1", "c1", "c2", "")),
        racks=label(hosts, ("r1", "r2", "")),
        sites=label(hosts, ("s1", "s2")),
        vendors={} if one else label(hosts, ("Intel", "Intel", "AMD", "")),
        families={} if one else label(hosts, ("Nehalem", "Nehalem", "Westmere", "")),
        services=label(vms, ("web", "sql", "")),
        closed=some(hosts),
        leaving=some(hosts),
        stuck=some(vms),
        compatible=some(vms),
        vcpus={v: int(noise.integers(0, 9)) for v in vms},
        cores={h: int(noise.choice((4, 10, 16))) for h in hosts},
        numa_nodes={h: int(noise.choice((0, 1, 2, 2))) for h in hosts},
        spanning=[v for v in vms if noise.random() < 0.2],
        networks={i: str(noise.choice(("", "prod", "Prod; dmz", "dmz;"))) for i in (*hosts, *vms)},
        storage={i: str(noise.choice(("", "", "csv1", ";"))) for i in (*hosts, *vms)},
        names=label([*hosts, *vms], PLAIN_AND_HOSTILE),
    )


@st.composite
def placements(draw: st.DrawFn, fleet: Fleet) -> Ints:
    """(V,) any placement, sometimes the one of today, often near it."""
    host_of = fleet.host_of.copy()
    for v in range(fleet.n_vms):
        if draw(st.booleans()):
            host_of[v] = draw(st.integers(0, fleet.n_hosts - 1))
    return host_of


@st.composite
def demands(draw: st.DrawFn, fleet: Fleet) -> Demand:
    """Demand over 1..3 scenarios of 1..3 slots, such that some hosts run hot."""
    scenarios, slots = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    moments = scenarios * slots
    cpu = rng.integers(0, 700, (fleet.n_vms, moments))
    memory = np.broadcast_to(fleet.memory_mib[:, None], cpu.shape)
    base = rng.integers(0, 200, (fleet.n_hosts, moments))
    return Demand(
        use=np.stack([cpu, memory], axis=1).astype(np.int32),
        base=np.stack([base, 0 * base], axis=1).astype(np.int32),
        scenarios=scenarios,
        slots=slots,
        start=START,
        step_s=300,
        known=np.ones(fleet.n_vms, np.float32),
    )


def members() -> st.SearchStrategy[tuple[str, ...]]:
    """VM ids for a rule, among them one that no fleet holds, and repetitions."""
    return st.lists(st.sampled_from((*VMS, "nobody")), max_size=4).map(tuple)


def some_hosts() -> st.SearchStrategy[tuple[str, ...]]:
    """Host ids for a rule, among them one that no fleet holds."""
    return st.lists(st.sampled_from((*HOSTS, "nowhere")), min_size=1, max_size=3).map(tuple)


def scopes() -> st.SearchStrategy[str]:
    """Scopes of spread and gather."""
    return st.sampled_from(("host", "rack", "site", "cluster"))


RULES: dict[str, st.SearchStrategy[Constraint]] = {
    "capacity": st.builds(
        rules_room.Capacity,
        resource=st.sampled_from(("memory", "cpu")),
        reserve=st.integers(0, 10),
        reserve_percent=st.integers(0, 30),
        overcommit_percent=st.integers(50, 200),
    ),
    "cluster": st.builds(rules_room.ClusterBorder),
    "cpu": st.builds(rules_room.CpuCompatibility),
    "maintenance": st.builds(rules_room.Maintenance),
    "evacuate": st.builds(rules_room.Evacuate, some_hosts()),
    "budget": st.builds(rules_room.MoveBudget, st.none() | st.integers(0, 3), st.none() | st.integers(0, 1)),
    "spread": st.builds(rules_room.Spread, vm_names(), members(), scopes(), st.integers(0, 3)),
    "gather": st.builds(rules_room.Gather, vm_names(), members(), scopes()),
    "fence": st.builds(rules_room.Fence, vm_names(), members(), some_hosts()),
    "pin": st.builds(rules_room.Pin, vm_names(), members(), st.just(()) | some_hosts()),
    "ban": st.builds(rules_room.Ban, vm_names(), members(), some_hosts()),
    "limit": st.builds(
        rules_room.VmLimit, vm_names(), st.integers(1, 3), members(), scopes(), st.just(()) | some_hosts()
    ),
    "licence": st.builds(rules_room.Licence, vm_names(), members(), st.integers(1, 30)),
    "dedicate": st.builds(rules_room.Dedicate, vm_names(), members(), some_hosts()),
    "prefer": st.builds(rules_room.Prefer, vm_names(), members(), some_hosts()),
    "reach": st.builds(rules_room.Reach),
    "numa": st.builds(rules_room.NumaFit),
    "headroom": st.builds(rules_room.Headroom, st.integers(0, 30)),
    "group_budget": st.builds(rules_room.GroupBudget, st.sampled_from(("service", "cluster")), st.integers(0, 2)),
}
"""A strategy for every rule of the catalogue."""

GOALS: dict[str, st.SearchStrategy[Any]] = {
    "heat": st.builds(
        Heat,
        threshold=st.sampled_from((0.05, 0.5, 0.85)),
        resources=st.sampled_from((("cpu",), ("cpu", "memory"))),
        knots=st.just(()) | st.just(((0.3, 0.5), (0.333, 1e-12), (0.7, 0.0), (0.9, 7.7))),
    ),
    "moves": st.builds(Moves, per_move=st.integers(0, 9), per_gib=st.integers(0, 9)),
    "balance": st.builds(Balance, resources=st.sampled_from((("cpu",), ("cpu", "memory")))),
    "hosts_on": st.builds(HostsOn, cost=st.integers(0, 5)),
    "disturbance": st.builds(Disturbance, cost=st.integers(0, 5)),
    "contention": st.builds(Contention, first=st.sampled_from(((), ("web",))), price=st.integers(0, 5)),
    "power": st.builds(
        Power,
        curves=st.just(()) | st.just((("Nehalem", ((0.0, 50.0), (0.7, 51.0), (1.0, 400.0))),)),
        price=st.integers(0, 5),
    ),
    "fragments": st.builds(
        Fragments, cores=st.integers(1, 5), per_core=st.sampled_from((1, 3)), price=st.integers(0, 5)
    ),
    "licences": st.builds(LicenceCost, price=st.integers(0, 5), per_host=st.integers(0, 5)),
    "ratio": st.builds(Ratio, target=st.none() | st.sampled_from((0.0, 0.013, 2.5)), price=st.integers(0, 5)),
}
"""A strategy for every goal of the catalogue."""


def rules() -> st.SearchStrategy[Constraint]:
    """Any rule of the catalogue."""
    return st.one_of(*RULES.values())


@st.composite
def written(draw: st.DrawFn) -> RuleSpec:
    """Rules as people write them."""
    kind = draw(st.sampled_from(tuple(KINDS)))
    may: dict[str, st.SearchStrategy[Any]] = {
        "hosts": some_hosts(), "scope": scopes(), "least": st.integers(0, 2), "most": st.integers(1, 3)
    }  # fmt: skip
    return RuleSpec(
        name=draw(vm_names()),
        kind=kind,
        members=draw(members()),
        owner="storage team",
        origin="rules.json:1",
        soft=KINDS[kind].soft or draw(st.booleans()),
        **{name: draw(strategy) for name, strategy in may.items() if name in KINDS[kind].uses},
    )


@st.composite
def problems(draw: st.DrawFn, *, max_hosts: int = 4, max_vms: int = 5) -> Problem:
    """Problems as engines see them: rules that always hold and some others, then heat, moves, and something else."""
    fleet, _, _, problem = draw(cases(max_hosts=max_hosts, max_vms=max_vms))
    if draw(st.booleans()):
        return problem
    rows, terms = draw(language(fleet.host_of, fleet.n_hosts))
    more = compile_problem(fleet, rows, [])
    first, *rest = problem.tiers
    at = draw(st.integers(1, len(rest)))
    tiers = [
        replace(first, terms=(*first.terms, *more.tiers[0].terms)),
        *rest[:at], Tier("language", tuple(terms)), *rest[at:],
    ]  # fmt: skip
    return replace(problem, rows=(*problem.rows, *more.rows), tiers=tuple(tiers))


def stands(problem: Problem) -> st.SearchStrategy[Ints]:
    """(V,) any placement of the problem's VMs, allowed or not."""
    v = len(problem.home)
    return st.lists(st.integers(0, problem.hosts - 1), min_size=v, max_size=v).map(lambda xs: np.array(xs, np.int64))


@st.composite
def language(draw: st.DrawFn, home: Ints, hosts: int) -> tuple[list[Row], list[Term]]:
    """Rows and terms that no rule or goal of the catalogue need make: the corners of the language."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    v, racks, each = len(home), rng.integers(-1, 2, hosts), np.arange(hosts)
    some, other = rng.permutation(v)[: rng.integers(0, v + 1)], rng.permutation(v)[: rng.integers(0, v + 1)]
    need, zero = rng.integers(0, 9, (v, 2)), np.zeros((hosts, 1), np.int64)
    licence = Together(some, each, "licence", int(rng.integers(0, 4)), rng.integers(0, 4, hosts))
    ratio = (need[:, 1] - 2 * need[:, 0])[:, None]  # two of the first for each of the second
    rows = [licence, Together(other, racks, "racks", 2, [1, 2])]
    shape = (int(rng.integers(1, 4)), hosts, 2)
    terms = [
        Steps(np.arange(v), need, each, rng.integers(0, 3, (hosts, 2)), rng.integers(0, 20, shape),
              rng.integers(-4, 5, shape), "any shape"),
        Steps(np.arange(v), need[:, :1], racks, [[0], [3]], [[[2], [6]], [[5], [9]]], [[[3], [1]], [[-3], [2]]], "teeth"),
        Steps(np.arange(v), ratio, each, zero + 4, zero[None], 1 + zero[None], "ratio"),
        Opened(each, rng.integers(0, 5, hosts), "licence cost", some),
        Opened(racks, [2, 3], "rack cost", other),
        Soft(licence, 2, "licence"),
    ]  # fmt: skip
    return [r for r in rows if draw(st.booleans())], [t for t in terms if draw(st.booleans())]


@st.composite
def one_tier(draw: st.DrawFn) -> Problem:
    """Every kind of row and term over few VMs, all in one tier."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    v, h = draw(st.integers(1, 5)), draw(st.integers(2, 4))
    home, hosts, racks = rng.integers(0, h, v), np.arange(h), rng.integers(-1, 2, h)
    some, other = rng.permutation(v)[: rng.integers(1, v + 1)], rng.permutation(v)[: rng.integers(1, v + 1)]
    weight = rng.integers(-3, 9, (v, 2))
    use = np.zeros((h, 2), np.int64)
    np.add.at(use, home, np.abs(weight))
    zero, crowd = np.zeros((h, 2), np.int64), np.bincount(home[some], minlength=h).max()
    ones, column = np.ones((len(some), 1), np.int64), np.zeros((h, 1), np.int64)
    rows = [
        Limit(np.arange(v), np.abs(weight), hosts, zero, use + 5, "after", "room"),
        Limit(np.arange(v), np.abs(weight)[:, :1], hosts, column, use[:, :1] + 6, "during", "flight"),
        Limit(some, ones, hosts, column, column + crowd, "after", "crowd"),
        Limit(np.arange(v), np.ones((v, 1)), np.zeros(h, int), [[0]], [[3]], "moved", "budget"),
        AtLeast(some, racks, len(set(racks[home[some]].tolist()) - {-1}), "spread"),
        Together(other, racks, "together", len(set(racks[home[other]].tolist()))),
        Together(some, hosts, "licence", int((1 + hosts)[np.unique(home[some])].sum()), 1 + hosts),
        Near(
            some, other, racks, "near", len(set(racks[home[some]].tolist()) - set(racks[home[other]].tolist()) - {-1})
        ),
    ]
    kept = [row for row in rows if draw(st.booleans())]
    priced = [Soft(row, int(rng.integers(1, 4)), "soft") for row in (
        AtLeast(other, hosts, 2, "spread"), Together(some, hosts, "together"),
        Together(other, racks, "cores", 1, [2, 3]), Near(other, some, racks, "near"),
        Limit(other, np.ones((len(other), 1)), racks, np.zeros((2, 1)), np.zeros((2, 1)), "during", "racks"))]  # fmt: skip
    terms = [
        Steps(
            np.arange(v), weight, hosts, zero, rng.integers(-5, 9, (3, h, 2)), rng.integers(-3, 4, (3, h, 2)), "bends"
        ),
        Steps(np.arange(v), np.abs(weight), hosts, zero, rng.integers(0, 9, (1, h, 2)), 1 + zero[None], "bend"),
        Linear(rng.integers(0, 4, v), rng.integers(0, 4, (v, h)), np.arange(v), "where"),
        MostMoved(rng.integers(-1, 2, v), 3, "most"),
        Steps(
            np.arange(v), weight[:, :1] - 2 * weight[:, 1:], hosts, column + 3, column[None], 1 + column[None], "ratio"
        ),
        Steps(some, ones, racks, [[0], [1]], [[[1], [1]], [[2], [2]]], [[[4], [2]], [[-4], [-1]]], "teeth"),
        Opened(racks, [2, 3], "opened"),
        Opened(hosts, 1 + hosts, "licence cost", other),
        *priced,
    ]
    goal = tuple(term for term in terms if draw(st.booleans()))
    return Problem(home, h, np.ones(v, bool), tuple(kept), (Tier("goal", goal),))


@st.composite
def cases(draw: st.DrawFn, *, max_hosts: int = 4, max_vms: int = 5) -> tuple[Fleet, Demand, list[Constraint], Problem]:
    """A fleet, its demand, its rules, and the problem they make."""
    fleet = draw(fleets(max_hosts=max_hosts, max_vms=max_vms))
    demand = draw(demands(fleet))
    held = [*rules_room.build(fleet), *draw(st.lists(rules(), max_size=3))]
    goals = [Heat(threshold=0.5), draw(GOALS["moves"]), *draw(st.lists(st.one_of(*GOALS.values()), max_size=1))]
    tiers = [Tier(g.name, tuple(g.terms(fleet, demand))) for g in goals]
    rows = [row for rule in held for row in rule.rows(fleet)]
    return fleet, demand, held, compile_problem(fleet, rows, tiers)
