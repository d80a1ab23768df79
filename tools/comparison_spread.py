"""What a few seeds say: a median, how far it can be trusted, and what chance alone would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom, permutation_test

LEVEL = 0.95
"""Of an interval, where there are seeds enough for it."""

RESAMPLES = 9_999
"""Signs drawn for `chance` where not all can be gone through: up to 13 seeds it is exact."""


@dataclass(frozen=True)
class Spread:
    """The median of a figure over seeds, and an interval for the median of all seeds."""

    median: float
    low: float
    high: float
    coverage: float
    """Probability with which such an interval holds the median, whatever the figure's law: below
    `LEVEL` where the seeds are few, 0 of a single one."""
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Median and interval of the figure's values, one a seed; None where there is none.

    The interval runs from the k-th smallest to the k-th largest value and misses the median with
    probability 2 P(B < k), B binomial of n tosses of a coin (Thompson, Ann. Math. Statist. 7,
    1936). k is the largest that keeps `LEVEL`, else 1: the whole range, whose coverage is told.
    """
    if not values:
        return None
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    narrow = [k for k in range(1, n // 2 + 1) if _coverage(n, k) >= LEVEL]
    k = max(narrow, default=1)
    return Spread(
        median=float(np.median(ordered)),
        low=float(ordered[k - 1]),
        high=float(ordered[n - k]),
        coverage=_coverage(n, k),
        n=n,
    )


def ratio_spread(ratios: Sequence[float]) -> Spread | None:
    """As `spread`, of ratios above 0, by their logarithms.

    So the inverse of what is told is what is told of the inverse ratios.
    """
    found = spread([math.log(ratio) for ratio in ratios])
    if found is None:
        return None
    return replace(
        found, median=math.exp(found.median), low=math.exp(found.low), high=math.exp(found.high)
    )


def chance(differences: Sequence[float]) -> float:
    """Probability of a mean so far from 0 where each seed's sign is the toss of a coin.

    The two-sided sign-flip test of paired figures; 1 for a single seed, and never below
    2 / 2^n: five seeds cannot show anything at 5 %, six can.
    """
    if len(differences) < 2 or not np.any(differences):
        return 1.0
    found = permutation_test(
        (np.asarray(differences, float),),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(min(1.0, found.pvalue))


def _coverage(n: int, k: int) -> float:
    return float(max(0.0, 1 - 2 * binom.cdf(k - 1, n, 0.5)))
