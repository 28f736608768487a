"""The seam: what any forecaster is to the rest of PRO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pro.forecast.scenarios import Scenarios
    from pro.telemetry.grid import Grid


class Forecaster(Protocol):
    """Learns from grids up to their cutoff, then draws joint paths. Never sees past the cutoff; same seed, same paths."""

    def fit(self, grids: Mapping[str, Grid]) -> Forecaster:
        """Learn from `grids` (counter -> Grid); returns itself."""
        ...

    def scenarios(self, horizon_s: int, n: int, seed: int) -> dict[str, Scenarios]:
        """`n` joint paths per counter over `horizon_s` seconds; path s of every counter comes from the same past instants."""
        ...
