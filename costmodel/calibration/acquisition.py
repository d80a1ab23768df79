"""Which scheduled kernels to time next: those that teach most about the networks of a search.

The error of a network is the sum of its kernels' errors, each weighted by its share of the
network's time. Under the Gaussian process of the model that sum has a variance, and timing a
kernel lessens it by a known amount, whatever the time turns out to be. A batch takes the kernel
that lessens the mean variance over networks of the space most, then the next as if that one were
timed already (Cohn, Ghahramani, Jordan, Active Learning with Statistical Models, 1996, section 4,
with networks in the place of points).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from costmodel.regression.gaussian_process import GaussianProcess

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

DRAWS = 128
"""Of all times of all schedules, to count how often each is the fastest of its kernel."""


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What is known of log(time / roofline) before and after what was timed."""

    center: Vector
    """Mean of each feature."""
    scale: Vector
    """Standard deviation of each feature (1 where it is constant)."""
    process: GaussianProcess
    """Over standardised features."""

    def covariance(self, one: Matrix, other: Matrix) -> Matrix:
        """Posterior covariance of features [m, f] with features [n, f], noise left out, [m, n].

        Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eq. 2.24.
        """
        process = self.process
        a, b = (one - self.center) / self.scale, (other - self.center) / self.scale
        left, right = _prior(process, a, process.samples), _prior(process, b, process.samples)
        covariance: Matrix = _prior(process, a, b) - (left @ process.inverse) @ right.T
        return covariance

    def variance(self, rows: Matrix) -> Vector:
        """Posterior variance of features [m, f], noise left out, [m]."""
        process = self.process
        cross = _prior(process, (rows - self.center) / self.scale, process.samples)
        explained = np.einsum("ij,ij->i", cross @ process.inverse, cross)
        variance: Vector = np.maximum(process.variances.sum() - explained, 0.0)
        return variance


LEAST_NOISE = 1e-6
"""Variance that repeats have at least: a tenth of a percent, squared."""
PRIOR_VARIANCES, PRIOR_LENGTHS, PRIOR_NOISE = (0.3, 0.002), (8.0, 4.0), 1e-4
"""Of a process that knows nothing yet: as fits to 60 to 300 kernels of the host end, rounded."""


def prior_belief(rows: Matrix) -> Belief:
    """What is believed of features like these [m, f] before anything was timed."""
    scale = rows.std(0)
    nothing = np.zeros(0)
    return Belief(
        center=rows.mean(0),
        scale=np.where(scale > 1e-12, scale, 1.0),
        process=GaussianProcess(
            samples=np.zeros((0, rows.shape[1])),
            weights=nothing,
            inverse=np.zeros((0, 0)),
            extra=nothing,
            mean=0.0,
            variances=np.array(PRIOR_VARIANCES),
            lengths=np.array(PRIOR_LENGTHS),
            noise=PRIOR_NOISE,
        ),
    )


def _prior(process: GaussianProcess, one: Matrix, other: Matrix) -> Matrix:
    """Covariance of standardised points [m, f] and [n, f] before anything was timed, [m, n]."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    squares = np.maximum(squares, 0.0)
    covariance: Matrix = np.zeros_like(squares)
    for variance, length in zip(process.variances, process.lengths, strict=True):
        covariance += variance * np.exp(squares / (-2 * length**2))
    return covariance


def chances(log_seconds: Vector, deviations: Vector, starts: Indices, seed: int) -> Vector:
    """The chance of each schedule to be the fastest of its kernel, [m].

    ``log_seconds`` and ``deviations`` [m] are what is predicted; the schedules of a kernel lie
    side by side, the first of each at ``starts``. Schedules are drawn independently of each other.
    """
    generator = np.random.default_rng(seed)
    drawn = log_seconds + deviations * generator.standard_normal((DRAWS, len(log_seconds)))
    counts = np.diff(np.append(starts, len(log_seconds)))
    fastest = np.repeat(np.minimum.reduceat(drawn, starts, axis=1), counts, axis=1)
    share: Vector = (drawn == fastest).mean(0)
    return share


def pick(
    belief: Belief, candidates: Matrix, references: Matrix, weights: Matrix, count: int
) -> list[int]:
    """Indices of up to ``count`` distinct candidates, most telling first.

    ``candidates`` [c, f] can be timed; ``weights`` [networks, r] says what share of each network's
    time each of ``references`` [r, f] is.
    """
    with threadpool_limits(1):  # as the fit: the same figures on every machine of a kind
        told = weights @ belief.covariance(references, candidates)
        variance = belief.variance(candidates)
        noise = max(belief.process.noise, LEAST_NOISE)
        factors: list[Vector] = []
        picked: list[int] = []
        untaken = np.ones(len(candidates), dtype=bool)
        for _ in range(min(count, len(candidates))):
            gain = (told**2).sum(0) / (variance + noise)
            best = int(np.argmax(np.where(untaken, gain, -1.0)))
            picked.append(best)
            untaken[best] = False
            column = belief.covariance(candidates, candidates[best : best + 1])[:, 0]
            for factor in factors:
                column = column - factor * factor[best]
            # What holds of every covariance, also where the inverse is a poor one.
            bound = np.sqrt(variance * variance[best])
            column = np.clip(column, -bound, bound)
            spread = np.sqrt(variance[best] + noise)
            factors.append(column / spread)
            told = told - np.outer(told[:, best] / spread, factors[-1])
            variance = np.maximum(variance - factors[-1] ** 2, 0.0)
    return picked
