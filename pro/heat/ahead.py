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
    FARTHEST,
    HOUR,
    SMALLEST_SPREAD,
    Loads,
    back,
    clock,
    rolling_least,
    rolling_mean,
    rolling_spread,
    without_blanks,
)
from pro.heat.futures import NAMES as OF_FUTURES
from pro.heat.futures import REACH, Futures, following, learn_futures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints, Singles

OF_MEANS = ("ahead", "ahead spread", "ahead room")
"""Of a host: expected mean load, its standard deviation, and how many of these it lies above the limit."""
NAMES = (*OF_MEANS, *OF_FUTURES)
MOST_ROWS, FOR_FUTURES, SEED = 60_000, 2, 0
"""Moments to teach boosted trees, and how many times as many there are to draw futures from."""


NOBODY = Loads(np.zeros((1, 1), np.float32), np.ones(1), np.zeros(1, np.int64), np.ones(1), np.zeros(1))
"""A VM of which nothing is known, to see how much would be."""


@dataclass(frozen=True)
class Foreseen:
    """(V, n) `mean` of what each VM will ask for after n `instants`, in the unit of the limit, and mean `square` of how far it strays from that; (V, n, R)
    `leaves` of `futures`, if there are any.

    It does not ask where VMs stand.
    """

    instants: Ints
    mean: Floats
    square: Floats
    futures: Futures | None
    leaves: NDArray[np.int32]

    @property
    def names(self) -> tuple[str, ...]:
        """What `of_hosts` says of a host."""
        return OF_MEANS if self.futures is None else NAMES


@dataclass(frozen=True)
class Ahead:
    """`mean` of a VM's load over the next `steps` instants as a share of its cap, mean `square` of how far 15 minutes within them lie from it, and `futures`
    where they are near.

    `daily`: whether yesterday and the time of day tell something.
    """

    steps: int
    daily: bool
    mean: Trees
    square: Trees
    futures: Futures | None

    def foresee(self, loads: Loads, instants: Ints) -> Foreseen:
        """What VMs will ask for after each of `instants` (n,); nothing after it is read for it."""
        rows = _rows(loads, instants, self.steps, daily=self.daily)
        flat, shape = rows.reshape(-1, rows.shape[-1]), rows.shape[:2]
        mean, square = self.mean.predict(flat).reshape(shape), self.square.predict(flat).reshape(shape)
        leaves = np.empty((len(flat), 0), np.int32) if self.futures is None else self.futures.leaves(flat)
        cap = loads.cap[:, None]
        return Foreseen(instants, mean * cap, np.maximum(square, 0) * cap**2, self.futures, leaves.reshape(*shape, -1))


def of_hosts(loads: Loads, foreseen: Foreseen) -> Singles:
    """(H * n, F) `foreseen.names`, host by host, as fractions of the limit."""
    found = of_means(loads, foreseen.mean, foreseen.square)
    if foreseen.futures is not None:
        drawn = foreseen.futures.of_hosts(loads, foreseen.leaves, foreseen.instants)
        found = np.concatenate([found, drawn], axis=-1)
    return found.reshape(-1, len(foreseen.names))


def of_means(loads: Loads, mean: Floats, square: Floats) -> Singles:
    """(H, n, 3) `OF_MEANS` of `mean` and `square` (V, n), as fractions of the limit."""
    limit = np.maximum(loads.limit, 1e-9)[:, None]
    level = loads.summed(mean) + loads.own[:, None] / limit
    spread = np.sqrt(loads.summed(square) / limit)
    room = np.clip((level - 1) / np.maximum(spread, SMALLEST_SPREAD), -FARTHEST, FARTHEST)
    return np.stack([level, spread, room], axis=-1).astype(np.float32)


def learn_ahead(past: Sequence[tuple[Loads, Ints]], steps: int, *, daily: bool = True) -> Ahead:
    """Learn from VMs at the given instants, each with `steps` after it; hosts do not matter."""
    rng = np.random.default_rng(SEED)
    rows, mean, quarter, paths = [], [], [], []
    times = FOR_FUTURES if steps <= REACH else 1
    for loads, instants in past:
        most = -(-MOST_ROWS * times // (len(past) * len(loads.cap)))
        t = np.sort(rng.choice(instants, min(most, len(instants)), replace=False))
        share = loads.shares()
        found = _rows(loads, t, steps, daily=daily)
        rows.append(found.reshape(-1, found.shape[-1]))
        mean.append(rolling_mean(share, steps)[:, t + steps].ravel())
        when = t + rng.integers(min(DWELL, steps), steps + 1, (len(share), len(t)))
        quarter.append(np.take_along_axis(rolling_mean(share, DWELL), when, axis=1).ravel())
        if steps <= REACH:
            paths.append(following(share, t, steps))
    x = without_blanks(np.concatenate(rows))
    expected, came = np.concatenate(mean), np.concatenate(quarter)
    some = slice(None, None, times)
    level = _grown(x[some], expected[some])
    scatter = _grown(x[some], (came[some] - level.predict(x[some])) ** 2)
    return Ahead(steps, daily, level, scatter, learn_futures(x, np.concatenate(paths), SEED) if paths else None)


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
    if ahead.futures is not None:
        own |= ahead.futures.arrays(prefix + "futures.")
    return own | ahead.mean.arrays(prefix + "mean.") | ahead.square.arrays(prefix + "square.")


def from_arrays(found: Mapping[str, NDArray[Any]], prefix: str) -> Ahead:
    """Back from `to_arrays`. Raises KeyError or ValueError for anything else."""
    steps, daily = (int(n) for n in found[prefix + "numbers"])
    mean, square = (Trees.read(found, prefix + name) for name in ("mean.", "square."))
    futures = Futures.read(found, prefix + "futures.") if steps <= REACH else None
    known = _rows(NOBODY, np.array([0]), steps, daily=bool(daily)).shape[-1]
    for trees in (mean, square, *(() if futures is None else (futures.trees,))):
        if trees.feature.max(initial=-1) >= known:
            raise ValueError("a stored tree asks for what is not known of a VM")
    return Ahead(steps, bool(daily), mean, square, futures)
