"""What a network takes on a device: latency by kernel, operations, parameters, memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from costmodel import operations
from costmodel.cache import PredictionCache
from costmodel.calibration.store import load_predictor
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.predictor import UNCALIBRATED_SPREAD, Prediction
from costmodel.profile import Profile
from costmodel.program import Program
from costmodel.regressor import NORMAL_80

MAXIMUM_ERROR = 0.9
"""Relative error beyond which a calibration bounds a latency from above no more."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The estimate of one network on one device."""

    profile: str
    calibrated: bool
    latency_ms: float
    latency_interval_ms: tuple[float, float]
    """Meant to hold the measured latency of 80 % of networks."""
    flops: int
    flops_table2: int
    params: int
    peak_memory_bytes: int
    kernels: tuple[Prediction, ...]
    """In order of execution."""
    overhead_ms: float
    """What the network takes beyond the sum of its kernels."""
    program: Program
    """The network as it would be compiled, measured and shipped."""


class Estimator:
    """Estimates networks for one profile; kernels seen before cost nothing."""

    def __init__(self, profile: Profile, cache: PredictionCache | None = None) -> None:
        """``cache``: predictions of earlier processes. InputError for a damaged calibration."""
        self.profile = profile
        self._calibration = profile.calibration()
        self.predictor = load_predictor(profile, cache)

    @property
    def calibrated(self) -> bool:
        """Whether estimates rest on measurements of this very device."""
        return self._calibration is not None

    def estimate(self, network: Network) -> Estimate:
        """The estimate of ``network``; every kernel is lowered through TVM."""
        target = self.predictor.target
        steps = partition(network, target)
        predictions, seconds = self.predictor.predict(steps)
        program = Program(
            steps, tuple(p.schedule for p in predictions), network.input_shape, target
        )
        low, high = self._interval(seconds, predictions)
        return Estimate(
            profile=self.profile.name,
            calibrated=self.calibrated,
            latency_ms=seconds * 1e3,
            latency_interval_ms=(low * 1e3, high * 1e3),
            flops=operations.flops(network),
            flops_table2=operations.flops_table2(network),
            params=operations.params(network),
            peak_memory_bytes=program.peak_memory_bytes(),
            kernels=predictions,
            overhead_ms=(seconds - sum(p.seconds for p in predictions)) * 1e3,
            program=program,
        )

    def latency_ms(self, network: Network) -> float:
        """The predicted latency alone."""
        steps = partition(network, self.predictor.target)
        return self.predictor.predict(steps)[1] * 1e3

    def _interval(self, seconds: float, predictions: Sequence[Prediction]) -> tuple[float, float]:
        """Calibrated: from the errors on held-out networks. Else: what rooflines are off by.

        Kernels unlike those that were timed widen it: the deviations that the model states for
        them, taken to be all on the same side.
        """
        if self._calibration is None:
            factor = math.exp(NORMAL_80 * UNCALIBRATED_SPREAD)
            return seconds / factor, seconds * factor
        error = min(self._calibration.error.interval, MAXIMUM_ERROR)
        spread = sum(p.seconds * p.log_deviation for p in predictions) / seconds
        factor = math.exp(NORMAL_80 * spread)
        low, high = seconds / (1 + error), seconds / (1 - error)
        return min(low, seconds / factor), max(high, seconds * factor)
