"""Regression trees as plain arrays: steps and thresholds that a smooth process would blur.

scikit-learn fits them (extremely randomised trees: Geurts, Ernst, Wehenkel 2006); all trees of all
rows are walked at once, so one row costs a fraction of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]

TREES = 100
"""With 300, held-out errors on host kernels and four boards were the same within a thirtieth."""
FEATURE_SHARE = 0.5
"""Of the features, those that a split chooses from; 0.3 and 1 were better on some boards, worse on
others."""


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Nodes of all trees in one row of arrays; a leaf is its own child."""

    roots: Integers
    """Node that each tree starts at, [trees]."""
    feature: Integers
    """Feature that a node asks about, [nodes]."""
    threshold: Vector
    """It goes left where the feature is not above this, [nodes]."""
    left: Integers
    right: Integers
    value: Vector
    """Mean y of the measured kernels in a node, [nodes]."""
    depth: int
    """Steps from a root to the furthest leaf."""

    def predict(self, features: Matrix) -> Vector:
        """Mean y over the trees, for features [m, f]."""
        # scikit-learn compares in float32.
        rows = features.astype(np.float32).astype(np.float64).ravel()
        starts = np.arange(len(features))[:, None] * features.shape[1]
        nodes = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            asked = rows.take(starts + self.feature.take(nodes))
            nodes = self._children.take(2 * nodes + (asked > self.threshold.take(nodes)))
        means: Vector = self.value.take(nodes).mean(1)
        return means

    @cached_property
    def _children(self) -> Integers:
        """Left and right child of each node side by side, [2 x nodes]."""
        return np.stack([self.left, self.right], axis=1).ravel()


def fit_forest(features: Matrix, targets: Vector, *, trees: int = TREES) -> Forest:
    """Fits trees to features [n, f] and y [n]."""
    # Only calibration fits: an estimate shall not wait for scikit-learn.
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(trees, max_features=FEATURE_SHARE, random_state=0)
    grown: list[Any] = [estimator.tree_ for estimator in model.fit(features, targets).estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in grown)])[:-1]

    def child(name: str) -> Integers:
        moved = []
        for tree, start in zip(grown, starts, strict=True):
            children, own = getattr(tree, name), np.arange(tree.node_count)
            moved.append(np.where(children < 0, own, children) + start)
        return np.concatenate(moved).astype(np.int32)

    return Forest(
        roots=starts.astype(np.int32),
        feature=np.concatenate([np.maximum(t.feature, 0) for t in grown]).astype(np.int32),
        threshold=np.concatenate([t.threshold for t in grown]),
        left=child("children_left"),
        right=child("children_right"),
        value=np.concatenate([t.value[:, 0, 0] for t in grown]),
        depth=max(t.max_depth for t in grown),
    )
