"""Pooling against torch, and its loops against TVM's."""

import numpy as np
import pytest
import torch
from drawing import any_pool_kernels, make_target, pool_kernels, targets
from family_checks import assert_described, described, executed, hosts, run, sample
from hypothesis import given
from hypothesis import strategies as st

from costmodel.kernels import PoolKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.channelwise import PARALLEL_FLOPS
from costmodel.schedules.family import Schedule
from costmodel.schedules.pool import Pool

FAMILY = Pool()
kernels = st.one_of(any_pool_kernels(), pool_kernels())


def torch_output(kernel, x):
    """A mean as a sum over the padded map, over how many numbers were summed."""
    top, left, bottom, right = kernel.padding
    planar = torch.from_numpy(x.transpose(2, 0, 1))[None]

    def padded(value, around):
        return torch.nn.functional.pad(value, (left, right, top, bottom), value=around)

    def total(value):
        functional = torch.nn.functional
        return functional.avg_pool2d(value, kernel.window, kernel.stride, divisor_override=1)

    if kernel.function == "max":
        found = torch.nn.functional.max_pool2d(
            padded(planar, -np.inf), kernel.window, kernel.stride
        )
    else:
        around = 1.0 if kernel.count_padding else 0.0
        found = total(padded(planar, 0.0)) / total(padded(torch.ones_like(planar), around))
    return found[0].permute(1, 2, 0).numpy()


@executed
@given(data=st.data(), target=hosts(), kernel=kernels, seed=st.integers(0, 999))
def test_the_result_is_torchs(data, target, kernel, seed):
    size = (kernel.height, kernel.width, kernel.channels)
    x = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
    expected = torch_output(kernel, x)
    for schedule in sample(data.draw, FAMILY, kernel, target):
        found = run(FAMILY, kernel, schedule, target, [x])[..., : kernel.channels]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@described
@given(data=st.data(), target=targets, kernel=kernels)
def test_the_description_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, FAMILY, kernel, target):
        assert_described(FAMILY, kernel, schedule, target)


def whole_map(channels, stride, size=(4, 5)):
    return PoolKernel(
        height=size[0], width=size[1], channels=channels, input_stride=stride,
        function="average", window=size,
    )  # fmt: skip


def point(**parameters):
    return Schedule("pool", tuple(parameters.items()))


def test_whole_vectors_of_channels_are_summed():
    sums = FAMILY.describe(whole_map(30, 32), point(vectors=2), make_target(lanes=8)).hot
    assert [(loop.extent, loop.kind) for loop in sums.loops] == [
        (2, LoopKind.SERIAL),
        (4, LoopKind.SERIAL),
        (5, LoopKind.SERIAL),
        (2, LoopKind.UNROLLED),
        (8, LoopKind.VECTORIZED),
    ]
    assert sums.total_flops == 4 * 5 * 32


@pytest.mark.parametrize(
    ("channels", "vectors"),
    [(8, [1]), (48, [1, 2, 3, 6]), (100, [1]), (96, [1, 2, 3, 4, 6]), (3, [1])],
)
def test_points_split_the_channels_evenly(channels, vectors):
    points = FAMILY.points(whole_map(channels, -(-channels // 8) * 8), make_target(lanes=8))
    assert [s["vectors"] for s in points] == vectors


def test_channels_that_fill_no_vector_are_summed_one_by_one():
    nest = FAMILY.describe(whole_map(3, 3), point(vectors=3), make_target(lanes=8))
    assert LoopKind.VECTORIZED not in {loop.kind for loop in nest.hot.loops}
    assert nest.hot.total_flops == 4 * 5 * 3


def test_the_output_is_padded_to_the_block_whatever_the_input_is():
    shapes = FAMILY.shapes(whole_map(3, 3), point(vectors=3), make_target(lanes=8))
    assert shapes == ((4, 5, 3), (1, 1, 8))


def test_a_large_map_is_shared_out_by_channels():
    kernel = whole_map(64, 64, (112, 112))
    assert kernel.flops >= PARALLEL_FLOPS
    loops = FAMILY.describe(kernel, point(vectors=2), make_target(lanes=8, cores=2)).hot.loops
    assert (loops[0].extent, loops[0].kind) == (4, LoopKind.PARALLEL)


WINDOWS = PoolKernel(
    height=8, width=8, channels=8, input_stride=8, function="average", window=(3, 3),
    stride=(1, 1), padding=(1, 1, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "flops"),
    [
        ({}, 2),  # counts differ at the edges: one inverse, one product
        ({"count_padding": True}, 1),
        ({"padding": (0, 0, 0, 0)}, 1),
        ({"function": "max"}, 0),
    ],
)
def test_arithmetic_after_the_window(changes, flops):
    kernel = PoolKernel(**{**vars(WINDOWS), **changes})
    schedule = FAMILY.points(kernel, make_target())[0]
    assert FAMILY.describe(kernel, schedule, make_target()).statements[-1].flops == flops
