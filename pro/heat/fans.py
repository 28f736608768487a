"""Chart-ready numbers: how a host's use is expected to spread over the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.forecast.together import tied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet.fleet import Demand, Fleet

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def host_fan(
    fleet: Fleet, demand: Demand, host: str, host_of: Ints | None = None, resource: str = "cpu"
) -> NDArray[np.float64]:
    """(5, T) quantiles 5, 25, 50, 75, 95 % over scenarios of one host's use, as a fraction of its capacity.

    `host` is an id; KeyError if there is none. Slot t ends at `demand.start + (t + 1) * demand.step_s`. Quantiles are of
    the host's sum, never sums of VM quantiles, with what all VMs have in common mixed in (`demand.tie`).
    """
    h, r = fleet.host_index(host), fleet.resources.index(resource)
    placed = fleet.host_of if host_of is None else host_of
    shape = (demand.scenarios, demand.slots)
    own, asked = demand.base[h, r].reshape(shape), demand.use[placed == h, r].reshape(-1, *shape)
    use = own + tied(asked.astype(np.float32), demand.tie.get(resource, 0.0)).sum(axis=0, dtype=np.float64)
    paths = use / max(int(fleet.capacity[h, r]), 1)
    return np.asarray(np.quantile(paths, QUANTILES, axis=0), dtype=np.float64)
