"""Grids and scenarios for tests: values by entity."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pro.forecast import Scenarios
from pro.telemetry import Grid
from tests.fleet.estates import AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEP = 300


def grid(counter: str, series: Mapping[str, Sequence[float]]) -> Grid:
    """A grid that ends at `AT`; NaN is not known."""
    entities = tuple(sorted(series))
    values = np.array([series[e] for e in entities], dtype=np.float32).reshape(len(entities), -1)
    return Grid(counter, entities, AT - timedelta(seconds=STEP * (values.shape[1] - 1)), STEP, values)


def scenarios(
    counter: str, paths: Mapping[str, Sequence[Sequence[float]]], known: Mapping[str, float] | None = None
) -> Scenarios:
    """Paths (S, T) by entity, cut off at `AT`."""
    entities = tuple(sorted(paths))
    values = np.array([paths[e] for e in entities], dtype=np.float32)
    share = np.array([(known or {}).get(e, 1.0) for e in entities], dtype=np.float32)
    return Scenarios(
        counter, entities, AT, STEP, values, np.median(values, axis=1), share, ("test",) * len(entities), 0
    )
