"""Counters of a VM that had another size before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from pro.fleet.entities import entity_of

if TYPE_CHECKING:
    from pro.fleet.fleet import Fleet
    from pro.telemetry.grid import Grid

Sizes = Mapping[str, Sequence[tuple[datetime, float]]]
"""VM id -> ((until, ratio), ...), oldest first: until then it had `ratio` times the processor it has now. See `archive.resized`."""


def of_today(fleet: Fleet, grid: Grid, resized: Sizes) -> Grid:
    """`grid` of per cent of what each VM has now, where it had another size before; no more than all of it."""
    if not resized or not grid.entities:
        return grid
    values = grid.values.copy()
    for e, v in enumerate(entity_of(fleet, grid.entities).vm.tolist()):
        begin = 0
        for until, ratio in resized.get(fleet.vms[v], ()) if v >= 0 else ():
            # Column k is of the instant `start + k * step_s`.
            end = max(int((until - grid.start).total_seconds() // grid.step_s) + 1, begin)
            values[e, begin:end] = np.minimum(values[e, begin:end] * ratio, 100.0)
            begin = end
    return replace(grid, values=values)
