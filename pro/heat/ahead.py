"""What the VMs of a host will ask for within the next hours: boosted trees over one VM at a time, summed up by host.

There are many more VMs than hosts, and each behaves much the same wherever it stands, so there is much more to learn from than the hosts' own
past. Two VMs are taken to scatter independently about what is expected of them: squares add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.forecast.trees import Trees
from pro.heat.features import (
    DAY,
    DWELL,
    HOUR,
    Loads,
    back,
    clock,
    rolling_least,
    rolling_mean,
    rolling_spread,
    without_blanks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints, Singles

NAMES = ("ahead", "ahead spread", "ahead room")
"""Of a host: expected mean load, its standard deviation, and how many of these it lies above the limit."""
MOST_ROWS, SEED = 60_000, 0
SMALLEST_SPREAD, FARTHEST = 0.01, 6.0


@dataclass(frozen=True)
class Foreseen:
    """(V, n) `mean` of what each VM will ask for after n instants, in the unit of the limit, and mean `square` of how far it strays from that.

    It does not ask where VMs stand.
    """

    mean: Floats
    square: Floats


@dataclass(frozen=True)
class Ahead:
    """`mean` of a VM's load over the next `steps` instants as a share of its cap, and mean `square` of how far 15 minutes within them lie from it.

    `daily`: whether yesterday and the time of day tell something.
    """

    steps: int
    daily: bool
    mean: Trees
    square: Trees

    def foresee(self, loads: Loads, instants: Ints) -> Foreseen:
        """What VMs will ask for after each of `instants` (n,); nothing after it is read for it."""
        rows = _rows(loads, instants, self.steps, daily=self.daily)
        flat, shape = rows.reshape(-1, rows.shape[-1]), rows.shape[:2]
        mean, square = self.mean.predict(flat).reshape(shape), self.square.predict(flat).reshape(shape)
        return Foreseen(mean * loads.cap[:, None], np.maximum(square, 0) * loads.cap[:, None] ** 2)


def of_hosts(loads: Loads, foreseen: Foreseen) -> Singles:
    """(H * n, 3) `NAMES`, host by host, as fractions of the limit."""
    limit = np.maximum(loads.limit, 1e-9)[:, None]
    level = loads.summed(foreseen.mean) + loads.own[:, None] / limit
    spread = np.sqrt(loads.summed(foreseen.square) / limit)
    room = np.clip((level - 1) / np.maximum(spread, SMALLEST_SPREAD), -FARTHEST, FARTHEST)
    return np.stack([level, spread, room], axis=-1).reshape(-1, len(NAMES)).astype(np.float32)


def learn_ahead(past: Sequence[tuple[Loads, Ints]], steps: int, *, daily: bool = True) -> Ahead:
    """Learn from VMs at the given instants, each with `steps` after it; hosts do not matter."""
    rng = np.random.default_rng(SEED)
    rows, mean, quarter = [], [], []
    for loads, instants in past:
        t = np.sort(
            rng.choice(instants, min(-(-MOST_ROWS // (len(past) * len(loads.cap))), len(instants)), replace=False)
        )
        share = loads.shares()
        found = _rows(loads, t, steps, daily=daily)
        rows.append(found.reshape(-1, found.shape[-1]))
        mean.append(rolling_mean(share, steps)[:, t + steps].ravel())
        when = t + rng.integers(min(DWELL, steps), steps + 1, (len(share), len(t)))
        quarter.append(np.take_along_axis(rolling_mean(share, DWELL), when, axis=1).ravel())
    x = without_blanks(np.concatenate(rows))
    expected, came = np.concatenate(mean), np.concatenate(quarter)
    level = _grown(x, expected)
    return Ahead(steps, daily, level, _grown(x, (came - level.predict(x)) ** 2))


def _grown(rows: Singles, target: Floats) -> Trees:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        learning_rate=0.1, max_iter=80, max_leaf_nodes=16, min_samples_leaf=100, l2_regularization=5.0, early_stopping=False,
        random_state=SEED,
    )  # fmt: skip
    return Trees.of(model.fit(rows, target))


def _rows(loads: Loads, instants: Ints, steps: int, *, daily: bool) -> Singles:
    """(V, n, F) what is known of each VM at `instants` (n,), as shares of its cap."""
    x = loads.shares()
    found: list[Any] = [x, back(x, 1), *(rolling_mean(x, k) for k in (3, 6, HOUR, 24, 72, DAY))]
    found += [rolling_spread(x, k) for k in (HOUR, 72, DAY)]
    found += [-rolling_least(-x, k) for k in (HOUR, 72, DAY)] + [rolling_least(x, k) for k in (HOUR, 72)]
    if daily:
        later, peak = rolling_mean(x, steps), -rolling_least(-rolling_mean(x, DWELL), steps)
        found += [back(z, k * DAY - steps, fill=np.nan) for z in (later, peak) for k in (1, 7) if k * DAY >= steps]
        found += [np.broadcast_to(f, x.shape) for f in clock(loads)]
    return np.stack([z[:, instants] for z in found], axis=-1).astype(np.float32)


def to_arrays(ahead: Ahead, prefix: str) -> dict[str, NDArray[Any]]:
    """Plain arrays for an .npz file: no pickle."""
    own = {prefix + "numbers": np.array([ahead.steps, ahead.daily])}
    return own | ahead.mean.arrays(prefix + "mean.") | ahead.square.arrays(prefix + "square.")


def from_arrays(found: Mapping[str, NDArray[Any]], prefix: str) -> Ahead:
    """Back from `to_arrays`. Raises KeyError or ValueError for anything else."""
    steps, daily = (int(n) for n in found[prefix + "numbers"])
    return Ahead(steps, bool(daily), Trees.read(found, prefix + "mean."), Trees.read(found, prefix + "square."))
