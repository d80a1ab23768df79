"""Depthwise convolution against torch, and its loops against TVM's."""

import numpy as np
import pytest
import torch
from drawing import depthwise_kernels, make_target, targets
from family_checks import assert_described, described, executed, hosts, run, sample
from hypothesis import given
from hypothesis import strategies as st

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.channelwise import MAXIMUM_ACCUMULATORS, PARALLEL_FLOPS
from costmodel.schedules.depthwise import DepthwiseConvolution
from costmodel.schedules.family import Schedule

FAMILY = DepthwiseConvolution()
TOLERANCE = 1e-5


def torch_output(kernel, x, weight, bias, others):
    top, left, bottom, right = kernel.padding
    padded = torch.nn.functional.pad(
        torch.from_numpy(x.transpose(2, 0, 1))[None], (left, right, top, bottom)
    )
    value = torch.nn.functional.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), stride=kernel.stride,
        dilation=kernel.dilation, groups=kernel.groups,
    )[0].permute(1, 2, 0)  # fmt: skip
    remaining = iter(others)
    functions = {
        "relu": torch.relu,
        "relu6": torch.nn.functional.relu6,
        "hard_swish": torch.nn.functional.hardswish,
        "sigmoid": torch.sigmoid,
        "add": lambda v: v + torch.from_numpy(next(remaining)),
        "multiply": lambda v: v * torch.from_numpy(next(remaining)),
    }
    for name in kernel.epilogue:
        value = functions[name](value)
    return value.numpy()


@executed
@given(data=st.data(), target=hosts(), kernel=depthwise_kernels(), seed=st.integers(0, 999))
def test_the_result_is_torchs(data, target, kernel, seed):
    generator = np.random.default_rng(seed)

    def random(*shape):
        return generator.standard_normal(shape, dtype=np.float32)

    c, output = kernel.channels, (*kernel.output_size, kernel.channels)
    x, weight, bias = (
        random(kernel.height, kernel.width, c),
        random(c, 1, *kernel.kernel),
        random(c),
    )
    others = [random(*output) for _ in range(kernel.inputs - 1)]
    expected = torch_output(kernel, x, weight, bias, others)
    for schedule in sample(data.draw, FAMILY, kernel, target):
        found = run(FAMILY, kernel, schedule, target, [x, *others], (weight, bias))[..., :c]
        scale = max(np.abs(expected).max(), 1)
        assert np.abs(found - expected).max() <= TOLERANCE * scale


@described
@given(data=st.data(), target=targets, kernel=depthwise_kernels())
def test_the_description_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, FAMILY, kernel, target):
        assert_described(FAMILY, kernel, schedule, target)


LAYER = ConvKernel(
    height=14, width=14, channels=32, input_stride=32, filters=32, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), groups=32, epilogue=("relu6",),
)  # fmt: skip


def point(**parameters):
    return Schedule("depthwise", tuple(parameters.items()))


def test_loops_of_a_layer_by_hand():
    schedule = point(vectors=2, rows=1, columns=7, unroll=0)
    start, sums, out = FAMILY.describe(LAYER, schedule, make_target(lanes=8)).statements
    assert [loop.extent for loop in sums.loops] == [2, 14, 2, 3, 3, 7, 2, 8]
    assert [loop.kind for loop in sums.loops[3:]] == [
        LoopKind.SERIAL,
        *[LoopKind.UNROLLED] * 3,
        LoopKind.VECTORIZED,
    ]
    assert sums.guarded
    assert sums.total_flops == 2 * 9 * 14 * 14 * 32 == LAYER.flops
    assert (start.flops, out.flops, out.guarded) == (0, 3, False)


def test_the_input_is_not_copied_to_pad_it():
    for schedule in FAMILY.points(LAYER, make_target(lanes=8)):
        assert FAMILY.scratch_elements(LAYER, schedule, make_target(lanes=8)) == 0


def test_accumulators_fit_the_registers():
    for lanes in (4, 8, 16):
        target = make_target(lanes=lanes)
        for s in FAMILY.points(LAYER, target):
            tile = s["rows"] * s["columns"] * s["vectors"]
            assert tile <= MAXIMUM_ACCUMULATORS
            assert tile < target.vector_registers


@pytest.mark.parametrize(("extent", "cores", "parallel"), [(14, 2, 0), (80, 2, 1), (80, 1, 0)])
def test_a_large_kernel_on_several_cores_has_one_parallel_loop(extent, cores, parallel):
    kernel = ConvKernel(**{**vars(LAYER), "height": extent})
    assert (kernel.flops >= PARALLEL_FLOPS) == (extent == 80)
    target = make_target(lanes=8, cores=cores)
    for schedule in FAMILY.points(kernel, target):
        kinds = [loop.kind for loop in FAMILY.describe(kernel, schedule, target).hot.loops]
        assert kinds.count(LoopKind.PARALLEL) == parallel


@pytest.mark.parametrize(
    ("groups", "filters", "handled"), [(32, 32, True), (1, 32, False), (32, 64, False)]
)
def test_one_filter_a_channel_is_handled(groups, filters, handled):
    kernel = ConvKernel(**{**vars(LAYER), "groups": groups, "filters": filters})
    assert FAMILY.handles(kernel, make_target()) == handled
