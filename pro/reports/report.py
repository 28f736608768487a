"""Report: everything the faces of PRO show, gathered from the rooms that made it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from pro.fleet import Demand, Fleet
    from pro.fleet.readiness import Readiness
    from pro.heat import Hotspot
    from pro.heat.baselines import Comparison
    from pro.heat.hotspots import HeatSummary
    from pro.heat.soon import Soon
    from pro.placement.failover.report import Report as Failover
    from pro.placement.placement import Placement
    from pro.placement.problem import Violation
    from pro.placement.question import Question
    from pro.planning.plan import Plan


@dataclass(frozen=True)
class Report:
    """What `html`, `xlsx`, `tables`, `json` and the dashboard draw.

    `hotspots` if nothing is done, `hotspots_after` with the plan. `before` and `after` are the heat of the same two
    futures. `repaired` are rules broken today that hold afterwards; `placement.violations` are those still broken.
    `readiness` says how much of each counter is known and which hosts are to be left alone. `accuracy`: rows of the
    forecaster's record, any columns. `baselines`: who would have been flagged by what people use today. `failover`:
    which hosts may fail today, and with the plan. `soon`: what trained classifiers say of every host, the likeliest first.
    `question`: the compiled one, for answers that the plan has no room for; no document tells it.
    `short`: hosts that run short of memory by counters if nothing is done, `short_after` with the plan, which does not act on it.
    """

    now: datetime
    horizon_s: int
    threshold: float
    fleet: Fleet
    demand: Demand
    hotspots: tuple[Hotspot, ...]
    hotspots_after: tuple[Hotspot, ...]
    placement: Placement
    plan: Plan
    before: HeatSummary
    after: HeatSummary
    repaired: tuple[Violation, ...] = ()
    readiness: Readiness | None = None
    warnings: tuple[str, ...] = ()
    accuracy: tuple[Mapping[str, Any], ...] = ()
    baselines: Comparison | None = None
    failover: tuple[Failover, Failover] | None = None
    soon: tuple[Soon, ...] = ()
    question: Question | None = None
    short: tuple[Hotspot, ...] = ()
    short_after: tuple[Hotspot, ...] = ()

    @cached_property
    def host_of_after(self) -> NDArray[np.int64]:
        """(V,) where every VM stands when the plan has been carried out."""
        return planned_hosts(self.fleet, self.plan)

    @cached_property
    def host_label(self) -> Mapping[str, str]:
        """Host id -> what people call it."""
        return dict(zip(self.fleet.hosts, self.fleet.host_names, strict=True))

    @cached_property
    def vm_label(self) -> Mapping[str, str]:
        """VM id -> what people call it."""
        return dict(zip(self.fleet.vms, self.fleet.vm_names, strict=True))


def planned_hosts(fleet: Fleet, plan: Plan) -> NDArray[np.int64]:
    """(V,) `fleet.host_of` with every migration of `plan` carried out in order."""
    host_of = fleet.host_of.copy()
    for m in plan.migrations:
        host_of[fleet.vm_index(m.vm)] = fleet.host_index(m.destination)
    return host_of
