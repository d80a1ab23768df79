"""From kernels to time: chooses each kernel's schedule and predicts it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from costmodel.cache import PredictionCache, code_digest, key_of
from costmodel.features import analyse, row, rows_and_bounds
from costmodel.kernels import Kernel
from costmodel.lowering import lower
from costmodel.partition import Step
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

    def to_text(self) -> str:
        """All but the kernel, for a cache."""
        return json.dumps(
            [str(self.schedule), self.seconds, self.roofline_seconds, self.log_deviation,
             self.digest]
        )  # fmt: skip

    @staticmethod
    def from_text(kernel: Kernel, text: str) -> Prediction:
        """What `to_text` wrote."""
        schedule, *figures = json.loads(text)
        return Prediction(kernel, Schedule.parse(schedule), *figures)


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """What a network takes beyond the sum of its kernels timed alone."""

    seconds_per_kernel: float = 0.0
    seconds_per_byte: float = 0.0
    """For each byte of weights and activations, which a kernel timed alone finds in cache."""

    def seconds(self, kernels: Sequence[Kernel], target: Target) -> float:
        """Overhead of a network of these kernels."""
        total = sum(argument_bytes(kernel, target) for kernel in kernels)
        return self.seconds_per_kernel * len(kernels) + self.seconds_per_byte * total


class Predictor:
    """Schedules and predicts kernels for one target, each kernel once.

    With a model the fastest predicted schedule is chosen; without one, that of the smallest
    roofline. The figures of the chosen one are those of the kernel lowered through TVM.
    """

    def __init__(
        self,
        target: Target,
        model: RatioModel | None,
        overhead: Overhead,
        cache: PredictionCache | None = None,
        model_name: str = "",
    ) -> None:
        """``cache``: where predictions are looked up first, and kept.

        ``model_name`` is then what tells ``model`` from every other one.
        """
        self.target = target
        self.overhead = overhead
        self._model = model
        self._cache = cache
        self._model_name = model_name
        self._known: dict[str, Prediction] = {}

    def choose(self, kernel: Kernel) -> Prediction:
        """The fastest predicted schedule of ``kernel`` and its prediction."""
        if kernel.key not in self._known:
            self._known[kernel.key] = self._kept(kernel) or self._chosen(kernel)
        return self._known[kernel.key]

    def rank(self, kernel: Kernel) -> list[tuple[Schedule, float]]:
        """Every valid schedule with its predicted seconds, fastest first."""
        schedules = points(kernel, self.target)
        nests = [describe(kernel, schedule, self.target) for schedule in schedules]
        rows, bounds = rows_and_bounds(nests, self.target, kernel.flops)
        seconds = bounds
        if self._model is not None:
            seconds = bounds * np.exp(self._model.predict(rows)[0])
        order = sorted(range(len(schedules)), key=lambda i: (seconds[i], schedules[i]))
        return [(schedules[i], float(seconds[i])) for i in order]

    def predict(self, steps: Sequence[Step]) -> tuple[tuple[Prediction, ...], float]:
        """Prediction of every kernel of a network, and the seconds of the whole."""
        predictions = tuple(self.choose(step.kernel) for step in steps)
        between = self.overhead.seconds([step.kernel for step in steps], self.target)
        return predictions, sum(p.seconds for p in predictions) + between

    def _chosen(self, kernel: Kernel) -> Prediction:
        prediction = self._lowered(kernel, self.rank(kernel)[0][0])
        if self._cache is not None:
            self._cache.put(self._key(kernel), prediction.to_text())
        return prediction

    def _kept(self, kernel: Kernel) -> Prediction | None:
        text = self._cache.get(self._key(kernel)) if self._cache is not None else None
        return Prediction.from_text(kernel, text) if text is not None else None

    def _key(self, kernel: Kernel) -> str:
        return key_of(kernel.key, self._identity)

    @cached_property
    def _identity(self) -> str:
        """What predictions depend on beside the kernel: facts, model, code."""
        return key_of(repr(self.target), self._model_name, code_digest())

    def _lowered(self, kernel: Kernel, schedule: Schedule) -> Prediction:
        lowered = lower(kernel, schedule, self.target)
        analysis = analyse(lowered.nest, self.target, kernel.flops)
        bound = analysis.roofline_seconds
        log_ratio, deviation = 0.0, UNCALIBRATED_SPREAD
        if self._model is not None:
            means, deviations = self._model.predict(np.array([row(analysis)]))
            log_ratio, deviation = float(means[0]), float(deviations[0])
        return Prediction(
            kernel=kernel,
            schedule=schedule,
            seconds=bound * float(np.exp(log_ratio)),
            roofline_seconds=bound,
            log_deviation=deviation,
            digest=lowered.digest,
        )


@cache
def argument_bytes(kernel: Kernel, target: Target) -> int:
    """Bytes of what a kernel reads and writes: values and constants, padding included."""
    schedule = points(kernel, target)[0]
    shapes = family_of(schedule).shapes(kernel, schedule, target)
    return FLOAT_BYTES * sum(math.prod(shape) for shape in shapes)


def measured_rows(
    measured: Mapping[tuple[Kernel, Schedule], float], target: Target
) -> tuple[Matrix, Vector]:
    """Features [n, f] and log(time / roofline) [n] of measured kernels (seconds)."""
    rows, ratios = [], []
    for (kernel, schedule), seconds in measured.items():
        nest = describe(kernel, schedule, target)
        analysis = analyse(nest, target, kernel.flops)
        rows.append(row(analysis))
        ratios.append(np.log(seconds / analysis.roofline_seconds))
    return np.array(rows), np.array(ratios)
