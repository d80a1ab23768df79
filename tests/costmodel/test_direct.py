from dataclasses import replace

import numpy as np
from drawing import conv_kernels, make_target, targets
from hypothesis import given, settings

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.direct import (
    MAXIMUM_COLUMNS,
    MAXIMUM_VECTORS,
    MAXIMUM_WASTE,
    MINIMUM_COLUMNS,
    PARALLEL_FLOPS,
)
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import DIRECT

LAYER = ConvKernel(
    height=6, width=10, channels=3, input_stride=8, filters=20, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip


def point(vectors, columns):
    return Schedule("direct", (("vectors", vectors), ("columns", columns)))


@settings(deadline=None, max_examples=60)
@given(conv_kernels(), targets)
def test_every_tile_fits_the_registers_and_wastes_little(kernel, target):
    width = kernel.output_size[1]
    for schedule in DIRECT.points(kernel, target):
        v, t = schedule["vectors"], schedule["columns"]
        assert 1 <= v <= MAXIMUM_VECTORS
        assert 1 <= t <= MAXIMUM_COLUMNS
        assert v * t < target.vector_registers
        assert -(-width // t) * t <= MAXIMUM_WASTE * width
        assert target.padded(kernel.filters) % (v * target.vector_lanes) == 0


def test_filters_are_padded_to_the_block_and_not_to_the_tile():
    kernel = replace(LAYER, filters=40)
    found = {s["vectors"] for s in DIRECT.points(kernel, make_target(lanes=16))}
    assert found == {1, 3}  # 40 filters are three vectors of sixteen


def test_many_vectors_of_filters_come_with_two_columns_and_few_do_not():
    target = make_target(lanes=8, vector_registers=32)
    found = {
        (s["vectors"], s["columns"]) for s in DIRECT.points(replace(LAYER, filters=56), target)
    }
    assert (7, 2) in found
    assert min(columns for vectors, columns in found if vectors == 1) >= MINIMUM_COLUMNS


def test_arguments_of_a_layer_by_hand():
    target = make_target(lanes=8)
    assert DIRECT.shapes(LAYER, point(1, 5), target) == (
        (6, 10, 8),
        (3, 3, 3, 3, 8),
        (24,),
        (6, 10, 24),
    )
    assert DIRECT.shapes(LAYER, point(3, 5), target)[1] == (1, 3, 3, 3, 24)


def test_loops_of_a_layer_by_hand():
    pad, start, sums, out = DIRECT.describe(LAYER, point(3, 5), make_target(lanes=8)).statements
    assert [loop.extent for loop in pad.loops] == [8, 12, 8]
    assert [loop.extent for loop in sums.loops] == [6, 2, 3, 3, 3, 5, 3, 8]
    assert [loop.kind for loop in sums.loops[-3:]] == [
        LoopKind.UNROLLED,
        LoopKind.UNROLLED,
        LoopKind.VECTORIZED,
    ]
    assert sums.total_flops == 2 * 6 * 10 * 27 * 24
    assert (start.flops, out.flops, out.guarded) == (0, 2, False)


def test_a_ragged_width_is_computed_whole_and_stored_under_a_condition():
    nest = DIRECT.describe(LAYER, point(1, 11), make_target(lanes=8))
    assert nest.statements[-1].guarded
    assert nest.hot.total_flops == 2 * 6 * 11 * 27 * 24


def test_a_layer_that_reads_no_zero_has_no_padded_copy():
    kernel = ConvKernel(
        height=6, width=10, channels=3, input_stride=8, filters=20, kernel=(1, 1), stride=(1, 1),
        padding=(0, 0, 0, 0), epilogue=(),
    )  # fmt: skip
    target = make_target(lanes=8)
    assert len(DIRECT.describe(kernel, point(1, 5), target).statements) == 3
    assert len(DIRECT.describe(kernel, point(1, 11), target).statements) == 4
    assert DIRECT.describe(kernel, point(1, 5), target).statements[-1].flops == 1


def parallel_extents(kernel, schedule, cores):
    nest = DIRECT.describe(kernel, schedule, make_target(lanes=8, cores=cores))
    return {
        loop.extent for s in nest.statements for loop in s.loops if loop.kind is LoopKind.PARALLEL
    }


LARGE = replace(LAYER, height=30, width=20)


def test_only_several_cores_have_a_parallel_loop():
    assert parallel_extents(LARGE, point(3, 5), cores=1) == set()
    assert parallel_extents(LARGE, point(3, 5), cores=2) == {30, 32}  # rows, and padded rows


def test_a_small_kernel_stays_on_one_core():
    assert LAYER.flops < PARALLEL_FLOPS <= LARGE.flops
    assert parallel_extents(LAYER, point(3, 5), cores=2) == set()


def test_the_loop_that_shares_out_most_evenly_is_parallel():
    one_row = replace(LARGE, height=1, kernel=(1, 3), padding=(0, 1, 0, 1), width=600)
    assert parallel_extents(one_row, point(3, 5), cores=2) >= {120}


@settings(deadline=None, max_examples=40)
@given(conv_kernels(largest_channels=20), targets)
def test_packed_weights_are_the_weights_and_zeros(kernel, target):
    weight = np.arange(1, 1 + kernel.filters * kernel.channels * np.prod(kernel.kernel)).reshape(
        kernel.filters, kernel.channels, *kernel.kernel
    )
    bias = np.arange(1, 1 + kernel.filters)
    for schedule in DIRECT.points(kernel, target)[:3]:
        packed, packed_bias = DIRECT.pack(kernel, schedule, target, (weight, bias))
        shapes = DIRECT.shapes(kernel, schedule, target)
        assert (packed.shape, packed_bias.shape) == shapes[1:3]
        block = packed.shape[-1]
        for m in {0, kernel.filters // 2, kernel.filters - 1}:
            filters = packed[m // block, ..., m % block].transpose(2, 0, 1)
            assert np.array_equal(filters, weight[m])
            assert packed_bias[m] == bias[m]
        assert np.count_nonzero(packed) == weight.size
        assert np.count_nonzero(packed_bias) == bias.size
