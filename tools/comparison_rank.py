"""How well operations and prediction put networks in the order of their measured times."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

NARROW_BAND = 0.25
"""Networks whose operations differ by at most this share are in a narrow band."""

FEWEST = 3
"""Networks from which a rank correlation says anything."""


class Timed(Protocol):
    """A network with its figures."""

    @property
    def flops(self) -> int:
        """Operations."""
        ...

    @property
    def predicted_ms(self) -> float:
        """By the cost model."""
        ...

    @property
    def measured_ms(self) -> float:
        """On the device."""
        ...


def rank_agreement(points: Sequence[Timed], *, band: float = NARROW_BAND) -> dict[str, Any]:
    """Rank correlations with measured time of ``operations`` and of ``predicted``.

    ``all``: Spearman's and Kendall's over all networks. ``narrow``: what is left of it where
    operations differ by at most the share ``band``: of such pairs the share that is
    ``ordered_rightly`` (a tie counts one half, as a coin would) and Kendall's coefficient over
    them; and Spearman's within bands of operations as wide, averaged by their networks. None
    where there is nothing to correlate.
    """
    by = {
        "operations": np.array([p.flops for p in points], float),
        "predicted": np.array([p.predicted_ms for p in points], float),
    }
    measured = np.array([p.measured_ms for p in points], float)
    return {"all": _over_all(by, measured), "narrow": _within(by, measured, band)}


def _over_all(
    by: Mapping[str, NDArray[np.float64]], measured: NDArray[np.float64]
) -> dict[str, Any]:
    if len(measured) < FEWEST:
        return {"n": len(measured)}
    return {
        "n": len(measured),
        **{
            name: {
                "spearman": _coefficient(spearmanr, values, measured),
                "kendall": _coefficient(kendalltau, values, measured),
            }
            for name, values in by.items()
        },
    }


def _within(
    by: Mapping[str, NDArray[np.float64]], measured: NDArray[np.float64], band: float
) -> dict[str, Any]:
    operations = by["operations"]
    pairs = [
        (i, j)
        for i in range(len(measured))
        for j in range(i)
        if abs(operations[i] - operations[j]) <= band * max(operations[i], operations[j])
        and measured[i] != measured[j]
    ]
    if not pairs:
        return {"band": band, "pairs": 0}
    return {
        "band": band,
        "pairs": len(pairs),
        **{
            name: {
                "ordered_rightly": (1 + (tau := _concordance(values, measured, pairs))) / 2,
                "kendall": tau,
                "spearman": _spearman_in_bands(operations, values, measured, band),
            }
            for name, values in by.items()
        },
    }


def _concordance(
    values: NDArray[np.float64], measured: NDArray[np.float64], pairs: Sequence[tuple[int, int]]
) -> float:
    """Pairs in the same order less those in the other, as a share of all."""
    signs = [np.sign((values[i] - values[j]) * (measured[i] - measured[j])) for i, j in pairs]
    return float(np.mean(signs))


def _spearman_in_bands(
    operations: NDArray[np.float64],
    values: NDArray[np.float64],
    measured: NDArray[np.float64],
    band: float,
) -> float | None:
    bands: dict[int, list[int]] = defaultdict(list)
    for place, count in enumerate(operations):
        bands[math.floor(math.log(count) / -math.log1p(-band))].append(place)
    found = [
        (coefficient, len(places))
        for places in bands.values()
        if len(places) >= FEWEST
        and (coefficient := _coefficient(spearmanr, values[places], measured[places])) is not None
    ]
    if not found:
        return None
    coefficients, weights = zip(*found, strict=True)
    return float(np.average(coefficients, weights=weights))


def _coefficient(
    correlation: Callable[..., Any], values: NDArray[np.float64], measured: NDArray[np.float64]
) -> float | None:
    """A rank correlation; None where one side is all the same, so that there is none."""
    if np.ptp(values) == 0 or np.ptp(measured) == 0:
        return None
    return float(correlation(values, measured).statistic)
