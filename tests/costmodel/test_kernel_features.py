import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_drawing import make_gpu
from drawing import (
    any_pool_kernels,
    conv_kernels,
    depthwise_kernels,
    elementwise_kernels,
    make_target,
    pool_kernels,
    softmax_kernels,
    targets,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hw_profiles
from costmodel.features import (
    FEATURES,
    NAMES,
    analyse,
    extract,
    roofline_seconds,
    row,
    rows_and_bounds,
)
from costmodel.kernels import ConvKernel
from costmodel.loopnest import Access, Loop, LoopKind, LoopNest, Statement
from costmodel.profile import ProfileStore
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import describe, points
from costmodel.target import CpuTarget

LAYER = ConvKernel(
    height=6, width=10, channels=3, input_stride=8, filters=20, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip
SCHEDULE = Schedule("direct", (("vectors", 3), ("columns", 5)))
TARGET = make_target(lanes=8)
SHIPPED = ProfileStore([Path(hw_profiles.__file__).parent])


def features(target=TARGET, kernel=LAYER, schedule=SCHEDULE):
    found = extract(describe(kernel, schedule, target), target, kernel.flops)
    return dict(zip(NAMES, found, strict=True))


def test_every_feature_says_its_unit_and_its_reason():
    for feature in FEATURES:
        assert feature.name.isidentifier()
        assert feature.unit
        assert len(feature.reason) > 10
        assert feature.cpu or feature.gpu


def test_names_are_distinct():
    assert len(set(NAMES)) == len(NAMES) == len(FEATURES)


ANY_KERNEL = st.one_of(
    conv_kernels(), pool_kernels(), any_pool_kernels(), depthwise_kernels(), elementwise_kernels(),
    softmax_kernels(),
)  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_KERNEL, targets)
def test_features_and_roofline_are_finite_for_every_point(kernel, target):
    for schedule in points(kernel, target)[:8]:
        nest = describe(kernel, schedule, target)
        assert np.isfinite(extract(nest, target, kernel.flops)).all()
        assert 0 < roofline_seconds(nest, target) < 1


KINDS = st.sampled_from(list(LoopKind))


@st.composite
def any_nests(draw):
    """Statements that no schedule of ours has: any loops, any strides, no loads, no arithmetic."""
    statements = []
    for _ in range(draw(st.integers(1, 3))):
        loops = draw(st.lists(st.builds(Loop, st.integers(2, 500), KINDS), max_size=6))
        strides = st.tuples(*[st.integers(-3, 4000)] * len(loops))
        accesses = st.builds(Access, st.sampled_from("xyz"), strides, st.none())
        flops = draw(st.integers(0, 9))
        loads = tuple(draw(st.lists(accesses, max_size=3)))
        statements.append(Statement(tuple(loops), draw(accesses), loads, flops, guarded=True))
    return LoopNest(tuple(statements))


@settings(deadline=None, max_examples=200)
@given(any_nests(), st.sampled_from([TARGET, make_target(4, cores=4), make_gpu()]))
def test_features_of_any_loops_are_finite(nest, target):
    assert np.isfinite(extract(nest, target, 0)).all()
    assert 0 < roofline_seconds(nest, target) < math.inf


def test_features_of_a_layer_by_hand():
    """Tile 5 columns x 3 vectors; 6 rows x 2 tiles; reduced over 3 x 3 x 3; pad 8x12x8."""
    trips, tiles = 6 * 2 * 27, 6 * 2
    arithmetic = trips * 15 / 2
    sums = tiles * 15
    spills = 2 * trips  # 15 sums and two operands want 17 registers of 16
    loads = (trips * (3 + 5) + sums + spills) / 2
    chain = trips * 4
    issued = (trips * (15 + 8 + 3) + 2 * sums + spills) / 4
    # Copies: of the pad, a vector loaded and stored and three instructions of its loop at four a
    # cycle; of the tiles, two vectors a cycle.
    pad = 8 * 12 * (2 + 3) / 4
    initialised = sums / 2
    written = (sums + 3 * tiles + sums) / 2  # sums and bias read, output written
    bound = max(arithmetic, loads, chain, issued) + pad + initialised + written
    found = features()
    assert found["loads_per_fma"] == pytest.approx(loads * 2 / (trips * 15))
    assert found["fma_share"] == pytest.approx(arithmetic / found_bound(found))
    assert found["load_share"] == pytest.approx(loads / found_bound(found))
    assert found["issue_share"] == pytest.approx(issued / found_bound(found))
    assert math.exp(found["latency_share"]) == pytest.approx(chain / found_bound(found))
    assert found_bound(found) == pytest.approx(bound)
    assert found["accumulators"] == 15
    assert found["register_share"] == (15 + 8) / 16
    assert found["spills_per_fma"] == pytest.approx(2 * 1 / 15)
    assert found["vector_fill"] == 1
    assert found["gathered_share"] == 0
    assert found["scalar_loads_per_fma"] == pytest.approx(5 / 15)
    assert math.exp(found["tiles"]) == pytest.approx(tiles)
    assert math.exp(found["trips_per_tile"]) == pytest.approx(27)
    assert math.exp(found["innermost_extent"]) == pytest.approx(3)
    assert found["reduction_depth"] == 3
    assert found["statements"] == 4
    assert found["guarded"] == 0
    assert found["busy_share"] == 1
    assert found["useful_share"] == pytest.approx(
        2 * 27 * 20 * 60 / (2 * 27 * 24 * 60 + 2 * 24 * 60)
    )


def found_bound(found):
    return math.exp(found["bound_cycles"])


def test_roofline_by_hand():
    nest = describe(LAYER, SCHEDULE, TARGET)
    assert roofline_seconds(nest, TARGET) == pytest.approx(found_bound(features()) / 1e9)


def test_memory_binds_where_the_second_cache_is_too_small():
    starved = make_target(lanes=8, memory_gb_per_s=1e-3, l1_bytes=1024, l2_bytes=1024)
    touched = math.exp(features(starved)["touched_bytes"])
    nest = describe(LAYER, SCHEDULE, starved)
    assert roofline_seconds(nest, starved) == pytest.approx(touched / 1e6)


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
        {"issue_width": 3.0},
        {"out_of_order": False},
        {"vector_registers": 32},
        {"l1_bytes": 1024},
        {"l2_bytes": 1024**2},
        {"l2_bytes_per_cycle": 8.0},
        {"frequency_mhz": 999.0},
        {"memory_gb_per_s": 9.0},
    ],
)
def test_cores_that_differ_in_a_fact_have_features_that_differ(fact):
    assert features(make_target(lanes=8, **fact)) != features()


@pytest.mark.parametrize("fact", [{"frequency_mhz": 500.0}, {"fma_per_cycle": 0.25}])
def test_a_slower_core_has_a_higher_roofline(fact):
    nest = describe(LAYER, SCHEDULE, TARGET)
    assert roofline_seconds(nest, make_target(lanes=8, **fact)) > roofline_seconds(nest, TARGET)


def shipped_cores():
    """The ARM cores that ship, by name."""
    named = {name: SHIPPED.get(name).file.target for name in SHIPPED.names()}
    found = {name: SHIPPED.get(name).target() for name, file in named.items() if file != "host"}
    return {name: target for name, target in found.items()
            if isinstance(target, CpuTarget) and target.vector_lanes == 4}  # fmt: skip


def test_every_two_shipped_arm_cores_have_features_that_differ():
    """Of the same loops, and not by the frequency alone."""
    cores = shipped_cores()
    assert len(cores) >= 6
    nest = describe(LAYER, Schedule("direct", (("vectors", 2), ("columns", 5))), make_target(4))
    rows = {}
    for name, target in cores.items():
        found = dict(zip(NAMES, extract(nest, replace(target, cores=1), LAYER.flops), strict=True))
        del found["frequency"]
        rows[name] = found
    for one, other in itertools.combinations(rows, 2):
        assert rows[one] != rows[other], (one, other)


def test_two_cores_halve_the_roofline_and_share_the_rows():
    both = make_target(lanes=8, cores=2)
    large = replace(LAYER, height=40, width=20)
    nest = describe(large, SCHEDULE, both)
    alone = describe(large, SCHEDULE, TARGET)
    assert roofline_seconds(nest, both) == pytest.approx(
        roofline_seconds(alone, TARGET) / 2, rel=0.05
    )
    assert features(both, large)["busy_share"] == 1


@pytest.mark.parametrize(("turns", "busy"), [(3, 3 / 4), (4, 1), (5, 5 / 8), (9, 9 / 12), (1, 1)])
def test_cores_wait_for_the_last_turn(turns, busy):
    """Of four cores; a loop of one turn is none and keeps one core busy."""
    loops = (Loop(turns, LoopKind.PARALLEL),) if turns > 1 else ()
    loops += (Loop(1000, LoopKind.SERIAL),)
    strides = (1000, 1)[-len(loops) :]
    x, y = Access("x", strides, None), Access("y", strides, None)
    nest = LoopNest((Statement(loops, y, (x,), 1, guarded=False),))
    four = make_target(8, cores=4)
    analysis = analyse(nest, four, 1)
    assert analysis.busy_cores == pytest.approx(4 * busy if turns > 1 else 1)
    seconds = analysis.bound_cycles / analysis.busy_cores / 1e9
    assert analysis.roofline_seconds == pytest.approx(seconds)


def test_scalar_code_fills_one_lane():
    loops = (Loop(30, LoopKind.SERIAL), Loop(100, LoopKind.SERIAL))
    store = Access("y", (1, 0), None)
    loads = (store, Access("a", (100, 1), None), Access("b", (0, 1), None))
    nest = LoopNest((Statement(loops, store, loads, 2, guarded=False),))
    found = dict(zip(NAMES, extract(nest, TARGET, 6000), strict=True))
    assert found["vector_fill"] == 1 / 8
    # Every addition waits for the one before.
    assert math.exp(found["latency_share"]) > 0.7


def test_what_is_read_with_a_stride_is_gathered():
    loops = (Loop(50, LoopKind.SERIAL), Loop(8, LoopKind.VECTORIZED))
    store = Access("y", (8, 1), None)
    for stride, share in ((1, 0), (3, 8 / 9)):
        load = Access("x", (8 * stride, stride), None)
        nest = LoopNest((Statement(loops, store, (load,), 1, guarded=False),))
        found = dict(zip(NAMES, extract(nest, TARGET, 400), strict=True))
        assert found["gathered_share"] == pytest.approx(share)


def test_rows_of_many_schedules_are_the_rows_of_each():
    schedules = points(LAYER, TARGET)
    nests = [describe(LAYER, schedule, TARGET) for schedule in schedules]
    rows, bounds = rows_and_bounds(nests, TARGET, LAYER.flops)
    for i, nest in enumerate(nests):
        assert np.array_equal(rows[i], extract(nest, TARGET, LAYER.flops))
        assert bounds[i] == roofline_seconds(nest, TARGET)


def test_reading_a_nest_takes_less_than_half_a_millisecond():
    """0.1 ms on an idle core; five times that for a machine at work, best of many."""
    nest = describe(LAYER, SCHEDULE, TARGET)

    def once():
        started = time.perf_counter()
        analysis = analyse(nest, TARGET, LAYER.flops)
        row(analysis)
        return time.perf_counter() - started

    assert min(once() for _ in range(50)) < 0.5e-3
