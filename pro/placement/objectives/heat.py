"""Heat: how far, how long and how likely hosts run over the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import CPU
from pro.placement.language import Steps
from pro.placement.objectives.common import BILLION, columns, slope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet

SOFT_MARGIN = ((-0.10, 0.02), (-0.05, 0.08))
"""(distance below the threshold, weight): forecasts err, so the last few per cent below it already cost a little."""


@dataclass(frozen=True)
class Heat:
    """The area of use over knots, summed over hosts, resources and moments: convex, so one very hot host is worse than
    two warm ones, and a moment that few scenarios see counts little.

    Parameters
    ----------
    threshold
        Fraction of capacity from which a host is hot.
    resources
        Whose use counts. Memory is not among them: it is assigned, not used, and a matter of capacity.
    knots
        (fraction of capacity, weight) pairs; use over a knot costs `weight` per host capacity in addition to lower knots.
        Rounded to the resource's unit.
        Empty: a soft margin below the threshold, weight 1 at the threshold, and 1 more over the whole capacity, where
        VMs do not get what they ask for.
    name
        The goal's name.
    """

    threshold: float = 0.85
    resources: tuple[str, ...] = (CPU,)
    knots: tuple[tuple[float, float], ...] = ()
    name: str = "heat"
    unit: str = "billionths of a host's capacity over the knots, summed over moments"

    def steps(self) -> tuple[tuple[float, float], ...]:
        """The knots in force, as (fraction of capacity, added weight)."""
        if self.knots:
            return self.knots
        below = ((self.threshold + distance, weight) for distance, weight in SOFT_MARGIN)
        return (*below, (self.threshold, 1.0 - sum(w for _, w in SOFT_MARGIN)), (1.0, 1.0))

    def value(self, fleet: Fleet, demand: Demand, host_of: Ints) -> int:
        """Billionths of a host's capacity over the knots, summed over all moments (all scenarios)."""
        total = 0
        for r in columns(fleet, self.resources):
            use = [demand.base[h, r].astype(np.int64) for h in range(len(fleet.hosts))]
            for v in range(len(fleet.vms)):
                use[int(host_of[v])] += demand.use[v, r]
            for h in range(len(fleet.hosts)):
                capacity = int(fleet.capacity[h, r])
                if capacity == 0:
                    continue
                for fraction, weight in self.steps():
                    price = max(round(weight * BILLION / capacity), 1) if weight > 0 else 0
                    total += price * int(np.maximum(use[h] - round(fraction * capacity), 0).sum())
        return total

    def terms(self, fleet: Fleet, demand: Demand) -> Iterator[Steps]:
        """One term a resource; every host is a scope item, every moment a dimension."""
        for r in columns(fleet, self.resources):
            capacity = fleet.capacity[:, r]
            full = (len(self.steps()), fleet.n_hosts, demand.moments)
            knots = np.stack([np.rint(fraction * capacity).astype(np.int64) for fraction, _ in self.steps()])
            slopes = np.stack([slope(weight, capacity) for _, weight in self.steps()])
            yield Steps(
                vms=np.arange(fleet.n_vms),
                weight=demand.use[:, r, :].astype(np.int64),
                scope=np.arange(fleet.n_hosts),
                base=demand.base[:, r, :].astype(np.int64),
                knots=np.broadcast_to(knots[:, :, None], full),
                slopes=np.broadcast_to(slopes[:, :, None], full),
                label=f"{self.name} {fleet.resources[r]}",
            )


def host_minutes(value: int, demand: Demand) -> float:
    """A heat in people's terms: expected minutes in which one whole host's capacity too much is asked for, weighted."""
    return value / BILLION / demand.scenarios * demand.step_s / 60
