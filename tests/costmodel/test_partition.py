import pytest
from drawing import make_target, small_network

from costmodel.network import Network
from costmodel.partition import partition

TARGET = make_target(lanes=8)


def network_of(*calls, shape=(8, 8, 3)):
    """A chain of nodes, each reading the one before."""
    network, node = Network(shape), Network.INPUT
    for name, settings_ in calls:
        node = getattr(network, name)(node, **settings_)
    return network


CONV = ("conv2d", {"filters": 5, "kernel": (3, 3)})
BN, BIAS, RELU = ("batch_norm", {}), ("bias", {}), ("relu", {})


def test_a_network_is_its_fused_groups_in_order():
    steps = partition(small_network(), TARGET)
    assert [step.nodes for step in steps] == [
        ("conv1", "bn1", "relu1"),
        ("conv2", "bn2", "relu2"),
        ("pool",),
        ("dense",),
    ]
    assert [(step.sources, step.output) for step in steps] == [
        (("input",), "relu1"),
        (("relu1",), "relu2"),
        (("relu2",), "pool"),
        (("pool",), "dense"),
    ]


@pytest.mark.parametrize(
    ("chain", "fused"),
    [
        ((CONV,), 1),
        ((CONV, BIAS), 2),
        ((CONV, BN, RELU), 3),
        ((CONV, BIAS, BN, BIAS, RELU), 5),
    ],
)
def test_norms_and_biases_and_one_relu_are_fused(chain, fused):
    (step,) = partition(network_of(*chain), TARGET)
    assert len(step.nodes) == fused
    assert step.kernel.epilogue == (("relu",) if chain[-1] is RELU else ())


def test_a_dense_layer_takes_its_relu():
    dense = ("dense", {"units": 4})
    (step,) = partition(network_of(dense, RELU, shape=(6,)), TARGET)
    assert step.kernel.is_dense
    assert step.kernel.epilogue == ("relu",)
    assert step.kernel.title == "dense 6→4"


def test_what_has_two_readers_is_written_out():
    network = Network((8, 8, 1))
    conv = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3), name="a")
    network.conv2d(conv, filters=4, kernel=(1, 1), name="b")
    network.conv2d(conv, filters=4, kernel=(1, 1), name="c")
    steps = partition(network, TARGET)
    assert [(step.sources, step.nodes) for step in steps] == [
        (("input",), ("a",)),
        (("a",), ("b",)),
        (("a",), ("c",)),
    ]
    assert steps[1].kernel == steps[2].kernel


@pytest.mark.parametrize(
    ("chain", "operations"),
    [((RELU,), ("relu",)), ((BN, RELU, BIAS), ("affine", "relu", "affine"))],
)
def test_what_follows_no_convolution_is_a_kernel_of_its_own(chain, operations):
    (step,) = partition(network_of(*chain), TARGET)
    assert step.kernel.operations == operations


def test_a_norm_behind_an_activation_cannot_be_folded():
    conv, norm = partition(network_of(CONV, RELU, BN), TARGET)
    assert conv.kernel.epilogue == ("relu",)
    assert norm.kernel.operations == ("affine",)


def test_an_activation_of_a_value_read_twice_is_a_kernel_of_its_own():
    network = Network((8, 8, 1))
    conv = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3))
    network.conv2d(conv, filters=4, kernel=(1, 1))
    network.relu(conv, name="late")
    assert [step.nodes for step in partition(network, TARGET)][-1] == ("late",)


def residual(order):
    """Two convolutions and their sum; ``order``: the one that is added to the network last."""
    network = Network((8, 8, 8))
    for name in order:
        network.conv2d(Network.INPUT, filters=8, kernel=(3, 3), name=name)
    network.relu(network.sum("main", "side", name="sum"), name="end")
    return network


@pytest.mark.parametrize("order", [("main", "side"), ("side", "main")])
def test_a_sum_goes_to_the_convolution_that_runs_last(order):
    first, last = partition(residual(order), TARGET)
    assert first.nodes == (order[0],)
    assert (last.nodes, last.sources) == ((order[1], "sum", "end"), ("input", order[0]))
    assert last.kernel.epilogue == ("add", "relu")


def test_a_sum_with_an_unpadded_input_is_a_kernel_of_its_own():
    network = Network((8, 8, 3))
    conv = network.conv2d(Network.INPUT, filters=3, kernel=(3, 3), name="conv")
    network.sum(conv, Network.INPUT, name="sum")
    assert [step.nodes for step in partition(network, TARGET)] == [("conv",), ("sum",)]


def test_channels_are_padded_between_kernels_and_not_at_the_input():
    strides = [step.kernel.input_stride for step in partition(small_network(filters=9), TARGET)]
    assert strides == [2, 16, 16, 16]


def test_equal_kernels_of_different_networks_are_one():
    one, other = (partition(small_network(filters=f), TARGET) for f in (7, 7))
    assert [s.kernel for s in one] == [s.kernel for s in other]
    assert [s.kernel.key for s in one] == [s.kernel.key for s in other]
