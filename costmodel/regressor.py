"""The learned part of the cost model: how far a kernel is from its roofline.

log(time / roofline) is predicted, so that an uncalibrated profile has the roofline itself. Part of
the prediction is a Gaussian process', smooth and with a deviation, part a forest's of random trees,
which sees steps (a tile that no longer fits). Together they err less than either on real boards;
where kernels left out of the fit say that the process alone is far better, it is alone.
scikit-learn fits both; what is stored is plain arrays, evaluated with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from boltons.fileutils import atomic_save
from threadpoolctl import threadpool_limits

from costmodel.errors import InputError
from costmodel.regression.forest import Forest, fit_forest
from costmodel.regression.gaussian_process import GaussianProcess, fit_process

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

FORMAT = 2
MINIMUM_KERNELS = 10
FOLDS = 5
FOLD_TREES = 40
"""Of each fold's forest, which only says how far forests err."""
CLEARLY_BETTER = 0.7
"""Left-out error of the process alone over that of both, below which the forest is left out: with a
truth as smooth as that, its steps only harm. The process' own figure flatters it a little. The
number is a choice, not tuned."""
FORGIVEN = 100.0
"""A tree remembers each measurement by itself: those whose variance beyond the noise is more than
this many times the noise are kept from the forest."""
COVERAGE = 0.8
"""Share of kernels never timed that an interval of `NORMAL_80` deviations shall hold."""
NORMAL_80 = 1.2815515655446004
"""Deviations on each side of the mean within which 80 % of a normal distribution lie."""


@dataclass(frozen=True, kw_only=True)
class RatioModel:
    """Fitted to the kernels of one device."""

    names: tuple[str, ...]
    """Features, in order; a model refuses others."""
    center: Vector
    """Mean of each feature."""
    scale: Vector
    """Standard deviation of each feature (1 where it is constant)."""
    process: GaussianProcess
    """Over standardised features."""
    forest: Forest
    share: float
    """Of the forest in a prediction, a half or nothing; the process has the rest."""
    residuals: Vector
    """Log ratio of each measured kernel less what a fit without it predicts, [n]."""
    widening: float
    """What the process' deviation is multiplied by, so that intervals hold what they say."""

    def predict(self, features: Matrix) -> tuple[Vector, Vector]:
        """Mean and standard deviation of log(time / roofline) for features [m, features].

        Mean ± `NORMAL_80` deviations holds `COVERAGE` of the kernels left out of the fit.
        """
        rows = np.atleast_2d(features)
        smooth, deviation = self.process.predict((rows - self.center) / self.scale)
        mean = (1 - self.share) * smooth + self.share * self.forest.predict(rows)
        return mean, self.widening * deviation

    def left_out_residuals(self) -> Vector:
        """Log ratio of each measured kernel less what a fit without it predicts, [n]."""
        return self.residuals

    def save(self, path: Path) -> None:
        """Writes the arrays as one ``.npz`` file, whole or not at all."""
        arrays = {
            **_arrays(self, "process", "forest"),
            **{f"process_{name}": value for name, value in _arrays(self.process).items()},
            **{f"forest_{name}": value for name, value in _arrays(self.forest).items()},
        }
        with atomic_save(str(path), overwrite_part=True) as file:
            np.savez_compressed(file, allow_pickle=False, format=np.asarray(FORMAT), **arrays)

    @staticmethod
    def load(path: Path, names: Sequence[str]) -> RatioModel:
        """The model that `save` wrote. Raises InputError where it is not one for ``names``."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if int(stored["format"]) != FORMAT or tuple(stored["names"]) != tuple(names):
                    raise InputError(
                        f"the model {path} is of another version of ponas; calibrate again"
                    )
                model = _read(stored, tuple(names))
                _check(model)
        except InputError:
            raise
        except Exception as error:  # a damaged archive makes zipfile and NumPy raise a dozen kinds
            raise InputError(
                f"the model {path} cannot be read ({error}); calibrate again"
            ) from error
        return model


def fit(features: Matrix, log_ratios: Vector, names: Sequence[str]) -> RatioModel:
    """Fits a model to measured kernels: features [n, f], log(time / roofline) [n]."""
    if len(features) < MINIMUM_KERNELS:
        raise InputError(
            f"a model needs at least {MINIMUM_KERNELS} measured kernels, got {len(features)}"
        )
    center, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    with threadpool_limits(1):  # matrices this small are slower on several threads
        process = fit_process((features - center) / scale, log_ratios)
    kept = process.extra <= FORGIVEN * process.noise
    forest = fit_forest(features[kept], log_ratios[kept])
    of_process, deviations = process.left_out()
    of_forest = _left_out_of_forest(features, log_ratios, kept)
    both = (of_forest + of_process) / 2
    alone = np.abs(of_process).mean() < CLEARLY_BETTER * np.abs(both).mean()
    residuals = of_process if alone else both
    return RatioModel(
        names=tuple(names),
        center=center,
        scale=scale,
        process=process,
        forest=forest,
        share=0.0 if alone else 0.5,
        residuals=residuals,
        widening=_conformal(np.abs(residuals) / deviations) / NORMAL_80,
    )


def _left_out_of_forest(
    features: Matrix, log_ratios: Vector, kept: npt.NDArray[np.bool_]
) -> Vector:
    """Each log ratio less the prediction of trees that were fitted to those kept of other folds."""
    residuals = np.zeros(len(features))
    folds = np.random.default_rng(0).permutation(len(features)) % FOLDS
    for fold in range(FOLDS):
        out = folds == fold
        known = kept & ~out
        forest = fit_forest(features[known], log_ratios[known], trees=FOLD_TREES)
        residuals[out] = log_ratios[out] - forest.predict(features[out])
    return residuals


def _conformal(scores: Vector) -> float:
    """Score that a new kernel stays within with probability `COVERAGE`.

    Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World (2005): of n scores of
    kernels left out, the ⌈(n + 1) coverage⌉-th smallest.
    """
    place = min(math.ceil((len(scores) + 1) * COVERAGE), len(scores))
    return float(np.sort(scores)[place - 1])


def _arrays(instance: Any, *without: str) -> dict[str, npt.NDArray[Any]]:  # noqa: ANN401 - any dataclass
    names = (field.name for field in fields(instance))
    return {name: np.asarray(getattr(instance, name)) for name in names if name not in without}


def _read(stored: Mapping[str, npt.NDArray[Any]], names: tuple[str, ...]) -> RatioModel:
    def number(name: str) -> float:
        return float(stored[name])

    def vector(name: str) -> Vector:
        return np.asarray(stored[name], np.float64)

    def integers(name: str) -> npt.NDArray[np.int32]:
        return np.asarray(stored[name], np.int32)

    return RatioModel(
        names=names,
        center=vector("center"),
        scale=vector("scale"),
        process=GaussianProcess(
            samples=vector("process_samples"),
            weights=vector("process_weights"),
            inverse=vector("process_inverse"),
            extra=vector("process_extra"),
            mean=number("process_mean"),
            variances=vector("process_variances"),
            lengths=vector("process_lengths"),
            noise=number("process_noise"),
        ),
        forest=Forest(
            roots=integers("forest_roots"),
            feature=integers("forest_feature"),
            threshold=vector("forest_threshold"),
            left=integers("forest_left"),
            right=integers("forest_right"),
            value=vector("forest_value"),
            depth=int(stored["forest_depth"]),
        ),
        share=number("share"),
        residuals=vector("residuals"),
        widening=number("widening"),
    )


def _check(model: RatioModel) -> None:
    """Raises where arrays do not fit each other, before a prediction depends on them."""
    forest, nodes = model.forest, len(model.forest.value)
    shapes = {len(a) for a in (forest.feature, forest.threshold, forest.left, forest.right)}
    inside = all(
        ((places >= 0) & (places < limit)).all()
        for places, limit in (
            (forest.roots, nodes), (forest.left, nodes), (forest.right, nodes),
            (forest.feature, len(model.names)),
        )
    )  # fmt: skip
    if shapes != {nodes} or not inside or not 0 <= forest.depth <= nodes:
        raise ValueError("its trees are damaged")
    if len(model.residuals) != len(model.process.samples):
        raise ValueError("its residuals are of other kernels")
    model.predict(np.zeros((1, len(model.names))))
