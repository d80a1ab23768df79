"""From kernels to time: chooses each kernel's schedule and predicts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.features import extract, roofline_seconds
from costmodel.kernels import ConvKernel, Kernel, Step
from costmodel.lowering import lower
from costmodel.regressor import Matrix, RatioModel, Vector
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import describe, family_of, points
from costmodel.target import FLOAT_BYTES, Target

UNCALIBRATED_SPREAD = 1.0
"""Standard deviation of log(time / roofline) when nothing was measured: a factor of e."""


@dataclass(frozen=True)
class Prediction:
    """A kernel's chosen schedule and its predicted time on a target."""

    kernel: Kernel
    schedule: Schedule
    seconds: float
    roofline_seconds: float
    log_deviation: float
    """Standard deviation of log(seconds)."""
    digest: str
    """Structural hash of the lowered kernel."""


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """What a network takes beyond the sum of its kernels timed alone."""

    seconds_per_kernel: float = 0.0
    seconds_per_byte: float = 0.0
    """For each byte of weights and activations, which a kernel timed alone finds in cache."""

    def seconds(self, kernels: Sequence[Kernel], target: Target) -> float:
        """Overhead of a network of these kernels."""
        total = sum(traffic_bytes(kernel, target) for kernel in kernels)
        return self.seconds_per_kernel * len(kernels) + self.seconds_per_byte * total


class Predictor:
    """Schedules and predicts kernels for one target, each kernel once.

    With a model the fastest predicted schedule is chosen; without one, that of the smallest
    roofline. The figures of the chosen one are those of the kernel lowered through TVM.
    """

    def __init__(self, target: Target, model: RatioModel | None, overhead: Overhead) -> None:
        self.target = target
        self.overhead = overhead
        self._model = model
        self._known: dict[str, Prediction] = {}

    def choose(self, kernel: Kernel) -> Prediction:
        """The fastest predicted schedule of ``kernel`` and its prediction."""
        if kernel.key not in self._known:
            ranked = self.rank(kernel)
            self._known[kernel.key] = self._lowered(kernel, ranked[0][0])
        return self._known[kernel.key]

    def rank(self, kernel: Kernel) -> list[tuple[Schedule, float]]:
        """Every valid schedule with its predicted seconds, fastest first."""
        schedules = points(kernel, self.target)
        nests = [describe(kernel, schedule, self.target) for schedule in schedules]
        bounds = np.array([roofline_seconds(nest, self.target) for nest in nests])
        if self._model is None:
            seconds = bounds
        else:
            rows = np.stack([extract(nest, self.target, kernel.flops) for nest in nests])
            seconds = bounds * np.exp(self._model.predict(rows)[0])
        order = sorted(range(len(schedules)), key=lambda i: (seconds[i], schedules[i]))
        return [(schedules[i], float(seconds[i])) for i in order]

    def predict(self, steps: Sequence[Step]) -> tuple[tuple[Prediction, ...], float]:
        """Prediction of every kernel of a network, and the seconds of the whole."""
        predictions = tuple(self.choose(step.kernel) for step in steps)
        between = self.overhead.seconds([step.kernel for step in steps], self.target)
        return predictions, sum(p.seconds for p in predictions) + between

    def _lowered(self, kernel: Kernel, schedule: Schedule) -> Prediction:
        lowered = lower(kernel, schedule, self.target)
        bound = roofline_seconds(lowered.nest, self.target)
        log_ratio, deviation = 0.0, UNCALIBRATED_SPREAD
        if self._model is not None:
            row = extract(lowered.nest, self.target, kernel.flops)
            means, deviations = self._model.predict(row[None])
            log_ratio, deviation = float(means[0]), float(deviations[0])
        return Prediction(
            kernel=kernel,
            schedule=schedule,
            seconds=bound * float(np.exp(log_ratio)),
            roofline_seconds=bound,
            log_deviation=deviation,
            digest=lowered.digest,
        )


def traffic_bytes(kernel: Kernel, target: Target) -> int:
    """Bytes of weights, input and output of a kernel, padding included."""
    pixels = kernel.height * kernel.width * kernel.input_stride
    if not isinstance(kernel, ConvKernel):
        return FLOAT_BYTES * (pixels + kernel.input_stride)
    rows, columns = kernel.output_size
    filters = target.padded(kernel.filters)
    weights = filters * kernel.channels * kernel.kernel[0] * kernel.kernel[1]
    return FLOAT_BYTES * (pixels + weights + rows * columns * filters)


def measured_rows(
    measured: Mapping[tuple[Kernel, Schedule], float], target: Target
) -> tuple[Matrix, Vector]:
    """Features [n, f] and log(time / roofline) [n] of measured kernels (seconds)."""
    rows, ratios = [], []
    for (kernel, schedule), seconds in measured.items():
        nest = family_of(kernel).describe(kernel, schedule, target)
        rows.append(extract(nest, target, kernel.flops))
        ratios.append(np.log(seconds / roofline_seconds(nest, target)))
    return np.stack(rows), np.array(ratios)
