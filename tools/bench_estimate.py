"""Benchmark `estimate`: Table II's counts, and what an estimate costs: cold, warm, in memory.

Cold figures are medians over kernels, or candidates, that nothing is known of, on one core;
warm ones those of candidates whose kernels were seen before, in this process or another.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from costmodel.cache import PredictionCache
from costmodel.estimate import Estimator
from costmodel.kernels import ConvKernel, Kernel
from costmodel.lowering import lower
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.predictor import Predictor
from costmodel.profile import Profile
from costmodel.schedules.registry import points
from kws.architecture import PUBLISHED, to_network
from tools.bench import print_line, quick
from tools.places import profile_store
from tools.task import sample_paper_space

TABLE2_MFP_OPS = {
    "seed": 581.1, "kws1": 223.4, "kws2": 167.7, "kws3": 87.6, "kws4": 87.2, "kws5": 76.5,
    "kws6": 65.2, "kws7": 56.8, "kws8": 46.3, "kws9": 37.7, "kws10": 26.3, "kws11": 20.2,
    "kws12": 17.2,
}  # fmt: skip
"""Printed in Table II of the paper."""
PROFILES = ("host-cpu", "odroid-xu3-a15", "raspberry-pi-4b", "gtx-1080ti")
"""Devices whose cold cost is timed."""
LOWERINGS = 5000


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    host = Estimator(profile_store().get("host-cpu"))
    rows = {name: _row(name, host) for name in PUBLISHED}
    count = 4 if hasty else 40
    print_line(
        "estimate",
        {
            "models": len(rows),
            "counts_equal": sum(row["mfp_ops"] == row["table2"] for row in rows.values()),
            "calibrated": host.calibrated,
            **{
                key: value
                for name in PROFILES
                for key, value in _cost(profile_store().get(name), count).items()
            },
            **_growth(host, LOWERINGS // 50 if hasty else LOWERINGS),
            "rows": rows,
        },
    )


def _row(name: str, estimator: Estimator) -> dict[str, float]:
    found = estimator.estimate(to_network(PUBLISHED[name]))
    return {
        "mfp_ops": round(found.flops_table2 / 1e6, 1),
        "table2": TABLE2_MFP_OPS[name],
        "latency_ms": round(found.latency_ms, 4),
    }


def _cost(profile: Profile, count: int) -> dict[str, float]:
    """Milliseconds: a kernel and a candidate cold; a candidate warm, here and from the cache."""
    name = profile.name.replace("-", "_")
    candidates = _candidates(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.sqlite"
        first = Estimator(profile, PredictionCache(path))
        cold = [_ms(lambda n=n: first.latency_ms(n)) for n in candidates]  # type: ignore[misc]
        warm = [_ms(lambda n=n: first.latency_ms(n)) for n in candidates]  # type: ignore[misc]
        other = Estimator(profile, PredictionCache(path))
        kept = [_ms(lambda n=n: other.latency_ms(n)) for n in candidates]  # type: ignore[misc]
    alone = Estimator(profile).predictor
    kernels = _kernels(_candidates(count, seed=1), alone)
    single = [_ms(lambda k=k: alone.choose(k)) for k in kernels]  # type: ignore[misc]
    return {
        f"{name}_cold_kernel_ms": round(median(single), 2),
        f"{name}_cold_candidate_ms": round(median(cold), 1),
        f"{name}_warm_candidate_ms": round(median(warm), 3),
        f"{name}_cached_candidate_ms": round(median(kept), 3),
    }


def _growth(estimator: Estimator, lowerings: int) -> dict[str, Any]:
    """Megabytes that the process grows by while it lowers kernel after kernel."""
    target = estimator.predictor.target
    generator = np.random.default_rng(3)
    work = (
        (step.kernel, schedule)
        for _ in range(lowerings)
        for step in partition(sample_paper_space(generator)[1], target)
        for schedule in points(step.kernel, target)[:3]
    )
    process = psutil.Process()
    for kernel, schedule in islice(work, lowerings // 10):
        lower(kernel, schedule, target)
    gc.collect()
    before = process.memory_info().rss
    for kernel, schedule in islice(work, lowerings):
        lower(kernel, schedule, target)
    gc.collect()
    grown = process.memory_info().rss - before
    return {"lowerings": lowerings, "grown_mb": round(grown / 1e6, 1)}


def _candidates(count: int, seed: int = 0) -> list[Network]:
    generator = np.random.default_rng(seed)
    return [sample_paper_space(generator)[1] for _ in range(count)]


def _kernels(networks: list[Network], predictor: Predictor) -> list[Kernel]:
    """The distinct convolutions of networks."""
    kernels = (step.kernel for n in networks for step in partition(n, predictor.target))
    return list({k.key: k for k in kernels if isinstance(k, ConvKernel)}.values())


def _ms(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
