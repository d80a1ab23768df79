"""What the finished trials tell of a cost that needs training: its mean and its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.sampling.encoding import Codes
from search.sampling.gaussian_process import Array, GaussianProcess, Hyperparameters, fit
from search.space import Choice, Space

FIT_POINTS = 200
"""Trials from which the hyper-parameters are learnt at most: a second of one core; the time grows
with the cube."""

MODEL_POINTS = 200
"""Trials that predictions rest on at most: they take a quarter of a draw."""

REFIT_GROWTH = 1.2
"""The hyper-parameters are learnt anew each time there are so many times the trials: they change
little in between, and a draw depends on nothing but the history."""


@dataclass(frozen=True)
class CostModel:
    """Predicts one cost of candidates of a space."""

    space: Space
    process: GaussianProcess
    centre: float
    scale: float

    def predict(self, codes: Codes) -> tuple[Array, Array]:
        """Mean and deviation (n each) of the cost of candidates (n x p), without noise."""
        mean, deviation = self.process.predict(inputs_of(self.space, codes))
        return self.centre + self.scale * mean, self.scale * deviation

    def with_pending(self, codes: Codes, lie: float) -> CostModel:
        """The model as if pending candidates (n x p) had come out worse than expected.

        By ``lie`` deviations: it is no longer uncertain about them, and expects no good of them.
        """
        inputs = inputs_of(self.space, codes)
        mean, deviation = self.process.predict(inputs)
        process = GaussianProcess(
            np.concatenate([self.process.inputs, inputs]),
            np.concatenate([self.process.targets, mean + lie * deviation]),
            self.process.hyperparameters,
        )
        return CostModel(self.space, process, self.centre, self.scale)


class Learner:
    """Fits models and remembers the last hyper-parameters; only speed depends on the memory."""

    def __init__(self, fit_points: int = FIT_POINTS, model_points: int = MODEL_POINTS) -> None:
        self._fit_points, self._model_points = fit_points, model_points
        self._kept: tuple[object, Hyperparameters] | None = None

    def learn(self, space: Space, codes: Codes, costs: Array, order: Codes) -> CostModel:
        """The model of trials (n x p) with these costs (n), oldest first.

        Args:
            space: Of the candidates; what is frozen matters not.
            codes: Of at least two trials.
            costs: Finite.
            order: The trials' numbers [n], those nearest to the front first: of many trials, half
                are taken from its beginning and half evenly from the rest.

        """
        seen = learnt_from(len(codes))
        hyperparameters = self._hyperparameters(space, codes[:seen], costs[:seen])
        used = spread(order, self._model_points)
        centre, scale = standard(costs[used])
        process = GaussianProcess(
            inputs_of(space, codes[used]), (costs[used] - centre) / scale, hyperparameters
        )
        return CostModel(space, process, centre, scale)

    def _hyperparameters(self, space: Space, codes: Codes, costs: Array) -> Hyperparameters:
        key = (space.parameters, codes.tobytes(), costs.tobytes())
        if self._kept is None or self._kept[0] != key:
            used = spread(np.argsort(costs, kind="stable"), self._fit_points)
            centre, scale = standard(costs[used])
            found = fit(inputs_of(space, codes[used]), (costs[used] - centre) / scale)
            self._kept = key, found
        return self._kept[1]


def learnt_from(trials: int) -> int:
    """How many of the trials, from the first, the hyper-parameters are learnt from."""
    steps = math.floor(math.log(trials) / math.log(REFIT_GROWTH) + 1e-9)
    return min(trials, max(2, math.ceil(REFIT_GROWTH**steps)))


def inputs_of(space: Space, codes: Codes) -> Array:
    """Codes (n x p) as inputs in [0, 1]: the place in the range, or a column for each option."""
    columns: list[npt.NDArray[np.float64]] = []
    for each, column in zip(space.parameters, codes.T, strict=True):
        if isinstance(each, Choice):
            columns.extend((column == i).astype(np.float64) for i in range(each.count))
        elif each.count > 1:
            columns.append(column / (each.count - 1))
    return np.stack(columns, axis=1) if columns else np.zeros((len(codes), 1))


def spread(order: Codes, most: int) -> Codes:
    """At most so many of the numbers: half from the beginning, half evenly from the rest."""
    if len(order) <= most:
        return np.sort(order)
    first, rest = order[: most // 2], np.sort(order[most // 2 :])
    evenly = np.linspace(0, len(rest) - 1, most - len(first)).round().astype(np.int64)
    return np.sort(np.concatenate([first, rest[evenly]]))


def standard(costs: Array) -> tuple[float, float]:
    """Mean and deviation; a deviation of 1 where all are alike."""
    scale = float(costs.std())
    return float(costs.mean()), scale if scale > 0 else 1.0
