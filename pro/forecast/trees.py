"""Boosted trees as plain arrays: kept without pickle, evaluated by code that can be read, in a few lines of numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

FIELDS = ("feature", "threshold", "left", "right", "value", "missing_left", "roots", "start")


@dataclass(frozen=True)
class Trees:
    """Trees side by side; the prediction is `start` plus the value of the leaf reached in each.

    (N,) nodes: `feature` -1 in a leaf, else go `left` where the feature is <= `threshold` (or unknown and `missing_left`),
    else `right`; `roots` (R,) first node of each tree.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    roots: NDArray[np.int32]
    start: NDArray[np.float64]

    @classmethod
    def of(cls, model: Any) -> Trees:
        """From a fitted scikit-learn HistGradientBoosting model with one output and no categories."""
        parts, roots, offset = [], [], 0
        for (predictor,) in model._predictors:
            roots.append(offset)
            parts.append((predictor.nodes, offset))
            offset += len(predictor.nodes)
        nodes = np.concatenate([n for n, _ in parts])
        shift = np.concatenate([np.full(len(n), o) for n, o in parts])
        leaf = nodes["is_leaf"].astype(bool)
        return cls(
            np.where(leaf, -1, nodes["feature_idx"]).astype(np.int32), nodes["num_threshold"].astype(np.float64),
            (nodes["left"] + shift).astype(np.int32), (nodes["right"] + shift).astype(np.int32),
            nodes["value"].astype(np.float64), nodes["missing_go_to_left"].astype(bool), np.array(roots, np.int32),
            np.ravel(model._baseline_prediction).astype(np.float64),
        )  # fmt: skip

    @classmethod
    def of_forest(cls, model: Any, unknown: float) -> Trees:
        """From a fitted scikit-learn forest: a leaf's value is its number among the leaves of all trees. Features not known go where `unknown` does."""
        parts, roots, nodes, leaves = [], [], 0, 0
        for tree in (t.tree_ for t in model.estimators_):
            leaf = tree.children_left < 0
            number = np.where(leaf, leaves + np.cumsum(leaf) - 1, 0)
            feature = np.where(leaf, -1, tree.feature)
            parts.append((feature, tree.threshold, tree.children_left + nodes, tree.children_right + nodes, number))
            roots.append(nodes)
            nodes, leaves = nodes + tree.node_count, leaves + int(leaf.sum())
        feature, threshold, left, right, number = (np.concatenate(p) for p in zip(*parts, strict=True))
        return cls(
            feature.astype(np.int32), threshold.astype(np.float64), left.astype(np.int32), right.astype(np.int32),
            number.astype(np.float64), threshold >= unknown, np.array(roots, np.int32), np.zeros(1),
        )  # fmt: skip

    def predict(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(n,) raw prediction for `rows` (n, F): a mean, or the log-odds of a classifier."""
        total = np.full(len(rows), float(self.start[0]))
        for each in self.values(rows):
            total += each
        return total

    def values(self, rows: NDArray[np.floating[Any]]) -> Iterator[NDArray[np.float64]]:
        """Tree by tree, the (n,) values of the leaves that `rows` (n, F) reach."""
        x = np.asarray(rows, dtype=np.float64)
        each = np.arange(len(x))
        for root in self.roots:
            at = np.full(len(x), root, dtype=np.int32)
            while True:
                inner = self.feature[at] >= 0
                if not inner.any():
                    break
                seen = x[each, np.maximum(self.feature[at], 0)]
                left = np.where(np.isnan(seen), self.missing_left[at], seen <= self.threshold[at])
                at = np.where(inner, np.where(left, self.left[at], self.right[at]), at)
            yield self.value[at]

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The fields by name, for an .npz file."""
        return {prefix + name: getattr(self, name) for name in FIELDS}

    @classmethod
    def read(cls, found: Mapping[str, NDArray[Any]], prefix: str) -> Trees:
        """Back from `arrays`. Raises ValueError for nodes that lead nowhere."""
        trees = cls(**{name: found[prefix + name] for name in FIELDS})
        n = len(trees.feature)
        inner = trees.feature >= 0
        for child in (trees.left[inner], trees.right[inner]):
            if ((child <= np.flatnonzero(inner)) | (child >= n)).any():
                raise ValueError("a stored tree has a node that does not lead on")
        if ((trees.roots < 0) | (trees.roots >= n)).any():
            raise ValueError("a stored tree begins nowhere")
        return trees
