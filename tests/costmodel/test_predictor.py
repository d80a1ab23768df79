import numpy as np
import pytest
from drawing import make_target, small_network
from formula_runner import seconds_of_kernel

from costmodel.features import NAMES, extract, roofline_seconds
from costmodel.lowering import lower
from costmodel.partition import partition
from costmodel.predictor import UNCALIBRATED_SPREAD, Overhead, Predictor, measured_rows
from costmodel.schedules.registry import describe, points

TARGET = make_target(8)
STEPS = partition(small_network(), TARGET)


@pytest.fixture(scope="module")
def roofline():
    return Predictor(TARGET, None, Overhead())


@pytest.fixture(scope="module")
def learned(calibrated):
    return Predictor(TARGET, calibrated[0].model, calibrated[0].overhead)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.output)
def test_ranking_is_of_every_point_fastest_first(learned, step):
    ranked = learned.rank(step.kernel)
    assert {schedule for schedule, _ in ranked} == set(points(step.kernel, TARGET))
    seconds = [s for _, s in ranked]
    assert seconds == sorted(seconds)
    assert learned.choose(step.kernel).schedule == ranked[0][0]
    assert learned.choose(step.kernel).seconds == pytest.approx(ranked[0][1])


def test_uncalibrated_the_smallest_roofline_is_chosen(roofline):
    kernel = STEPS[1].kernel
    found = roofline.choose(kernel)
    bounds = [roofline_seconds(describe(kernel, s, TARGET), TARGET) for s in points(kernel, TARGET)]
    assert found.seconds == found.roofline_seconds == min(bounds)
    assert found.log_deviation == UNCALIBRATED_SPREAD


def test_what_is_predicted_is_what_is_lowered(learned):
    found = learned.choose(STEPS[1].kernel)
    assert found.digest == lower(STEPS[1].kernel, found.schedule, TARGET).digest


def test_the_choice_is_nearly_the_fastest_there_is(learned):
    for step in STEPS[:2]:
        truth = [seconds_of_kernel(step.kernel, s, TARGET) for s in points(step.kernel, TARGET)]
        chosen = learned.choose(step.kernel).schedule
        assert seconds_of_kernel(step.kernel, chosen, TARGET) < 1.2 * min(truth)


def test_a_network_is_the_sum_of_its_kernels_and_the_overhead(learned):
    predictions, seconds = learned.predict(STEPS)
    between = learned.overhead.seconds([step.kernel for step in STEPS], TARGET)
    assert between > 0
    assert seconds == pytest.approx(sum(p.seconds for p in predictions) + between)
    assert [p.kernel for p in predictions] == [step.kernel for step in STEPS]


def test_a_kernel_is_lowered_once(learned, monkeypatch):
    first = learned.choose(STEPS[0].kernel)
    monkeypatch.setattr("costmodel.predictor.lower", None)
    assert learned.choose(STEPS[0].kernel) is first


def test_rows_are_features_and_log_ratios_in_order():
    measured = {
        (s.kernel, points(s.kernel, TARGET)[0]): 1e-4 * (i + 1) for i, s in enumerate(STEPS)
    }
    rows, ratios = measured_rows(measured, TARGET)
    assert rows.shape == (len(STEPS), len(NAMES))
    for i, (kernel, schedule) in enumerate(measured):
        nest = describe(kernel, schedule, TARGET)
        assert np.array_equal(rows[i], extract(nest, TARGET, kernel.flops))
        assert np.exp(ratios[i]) * roofline_seconds(nest, TARGET) == pytest.approx(1e-4 * (i + 1))
