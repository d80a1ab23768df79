"""How the device's speed drifts while it is measured: kernels that are timed again and again.

A shared or warming machine runs some percent slower for minutes. The same few kernels, the
sentinels, are timed between the jobs; what they take, over what they took at first, is the pace.
Where the pace is off by more than the protocol allows, what lies between two sentinels is timed
again; smaller differences are divided out, batch by batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

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
    """The pace of one lane: above 1 where it has become slower than at its first times."""

    def __init__(self, reference: Mapping[str, float]) -> None:
        """``reference``: seconds of each sentinel at first, empty where it is still to be found."""
        self.reference = dict(reference)
        self.fresh = not reference
        self._batch: dict[str, list[Sequence[float]]] = {}

    def note(self, key: str, samples: Sequence[float]) -> float:
        """Takes one timing (seconds) of a sentinel; what it took over its first time.

        Within the first batch a faster one is the first time from then on: disturbances only add.
        """
        self._batch.setdefault(key, []).append(samples)
        seconds = undisturbed_seconds([samples])
        if self.fresh:
            seconds = min(seconds, self.reference.get(key, seconds))
            self.reference[key] = seconds
        return undisturbed_seconds([samples]) / self.reference.setdefault(key, seconds)

    def end_batch(self) -> float:
        """The pace of the timings since the last batch's end; 1 without any.

        A first batch's own times become the reference: they say more than the first timing alone.
        Of the sentinels' paces the middle one counts: one whose first times were disturbed would
        make everything after it look faster than it was.
        """
        seconds = {key: undisturbed_seconds(rounds) for key, rounds in self._batch.items()}
        self._batch.clear()
        if self.fresh and seconds:
            self.reference.update(seconds)
            self.fresh = False
        return median(s / self.reference[key] for key, s in seconds.items()) if seconds else 1.0
