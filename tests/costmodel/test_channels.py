"""Concatenation, shuffling and layouts against NumPy and torch; their loops against TVM's."""

import numpy as np
import pytest
import torch
from drawing import channels_kernels, layout_kernels, make_target, targets
from family_checks import assert_described, described, executed, hosts, run, sample
from hypothesis import given
from hypothesis import strategies as st

from costmodel.kernels import ChannelsKernel, LayoutKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.channels import PARALLEL_NUMBERS, ChannelMoves, LayoutChange

MOVES, LAYOUT = ChannelMoves(), LayoutChange()


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@executed
@given(data=st.data(), target=hosts(), kernel=channels_kernels())
def test_channels_are_torchs_concatenation_and_shuffle(data, target, kernel):
    size = (kernel.height, kernel.width)
    values = [
        1000 * i + numbered(*size, channels) for i, (channels, _) in enumerate(kernel.sources)
    ]
    whole = torch.from_numpy(np.concatenate(values, axis=-1)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.channel_shuffle(whole, kernel.groups)[0].permute(1, 2, 0)
    (schedule,) = sample(data.draw, MOVES, kernel, target)
    found = run(MOVES, kernel, schedule, target, values)
    assert np.array_equal(found[..., : kernel.channels], expected.numpy())


@executed
@given(data=st.data(), target=hosts(), kernel=layout_kernels())
def test_a_layout_is_numpys_transposition(data, target, kernel):
    packed = numbered(kernel.height, kernel.width, kernel.channels)
    planar = packed.transpose(2, 0, 1)
    (schedule,) = sample(data.draw, LAYOUT, kernel, target)
    found = run(LAYOUT, kernel, schedule, target, [packed if kernel.planar else planar])
    if kernel.planar:
        assert found.shape == (1, 1, target.padded(packed.size))
        assert np.array_equal(found[0, 0, : packed.size], planar.ravel())
    else:
        assert np.array_equal(found[..., : kernel.channels], packed)


@described
@given(data=st.data(), target=targets, kernel=channels_kernels())
def test_the_description_of_moves_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, MOVES, kernel, target):
        assert_described(MOVES, kernel, schedule, target)


@described
@given(data=st.data(), target=targets, kernel=layout_kernels())
def test_the_description_of_a_layout_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, LAYOUT, kernel, target):
        assert_described(LAYOUT, kernel, schedule, target)


def extents(family, kernel, target):
    (schedule,) = family.points(kernel, target)
    nest = family.describe(kernel, schedule, target)
    return [[loop.extent for loop in s.loops] for s in nest.statements]


def test_concatenated_channels_are_copied_in_vectors_and_a_rest():
    kernel = ChannelsKernel(height=3, width=5, sources=((20, 24), (16, 16)))
    target = make_target(lanes=8)
    assert extents(MOVES, kernel, target) == [[15, 2, 8], [15, 4], [15, 2, 8]]


def test_a_shuffled_value_is_written_in_order():
    kernel = ChannelsKernel(height=3, width=5, sources=((24, 24),), groups=3)
    (schedule,) = MOVES.points(kernel, make_target(lanes=8))
    (found,) = MOVES.describe(kernel, schedule, make_target(lanes=8)).statements
    assert [loop.extent for loop in found.loops] == [15, 8, 3]
    assert found.store.strides == (24, 3, 1)


def test_several_values_are_shuffled_by_runs():
    kernel = ChannelsKernel(height=3, width=5, sources=((12, 16), (12, 16)), groups=3)
    target = make_target(lanes=8)
    assert extents(MOVES, kernel, target) == [[15, 8], [15, 4], [15, 4], [15, 8]]


def test_a_transposition_goes_by_tiles_of_pixels():
    kernel = LayoutKernel(height=8, width=6, channels=20, stride=24, planar=True)
    assert extents(LAYOUT, kernel, make_target(lanes=8)) == [[3, 20, 16]]


@pytest.mark.parametrize(("extent", "cores", "parallel"), [(8, 2, 0), (80, 2, 1), (80, 1, 0)])
def test_large_maps_are_shared_out_to_the_cores(extent, cores, parallel):
    target = make_target(lanes=8, cores=cores)
    size = {"height": extent, "width": extent}
    move = ChannelsKernel(**size, sources=((8, 8), (8, 8)))
    turn = LayoutKernel(**size, channels=16, stride=16, planar=True)
    assert (move.flops >= PARALLEL_NUMBERS) == (turn.flops >= PARALLEL_NUMBERS) == (extent == 80)
    for family, kernel in ((MOVES, move), (LAYOUT, turn)):
        (schedule,) = family.points(kernel, target)
        for found in family.describe(kernel, schedule, target).statements:
            assert [loop.kind for loop in found.loops].count(LoopKind.PARALLEL) == parallel
