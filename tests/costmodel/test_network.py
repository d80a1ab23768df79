import numpy as np
import pytest

from costmodel.errors import InputError
from costmodel.network import Network
from costmodel.operators import Conv2d, Dense, TvmOperator


def test_nodes_come_after_what_they_read_in_the_order_of_adding():
    network = Network((8, 8, 1))
    a = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3))
    b = network.conv2d(Network.INPUT, filters=5, kernel=(1, 1))
    c = network.relu(a)
    assert list(network.nodes()) == [a, b, c]
    assert network.output == c
    assert network.sources(c) == (a,)
    assert set(network.users(Network.INPUT)) == {a, b}


def test_shapes_follow_the_operators():
    network = Network((40, 32, 1))
    conv = network.conv2d(Network.INPUT, filters=9, kernel=(4, 10), stride=(1, 2))
    pool = network.global_average_pool(network.batch_norm(conv))
    dense = network.dense(pool, units=10)
    shapes = [network.shape(node) for node in (Network.INPUT, conv, pool, dense)]
    assert shapes == [(40, 32, 1), (40, 16, 9), (9,), (10,)]
    assert network.input_shape == (40, 32, 1)


def test_padding_given_is_the_padding_taken():
    network = Network((8, 8, 1))
    conv = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3), padding=(0, 1, 2, 3))
    assert network.operator(conv).padding == (0, 1, 2, 3)
    assert network.shape(conv) == (8, 10, 4)


def test_convolutions_come_with_input_and_output_shape():
    network = Network((8, 6, 2))
    network.conv2d(
        network.conv2d(Network.INPUT, filters=4, kernel=(3, 3)), filters=5, kernel=(1, 1)
    )
    found = [(conv.filters, source, target) for conv, source, target in network.convolutions()]
    assert found == [(4, (8, 6, 2), (8, 6, 4)), (5, (8, 6, 4), (8, 6, 5))]


@pytest.mark.parametrize("shape", [(), (0, 3, 1), (4, -1, 1), (4.0, 3, 1)])
def test_an_input_shape_has_positive_whole_extents(shape):
    with pytest.raises(InputError, match="positive whole extents"):
        Network(shape)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"filters": 0, "kernel": (3, 3)}, "filters"),
        ({"filters": 1, "kernel": (0, 3)}, "kernel"),
        ({"filters": 1, "kernel": (3, 3), "stride": (1, 0)}, "stride"),
        ({"filters": 1, "kernel": (3, 3), "padding": (0, 0, -1, 0)}, "padding"),
        ({"filters": 1, "kernel": (3, 3), "dilation": (0, 1)}, "dilation"),
        ({"filters": 1, "kernel": (3, 3), "groups": 0}, "groups"),
    ],
)
def test_an_impossible_setting_of_a_convolution_is_named(settings, named):
    with pytest.raises(InputError, match=f"{named} of a convolution must be at least"):
        Network((8, 8, 1)).conv2d(Network.INPUT, **settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"window": (0, 3)}, "window"),
        ({"window": (3, 3), "stride": (0, 1)}, "stride"),
        ({"window": (3, 3), "padding": (0, -1, 0, 0)}, "padding"),
    ],
)
def test_an_impossible_setting_of_a_pooling_is_named(settings, named):
    with pytest.raises(InputError, match=f"{named} of a pooling must be at least"):
        Network((8, 8, 1)).pool2d(Network.INPUT, function="max", **settings)


def test_every_operator_has_its_method_and_shape():
    network = Network((8, 6, 4))
    conv = network.conv2d(
        Network.INPUT, filters=8, kernel=(3, 3), dilation=(2, 1), groups=4, name="conv"
    )
    both = network.concat(conv, network.activation(conv, "hard_swish"))
    mixed = network.channel_shuffle(both, groups=2)
    pool = network.pool2d(mixed, function="average", window=(2, 2), stride=(2, 2))
    gate = network.activation(network.global_average_pool(pool), "sigmoid")
    gated = network.sum(network.product(pool, gate), pool)
    output = network.softmax(network.dense(network.flatten(gated), units=5))
    names = (conv, both, mixed, pool, gate, gated, output)
    assert [network.shape(name) for name in names] == [
        (8, 6, 8), (8, 6, 16), (8, 6, 16), (4, 3, 16), (16,), (4, 3, 16), (5,)
    ]  # fmt: skip
    assert network.operator(conv).padding == (2, 1, 2, 1)


def test_a_node_that_reads_one_value_twice_says_so():
    network = Network((8, 8, 2))
    double = network.sum(Network.INPUT, Network.INPUT)
    assert network.sources(double) == (Network.INPUT, Network.INPUT)
    assert network.users(Network.INPUT) == (double,)


def test_shapes_that_do_not_go_together_name_the_node():
    network = Network((8, 8, 2))
    small = network.pool2d(Network.INPUT, function="max", window=(2, 2), stride=(2, 2))
    with pytest.raises(InputError, match=r"node 'joined': concat takes values that differ"):
        network.concat(Network.INPUT, small, name="joined")


def test_an_operator_gets_as_many_values_as_it_takes():
    with pytest.raises(InputError, match="node 'd' takes 1 values, 2 are given"):
        Network((4,)).add(Dense(units=2), Network.INPUT, Network.INPUT, name="d")


def test_a_dense_layer_has_units():
    network = Network((4,))
    with pytest.raises(InputError, match="units of a dense layer must be at least 1, got 0"):
        network.dense(Network.INPUT, units=0)


def test_a_convolution_of_a_vector_is_an_input_error():
    network = Network((8, 8, 1))
    pool = network.global_average_pool(Network.INPUT)
    with pytest.raises(InputError, match="a convolution takes a feature map"):
        network.conv2d(pool, filters=1, kernel=(1, 1))


def test_an_unknown_node_is_named_beside_those_there_are():
    network = Network((8, 8, 1))
    network.relu(Network.INPUT, name="first")
    for ask in (network.shape, network.operator, network.relu):
        with pytest.raises(InputError, match=r"no node 'frist'.*input, first"):
            ask("frist")


def test_a_name_is_given_once():
    network = Network((8, 8, 1))
    network.relu(Network.INPUT, name="a")
    with pytest.raises(InputError, match="already has a node 'a'"):
        network.relu("a", name="a")


def test_random_weights_of_groups_and_of_tvms_functions_have_the_shapes_they_state():
    network = Network((8, 8, 6))
    conv = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3), groups=2)
    operator = TvmOperator(
        title="relax.nn.prelu", function="{}", shape=(8, 8, 4), parameters=("p0", "p1"),
        parameter_shapes=((4,), (2, 3)),
    )  # fmt: skip
    node = network.add(operator, conv)
    weights = network.random_weights(seed=0)
    assert weights[conv]["weight"].shape == (4, 3, 3, 3)
    assert {k: v.shape for k, v in weights[node].items()} == {"p0": (4,), "p1": (2, 3)}


def test_random_weights_have_torchs_layouts_and_come_from_the_seed():
    network = Network((8, 8, 3))
    conv = network.conv2d(Network.INPUT, filters=4, kernel=(2, 5))
    norm = network.batch_norm(network.bias(conv, name="b"))
    dense = network.dense(network.global_average_pool(norm), units=6)
    weights = network.random_weights(seed=1)
    assert weights[conv]["weight"].shape == (4, 3, 2, 5)
    assert weights["b"]["bias"].shape == (4,)
    assert {k: v.shape for k, v in weights[dense].items()} == {"weight": (6, 4), "bias": (6,)}
    assert (weights[norm]["variance"] > 0).all()
    again, other = network.random_weights(seed=1), network.random_weights(seed=2)
    assert np.array_equal(weights[conv]["weight"], again[conv]["weight"])
    assert not np.array_equal(weights[conv]["weight"], other[conv]["weight"])
    for node, parameters in weights.items():
        assert set(parameters) == set(network.operator(node).parameters)
        assert isinstance(network.operator(node), Conv2d | Dense) or node in {norm, "b"}
