"""Of which VMs a plan tells why they stand where they do, and about which hosts: of all in a small fleet, of those that matter in a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.placement.explain import explain
from pro.placement.words import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.explain import Explanation
    from pro.placement.question import Question

EXPLAIN_AT_MOST = 10_000
"""VM x host pairs that a plan explains; above it only moved VMs and those that cause heat."""

EXPLAIN_LARGE = 50_000
"""VM x host pairs that the plan of a large fleet explains, moved VMs first. A VM is told about the hosts of its cluster."""


def explanations(question: Question, host_of: Ints, causes: Iterable[int]) -> tuple[Explanation, ...]:
    """Why VMs go where `host_of` (V,) puts them, or stay: every other host with what it would cost or which rule refuses it.

    `causes`: VMs (indices) that make hosts hot, the worst first.
    """
    fleet = question.fleet
    if fleet.n_vms * fleet.n_hosts <= EXPLAIN_AT_MOST:
        return explained(question, host_of, range(fleet.n_vms))
    _, group, sizes = np.unique(neighbours(fleet), return_inverse=True, return_counts=True)
    moved = np.flatnonzero(host_of != fleet.host_of).tolist()
    # Beyond so many pairs of a VM and a host of its cluster the first of those; every moved VM is told, whatever it takes.
    some = list(dict.fromkeys([*moved, *causes]))
    pairs = np.cumsum([sizes[group[fleet.host_of[v]]] for v in some])
    return explained(question, host_of, sorted(some[: max(len(moved), int((pairs <= EXPLAIN_LARGE).sum()))]))


def explained(
    question: Question, host_of: Ints, vms: Iterable[int], hosts_for: Callable[[int], Ints] | None = None
) -> tuple[Explanation, ...]:
    """Why the VMs `vms` (indices) stand where `host_of` (V,) puts them, and not on any of `hosts_for` (see `explain`); None: of those
    that `around` says."""
    fleet, rules, tiers = question.fleet, question.constraints, question.problem.tiers
    return explain(fleet, rules, tiers, host_of, list(vms), hosts_for or around(fleet, host_of), units(question))


def around(fleet: Fleet, host_of: Ints) -> Callable[[int], Ints]:
    """VM -> (n,) the hosts that are worth a word: all, in a large fleet those of its cluster, and where it was put."""
    near, all_hosts = neighbours(fleet), np.arange(fleet.n_hosts)
    if not is_large(fleet):
        return lambda _: all_hosts
    return lambda v: np.union1d(np.flatnonzero(near == near[fleet.host_of[v]]), host_of[v])


def is_large(fleet: Fleet) -> bool:
    """Whether only the hosts of a VM's cluster, and only the VMs of a host's, are worth a word."""
    return fleet.n_vms * fleet.n_hosts > EXPLAIN_LARGE


def neighbours(fleet: Fleet) -> Ints:
    """(H,) a label that hosts of one cluster share. A host of no cluster is a group of its own; a fleet without clusters is one."""
    clusters = fleet.host_groups.get("cluster")
    if clusters is None:
        return np.zeros(fleet.n_hosts, np.int64)
    return np.where(clusters.code >= 0, clusters.code, -1 - np.arange(fleet.n_hosts))
