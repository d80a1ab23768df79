"""Benchmark `search`: hypervolume against evaluations, our sampler beside others, same problems.

All are told the same noisy error; the error without noise decides. Each sampler is run once a seed.
Of each problem: the median over seeds of the final hypervolume, as a share of the largest one that
any run of any sampler reached; how many evaluations ours needs, in the median, for the final
median of the best rival; and whether a rival is better (Mann-Whitney, two-sided).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu

from search import pareto
from tools.bench import print_line
from tools.bench_search_problems import Problem, problems
from tools.bench_search_rivals import OURS, RIVALS
from tools.bench_search_table import make_table
from tools.console import say

SEEDS, SEEDS_QUICK = 20, 2
LEVEL = 0.05
"""Of significance."""

Curves = npt.NDArray[np.float64]
"""Seeds x evaluations: the hypervolume after each."""


def main() -> None:
    """Runs the benchmark, or makes the table of trained networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 seconds")
    parser.add_argument(
        "--make-table", action="store_true", help="train the networks that the table lacks"
    )
    chosen = parser.parse_args()
    if chosen.make_table:
        make_table()
        return
    seeds = SEEDS_QUICK if chosen.quick else SEEDS
    began = time.perf_counter()
    curves = _all_curves(chosen.quick, seeds)
    found = {name: compared(each) for name, each in curves.items()}
    _show(found)
    print_line(
        "search",
        {"seeds": seeds, "minutes": round((time.perf_counter() - began) / 60, 1), **found},
    )


def _all_curves(hasty: bool, seeds: int) -> dict[str, dict[str, Curves]]:
    """Problem -> sampler -> curves; a process a core, each run in one of them."""
    names = [each.name for each in problems(hasty)]
    rows: dict[tuple[str, str], dict[int, list[float]]] = {
        (problem, rival): {} for problem in names for rival in RIVALS
    }
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        len(os.sched_getaffinity(0)), spawn, initializer=_prepare, initargs=(hasty,)
    ) as pool:
        jobs = {
            pool.submit(_curve, problem, rival, seed): (problem, rival, seed)
            for seed in range(seeds)
            for problem in names
            for rival in RIVALS
        }
        for done in as_completed(jobs):
            problem, rival, seed = jobs[done]
            rows[problem, rival][seed] = done.result()
    return {
        problem: {
            rival: np.array([rows[problem, rival][seed] for seed in range(seeds)])
            for rival in RIVALS
        }
        for problem in names
    }


_PROBLEMS: dict[str, Problem] = {}
"""Of a process: what estimates cost is remembered there."""


def _prepare(hasty: bool) -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    _PROBLEMS.update({each.name: each for each in problems(hasty)})


def _curve(problem: str, rival: str, seed: int) -> list[float]:
    return list(volumes(_PROBLEMS[problem], RIVALS[rival](_PROBLEMS[problem], seed)))


def volumes(problem: Problem, answer: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """The hypervolume, by the error without noise, after each evaluation."""
    front: list[tuple[float, float]] = []
    for candidate in answer:
        points = [*front, (problem.error(candidate), problem.cost(candidate))]
        on_front = pareto.front(points)
        front = [each for each, stays in zip(points, on_front, strict=True) if stays]
        yield pareto.hypervolume(front, problem.reference)


def compared(curves: Mapping[str, Curves]) -> dict[str, Any]:
    """What is said of one problem."""
    best = max(float(each[:, -1].max()) for each in curves.values())
    final = {name: median(each[:, -1].tolist()) for name, each in curves.items()}
    rivals = [name for name in curves if name != OURS]
    strongest = max(rivals, key=lambda name: final[name])
    total = curves[OURS].shape[1]
    needed = evaluations_to(curves[OURS], final[strongest])
    tests = {name: _test(curves[OURS][:, -1], curves[name][:, -1]) for name in rivals}
    return {
        "evaluations": total,
        "hypervolume": {name: round(value / best, 4) for name, value in final.items()},
        "best_rival": strongest,
        "needed_for_best_rival": needed,
        "share_of_evaluations": None if needed is None else round(needed / total, 3),
        "p": {name: p for name, (p, _) in tests.items()},
        "significantly_worse_than": [
            name for name, (p, less) in tests.items() if less and p < LEVEL
        ],
    }


def evaluations_to(curves: Curves, level: float) -> int | None:
    """Evaluations after which the median over seeds reaches the level; None where it never does."""
    reached = np.flatnonzero(np.median(curves, axis=0) >= level)
    return int(reached[0]) + 1 if len(reached) else None


def _test(own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> tuple[float, bool]:
    """Two-sided p, and whether ours is the lesser."""
    result = mannwhitneyu(own, other)
    return float(f"{result.pvalue:.2g}"), bool(result.statistic < len(own) * len(other) / 2)


def _show(found: Mapping[str, Mapping[str, Any]]) -> None:
    """A small table for people, on standard error."""
    say(f"{'median of final hypervolume':<28}" + "".join(f"{name:>10}" for name in found))
    for rival in RIVALS:
        shares = "".join(f"{each['hypervolume'][rival]:>10.4f}" for each in found.values())
        say(f"{rival:<28}{shares}")
    needed = "".join(
        f"{each['needed_for_best_rival'] or '-'!s:>6}/{each['evaluations']:<3}"
        for each in found.values()
    )
    say(f"{'ours needs for the best rival':<28}{needed}")


if __name__ == "__main__":
    main()
