"""One scikit-learn model for all entities of a counter: gradient-boosted trees on an entity's own recent and daily past.

Direct: one row per (entity, origin, target slot), target slot distance as a feature, everything divided by the entity's own size.
It predicts means; its paths are its prediction plus its own errors at the replayed past instants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.forecast.paths import replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 8_000
"""Rows to learn from: more does not help on traces of a week, and time grows with it."""
RECENT_PARTS = (1 / 24, 1 / 6, 1 / 2, 1.0)
"""Averages over these parts of a day are features."""


@dataclass(frozen=True)
class Learned:
    """A fitted model. `per_day` slots a day; `slots` is the longest distance it was taught."""

    model: Any
    per_day: int
    slots: int

    def predict(self, values: NDArray[np.float32], origins: NDArray[np.int64]) -> NDArray[np.float32]:
        """(E, O, T) predicted means for the slots after each origin; `origins` count from the start of `values`, at least 1."""
        size = _size(values)
        at, ahead = np.repeat(origins, self.slots), np.tile(np.arange(self.slots), origins.size)
        rows = _features(values, size, at, ahead, self.per_day)
        flat = self.model.predict(rows.reshape(-1, rows.shape[-1])).reshape(values.shape[0], origins.size, self.slots)
        return np.asarray(flat * size[:, None, None], dtype=np.float32)

    def paths(self, values: NDArray[np.float32], origins: NDArray[np.int64]) -> NDArray[np.float32]:
        """(E, S, T) prediction from the end of `values`, plus the errors made at `origins` (slots before the end)."""
        n = values.shape[1]
        once, which = np.unique(origins, return_inverse=True)
        errors = replay(values, once, self.slots) - self.predict(values, np.maximum(n - once, 1))
        return np.asarray(self.predict(values, np.array([n])) + errors[:, which])


def learn(values: NDArray[np.float32], slots: int, per_day: int, rng: np.random.Generator) -> Learned | None:
    """Fit on (E, N) `values`; None when there are less than two days, or nobody to learn from. Blind to the order of entities."""
    entities, n = values.shape
    if entities == 0 or n < max(2 * per_day, slots + 2):
        return None
    from sklearn.ensemble import HistGradientBoostingRegressor

    chosen = values[np.lexsort((values[:, 0], values.mean(axis=1)))][:: max(-(-entities // ROWS), 1)]
    each = max(ROWS // chosen.shape[0], 1)
    first = max(min(per_day, n - slots - 1), 1)
    origins = rng.integers(first, n - slots + 1, size=each)
    ahead = rng.integers(0, slots, size=each)
    size = _size(chosen)
    rows = _features(chosen, size, origins, ahead, per_day).reshape(origins.size * chosen.shape[0], -1)
    target = (chosen[:, origins + ahead] / size[:, None]).reshape(-1)
    # Sums over rows are rounded, so rows go in an order that does not depend on who comes first.
    order = np.lexsort((*rows.T, target))
    model = HistGradientBoostingRegressor(
        loss="squared_error",
        max_iter=40,
        learning_rate=0.12,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        early_stopping=False,
        random_state=0,
    )
    return Learned(model.fit(rows[order], target[order]), per_day, slots)


def _size(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(values.mean(axis=1, dtype=np.float64) + values.std(axis=1, dtype=np.float64) + 1e-6)


def _features(
    values: NDArray[np.float32],
    size: NDArray[np.float64],
    origins: NDArray[np.int64],
    ahead: NDArray[np.int64],
    per_day: int,
) -> NDArray[np.float32]:
    """(E, O, F) what is known at each origin that bears on `ahead` slots later. Reads only slots before the origin."""
    entities = values.shape[0]
    sums = np.concatenate([np.zeros((entities, 1)), np.cumsum(values, axis=1, dtype=np.float64)], axis=1)
    columns: list[NDArray[np.float64]] = [values[:, origins - 1].astype(np.float64)]
    for part in RECENT_PARTS:
        begin = np.maximum(origins - max(round(per_day * part), 1), 0)
        columns.append((sums[:, origins] - sums[:, begin]) / np.maximum(origins - begin, 1))
    columns.append(sums[:, origins] / np.maximum(origins, 1))
    yesterday = origins + ahead - per_day * (1 + ahead // per_day)
    total, count = np.zeros((entities, origins.size)), np.zeros(origins.size)
    newest = np.where(yesterday >= 0, values[:, np.maximum(yesterday, 0)], np.nan)
    for day in range(-(-values.shape[1] // per_day)):
        same = yesterday - day * per_day
        inside = same >= 0
        total += np.where(inside, values[:, np.maximum(same, 0)], 0.0)
        count += inside
    columns += [newest, total / np.maximum(count, 1)]
    scaled = np.stack(columns, axis=-1) / size[:, None, None]
    distance = np.broadcast_to(ahead.astype(np.float64)[None, :, None], (*scaled.shape[:2], 1))
    return np.concatenate([scaled, distance], axis=-1).astype(np.float32)
