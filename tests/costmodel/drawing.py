"""Targets, kernels and networks that the tests of this room draw from."""

from hypothesis import strategies as st

from costmodel.kernels import ConvKernel, PoolKernel
from costmodel.network import Network
from costmodel.operators import same_padding
from costmodel.profile import TargetFacts
from costmodel.target import CpuTarget, freeze_tvm_target
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
    "format": 1,
    "name": "odroid-xu3-a15",
    "description": "A board",
    "runner": "local",
    "target": TargetFacts.of(make_target(4)).model_dump(),
    "protocol": {"repeats": 5, "min_repeat_ms": 2},
}
"""A profile as it stands in a file."""
