"""A small Gaussian process for noisy numbers of candidates: mean and uncertainty.

Shapes: n points of d inputs, each in [0, 1]. Matérn 5/2 with a length for each input and white
noise (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2, 4.2 and
5.4.1). The hyper-parameters are those of the largest posterior probability: with few points and
many inputs the likelihood alone takes chance for structure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Array = npt.NDArray[np.float64]

LENGTH_LOG_MEAN, LENGTH_LOG_DEVIATION = math.sqrt(2), math.sqrt(3)
"""Of the lengths' log-normal prior, to whose mean half the logarithm of d is added, for points lie
farther apart the more inputs there are. Source: Hvarfner et al., Vanilla Bayesian Optimization
Performs Great in High Dimensions (2024)."""

NOISE_LOG_MEAN, NOISE_LOG_DEVIATION = -4.0, 1.0
"""Of the noise variance's log-normal prior, targets having variance 1; same source."""

SIGNAL_LOG_DEVIATION = 1.0
"""Of the signal variance's log-normal prior, around 1: targets are standardised."""

LOG_BOUNDS = (math.log(0.02), math.log(200.0))
"""Of lengths and of the signal's variance: no resolution finer, no slope flatter, is told apart
among settings in [0, 1]."""

NOISE_LOG_BOUNDS = (math.log(1e-6), math.log(1.0))
"""Of the noise variance: numerically sound, and no more than all there is."""

ITERATIONS = 60
"""Of the optimiser at most: it has converged by then, or gains what no draw would show."""


@dataclass(frozen=True)
class Hyperparameters:
    """What a Gaussian process knows beside its points."""

    lengths: Array
    """[d]."""
    signal: float
    """Variance of the function."""
    noise: float
    """Variance of what is added to it."""


@dataclass(frozen=True)
class GaussianProcess:
    """The posterior of a function that was seen, with noise, at some points."""

    inputs: Array
    """[n, d]."""
    targets: Array
    """[n], about zero."""
    hyperparameters: Hyperparameters

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (m each) of the function itself, at the inputs [m, d]."""
        known = self.hyperparameters
        cross = _matern(_distances(inputs, self.inputs, known.lengths)) * known.signal
        mean = cross @ self._weights
        explained = np.square(solve_triangular(self._factor, cross.T, lower=True)).sum(axis=0)
        return mean, np.sqrt(np.maximum(known.signal - explained, 1e-12))

    @cached_property
    def _factor(self) -> Array:
        known = self.hyperparameters
        covariance = _matern(_distances(self.inputs, self.inputs, known.lengths)) * known.signal
        covariance[np.diag_indices_from(covariance)] += known.noise
        return np.asarray(cholesky(covariance, lower=True))

    @cached_property
    def _weights(self) -> Array:
        return np.asarray(cho_solve((self._factor, True), self.targets))


def fit(inputs: Array, targets: Array) -> Hyperparameters:
    """The likeliest hyper-parameters given points [n, d] and targets [n] of variance 1."""
    length_mean = LENGTH_LOG_MEAN + 0.5 * math.log(inputs.shape[1])
    means = np.append(np.full(inputs.shape[1], length_mean), [0.0, NOISE_LOG_MEAN])
    deviations = np.append(
        np.full(inputs.shape[1], LENGTH_LOG_DEVIATION),
        [SIGNAL_LOG_DEVIATION, NOISE_LOG_DEVIATION],
    )

    def loss(logs: Array) -> tuple[float, Array]:
        value, gradient = negative_log_likelihood(inputs, targets, logs)
        away = (logs - means) / deviations
        return value + 0.5 * float(away @ away), gradient + away / deviations

    begin = means.copy()
    begin[:-2] = np.minimum(begin[:-2], math.log(2.0))
    found = minimize(
        loss,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[LOG_BOUNDS] * (inputs.shape[1] + 1) + [NOISE_LOG_BOUNDS],
        options={"maxiter": ITERATIONS},
    )
    *lengths, signal, noise = np.exp(found.x)
    return Hyperparameters(np.array(lengths), float(signal), float(noise))


def negative_log_likelihood(inputs: Array, targets: Array, logs: Array) -> tuple[float, Array]:
    """Of the targets [n], and its slope by the logarithms [d + 2]: lengths, signal, noise."""
    lengths, signal, noise = np.exp(logs[:-2]), math.exp(logs[-2]), math.exp(logs[-1])
    distances = _distances(inputs, inputs, lengths)
    scaled = math.sqrt(5) * distances
    decay = np.exp(-scaled)
    kernel = signal * (1 + scaled + scaled**2 / 3) * decay
    covariance = kernel.copy()
    covariance[np.diag_indices_from(covariance)] += noise
    factor = cholesky(covariance, lower=True)
    weights = cho_solve((factor, True), targets)
    value = (
        0.5 * float(targets @ weights)
        + float(np.log(np.diag(factor)).sum())
        + 0.5 * len(targets) * math.log(2 * math.pi)
    )
    outer = cho_solve((factor, True), np.eye(len(targets))) - np.outer(weights, weights)
    # dk/dlog(length_j) = 5/3 signal (1 + √5 r) exp(-√5 r) ((x_j - x'_j) / length_j)²
    shared = outer * (5 / 3 * signal * (1 + scaled) * decay)
    columns = inputs / lengths
    squares = np.square(columns)
    # Σ_ab S_ab (x_a - x_b)² = 2 Σ_a x_a² Σ_b S_ab - 2 xᵀ S x, for a symmetric S.
    slopes = 2 * (shared.sum(axis=1) @ squares) - 2 * np.einsum(
        "aj,aj->j", columns, shared @ columns
    )
    gradient = np.append(0.5 * slopes, [0.5 * np.sum(outer * kernel), 0.5 * noise * outer.trace()])
    return value, gradient


def _distances(left: Array, right: Array, lengths: Array) -> Array:
    return np.asarray(cdist(left / lengths, right / lengths))


def _matern(distances: Array) -> Array:
    scaled = math.sqrt(5) * distances
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
