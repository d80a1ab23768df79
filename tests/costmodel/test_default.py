"""Plain loops against torch."""

import numpy as np
import pytest
import torch
import tvm
from drawing import grouped_kernels, make_target, softmax_kernels, targets
from family_checks import assert_described, described, executed, hosts, run, sample
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, topi

from costmodel.kernels import TvmKernel
from costmodel.schedules.default import Default

FAMILY = Default()


@executed
@given(data=st.data(), target=hosts(), kernel=softmax_kernels(), scale=st.sampled_from([1, 100]))
def test_softmax_is_torchs_for_large_numbers_too(data, target, kernel, scale):
    generator = np.random.default_rng(0)
    shape = (kernel.height, kernel.width, kernel.channels)
    x = scale * generator.standard_normal(shape, dtype=np.float32)
    (schedule,) = sample(data.draw, FAMILY, kernel, target)
    found = run(FAMILY, kernel, schedule, target, [x])[..., : kernel.channels]
    expected = torch.softmax(torch.from_numpy(x), -1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@executed
@given(data=st.data(), target=hosts(), kernel=grouped_kernels(), seed=st.integers(0, 99))
def test_a_convolution_in_groups_is_torchs(data, target, kernel, seed):
    generator = np.random.default_rng(seed)

    def random(*shape):
        return generator.standard_normal(shape, dtype=np.float32)

    x = random(kernel.height, kernel.width, kernel.channels)
    weight = random(kernel.filters, kernel.group_channels, *kernel.kernel)
    bias, other = random(kernel.filters), random(*kernel.output_size, kernel.filters)
    top, left, bottom, right = kernel.padding
    padded = torch.nn.functional.pad(
        torch.from_numpy(x.transpose(2, 0, 1))[None], (left, right, top, bottom)
    )
    expected = torch.nn.functional.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), stride=kernel.stride,
        dilation=kernel.dilation, groups=kernel.groups,
    )[0].permute(1, 2, 0).numpy()  # fmt: skip
    values = [x]
    if kernel.epilogue:
        expected, values = np.maximum(expected + other, 0), [x, other]
    (schedule,) = sample(data.draw, FAMILY, kernel, target)
    found = run(FAMILY, kernel, schedule, target, values, (weight, bias))[..., : kernel.filters]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@described
@given(data=st.data(), target=targets, kernel=st.one_of(softmax_kernels(), grouped_kernels()))
def test_the_description_is_what_tvm_makes_of_it(data, target, kernel):
    for schedule in sample(data.draw, FAMILY, kernel, target):
        assert_described(FAMILY, kernel, schedule, target)
        assert FAMILY.describe(kernel, schedule, target).hot.total_flops > 0


def layer_norm():
    """A function of several stages, as TVM's own library defines it."""
    x = te.placeholder((1, 8, 6, 5), name="x")
    gamma, beta = te.placeholder((5,), name="gamma"), te.placeholder((5,), name="beta")
    y = topi.nn.layer_norm(x, gamma, beta, axis=[3], epsilon=1e-5)
    function = te.create_prim_func([x, gamma, beta, y])
    return TvmKernel(
        name="layer_norm", function=tvm.ir.save_json(function), input_shapes=((1, 8, 6, 5),),
        constant_shapes=((5,), (5,)), output_shape=(1, 8, 6, 5),
    )  # fmt: skip


def resized():
    """A function whose indices are computed with floating-point arithmetic."""
    x = te.placeholder((1, 3, 6, 5), name="x")
    y = topi.image.resize2d(
        x, [0.0, 0.0, 6.0, 5.0], (12, 10), layout="NCHW", method="linear",
        coordinate_transformation_mode="half_pixel", rounding_method="",
    )  # fmt: skip
    function = te.create_prim_func([x, y])
    return TvmKernel(
        name="resize2d", function=tvm.ir.save_json(function), input_shapes=((1, 3, 6, 5),),
        constant_shapes=(), output_shape=(1, 3, 12, 10),
    )  # fmt: skip


def test_a_function_of_tvm_is_run_as_it_is():
    kernel, generator = layer_norm(), np.random.default_rng(0)
    x, gamma, beta = (
        generator.standard_normal(s, dtype=np.float32) for s in ((1, 8, 6, 5), (5,), (5,))
    )
    (schedule,) = FAMILY.points(kernel, make_target())
    found = run(FAMILY, kernel, schedule, make_target(), [x], (gamma, beta))
    expected = torch.nn.functional.layer_norm(
        torch.from_numpy(x), (5,), torch.from_numpy(gamma), torch.from_numpy(beta)
    )
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [layer_norm(), resized()], ids=["layer_norm", "resize2d"])
def test_a_function_of_tvm_has_a_description(kernel):
    target = make_target()
    (schedule,) = FAMILY.points(kernel, target)
    assert_described(FAMILY, kernel, schedule, target)
    assert FAMILY.describe(kernel, schedule, target).hot.total_flops >= np.prod(kernel.output_shape)


def test_buffers_that_a_function_of_tvm_allocates_are_counted():
    (schedule,) = FAMILY.points(layer_norm(), make_target())
    assert (
        FAMILY.scratch_elements(layer_norm(), schedule, make_target()) == 3 * 8 * 6
    )  # sums, means, sums of squares
    assert FAMILY.scratch_elements(resized(), schedule, make_target()) == 0
