"""How fast networks train on a GPU, one at a time and several side by side, each in a process.

That is what ``ponas search --device cuda --workers N`` does. A process trains a little first, so
that its libraries are loaded; then all begin a training at once and are timed. From the paces
follows what the paper's whole experiment (section 4) would take: an extrapolation, no run of it.

Processes take turns on a GPU; with NVIDIA's MPS (``nvidia-cuda-mps-control -d``, before the first
of them) their kernels run beside each other, which networks as small as these need to fill it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING, Any

from kws.architecture import PUBLISHED
from kws.training_settings import PAPER_FINETUNE, TrainingSettings

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from kws.features import FeatureSet
    from kws.training import Progress

SIDE_BY_SIDE = (1, 4, 8)
"""Processes on the GPU."""
CANDIDATES, FINETUNED = 800, 12
"""Trainings of the paper's experiment, the latter with `PAPER_FINETUNE`."""
_WAIT_SECONDS = 300.0
"""For the slowest process to have loaded its libraries."""

_start: Barrier | None = None


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Of trainings of one network, when so many as there are paces run at once."""

    setup_s: float
    """Before the first iteration: the clips to the GPU, rehearsals, the recording of a graph."""
    iterations_per_s: float
    as_graph: bool
    """Whether an iteration was a CUDA graph (`kws.cuda_graph`)."""


def on_gpu(networks: Sequence[str], data: FeatureSet, *, hasty: bool) -> dict[str, Any] | None:
    """Figures of the benchmark; None where there is no GPU.

    Args:
        networks: Names in `PUBLISHED`.
        data: To train on.
        hasty: Fewer iterations, no more than four processes.

    """
    import torch

    if not torch.cuda.is_available():
        return None
    iterations, counts = (400, SIDE_BY_SIDE[:2]) if hasty else (2_000, SIDE_BY_SIDE)
    found: dict[str, dict[str, Any]] = {}
    hours: dict[str, float] = {}
    for count in counts:
        paces: dict[int, list[Pace]] = {}
        for batch in (TrainingSettings().batch, PAPER_FINETUNE.batch):
            for name in networks:
                settings = TrainingSettings(batch=batch, iterations=iterations)
                measured = side_by_side(name, data, settings, count, "cuda")
                paces.setdefault(batch, []).extend(measured)
                figures = _figures(measured)
                found.setdefault(f"{name}, batch {batch}", {})[str(count)] = figures
                sys.stderr.write(f"{name}, batch {batch}, {count} on the GPU: {figures}\n")
        hours[str(count)] = round(paper_hours(paces, count), 2)
        sys.stderr.write(
            f"extrapolated, not run: the paper's experiment with {count} on the GPU, "
            f"were its candidates {', '.join(networks)}: {hours[str(count)]} h\n"
        )
    return {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "side_by_side": found,
        "paper_hours_extrapolated": hours,
    }


def side_by_side(
    name: str, data: FeatureSet, settings: TrainingSettings, count: int, device: str
) -> list[Pace]:
    """Paces of ``count`` trainings of a network at once, each in a process on ``device``."""
    context = multiprocessing.get_context("spawn")
    arguments = (name, data, settings, max(1, (os.cpu_count() or 1) // count), device)
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_begin, initargs=(context.Barrier(count),)
    ) as pool:
        return [each.result() for each in [pool.submit(_train, *arguments) for _ in range(count)]]


def paper_hours(paces: Mapping[int, Sequence[Pace]], count: int) -> float:
    """Hours of the paper's experiment, of so many trainings at once.

    Args:
        paces: By batch, of networks that stand in equal parts for all that would be trained.
        count: Trainings at once.

    """
    seconds = sum(
        trainings
        * mean(pace.setup_s + each.iterations / pace.iterations_per_s for pace in paces[each.batch])
        for trainings, each in ((CANDIDATES, TrainingSettings()), (FINETUNED, PAPER_FINETUNE))
    )
    return seconds / count / 3600


def _figures(paces: Sequence[Pace]) -> dict[str, Any]:
    return {
        "iterations_per_s": round(sum(pace.iterations_per_s for pace in paces)),
        "setup_s": round(mean(pace.setup_s for pace in paces), 2),
        "as_graphs": all(pace.as_graph for pace in paces),
    }


def _begin(start: Barrier) -> None:
    global _start  # noqa: PLW0603 - a pool hands a barrier to its processes in no other way
    _start = start


def _train(
    name: str, data: FeatureSet, settings: TrainingSettings, threads: int, device: str
) -> Pace:
    """Trains when all the processes are ready; timed over the middle half of the iterations."""
    from kws.training import train

    quarter = settings.iterations // 4
    points = replace(settings, curve_iterations=quarter, evaluate_iterations=settings.iterations)
    times: dict[int, float] = {}

    def on_progress(progress: Progress) -> None:  # which has waited for the GPU
        times[progress.iteration] = time.perf_counter()

    train(PUBLISHED[name], data, replace(settings, iterations=1), seed=1, device=device)
    assert _start is not None
    _start.wait(_WAIT_SECONDS)
    times[0] = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(
            PUBLISHED[name], data, points, seed=0, device=device, threads=threads,
            on_progress=on_progress,
        )  # fmt: skip
    for each in caught:
        sys.stderr.write(f"{each.message}\n")
    pace = 2 * quarter / (times[3 * quarter] - times[quarter])
    return Pace(
        setup_s=max(0.0, times[quarter] - times[0] - quarter / pace),
        iterations_per_s=pace,
        as_graph=device != "cpu" and not any("CUDA graph" in str(each.message) for each in caught),
    )
