"""Weights: what else a plan may be made for, and how many migrations that is worth."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pro.core.units import CPU, MEMORY
from pro.placement.objectives import Contention, Disturbance, Fragments, LicenceCost, Power, Ratio
from pro.placement.objectives.power import MICRO
from pro.placement.objectives.ratio import SCALE

if TYPE_CHECKING:
    from pro.fleet import Demand, Fleet
    from pro.placement.problem import Objective


MOST_WEIGHT = 1_000
"""More than this would only drown the other goals, and much more would pass what costs can be counted in."""


@dataclass(frozen=True)
class Weights:
    """How many migrations one unit of each goal is worth. 0: it does not count. Goals of one tier are traded for each other.

    Parameters
    ----------
    contention
        Of one per cent of a mean host, asked for and not given for an hour.
    power
        Of 100 W. Where "consolidate" is the goal, hosts are then emptied for what they draw, and no longer for their number.
    fragments
        Of one free virtual processor that a VM with 16 of them cannot use on one NUMA node.
    licences
        Of one core of a host that holds any member of a licence rule.
    disturbance
        Of one migration of the service that has most of them.
    ratio
        Of one GiB of memory that is missing beside the CPU that is left on a host.
    """

    contention: float = 0.0
    power: float = 0.0
    fragments: float = 0.0
    licences: float = 0.0
    disturbance: float = 0.0
    ratio: float = 0.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            if not 0 <= getattr(self, name) <= MOST_WEIGHT:
                raise ValueError(
                    f"the weight of {name} must be a number of migrations from 0 to {MOST_WEIGHT:,}, got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class Weighed:
    """A goal that counts: its `price`d form for engines, a `plain` one for people, who read it in `unit`s of `per`."""

    priced: Objective
    plain: Objective
    per: float
    unit: str


def weighed(weights: Weights, fleet: Fleet, demand: Demand, migration: int) -> list[Weighed]:
    """The goals that count, `migration` being what one migration costs."""
    host = float(fleet.capacity[:, fleet.resources.index(CPU)].mean()) if fleet.n_hosts else 1.0
    hour = max(0.01 * host * 3600 / demand.step_s * demand.scenarios, 1e-9)

    def price(weight: float, per: float = 1.0) -> int:
        return max(round(weight * migration / per), 1)

    found = []
    if weights.contention:
        made = Contention(price=price(weights.contention, hour))
        found.append(Weighed(made, Contention(), hour, "% of a mean host x hours asked for and not given"))
    if weights.power:
        power = Power(price=weights.power * migration / (100 * MICRO))
        found.append(Weighed(power, Power(), MICRO, "W, by typical curves"))
    if weights.fragments:
        found.append(Weighed(Fragments(price=price(weights.fragments)), Fragments(), 1, Fragments().unit))
    if weights.licences:
        found.append(Weighed(LicenceCost(price=price(weights.licences)), LicenceCost(), 1, LicenceCost().unit))
    if weights.disturbance:
        found.append(Weighed(Disturbance(cost=price(weights.disturbance)), Disturbance(), 1, Disturbance().unit))
    if weights.ratio and MEMORY in fleet.resources:
        made_ratio = Ratio(price=price(weights.ratio, SCALE * 1024))
        found.append(Weighed(made_ratio, Ratio(), SCALE * 1024, "GiB missing beside the CPU that is left"))
    return found
