"""How much a candidate is expected to add to the hypervolume of a front.

Some of its costs are known; others are normal, with a mean and a deviation. Source: Emmerich et
al., Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian Random Field
Metamodels (2006). Shapes: c candidates, f points on the front, m costs, of which k are trained.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import norm, qmc

from search import pareto
from search.pareto import Costs

Array = npt.NDArray[np.float64]

SAMPLES = 16
"""Of the trained costs, where there is no closed form: a Halton sequence, the same for all
candidates, so that their order depends on no chance."""


def expected_gain(
    known: Costs, means: Array, deviations: Array, front: Costs, reference: Array
) -> Array:
    """Expected gain of hypervolume (c), exact for two costs.

    Args:
        known: [c, m]; NaN in the columns that need training.
        means: Of those columns, in their order, [c, k].
        deviations: Likewise, [c, k], above 0.
        front: [f, m].
        reference: [m]; what lies beyond adds nothing.

    """
    trained = np.isnan(known).any(axis=0)
    if known.shape[1] == 2 and trained.sum() == 1:
        which = int(np.flatnonzero(trained)[0])
        return _gain_2d(
            known[:, 1 - which],
            means[:, 0],
            deviations[:, 0],
            front[:, [1 - which, which]],
            reference[[1 - which, which]],
        )
    quantiles = norm.ppf(qmc.Halton(int(trained.sum()), scramble=False).random(SAMPLES + 1)[1:])
    gains = np.zeros(len(known))
    for i, point in enumerate(known):
        for quantile in quantiles:
            sampled = point.copy()
            sampled[trained] = means[i] + deviations[i] * quantile
            gains[i] += gain(sampled, front, reference)
    return gains / len(quantiles)


def gain(point: Array, front: Costs, reference: Array) -> float:
    """Hypervolume that ``point`` [m] adds to the front [f, m]."""
    if (point >= reference).any():
        return 0.0
    own = float(np.prod(reference - point))
    return max(0.0, own - pareto.hypervolume(np.maximum(front, point), reference))


def margin(known: Costs, means: Array, deviations: Array, front: Costs) -> Array:
    """By how many deviations (c) a candidate's mean clears the front; negative where it does not.

    For each point of the front, the clearest of the trained costs counts, and any known cost that
    is better clears it altogether; the least over the front is the answer.
    """
    trained = np.isnan(known).any(axis=0)
    cheaper = (known[:, None, ~trained] < front[None, :, ~trained]).any(axis=2)
    away = (front[None, :, trained] - means[:, None]) / deviations[:, None]
    clear = np.where(cheaper, np.inf, away.max(axis=2))
    return np.asarray(clear.min(axis=1, initial=np.inf))


def _gain_2d(known: Array, mean: Array, deviation: Array, front: Costs, reference: Array) -> Array:
    """The sum, over the slabs between the front's known costs, of width times expected height."""
    front = front[np.lexsort((front[:, 1], front[:, 0]))]
    starts = np.append(-np.inf, front[:, 0])
    ends = np.minimum(np.append(front[:, 0], reference[0]), reference[0])
    levels = np.minimum.accumulate(np.append(reference[1], front[:, 1]))
    widths = np.maximum(ends - np.maximum(known[:, None], starts), 0.0)
    scores = (levels - mean[:, None]) / deviation[:, None]
    density = np.exp(-0.5 * scores**2) / np.sqrt(2 * np.pi)
    heights = deviation[:, None] * (scores * ndtr(scores) + density)
    return np.asarray((widths * np.maximum(heights, 0.0)).sum(axis=1))
