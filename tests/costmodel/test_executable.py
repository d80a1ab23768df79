import numpy as np
import pytest
from drawing import make_target, small_network
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import largest_relative_error, torch_output

from costmodel.errors import InputError
from costmodel.executable import Executable
from costmodel.host import host_target
from costmodel.lowering import lower
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.schedules.registry import points

TOLERANCE = 1e-4
compiled = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])


def host(lanes=None, cores=1):
    """The host's code, with tiles for the lanes of another core where asked."""
    target = host_target(cores)
    return make_target(lanes, cores, target.tvm) if lanes else target


def compile_random(network, target, seed):
    """The network under schedules drawn at random, with random weights."""
    generator = np.random.default_rng(seed)
    steps = partition(network, target)
    schedules = []
    for step in steps:
        choices = points(step.kernel, target)
        schedules.append(choices[generator.integers(len(choices))])
    program = Program(steps, tuple(schedules), network.input_shape, target)
    weights = network.random_weights(seed)
    x = generator.standard_normal(network.input_shape, dtype=np.float32)
    return Executable.of_program(program, network, weights), weights, x


def assert_equals_torch(network, target, seed):
    executable, weights, x = compile_random(network, target, seed)
    first = executable.run(x)
    assert largest_relative_error(first, torch_output(network, weights, x)) < TOLERANCE
    assert np.array_equal(executable.run(x), first)


@st.composite
def architectures(draw):
    """Up to four units of the paper's space with strides, pooling and a dense layer."""
    network = Network((draw(st.integers(5, 40)), draw(st.integers(5, 32)), draw(st.integers(1, 3))))
    node = Network.INPUT
    for number in range(draw(st.integers(1, 4))):
        node = network.conv2d(
            node,
            filters=draw(st.integers(1, 40)),
            kernel=(draw(st.integers(1, 5)), draw(st.integers(1, 5 if number else 10))),
            stride=draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)])),
        )
        if draw(st.booleans()):
            node = network.batch_norm(node)
        if draw(st.booleans()):
            node = network.bias(node)
        if draw(st.booleans()):
            node = network.relu(node)
    network.dense(network.global_average_pool(node), units=draw(st.integers(2, 12)))
    return network


@compiled
@given(architectures(), st.sampled_from([None, 4, 8]), st.integers(1, 2), st.integers(0, 2**31))
def test_a_random_network_under_random_schedules_equals_torch(network, lanes, cores, seed):
    assert_equals_torch(network, host(lanes, cores), seed)


@pytest.mark.parametrize(
    ("shape", "filters", "kernel", "stride"),
    [
        pytest.param((9, 11, 3), 5, (2, 4), (1, 1), id="even kernel"),
        pytest.param((9, 11, 3), 21, (3, 3), (2, 2), id="stride 2, odd size"),
        pytest.param((10, 8, 3), 5, (2, 2), (2, 2), id="even kernel, stride 2"),
        pytest.param((7, 6, 17), 30, (1, 1), (1, 1), id="1x1"),
        pytest.param((40, 32, 1), 6, (4, 10), (1, 2), id="one input channel"),
        pytest.param((1, 1, 9), 10, (1, 1), (1, 1), id="one pixel"),
        pytest.param((6, 13, 4), 100, (5, 5), (1, 1), id="kernel near the size, ragged"),
        pytest.param((5, 4, 2), 1, (1, 1), (3, 2), id="stride beyond the kernel"),
    ],
)
def test_a_convolution_alone_equals_torch(shape, filters, kernel, stride):
    network = Network(shape)
    conv = network.conv2d(Network.INPUT, filters=filters, kernel=kernel, stride=stride)
    network.relu(network.bias(conv))
    assert_equals_torch(network, host(), seed=1)


def test_padding_on_one_side_equals_torch():
    network = Network((6, 7, 3))
    network.conv2d(Network.INPUT, filters=4, kernel=(3, 3), padding=(0, 2, 1, 0))
    assert_equals_torch(network, host(), seed=1)


def test_a_dense_network_equals_torch():
    network = Network((9,))
    node = network.relu(network.dense(Network.INPUT, units=21))
    network.dense(node, units=4)
    assert_equals_torch(network, host(), seed=1)


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 1, 7), (4, 5, 24)])
def test_a_pool_of_the_input_equals_torch(shape):
    network = Network(shape)
    network.dense(network.global_average_pool(Network.INPUT), units=6)
    assert_equals_torch(network, host(), seed=1)
    alone = Network(shape)
    alone.global_average_pool(Network.INPUT)
    assert_equals_torch(alone, host(), seed=1)


def test_a_value_read_twice_is_still_there_the_second_time():
    network = Network((6, 6, 2))
    first = network.conv2d(Network.INPUT, filters=4, kernel=(3, 3))
    network.conv2d(network.conv2d(first, filters=5, kernel=(3, 3)), filters=3, kernel=(1, 1))
    network.conv2d(first, filters=6, kernel=(1, 1))
    assert_equals_torch(network, host(), seed=1)


@pytest.fixture(scope="module")
def small():
    return compile_random(small_network(), host(), seed=2)


def test_each_run_is_of_its_own_input(small):
    executable, weights, x = small
    network = small_network()
    for factor in (1, -2, 0):
        found = executable.run(factor * x)
        assert largest_relative_error(found, torch_output(network, weights, factor * x)) < TOLERANCE


def test_an_input_of_another_shape_is_refused(small):
    with pytest.raises(InputError, match=r"input of shape \(9, 8, 2\), got \(8, 9, 2\)"):
        small[0].run(np.zeros((8, 9, 2), np.float32))


def test_timing_gives_the_samples_that_the_protocol_asks_for(small):
    samples = small[0].time(Protocol(repeats=3, min_repeat_ms=1, rounds=1))
    assert len(samples) == 3
    assert min(samples) > 0


def test_a_kernel_can_be_timed_without_a_network():
    target = host()
    kernel = partition(small_network(), target)[0].kernel
    executable = Executable.of_kernel(lower(kernel, points(kernel, target)[0], target))
    assert len(executable.time(Protocol(repeats=2, min_repeat_ms=0, warm_up_ms=0, rounds=1))) == 2


def test_a_target_that_tvm_does_not_know_is_refused_by_name():
    target = make_target(8, 1, (("kind", "abacus"),))
    kernel = partition(small_network(), target)[0].kernel
    with pytest.raises(InputError, match="abacus"):
        Executable.of_kernel(lower(kernel, points(kernel, target)[0], target))
