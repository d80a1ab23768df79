"""Every schedule family computes on emulated boards what torch does."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_drawing import KERNELS, drawn
from board_errors import TOLERANCE, Case, errors_on
from boards import BOARDS, board_target, run_under_qemu

import hw_profiles
from costmodel.kernels import (
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    LayoutKernel,
    Operand,
    PoolKernel,
    SoftmaxKernel,
)
from costmodel.loopnest import LoopKind
from costmodel.lowering import lower
from costmodel.profile import ProfileStore
from costmodel.schedules.channels import ChannelMoves
from costmodel.schedules.depthwise import DepthwiseConvolution
from costmodel.schedules.registry import (
    CHANNELS,
    CPU_FAMILIES,
    DEFAULT,
    DEPTHWISE,
    DIRECT,
    ELEMENTWISE,
    LAYOUT,
    POINTWISE,
    POOL,
    SPATIAL_PACK,
    points,
)

SHIPPED = ProfileStore([Path(hw_profiles.__path__[0])])
ARM = [name for name in BOARDS if name.startswith("cortex-")]


def few_points(family, target, number):
    """Two kernels of the family with two points of each, where there are two."""
    generator = random.Random(number)
    for kernel in drawn(family, target, 2, number):
        found = family.points(kernel, target)
        for schedule in generator.sample(found, min(2, len(found))):
            yield Case(family, kernel, schedule)


@pytest.mark.parametrize("processor", ARM)
def test_every_family_computes_what_torch_does(processor):
    target, number = board_target(processor), ARM.index(processor)
    cases = [case for family in CPU_FAMILIES for case in few_points(family, target, number)]
    assert {case.family for case in cases} == set(CPU_FAMILIES) == set(KERNELS)
    wrong = {
        str(case): error
        for case, error in zip(cases, errors_on(cases, target), strict=True)
        if not error <= TOLERANCE
    }
    assert not wrong


SIZE = {"height": 27, "width": 60}
MAP = {**SIZE, "channels": 35, "input_stride": 40}
WINDOW = {"stride": (1, 1), "padding": (1, 1, 1, 1)}
LAYER = {**MAP, **WINDOW, "kernel": (3, 3), "filters": 4, "epilogue": ("sigmoid",)}
LARGE = {
    DIRECT: ConvKernel(**LAYER),
    POINTWISE: ConvKernel(**{**LAYER, "kernel": (1, 1), "padding": (0, 0, 0, 0)}),
    SPATIAL_PACK: ConvKernel(**LAYER),
    DEPTHWISE: ConvKernel(**{**LAYER, "filters": 35}, groups=35),
    POOL: PoolKernel(**MAP, **WINDOW, window=(3, 3), function="average"),
    ELEMENTWISE: ElementwiseKernel(
        **SIZE, channels=35, operands=(Operand(stride=40),) * 2, operations=("add", "affine")
    ),
    CHANNELS: ChannelsKernel(**SIZE, sources=((35, 40), (5, 8)), groups=2),
    LAYOUT: LayoutKernel(**SIZE, channels=35, stride=40, planar=True),
    DEFAULT: SoftmaxKernel(**MAP),
}
"""For each family a kernel whose work is worth waking a second core."""


@pytest.mark.parametrize("processor", ["cortex-a7", "cortex-a72"])
def test_every_family_shares_its_work_out_to_two_threads(processor):
    target = board_target(processor, cores=2)
    cases = [Case(f, kernel, f.points(kernel, target)[-1]) for f, kernel in LARGE.items()]
    for case in cases:
        nest = case.family.describe(case.kernel, case.schedule, target)
        kinds = {loop.kind for statement in nest.statements for loop in statement.loops}
        assert LoopKind.PARALLEL in kinds
    assert {case.family for case in cases} == set(CPU_FAMILIES)
    assert all(error <= TOLERANCE for error in errors_on(cases, target))


class WithoutBias(DepthwiseConvolution):
    """A family with an error."""

    def pack(self, kernel, schedule, target, constants):
        weight, bias = super().pack(kernel, schedule, target, constants)
        return weight, 0 * bias


class BeyondItsChannels(ChannelMoves):
    """A family that moves what is not defined."""

    def module(self, kernel, schedule, target):
        further = [(channels + 1, stride) for channels, stride in kernel.sources]
        return super().module(replace(kernel, sources=tuple(further)), schedule, target)


def test_a_family_that_computes_something_else_is_found_out():
    target = board_target("cortex-a53")
    plain = ChannelsKernel(**SIZE, sources=((35, 40), (5, 8)))
    kernels = {WithoutBias(): LARGE[DEPTHWISE], BeyondItsChannels(): plain}
    cases = [Case(f, kernel, f.points(kernel, target)[0]) for f, kernel in kernels.items()]
    without_bias, beyond = errors_on(cases, target)
    assert without_bias > 0.01
    assert np.isnan(beyond)


@pytest.mark.parametrize("name", ["odroid-xu3-a7", "pynq-z1-a9", "odroid-xu3-a15"])
def test_stores_that_llvm_would_merge_wrongly_are_right(name):
    """240 of these 3,600 numbers were addresses before `costmodel.target.ARMV7_OPTION`."""
    kernel = LayoutKernel(height=12, width=10, channels=30, stride=32, planar=True)
    target = SHIPPED.get(name).target()
    (schedule,) = points(kernel, target)
    x = np.random.default_rng(0).standard_normal((12, 10, 32), dtype=np.float32)
    (found,) = run_under_qemu([lower(kernel, schedule, target)], target, [[x]])
    assert np.array_equal(found.ravel()[:3600], x[..., :30].transpose(2, 0, 1).ravel())
