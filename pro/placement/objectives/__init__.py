"""Goals, one a file. A goal says itself twice: as a plain value, and as terms for engines.

In: the fleet and its demand. Out: objectives. Never: knows an engine or a rule.
To add a goal: a file here, a line in `OBJECTIVES`, a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.placement.objectives.balance import Balance as Balance
from pro.placement.objectives.contention import Contention as Contention
from pro.placement.objectives.disturbance import Disturbance as Disturbance
from pro.placement.objectives.fragments import Fragments as Fragments
from pro.placement.objectives.heat import Heat as Heat
from pro.placement.objectives.heat import host_minutes as host_minutes
from pro.placement.objectives.hosts_on import HostsOn as HostsOn
from pro.placement.objectives.licences import LicenceCost as LicenceCost
from pro.placement.objectives.moves import Moves as Moves
from pro.placement.objectives.power import Power as Power
from pro.placement.objectives.ratio import Ratio as Ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pro.placement.problem import Objective

OBJECTIVES: Mapping[str, type[Objective]] = {
    "heat": Heat,
    "moves": Moves,
    "balance": Balance,
    "hosts_on": HostsOn,
    "disturbance": Disturbance,
    "contention": Contention,
    "power": Power,
    "fragments": Fragments,
    "licences": LicenceCost,
    "ratio": Ratio,
}
"""Every goal there is."""
