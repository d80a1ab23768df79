"""Whole models from torch, lowered, compiled and run here: they compute what torch computes."""

import models
import numpy as np
import pytest
import torch
from reference import largest_relative_error

from costmodel.executable import Executable
from costmodel.frontends.torch_export import from_torch
from costmodel.host import host_target
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor
from costmodel.program import Program

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|"
MODELS = {
    "MobileNetV2": (lambda: models.mobilenet_v2(width=0.35, classes=100), (1, 3, 96, 96)),
    "ResNet-8": (models.resnet8, (1, 3, 32, 32)),
    "DS-CNN": (models.ds_cnn, (1, 1, 49, 10)),
    "MobileNetV3": (models.small_mobilenet_v3, (1, 3, 64, 64)),
    "SqueezeNet": (models.small_squeezenet, (1, 3, 64, 64)),
    "ShuffleNet": (models.small_shufflenet, (1, 3, 64, 64)),
    "NAS-Bench-201": (lambda: models.nas_bench_201(CELL, cells=1), (1, 3, 32, 32)),
}
KERNELS = {"MobileNetV2": 54, "ResNet-8": 12, "DS-CNN": 12}
"""Convolutions, pooling and dense layer: all else is fused into them (and softmax, where it is)."""


def output(network, weights, x, cores):
    target = host_target(cores)
    predictor = Predictor(target, None, Overhead())
    steps = partition(network, target)
    schedules = tuple(predictor.choose(step.kernel).schedule for step in steps)
    program = Program(steps, schedules, network.input_shape, target)
    return Executable.of_program(program, network, weights).run(x)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_what_torch_does(name):
    make, shape = MODELS[name]
    module = models.settled(make()).eval()
    network, weights = from_torch(module, shape)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module(x)[0].squeeze().numpy()
    channels_last = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
    found = output(network, weights, channels_last, cores=1)
    assert largest_relative_error(found, expected) < 1e-4
    if name in KERNELS:
        assert len(partition(network, host_target())) == KERNELS[name]


def test_two_threads_compute_what_one_does():
    module = models.settled(models.resnet8()).eval()
    network, weights = from_torch(module, (1, 3, 32, 32))
    x = np.random.default_rng(0).standard_normal((32, 32, 3), dtype=np.float32)
    one, two = (output(network, weights, x, cores) for cores in (1, 2))
    assert largest_relative_error(two, one) < 1e-5
