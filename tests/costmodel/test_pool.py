import pytest
from drawing import make_target

from costmodel.kernels import PoolKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import POOL


def pool(channels, stride):
    return PoolKernel(height=4, width=5, channels=channels, input_stride=stride)


def test_whole_vectors_of_channels_are_summed():
    sums = POOL.describe(
        pool(30, 32), Schedule("pool", (("vectors", 2),)), make_target(lanes=8)
    ).hot
    assert [(loop.extent, loop.kind) for loop in sums.loops] == [
        (2, LoopKind.SERIAL),
        (4, LoopKind.SERIAL),
        (5, LoopKind.SERIAL),
        (2, LoopKind.UNROLLED),
        (8, LoopKind.VECTORIZED),
    ]
    assert sums.total_flops == 4 * 5 * 32


@pytest.mark.parametrize(
    ("stride", "lanes", "vectors"),
    [(8, 8, [1]), (48, 8, [1, 2, 3, 6]), (104, 8, [1]), (96, 8, [1, 2, 3, 4, 6]), (3, 8, [1, 3])],
)
def test_points_split_the_channels_evenly(stride, lanes, vectors):
    points = POOL.points(pool(stride, stride), make_target(lanes=lanes))
    assert [s["vectors"] for s in points] == vectors


def test_channels_that_fill_no_vector_are_summed_one_by_one():
    nest = POOL.describe(pool(3, 3), Schedule("pool", (("vectors", 3),)), make_target(lanes=8))
    assert LoopKind.VECTORIZED not in {loop.kind for loop in nest.hot.loops}
    assert nest.hot.total_flops == 4 * 5 * 3
