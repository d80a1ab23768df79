"""When a training is not worth its end: it would need an implausible jump to join the front.

As in successive halving (Jamieson and Talwalkar, Non-stochastic Best Arm Identification and
Hyperparameter Optimization, 2016) candidates are looked at after fixed shares of their training,
the rungs. What is asked there is not whether one is among the better half, which would end the
cheap and inaccurate members of a front first, but whether it can still join the front at its cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LEAST_TRAININGS = 5
"""Whole trainings from which it is learnt how far a value still falls after a rung."""

SAFETY = 1.2
"""A jump is implausible beyond this many times the largest one seen. At 1.0 the next whole training
of the same kind would pass it with a chance of one in n + 1 of n seen."""


@dataclass(frozen=True)
class Training:
    """A whole training: what its candidate cost, and how its value came about."""

    costs: tuple[float, ...]
    """Costs known before training, to be minimised."""
    value: float
    """At the end, to be minimised."""
    rungs: Mapping[float, float]
    """By share of the training."""


def limits(
    rungs: Sequence[float], trainings: Sequence[Training], costs: Sequence[float]
) -> dict[float, float]:
    """The largest value after each share with which a candidate of these ``costs`` may still join.

    It joins the front when its value at the end is below that of all those seen that cost no more
    in any respect. The largest jump from a rung to the end is that of the trainings seen, times
    `SAFETY`. Infinite where too little is known, or where nothing as cheap has been seen.
    """
    rivals = [
        each.value
        for each in trainings
        if all(theirs <= own for theirs, own in zip(each.costs, costs, strict=True))
    ]
    level = min(rivals, default=math.inf)
    return {share: level + SAFETY * _largest(_jumps(share, trainings)) for share in rungs}


def projected(rungs: Mapping[float, float], trainings: Sequence[Training]) -> float:
    """The value that a stopped training would have ended with: its last rung, less the usual jump.

    Infinite where it has no rung.
    """
    if not rungs:
        return math.inf
    share = max(rungs)
    return rungs[share] - median(_jumps(share, trainings) or [0.0])


def _jumps(share: float, trainings: Sequence[Training]) -> list[float]:
    """How far the values of whole trainings fell from a rung to the end."""
    return [each.rungs[share] - each.value for each in trainings if share in each.rungs]


def _largest(jumps: Sequence[float]) -> float:
    return max(0.0, *jumps) if len(jumps) >= LEAST_TRAININGS else math.inf
