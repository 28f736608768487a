"""A past of minutes: how far the level that a few samples have shown may be off.

Paths replay the past, and a past of one sample has nothing to replay: each path is that sample, and whoever packs by it picks the VMs that
happened to be low. So until there are enough samples, each path has a level of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pro.forecast.scenarios import Scenarios
    from pro.telemetry.grid import Grid


ENOUGH = 12
"""Samples from which on the replayed past shows more than this does."""
SPREAD = 7.0
"""Standard deviation of one sample about the level of the hours to come, in per cent of a VM's processors. Measured on PlanetLab at 5 minutes."""


def loosened(drawn: Scenarios, grid: Grid) -> Scenarios:
    """`drawn` with levels as uncertain as the number of known samples in `grid` leaves them; as it is where all have enough.

    Of a counter in per cent. Draws go by level, not by an entity's name or order.
    """
    count = np.isfinite(grid.values).sum(axis=1)
    few = np.flatnonzero((count > 0) & (count < ENOUGH))
    if not few.size:
        return drawn
    few = few[np.argsort(drawn.values[few].mean(axis=(1, 2)), kind="stable")]
    rng = np.random.default_rng((drawn.seed, len(few)))
    off = rng.standard_normal((few.size, drawn.values.shape[1])) * (SPREAD / np.sqrt(count[few]))[:, None]
    values = drawn.values.copy()
    values[few] = np.clip(values[few] + off[:, :, None].astype(np.float32), 0.0, 100.0)
    return replace(drawn, values=values)
