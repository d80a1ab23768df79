import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import InputError
from costmodel.operators import (
    BatchNorm,
    Bias,
    Conv2d,
    Dense,
    GlobalAveragePool,
    Relu,
    same_padding,
)

pairs = st.tuples(st.integers(1, 40), st.integers(1, 40))
kernels = st.tuples(st.integers(1, 10), st.integers(1, 10))
strides = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(pairs, kernels, strides)
def test_same_padding_gives_the_size_over_the_stride_rounded_up(size, kernel, stride):
    conv = Conv2d(
        filters=3, kernel=kernel, stride=stride, padding=same_padding(size, kernel, stride)
    )
    expected = (math.ceil(size[0] / stride[0]), math.ceil(size[1] / stride[1]), 3)
    assert conv.output_shape((*size, 1)) == expected


@given(pairs, kernels)
def test_same_padding_is_that_of_torch_where_torch_has_one(size, kernel):
    """torch knows 'same' for stride 1: the impulse response shows on which side the zeros are."""
    top, left, bottom, right = same_padding(size, kernel, (1, 1))
    x = torch.arange(1.0, 1 + size[0] * size[1]).reshape(1, 1, *size)
    weight = torch.arange(1.0, 1 + kernel[0] * kernel[1]).reshape(1, 1, *kernel)
    ours = F.conv2d(F.pad(x, (left, right, top, bottom)), weight)
    torch.testing.assert_close(ours, F.conv2d(x, weight, padding="same"))


@given(pairs, kernels, strides)
def test_same_padding_puts_the_odd_zero_at_the_end_and_adds_no_needless_one(size, kernel, stride):
    top, left, bottom, right = same_padding(size, kernel, stride)
    assert 0 <= bottom - top <= 1
    assert 0 <= right - left <= 1
    assert top + bottom < kernel[0]
    assert left + right < kernel[1]


@given(
    pairs,
    kernels,
    strides,
    st.tuples(*[st.integers(0, 4)] * 4),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_a_convolutions_shape_is_torchs(size, kernel, stride, padding, channels, filters):
    conv = Conv2d(filters=filters, kernel=kernel, stride=stride, padding=padding)
    top, left, bottom, right = padding
    padded = F.pad(torch.zeros(1, channels, *size), (left, right, top, bottom))
    if padded.shape[2] < kernel[0] or padded.shape[3] < kernel[1]:
        with pytest.raises(InputError, match=rf"{kernel[0]}x{kernel[1]} kernel does not fit"):
            conv.output_shape((*size, channels))
    else:
        out = F.conv2d(padded, torch.zeros(filters, channels, *kernel), stride=stride)
        assert conv.output_shape((*size, channels)) == (*out.shape[2:], filters)


@pytest.mark.parametrize("operator", [BatchNorm(), Bias(), Relu()])
def test_what_works_on_single_numbers_keeps_the_shape(operator):
    assert operator.output_shape((4, 5, 6)) == (4, 5, 6)
    assert operator.output_shape((6,)) == (6,)


def test_pooling_leaves_the_channels_and_dense_its_units():
    assert GlobalAveragePool().output_shape((4, 5, 6)) == (6,)
    assert Dense(units=10).output_shape((6,)) == (10,)


def test_an_operator_on_the_wrong_sort_of_value_is_named():
    with pytest.raises(InputError, match=r"conv2d takes a feature map .* got the shape \(6,\)"):
        Conv2d(filters=1, kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)).output_shape((6,))
    with pytest.raises(InputError, match="global_average_pool takes a feature map"):
        GlobalAveragePool().output_shape((6,))
    with pytest.raises(InputError, match=r"dense takes a vector.*pool or flatten first"):
        Dense(units=1).output_shape((4, 5, 6))
