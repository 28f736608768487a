"""Policy: what is wanted, and how little is still worth a migration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pro.core.units import CPU, MEMORY
from pro.fleet.fleet import host_use
from pro.placement.objectives import Balance, Heat, HostsOn, Moves
from pro.placement.objectives.common import BILLION
from pro.placement.weights import Weights, weighed

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
    margin
        Fraction of capacity: plans aim so far below the threshold, for forecasts err. To balance, only where somebody is
        expected over it at all: what is merely warm is left alone.
    aggressiveness
        1 (only what hurts badly) .. 5 (almost any gain); see `WORTH`.
    max_moves, max_gib
        Budget. None: `default_moves` for the count, no limit for the memory.
    evacuate
        Ids of hosts to be emptied.
    cluster
        Name of the only cluster to touch; None: all.
    memory_reserve_mib, memory_start_mib, memory_placement_mib
        VMM's ladder of host reserves, lowest first; None: as the one below. The first is what every host keeps for itself:
        never broken, in flight neither. Where less than the second is free, memory is freed as a broken rule is repaired.
        No host is filled beyond the third, but to repair something.
    max_moves_per_service, max_moves_per_cluster
        Migrations of VMs of one service, of one cluster. None: no such limit.
    weights
        What else counts, beside heat and migrations; nothing unless said. Not for "repair".
    failover
        So many hosts of one cluster may fail together, or fewer: no answer leaves more VMs without a place in such a case
        than today. 0: not looked at.
    take_restarts
        Ids of hosts that take the VMs of failed hosts although nothing is moved to them.
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
    margin: float = 0.0
    aggressiveness: int = 3
    max_moves: int | None = None
    max_gib: int | None = None
    evacuate: tuple[str, ...] = ()
    cluster: str | None = None
    memory_reserve_mib: int = 2048
    memory_start_mib: int | None = None
    memory_placement_mib: int | None = None
    max_moves_per_service: int | None = None
    max_moves_per_cluster: int | None = None
    weights: Weights = field(default_factory=Weights)
    failover: int = 1
    take_restarts: tuple[str, ...] = ()
    seconds: float = 5.0
    steps: int | None = None
    seed: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        if self.goal not in ("balance", "consolidate", "repair"):
            raise ValueError(f"goal must be balance, consolidate or repair, got {self.goal!r}")
        if self.aggressiveness not in WORTH:
            raise ValueError(f"aggressiveness must be 1..5, got {self.aggressiveness}")
        if self.failover < 0:
            raise ValueError(f"failover must be a number of hosts, got {self.failover}")
        if self.workers < 1:
            raise ValueError(f"workers must be 1 or more, got {self.workers}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be a fraction of capacity in (0, 1], got {self.threshold}")
        if not 0 <= self.margin < self.threshold:
            raise ValueError(
                f"margin must be a fraction of capacity below the threshold {self.threshold}, got {self.margin}"
            )
        lowest, start, placing = self.ladder
        if not 0 <= lowest <= start <= placing:
            raise ValueError(
                "reserves of memory must rise: memory_reserve_mib <= memory_start_mib <= memory_placement_mib, "
                f"got {lowest}, {start}, {placing}"
            )

    @property
    def aim(self) -> float:
        """Fraction of capacity that plans bring hosts below."""
        return self.threshold - self.margin

    @property
    def ladder(self) -> tuple[int, int, int]:
        """The three reserves of memory in MiB, lowest first."""
        start = self.memory_reserve_mib if self.memory_start_mib is None else self.memory_start_mib
        return self.memory_reserve_mib, start, start if self.memory_placement_mib is None else self.memory_placement_mib

    @property
    def max_moves_per(self) -> dict[str, int]:
        """Group of VMs -> migrations of one."""
        given = {"service": self.max_moves_per_service, "cluster": self.max_moves_per_cluster}
        return {group: most for group, most in given.items() if most is not None}


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


def steadied(policy: Policy, fleet: Fleet, demand: Demand) -> Policy:
    """`policy` without its margin where nobody is expected over the threshold, at any moment."""
    if policy.goal != "balance" or not policy.margin:
        return policy
    counted = [r for r, name in enumerate(fleet.resources) if name != MEMORY]
    use = host_use(demand, fleet.host_of, fleet.n_hosts)[:, counted].max(axis=2, initial=0)
    hot = (use > policy.threshold * fleet.capacity[:, counted]).any()
    return policy if hot else replace(policy, margin=0.0)


def percent_hours(demand: Demand) -> float:
    """How many units of heat one expected per cent x hour over the threshold on one host is."""
    return 0.01 * BILLION * 3600 / demand.step_s * demand.scenarios


def migration(policy: Policy, demand: Demand) -> int:
    """What one migration costs in the goal's tier; the unit of what soft rules are worth."""
    return 1 if policy.goal == "repair" else round(WORTH[policy.aggressiveness] * percent_hours(demand))


def tiers(policy: Policy, fleet: Fleet, demand: Demand) -> list[tuple[str, list[Objective]]]:
    """The goal as tiers of objectives, in order. Within a tier costs are traded, a migration against its `WORTH`."""
    unit = percent_hours(demand)
    worth = Moves(per_move=migration(policy, demand))
    heat = Heat(threshold=policy.aim, resources=tuple(r for r in fleet.resources if r != MEMORY))
    smaller: tuple[str, list[Objective]] = ("memory moved", [Moves(per_move=0, per_gib=1)])
    if policy.goal == "repair":
        return [("moves", [Moves()]), smaller, ("heat", [heat])]
    also = weighed(policy.weights, fleet, demand, migration(policy, demand))
    goal: list[Objective] = [heat, worth, *(one.priced for one in also)]
    if policy.goal == "consolidate" and not policy.weights.power:
        goal.append(HostsOn(cost=round(HOST_WORTH * unit)))
    return [("heat and moves", goal), smaller, ("balance", [Balance(resources=(CPU,))])]
