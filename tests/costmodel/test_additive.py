"""The process learnt from sums: against slow obvious versions, and on devices that are known."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.stats import multivariate_normal

from costmodel.calibration import additive
from costmodel.calibration.additive import Sums, fit_additive

KERNELS = 12


def drawn(networks=40, kernels=KERNELS, noise=0.0, seed=0, per_kernel=0.0, per_byte=0.0):
    """Sums of kernels whose log ratios are smooth in two features, and those ratios."""
    generator = np.random.default_rng(seed)
    points = generator.standard_normal((kernels, 2))
    ratios = 1.0 + 0.5 * np.sin(points[:, 0]) + 0.3 * points[:, 1]
    bounds = np.exp(generator.normal(-9, 0.7, kernels))
    size = np.exp(generator.normal(12, 0.5, kernels))
    counts = generator.integers(0, 4, (networks, kernels)).astype(float)
    counts[:, 0] += 1
    seconds = counts @ (bounds * np.exp(ratios)) + per_kernel * counts.sum(1)
    seconds = seconds + per_byte * (counts @ size)
    seconds = seconds * np.exp(noise * generator.standard_normal(networks))
    sums = Sums(counts=counts, points=points, bounds=bounds, bytes=size, seconds=seconds)
    return sums, ratios


def predicted(model, sums):
    ratios, _ = model.process.predict(sums.points)
    seconds = sums.counts @ (sums.bounds * np.exp(ratios))
    seconds = seconds + model.seconds_per_kernel * sums.counts.sum(1)
    return seconds + model.seconds_per_byte * (sums.counts @ sums.bytes)


def test_kernels_that_no_one_timed_alone_are_found_from_sums():
    sums, ratios = drawn()
    model = fit_additive(sums)
    parts = sums.bounds * np.exp(model.process.predict(sums.points)[0])
    overhead = model.seconds_per_kernel + model.seconds_per_byte * sums.bytes
    np.testing.assert_allclose(parts + overhead, sums.bounds * np.exp(ratios), rtol=0.02)


def test_sums_that_were_never_seen_are_predicted_by_their_kernels():
    sums, _ = drawn(networks=60, noise=0.01, per_kernel=3e-6)
    seen = dataclasses.replace(sums, counts=sums.counts[:40], seconds=sums.seconds[:40])
    unseen = dataclasses.replace(sums, counts=sums.counts[40:], seconds=sums.seconds[40:])
    errors = predicted(fit_additive(seen), unseen) / unseen.seconds - 1
    assert np.abs(errors).mean() < 0.02


def test_a_kernel_between_others_takes_what_they_say():
    sums, ratios = drawn(networks=150, kernels=60, seed=1)
    known = np.arange(60) < 50
    model = fit_additive(
        Sums(
            counts=sums.counts[:, known],
            points=sums.points[known],
            bounds=sums.bounds[known],
            bytes=sums.bytes[known],
            seconds=sums.counts[:, known] @ (sums.bounds * np.exp(ratios))[known],
        )
    )
    found, _ = model.process.predict(sums.points[~known])
    spread = np.std(ratios[~known])
    assert np.sqrt(np.mean((found - ratios[~known]) ** 2)) < 0.3 * spread


def test_a_start_that_is_most_of_the_time_is_told_from_what_kernels_take():
    """Sixty times what the kernels take: their ratios to the roofline would have to be absurd."""
    sums, _ = drawn(networks=80, per_kernel=2e-2, noise=0.002)
    model = fit_additive(sums)
    assert np.abs(predicted(model, sums) / sums.seconds - 1).max() < 0.02
    assert model.seconds_per_kernel == pytest.approx(2e-2, rel=0.3)


def test_networks_that_were_disturbed_hardly_move_the_others():
    sums, _ = drawn(networks=60, noise=0.01)
    disturbed = sums.seconds.copy()
    disturbed[::10] *= 1.5
    model = fit_additive(dataclasses.replace(sums, seconds=disturbed))
    errors = np.abs(predicted(model, sums) / sums.seconds - 1)
    assert errors.mean() < 0.02


def test_a_network_that_is_far_too_slow_counts_less_than_one_that_is_far_too_fast():
    """What disturbs a timing slows it down."""
    residuals = np.array([-0.3, -0.03, 0.03, 0.3])
    fast, near_fast, near_slow, slow = additive._student_weights(residuals, 0.03**2)
    assert slow < 0.2 * fast < near_fast
    assert slow < 0.05 * near_slow


def test_the_unit_of_time_changes_nothing():
    sums, _ = drawn(noise=0.02)
    once = fit_additive(sums)
    thousandfold = dataclasses.replace(
        sums, bounds=1e3 * sums.bounds, bytes=1e3 * sums.bytes, seconds=1e3 * sums.seconds
    )
    again = fit_additive(thousandfold)
    np.testing.assert_allclose(
        again.process.predict(sums.points)[0], once.process.predict(sums.points)[0], atol=1e-3
    )
    assert again.seconds_per_kernel == pytest.approx(1e3 * once.seconds_per_kernel, rel=1e-2)


def test_a_twice_as_slow_runtime_has_the_same_kernels_twice_as_slow():
    sums, _ = drawn(noise=0.02)
    once = predicted(fit_additive(sums), sums)
    twice = fit_additive(dataclasses.replace(sums, seconds=2 * sums.seconds))
    np.testing.assert_allclose(predicted(twice, sums), 2 * once, rtol=1e-3)


def test_kernels_unlike_all_others_are_less_sure():
    sums, _ = drawn(noise=0.02)
    process = fit_additive(sums).process
    _, near = process.predict(sums.points)
    _, far = process.predict(sums.points + 30.0)
    assert far.min() > near.max()


def test_climbing_ends_where_a_general_optimiser_does():
    sums, _ = drawn(networks=20, noise=0.1)
    fit = additive._Fit(sums)
    fit.climb()
    slow = minimize(fit._loss, np.zeros_like(fit._u), method="BFGS", options={"gtol": 1e-7})
    assert fit._loss(fit._u) == pytest.approx(slow.fun, abs=1e-4)
    np.testing.assert_allclose(fit._u, slow.x, atol=2e-2)


def test_slopes_are_those_of_finite_differences():
    sums, _ = drawn(networks=5)
    fit = additive._Fit(sums)
    fit.climb()
    u = np.random.default_rng(1).normal(0, 0.1, len(fit._u))
    _, slopes = fit._linearised(u)
    for network in range(5):
        expected = approx_fprime(u, lambda v, n=network: fit._linearised(v)[0][n], 1e-7)
        np.testing.assert_allclose(-slopes[network] @ fit._root, expected, atol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(30, 8), (8, 30), (9, 9)])
def test_fewer_rows_say_the_same_of_hyper_parameters(rows, columns):
    """The compressed likelihood differs from the full one by what holds no hyper-parameter."""
    generator = np.random.default_rng(rows)
    slopes, targets = generator.standard_normal((rows, columns)), generator.standard_normal(rows)
    small, inside, rest, spare = additive._compressed(slopes, targets)
    assert len(small) == min(rows, columns)

    def differences(variance, noise):
        full = variance * slopes @ slopes.T + noise * np.eye(rows)
        less = variance * small @ small.T + noise * np.eye(len(small))
        exact = -multivariate_normal(cov=full).logpdf(targets)
        quick = -multivariate_normal(cov=less).logpdf(inside)
        return exact - (quick + (rest / noise + spare * np.log(noise)) / 2)

    assert differences(0.5, 0.1) == pytest.approx(differences(2.0, 0.7))


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4)])
def test_the_smaller_side_solves_the_same_system(rows, columns):
    generator = np.random.default_rng(0)
    a, right = generator.standard_normal((rows, columns)), generator.standard_normal(columns)
    solved = additive._solve_identity_plus(a, right)
    np.testing.assert_allclose((np.eye(columns) + a.T @ a) @ solved, right)
