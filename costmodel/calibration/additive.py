"""A smooth function of kernels, learnt from sums over them: no kernel was timed by itself.

Network i takes t_i = Σ_k n_ik b_k exp(f_k) + a Σ_k n_ik + c Σ_k n_ik B_k, where k goes over
distinct kernels, b is the roofline and B the bytes of one. f is a Gaussian process, log a and
log c are normal, log t_i is seen with a Student error, heavier above than below. The most probable
f is found by Gauss-Newton steps with Student weights, hyper-parameters by the marginal likelihood
of the sums linearised there, in turns (Rasmussen, Williams, Gaussian Processes for Machine
Learning, 2006, sections 3.4 and 5.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from costmodel.regression.gaussian_process import GaussianProcess

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

LENGTHS = np.array([1e3, 30.0, 10.0, 3.0, 1e-3])
"""Length scales of f in standard deviations of the features: a constant, three that cover what
standardised features differ by, and one that no two kernels are within: a kernel's own part."""
VARIANCES = np.array([4.0, 0.3, 0.1, 0.03, 0.01])
"""Where the search for each part's variance starts, and the middle of its prior. The constant's is
kept: a runtime may be several times slower than the roofline in all."""
NOISE = 0.03
"""The same for the deviation of log t: timings of one network differ by some percent."""
LOG_WIDTH = 2.0
"""Standard deviation of the priors of log variances: two times e to the square either way."""
OVERHEAD_SHARE, OVERHEAD_WIDTH = 0.01, 2.0
"""Prior of a and c: that each takes this share of a median network, give or take e squared."""
SLOWER, FASTER = 1.0, 10.0
"""Degrees of freedom of the Student error where a network was slower than predicted, and where it
was faster. What disturbs a timing slows it down, often and far; hardly anything speeds it up. Of
300 networks of `tools.bench_timings` drawn for choosing, models learnt from 50 and 100 put 80 %
and 83 % of the rest within 10 % on a Raspberry Pi 4; with 2 both ways, 78 % and 81 %.
"""
ROUNDS = 6
MAXIMUM_STEPS, MAXIMUM_SEARCH = 100, 15
"""Of Gauss-Newton in a round, and of the hyper-parameters."""
SMALLEST, LARGEST = np.exp(-14.0), np.exp(4.0)
"""Bounds of a variance."""
JITTER = 1e-9


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What was timed, for n networks of d distinct kernels."""

    counts: Matrix
    """How often each network has each kernel, [n, d]."""
    points: Matrix
    """Standardised features of the kernels, [d, features]."""
    bounds: Vector
    """Roofline seconds of the kernels, [d]."""
    bytes: Vector
    """What the kernels read and write, [d]."""
    seconds: Vector
    """Of the networks, [n]."""


@dataclass(frozen=True, kw_only=True)
class Additive:
    """The fitted model."""

    process: GaussianProcess
    """f; ``samples`` are the kernels' points."""
    seconds_per_kernel: float
    seconds_per_byte: float


def fit_additive(sums: Sums) -> Additive:
    """The most probable model of the sums."""
    fit = _Fit(sums)
    for _ in range(ROUNDS - 1):
        fit.climb()
        fit.search()
    fit.climb()
    return fit.result()


class _Fit:
    """θ = (f, log a, log c) = ``prior`` + L u, K = L Lᵀ."""

    def __init__(self, sums: Sums) -> None:
        self._kernels = len(sums.bounds)
        launched, moved = sums.counts.sum(1), sums.counts @ sums.bytes
        roofline = sums.counts @ sums.bounds
        self._terms = np.column_stack([sums.counts * sums.bounds, launched, moved])
        self._log_seconds = np.log(sums.seconds)
        self._points = sums.points
        self._prior = np.concatenate(
            [
                np.full(self._kernels, np.median(self._log_seconds - np.log(roofline))),
                [np.log(OVERHEAD_SHARE * np.median(sums.seconds) / np.median(launched))],
                [np.log(OVERHEAD_SHARE * np.median(sums.seconds) / np.median(moved))],
            ]
        )
        self._correlations = [_correlation(sums.points, length) for length in LENGTHS]
        self._theta = self._prior.copy()
        self._hyper = np.log([*VARIANCES, NOISE**2])

    def climb(self) -> None:
        """Goes to the most probable θ under the present hyper-parameters."""
        self._root = np.linalg.cholesky(self._covariance())
        self._noise = float(np.exp(self._hyper[-1]))
        u = np.linalg.solve(self._root, self._theta - self._prior)
        loss = self._loss(u)
        for _ in range(MAXIMUM_STEPS):
            residuals, slopes = self._linearised(u)
            weights = _student_weights(residuals, self._noise) / self._noise
            scaled = np.sqrt(weights)[:, None] * (slopes @ self._root)
            gradient = u - scaled.T @ (np.sqrt(weights) * residuals)
            step = -_solve_identity_plus(scaled, gradient)
            length, decrease = self._line_search(u, step, loss, float(gradient @ step))
            if length == 0.0:
                break
            u, loss = u + length * step, loss - decrease
            if decrease < 1e-8 * max(1.0, abs(loss)):
                break
        self._u, self._theta = u, self._prior + self._root @ u

    def search(self) -> None:
        """Moves the hyper-parameters to a higher marginal likelihood of the linearised sums."""
        residuals, slopes = self._linearised(self._u)
        weights = np.sqrt(_student_weights(residuals, self._noise))
        targets = weights * (residuals + slopes @ (self._theta - self._prior))
        slopes, targets, rest, spare = _compressed(weights[:, None] * slopes, targets)
        of_kernels, of_overhead = slopes[:, : self._kernels], slopes[:, self._kernels :]
        parts = [of_kernels @ c @ of_kernels.T for c in self._correlations]
        fixed = OVERHEAD_WIDTH**2 * of_overhead @ of_overhead.T
        start = np.log([*VARIANCES, NOISE**2])
        identity = np.eye(len(targets))

        def loss(hyper: Vector) -> tuple[float, Vector]:
            scales = np.exp(hyper)
            covariance = fixed + scales[-1] * identity
            for scale, part in zip(scales, parts, strict=False):
                covariance = covariance + scale * part
            factor = cho_factor(covariance, lower=True)
            solved, inverse = cho_solve(factor, targets), cho_solve(factor, identity)
            excess = inverse - np.outer(solved, solved)
            value = targets @ solved / 2 + np.log(np.diag(factor[0])).sum()
            value += (rest / scales[-1] + spare * hyper[-1]) / 2
            slope = [scale * (excess * p).sum() for scale, p in zip(scales, parts, strict=False)]
            slope.append(scales[-1] * np.trace(excess) + spare - rest / scales[-1])
            away = (hyper - start) / LOG_WIDTH
            gradient = np.array(slope) / 2 + away / LOG_WIDTH
            gradient[0] = 0.0  # the constant's variance is kept
            return float(value + away @ away / 2), gradient

        bounds = [(np.log(SMALLEST), np.log(LARGEST))] * len(start)
        found = minimize(
            loss, self._hyper, jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": MAXIMUM_SEARCH},
        )  # fmt: skip
        self._hyper = found.x

    def result(self) -> Additive:
        """The model at the present θ; the process' uncertainty is that of the linearised sums."""
        residuals, slopes = self._linearised(self._u)
        weights = np.sqrt(_student_weights(residuals, self._noise))
        scaled = weights[:, None] * slopes
        explained = scaled @ self._root
        inner = explained @ explained.T + self._noise * np.eye(len(scaled))
        seen = scaled[:, : self._kernels]
        of_f = self._u[: self._kernels]
        process = GaussianProcess(
            samples=self._points,
            weights=np.linalg.solve(self._root[: self._kernels, : self._kernels].T, of_f),
            inverse=seen.T @ np.linalg.solve(inner, seen),
            extra=np.zeros(self._kernels),
            mean=float(self._prior[0]),
            variances=np.exp(self._hyper[:-1]),
            lengths=LENGTHS,
            noise=0.0,
        )
        per_kernel, per_byte = np.exp(self._theta[self._kernels :])
        return Additive(
            process=process,
            seconds_per_kernel=float(per_kernel),
            seconds_per_byte=float(per_byte),
        )

    def _covariance(self) -> Matrix:
        size = self._kernels + 2
        covariance = OVERHEAD_WIDTH**2 * np.eye(size)
        inner = JITTER * np.eye(self._kernels)
        for variance, part in zip(np.exp(self._hyper), self._correlations, strict=False):
            inner = inner + variance * part
        covariance[: self._kernels, : self._kernels] = inner
        return covariance

    def _linearised(self, u: Vector) -> tuple[Vector, Matrix]:
        """Log t - log prediction [n], and the prediction's log slopes in θ [n, d + 2]."""
        parts = self._terms * np.exp(self._prior + self._root @ u)
        predicted = parts.sum(1)
        return self._log_seconds - np.log(predicted), parts / predicted[:, None]

    def _loss(self, u: Vector) -> float:
        residuals, _ = self._linearised(u)
        tails = _tails(residuals)
        errors = (tails + 1) * np.log1p(residuals**2 / (tails * self._noise))
        return float(u @ u + errors.sum()) / 2

    def _line_search(
        self, u: Vector, step: Vector, loss: float, slope: float
    ) -> tuple[float, float]:
        """Length of the step that lowers the loss, and by how much; 0 where none does."""
        length = 1.0
        while length > 1e-4:
            decrease = loss - self._loss(u + length * step)
            if decrease >= -1e-4 * length * slope:
                return length, decrease
            length /= 2
        return 0.0, 0.0


def _correlation(points: Matrix, length: float) -> Matrix:
    squares = (points**2).sum(1)[:, None] + (points**2).sum(1) - 2 * points @ points.T
    correlation: Matrix = np.exp(-np.maximum(squares, 0.0) / (2 * length**2))
    return correlation


def _student_weights(residuals: Vector, noise: float) -> Vector:
    tails = _tails(residuals)
    weights: Vector = (tails + 1) / (tails + residuals**2 / noise)
    return weights


def _tails(residuals: Vector) -> Vector:
    """Degrees of freedom of each; residuals are log t - log prediction."""
    return np.where(residuals > 0, SLOWER, FASTER)


def _solve_identity_plus(a: Matrix, right: Vector) -> Vector:
    """(I + AᵀA)⁻¹ right, over the smaller side of A."""
    rows, columns = a.shape
    if rows < columns:
        inner = np.linalg.solve(np.eye(rows) + a @ a.T, a @ right)
        return right - a.T @ inner
    return np.asarray(np.linalg.solve(np.eye(columns) + a.T @ a, right))


def _compressed(slopes: Matrix, targets: Vector) -> tuple[Matrix, Vector, float, int]:
    """As many rows as columns at most, that say the same of θ.

    Also the sum of squares that no θ explains, and how many rows were saved: what they say of the
    noise.
    """
    rows, columns = slopes.shape
    if rows <= columns:
        return slopes, targets, 0.0, 0
    basis, small = np.linalg.qr(slopes)
    inside = basis.T @ targets
    return small, inside, max(float(targets @ targets - inside @ inside), 0.0), rows - columns
