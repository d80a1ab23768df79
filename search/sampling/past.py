"""The trials so far as samplers compute with them, the good ones told from the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from search import pareto
from search.sampler import Observation
from search.sampling.encoding import Codes, encode_all, keys, shares_frozen
from search.space import Space

INSIDE_RANK = 0.999
"""Losses within a rank spread over this much of the distance to the next, so none reaches it."""

PLACED = 200
"""Trials whose place within their rank is looked at: ranks that begin later are not told apart
further. More than TPE takes for good and a front has members."""


@dataclass(frozen=True)
class Past:
    """All trials of a history."""

    space: Space
    history: Sequence[Observation]

    @cached_property
    def codes(self) -> Codes:
        """[n, p]."""
        return encode_all(self.space, [each.parameters for each in self.history])

    @cached_property
    def seen(self) -> set[bytes]:
        """The keys of all candidates."""
        return set(keys(self.codes))

    @cached_property
    def feasible(self) -> npt.NDArray[np.bool_]:
        """[n]."""
        return np.array([each.feasible for each in self.history], dtype=np.bool_)

    @cached_property
    def pending(self) -> npt.NDArray[np.bool_]:
        """[n]."""
        return np.array([each.pending for each in self.history], dtype=np.bool_)

    @cached_property
    def costs(self) -> pareto.Costs:
        """Of the feasible ones [f, m]; one without bound is the worst of all others."""
        costs = pareto.as_costs([each.costs or () for each in self.history if each.feasible])
        known = np.isfinite(costs)
        worst = np.where(known, costs, -np.inf).max(axis=0, initial=-np.inf)
        return np.where(known, costs, np.where(np.isfinite(worst), worst, 0.0))

    @cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """One number a trial [n], the smaller the better: the order in which TPE is to see them.

        The whole part is the group: ranks of the feasible, then the infeasible, then the rest.
        Within the feasible, trials that share the frozen settings are ranked first.
        """
        result = np.full(len(self.history), np.inf)
        shares = shares_frozen(self.space, self.codes)
        level = 0
        for kind in (shares, ~shares):
            members = self.feasible & kind
            if members.any():
                placed = _placed(self.costs[kind[self.feasible]])
                result[members] = level + placed
                level += int(placed.max()) + 1
        for i, each in enumerate(self.history):
            if not each.feasible and not each.pending and math.isfinite(each.violation):
                result[i] = level + INSIDE_RANK * each.violation / (1 + each.violation)
        return result

    @cached_property
    def best_feasible(self) -> Codes:
        """Numbers among the feasible ones [f], by loss."""
        return np.argsort(self.losses[self.feasible], kind="stable")


def _placed(points: pareto.Costs) -> npt.NDArray[np.float64]:
    """Rank plus, in [0, 1), how little the point adds to the hypervolume of its rank."""
    spread = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    reference = pareto.reference_point(points)
    ranks = pareto.ranks(points)
    result = ranks.astype(np.float64)
    before = 0
    for rank in range(int(ranks.max()) + 1):
        if before >= PLACED:
            break
        members = np.flatnonzero(ranks == rank)
        added = pareto.contributions(points[members], reference)
        most = added.max()
        result[members] += INSIDE_RANK * (1 - (added / most if most > 0 else added))
        before += len(members)
    return result
