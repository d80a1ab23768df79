import math

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from search.sampling.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    fit,
    negative_log_likelihood,
)

RNG = np.random.default_rng(0)
INPUTS = RNG.integers(0, 8, (40, 5)) / 7
TARGETS = INPUTS[:, 0] * 2 + np.sin(5 * INPUTS[:, 1]) + RNG.normal(0, 0.2, 40)
TARGETS = (TARGETS - TARGETS.mean()) / TARGETS.std()
KNOWN = Hyperparameters(np.array([0.5, 0.8, 1.5, 3.0, 9.0]), 1.3, 0.05)


def their_kernel():
    return ConstantKernel(KNOWN.signal) * Matern(KNOWN.lengths, nu=2.5)


def test_predictions_are_those_of_scikit_learn():
    theirs = GaussianProcessRegressor(their_kernel(), alpha=KNOWN.noise, optimizer=None)
    theirs.fit(INPUTS, TARGETS)
    where = RNG.random((30, 5))
    mean, deviation = theirs.predict(where, return_std=True)
    ours = GaussianProcess(INPUTS, TARGETS, KNOWN).predict(where)
    assert ours[0] == pytest.approx(mean)
    assert ours[1] == pytest.approx(deviation)


def test_the_likelihood_is_that_of_a_normal_vector():
    logs = np.log([*KNOWN.lengths, KNOWN.signal, KNOWN.noise])
    covariance = their_kernel()(INPUTS) + KNOWN.noise * np.eye(len(INPUTS))
    expected = -multivariate_normal(np.zeros(len(INPUTS)), covariance).logpdf(TARGETS)
    assert negative_log_likelihood(INPUTS, TARGETS, logs)[0] == pytest.approx(expected)


def test_its_slope_is_the_one_of_small_steps():
    for logs in RNG.normal(-0.5, 0.5, (5, 7)):
        error = check_grad(
            lambda at: negative_log_likelihood(INPUTS, TARGETS, at)[0],
            lambda at: negative_log_likelihood(INPUTS, TARGETS, at)[1],
            logs,
        )
        assert error < 1e-3


def test_inputs_that_matter_get_short_lengths_and_the_noise_is_found():
    inputs = RNG.random((150, 6))
    targets = np.sin(6 * inputs[:, 2]) + RNG.normal(0, 0.3, 150)
    scale = targets.std()
    found = fit(inputs, (targets - targets.mean()) / scale)
    assert found.lengths.argmin() == 2
    assert math.sqrt(found.noise) * scale == pytest.approx(0.3, rel=0.25)


def test_far_from_all_points_it_knows_nothing_and_at_many_of_them_much():
    inputs = np.full((50, 5), 0.5)
    process = GaussianProcess(inputs, np.ones(50), KNOWN)
    mean, deviation = process.predict(np.array([[0.5] * 5, [99.0] * 5]))
    assert mean == pytest.approx([1.0, 0.0], abs=0.01)
    assert deviation == pytest.approx([math.sqrt(0.05 / 50), math.sqrt(1.3)], rel=0.01)
