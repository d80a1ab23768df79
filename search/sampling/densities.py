"""hyperopt's estimators of what good and other trials look like, one parameter at a time.

`hyperopt.tpe.suggest` builds its graph of expressions and reads all trials' documents anew for
every suggestion. Here its estimators themselves are called, once for each parameter, and as the
settings are finite in number, each density becomes a table: any number of draws costs next to
nothing then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hyperopt.tpe import DEFAULT_LF, adaptive_parzen_normal, linear_forgetting_weights
from scipy.special import ndtr

from search.sampling.encoding import Codes
from search.space import Integer, Parameter

Probabilities = npt.NDArray[np.float64]
"""k settings: their probabilities, adding up to 1."""

PRIOR_WEIGHT = 1.0
"""Trials that the prior counts for; hyperopt's default."""


@dataclass(frozen=True)
class Densities:
    """Probability of each setting of a parameter among the good trials and among the others."""

    good: Probabilities
    other: Probabilities

    def draw(self, rng: np.random.Generator, tries: int, count: int) -> Codes:
        """Settings (count): of ``tries`` drawn from the good trials', the most telling one."""
        ends = np.cumsum(self.good)
        drawn = np.searchsorted(ends, rng.random((count, tries)) * ends[-1], side="right")
        drawn = np.minimum(drawn, len(ends) - 1)
        best = np.argmax(np.log(self.good / self.other)[drawn], axis=1)
        return np.asarray(drawn[np.arange(count), best], dtype=np.int64)


def densities(parameter: Parameter, good: Codes, other: Codes) -> Densities:
    """From the codes of the good trials and of the others, oldest first (n each)."""
    estimate = _of_integer if isinstance(parameter, Integer) else _of_choice
    return Densities(estimate(parameter.count, good), estimate(parameter.count, other))


def _of_integer(count: int, seen: Codes) -> Probabilities:
    """As of ``hp.quniform(-0.5, count - 0.5, 1)``: Gaussians around the seen, cut at the ends."""
    weights, means, deviations = adaptive_parzen_normal(
        seen.astype(np.float64), PRIOR_WEIGHT, (count - 1) / 2, float(count)
    )
    # They come sorted, and most are alike: a setting was seen many times.
    differs = (np.diff(means) != 0) | (np.diff(deviations) != 0)
    first = np.flatnonzero(np.append(True, differs))
    edges = np.arange(count + 1) - 0.5
    below = ndtr((edges[:, None] - means[first]) / deviations[first])
    below = below @ np.add.reduceat(weights, first)
    inside = np.maximum(np.diff(below), np.finfo(np.float64).tiny)
    return np.asarray(inside / inside.sum())


def _of_choice(count: int, seen: Codes) -> Probabilities:
    """As of ``hp.randint(count)``: counts of the seen, of which old ones fade."""
    weights = linear_forgetting_weights(len(seen), DEFAULT_LF)
    counts = np.bincount(seen, weights, minlength=count) + PRIOR_WEIGHT
    return np.asarray(counts / counts.sum())
