"""Kernels for each schedule family of CPUs, of sizes that an emulated board computes at once."""

import random

from drawing import (
    any_pool_kernels,
    channels_kernels,
    depthwise_kernels,
    elementwise_kernels,
    grouped_kernels,
    layout_kernels,
    pool_kernels,
    softmax_kernels,
    windows_of,
)
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from costmodel.kernels import ConvKernel
from costmodel.schedules.registry import (
    CHANNELS,
    DEFAULT,
    DEPTHWISE,
    DIRECT,
    ELEMENTWISE,
    LAYOUT,
    POINTWISE,
    POOL,
    SPATIAL_PACK,
)

MAXIMUM_FLOPS = 3e6
"""An emulator does some 10^8 a second, and each point of a kernel is run."""
LANES = 4
"""NEON: groups of filters are whole vectors of it."""
EPILOGUES = ("relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "add", "multiply")


@st.composite
def convolutions(draw):
    """Any window, stride, padding, dilation and epilogue; groups of whole vectors of filters."""
    common, window = draw(windows_of())
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (3, 3)]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    block = draw(st.sampled_from([1, 8, 16]))
    channels = groups * draw(st.integers(1, 40 // groups))
    any_filters = st.one_of(st.integers(1, 9), st.integers(1, 64))
    whole_vectors = st.integers(1, 6).map(lambda vectors: LANES * vectors * groups)
    return ConvKernel(
        **{**common, "channels": channels, "input_stride": -(-channels // block) * block},
        filters=draw(any_filters if groups == 1 else whole_vectors),
        kernel=tuple((w - 1) // d + 1 for w, d in zip(window, dilation, strict=True)),
        dilation=dilation,
        groups=groups,
        epilogue=tuple(draw(st.lists(st.sampled_from(EPILOGUES), max_size=2))),
    )


@st.composite
def products(draw):
    """Convolutions of 1x1 on maps, some of them one row, and on vectors (dense layers)."""
    kernel = draw(convolutions())
    size = draw(st.sampled_from([(kernel.height, kernel.width), (1, 1)]))
    plain = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)}
    return ConvKernel(**{**vars(kernel), **plain, "height": size[0], "width": size[1]})


KERNELS = {
    DIRECT: st.one_of(convolutions(), convolutions(), products()),
    POINTWISE: products(),
    SPATIAL_PACK: convolutions(),
    DEPTHWISE: depthwise_kernels(),
    POOL: st.one_of(any_pool_kernels(), pool_kernels()),
    ELEMENTWISE: elementwise_kernels(),
    CHANNELS: channels_kernels(),
    LAYOUT: layout_kernels(),
    DEFAULT: st.one_of(grouped_kernels(), convolutions(), softmax_kernels()),
}


def drawn(family, target, count, number):
    """``count`` kernels that ``family`` schedules on ``target``, the same for the same number.

    Of eight times as many: half of them the largest, which have the most points, half any.
    """

    def is_its_work(kernel):
        return family.handles(kernel, target) and kernel.flops <= MAXIMUM_FLOPS

    found = []

    @seed(number)
    @settings(
        max_examples=8 * count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(KERNELS[family].filter(is_its_work))
    def collect(kernel):
        found.append(kernel)

    collect()
    distinct = sorted(dict.fromkeys(found), key=lambda kernel: kernel.flops, reverse=True)
    half = count // 2
    rest = distinct[half:]
    return distinct[:half] + random.Random(number).sample(rest, min(count - half, len(rest)))
