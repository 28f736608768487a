"""Whether trained classifiers are still right: what came in the hours after a training judges the probabilities it would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.heat.ahead import of_hosts
from pro.heat.features import DAY, HOUR, Loads, Table, heat_ahead

if TYPE_CHECKING:
    from pro.core.arrays import Bools, Floats, Ints
    from pro.heat.direct import HeatModel

LAST_DAYS = 2
"""Days that judge, at most, and hours apart they are asked about."""
EVERY_H = 1
LEAST_H = 12
"""Hours without which nothing is judged."""
MOST_ROWS = 50_000
"""VMs times instants that are looked at: of a large fleet fewer hours are."""
LEAST = 30
"""Hot instants, that came or were expected, without which a record says nothing."""
WORSE = 1.5
"""Times its Brier score in training from which a classifier is clearly worse."""
SURE = 3.0
"""Standard errors, over hosts, by which it must be worse than one probability for all."""


def chances(loads: Loads, table: Table, model: HeatModel, at: Ints) -> Floats:
    """(H, n) what `model` says of every host at the instants `at` (n,)."""
    foreseen = model.ahead.foresee(loads, at)
    rows = np.concatenate([table.rows(at), of_hosts(loads, foreseen)], axis=1)
    names = (*table.names, *foreseen.names)
    return model.probability(rows[:, [names.index(n) for n in model.names]]).reshape(loads.hosts, at.size)


def instants(loads: Loads, steps: int, fresh: int) -> Ints:
    """When there was news after a training that ended `fresh` steps ago, of which is known what came `steps` later; none before half a day of it has come."""
    end = loads.load.shape[1] - steps
    begin = max(end + steps - fresh, end - LAST_DAYS * DAY, 0)
    every = max(EVERY_H * HOUR, -(-(end - begin) * len(loads.load) // MOST_ROWS))
    return np.arange(begin, end, every) if end - begin >= LEAST_H * HOUR else np.arange(0)


def contradicted(loads: Loads, table: Table, model: HeatModel, fresh: int) -> float | None:
    """The Brier score of `model` since its training, `fresh` steps ago, where that is clearly worse than then; else None.

    Clearly: `WORSE` times as high, and higher than if the same had been said of every host at every instant, surely so. Days on which
    more hosts run hot are harder for everybody and do not count against it.
    """
    at = instants(loads, model.steps, fresh)
    if not at.size:
        return None
    said, hot = chances(loads, table, model, at), heat_ahead(loads.use(), model.steps)[0][:, at]
    if max(hot.sum(), said.sum()) < LEAST:
        return None
    return judged(said, hot, model.brier)


def judged(said: Floats, hot: Bools, trained: float) -> float | None:
    """The Brier score of `said` (H, n) about `hot` (H, n), where it is clearly worse than the `trained` one."""
    off = (said - hot) ** 2
    brier = float(off.mean())
    more = (off - (hot.mean() - hot) ** 2).mean(axis=1)
    error = more.std(ddof=1) / np.sqrt(more.size) if more.size > 1 else np.inf
    return brier if brier > WORSE * trained and more.mean() > SURE * error else None
