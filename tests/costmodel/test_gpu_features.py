import math

import numpy as np
import pytest
from cuda_drawing import make_gpu

from costmodel.analysis.launch import launch_of, launches
from costmodel.features import NAMES, analyse, extract, roofline_seconds
from costmodel.loopnest import LoopKind, LoopNest, Memory, statement

B, T, S, U = LoopKind.BLOCK, LoopKind.THREAD, LoopKind.SERIAL, LoopKind.UNROLLED
GPU = make_gpu()


def copied(threads=256, blocks=10, stride=1):
    """Each thread copies one number."""
    loops = [(blocks, B), (threads, T)]
    x = ("x", (threads * stride, stride), None)
    return statement(loops, ("y", (threads, 1), None), [x], flops=1)


def product(blocks=8, slices=16):
    """Sums of 4 x 4 numbers in each of 8 x 8 threads, from slices of 8 in shared memory.

    Reads a [8 slices, 32] and b [8 slices, 32] of its block; each slice is copied, then used.
    """
    launch = [(blocks, B), (8, T), (8, T)]
    acc = ("acc", (0, 0, 0, 0, 0, 4, 1), 3, Memory.LOCAL)
    a = ("sa", (0, 4, 0, 0, 32, 1, 0), 3, Memory.SHARED)
    b = ("sb", (0, 0, 4, 0, 32, 0, 1), 3, Memory.SHARED)
    own = [(4, U), (4, U)]

    def slice_(name, buffer):
        return statement(
            [*launch, (slices, S), (4, U)],
            (buffer, (0, 8, 1, 0, 64), 3, Memory.SHARED),
            [(name, (8 * slices * 32, 8, 1, 256, 64), None)],
            flops=0,
        )

    sums = statement([*launch, (slices, S), (8, U), *own], acc, [acc, a, b], flops=2)
    out = statement(
        [*launch, *own],
        ("y", (1024, 128, 4, 32, 1), None),
        [("acc", (0, 0, 0, 4, 1), 3, Memory.LOCAL)],
        flops=0,
    )
    return [slice_("a", "sa"), slice_("b", "sb"), sums, out]


def features(nest, gpu=GPU, flops=1):
    return dict(zip(NAMES, extract(nest, gpu, flops), strict=True))


def test_neighbours_share_sectors_and_scattered_numbers_do_not():
    side_by_side = features(LoopNest((copied(),)))
    scattered = features(LoopNest((copied(stride=8),)))
    assert side_by_side["coalescing"] == 1
    # 8 warps of 10 blocks read 32 sectors instead of 4, and write 4 each.
    assert scattered["coalescing"] == (32 + 4) / (4 + 4)


def test_a_launch_by_hand():
    statements = product()
    (group,) = launches(LoopNest(tuple(statements)))
    launch = launch_of(group, GPU)
    assert (launch.blocks, launch.threads, launch.warps) == (8, 64, 2)
    warps, trips = 16, 16
    assert launch.arithmetic == warps * trips * 8 * 16
    assert launch.shared_bytes == 4 * (256 + 256)
    # Sums read 8 x 4 numbers of each operand a slice; copies write 4 of each.
    assert launch.shared_requests == warps * trips * (2 * 32 + 2 * 4)
    assert launch.accumulators == 16
    assert launch.dram_bytes == pytest.approx(4 * (8 * 4096 * 2 + 8 * 1024))
    assert launch.steps == 2 * trips


def test_more_blocks_than_an_sm_holds_are_waves():
    few, many = (features(LoopNest(tuple(product(blocks)))) for blocks in (8, 8000))
    assert few["waves"] < 0 < many["waves"]
    assert many["tail"] < few["tail"]
    assert math.exp(many["waves"] - few["waves"]) == pytest.approx(1000)


def test_a_block_that_fills_shared_memory_lowers_occupancy():
    nest = LoopNest(tuple(product()))
    small = make_gpu(shared_bytes_per_multiprocessor=2048, shared_bytes_per_block=2048)
    assert features(nest, small)["occupancy"] < features(nest)["occupancy"]
    assert analyse(nest, small, 1).blocks_per_multiprocessor == 1


def test_numbers_of_one_bank_wait_for_each_other():
    loops = [(4, B), (32, T)]

    def conflicts(stride):
        store = ("s", (0, stride), 2, Memory.SHARED)
        copy = statement(loops, store, [("x", (32, 1), None)], flops=0)
        out = statement(loops, ("y", (32, 1), None), [store], flops=1)
        return features(LoopNest((copy, out)))["conflicts"]

    assert conflicts(1) == 1
    assert conflicts(0) == 1  # all read one number: it is broadcast
    assert conflicts(2) == 2
    assert conflicts(32) == 32
    assert conflicts(33) == 1


def test_every_launch_is_started():
    one = LoopNest((copied(),))
    three = LoopNest((copied(), copied(), copied()))
    assert features(three)["launches"] == 3
    assert roofline_seconds(one, GPU) == GPU.launch_seconds
    assert roofline_seconds(three, GPU) == pytest.approx(3 * GPU.launch_seconds)


def test_what_speaks_of_cpus_alone_is_zero():
    found = features(LoopNest(tuple(product())))
    assert found["in_order"] == found["vector_fill"] == found["reduction_depth"] == 0


@pytest.mark.parametrize(
    "fact",
    [
        {"multiprocessors": 7},
        {"frequency_mhz": 777.0},
        {"memory_gb_per_s": 77.0},
        {"launch_seconds": 7e-6},
        {"l2_bytes": 777_777},
    ],
)
def test_gpus_that_differ_in_a_fact_have_features_that_differ(fact):
    nest = LoopNest(tuple(product()))
    assert not np.array_equal(extract(nest, make_gpu(**fact), 1), extract(nest, GPU, 1))
