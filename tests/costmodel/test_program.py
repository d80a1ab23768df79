import numpy as np
import pytest
from drawing import make_target, small_network

from costmodel.lowering import compile_module
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.program import Program, assemble, constants
from costmodel.schedules.registry import points


def program_of(network, target):
    steps = partition(network, target)
    schedules = tuple(points(step.kernel, target)[0] for step in steps)
    return Program(steps, schedules, network.input_shape, target)


@pytest.fixture(scope="module")
def program():
    return program_of(small_network(), make_target(lanes=8))


def twins():
    """Two convolutions alike, then one unlike them."""
    network, node = Network((8, 8, 4)), Network.INPUT
    node = network.conv2d(node, filters=8, kernel=(1, 1))
    for kernel in ((3, 3), (3, 3), (1, 1)):
        node = network.conv2d(node, filters=8, kernel=kernel)
    return network


def test_every_function_is_noalias_or_its_inner_loop_would_reload_what_it_stores(program):
    """Without it on main, LLVM inlines kernels that then cannot hold weights in registers."""
    functions = assemble(program).functions
    assert {var.name_hint for var in functions} == {
        "main",
        "kernel0",
        "kernel1",
        "kernel2",
        "kernel3",
    }
    for function in functions.values():
        assert function.attrs["tirx.noalias"]


def test_pointers_are_noalias_in_the_machine_code_too(program):
    code = compile_module(assemble(program), program.target).inspect_source("ll")
    defined = [line for line in code.splitlines() if line.startswith("define")]
    computing = [line for line in defined if "_compute_(" in line]
    assert len(computing) == 5
    for line in computing:
        arguments = line.split("_compute_(", 1)[1]
        assert arguments.count("ptr ") == arguments.count("ptr noalias ")


def test_equal_kernels_are_compiled_once():
    program = program_of(twins(), make_target(lanes=8))
    assert len(program.steps) == 4
    assert len(assemble(program).functions) == 1 + 3


def test_values_between_kernels_take_turns_in_the_workspace():
    program = program_of(twins(), make_target(lanes=8))
    arena = program.arena()
    assert set(arena.offsets) == {step.output for step in program.steps[:-1]}
    assert arena.elements == 2 * 8 * 8 * 8


def test_peak_memory_by_hand():
    """One 3x3 convolution of a 6x5x2 input to 3 filters, padded to 8 channels."""
    network = Network((6, 5, 2))
    network.conv2d(Network.INPUT, filters=3, kernel=(3, 3))
    program = program_of(network, make_target(lanes=8))
    weights, bias, source, out, copy = 3 * 3 * 2 * 8, 8, 6 * 5 * 2, 6 * 5 * 8, 8 * 7 * 2
    assert program.output_shape == (6, 5, 8)
    assert program.peak_memory_bytes() == 4 * (weights + bias + source + out + copy)


def test_a_wider_tile_needs_no_less_memory(program):
    largest = Program(
        program.steps,
        tuple(points(step.kernel, program.target)[-1] for step in program.steps),
        program.input_shape,
        program.target,
    )
    for found in (program, largest):
        arguments = sum(
            4 * int(np.prod(shape)) for i in range(4) for shape in found.shapes(i)[1:-1]
        )
        assert arguments < found.peak_memory_bytes() < 10 * arguments + 100_000


def test_constants_are_those_of_the_steps_in_order(program):
    network = small_network()
    arrays = constants(program, network, network.random_weights(0))
    expected = [shape for i in range(4) for shape in program.shapes(i)[1:-1]]
    assert [array.shape for array in arrays] == expected
    assert {array.dtype for array in arrays} == {np.dtype("float32")}
