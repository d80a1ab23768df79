"""Heads of networks as one launch: where they are, what they compute, when they are worth it."""

from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from cuda_drawing import dense, global_pool, gpus, make_gpu, pooled_dense_kernels
from cuda_emulator import computed, needs_compiler
from drawing import make_target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_results import constants_of, torch_result
from reference import largest_relative_error, torch_output
from torch import nn

import hw_profiles
from costmodel.folding import fold
from costmodel.frontends.onnx_file import from_onnx
from costmodel.frontends.torch_export import from_torch
from costmodel.kernels import PooledDenseKernel
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor
from costmodel.profile import ProfileStore
from costmodel.program import Program, assemble
from costmodel.schedules.cuda import POOLED_DENSE
from costmodel.schedules.registry import families_of, family_of, points

GPU = make_gpu()
SHIPPED = ProfileStore([Path(hw_profiles.__path__[0])])
SHAPE = (5, 6, 9)


def head(size, channels, units, *, softmax=False):
    return PooledDenseKernel(
        pool=global_pool(size, channels), dense=dense(channels, units), softmax=softmax
    )


def network_of(*calls, shape=SHAPE):
    """A chain of nodes, each reading the one before."""
    network, node = Network(shape), Network.INPUT
    for number, (name, settings_) in enumerate(calls):
        node = getattr(network, name)(node, name=f"{name}{number}", **settings_)
    return network


WHOLE = {"window": SHAPE[:2], "padding": (0, 0, 0, 0)}
LARGEST = ("pool2d", {"function": "max", **WHOLE})
MEAN = ("global_average_pool", {})
DENSE = ("dense", {"units": 4})
CONV = ("conv2d", {"filters": 4, "kernel": (1, 1)})
RELU, FLATTEN, SOFTMAX = ("relu", {}), ("flatten", {}), ("softmax", {})


def emulated(network, weights, x, target=GPU):
    """Output of ``network`` for ``x`` [H, W, C], kernel after kernel as TVM writes it in CUDA."""
    predictor = Predictor(target, None, Overhead())
    values = {Network.INPUT: np.ascontiguousarray(x.transpose(2, 0, 1))}
    for step in partition(network, target):
        schedule = predictor.choose(step.kernel).schedule
        read = [values[source] for source in step.sources]
        folded = fold(network, step, weights)
        family = family_of(schedule)
        values[step.output] = computed(family, step.kernel, schedule, target, read, folded)
    return values[network.output].squeeze()


@pytest.mark.parametrize(
    ("chain", "title"),
    [
        ((MEAN, DENSE), "average pool 5x6x9, dense 9→4"),
        ((MEAN, DENSE, RELU), "average pool 5x6x9, dense 9→4"),
        ((MEAN, DENSE, RELU, SOFTMAX), "average pool 5x6x9, dense 9→4, softmax 4"),
        ((MEAN, FLATTEN, DENSE), "average pool 5x6x9, dense 9→4"),
        ((LARGEST, FLATTEN, DENSE, SOFTMAX), "max pool 5x6x9, dense 9→4, softmax 4"),
        (
            (("pool2d", {"function": "average", **WHOLE}), CONV, ("bias", {}), ("batch_norm", {})),
            "average pool 5x6x9, dense 9→4",
        ),
    ],
)
@needs_compiler
def test_a_head_is_one_kernel_of_a_gpu_and_computes_what_torch_does(chain, title):
    network = network_of(*chain)
    (step,) = partition(network, GPU)
    assert step.nodes == tuple(network.nodes())
    assert (step.sources, step.output) == (("input",), network.output)
    assert step.kernel.title == title
    weights = network.random_weights(3)
    x = np.random.default_rng(1).standard_normal(SHAPE, dtype=np.float32)
    expected = torch_output(network, weights, x)
    assert largest_relative_error(emulated(network, weights, x), expected) < 1e-5


@pytest.mark.parametrize(
    "chain",
    [
        (MEAN,),
        (MEAN, RELU, DENSE),
        (MEAN, SOFTMAX),
        (("pool2d", {**LARGEST[1], "window": (5, 5)}), FLATTEN, DENSE),
        (("pool2d", {**LARGEST[1], "padding": (1, 1, 1, 1)}), FLATTEN, DENSE),
        (LARGEST, FLATTEN, RELU),
        (LARGEST, ("conv2d", {**CONV[1], "filters": 9, "groups": 3})),
        (LARGEST, ("conv2d", {**CONV[1], "padding": (1, 1, 1, 1)})),
        (MEAN, ("dense", {"units": 100_000})),
    ],
)
def test_what_is_no_head_or_too_large_a_one_stays_as_it_was(chain):
    network = network_of(*chain)
    assert not any(isinstance(step.kernel, PooledDenseKernel) for step in partition(network, GPU))


def test_a_cpu_keeps_the_kernels_that_its_calibrations_know():
    steps = partition(network_of(MEAN, DENSE, RELU, SOFTMAX), make_target())
    assert [step.kernel.kind for step in steps] == ["pool", "conv", "softmax"]
    assert families_of(head((5, 6), 9, 4), make_target()) == ()


def test_a_pool_that_two_read_is_written_out():
    network = Network(SHAPE)
    pool = network.global_average_pool(Network.INPUT, name="pool")
    network.dense(pool, units=4, name="one")
    network.dense(pool, units=3, name="other")
    assert [step.nodes for step in partition(network, GPU)] == [("pool",), ("one",), ("other",)]


def test_a_dense_layer_that_two_read_is_written_out_before_its_softmax():
    network = Network(SHAPE)
    pool = network.global_average_pool(Network.INPUT, name="pool")
    node = network.dense(pool, units=4, name="dense")
    network.sum(network.softmax(node, name="softmax"), node, name="sum")
    steps = partition(network, GPU)
    assert [step.nodes for step in steps] == [("pool", "dense"), ("softmax",), ("sum",)]


@needs_compiler
def test_a_head_adds_a_value_that_is_there():
    network = Network(SHAPE)
    side = network.dense(network.global_average_pool(Network.INPUT), units=4, name="side")
    largest = network.pool2d(Network.INPUT, function="max", **WHOLE)
    main = network.dense(network.flatten(largest), units=4, name="main")
    network.relu(network.sum(main, side, name="sum"))
    first, last = partition(network, GPU)
    assert last.sources == ("input", first.output)
    assert last.kernel.dense.epilogue == ("add", "relu")
    weights = network.random_weights(0)
    x = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    expected = torch_output(network, weights, x)
    assert largest_relative_error(emulated(network, weights, x), expected) < 1e-5


def points_of_all_shapes(kernel):
    """A point for each way in which the threads of a block are shared out, and for turns."""
    found = {}
    for target in (make_gpu("sm_61"), make_gpu("sm_53")):
        for schedule in points(kernel, target):
            nest = POOLED_DENSE.nest(kernel, schedule, target)
            found[nest.threads, schedule["turns"] > 1] = schedule, target
    return found.values()


@needs_compiler
@pytest.mark.parametrize("softmax", [False, True])
def test_every_way_to_share_threads_out_computes_what_torch_does(softmax):
    """Those of an output along x alone, and along y and x; of a channel likewise."""
    kernel = head((4, 7), 70, 20, softmax=softmax)
    generator = np.random.default_rng(5)
    inputs = [generator.standard_normal((70, 4, 7), dtype=np.float32)]
    constants = constants_of(kernel, generator)
    expected = torch_result(kernel, inputs, constants)
    cases = points_of_all_shapes(kernel)
    assert len(cases) >= 5
    for schedule, target in cases:
        found = computed(POOLED_DENSE, kernel, schedule, target, inputs, constants)
        assert largest_relative_error(found, expected) < 1e-5, str(schedule)


@needs_compiler
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_threads_wait_for_channels_that_lie_at_their_own_place_along_x(channels):
    """Where TVM sees no need for it; see `Barrier`."""
    kernel = head((1, 3), channels, 3)
    generator = np.random.default_rng(1)
    inputs = [generator.standard_normal((channels, 1, 3), dtype=np.float32)]
    constants = constants_of(kernel, generator)
    schedule = points(kernel, GPU)[0]
    found = computed(POOLED_DENSE, kernel, schedule, GPU, inputs, constants)
    assert largest_relative_error(found, torch_result(kernel, inputs, constants)) < 1e-5


@pytest.mark.parametrize(
    ("name", "size", "channels", "units", "is_one"),
    [
        ("gtx-1080ti", (40, 16), 40, 10, True),
        ("gtx-1080ti", (3, 3), 1280, 100, True),
        ("gtx-1080ti", (40, 16), 100, 10, False),
        ("gtx-1080ti", (7, 7), 1280, 1000, False),
        ("h100", (40, 16), 40, 10, True),
        ("h100", (7, 7), 1280, 1000, False),
        ("jetson-tx2", (40, 16), 100, 10, True),
        ("jetson-tx2", (7, 7), 1280, 1000, True),
        ("jetson-nano", (40, 16), 100, 10, True),
        ("jetson-nano", (7, 7), 1280, 1300, False),
    ],
)
def test_the_heads_that_the_docstring_names(name, size, channels, units, is_one):
    target = SHIPPED.get(name).target()
    assert POOLED_DENSE.handles(head(size, channels, units), target) == is_one


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        head,
        st.tuples(st.integers(1, 40), st.integers(1, 20)),
        st.integers(1, 1300),
        st.integers(1, 1100),
        softmax=st.booleans(),
    ),
    st.sampled_from([name for name in SHIPPED.names() if "host" not in name]),
)
def test_a_head_that_is_one_kernel_is_predicted_faster_than_its_parts(kernel, name):
    """By rooflines, which know of launches and not of what the rule counts beside them."""
    target = SHIPPED.get(name).target()
    if not POOLED_DENSE.handles(kernel, target):
        return
    predictor = Predictor(target, None, Overhead())
    (_, whole), *_ = predictor.rank(kernel)
    assert whole < sum(predictor.rank(part)[0][1] for part in kernel.parts)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(pooled_dense_kernels(), gpus, st.floats(1.1, 10))
def test_slower_launches_make_more_points_worth_it(kernel, target, factor):
    slower = replace(target, launch_seconds=factor * target.launch_seconds)
    assert set(points(kernel, target)) <= set(points(kernel, slower))
    assert POOLED_DENSE.handles(kernel, target) <= POOLED_DENSE.handles(kernel, slower)


def test_a_launch_that_takes_no_time_is_not_saved():
    free = make_gpu(launch_seconds=1e-12)
    assert not POOLED_DENSE.handles(head((8, 8), 64, 10), free)
    assert POOLED_DENSE.gpu_points(head((8, 8), 64, 10), free)  # what was recorded can be described


def test_no_more_blocks_than_multiprocessors():
    """Each reads the map: a second one would read it while the first could have used it."""
    for arch in ("sm_53", "sm_62", "sm_61"):
        target = make_gpu(arch)
        kernel = head((3, 3), 200, 900)
        for schedule in points(kernel, target):
            nest = POOLED_DENSE.nest(kernel, schedule, target)
            assert 1 <= nest.blocks[-1] <= target.multiprocessors


def test_a_map_that_shared_memory_has_no_room_for_is_not_handled():
    kernel = head((1, 1), 2000, 10)
    roomy = make_gpu(shared_bytes_per_block=81920, shared_bytes_per_multiprocessor=98304)
    assert not POOLED_DENSE.handles(kernel, GPU)
    assert POOLED_DENSE.handles(kernel, roomy)


@pytest.mark.parametrize(
    ("make", "shape", "saved"),
    [
        (lambda: models.mobilenet_v2(width=0.35, classes=100), (1, 3, 96, 96), 1),
        (models.resnet8, (1, 3, 32, 32), 2),
        (models.ds_cnn, (1, 1, 49, 10), 2),
        (models.small_mobilenet_v3, (1, 3, 64, 64), 3),
    ],
)
def test_networks_lose_launches_and_no_arithmetic(make, shape, saved):
    """A head of each, and MobileNetV3's two squeezed layers."""
    network, _ = from_torch(models.settled(make()).eval(), shape)
    free = make_gpu(launch_seconds=1e-12)
    parts, steps = partition(network, free), partition(network, GPU)
    assert len(parts) - len(steps) == saved
    assert sum(s.kernel.flops for s in parts) == sum(s.kernel.flops for s in steps)
    nodes = sorted(node for step in steps for node in step.nodes)
    assert nodes == sorted(node for step in parts for node in step.nodes)


TORCH_HEADS = [
    nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4), nn.ReLU()),
    nn.Sequential(nn.AvgPool2d((5, 6)), nn.Flatten(), nn.Dropout(), nn.Linear(9, 4)),
    nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Conv2d(9, 4, 1), nn.Hardswish()),
    nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4), nn.Softmax(1)),
]


@needs_compiler
@pytest.mark.parametrize("module", TORCH_HEADS)
@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_frameworks_heads_are_one_kernel(module, form, tmp_path):
    module = models.settled(module).eval()
    x = torch.randn(1, 9, 5, 6, generator=torch.Generator().manual_seed(0))
    if form == "torch":
        network, weights = from_torch(module, (1, 9, 5, 6))
    else:
        pytest.importorskip("onnx")
        path = tmp_path / "head.onnx"
        torch.onnx.export(module, (x,), path, dynamo=False)
        network, weights = from_onnx(path)
    (step,) = partition(network, GPU)
    assert isinstance(step.kernel, PooledDenseKernel)
    with torch.no_grad():
        expected = module(x)[0].squeeze().numpy()
    found = emulated(network, weights, x[0].permute(1, 2, 0).numpy())
    assert largest_relative_error(found, expected) < 1e-5


def test_a_program_has_the_head_as_one_of_its_functions():
    network = network_of(("conv2d", {"filters": 9, "kernel": (3, 3)}), RELU, MEAN, DENSE, SOFTMAX)
    steps = partition(network, GPU)
    schedules = tuple(points(step.kernel, GPU)[0] for step in steps)
    program = Program(steps, schedules, network.input_shape, GPU)
    assert {v.name_hint for v in assemble(program).get_global_vars()} == {
        "main", "kernel0", "kernel1"
    }  # fmt: skip
    assert program.output_shape == (4, 1, 1)
    assert program.arena().elements >= 9 * 5 * 6
