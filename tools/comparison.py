"""The two objectives side by side, on measured time: pure functions of the fronts' figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from search.pareto import front, hypervolume

NARROW_BAND = 0.25
"""Members whose operations differ by at most this share are a narrow band."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A member of a front, as measured."""

    architecture: str
    error: float
    """Share of validation clips wrong, after fine-tuning where there was one."""
    search_error: float | None = None
    """The same after the search's own, short training."""
    tuned: bool = False
    """Whether `error` is after fine-tuning."""
    predicted_ms: float
    measured_ms: float
    flops: int


def compare(fronts: Mapping[str, Sequence[Point]]) -> dict[str, Any]:
    """Fronts by objective, compared in error and measured milliseconds.

    Hypervolume: of (error, measured ms) under one reference point for all, as a share of it.
    Latency at equal accuracy: for each error that a member of any front has, the fastest
    measured member of each front that is at least as accurate (null where there is none).
    Rank: how well operations and prediction order the measured times (null where undefined).
    """
    everything = [point for points in fronts.values() for point in points]
    distinct = list({point.architecture: point for point in everything}.values())
    if not everything:
        return {"hypervolume": {}, "latency_at_equal_accuracy": [], "rank": {}}
    reference = (
        np.array([max(p.error for p in everything), max(p.measured_ms for p in everything)]) * 1.05
    )
    return {
        "hypervolume": {name: _volume(points, reference) for name, points in fronts.items()},
        "reference": {"error": reference[0], "measured_ms": reference[1]},
        "latency_at_equal_accuracy": _equal_accuracy(fronts),
        "rank": {
            "all": rank_agreement(distinct),
            "narrow": rank_agreement(distinct, band=NARROW_BAND),
        },
    }


def measured_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates in error and measured time, fastest first."""
    if not points:
        return []
    costs = np.array([[p.error, p.measured_ms] for p in points])
    best = [point for point, on_front in zip(points, front(costs), strict=True) if on_front]
    return sorted(best, key=lambda p: p.measured_ms)


def rank_agreement(points: Sequence[Point], *, band: float | None = None) -> dict[str, Any]:
    """Spearman's and Kendall's correlation of operations and prediction with measured time.

    With ``band``, the share of pairs ordered rightly among those whose operations differ by at
    most that share.
    """
    measured = np.array([p.measured_ms for p in points])
    by = {
        "operations": np.array([p.flops for p in points], float),
        "predicted": np.array([p.predicted_ms for p in points]),
    }
    if band is not None:
        return _pairs(by, measured, band)
    if len(points) < 3:
        return {"n": len(points)}
    return {
        "n": len(points),
        **{
            name: {
                "spearman": _coefficient(spearmanr, values, measured),
                "kendall": _coefficient(kendalltau, values, measured),
            }
            for name, values in by.items()
        },
    }


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence on which objective gave the faster networks at equal accuracy."""
    ratios = [
        row["flops"] / row["latency"]
        for row in result["latency_at_equal_accuracy"]
        if row.get("flops") is not None and row.get("latency") is not None
    ]
    if not ratios:
        return "the fronts share no accuracy at which they could be compared"
    ratio = float(np.exp(np.mean(np.log(ratios))))
    if abs(ratio - 1) < 0.03:
        return f"no difference: at equal accuracy the two are within 3 % (ratio {ratio:.2f})"
    better, worse = ("latency", "operations") if ratio > 1 else ("operations", "latency")
    size = ratio if ratio > 1 else 1 / ratio
    return (
        f"at equal accuracy the search for {better} found networks {size:.2f} times as fast as "
        f"the search for {worse} (geometric mean of {len(ratios)} accuracies, measured)"
    )


def _coefficient(
    correlation: Callable[..., Any],
    values: np.ndarray[Any, Any],
    measured: np.ndarray[Any, Any],
) -> float | None:
    """A rank correlation; None where one side is all the same, so that there is none."""
    if np.ptp(values) == 0 or np.ptp(measured) == 0:
        return None
    return float(correlation(values, measured).statistic)


def _volume(points: Sequence[Point], reference: np.ndarray[Any, Any]) -> float:
    costs = np.array([[p.error, p.measured_ms] for p in points]).reshape(-1, 2)
    return float(hypervolume(costs, reference) / np.prod(reference))


def _equal_accuracy(fronts: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    errors = sorted({p.error for points in fronts.values() for p in points})
    rows = []
    for error in errors:
        row: dict[str, Any] = {"error": error}
        for name, points in fronts.items():
            row[name] = min((p.measured_ms for p in points if p.error <= error), default=None)
        rows.append(row)
    return rows


def _pairs(
    by: Mapping[str, np.ndarray[Any, Any]], measured: np.ndarray[Any, Any], band: float
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
                "ordered_rightly": float(
                    np.mean(
                        [(values[i] - values[j]) * (measured[i] - measured[j]) > 0
                         for i, j in pairs]
                    )
                )
            }
            for name, values in by.items()
        },
    }  # fmt: skip
