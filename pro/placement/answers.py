"""Answers people can argue with, as JSON for a plan: gains of migrations, stories of hosts, remedies, and whether fewer would do."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.text import counted, plain
from pro.core.units import MEMORY
from pro.placement.gains import fewer, gains
from pro.placement.hosts import stories
from pro.placement.relax import host_cool, remedies, rules_broken
from pro.placement.words import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.core.arrays import Ints
    from pro.placement.explain import Explanation
    from pro.placement.placement import Placement
    from pro.placement.question import Question
    from pro.placement.relax import Wanted

ALL_HOSTS = 200
"""Fleets with at most so many hosts have every host told; larger ones those that the plan touches and those that are hot."""
REMEDIES = 6
"""At most so many things that cannot be had are looked into, broken rules first; of the others it is said how many they are."""
STUCK = 3
"""So many VMs that cannot move as they should are named for one thing."""
WORK = 2.0
"""Deterministic seconds for all of them together: a plan does not wait for what a person may never ask."""


def answers(
    question: Question,
    placement: Placement,
    explained: Sequence[Explanation],
    hot: Mapping[str, Sequence[Mapping[str, Any]]],
    least: float = 0.3,
    blocked: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """{told, gains, fewer, hosts, remedies, more_remedies, units}. `hot`: "before" and "after", hotspots as JSON (host, resource, ...), worst first;
    `least`: share of scenarios from which a host counts as one. `blocked`: VM -> why it cannot move as it should."""
    fleet, host_of = question.fleet, placement.host_of
    found = gains(question, explained)
    moved = np.flatnonzero(host_of != fleet.host_of)
    spots = [*hot["before"], *hot["after"]]
    touched = {fleet.host_index(s["host"]) for s in spots} | {*fleet.host_of[moved].tolist(), *host_of[moved].tolist()}
    hosts = range(fleet.n_hosts) if fleet.n_hosts <= ALL_HOSTS else sorted(touched)
    wanted = still_wanted(question, host_of, hot["after"], least, blocked or {})
    return {
        "told": {"vms": len(explained), "of": fleet.n_vms},
        "gains": [asdict(gain) for gain in found],
        "fewer": asdict(fewer(question, placement, found, len(moved))),
        "hosts": host_told(question, host_of, hosts, explained, hot),
        "remedies": [asdict(r) for r in remedies(fleet, question.constraints, wanted[:REMEDIES], host_of, WORK)],
        "more_remedies": unasked(wanted[REMEDIES:]),
        "units": units_told(question),
    }


def still_wanted(
    question: Question, host_of: Ints, hot: Sequence[Mapping[str, Any]], least: float, blocked: Mapping[str, str]
) -> list[Wanted]:
    """What cannot be had with VMs at `host_of` (V,): rules that stay broken, then hosts that stay `hot`, the worst first."""
    fleet = question.fleet
    wanted = rules_broken(fleet, question.constraints, host_of)
    for s in hot:
        if s["resource"] != MEMORY:
            host, threshold = fleet.host_index(s["host"]), question.policy.threshold
            wanted.append(host_cool(fleet, question.demand, host, s["resource"], threshold, least, host_of))
    return [replace(w, blocked=_no_way(question, w, blocked)) for w in wanted]


def host_told(
    question: Question,
    host_of: Ints,
    hosts: Sequence[int],
    explained: Sequence[Explanation],
    hot: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Host id -> its story as JSON, of `hosts` (indices)."""
    told = {story.host: asdict(story) for story in stories(question, host_of, hosts, explained)}
    for host, story in told.items():
        story["hot"] = {when: [dict(s) for s in hot[when] if s["host"] == host] for when in ("before", "after")}
    return told


def units_told(question: Question) -> dict[str, Any]:
    """What one of people's units of a goal costs, as JSON."""
    return {goal: {"per": per, "unit": unit} for goal, (per, unit) in units(question).items()}


def _no_way(question: Question, wanted: Wanted, blocked: Mapping[str, str]) -> str:
    """Who should have moved for it and cannot, with the reasons."""
    fleet = question.fleet
    stuck = [v for v in dict.fromkeys(wanted.vms) if fleet.vms[v] in blocked]
    return "; ".join(f"{plain(fleet.vm_names[v])}: {plain(blocked[fleet.vms[v]], 400)}" for v in stuck[:STUCK])


def unasked(wanted: Sequence[Wanted]) -> str:
    """What is said of things that cannot be had and were not looked into; "" where there are none."""
    rules = sum(w.rule is not None for w in wanted)
    parts = [
        counted(n, what, f"{what}s") for n, what in ((rules, "broken rule"), (len(wanted) - rules, "hot spot")) if n
    ]
    return f"Not looked into: {' and '.join(parts)} more." if parts else ""
