"""A calibration from whole networks: a device that is known, invariants, what is refused."""

import numpy as np
import pytest
from drawing import make_target

from costmodel.calibration.described import DescribedPredictor
from costmodel.calibration.sums import MINIMUM_NETWORKS, fit_best, fit_sums, predict_sums
from costmodel.errors import InputError
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor
from costmodel.regressor import NORMAL_80

TARGET = make_target(8)
LAUNCH = 2e-5


def networks(number, seed=0):
    """Chains of three convolutions, a pool and a dense layer, as kernels."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        network = Network((16, 16, 8))
        value = Network.INPUT
        for _ in range(3):
            filters = int(generator.choice([8, 16, 32, 48]))
            size = int(generator.choice([1, 3, 5]))
            half = size // 2
            value = network.conv2d(
                value, filters=filters, kernel=(size, size), stride=(1, 1), padding=(half,) * 4
            )
            value = network.relu(value)
        network.dense(network.global_average_pool(value), units=10)
        found.append([step.kernel for step in partition(network, TARGET)])
    return found


def seconds_of(kernels):
    """A device that takes twice the roofline, small kernels more, and a start for each."""
    choose = Predictor(TARGET, None, Overhead())
    total = 0.0
    for kernel in kernels:
        bound = choose.rank(kernel)[0][1]
        total += bound * (2 + (1e6 / (kernel.flops + 1e5)) ** 0.3) + LAUNCH
    return total


NETWORKS = networks(90)
SECONDS = [seconds_of(kernels) for kernels in NETWORKS]
TIMED, OTHERS = slice(0, 60), slice(60, 90)


@pytest.fixture(scope="module")
def fitted():
    return fit_sums(NETWORKS[TIMED], SECONDS[TIMED], TARGET)


def test_other_networks_of_a_known_device_are_predicted(fitted):
    predicted = predict_sums(fitted.model, fitted.overhead, NETWORKS[OTHERS], TARGET)
    assert np.abs(predicted / SECONDS[OTHERS] - 1).mean() < 0.03


def test_the_card_is_of_networks_left_out_and_about_right(fitted):
    predicted = predict_sums(fitted.model, fitted.overhead, NETWORKS[OTHERS], TARGET)
    assert fitted.card.networks == 60
    assert fitted.card.mape < 0.05
    assert "left out" in fitted.card.split
    inside = np.abs(predicted / SECONDS[OTHERS] - 1) <= 3 * fitted.card.interval
    assert inside.mean() > 0.8


def test_held_out_pairs_come_in_the_order_given(fitted):
    assert [measured for _, measured in fitted.held_out] == SECONDS[TIMED]


def test_order_changes_nothing(fitted):
    order = np.random.default_rng(0).permutation(60)
    again = fit_sums([NETWORKS[i][::-1] for i in order], [SECONDS[i] for i in order], TARGET)
    np.testing.assert_array_equal(again.model.process.weights, fitted.model.process.weights)
    assert again.overhead == fitted.overhead
    assert again.held_out == tuple(fitted.held_out[i] for i in order)


def test_networks_of_the_same_kernels_are_left_out_together():
    """Else their twins would tell the card what they take: here nothing but twins does."""
    generator = np.random.default_rng(3)
    factors = np.exp(generator.normal(0, 0.5, 20))
    seconds = [s * f for s, f in zip(SECONDS[:20], factors, strict=True)]
    found = fit_sums(NETWORKS[:20] * 3, seconds * 3, TARGET)
    assert found.card.mape > 0.15
    predictions = np.array([p for p, _ in found.held_out]).reshape(3, 20)
    np.testing.assert_array_equal(predictions[0], predictions[1])


def test_the_predictor_of_a_profile_says_what_the_fit_said(fitted):
    """Under the schedules that the fit described kernels by, and not under the fastest."""
    expected = predict_sums(fitted.model, fitted.overhead, NETWORKS[OTHERS][:3], TARGET)
    predictor = DescribedPredictor(TARGET, fitted.model, fitted.overhead)
    for kernels, seconds in zip(NETWORKS[OTHERS], expected, strict=False):
        found = sum(predictor.choose(kernel).seconds for kernel in kernels)
        assert found + fitted.overhead.seconds(kernels, TARGET) == pytest.approx(seconds)


def test_the_schedule_of_the_smallest_roofline_comes_first(fitted):
    described = DescribedPredictor(TARGET, fitted.model, fitted.overhead)
    plain = Predictor(TARGET, fitted.model, fitted.overhead)
    bare = Predictor(TARGET, None, Overhead())
    for kernel in NETWORKS[0]:
        ranked = described.rank(kernel)
        assert ranked[0][0] == bare.rank(kernel)[0][0]
        assert dict(ranked) == dict(plain.rank(kernel))


def test_intervals_hold_most_networks_left_out(fitted):
    predictor = DescribedPredictor(TARGET, fitted.model, fitted.overhead)
    inside = []
    for kernels, seconds in zip(NETWORKS[70:85], SECONDS[70:85], strict=True):
        parts = [(predictor.rank(k)[0][1], k) for k in kernels]
        total = sum(p for p, _ in parts) + fitted.overhead.seconds(kernels, TARGET)
        spread = sum(predictor.choose(k).log_deviation * p for p, k in parts) / total
        inside.append(abs(np.log(total / seconds)) <= NORMAL_80 * spread)
    assert np.mean(inside) >= 0.6


def test_the_reading_that_explains_the_times_is_kept():
    shuffled = [NETWORKS[TIMED][i - 7] for i in range(60)]
    readings = {"shuffled": shuffled, "right": NETWORKS[TIMED]}
    name, found = fit_best(readings, SECONDS[TIMED], TARGET)
    assert name == "right"
    alone = fit_sums(NETWORKS[TIMED], SECONDS[TIMED], TARGET)
    assert found.held_out == alone.held_out
    same = {"first": NETWORKS[TIMED], "second": NETWORKS[TIMED]}
    assert fit_best(same, SECONDS[TIMED], TARGET)[0] == "first"


def test_too_few_networks_are_refused():
    few = NETWORKS[: MINIMUM_NETWORKS - 1]
    with pytest.raises(InputError, match="14 networks whose kernels differ are too few; at least"):
        fit_sums(few * 2, SECONDS[: MINIMUM_NETWORKS - 1] * 2, TARGET)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(InputError, match="must be positive"):
        fit_sums(NETWORKS[:20], [*SECONDS[:19], seconds], TARGET)


def test_each_network_has_one_time_and_at_least_one_kernel():
    with pytest.raises(InputError, match="20 networks have 19 timings"):
        fit_sums(NETWORKS[:20], SECONDS[:19], TARGET)
    with pytest.raises(InputError, match="without kernels"):
        fit_sums([*NETWORKS[:19], []], SECONDS[:20], TARGET)
