"""What goals share: the scale on which hosts of different size compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError

if TYPE_CHECKING:
    from pro.core.arrays import Ints
    from pro.fleet import Fleet


BILLION = 1_000_000_000
"""Use over a knot is counted in billionths of the host's capacity."""


def slope(weight: float, capacity: Ints) -> Ints:
    """Cost of one unit of a resource (MHz, KiB/s) over a knot, for hosts of this `capacity`, at least 1 if weight > 0.

    `weight` is the cost of one whole host's capacity over the knot, in hosts. Rounded to the nearest integer: with
    capacities of 10^5 MHz the error is below 10^-4; of 10^7 KiB/s below 1 %. Hosts of unknown capacity (0) cost
    nothing.
    """
    steps = np.rint(weight * BILLION / np.maximum(capacity, 1)).astype(np.int64)
    least = 1 if weight > 0 else 0
    return np.where(capacity > 0, np.maximum(steps, least), 0)


def columns(fleet: Fleet, resources: tuple[str, ...]) -> list[int]:
    """Indices of `resources` in the fleet; InputError for one that it does not know."""
    for name in resources:
        if name not in fleet.resources:
            raise InputError("unknown resource", got=name, expected=" | ".join(fleet.resources))
    return [fleet.resources.index(name) for name in resources]
