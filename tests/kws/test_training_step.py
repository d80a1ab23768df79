import contextlib
import copy
import dataclasses
import warnings

import numpy as np
import pytest
import torch
from tape import taped
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kws import training_batches, training_step
from kws.architecture import Architecture
from kws.augmentation import Augmentation
from kws.kept_weights import KeptWeights
from kws.module import to_module
from kws.training import train
from kws.training_batches import TrainingBatches
from kws.training_settings import TrainingSettings
from kws.training_step import TrainingStep

NETWORK = Architecture.parse("3x3,12/2x2 4x4,8/2x2 1x1,12")
PLAIN = TrainingSettings(
    iterations=18, curve_iterations=4, evaluate_iterations=7, decay_iterations=5
)
EVERYTHING = dataclasses.replace(
    PLAIN,
    schedule="cosine",
    warm_up_iterations=4,
    weight_decay=0.05,
    averaging=0.9,
    keep_best=True,
    augmentation=Augmentation(
        speed=0.1,
        time_shift_ms=50.0,
        noise_share=0.8,
        loudness_db=3.0,
        time_shift_frames=3,
        time_mask_frames=4,
        frequency_mask=4,
    ),
)
ROUNDED = dataclasses.replace(PLAIN, bfloat16=True, averaging=0.3)
EVERY_WAY = pytest.mark.parametrize(
    "settings", [PLAIN, EVERYTHING, ROUNDED], ids=["plain", "everything", "rounded"]
)
NEEDS_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device here: graphs are not recorded"
)


class InMemory(training_batches._Sound):
    """The clips' samples as a GPU has them: none are read from a file while a tape runs."""

    def __init__(self, samples, device):
        super().__init__(samples, device)
        self._there = torch.from_numpy(np.array(samples))


@pytest.fixture
def on_tape(monkeypatch):
    recordings = []

    def recorded(*arguments):
        recordings.append(arguments)
        return taped(*arguments)

    monkeypatch.setattr(training_step, "recorded", recorded)
    monkeypatch.setattr(training_batches, "_Sound", InMemory)
    return recordings


def assert_same_run(first, second):
    states = first.module.state_dict(), second.module.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert first.curve == second.curve
    assert first.validation == second.validation


class InterruptedRunError(Exception):
    pass


def interrupt(progress):
    if progress.iteration == 8:
        raise InterruptedRunError


@EVERY_WAY
def test_a_recorded_iteration_trains_to_the_identical_result(feature_set, settings, request):
    plain = train(NETWORK, feature_set, settings, seed=3, threads=1)
    recordings = request.getfixturevalue("on_tape")
    assert_same_run(train(NETWORK, feature_set, settings, seed=3, threads=1), plain)
    assert len(recordings) == 1


@EVERY_WAY
def test_also_when_the_run_was_interrupted(feature_set, settings, tmp_path, request):
    arguments = {"seed": 3, "threads": 1}
    plain = train(NETWORK, feature_set, settings, **arguments)
    recordings = request.getfixturevalue("on_tape")
    arguments |= {"checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    with pytest.raises(InterruptedRunError):
        train(NETWORK, feature_set, settings, on_progress=interrupt, **arguments)
    assert_same_run(train(NETWORK, feature_set, settings, **arguments), plain)
    assert len(recordings) == 2


def step_of(data, settings, device):
    shape = (*data.settings.shape, 1)
    module = to_module(NETWORK, len(data.words), input_shape=shape).to(device)
    batches = TrainingBatches(data, settings, seed=3, device=device)
    kept = KeptWeights(module, settings)
    return TrainingStep(module, kept, batches, settings), module, kept


def test_a_step_that_is_restored_is_recorded_anew(feature_set, on_tape):
    """A recording knows where the optimiser's tensors were, and loading a state replaces them."""
    first, module, _ = step_of(feature_set, PLAIN, torch.device("cpu"))
    second, other, _ = step_of(feature_set, PLAIN, torch.device("cpu"))
    for iteration in range(3):
        first(iteration)
        second(iteration)
    first.restore(copy.deepcopy(second.state()), second.loss_sum)
    first(3)
    second(3)
    assert len(on_tape) == 3
    assert torch.equal(module.dense.weight, other.dense.weight)
    assert first.loss_sum == second.loss_sum > 0


class OneDevice(TorchDispatchMode):
    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        del types
        outcome = operation(*args, **(kwargs or {}))
        for each in tree_leaves((args, kwargs, outcome)):
            assert not isinstance(each, torch.Tensor) or each.device == self.device, operation
        return outcome


@EVERY_WAY
def test_the_work_of_an_iteration_is_all_on_one_device(feature_set, settings, monkeypatch):
    """On torch's device without memory, where there is nothing to ask for, and not on the CPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda _: None)  # it has none there
    device = torch.device("meta")
    step, module, kept = step_of(feature_set, settings, device)
    module.train()
    with OneDevice(device):
        step._work()
    assert {each.device for each in step._tensors()} == {device}
    assert all(each.grad is not None for each in module.parameters())
    assert (len(kept.tensors()) > 0) == (settings.averaging > 0)


@NEEDS_GPU
@EVERY_WAY
def test_on_a_gpu_a_graph_trains_as_its_kernels_do_one_by_one(feature_set, settings, monkeypatch):
    arguments = {"seed": 3, "device": "cuda"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it is recorded
        graph = train(NETWORK, feature_set, settings, **arguments)
    monkeypatch.setattr(training_step, "recorded", lambda *_: None)
    eager = train(NETWORK, feature_set, settings, **arguments)
    losses = [[point.loss for point in result.curve] for result in (graph, eager)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert graph.module.bn1.num_batches_tracked == settings.iterations


@NEEDS_GPU
def test_on_a_gpu_no_iteration_waits(feature_set):
    step, module, _ = step_of(feature_set, EVERYTHING, torch.device("cuda:0"))
    module.train()
    step(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for iteration in range(1, 30):
            step(iteration)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@NEEDS_GPU
def test_on_a_gpu_training_learns_what_it_learns_on_a_cpu(feature_set):
    """The draws are the same, so the losses differ by rounding alone."""
    settings = dataclasses.replace(EVERYTHING, iterations=12, curve_iterations=4)
    losses = [
        [p.loss for p in train(NETWORK, feature_set, settings, seed=3, device=device).curve]
        for device in ("cpu", "cuda")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
