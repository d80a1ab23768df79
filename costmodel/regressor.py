"""The learned part of the cost model: how far a kernel is from its roofline.

A Gaussian process on the features predicts log(time / roofline), so that an uncalibrated profile
has the roofline itself and a calibrated one falls back to the mean ratio far from what was
measured. scikit-learn fits it; what is stored is plain arrays, evaluated with NumPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from boltons.fileutils import atomic_save

from costmodel.errors import InputError

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

FORMAT = 1
OUTLIER_SIGMAS = 4.0
"""Residuals beyond this many robust deviations weigh less in the second fit."""


@dataclass(frozen=True, kw_only=True)
class RatioModel:
    """Gaussian process over standardised features: k(x, z) = Σ v exp(-|x - z|² / 2 l²)."""

    names: tuple[str, ...]
    """Features, in order; a model refuses others."""
    center: Vector
    """Mean of each feature."""
    scale: Vector
    """Standard deviation of each feature (1 where it is constant)."""
    samples: Matrix
    """Standardised features of the measured kernels, [n, features]."""
    weights: Vector
    """K⁻¹ (y - mean), [n]."""
    inverse: Matrix
    """K⁻¹, [n, n]: what the uncertainty needs."""
    mean: float
    """Mean log ratio of the measured kernels."""
    variances: Vector
    """v of each component."""
    lengths: Vector
    """l of each component, in standard deviations of the features."""
    noise: float
    """Variance of the log ratio that repeats of one measurement have."""

    def predict(self, features: Matrix) -> tuple[Vector, Vector]:
        """Mean and standard deviation of log(time / roofline) for features [m, features]."""
        points = (np.atleast_2d(features) - self.center) / self.scale
        cross = self._covariance(points)
        mean = self.mean + cross @ self.weights
        explained = np.einsum("ij,jk,ik->i", cross, self.inverse, cross)
        variance = self.variances.sum() - explained + self.noise
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def left_out_residuals(self) -> Vector:
        """Log ratio of each measured kernel less what all others say of it, [n].

        Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eq. 5.12.
        """
        return self.weights / np.diag(self.inverse)

    def _covariance(self, points: Matrix) -> Matrix:
        squares = (
            (points**2).sum(1)[:, None] + (self.samples**2).sum(1) - 2 * points @ self.samples.T
        )
        squares = np.maximum(squares, 0.0)
        covariance: Matrix = sum(
            (v * np.exp(-squares / (2 * length**2)) for v, length in
             zip(self.variances, self.lengths, strict=True)),
            np.zeros_like(squares),
        )  # fmt: skip
        return covariance

    def save(self, path: Path) -> None:
        """Writes the arrays as one ``.npz`` file, whole or not at all."""
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__
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
                model = RatioModel(
                    names=tuple(names),
                    center=np.asarray(stored["center"], np.float64),
                    scale=np.asarray(stored["scale"], np.float64),
                    samples=np.asarray(stored["samples"], np.float64),
                    weights=np.asarray(stored["weights"], np.float64),
                    inverse=np.asarray(stored["inverse"], np.float64),
                    mean=float(stored["mean"]),
                    variances=np.asarray(stored["variances"], np.float64),
                    lengths=np.asarray(stored["lengths"], np.float64),
                    noise=float(stored["noise"]),
                )
                model.predict(np.zeros((1, len(names))))  # arrays that do not fit each other
        except InputError:
            raise
        except Exception as error:  # a damaged archive makes zipfile and NumPy raise a dozen kinds
            raise InputError(
                f"the model {path} cannot be read ({error}); calibrate again"
            ) from error
        return model


def fit(features: Matrix, log_ratios: Vector, names: Sequence[str]) -> RatioModel:
    """Fits a model to measured kernels: features [n, f], log(time / roofline) [n].

    Fitted twice: measurements that the first fit finds far off (a disturbance that outlasted the
    protocol) weigh less in the second.
    """
    if len(features) < 10:
        raise InputError(f"a model needs at least 10 measured kernels, got {len(features)}")
    center, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    points = (features - center) / scale
    mean = float(np.median(log_ratios))
    extra = np.zeros(len(points))
    for _ in range(2):
        process = _gaussian_process(points, log_ratios - mean, extra)
        residuals = log_ratios - mean - process.predict(points)
        sigma = 1.4826 * float(np.median(np.abs(residuals))) + 1e-6
        far = np.maximum(np.abs(residuals) / sigma - OUTLIER_SIGMAS, 0.0)
        extra = (far * sigma) ** 2
    (first, second), noise = _components(process.kernel_)
    covariance = process.kernel_(points) + np.diag(extra + 1e-10)
    inverse = np.linalg.inv(covariance)
    return RatioModel(
        names=tuple(names),
        center=center,
        scale=scale,
        samples=points,
        weights=inverse @ (log_ratios - mean),
        inverse=inverse,
        mean=mean,
        variances=np.array([first[0], second[0]]),
        lengths=np.array([first[1], second[1]]),
        noise=noise,
    )


def _gaussian_process(points: Matrix, targets: Vector, extra: Vector) -> Any:  # noqa: ANN401 - scikit-learn has no types
    # Only calibration fits: an estimate shall not wait for scikit-learn.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = (
        ConstantKernel(0.1, (1e-5, 1e2)) * RBF(10.0, (1.0, 1e3))
        + ConstantKernel(0.01, (1e-6, 1e1)) * RBF(2.0, (0.1, 1e2))
        + WhiteKernel(1e-4, (1e-6, 1e-1))
    )
    process = GaussianProcessRegressor(kernel, alpha=extra + 1e-10, random_state=0)
    with warnings.catch_warnings():
        # A hyper-parameter at its bound is fine here: the bounds are what is plausible.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(points, targets)


def _components(
    kernel: Any,  # noqa: ANN401 - scikit-learn has no types
) -> tuple[list[tuple[float, float]], float]:
    """((variance, length) twice, noise) of the fitted sum of two RBFs and a white kernel."""
    smooth, rough, white = kernel.k1.k1, kernel.k1.k2, kernel.k2
    pairs = [(part.k1.constant_value, part.k2.length_scale) for part in (smooth, rough)]
    return pairs, float(white.noise_level)
