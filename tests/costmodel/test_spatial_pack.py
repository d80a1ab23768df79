from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from drawing import conv_kernels, make_target, targets
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference import largest_relative_error

from costmodel.errors import InputError
from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind
from costmodel.lowering import compile_module
from costmodel.schedules.family import MAXIMUM_POINTS, Schedule
from costmodel.schedules.spatial_pack import (
    MAXIMUM_PIXELS,
    MAXIMUM_WASTE,
    REORDERED,
    SpatialPackConvolution,
    schedule_of,
)
from costmodel.tir import read

FAMILY = SpatialPackConvolution()
LAYER = ConvKernel(
    height=6, width=10, channels=3, input_stride=8, filters=24, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip
REDUCE = tuple(product(("none", "unroll"), repeat=2))
SPATIAL = tuple(
    annotations
    for annotations in product(("none", "unroll", "vec"), repeat=3)
    if annotations.count("vec") <= 1
)
quick = settings(deadline=None, max_examples=40)
through_tvm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
compiled = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])


def knobs(co, oh, ow, reduce=("none", "unroll"), spatial=("unroll", "unroll", "vec"), order=None):
    """As a record has them; ``co``, ``oh`` and ``ow``: (outer, inner)."""
    return {
        "tile_co": co, "tile_oh": oh, "tile_ow": ow,
        "reorder_0": order or tuple(range(10)), "ann_reduce": reduce, "ann_spatial": spatial,
    }  # fmt: skip


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def records(draw):
    """A convolution as the boards measured them, with a schedule from AutoTVM's whole space."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (1, 3), (2, 2)]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
    top, left = (draw(st.integers(0, extent - 1)) for extent in kernel)
    size = tuple(draw(st.integers(extent + 1, 14)) for extent in kernel)
    channels = draw(st.integers(1, 6))
    layer = ConvKernel(
        height=size[0], width=size[1], channels=channels, input_stride=channels,
        filters=8 * draw(st.integers(1, 5)), kernel=kernel, stride=stride,
        padding=(top, left, top, left),
    )  # fmt: skip
    splits = []
    for extent in (layer.filters, *layer.output_size):
        inner = draw(st.sampled_from(divisors(extent)))
        splits.append((extent // inner, inner))
    assume(splits[0][1] * splits[1][1] * splits[2][1] <= 128)
    order = draw(st.sampled_from([tuple(range(10)), REORDERED]))
    reduce, spatial = draw(st.sampled_from(REDUCE)), draw(st.sampled_from(SPATIAL))
    return layer, schedule_of(knobs(*splits, reduce, spatial, order))


@st.composite
def grouped(draw):
    """A convolution in groups of whole vectors, with more steps after it."""
    lanes_each, groups = draw(st.sampled_from([16, 32])), draw(st.integers(1, 3))
    filters = lanes_each * groups
    return ConvKernel(
        height=draw(st.integers(4, 12)), width=draw(st.integers(1, 12)), channels=3 * groups,
        input_stride=16, filters=filters, kernel=(3, draw(st.integers(1, 3))), stride=(1, 1),
        padding=(1, 1, 1, 1), dilation=draw(st.sampled_from([(1, 1), (2, 1)])), groups=groups,
        epilogue=draw(st.sampled_from([(), ("add", "relu"), ("hard_swish",)])),
    )  # fmt: skip


@st.composite
def handled(draw):
    """A kernel and a target that the family has points for."""
    target = draw(targets)
    kernel = draw(st.one_of(conv_kernels(largest_channels=40), grouped()))
    assume(FAMILY.handles(kernel, target))
    return kernel, target


@quick
@given(handled())
def test_there_are_1_to_64_distinct_points_that_can_be_written_down(case):
    points = FAMILY.points(*case)
    assert 1 <= len(set(points)) == len(points) <= MAXIMUM_POINTS
    assert [Schedule.parse(str(point)) for point in points] == list(points)


@quick
@given(handled())
def test_tiles_have_several_rows_fit_the_registers_and_waste_little(case):
    kernel, target = case
    rows, columns = kernel.output_size
    for point in FAMILY.points(kernel, target):
        vh, vw, vc = (point[name] for name in ("tile_oh", "tile_ow", "tile_co"))
        assert vh >= 2
        assert vh * vw <= MAXIMUM_PIXELS
        assert vh * vw * vc / target.vector_lanes + 2 <= target.vector_registers
        assert vc % target.vector_lanes == 0
        assert -(-rows // vh) * vh * -(-columns // vw) * vw <= MAXIMUM_WASTE * rows * columns


@quick
@given(handled())
def test_the_hot_statement_does_all_the_useful_arithmetic(case):
    kernel, target = case
    for point in FAMILY.points(kernel, target):
        assert FAMILY.describe(kernel, point, target).hot.total_flops >= kernel.flops


@quick
@given(handled())
def test_accesses_stay_inside_their_buffers(case):
    kernel, target = case
    for point in FAMILY.points(kernel, target):
        assert_inside(kernel, point, target)


@quick
@given(records(), targets)
def test_accesses_of_a_record_stay_inside_their_buffers(record, target):
    assert_inside(*record, target)


def assert_inside(kernel, schedule, target):
    shapes = FAMILY.shapes(kernel, schedule, target)
    named = (shapes[0], *shapes[-3:])
    sizes = {n: int(np.prod(s)) for n, s in zip(("x", "w", "b", "out"), named, strict=True)}
    scratch = FAMILY.scratch_elements(kernel, schedule, target)
    sizes |= {"pad": scratch, "pack": scratch, "acc": 10**9}
    for statement in FAMILY.describe(kernel, schedule, target).statements:
        if statement.guarded:
            continue  # conditions cut these off
        for access in (statement.store, *statement.loads):
            assert min(access.strides, default=0) >= 0
            if access.buffer == "x" and statement.store.buffer in ("pad", "pack"):
                continue  # likewise
            steps = zip(statement.loops, access.strides, strict=True)
            last = sum((loop.extent - 1) * stride for loop, stride in steps)
            assert last < sizes.get(access.buffer, sizes["out"])


@through_tvm
@given(handled(), st.data())
def test_the_description_is_what_tvm_makes_of_it(case, data):
    kernel, target = case
    points = FAMILY.points(kernel, target)
    for point in sorted(data.draw(st.sets(st.sampled_from(points), min_size=1, max_size=2))):
        assert_described(kernel, point, target)


@through_tvm
@given(records(), targets)
def test_the_description_of_a_record_is_what_tvm_makes_of_it(record, target):
    assert_described(*record, target)


def assert_described(kernel, schedule, target):
    module = FAMILY.module(kernel, schedule, target)
    assert read(module) == FAMILY.describe(kernel, schedule, target)
    declared = tuple(tuple(map(int, buffer.shape)) for buffer in module["main"].params)
    assert declared == FAMILY.shapes(kernel, schedule, target)


@compiled
@given(handled(), st.data())
def test_a_point_computes_what_torch_does(case, data):
    kernel, target = case
    assert_computes(kernel, data.draw(st.sampled_from(FAMILY.points(kernel, target))), target)


@compiled
@given(records(), targets)
def test_a_record_computes_what_torch_does(record, target):
    assert_computes(*record, target)


def test_every_point_of_a_ragged_layer_computes_what_torch_does():
    kernel = replace(LAYER, height=11, width=5, filters=20, padding=(2, 1, 0, 1))
    target = make_target(lanes=4)
    points = FAMILY.points(kernel, target)
    assert any(FAMILY.geometry(kernel, point, target).is_ragged for point in points)
    for point in points:
        assert_computes(kernel, point, target)


@pytest.mark.parametrize("filters", [6, 12, 24])
def test_filters_of_a_tile_need_not_be_whole_vectors(filters):
    schedule = schedule_of(knobs((24 // filters, filters), (3, 2), (2, 5)))
    target = make_target(lanes=8)
    lane = FAMILY.geometry(LAYER, schedule, target).lanes
    assert lane == (8 if filters == 24 else filters)
    assert_computes(LAYER, schedule, target)


def assert_computes(kernel, schedule, target):
    generator = np.random.default_rng(0)

    def random(*shape):
        return generator.standard_normal(shape, dtype=np.float32)

    weight = random(kernel.filters, kernel.group_channels, *kernel.kernel)
    bias = random(kernel.filters)
    shapes = FAMILY.shapes(kernel, schedule, target)
    values = [random(*shape) for shape in shapes[: kernel.inputs]]
    packed = FAMILY.pack(kernel, schedule, target, (weight, bias))
    assert tuple(constant.shape for constant in packed) == shapes[kernel.inputs : -1]
    arguments = [*values, *packed, np.full(shapes[-1], np.nan, np.float32)]
    found = run(FAMILY.module(kernel, schedule, target), arguments, target)
    expected = torch_convolution(kernel, values, weight, bias)
    assert largest_relative_error(found[..., : kernel.filters], expected) < 1e-5


def run(module, arguments, target):
    import tvm

    tensors = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in arguments]
    compile_module(module, target)["main"](*tensors)
    return tensors[-1].numpy()


def torch_convolution(kernel, values, weight, bias):
    """[OH, OW, M] of values [H, W, at least C] and [OH, OW, at least M]."""
    x, *others = (torch.from_numpy(value.transpose(2, 0, 1)) for value in values)
    top, left, bottom, right = kernel.padding
    padded = F.pad(x[None, : kernel.channels], (left, right, top, bottom))
    w, b = torch.from_numpy(weight), torch.from_numpy(bias)
    y = F.conv2d(
        padded, w, b, stride=kernel.stride, dilation=kernel.dilation, groups=kernel.groups
    )[0]
    for name in kernel.epilogue:
        if name == "add":
            y = y + others.pop(0)[: kernel.filters]
        else:
            y = {"relu": F.relu, "hard_swish": F.hardswish}[name](y)
    return y.permute(1, 2, 0).numpy()


def test_loops_of_a_layer_by_hand():
    point = Schedule.parse(
        "spatial-pack tile_co=24 tile_oh=2 tile_ow=5 ann_reduce=1 ann_spatial=112 "
        "reorder=0 packed=0"
    )
    pad, start, sums, out = FAMILY.describe(LAYER, point, make_target(lanes=8)).statements
    assert [loop.extent for loop in pad.loops] == [8, 12, 8]
    assert [loop.extent for loop in sums.loops] == [3, 2, 3, 3, 3, 2, 5, 3, 8]
    serial, unrolled = LoopKind.SERIAL, LoopKind.UNROLLED
    assert [loop.kind for loop in sums.loops] == [
        *[serial] * 4, *[unrolled] * 4, LoopKind.VECTORIZED,
    ]  # fmt: skip
    assert sums.total_flops == 2 * 6 * 10 * 27 * 24
    assert (start.flops, out.flops, out.guarded) == (0, 2, False)


def test_a_vectorised_loop_is_innermost_whatever_the_order():
    schedule = schedule_of(
        knobs((1, 24), (3, 2), (2, 5), ("none", "none"), ("vec", "none", "unroll"), REORDERED)
    )
    sums = FAMILY.describe(LAYER, schedule, make_target(lanes=8)).hot
    assert [loop.extent for loop in sums.loops[-3:]] == [24, 5, 2]
    assert sums.loops[-1].kind is LoopKind.VECTORIZED


def test_a_record_packs_its_input_tile_by_tile_and_shares_blocks_of_filters_out():
    schedule = schedule_of(knobs((3, 8), (3, 2), (2, 5)))
    pack, _, sums, out = FAMILY.describe(LAYER, schedule, make_target(cores=2)).statements
    assert [loop.extent for loop in pack.loops] == [3, 2, 3, 4, 7]
    assert sums.loops[0].extent == 3
    assert sums.loops[0].kind is LoopKind.PARALLEL
    assert {loop.kind for loop in out.loops[1:]} == {LoopKind.SERIAL}


def test_a_map_one_pixel_wide_gets_tiles_of_many_rows():
    kernel = replace(LAYER, height=40, width=1, filters=64, kernel=(5, 1), padding=(2, 0, 2, 0))
    target = make_target(lanes=16)
    assert max(point["tile_oh"] for point in FAMILY.points(kernel, target)) >= 8


def test_a_map_of_one_row_or_a_group_of_half_a_vector_is_not_its_work():
    target = make_target(lanes=8)
    assert FAMILY.handles(LAYER, target)
    assert not FAMILY.handles(replace(LAYER, height=1, kernel=(1, 3), padding=(0, 1, 0, 1)), target)
    assert not FAMILY.handles(replace(LAYER, channels=6, groups=6), target)


def test_a_record_becomes_its_parameters():
    schedule = schedule_of(
        knobs((4, 6), (2, 3), (5, 2), ("unroll", "none"), ("none", "vec", "unroll"), REORDERED)
    )
    assert str(schedule) == (
        "spatial-pack tile_co=6 tile_oh=3 tile_ow=2 ann_reduce=10 ann_spatial=21 reorder=1 packed=1"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tile_co": (1, 2, 3)}, "'tile_co' must be a split into two"),
        ({"tile_ow": None}, "'tile_ow' must be a split into two"),
        ({"reorder_0": (1, 0)}, "'reorder_0' is"),
        ({"ann_reduce": ("vec", "none")}, "'ann_reduce' must give 2 of none, unroll, vec"),
        ({"ann_spatial": ("vec", "vec", "none")}, "vec 1 times at most"),
        ({"ann_spatial": ("none", "none")}, "'ann_spatial' must give 3"),
        ({"ann_spatial": ("none", "none", "roll")}, "'ann_spatial' must give 3"),
    ],
)
def test_knobs_that_are_none_of_this_schedule_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        schedule_of({**knobs((3, 8), (3, 2), (2, 5)), **change})
