import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from search import pareto
from search.sampling.improvement import expected_gain, gain, margin

REFERENCE = np.array([1.0, 1.0])
share = st.floats(0, 1.2)
NAN = math.nan


def sampled_gain(known, mean, deviation, front, trained, reference=REFERENCE):
    """The mean gain over many even quantiles of the trained cost: slow and obvious."""
    before = pareto.hypervolume(front, reference) if len(front) else 0.0
    gains = []
    for level in (np.arange(400) + 0.5) / 400:
        point = np.insert([known], trained, mean + deviation * norm.ppf(level))
        gains.append(pareto.hypervolume([*front, point], reference) - before)
    return np.mean(gains)


@pytest.mark.parametrize("trained", [0, 1])
@given(st.lists(st.tuples(share, share), max_size=5), share, share, st.floats(0.01, 0.5))
@settings(max_examples=10, deadline=None)
def test_the_expected_gain_of_two_costs_is_the_mean_of_the_gains(
    trained, front, known, mean, deviation
):
    costs = np.insert(np.array([[known]]), trained, NAN, axis=1)
    points = np.array(front).reshape(-1, 2)
    found = expected_gain(costs, np.array([[mean]]), np.array([[deviation]]), points, REFERENCE)
    expected = sampled_gain(known, mean, deviation, points, trained)
    assert found[0] == pytest.approx(expected, abs=2e-3)


def test_with_three_costs_the_gain_is_near_the_mean_of_the_gains():
    rng = np.random.default_rng(0)
    front, reference = rng.random((6, 3)), np.ones(3)
    known = np.array([[NAN, 0.2, 0.3], [NAN, 0.5, 0.5]])
    found = expected_gain(known, np.full((2, 1), 0.4), np.full((2, 1), 0.2), front, reference)
    for row, value in zip(known, found, strict=True):
        draws = [gain(np.append(y, row[1:]), front, reference) for y in rng.normal(0.4, 0.2, 1000)]
        assert value == pytest.approx(np.mean(draws), rel=0.15)


def test_a_gain_is_the_difference_of_two_volumes():
    rng = np.random.default_rng(1)
    front, reference = rng.random((8, 3)), np.ones(3)
    for point in rng.random((20, 3)):
        volume = pareto.hypervolume([*front, point], reference)
        expected = volume - pareto.hypervolume(front, reference)
        assert gain(point, front, reference) == pytest.approx(expected, abs=1e-12)


def test_more_promising_is_cheaper_or_better_or_less_certain():
    front = np.array([[0.3, 0.6], [0.6, 0.3]])
    known = np.array([[0.5, NAN], [0.4, NAN], [0.5, NAN], [0.5, NAN]])
    means = np.array([[0.7], [0.7], [0.6], [0.7]])
    deviations = np.array([[0.1], [0.1], [0.1], [0.2]])
    found = expected_gain(known, means, deviations, front, REFERENCE)
    assert found[0] < min(found[1:])


def test_the_margin_is_in_deviations_from_the_point_that_dominates_most():
    front = np.array([[0.3, 0.6], [0.6, 0.3]])
    known = np.array([[0.2, NAN], [0.4, NAN], [0.7, NAN], [0.3, NAN]])
    means, deviations = np.full((4, 1), 0.5), np.full((4, 1), 0.1)
    assert margin(known, means, deviations, front) == pytest.approx([np.inf, 1.0, -2.0, 1.0])
