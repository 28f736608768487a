"""Policy: what is wanted, and how little is still worth a migration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pro.core.units import CPU, MEMORY
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.objectives.common import BILLION

if TYPE_CHECKING:
    from pro.fleet import Demand, Fleet
    from pro.placement.problem import Objective

Goal = Literal["balance", "consolidate", "repair"]

WORTH = {1: 10.0, 2: 3.0, 3: 1.0, 4: 0.5, 5: 0.2}
"""Aggressiveness -> the least heat, in expected per cent x hours over the threshold, that one migration must take away.
1 means: one host 1 % over the threshold for an hour, or 10 % over it for six minutes."""

HOST_WORTH = 8.0
"""Consolidation: what switching one host off is worth, in the same unit; so at aggressiveness 3 up to eight migrations."""

ROUNDS = 120_000
"""VM x host pairs that the search looks at again and again; decides how many rounds it gets when nobody says."""


HELPINGS = 6
"""Helpings that the wide search gets for each second it is given; few enough that a slow machine gives the same answer."""


@dataclass(frozen=True)
class Policy:
    """What `place` is asked for.

    Parameters
    ----------
    goal
        "balance": cool hosts that are expected to run hot, and where nothing is hot leave things alone; of equally good
        answers the more even one. "consolidate": empty hosts as well, as long as none gets hot. "repair": only bring
        broken rules back into force.
    threshold
        Fraction of capacity from which a host is hot.
    aggressiveness
        1 (only what hurts badly) .. 5 (almost any gain); see `WORTH`.
    max_moves, max_gib
        Budget. None: `default_moves` for the count, no limit for the memory.
    evacuate
        Ids of hosts to be emptied.
    cluster
        Name of the only cluster to touch; None: all.
    memory_reserve_mib
        Memory every host keeps for itself (VMM's host reserve).
    seconds, steps
        When the engines stop, whichever comes first. `steps` None: by the size of the fleet (`rounds`), so that on any
        machine that is fast enough for `seconds` the answer is the same.
    seed
        Of the search.
    workers
        Threads that search a large fleet; the answer does not depend on how many there are.
    """

    goal: Goal = "balance"
    threshold: float = 0.85
    aggressiveness: int = 3
    max_moves: int | None = None
    max_gib: int | None = None
    evacuate: tuple[str, ...] = ()
    cluster: str | None = None
    memory_reserve_mib: int = 2048
    seconds: float = 5.0
    steps: int | None = None
    seed: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        if self.goal not in ("balance", "consolidate", "repair"):
            raise ValueError(f"goal must be balance, consolidate or repair, got {self.goal!r}")
        if self.aggressiveness not in WORTH:
            raise ValueError(f"aggressiveness must be 1..5, got {self.aggressiveness}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be a fraction of capacity in (0, 1], got {self.threshold}")
        if self.workers < 1:
            raise ValueError(f"workers must be 1 or more, got {self.workers}")


def default_moves(vms: int) -> int:
    """How many migrations one plan may hold when nobody says: a tenth of the VMs, at least 2 and at most 20."""
    return min(20, max(2, -(-vms // 10)))


def budget(policy: Policy, vms: int) -> int | None:
    """The limit on migrations: what was said, none for an evacuation, else the default."""
    if policy.max_moves is not None:
        return policy.max_moves
    return None if policy.evacuate else default_moves(vms)


def rounds(policy: Policy, fleet: Fleet) -> int:
    """Rounds of search: what was said, or 8 to 250 by the size of the fleet."""
    if policy.steps is not None:
        return policy.steps
    return int(min(250, max(8, ROUNDS // max(fleet.n_vms * fleet.n_hosts, 1))))


def helpings(policy: Policy) -> int:
    """Helpings of search in a large fleet, when nobody says how many: as many as any machine has time for."""
    return max(round(HELPINGS * policy.seconds), 8)


def percent_hours(demand: Demand) -> float:
    """How many units of heat one expected per cent x hour over the threshold on one host is."""
    return 0.01 * BILLION * 3600 / demand.step_s * demand.scenarios


def tiers(policy: Policy, fleet: Fleet, demand: Demand) -> list[tuple[str, list[Objective]]]:
    """The goal as tiers of objectives, in order. Within a tier costs are traded, a migration against its `WORTH`."""
    unit = percent_hours(demand)
    worth = Moves(per_move=round(WORTH[policy.aggressiveness] * unit))
    heat = Heat(threshold=policy.threshold, resources=tuple(r for r in fleet.resources if r != MEMORY))
    smaller: tuple[str, list[Objective]] = ("memory moved", [Moves(per_move=0, per_gib=1)])
    if policy.goal == "repair":
        return [("moves", [Moves()]), smaller, ("heat", [heat])]
    goal: list[Objective] = [heat, worth]
    if policy.goal == "consolidate":
        goal.append(HostsOn(cost=round(HOST_WORTH * unit)))
    return [("heat and moves", goal), smaller, ("balance", [Balance(resources=(CPU,))])]
