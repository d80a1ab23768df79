"""Chains of functions number by number against NumPy, and their loops against TVM's."""

import numpy as np
import pytest
from drawing import elementwise_kernels, make_target, targets
from family_checks import assert_described, described, executed, hosts, run, sample
from hypothesis import given
from hypothesis import strategies as st

from costmodel.kernels import ElementwiseKernel, Operand
from costmodel.loopnest import LoopKind
from costmodel.schedules.elementwise import PARALLEL_NUMBERS, Elementwise

FAMILY = Elementwise()


def numpy_output(kernel, values, constants):
    functions = {
        "relu": lambda v: np.maximum(v, 0),
        "relu6": lambda v: np.clip(v, 0, 6),
        "hard_sigmoid": lambda v: np.clip(v + 3, 0, 6) / 6,
        "hard_swish": lambda v: v * np.clip(v + 3, 0, 6) / 6,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    }
    others, pairs = iter(values[1:]), iter(zip(constants[::2], constants[1::2], strict=True))
    value = values[0].astype(np.float64)
    for name in kernel.operations:
        if name == "add":
            value = value + next(others)
        elif name == "multiply":
            value = value * next(others)
        elif name == "affine":
            scale, shift = next(pairs)
            value = value * scale + shift
        else:
            value = functions[name](value)
    return value


@executed
@given(data=st.data(), target=hosts(), kernel=elementwise_kernels(), seed=st.integers(0, 999))
def test_the_result_is_numpys(data, target, kernel, seed):
    generator = np.random.default_rng(seed)
    c = kernel.channels
    values = [
        2 * generator.standard_normal(
            (1, 1, c) if operand.is_vector else (kernel.height, kernel.width, c), dtype=np.float32
        )
        for operand in kernel.operands
    ]  # fmt: skip
    constants = tuple(
        generator.standard_normal(c, dtype=np.float32)
        for _ in range(2 * kernel.operations.count("affine"))
    )
    expected = numpy_output(kernel, values, constants)
    for schedule in sample(data.draw, FAMILY, kernel, target):
        found = run(FAMILY, kernel, schedule, target, values, constants)[..., :c]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@described
@given(data=st.data(), target=targets, kernel=elementwise_kernels())
def test_the_description_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, FAMILY, kernel, target):
        assert_described(FAMILY, kernel, schedule, target)


def chain(size, channels, *operands, operations=("add", "relu")):
    return ElementwiseKernel(
        height=size[0], width=size[1], channels=channels, operands=operands, operations=operations
    )


def loops(kernel, lanes=8, cores=1):
    target = make_target(lanes=lanes, cores=cores)
    nest = FAMILY.describe(kernel, FAMILY.points(kernel, target)[-1], target)
    return [(loop.extent, loop.kind) for loop in nest.hot.loops]


def test_a_sum_of_two_maps_is_one_line_of_vectors():
    kernel = chain((5, 6), 12, Operand(stride=16), Operand(stride=16))
    assert loops(kernel) == [
        (15, LoopKind.SERIAL),
        (4, LoopKind.UNROLLED),
        (8, LoopKind.VECTORIZED),
    ]


def test_a_vector_is_read_again_for_each_pixel():
    kernel = chain((5, 6), 12, Operand(stride=16), Operand(stride=16, is_vector=True))
    target = make_target(lanes=8)
    nest = FAMILY.describe(kernel, FAMILY.points(kernel, target)[-1], target)
    strides = {load.buffer: load.strides for load in nest.hot.loads}
    assert strides == {"x0": (16, 8, 1), "x1": (0, 8, 1)}


def test_an_unpadded_input_is_taken_number_by_number():
    assert loops(chain((5, 6), 3, Operand(stride=3), Operand(stride=8))) == [
        (30, LoopKind.SERIAL),
        (3, LoopKind.SERIAL),
    ]


@pytest.mark.parametrize(("extent", "cores", "parallel"), [(8, 2, 0), (80, 2, 1), (80, 1, 0)])
def test_large_maps_are_shared_out_to_the_cores(extent, cores, parallel):
    kernel = chain((extent, 80), 8, Operand(stride=8), Operand(stride=8))
    assert (extent * 80 * 8 >= PARALLEL_NUMBERS) == (extent == 80)
    kinds = [kind for _, kind in loops(kernel, cores=cores)]
    assert kinds.count(LoopKind.PARALLEL) == parallel
