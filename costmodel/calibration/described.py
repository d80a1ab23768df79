"""Predictions for a runtime of the user's own, which runs none of our schedules.

A schedule only describes a kernel there: that of the smallest roofline does, when the model is
fitted and whenever it is asked. The fastest predicted one would be the one that the model errs on
most: it was never seen.
"""

from __future__ import annotations

from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, Predictor
from costmodel.schedules.family import Schedule
from costmodel.target import Target


class DescribedPredictor(Predictor):
    """As `Predictor`, with every kernel under the schedule of its smallest roofline."""

    def rank(self, kernel: Kernel) -> list[tuple[Schedule, float]]:
        """Every valid schedule with its predicted seconds, that of the smallest roofline first."""
        seconds = dict(super().rank(kernel))
        rooflines = Predictor(self.target, None, Overhead()).rank(kernel)
        return [(schedule, seconds[schedule]) for schedule, _ in rooflines]


def describing_schedule(kernel: Kernel, target: Target) -> Schedule:
    """The schedule that describes a kernel: of the smallest roofline."""
    return Predictor(target, None, Overhead()).rank(kernel)[0][0]
