"""The convolution families of CUDA by hand, and TopHub's schedules as their points."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_drawing import conv_kernels, make_gpu
from cuda_emulator import needs_compiler, run
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_results import constants_of, torch_result

from costmodel.cuda.assemble import cuda_source
from costmodel.errors import InputError
from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_conv import CudaConvolution, schedule_of
from costmodel.schedules.cuda_depthwise import CudaDepthwise, depthwise_schedule_of
from costmodel.schedules.family import Schedule
from costmodel.tir import read

FAMILY = CudaConvolution()
LAYER = ConvKernel(
    height=7, width=7, channels=32, input_stride=32, filters=64, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip
KNOBS = {
    "tile_f": (-1, 2, 8, 2), "tile_y": (1, 1, 7, 1), "tile_x": (1, 1, 7, 1), "tile_rc": (4, 8),
    "tile_rx": (1, 3), "tile_ry": (3, 1), "auto_unroll_max_step": 512, "unroll_explicit": 1,
}  # fmt: skip
"""As TopHub writes a schedule: each split from the outer to the inner loop, and tile_rx of rows."""
POINT = schedule_of(KNOBS)


def test_a_record_is_a_point_as_it_stands():
    assert str(POINT) == (
        "cuda_conv tile_f_vthread=2 tile_f_thread=8 tile_f_inner=2 tile_y_vthread=1 "
        "tile_y_thread=7 tile_y_inner=1 tile_x_vthread=1 tile_x_thread=7 tile_x_inner=1 "
        "tile_rc=8 tile_ry=3 tile_rx=1 auto_unroll_max_step=512 unroll_explicit=1"
    )
    assert FAMILY.is_valid(LAYER, POINT, make_gpu())
    assert read(FAMILY.module(LAYER, POINT, make_gpu())) == FAMILY.describe(
        LAYER, POINT, make_gpu()
    )


def test_loops_of_a_layer_by_hand():
    clear, pixels, weights, sums, out = FAMILY.describe(LAYER, POINT, make_gpu()).statements
    b, t, s, u = LoopKind.BLOCK, LoopKind.THREAD, LoopKind.SERIAL, LoopKind.UNROLLED
    launch = [(2, b), (8, t), (7, t), (7, t)]
    own = [(2, u), (2, u)]
    slices = [(4, s), (3, s)]  # of channels and of kernel columns; the rows are one
    assert [(x.extent, x.kind) for x in clear.loops] == [*launch, *own]
    assert [(x.extent, x.kind) for x in sums.loops] == [*launch, *slices, (8, u), (3, u), *own]
    # 8 channels of 9 x 7 pixels are copied by 392 threads in two turns, 24 x 32 weights too.
    assert [(x.extent, x.kind) for x in pixels.loops] == [*launch, *slices, (2, u)]
    assert [(x.extent, x.kind) for x in weights.loops] == [*launch, *slices, (2, u)]
    assert (pixels.guarded, weights.guarded, out.guarded) == (True, True, False)
    assert sums.total_flops == LAYER.flops
    memories = {a.buffer: a.memory for a in (*sums.loads, *weights.loads, *out.loads, out.store)}
    assert memories == {
        "acc": Memory.LOCAL, "pad": Memory.SHARED, "filters": Memory.SHARED,
        "w": Memory.GLOBAL, "b": Memory.GLOBAL, "out": Memory.GLOBAL,
    }  # fmt: skip
    assert {a.buffer: a.strides for a in sums.loads} == {
        "acc": (0, 0, 0, 0, 0, 0, 0, 0, 2, 1),
        "pad": (0, 0, 7, 1, 0, 0, 63, 7, 0, 0),
        "filters": (0, 2, 0, 0, 0, 0, 96, 32, 16, 1),
    }


def test_neighbouring_threads_copy_neighbouring_elements():
    nest = FAMILY.describe(LAYER, POINT, make_gpu())
    for copy in nest.statements[1:3]:
        columns = [loop.kind for loop in copy.loops].index(LoopKind.THREAD) + 2
        assert copy.store.strides[columns] == 1
        assert copy.loads[0].strides[columns] == 1


@pytest.mark.parametrize(
    ("steps", "unrolled"), [(0, 0), (4 * 1, 1), (4 * 3, 2), (4 * 3 * 8 - 1, 2), (4 * 3 * 8, 3)]
)
def test_reduction_loops_are_unrolled_up_to_the_knob(steps, unrolled):
    schedule = schedule_of({**KNOBS, "auto_unroll_max_step": steps})
    assert sum(FAMILY.geometry(LAYER, schedule).unrolled) == unrolled


@pytest.mark.parametrize("explicit", [0, 1])
def test_unrolled_loops_are_written_out_or_left_to_cudas_compiler(explicit):
    schedule = schedule_of({**KNOBS, "unroll_explicit": explicit})
    source = cuda_source(FAMILY.module(LAYER, schedule, make_gpu()), make_gpu())
    assert ("#pragma unroll" in source) == (not explicit)
    products = len(re.findall(r"\* filters_ptr\[", source))
    assert products == (4 * 3 * 8 if explicit else 1)


def test_limits_of_the_gpu_decide_what_is_valid():
    assert not FAMILY.is_valid(LAYER, POINT, make_gpu(threads_per_block=256))
    assert not FAMILY.is_valid(LAYER, POINT, make_gpu(shared_bytes_per_block=4096))
    assert not FAMILY.is_valid(LAYER, POINT, make_gpu(registers_per_multiprocessor=16384))
    too_many_sums = schedule_of({**KNOBS, "tile_f": (1, 4, 8, 32)})
    assert not FAMILY.is_valid(LAYER, too_many_sums, make_gpu())
    too_deep = schedule_of({**KNOBS, "tile_f": (1, 1, 65, 1), "tile_y": (7, 1, 1, 1)})
    assert not FAMILY.is_valid(LAYER, too_deep, make_gpu())  # at most 64 threads along z


def test_slices_must_divide_the_kernel():
    schedule = schedule_of({**KNOBS, "tile_rx": (2, 2)})
    with pytest.raises(InputError, match=r"slices of 2x1 do not divide a kernel of 3x3"):
        FAMILY.describe(LAYER, schedule, make_gpu())


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({k: v for k, v in KNOBS.items() if k != "tile_rc"}, "needs the knob 'tile_rc'"),
        ({**KNOBS, "tile_f": (4, 4)}, r"a split is four extents \(block, vthread, thread, inner\)"),
    ],
)
def test_a_record_of_another_form_is_refused(knobs, complaint):
    with pytest.raises(InputError, match=complaint):
        schedule_of(knobs)


def test_a_depthwise_record_is_a_point_as_it_stands():
    kernel = replace(LAYER, filters=32, groups=32)
    splits = {name: KNOBS[name] for name in ("tile_f", "tile_y", "tile_x")}
    schedule = depthwise_schedule_of({**splits, "auto_unroll_max_step": 1500, "unroll_explicit": 1})
    family, target = CudaDepthwise(), make_gpu("sm_53")
    assert family.is_valid(kernel, schedule, target)
    nest = family.describe(kernel, schedule, target)
    assert read(family.module(kernel, schedule, target)) == nest
    assert nest.hot.total_flops == kernel.flops
    with pytest.raises(InputError, match="needs the knob 'unroll_explicit'"):
        depthwise_schedule_of({**splits, "auto_unroll_max_step": 0})


def test_few_multiprocessors_are_offered_larger_tiles_than_many():
    layer = replace(LAYER, height=28, width=28)

    def largest(arch):
        found = FAMILY.points(layer, make_gpu(arch))
        return max(FAMILY.geometry(layer, point).block.sums for point in found)

    assert largest("sm_53") > largest("sm_90")


@settings(deadline=None, max_examples=40)
@given(conv_kernels(), st.data())
def test_packed_weights_are_the_weights_and_zeros(kernel, data):
    schedule = data.draw(st.sampled_from(FAMILY.points(kernel, make_gpu())))
    weight = np.arange(1, 1 + kernel.filters * kernel.group_channels * np.prod(kernel.kernel))
    weight = weight.reshape(kernel.filters, kernel.group_channels, *kernel.kernel)
    bias = np.arange(1, 1 + kernel.filters)
    packed, packed_bias = FAMILY.pack(kernel, schedule, make_gpu(), (weight, bias))
    g = FAMILY.geometry(kernel, schedule)
    assert (packed.shape, packed_bias.shape) == FAMILY.shapes(kernel, schedule, make_gpu())[-3:-1]
    assert np.count_nonzero(packed) == weight.size
    for m in {0, kernel.filters // 2, kernel.filters - 1}:
        group, place = divmod(m, kernel.group_filters)
        block, f = divmod(place, g.f.size)
        found = packed[group * g.group_blocks + block, : kernel.group_channels, ..., f]
        assert np.array_equal(found, weight[m])
        assert packed_bias[group * g.group_blocks + block, f] == bias[m]


@pytest.fixture
def emulated():
    """LAYER under POINT: its source, its loops, arrays and what torch computes."""
    target, generator = make_gpu(), np.random.default_rng(0)
    x = generator.standard_normal((32, 7, 7), dtype=np.float32)
    constants = constants_of(LAYER, generator)
    w, b = FAMILY.pack(LAYER, POINT, target, constants)
    source = cuda_source(FAMILY.module(LAYER, POINT, target), target)
    nest = FAMILY.nest(LAYER, POINT, target)
    return source, nest, {"x": x, "w": w, "b": b}, torch_result(LAYER, [x], constants)


@needs_compiler
def test_a_record_computes_what_torch_computes(emulated):
    source, nest, arrays, expected = emulated
    with tempfile.TemporaryDirectory() as folder:
        found = run(source, nest, arrays, Path(folder))
    assert np.abs(found - expected).max() <= 3e-6 * np.abs(expected).max()


@needs_compiler
@pytest.mark.parametrize("barrier", [0, 1])
def test_the_emulator_notices_a_missing_barrier(emulated, barrier):
    source, nest, arrays, expected = emulated
    parts = source.split("__syncthreads();")
    assert len(parts) == 3
    joined = ["__syncthreads();", ""] if barrier else ["", "__syncthreads();"]
    broken = parts[0] + joined[0] + parts[1] + joined[1] + parts[2]
    with tempfile.TemporaryDirectory() as folder:
        found = run(broken, nest, arrays, Path(folder))
    assert not np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


@needs_compiler
def test_the_emulator_notices_a_barrier_that_some_threads_miss(emulated):
    source, nest, arrays, _ = emulated
    broken = source.replace("__syncthreads();", "if (threadIdx.x) __syncthreads();", 1)
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.raises(AssertionError, match="missed a barrier"),
    ):
        run(broken, nest, arrays, Path(folder))


def test_a_schedule_is_written_down_and_read_again():
    assert Schedule.parse(str(POINT)) == POINT
