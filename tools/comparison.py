"""The two objectives side by side, on measured time: pure functions of the fronts' figures.

A run is one seed's pair of searches: the n-th run of the one objective has the seed, the start and
the budget of the n-th of the other, so that what differs within a pair is the objective alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.pareto import front, hypervolume
from tools.comparison_rank import rank_agreement
from tools.comparison_spread import Spread, chance, ratio_spread, spread

OPERATIONS, LATENCY = "flops", "latency"
"""The objectives, as fronts are keyed."""

STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Between two levels of error; the smallest that leaves at most `MOST_LEVELS`."""

MOST_LEVELS = 10
"""Rows that a person reads."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A member of a front, as measured."""

    architecture: str
    error: float
    """Share of validation clips wrong: of one stage of training for all that are compared."""
    search_error: float | None = None
    """After the search's own, short training."""
    test_error: float | None = None
    """Share of the clips wrong that neither training nor search has seen, after fine-tuning."""
    tuned: bool = False
    """Whether `error` is after fine-tuning."""
    predicted_ms: float
    measured_ms: float
    flops: int


Runs = Mapping[str, Sequence[Sequence[Point]]]
"""Members of the fronts, by objective and run."""


def at_one_stage(runs: Runs) -> tuple[dict[str, list[list[Point]]], int]:
    """The members whose errors can be compared, and how many had to be left out.

    Where every run has fine-tuned members these alone; else all, with the search's own errors.
    """
    groups = [points for each in runs.values() for points in each if points]
    if all(any(p.tuned for p in points) for points in groups):
        kept = {name: [[p for p in points if p.tuned] for points in each]
                for name, each in runs.items()}  # fmt: skip
    else:
        kept = {name: [[_untuned(p) for p in points] for points in each]
                for name, each in runs.items()}  # fmt: skip
    return kept, _count(runs) - _count(kept)


def on_test_clips(runs: Runs) -> dict[str, list[list[Point]]]:
    """The same members with the error on clips that nothing was chosen by; () where unknown."""
    return {
        name: [
            [replace(p, error=p.test_error) for p in points if p.test_error is not None]
            for points in each
        ]
        for name, each in runs.items()
    }


def compare(runs: Runs) -> dict[str, Any]:
    """The fronts of two objectives, compared in error and measured milliseconds, run by run.

    Hypervolume: of (error, measured ms) under one reference point for all, as a share of it.
    Latency at equal accuracy: for fixed levels of error, the fastest measured member of each run
    that is at least as accurate, and how many times as fast latency's is as that of operations.
    Rank: how well operations and prediction order the measured times.
    """
    everything = [point for each in runs.values() for points in each for point in points]
    if not everything:
        return {"hypervolume": {}, "latency_at_equal_accuracy": [], "rank": {}}
    distinct = list({point.architecture: point for point in everything}.values())
    rows = _equal_accuracy(runs)
    return {
        **_hypervolumes(runs, everything),
        "latency_at_equal_accuracy": rows,
        "equal_accuracy": _over_levels(rows),
        "rank": rank_agreement(distinct),
    }


def measured_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates in error and measured time, fastest first."""
    if not points:
        return []
    costs = np.array([[p.error, p.measured_ms] for p in points])
    best = [point for point, on_front in zip(points, front(costs), strict=True) if on_front]
    return sorted(best, key=lambda p: p.measured_ms)


def attained(runs: Sequence[Sequence[Point]]) -> list[tuple[float, float]]:
    """What half of the runs attain: (measured ms, error) of the steps, fastest first.

    The median attainment surface (Fonseca and Fleming, On the performance assessment and
    comparison of stochastic multiobjective optimizers, 1996): within so much time, the error that
    at least half of the runs come down to. Of one run it is its front.
    """
    steps: list[tuple[float, float]] = []
    half = math.ceil(len(runs) / 2)
    for time in sorted({p.measured_ms for points in runs for p in points}):
        best = sorted(
            min((p.error for p in points if p.measured_ms <= time), default=math.inf)
            for points in runs
        )
        error = best[half - 1]
        if math.isfinite(error) and (not steps or error < steps[-1][1]):
            steps.append((time, error))
    return steps


def levels(errors: Sequence[float]) -> list[float]:
    """Round levels of error from the least to the largest of ``errors``."""
    low, high = min(errors), max(errors)
    for step in STEPS:
        first, last = math.ceil(low / step - 1e-9), math.ceil(high / step - 1e-9)
        if last - first < MOST_LEVELS:
            break
    return [round(step * place, 6) for place in range(first, last + 1)]


def _equal_accuracy(runs: Runs) -> list[dict[str, Any]]:
    """A row for each level of error that both objectives reach in some run.

    Its medians are those of the runs in which both do.
    """
    pairs = list(zip(runs[OPERATIONS], runs[LATENCY], strict=False))
    fronts = [measured_front(points) for each in runs.values() for points in each]
    rows = []
    for level in levels([p.error for points in fronts for p in points]):
        found = [
            {OPERATIONS: _fastest(slow, level), LATENCY: _fastest(fast, level)}
            for slow, fast in pairs
        ]
        both = [
            (slow, fast) for each in found
            if (slow := each[OPERATIONS]) is not None and (fast := each[LATENCY]) is not None
        ]  # fmt: skip
        if not both:
            continue
        medians = np.median(both, axis=0)
        rows.append({
            "error": level,
            OPERATIONS: float(medians[0]),
            LATENCY: float(medians[1]),
            "ratio": _plain(ratio_spread([slow / fast for slow, fast in both])),
            "runs": found,
        })  # fmt: skip
    return rows


def _over_levels(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each run's geometric mean of the ratios over the levels, and what the runs say together."""
    means: list[float | None] = []
    for place in range(len(rows[0]["runs"]) if rows else 0):
        ratios = [_ratio(row["runs"][place]) for row in rows]
        logs = [math.log(ratio) for ratio in ratios if ratio is not None]
        means.append(math.exp(sum(logs) / len(logs)) if logs else None)
    known = [mean for mean in means if mean is not None]
    return {
        "levels": len(rows),
        "runs": means,
        "ratio": _plain(ratio_spread(known)),
        "chance": chance([math.log(mean) for mean in known]),
    }


def _ratio(times: Mapping[str, float | None]) -> float | None:
    """How many times as fast latency's is; None where one is missing."""
    slow, fast = times[OPERATIONS], times[LATENCY]
    return None if slow is None or fast is None else slow / fast


def _hypervolumes(runs: Runs, everything: Sequence[Point]) -> dict[str, Any]:
    worst = [max(p.error for p in everything), max(p.measured_ms for p in everything)]
    reference = np.array(worst) * 1.05
    volumes = {name: [_volume(points, reference) for points in each] for name, each in runs.items()}
    gains = [fast - slow for slow, fast in zip(volumes[OPERATIONS], volumes[LATENCY], strict=False)]
    return {
        "hypervolume": {name: float(np.median(each)) for name, each in volumes.items()},
        "hypervolume_runs": {
            **{name: {"runs": each, **_spread_of(each)} for name, each in volumes.items()},
            "difference": {"runs": gains, **_spread_of(gains), "chance": chance(gains)},
        },
        "reference": {"error": float(reference[0]), "measured_ms": float(reference[1])},
    }


def _volume(points: Sequence[Point], reference: NDArray[np.float64]) -> float:
    costs = np.array([[p.error, p.measured_ms] for p in points]).reshape(-1, 2)
    return float(hypervolume(costs, reference) / np.prod(reference))


def _fastest(points: Sequence[Point], level: float) -> float | None:
    return min((p.measured_ms for p in points if p.error <= level + 1e-9), default=None)


def _untuned(point: Point) -> Point:
    error = point.error if point.search_error is None else point.search_error
    return replace(point, error=error, test_error=None, tuned=False)


def _count(runs: Runs) -> int:
    return sum(len(points) for each in runs.values() for points in each)


def _spread_of(values: Sequence[float]) -> dict[str, Any]:
    return _plain(spread(values)) or {}


def _plain(found: Spread | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
