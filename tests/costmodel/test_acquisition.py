import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.calibration.acquisition import Belief, chances, pick, prior_belief
from costmodel.regression.gaussian_process import GaussianProcess, fit_process

VARIANCES, LENGTHS, NOISE = np.array([0.5, 0.1]), np.array([2.0, 0.5]), 1e-3


def prior(one, other):
    """Covariance point by point: the slow obvious version."""
    return np.array(
        [
            [(VARIANCES * np.exp(-((a - b) ** 2).sum() / (2 * LENGTHS**2))).sum() for b in other]
            for a in one
        ]
    ).reshape(len(one), len(other))


def belief(samples):
    """A process of known hyper-parameters that has seen ``samples``."""
    inverse = np.linalg.inv(prior(samples, samples) + NOISE * np.eye(len(samples)))
    features = samples.shape[1]
    return Belief(
        center=np.zeros(features),
        scale=np.ones(features),
        process=GaussianProcess(
            samples=samples, weights=np.zeros(len(samples)), inverse=inverse,
            extra=np.zeros(len(samples)), mean=0.0, variances=VARIANCES, lengths=LENGTHS,
            noise=NOISE,
        ),
    )  # fmt: skip


def posterior(seen, one, other):
    kept = np.linalg.inv(prior(seen, seen) + NOISE * np.eye(len(seen)))
    return prior(one, other) - prior(one, seen) @ kept @ prior(seen, other)


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def mean_variance(seen, references, weights):
    return np.einsum("ri,ij,rj->", weights, posterior(seen, references, references), weights)


def test_covariance_is_that_of_the_textbook():
    seen, one, other = drawn(0, 7, 3), drawn(1, 4, 3), drawn(2, 5, 3)
    assert belief(seen).covariance(one, other) == pytest.approx(posterior(seen, one, other))
    assert belief(seen).variance(one) == pytest.approx(np.diag(posterior(seen, one, one)))


def test_variance_is_that_of_the_fitted_process():
    points = drawn(0, 40, 3)
    process = fit_process(points, np.sin(points).sum(1))
    found = Belief(center=np.zeros(3), scale=np.ones(3), process=process)
    others = drawn(1, 9, 3)
    _, deviation = process.predict(others)
    assert found.variance(others) + process.noise == pytest.approx(deviation**2)


def test_before_anything_is_timed_nothing_is_known():
    rows = 5 + 3 * drawn(0, 50, 4)
    found = prior_belief(rows)
    assert found.variance(rows) == pytest.approx(found.process.variances.sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_each_pick_lessens_the_variance_of_the_networks_most(seed):
    """Against trying every candidate, one after the other, with the whole algebra anew."""
    seen, candidates, references = drawn(seed, 5, 2), drawn(seed + 1, 8, 2), drawn(seed + 2, 6, 2)
    weights = np.abs(drawn(seed + 3, 4, 6))
    picked = pick(belief(seen), candidates, references, weights, 3)
    for place, chosen in enumerate(picked):
        known = np.concatenate([seen, candidates[picked[:place]]])
        left = {
            i: mean_variance(np.concatenate([known, candidates[i : i + 1]]), references, weights)
            for i in range(len(candidates))
            if i not in picked[:place]
        }
        assert left[chosen] == pytest.approx(min(left.values()), rel=1e-6)


def test_equal_candidates_are_not_all_picked():
    """Once one is timed the others say nothing new: the batch is conditioned within itself."""
    near, far = np.zeros((5, 2)), np.full((1, 2), 3.0)
    candidates = np.concatenate([near, far])
    picked = pick(prior_belief(drawn(0, 30, 2)), candidates, candidates, np.eye(6), 2)
    assert 5 in picked


def test_kernels_that_networks_spend_no_time_in_are_left():
    candidates = np.array([[0.0, 0.0], [9.0, 9.0]])
    weights = np.array([[1.0, 0.0]])
    assert pick(belief(drawn(0, 3, 2)), candidates, candidates, weights, 1) == [0]


def test_no_more_are_picked_than_there_are():
    candidates = drawn(0, 3, 2)
    picked = pick(belief(drawn(1, 3, 2)), candidates, candidates, np.eye(3), 10)
    assert sorted(picked) == [0, 1, 2]


def test_chances_by_hand():
    starts = np.array([0, 3])
    log_seconds = np.array([0.0, 1.0, 2.0, 5.0, 5.0])
    sure = chances(log_seconds, np.full(5, 1e-9), starts, 0)
    assert sure[:3].tolist() == [1, 0, 0]
    unsure = chances(log_seconds, np.full(5, 0.1), starts, 0)
    assert unsure[3] == pytest.approx(0.5, abs=0.15)
    assert np.add.reduceat(unsure, starts) == pytest.approx([1, 1])
