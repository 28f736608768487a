"""How hosts may fare within the hour: what VMs did next whenever they had stood as they stand now, drawn for each and summed by host.

A forest over one VM at a time parts the past into leaves of moments after which much the same happened (quantile regression forests, Meinshausen
2006, with whole paths in place of numbers). A possible hour of a host is a moment out of its leaf for every VM, independently; whether the sum
stays over the limit for a quarter of an hour is then no question of means and variances, which say little of VMs that jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.forecast.trees import Trees
from pro.heat.features import DWELL, HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pro.core.arrays import Floats, Ints, Singles
    from pro.heat.features import Loads

NAMES = ("paths over", "paths near", "paths 10", "paths 25", "paths 50", "paths 75", "paths 90", "paths room")
"""Of a host: the share of its possible futures in which it is hot, by a sharp and by a soft limit; quantiles of what they stay over for a quarter
of an hour; and how many standard deviations their mean lies above the limit."""
TREES, PER_TREE, LEAST_IN_LEAF, KEPT = 16, 8, 40, 64
"""Trees, futures drawn by each, moments that a leaf has at least, and those it keeps."""
UNKNOWN = -1.0
"""What stands for a feature that nobody knows: below every share."""
REACH = HOUR
"""Steps ahead, at most. Of longer times neighbouring moments share most of what follows, and what was learned from them looks surer than it is."""


@dataclass(frozen=True)
class Futures:
    """What came after moments at which VMs stood alike.

    `trees`: each leaf's value is a row of `moments` (Q, KEPT), each of which is a row of `paths` (M, L): sample by sample, as shares of the cap.
    """

    trees: Trees
    moments: NDArray[np.int32]
    paths: Singles

    def leaves(self, rows: Singles) -> NDArray[np.int32]:
        """(n, R) the leaf of each of `rows` (n, F) in each tree, as a row of `moments`."""
        out = np.empty((len(rows), self.trees.roots.size), np.int32)
        for r, reached in enumerate(self.trees.values(rows)):
            out[:, r] = reached
        return out

    def of_hosts(self, loads: Loads, leaves: NDArray[np.int32], instants: Ints) -> Singles:
        """(H, n, 8) `NAMES`, for `leaves` (V, n, R) at `instants` (n,); quantiles as fractions of the limit."""
        from pro.heat.futures_kernels import sum_up

        out = np.empty((loads.hosts, instants.size, len(NAMES)), np.float32)
        order = np.argsort(loads.host_of, kind="stable")
        first = np.searchsorted(loads.host_of[order], np.arange(loads.hosts + 1))
        cap, own = (np.ascontiguousarray(x, np.float64) for x in (loads.cap, loads.own))
        sum_up(
            leaves, self.moments, self.paths, PER_TREE, instants.astype(np.int64), cap, order, first, own,
            np.maximum(loads.limit, 1e-9), out,
        )  # fmt: skip
        return out

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Plain arrays for an .npz file: no pickle."""
        kept: dict[str, NDArray[Any]] = {
            prefix + "moments": self.moments,
            prefix + "paths": self.paths.astype(np.float16),
        }
        return kept | self.trees.arrays(prefix)

    @classmethod
    def read(cls, found: Mapping[str, NDArray[Any]], prefix: str) -> Futures:
        """Back from `arrays`. Raises KeyError or ValueError for anything else, for compiled code trusts what it is given."""
        trees = Trees.read(found, prefix)
        moments = np.ascontiguousarray(found[prefix + "moments"], np.int32)
        paths = np.ascontiguousarray(found[prefix + "paths"], np.float32)
        if moments.ndim != 2 or paths.ndim != 2 or not moments.shape[1] or paths.shape[1] < DWELL:
            raise ValueError("stored paths are too short")
        for index, size in ((trees.value[trees.feature < 0], len(moments)), (moments, len(paths))):
            if not ((index >= 0) & (index < size)).all():
                raise ValueError("a stored leaf leads nowhere")
        return cls(trees, moments, paths)


def following(share: Floats, instants: Ints, steps: int) -> Singles:
    """(V * n, steps) what followed in `share` (V, T) on `instants` (n,)."""
    return share[:, instants[:, None] + np.arange(1, steps + 1)].reshape(-1, steps).astype(np.float32)


def learn_futures(rows: Singles, paths: Singles, seed: int) -> Futures:
    """From what was known, `rows` (M, F), and what followed, `paths` (M, L)."""
    from sklearn.ensemble import RandomForestRegressor

    known = np.nan_to_num(rows, nan=UNKNOWN)
    told = np.stack([paths.mean(axis=1), paths.max(axis=1), paths.std(axis=1)], axis=1)
    size = told.std(axis=0)
    model = RandomForestRegressor(
        TREES, min_samples_leaf=LEAST_IN_LEAF, max_features=0.4, max_samples=0.5, random_state=seed
    ).fit(known, told / np.where(size > 0, size, 1.0))
    trees, rng = Trees.of_forest(model, UNKNOWN), np.random.default_rng(seed)
    moments = np.concatenate([_kept(reached, rng) for reached in trees.values(known)])
    return Futures(trees, moments.astype(np.int32), _rounded(paths))


def _rounded(paths: Singles) -> Singles:
    """As they are after having been stored as half floats."""
    return np.ascontiguousarray(paths.astype(np.float16), np.float32)


def _kept(reached: Floats, rng: np.random.Generator) -> Ints:
    """(Q, KEPT) for each of the Q leaves that `reached` (M,) names some of the moments that reach it, at random; several times where there are few."""
    order = rng.permutation(reached.size)
    order = order[np.argsort(reached[order], kind="stable")]
    _, first, count = np.unique(reached[order], return_index=True, return_counts=True)
    return np.asarray(order[first[:, None] + np.arange(KEPT) % count[:, None]])
