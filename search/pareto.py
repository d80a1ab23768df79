"""Pareto dominance and hypervolume of cost vectors, every cost to be minimised.

Shapes: n points of m costs.
"""

from __future__ import annotations

import bisect
import math

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float64]

REFERENCE_MARGIN = 0.1
"""How far beyond the worst point the reference lies, in ranges: extremes keep a contribution.

Source: Ishibuchi et al., How to Specify a Reference Point in Hypervolume Calculation for Fair
Performance Comparison (2018), where points just beyond the nadir are found fair.
"""


def front(costs: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of the points (n x m) no other point dominates: n truth values.

    A point dominates another when it is nowhere worse and somewhere better; equal points do
    not dominate each other, so all of them are on the front or none.
    """
    return np.asarray(ranks(costs) == 0)


def ranks(costs: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Non-domination rank of each point (n x m): 0 on the front, 1 on the front of the rest, ...

    Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (2002). One and
    two costs take O(n log n), more O(n²).
    """
    points = as_costs(costs)
    if points.shape[1] == 1:
        points = np.concatenate([points, points], axis=1)
    return _ranks_2d(points) if points.shape[1] == 2 else _ranks(points)


def hypervolume(costs: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Volume that the points (n x m) dominate within the box that ends at ``reference`` (m).

    Source: Zitzler and Thiele, Multiobjective Evolutionary Algorithms (1999). One and two costs
    take O(n log n); more are cut into slices along the last one (While et al., 2006), which is
    exponential in m and meant for three or four.
    """
    points = as_costs(costs)
    corner = np.asarray(reference, dtype=np.float64)
    points = points[(points < corner).all(axis=1)]
    return _volume(points, corner) if len(points) else 0.0


def contributions(costs: npt.ArrayLike, reference: npt.ArrayLike) -> Costs:
    """Hypervolume that would be lost without each of the points (n x m): n numbers."""
    points = as_costs(costs)
    if points.shape[1] == 2:
        return _contributions_2d(points, np.asarray(reference, dtype=np.float64))
    whole = hypervolume(points, reference)
    others = (np.delete(points, i, axis=0) for i in range(len(points)))
    lost = [whole - hypervolume(rest, reference) for rest in others]
    return np.maximum(np.array(lost, dtype=np.float64), 0.0)


def reference_point(costs: npt.ArrayLike) -> Costs:
    """A reference (m) a little beyond the worst of the points (n x m) in every cost."""
    points = as_costs(costs)
    worst = points.max(axis=0)
    span = worst - points.min(axis=0)
    return np.asarray(worst + REFERENCE_MARGIN * np.where(span > 0, span, 1.0))


def as_costs(costs: npt.ArrayLike) -> Costs:
    """The points as an n x m array of floats, n x 1 where numbers stand alone."""
    points = np.asarray(costs, dtype=np.float64)
    return points.reshape(len(points), -1) if points.ndim < 2 else points


def _ranks(points: Costs) -> npt.NDArray[np.int64]:
    dominates = _domination(points)
    result = np.full(len(points), -1, dtype=np.int64)
    dominators = dominates.sum(axis=0)
    level = 0
    while (result < 0).any():
        members = (dominators == 0) & (result < 0)
        result[members] = level
        dominators = dominators - dominates[members].sum(axis=0)
        level += 1
    return result


def _ranks_2d(points: Costs) -> npt.NDArray[np.int64]:
    """By the first cost, then the second: a front dominates a point if its lowest one does."""
    result = np.zeros(len(points), dtype=np.int64)
    lowest: list[float] = []
    previous, rank = (math.nan, math.nan), 0
    rows = points.tolist()
    for i in np.lexsort((points[:, 1], points[:, 0])).tolist():
        x, y = rows[i]
        if (x, y) != previous:
            rank = bisect.bisect_right(lowest, y)
            lowest[rank : rank + 1] = [y]
            previous = (x, y)
        result[i] = rank
    return result


def _domination(points: Costs) -> npt.NDArray[np.bool_]:
    """Whether (n x n) the row's point dominates the column's."""
    shape = (len(points), len(points))
    nowhere_worse = np.ones(shape, dtype=np.bool_)
    somewhere_better = np.zeros(shape, dtype=np.bool_)
    for cost in points.T:
        nowhere_worse &= cost[:, None] <= cost[None, :]
        somewhere_better |= cost[:, None] < cost[None, :]
    return nowhere_worse & somewhere_better


def _volume(points: Costs, corner: Costs) -> float:
    if points.shape[1] == 1:
        return float(corner[0] - points.min())
    if points.shape[1] == 2:
        return _volume_2d(points, corner)
    ordered = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.diff(np.append(ordered[:, -1], corner[-1]))
    return math.fsum(
        depth * _volume(ordered[: i + 1, :-1], corner[:-1])
        for i, depth in enumerate(depths.tolist())
        if depth > 0
    )


def _volume_2d(points: Costs, corner: Costs) -> float:
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    ceiling = np.minimum.accumulate(np.append(corner[1], ordered[:, 1]))
    heights = ceiling[:-1] - ceiling[1:]
    return float(((corner[0] - ordered[:, 0]) * heights).sum())


def _contributions_2d(points: Costs, corner: Costs) -> Costs:
    """A point of the front alone owns the box up to its neighbours, less what others cover of it.

    Those others are the points that it alone of the front dominates.
    """
    result = np.zeros(len(points))
    inside = np.flatnonzero((points < corner).all(axis=1))
    if not len(inside):
        return result
    on_front = front(points[inside])
    order = inside[on_front]
    order = order[np.lexsort((points[order, 1], points[order, 0]))]
    x, y = points[order].T
    right, above = np.append(x[1:], corner[0]), np.insert(y[:-1], 0, corner[1])
    # Of equal points each has a neighbour at its own place, and so a box without an area.
    result[order] = (right - x) * (above - y)
    rest = points[inside[~on_front]]
    first = np.searchsorted(-y, -rest[:, 1], side="left")
    last = np.searchsorted(x, rest[:, 0], side="right") - 1
    for owner in np.unique(last[first == last]):
        covering = rest[(first == owner) & (last == owner)]
        result[order[owner]] -= _volume_2d(covering, np.array([right[owner], above[owner]]))
    return np.maximum(result, 0.0)
