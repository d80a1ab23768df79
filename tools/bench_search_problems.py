"""The problems of `bench_search`: each has a cost known before training, and an error that is not.

The sampler's constants were chosen on two others: a ZDT1 of 6 parameters, and 12 kernel sizes and
filter counts of another formula, with the number of weights as the cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search.space import Integer, Space, Value, candidate_key

Candidate = Mapping[str, Value]


@dataclass(frozen=True)
class Problem:
    """Two costs to be minimised: the first needs training, the second is known before."""

    name: str
    space: Space
    error: Callable[[Candidate], float]
    """Without noise: what decides."""
    cost: Callable[[Candidate], float]
    noise: float
    """Deviation of what a sampler is told."""
    evaluations: int
    reference: tuple[float, float]
    """Error and cost beyond which a candidate is worth nothing."""


def problems(hasty: bool) -> list[Problem]:
    """All three; fewer evaluations where there is little time."""
    if hasty:
        return [kernels(30, step=25), zdt(30), table(30)]
    return [kernels(150), zdt(100), table(60)]


LEVEL_COUNT = 16
"""Settings of each parameter of the ZDT-like problem."""


def zdt(evaluations: int, parameters: int = 10) -> Problem:
    """ZDT3 on whole numbers: a front in pieces.

    Source: Zitzler, Deb and Thiele, Comparison of Multiobjective Evolutionary Algorithms:
    Empirical Results (2000).
    """
    space = Space(tuple(Integer(f"x{i}", 0, LEVEL_COUNT - 1) for i in range(parameters)))

    def scaled(candidate: Candidate) -> list[float]:
        return [float(candidate[f"x{i}"]) / (LEVEL_COUNT - 1) for i in range(parameters)]

    def error(candidate: Candidate) -> float:
        first, *rest = scaled(candidate)
        g = 1 + 9 * sum(rest) / len(rest)
        return g * (1 - math.sqrt(first / g) - first / g * math.sin(10 * math.pi * first))

    return Problem(
        "zdt3", space, error, lambda candidate: scaled(candidate)[0], 0.0, evaluations, (8.0, 1.1)
    )


UNITS = 6
KERNEL_NOISE = 0.01
KERNEL_REFERENCE = (0.4, 9.0)
"""Error and milliseconds; random candidates have 0.12 to 0.34 and 0.4 to 8.4."""


def kernels(evaluations: int, step: int = 10) -> Problem:
    """Six units' kernel sizes and filters: predicted latency against a formula for the error.

    The formula is made up: each unit adds error that falls with the logarithm of its filters and
    with the area of its kernel, less in later units; a unit much narrower than the one before it
    loses what that one had found; and the field that all kernels together see should span half
    the input. Predictions of kernels are kept in the user's cache, as those of any command: the
    first run fills it.
    """
    from kws.architecture import Bounds, to_network
    from tools.places import open_estimator, profile_store
    from tools.task import architecture_of, make_space

    space = make_space(Bounds(first_kernel=(5, 5)), filters_low=step, filters_step=step)
    estimator = open_estimator(profile_store().get("host-cpu"))
    known: dict[str, float] = {}

    def cost(candidate: Candidate) -> float:
        key = candidate_key(candidate)
        if key not in known:
            known[key] = estimator.latency_ms(to_network(architecture_of(candidate)))
        return known[key]

    return Problem(
        "kernels", space, kernel_error, cost, KERNEL_NOISE, evaluations, KERNEL_REFERENCE
    )


def kernel_error(candidate: Candidate) -> float:
    """Error of the made-up formula, about 0.1 to 0.7."""
    setting = {name: int(value) for name, value in candidate.items()}
    error, before = 0.08, 10
    for unit in range(1, UNITS + 1):
        filters = setting[f"conv{unit}_m"]
        area = setting[f"conv{unit}_kh"] * setting[f"conv{unit}_kw"]
        weight = 1 / (1 + unit)
        error += weight * (0.12 * (1 - math.log(filters / 10) / math.log(10)) + 0.1 / area)
        error += 0.05 * max(0.0, math.log(before / filters) / math.log(10)) ** 2
        before = filters
    for side, span in (("kh", 20), ("kw", 8)):
        field = 1 + sum(setting[f"conv{unit}_{side}"] - 1 for unit in range(1, UNITS + 1))
        error += 0.08 * max(0.0, 1 - field / span)
    return error


def table(evaluations: int) -> Problem:
    """The table of trained networks: validation error against predicted latency."""
    from tools.bench_search_table import SPACE, load_table

    rows = load_table()
    return Problem(
        "networks",
        SPACE,
        lambda candidate: rows[candidate_key(candidate)].error,
        lambda candidate: rows[candidate_key(candidate)].latency_ms,
        0.0,
        evaluations,
        (0.9, max(row.latency_ms for row in rows.values()) * 1.05),
    )
