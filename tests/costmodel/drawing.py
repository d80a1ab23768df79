"""Targets, kernels and networks that the tests of this room draw from."""

from hypothesis import strategies as st

from costmodel.kernels import (
    COMBINING,
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    LayoutKernel,
    Operand,
    PoolKernel,
    SoftmaxKernel,
)
from costmodel.network import Network
from costmodel.operators import same_padding
from costmodel.target import CpuTarget, freeze_tvm_target
from costmodel.target_file import facts_of, target_to_file
from kws.architecture import Architecture, Unit, to_network

REGISTERS = {4: 16, 8: 16, 16: 32}
BLOCKS = {4: 8, 8: 8, 16: 16}


def make_target(lanes=8, cores=1, tvm=None, **facts):
    given = {
        "vector_lanes": lanes,
        "vector_registers": REGISTERS[lanes],
        "fma_per_cycle": 2.0,
        "fma_latency": 4.0,
        "loads_per_cycle": 2.0,
        "issue_width": 4.0,
        "out_of_order": True,
        "frequency_mhz": 1000.0,
        "l1_bytes": 32 * 1024,
        "l2_bytes": 512 * 1024,
        "l2_bytes_per_cycle": 4.0 * lanes,
        "memory_gb_per_s": 10.0,
        "filter_block": BLOCKS[lanes],
        "cores": cores,
    }
    tvm = tvm or freeze_tvm_target({"kind": "llvm", "num-cores": cores})
    return CpuTarget(tvm=tvm, **{**given, **facts})


targets = st.builds(make_target, lanes=st.sampled_from(sorted(REGISTERS)), cores=st.integers(1, 2))


@st.composite
def conv_kernels(draw, largest_channels=100, largest_extent=40):
    """A convolution of the paper's space: any place in the network, odd sizes, ragged tiles."""
    first = draw(st.booleans())
    channels = draw(st.one_of(st.integers(1, 4), st.integers(1, largest_channels)))
    size = draw(st.tuples(*[st.integers(1, largest_extent)] * 2))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 10 if first else 5)))
    stride = draw(st.tuples(*[st.integers(1, 2)] * 2))
    block = 1 if first else draw(st.sampled_from([8, 16]))
    return ConvKernel(
        height=size[0],
        width=size[1],
        channels=channels,
        input_stride=-(-channels // block) * block,
        filters=draw(st.one_of(st.integers(1, 9), st.integers(1, 100))),
        kernel=kernel,
        stride=stride,
        padding=same_padding(size, kernel, stride),
        epilogue=("relu",) * draw(st.integers(0, 1)),
    )


@st.composite
def pool_kernels(draw):
    channels = draw(st.integers(1, 100))
    block = draw(st.sampled_from([1, 8, 16]))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 20)))
    return PoolKernel(
        height=size[0],
        width=size[1],
        channels=channels,
        input_stride=-(-channels // block) * block,
        function="average",
        window=size,
    )


@st.composite
def windows_of(draw, largest_window=5):
    """Height, width, channels, stride of a pixel, window, stride and padding that fit together."""
    size = draw(st.tuples(*[st.one_of(st.integers(1, 4), st.integers(1, 20))] * 2))
    channels = draw(st.one_of(st.integers(2, 9), st.integers(2, 70)))
    block = draw(st.sampled_from([1, 8, 16, 16]))
    window = draw(st.tuples(*[st.integers(1, largest_window)] * 2))
    padding = draw(st.tuples(*[st.integers(0, window[axis] - 1) for axis in (0, 1, 0, 1)]))
    for axis in (0, 1):  # a window that does not fit a small map gets the map's size
        if size[axis] + padding[axis] + padding[axis + 2] < window[axis]:
            window = tuple(size[a] if a == axis else window[a] for a in (0, 1))
            padding = tuple(0 if a in (axis, axis + 2) else padding[a] for a in range(4))
    return {
        "height": size[0],
        "width": size[1],
        "channels": channels,
        "input_stride": -(-channels // block) * block,
        "stride": draw(st.tuples(*[st.integers(1, 3)] * 2)),
        "padding": padding,
    }, window


@st.composite
def any_pool_kernels(draw):
    """Any function, window, stride and padding."""
    common, window = draw(windows_of())
    return PoolKernel(
        **common,
        window=window,
        function=draw(st.sampled_from(["average", "max"])),
        count_padding=draw(st.booleans()),
    )


@st.composite
def depthwise_kernels(draw):
    """Any window, dilation, stride and padding, on padded channels or on a network's own."""
    common, window = draw(windows_of(largest_window=9))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2))
    kernel = tuple((w - 1) // d + 1 for w, d in zip(window, dilation, strict=True))
    epilogue = st.sampled_from(["relu", "relu6", "hard_swish", "sigmoid", "add", "multiply"])
    return ConvKernel(
        **common,
        filters=common["channels"],
        groups=common["channels"],
        kernel=kernel,
        dilation=dilation,
        epilogue=tuple(draw(st.lists(epilogue, max_size=2))),
    )


@st.composite
def elementwise_kernels(draw):
    """A chain on a map or a vector; operands padded, or as a network's input is."""
    size = draw(st.one_of(st.just((1, 1)), st.tuples(*[st.integers(1, 12)] * 2)))
    channels = draw(st.one_of(st.integers(1, 9), st.integers(1, 200)))
    names = ["relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "add", "multiply", "affine"]
    operations = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))
    inputs = 1 + sum(name in COMBINING for name in operations)
    return ElementwiseKernel(
        height=size[0],
        width=size[1],
        channels=channels,
        operands=tuple(
            Operand(
                stride=_padded(channels, draw(st.sampled_from([1, 16, 16]))),
                is_vector=i > 0 and draw(st.booleans()),
            )
            for i in range(inputs)
        ),
        operations=operations,
    )


@st.composite
def channels_kernels(draw):
    """Values behind each other, shuffled or not."""
    groups = draw(st.sampled_from([1, 1, 2, 3, 10]))
    counts = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    counts[-1] += -sum(counts) % groups
    return ChannelsKernel(
        height=draw(st.integers(1, 9)),
        width=draw(st.integers(1, 9)),
        sources=tuple((c, _padded(c, draw(st.sampled_from([1, 8, 16])))) for c in counts),
        groups=groups,
    )


@st.composite
def layout_kernels(draw):
    """A map on its way into or out of the layout of frameworks."""
    channels = draw(st.integers(1, 40))
    return LayoutKernel(
        height=draw(st.integers(1, 12)),
        width=draw(st.integers(1, 12)),
        channels=channels,
        stride=_padded(channels, draw(st.sampled_from([1, 8, 16]))),
        planar=draw(st.booleans()),
    )


@st.composite
def softmax_kernels(draw):
    channels = draw(st.integers(1, 40))
    return SoftmaxKernel(
        height=draw(st.integers(1, 4)),
        width=draw(st.integers(1, 4)),
        channels=channels,
        input_stride=_padded(channels, draw(st.sampled_from([1, 8, 16]))),
    )


@st.composite
def grouped_kernels(draw):
    """Convolutions in groups of any size: also some filters for each channel."""
    common, window = draw(windows_of())
    groups, inner = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    return ConvKernel(
        **{**common, "channels": groups * inner, "input_stride": _padded(groups * inner, 8)},
        filters=groups * draw(st.integers(1, 5)),
        groups=groups,
        kernel=window,
        epilogue=draw(st.sampled_from([(), ("add", "relu")])),
    )


def _padded(channels, block):
    return -(-channels // block) * block


def small_network(filters=7, classes=5, shape=(9, 8, 2)):
    """Two units with batch norm and ReLU, pooling, dense: every kind of kernel."""
    network = Network(shape)
    node = Network.INPUT
    for number in (1, 2):
        node = network.conv2d(node, filters=filters, kernel=(3, 2), name=f"conv{number}")
        node = network.batch_norm(node, name=f"bn{number}")
        node = network.relu(node, name=f"relu{number}")
    network.dense(network.global_average_pool(node, name="pool"), units=classes, name="dense")
    return network


def sample_network(generator):
    """A network of three units of the paper's space, with its text."""
    units = tuple(
        Unit(
            kernel=tuple(generator.integers(1, 6, 2).tolist()),
            filters=int(generator.integers(1, 101)),
        )
        for _ in range(3)
    )
    architecture = Architecture(units)
    return str(architecture), to_network(architecture)


BOARD = {
    "format": 2,
    "name": "odroid-xu3-a15",
    "description": "A board",
    "runner": "local",
    "target": target_to_file(make_target(4)),
    "sources": dict.fromkeys(facts_of(make_target(4)), "assumed: a test"),
    "protocol": {"repeats": 5, "min_repeat_ms": 2},
}
"""A profile as it stands in a file."""
