"""Irregular samples -> a regular grid, without ever inventing activity or idleness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """One counter of many entities on a regular grid.

    Attributes
    ----------
    counter
        Canonical counter name.
    entities
        E entity ids, sorted.
    start
        End of the first interval, UTC.
    step_s
        Seconds between grid points.
    values
        (E, T) float32, in the counter's unit; NaN where nothing is known. `values[:, k]` is the newest sample at or
        before `start + k * step_s`, carried forward no further than the counter's `carry_s`; an aggregated sample
        covers exactly its own interval.
    seen_us
        (E,) int64: the instant of each entity's newest sample, carried to a grid point or not, in microseconds since 1970;
        None where the grid is not made of samples.
    """

    counter: str
    entities: tuple[str, ...]
    start: datetime
    step_s: int
    values: NDArray[np.float32]
    seen_us: NDArray[np.int64] | None = None

    @property
    def cutoff(self) -> datetime:
        """Instant of the last grid point; nothing later was read."""
        from datetime import timedelta

        return self.start + timedelta(seconds=self.step_s * (self.values.shape[1] - 1))
