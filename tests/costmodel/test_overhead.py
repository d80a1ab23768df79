import numpy as np
import pytest
from drawing import make_target

from costmodel.calibration.overhead import fit_overhead
from costmodel.kernels import ConvKernel, PoolKernel
from costmodel.predictor import Overhead, argument_bytes

TARGET = make_target(lanes=8)
TRUE = Overhead(seconds_per_kernel=2e-6, seconds_per_byte=3e-11)


def conv(channels, filters):
    return ConvKernel(
        height=20, width=16, channels=channels, input_stride=TARGET.padded(channels),
        filters=filters, kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1), epilogue=("relu",),
    )  # fmt: skip


def networks(count=12, seed=0):
    generator = np.random.default_rng(seed)
    return [
        [conv(*generator.integers(1, 100, 2).tolist()) for _ in range(generator.integers(2, 9))]
        for _ in range(count)
    ]


def measured(drawn, overhead=TRUE, alone=5e-4):
    sums = [alone] * len(drawn)
    return sums, [alone + overhead.seconds(kernels, TARGET) for kernels in drawn]


def test_traffic_by_hand():
    assert argument_bytes(conv(5, 9), TARGET) == 4 * (320 * 8 + 16 * 5 * 9 + 16 + 320 * 16)
    pool = PoolKernel(
        height=4, width=5, channels=9, input_stride=16, function="average", window=(4, 5)
    )
    assert argument_bytes(pool, TARGET) == 4 * (20 * 16 + 16)


def test_both_terms_are_found_again():
    drawn = networks()
    found = fit_overhead(drawn, *measured(drawn), TARGET)
    assert found.seconds_per_kernel == pytest.approx(TRUE.seconds_per_kernel, rel=0.02)
    assert found.seconds_per_byte == pytest.approx(TRUE.seconds_per_byte, rel=0.02)


def test_one_disturbed_network_hardly_moves_them():
    drawn = networks()
    sums, totals = measured(drawn)
    totals[3] *= 1.5
    found = fit_overhead(drawn, sums, totals, TARGET)
    for kernels in drawn:
        assert found.seconds(kernels, TARGET) == pytest.approx(
            TRUE.seconds(kernels, TARGET), abs=0.01 * 5e-4
        )


def test_networks_faster_than_their_parts_have_no_negative_overhead():
    drawn = networks()
    sums = [1e-3] * len(drawn)
    found = fit_overhead(drawn, sums, [0.95e-3] * len(drawn), TARGET)
    assert 0 <= found.seconds_per_kernel * 9 < 1e-6
    assert 0 <= found.seconds(drawn[0], TARGET) < 1e-6


def test_nothing_measured_is_nothing_added():
    assert fit_overhead([], [], [], TARGET) == Overhead()
    assert Overhead().seconds(networks()[0], TARGET) == 0
