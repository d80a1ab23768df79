import pytest

from costmodel.kernels import (
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    LayoutKernel,
    Operand,
    PooledDenseKernel,
    PoolKernel,
    SoftmaxKernel,
    TvmKernel,
)


def kernel(**changes):
    given_ = {
        "height": 8, "width": 9, "channels": 3, "input_stride": 8, "filters": 4, "kernel": (3, 2),
        "stride": (1, 1), "padding": (1, 0, 1, 1), "epilogue": ("relu",),
    }  # fmt: skip
    return ConvKernel(**{**given_, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"height": 9}, {"width": 8}, {"channels": 4}, {"input_stride": 16}, {"filters": 5},
        {"kernel": (2, 3)}, {"stride": (2, 1)}, {"padding": (0, 1, 1, 1)}, {"epilogue": ()},
        {"dilation": (1, 2)}, {"groups": 3}, {"epilogue": ("add", "relu")},
    ],
)  # fmt: skip
def test_kernels_that_differ_have_keys_that_differ(change):
    assert kernel(**change).key != kernel().key


def test_useful_arithmetic_by_hand():
    assert kernel().output_size == (8, 9)
    assert kernel().flops == 2 * 3 * 2 * 3 * 4 * 8 * 9
    pool = PoolKernel(
        height=4, width=5, channels=6, input_stride=8, function="average", window=(4, 5)
    )
    assert pool.flops == 4 * 5 * 6
    assert pool.title == "average pool 4x5x6"


def test_a_group_reads_its_share_of_the_channels():
    grouped = kernel(channels=6, filters=4, groups=2, epilogue=("add", "relu"))
    assert (grouped.group_channels, grouped.group_filters, grouped.inputs) == (3, 2, 2)
    assert grouped.flops == kernel().flops
    assert grouped.title == "conv 3x2 6→4 in 2 groups"


def test_depthwise_is_one_filter_a_channel():
    assert kernel(channels=6, filters=6, groups=6).is_depthwise
    assert kernel(channels=6, filters=6, groups=6).title == "depthwise 3x2 6"
    assert not kernel(channels=6, filters=12, groups=6).is_depthwise
    assert not kernel(channels=1, filters=1).is_depthwise


def test_dilation_spans_a_larger_window():
    assert kernel(dilation=(2, 3)).window == (5, 4)
    assert kernel(dilation=(2, 3)).output_size == (6, 7)


MAP = {"height": 4, "width": 5, "channels": 6}


VECTOR = {"height": 1, "width": 1, "channels": 6, "input_stride": 6}
HEAD = {
    "pool": PoolKernel(**MAP, input_stride=6, function="average", window=(4, 5)),
    "dense": ConvKernel(
        **VECTOR, filters=3, kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0),
        epilogue=("add", "relu"),
    ),
}  # fmt: skip


def test_a_head_is_its_parts_one_after_another():
    head = PooledDenseKernel(**HEAD, softmax=True)
    *parts, softmax = head.parts
    assert parts == list(HEAD.values())
    assert (softmax.kind, softmax.channels) == ("softmax", 3)
    assert PooledDenseKernel(**HEAD).parts == tuple(parts)
    assert len({PooledDenseKernel(**HEAD, softmax=s).key for s in (False, True)}) == 2
    assert all(part.key in head.key for part in head.parts)


def test_a_convolution_with_zeros_around_is_not_dense():
    vector = kernel(**{**VECTOR, "kernel": (1, 1), "padding": (0, 0, 0, 0)})
    assert vector.is_dense
    assert not kernel(**{**vars(vector), "padding": (1, 1, 1, 1)}).is_dense


@pytest.mark.parametrize(
    ("one", "title", "flops", "inputs"),
    [
        (
            PoolKernel(**MAP, input_stride=8, function="max", window=(2, 3), stride=(2, 1)),
            "max pool 2x3 of 6", 2 * 3 * 2 * 3 * 6, 1,
        ),
        (
            ElementwiseKernel(
                **MAP, operands=(Operand(stride=8), Operand(stride=8, is_vector=True)),
                operations=("multiply", "hard_swish"),
            ),
            "multiply hard-swish 4x5x6", 2 * 120, 2,
        ),
        (
            ChannelsKernel(height=4, width=5, sources=((2, 8), (4, 8))),
            "concat 4x5x6", 120, 2,
        ),
        (
            ChannelsKernel(height=4, width=5, sources=((6, 8),), groups=2),
            "channel shuffle 4x5x6", 120, 1,
        ),
        (LayoutKernel(**MAP, stride=8, planar=True), "layout 4x5x6", 120, 1),
        (SoftmaxKernel(**MAP, input_stride=8), "softmax 6", 600, 1),
        (
            PooledDenseKernel(**HEAD, softmax=True),
            "average pool 4x5x6, dense 6→3, softmax 3", 120 + 2 * 6 * 3 + 5 * 3, 2,
        ),
        (
            TvmKernel(
                name="gelu", function="{}", input_shapes=((1, 6),), constant_shapes=(),
                output_shape=(1, 6),
            ),
            "gelu 1x6", 6, 1,
        ),
    ],
)  # fmt: skip
def test_every_kernel_has_title_work_and_inputs(one, title, flops, inputs):
    assert (one.title, one.flops, one.inputs) == (title, flops, inputs)
    assert one.key.startswith(one.kind)
