"""How hosts may fare within the hour: what VMs did next whenever they had stood as they stand now, drawn for each and summed by host.

A forest over one VM at a time parts the past into leaves of moments after which much the same happened (quantile regression forests, Meinshausen
2006, with whole paths in place of numbers). A possible hour of a host is a moment out of its leaf for every VM, independently; whether the sum
stays over the limit for a quarter of an hour is then no question of means and variances, which say little of VMs that jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
REACH = HOUR
"""Steps ahead, at most. Of longer times neighbouring moments share most of what follows, and what was learned from them looks surer than it is."""
KINDS = {
    "feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32, "leaf": np.int32, "roots": np.int32,
    "moments": np.int32, "paths": np.float32,
}  # fmt: skip
"""Of the fields, in their order. Compiled code trusts them."""


@dataclass(frozen=True)
class Futures:
    """What came after moments at which VMs stood alike.

    (N,) nodes: `feature` -1 in a leaf, which is row `leaf` of `moments` (Q, KEPT), each a row of `paths` (M, L); else go `left` where the feature
    is <= `threshold`, else `right`. `roots` (R,): first nodes of the trees. `paths`: sample by sample, as shares of the cap.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf: NDArray[np.int32]
    roots: NDArray[np.int32]
    moments: NDArray[np.int32]
    paths: Singles

    def leaves(self, rows: Singles) -> NDArray[np.int32]:
        """(n, R) the leaf of each of `rows` (n, F) in each tree."""
        from pro.heat.futures_kernels import route

        out = np.empty((len(rows), self.roots.size), np.int32)
        rows = np.ascontiguousarray(rows, np.float32)
        route(rows, self.feature, self.threshold, self.left, self.right, self.leaf, self.roots, out)
        return out

    def of_hosts(self, loads: Loads, leaves: NDArray[np.int32], instants: Ints) -> Singles:
        """(H, n, 8) `NAMES`, for `leaves` (V, n, R) at `instants` (n,); quantiles as fractions of the limit."""
        from pro.heat.futures_kernels import FEATURES, sum_up

        out = np.empty((loads.hosts, instants.size, FEATURES), np.float32)
        order = np.argsort(loads.host_of, kind="stable")
        first = np.searchsorted(loads.host_of[order], np.arange(loads.hosts + 1))
        cap, own = (np.ascontiguousarray(x, np.float64) for x in (loads.cap, loads.own))
        sum_up(
            leaves, self.moments, self.paths, PER_TREE, instants.astype(np.int64), cap, order, first, own,
            np.maximum(loads.limit, 1e-9), out,
        )  # fmt: skip
        return out

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The fields by name, for an .npz file."""
        kept = {prefix + name: getattr(self, name) for name in KINDS}
        return kept | {prefix + "paths": self.paths.astype(np.float16)}

    @classmethod
    def read(cls, found: Mapping[str, NDArray[Any]], prefix: str) -> Futures:
        """Back from `arrays`. Raises KeyError or ValueError for anything else: nodes, leaves or moments that lead nowhere, and wrong shapes."""
        one = cls(**{name: np.ascontiguousarray(found[prefix + name], kind) for name, kind in KINDS.items()})
        n, inner = len(one.feature), one.feature >= 0
        if {x.shape for x in (one.threshold, one.left, one.right, one.leaf)} != {(n,)} or one.roots.ndim != 1:
            raise ValueError("a stored tree has nodes that lack a part")
        if one.moments.ndim != 2 or one.paths.ndim != 2 or not one.moments.shape[1] or one.paths.shape[1] < DWELL:
            raise ValueError("stored paths are too short")
        for child in (one.left[inner], one.right[inner]):
            if ((child <= np.flatnonzero(inner)) | (child >= n)).any():
                raise ValueError("a stored tree has a node that does not lead on")
        for index, size in ((one.roots, n), (one.leaf[~inner], len(one.moments)), (one.moments, len(one.paths))):
            if ((index < 0) | (index >= size)).any():
                raise ValueError("a stored tree leads nowhere")
        return one


def following(share: Floats, instants: Ints, steps: int) -> Singles:
    """(V * n, steps) what followed in `share` (V, T) on `instants` (n,)."""
    return share[:, instants[:, None] + np.arange(1, steps + 1)].reshape(-1, steps).astype(np.float32)


def learn_futures(rows: Singles, paths: Singles, seed: int) -> Futures:
    """From what was known, `rows` (M, F), and what followed, `paths` (M, L)."""
    from sklearn.ensemble import RandomForestRegressor

    known = np.nan_to_num(rows, nan=-1.0)
    told = np.stack([paths.mean(axis=1), paths.max(axis=1), paths.std(axis=1)], axis=1)
    size = told.std(axis=0)
    model = RandomForestRegressor(
        TREES, min_samples_leaf=LEAST_IN_LEAF, max_features=0.4, max_samples=0.5, random_state=seed
    ).fit(known, told / np.where(size > 0, size, 1.0))
    reached, rng = model.apply(known), np.random.default_rng(seed)
    parts, moments, roots, nodes, rows_of = [], [], [], 0, 0
    for r, tree in enumerate(t.tree_ for t in model.estimators_):
        last = np.flatnonzero(tree.children_left < 0)
        leaf = np.full(tree.node_count, -1)
        leaf[last] = rows_of + np.arange(last.size)
        left, right = tree.children_left + nodes, tree.children_right + nodes
        parts.append((np.where(leaf < 0, tree.feature, -1), left, right, leaf, tree.threshold))
        moments.append(_kept(reached[:, r], last, rng))
        roots.append(nodes)
        nodes, rows_of = nodes + tree.node_count, rows_of + last.size
    *whole, threshold = (np.concatenate(p) for p in zip(*parts, strict=True))
    feature, left, right, leaf = (x.astype(np.int32) for x in whole)
    return Futures(
        feature, threshold.astype(np.float64), left, right, leaf, np.array(roots, np.int32),
        np.concatenate(moments).astype(np.int32), _rounded(paths),
    )  # fmt: skip


def _rounded(paths: Singles) -> Singles:
    """As they are after having been stored as half floats."""
    return np.ascontiguousarray(paths.astype(np.float16), np.float32)


def _kept(reached: Ints, last: Ints, rng: np.random.Generator) -> Ints:
    """(Q, KEPT) of the moments that `reached` (M,) each of the leaves `last` (Q,) some, at random; several times where there are few."""
    order = rng.permutation(reached.size)
    order = order[np.argsort(reached[order], kind="stable")]
    first, end = (np.searchsorted(reached[order], last, side=s) for s in ("left", "right"))
    return np.asarray(order[first[:, None] + np.arange(KEPT) % (end - first)[:, None]])
