"""A fitted Gaussian process as plain arrays: smooth between what was measured, unsure beyond."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MAXIMUM_STEPS = 10
"""Of a fit's hyper-parameters, which hardly move after: fifteen times as many left held-out errors
the same within a hundredth."""
OUTLIER_SIGMAS = 4.0
"""Residuals beyond this many robust deviations weigh less in the second fit."""


@dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """Over standardised features: k(x, z) = Σ v exp(-|x - z|² / 2 l²)."""

    samples: Matrix
    """Standardised features of the measured kernels, [n, features]."""
    weights: Vector
    """K⁻¹ (y - mean), [n]."""
    inverse: Matrix
    """K⁻¹, [n, n]: what the uncertainty needs."""
    extra: Vector
    """Variance that each measurement has beyond the noise, [n]: what its neighbours contradict."""
    mean: float
    """Median of y: what is said far from everything."""
    variances: Vector
    """v of each component."""
    lengths: Vector
    """l of each component, in standard deviations of the features."""
    noise: float
    """Variance that repeats of one measurement have."""

    def predict(self, points: Matrix) -> tuple[Vector, Vector]:
        """Mean and standard deviation of y at standardised points [m, features]."""
        cross = self._covariance(points)
        mean = self.mean + cross @ self.weights
        explained = np.einsum("ij,ij->i", cross @ self.inverse, cross)
        variance = self.variances.sum() - explained + self.noise
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def left_out(self) -> tuple[Vector, Vector]:
        """For each measured kernel, y less what all others say of it, and their deviation, [n].

        Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eq. 5.12.
        """
        diagonal = np.diag(self.inverse)
        variance = np.maximum(1 / diagonal - self.extra, self.noise)
        return self.weights / diagonal, np.sqrt(variance)

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


def fit_process(points: Matrix, targets: Vector) -> GaussianProcess:
    """Fits a process to standardised points [n, features] and their y [n].

    Fitted twice: measurements that the first fit finds far off (a disturbance that outlasted the
    protocol) weigh less in the second.
    """
    mean = float(np.median(targets))
    extra = np.zeros(len(points))
    kernel = None
    for _ in range(2):
        process = _fitted(points, targets - mean, extra, kernel)
        kernel = process.kernel_
        residuals = targets - mean - process.predict(points)
        sigma = 1.4826 * float(np.median(np.abs(residuals))) + 1e-6
        far = np.maximum(np.abs(residuals) / sigma - OUTLIER_SIGMAS, 0.0)
        extra = (far * sigma) ** 2
    (first, second), noise = _components(process.kernel_)
    inverse = np.linalg.inv(process.kernel_(points) + np.diag(extra + 1e-10))
    return GaussianProcess(
        samples=points,
        weights=inverse @ (targets - mean),
        inverse=inverse,
        extra=extra,
        mean=mean,
        variances=np.array([first[0], second[0]]),
        lengths=np.array([first[1], second[1]]),
        noise=noise,
    )


def _fitted(points: Matrix, targets: Vector, extra: Vector, start: Any) -> Any:  # noqa: ANN401 - scikit-learn has no types
    # Only calibration fits: an estimate shall not wait for scikit-learn.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = start or (
        ConstantKernel(0.1, (1e-5, 1e2)) * RBF(10.0, (1.0, 1e3))
        + ConstantKernel(0.01, (1e-6, 1e1)) * RBF(2.0, (0.1, 1e2))
        + WhiteKernel(1e-4, (1e-6, 1e-1))
    )
    process = GaussianProcessRegressor(
        kernel, alpha=extra + 1e-10, optimizer=_few_steps, random_state=0
    )
    with warnings.catch_warnings():
        # A hyper-parameter at its bound is fine here: the bounds are what is plausible.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(points, targets)


def _few_steps(objective: Any, start: Vector, bounds: Matrix) -> tuple[Vector, float]:  # noqa: ANN401 - scikit-learn has no types
    from scipy.optimize import minimize

    found = minimize(
        objective, start, method="L-BFGS-B", jac=True, bounds=bounds,
        options={"maxiter": MAXIMUM_STEPS},
    )  # fmt: skip
    return found.x, float(found.fun)


def _components(
    kernel: Any,  # noqa: ANN401 - scikit-learn has no types
) -> tuple[list[tuple[float, float]], float]:
    """((variance, length) twice, noise) of the fitted sum of two RBFs and a white kernel."""
    smooth, rough, white = kernel.k1.k1, kernel.k1.k2, kernel.k2
    pairs = [(part.k1.constant_value, part.k2.length_scale) for part in (smooth, rough)]
    return pairs, float(white.noise_level)
