"""How the machine's speed drifts while it is measured: kernels that are timed again and again.

A shared or warming machine runs some percent slower for minutes. The same few kernels, the
sentinels, are timed among each batch of jobs; what they take, over what they took in the first
batch, is the batch's pace, and times are divided by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from costmodel.features import roofline_seconds
from costmodel.kernels import ConvKernel
from costmodel.protocol import undisturbed_seconds
from costmodel.runners.contract import KernelJob
from costmodel.schedules.registry import describe, points
from costmodel.target import Target

_LAYERS = ((32, 32, 3), (64, 48, 1), (24, 64, 5))
"""Channels, filters and kernel size of the sentinels: of a middling network, 10 to 300 µs."""


def sentinels(target: Target) -> tuple[KernelJob, ...]:
    """The kernels that are timed with every batch."""
    jobs = []
    for channels, filters, size in _LAYERS:
        kernel = ConvKernel(
            height=40,
            width=16,
            channels=channels,
            input_stride=target.padded(channels),
            filters=filters,
            kernel=(size, size),
            stride=(1, 1),
            padding=(size // 2,) * 4,
            epilogue=("relu",),
        )
        bounds = {s: roofline_seconds(describe(kernel, s, target), target)
                  for s in points(kernel, target)}  # fmt: skip
        best = min(bounds, key=lambda s: bounds[s])
        jobs.append(KernelJob(kernel, best, target))
    return tuple(jobs)


class Pace:
    """The pace of one core: 1 in its first batch, above 1 where it has become slower."""

    def __init__(self) -> None:
        self._reference: dict[str, float] = {}

    def of_batch(self, rounds: Mapping[str, Sequence[Sequence[float]]]) -> float:
        """From the sentinels' samples (seconds, by key and round) in one batch.

        Sentinels that were not timed in this or the first batch are left out; 1 without any.
        """
        seconds = {key: undisturbed_seconds(samples) for key, samples in rounds.items() if samples}
        for key, value in seconds.items():
            self._reference.setdefault(key, value)
        ratios = [value / self._reference[key] for key, value in seconds.items()]
        return mean(ratios) if ratios else 1.0
