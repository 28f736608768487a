"""Counters of a VM that had another size before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import minute, plain
from pro.fleet.archive import resized
from pro.fleet.entities import entity_of

if TYPE_CHECKING:
    from pathlib import Path

    from pro.core.arrays import Singles
    from pro.fleet.fleet import Fleet
    from pro.fleet.tables import Inventory
    from pro.telemetry.grid import Grid

Sizes = Mapping[str, Sequence[tuple[datetime, float]]]
"""VM id -> ((until, ratio), ...), oldest first: until then it had `ratio` times the processor it has now. See `archive.resized`."""


def sized(root: Path, inventory: Inventory, fleet: Fleet, since: datetime) -> tuple[Fleet, Sizes]:
    """The fleet, with a warning for each VM that was resized after `since`, and how; see `archive.resized`."""
    sizes = resized(root, inventory, since)
    names = dict(zip(fleet.vms, fleet.vm_names, strict=True))
    said = [
        f"{plain(names[vm])} had {pieces[-1][1]:.3g} times the processor it has now until {minute(pieces[-1][0].isoformat())}: "
        "what it used then is read as a share of what it has now"
        for vm, pieces in sorted(sizes.items()) if vm in names
    ]  # fmt: skip
    return replace(fleet, warnings=(*fleet.warnings, *said)), sizes


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
            values[e, begin:end] = _scaled(values[e, begin:end], ratio)
            begin = end
    return replace(grid, values=values)


def _scaled(values: Singles, ratio: float) -> Singles:
    """Times `ratio`, up to 100 %. What was above that already stays above it, so that a wrong unit is still seen to be one."""
    return np.asarray(np.minimum(values * np.float32(ratio), np.maximum(values, np.float32(100))))
