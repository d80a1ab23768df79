import math

import numpy as np
import pytest
from drawing import conv_kernels, make_target, pool_kernels, targets
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.features import FEATURES, NAMES, Analysis, extract, roofline_seconds
from costmodel.kernels import ConvKernel
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import describe, points

LAYER = ConvKernel(
    height=6, width=10, channels=3, input_stride=8, filters=20, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip
SCHEDULE = Schedule("direct", (("vectors", 3), ("columns", 5)))
TARGET = make_target(lanes=8)


def features(target=TARGET, kernel=LAYER, schedule=SCHEDULE):
    row = extract(describe(kernel, schedule, target), target, kernel.flops)
    return dict(zip(NAMES, row, strict=True))


def test_every_feature_says_its_unit_and_its_reason():
    for feature in FEATURES:
        assert feature.name.isidentifier()
        assert feature.unit
        assert len(feature.reason) > 10


def test_names_are_distinct():
    assert len(set(NAMES)) == len(NAMES) == len(FEATURES)


@settings(deadline=None, max_examples=60)
@given(st.one_of(conv_kernels(), pool_kernels()), targets)
def test_features_and_roofline_are_finite_for_every_point(kernel, target):
    for schedule in points(kernel, target):
        nest = describe(kernel, schedule, target)
        assert np.isfinite(extract(nest, target, kernel.flops)).all()
        assert 0 < roofline_seconds(nest, target) < 1


def test_features_of_a_layer_by_hand():
    """Tile 5 columns x 3 vectors; 6 rows x 2 tiles; reduced over 3 x 3 x 3; pad 8x12x8."""
    trips, tiles = 6 * 2 * 27, 6 * 2
    arithmetic = trips * 15 / 2
    loads = trips * (3 + 5) / 2
    chain = trips * 4
    copies = 2 * (8 * 12) + tiles * 15 + tiles * (15 + 15 + 3)  # pad; init; sums, out, bias
    bound = max(arithmetic, loads, chain) + copies / 2
    found = features()
    assert math.exp(found["bound_cycles"]) == pytest.approx(bound)
    assert found["fma_share"] == pytest.approx(arithmetic / bound)
    assert found["load_share"] == pytest.approx(loads / bound)
    assert found["latency_share"] == pytest.approx(chain / bound)
    assert found["side_share"] == pytest.approx(copies / 2 / bound)
    assert found["accumulators"] == 15
    assert found["register_share"] == (15 + 8) / 16
    assert found["loads_per_fma"] == 8 / 15
    assert found["tile_columns"] == 5
    assert math.exp(found["tiles"]) == pytest.approx(tiles)
    assert math.exp(found["trips_per_tile"]) == pytest.approx(27)
    assert math.exp(found["innermost_extent"]) == pytest.approx(3)
    assert found["reduction_depth"] == 3
    assert math.exp(found["inner_starts"]) == pytest.approx(trips / 3)
    assert found["statements"] == 4
    assert found["guarded"] == 0
    assert found["parallel_tasks"] == 1
    assert found["useful_share"] == pytest.approx(
        2 * 27 * 20 * 60 / (2 * 27 * 24 * 60 + 2 * 24 * 60)
    )


def test_bytes_of_a_layer_by_hand():
    """All of it fits both caches: weights whole, and the columns, rows and channels that are read.

    Of the padded copy, 8 x 12 pixels of 8 channels, each row's read spans overlap: what counts is
    the smaller of the elements named and of their span.
    """
    weights, span = 27 * 24, (5 + 2) * 96 + (5 + 2 + 4) * 8 + 2 + 1
    assert math.exp(features()["touched_bytes"]) == pytest.approx(4 * (weights + span))
    assert features()["l1_traffic"] == features()["l2_traffic"] == features()["touched_bytes"]


def test_a_small_cache_costs_traffic():
    small = features(make_target(lanes=8, l1_bytes=1024))
    assert small["l1_traffic"] > features()["l1_traffic"]
    assert small["l2_traffic"] == features()["l2_traffic"]


@pytest.mark.parametrize(
    "fact",
    [
        {"fma_per_cycle": 0.5},
        {"fma_latency": 20.0},
        {"loads_per_cycle": 0.5},
        {"vector_registers": 32},
        {"l1_bytes": 1024},
        {"l2_bytes": 1024},
    ],
)
def test_cores_that_differ_in_a_fact_have_features_that_differ(fact):
    assert features(make_target(lanes=8, **fact)) != features()


@pytest.mark.parametrize("fact", [{"frequency_mhz": 500.0}, {"fma_per_cycle": 0.25}])
def test_a_slower_core_has_a_higher_roofline(fact):
    nest = describe(LAYER, SCHEDULE, TARGET)
    assert roofline_seconds(nest, make_target(lanes=8, **fact)) > roofline_seconds(nest, TARGET)


def test_roofline_by_hand():
    nest = describe(LAYER, SCHEDULE, TARGET)
    cycles = Analysis(nest, TARGET, LAYER.flops).bound_cycles
    assert roofline_seconds(nest, TARGET) == pytest.approx(cycles / 1e9)
    starved = make_target(lanes=8, memory_gb_per_s=1e-3)
    traffic = math.exp(features()["l2_traffic"])
    assert roofline_seconds(nest, starved) == pytest.approx(traffic / 1e6)


def test_two_cores_halve_the_roofline_and_share_the_rows():
    both = make_target(lanes=8, cores=2)
    nest = describe(LAYER, SCHEDULE, both)
    assert roofline_seconds(nest, both) == pytest.approx(
        roofline_seconds(describe(LAYER, SCHEDULE, TARGET), TARGET) / 2
    )
    assert features(both)["parallel_tasks"] == 3
