"""Benchmark `suggest`: how long the next candidate takes, at 100, 1,000 and 2,000 trials.

18 parameters, one cost known before training; a pool of 32 for each suggestion, all included.
Beside it hyperopt's own `tpe.suggest` on the same trials, which knows one loss: their ranks. Wall
clock, and processor time, which other work on the machine disturbs less. Each time the trials have
grown by a fifth the model is fitted anew: that suggestion is timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from search.sampler import Foreseen, Observation, random_candidate, suggest_unseen
from search.sampling.front_sampler import FrontSampler
from search.sampling.past import Past
from search.space import Integer, Space, Value
from tools.bench import print_line, quick
from tools.bench_search_problems import kernel_error
from tools.bench_search_rivals import hyperopt_domain, hyperopt_trials

SPACE = Space(
    tuple(
        each
        for unit in range(1, 7)
        for each in (
            Integer(f"conv{unit}_kh", 1, 5),
            Integer(f"conv{unit}_kw", 1, 5),
            Integer(f"conv{unit}_m", 1, 100),
        )
    )
)
"""The paper's, with the kernels of the later units for the first as well."""
SIZES = (100, 1000, 2000)
THEIR_SIZES = (100, 1000)
NOISE = 0.01


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    figures: dict[str, Any] = {}
    for size in SIZES:
        history = _history(size)
        figures[f"ours_{size}"] = _ours(history, 20 if hasty else 100)
        if size in THEIR_SIZES:
            figures[f"hyperopt_{size}"] = _theirs(history, 5 if hasty else 30)
    print_line("suggest", {"parameters": len(SPACE.free), **figures})


def _ours(history: list[Observation], count: int) -> dict[str, float]:
    sampler, number = FrontSampler(), len(history)

    def suggest(seed: int) -> None:
        suggest_unseen(
            sampler, SPACE, history, seed=seed, number=number, start=None, foresee=_foresee
        )

    fitting_ms, _ = _ms(suggest, 0)
    times = _spread([_ms(suggest, seed) for seed in range(1, count + 1)])
    return {**times, "refit_ms": round(fitting_ms, 1)}


def _theirs(history: list[Observation], count: int) -> dict[str, float]:
    from hyperopt import tpe

    domain = hyperopt_domain(SPACE)
    trials = hyperopt_trials(
        SPACE, [each.parameters for each in history], Past(SPACE, history).losses
    )

    def suggest(seed: int) -> None:
        tpe.suggest([len(history)], domain, trials, seed, verbose=False)

    return _spread([_ms(suggest, seed) for seed in range(count)])


def _history(size: int) -> list[Observation]:
    """Random trials, with a noisy error."""
    rng = np.random.default_rng(size)
    history = []
    for _ in range(size):
        candidate = random_candidate(SPACE, rng)
        error = kernel_error(candidate) + NOISE * float(rng.normal())
        history.append(Observation(candidate, (error, _weights(candidate))))
    return history


def _foresee(candidate: Mapping[str, Value]) -> Foreseen:
    return Foreseen((None, _weights(candidate)), 0.0)


def _weights(candidate: Mapping[str, Value]) -> float:
    """Weights of all convolutions: a cost that costs nothing to compute."""
    total, channels = 0, 1
    for unit in range(1, 7):
        kh, kw, filters = (int(candidate[f"conv{unit}_{key}"]) for key in ("kh", "kw", "m"))
        total, channels = total + kh * kw * channels * filters, filters
    return float(total)


def _ms(run: Callable[[int], object], seed: int) -> tuple[float, float]:
    """Milliseconds by the wall clock, and of the processor."""
    started, used = time.perf_counter(), time.process_time()
    run(seed)
    return 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - used)


def _spread(times_ms: list[tuple[float, float]]) -> dict[str, float]:
    wall, processor = zip(*times_ms, strict=True)
    return {
        "median_ms": round(float(np.median(wall)), 1),
        "p90_ms": round(float(np.quantile(wall, 0.9)), 1),
        "processor_median_ms": round(float(np.median(processor)), 1),
    }


if __name__ == "__main__":
    main()
