"""A host's story: what comes, what goes, what binds it and when, and what was refused to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.core.units import MEMORY
from pro.fleet import host_use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.placement.explain import Explanation
    from pro.placement.question import Question

EXAMPLES = 3


@dataclass(frozen=True)
class Passage:
    """A VM (id, name) that comes from, or goes to, another host (id, name)."""

    vm: str
    vm_name: str
    host: str
    host_name: str


@dataclass(frozen=True)
class Fill:
    """One resource at its fullest slot: `use` expected (mean over the scenarios, in the resource's unit), `limit` what is allowed
    (the threshold's share of capacity; for memory, capacity less the reserve), `at` when (ISO 8601, UTC; end of the slot)."""

    resource: str
    limit: int
    use_before: float
    at_before: str
    use_after: float
    at_after: str

    @property
    def fraction(self) -> float:
        """Use after the plan, of the limit."""
        return self.use_after / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class Refused:
    """A rule that refused this host to `vms` VMs of those explained, with some in its own words."""

    rule: str
    vms: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class HostStory:
    """One host. `binds`: the resource that is nearest to its limit after the plan."""

    host: str
    host_name: str
    comes: tuple[Passage, ...]
    goes: tuple[Passage, ...]
    fills: tuple[Fill, ...]
    binds: str
    refused: tuple[Refused, ...]


def stories(
    question: Question, host_of: Ints, hosts: Sequence[int], explained: Sequence[Explanation]
) -> tuple[HostStory, ...]:
    """The stories of `hosts` (indices) under `host_of` (V,); `explained` are the VMs of which refusals are known."""
    fleet = question.fleet
    before, after = (_expected(question, placed) for placed in (fleet.host_of, host_of))
    refused = _refused(explained)
    found = []
    for h in hosts:
        fills = tuple(_fill(question, h, r, before[h, r], after[h, r]) for r in range(len(fleet.resources)))
        comes = np.flatnonzero((host_of == h) & (fleet.host_of != h)).tolist()
        goes = np.flatnonzero((host_of != h) & (fleet.host_of == h)).tolist()
        found.append(
            HostStory(
                fleet.hosts[h], fleet.host_names[h],
                tuple(_passage(question, v, int(fleet.host_of[v])) for v in comes),
                tuple(_passage(question, v, int(host_of[v])) for v in goes),
                fills, max(fills, key=lambda f: f.fraction).resource, refused.get(fleet.hosts[h], ()),
            )
        )  # fmt: skip
    return tuple(found)


def _expected(question: Question, placed: Ints) -> NDArray[np.float64]:
    """(H, R, T) mean use over the scenarios."""
    demand = question.demand
    use = host_use(demand, placed, question.fleet.n_hosts)
    mean: NDArray[np.float64] = use.reshape(*use.shape[:2], demand.scenarios, demand.slots).mean(axis=2)
    return mean


def _fill(question: Question, h: int, r: int, before: NDArray[np.float64], after: NDArray[np.float64]) -> Fill:
    fleet, demand, policy = question.fleet, question.demand, question.policy
    name, capacity = fleet.resources[r], int(fleet.capacity[h, r])
    limit = capacity - policy.memory_reserve_mib if name == MEMORY else int(policy.threshold * capacity)

    def at(use: NDArray[np.float64]) -> str:
        return (demand.start + timedelta(seconds=demand.step_s * (int(use.argmax()) + 1))).isoformat()

    return Fill(name, max(limit, 0), round(float(before.max()), 1), at(before), round(float(after.max()), 1), at(after))


def _passage(question: Question, v: int, other: int) -> Passage:
    fleet = question.fleet
    return Passage(fleet.vms[v], fleet.vm_names[v], fleet.hosts[other], fleet.host_names[other])


def _refused(explained: Sequence[Explanation]) -> dict[str, tuple[Refused, ...]]:
    """Host id -> the rules that refused it; of hosts that nobody was told about, nothing."""
    found: dict[str, dict[str, list[str]]] = {}
    for told in explained:
        for option in told.options:
            by_rule = found.setdefault(option.host, {})
            others = [r for r in option.refusals if not r.spent]
            # A budget that is spent refuses everybody: it is told where nothing else does.
            for refusal in others or option.refusals:
                by_rule.setdefault(refusal.rule, []).append(_about(plain(told.vm_name), refusal.text))
    return {
        host: tuple(
            Refused(rule, len(said), tuple(said[:EXAMPLES]))
            for rule, said in sorted(by_rule.items(), key=lambda item: (-len(item[1]), item[0]))
        )
        for host, by_rule in found.items()
    }


def _about(vm: str, text: str) -> str:
    """What a rule says of `vm`, whose name goes first unless it is said anyway."""
    named = re.search(rf"(?<![\w.-]){re.escape(vm)}(?!\.?[\w-])", text)
    return text if named else f"{vm}: {text}"
