import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import InputError
from costmodel.operators import (
    Activation,
    BatchNorm,
    Bias,
    ChannelShuffle,
    Combine,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    Pool2d,
    Softmax,
    TvmOperator,
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


@settings(deadline=None)  # the first convolution of a process takes its time
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
    size=pairs,
    kernel=kernels,
    stride=strides,
    padding=st.tuples(*[st.integers(0, 4)] * 4),
    dilation=st.tuples(*[st.integers(1, 3)] * 2),
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    outer=st.integers(1, 3),
)
def test_a_convolutions_shape_is_torchs(
    size, kernel, stride, padding, dilation, groups, inner, outer
):
    channels, filters = inner * groups, outer * groups
    conv = Conv2d(
        filters=filters, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip
    top, left, bottom, right = padding
    padded = F.pad(torch.zeros(1, channels, *size), (left, right, top, bottom))
    if padded.shape[2] < conv.window[0] or padded.shape[3] < conv.window[1]:
        with pytest.raises(InputError, match=r"kernel does not fit"):
            conv.output_shape((*size, channels))
    else:
        weight = torch.zeros(filters, inner, *kernel)
        out = F.conv2d(padded, weight, stride=stride, dilation=dilation, groups=groups)
        assert conv.output_shape((*size, channels)) == (*out.shape[2:], filters)


@given(pairs, kernels, strides, st.integers(0, 4))
def test_a_poolings_shape_is_torchs(size, window, stride, padding):
    pool = Pool2d(function="max", window=window, stride=stride, padding=(padding,) * 4)
    padded = F.pad(torch.zeros(1, 3, *size), (padding,) * 4)
    if padded.shape[2] < window[0] or padded.shape[3] < window[1]:
        with pytest.raises(InputError, match=r"window does not fit"):
            pool.output_shape((*size, 3))
    else:
        out = F.max_pool2d(padded, window, stride)
        assert pool.output_shape((*size, 3)) == (*out.shape[2:], 3)


@pytest.mark.parametrize(("groups", "filters"), [(4, 4), (3, 4)])
def test_groups_divide_channels_and_filters(groups, filters):
    conv = Conv2d(
        filters=filters, kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0), groups=groups
    )
    with pytest.raises(InputError, match=f"{groups} groups do not divide 6 channels and"):
        conv.output_shape((5, 5, 6))


@pytest.mark.parametrize("operator", [BatchNorm(), Bias(), Softmax(), Activation(function="relu")])
def test_what_works_on_single_numbers_keeps_the_shape(operator):
    assert operator.output_shape((4, 5, 6)) == (4, 5, 6)
    assert operator.output_shape((6,)) == (6,)


@pytest.mark.parametrize("function", ["add", "multiply"])
def test_two_values_combine_where_torch_broadcasts_them(function):
    combine = Combine(function=function)
    assert combine.output_shape((4, 5, 6), (4, 5, 6)) == (4, 5, 6)
    assert combine.output_shape((4, 5, 6), (6,)) == (4, 5, 6)
    assert combine.output_shape((6,), (6,)) == (6,)


@pytest.mark.parametrize("other", [(5,), (4, 6, 5), (1, 1, 6), (5, 6)])
def test_values_that_do_not_go_together_are_shown(other):
    with pytest.raises(InputError, match=r"multiply takes two values.*\(4, 5, 6\) and"):
        Combine(function="multiply").output_shape((4, 5, 6), other)


def test_a_vector_comes_second():
    with pytest.raises(InputError, match="add takes two values of one shape, or a map and a"):
        Combine(function="add").output_shape((6,), (4, 5, 6))


def test_concat_adds_the_channels():
    assert Concat().output_shape((4, 5, 6), (4, 5, 1), (4, 5, 2)) == (4, 5, 9)
    assert Concat().output_shape((6,), (1,)) == (7,)
    with pytest.raises(InputError, match="concat takes values that differ in channels only"):
        Concat().output_shape((4, 5, 6), (5, 4, 6))


def test_a_channel_shuffle_keeps_the_shape_and_needs_whole_groups():
    assert ChannelShuffle(groups=3).output_shape((4, 5, 6)) == (4, 5, 6)
    with pytest.raises(InputError, match="4 groups do not divide 6 channels"):
        ChannelShuffle(groups=4).output_shape((4, 5, 6))
    with pytest.raises(InputError, match="channel_shuffle takes a feature map"):
        ChannelShuffle(groups=2).output_shape((6,))


def test_flatten_gives_one_vector_and_tvms_function_its_own_shape():
    assert Flatten().output_shape((4, 5, 6)) == (120,)
    operator = TvmOperator(title="relax.nn.gelu", function="{}", shape=(3, 2, 1))
    assert operator.output_shape((4, 5, 6), (1,)) == (3, 2, 1)


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
