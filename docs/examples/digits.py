"""Networks that tell scikit-learn's 8 x 8 digits apart: error against predicted latency."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import hw_profiles
from costmodel.estimate import Estimator
from costmodel.frontends.torch_export import from_torch
from costmodel.profile import ProfileStore
from search.algorithm import run
from search.creation import create_study
from search.objective import Objective, TrialContext
from search.recorder import StudyRecorder
from search.settings import Settings
from search.space import Choice, Integer, Space, Value
from search.work import Task

Candidate = Mapping[str, Value]
SPACE = Space(
    (
        Integer("filters1", 4, 32, step=4),
        Choice("kernel1", (1, 3, 5)),
        Integer("filters2", 4, 32, step=4),
        Choice("kernel2", (1, 3)),
    )
)
pixels, digits = load_digits(return_X_y=True)
IMAGES = torch.from_numpy(pixels.reshape(-1, 1, 8, 8).astype(np.float32) / 16)
LABELS = torch.from_numpy(digits)
TRAINING, VALIDATION, TEST = torch.arange(1000), torch.arange(1000, 1400), torch.arange(1400, 1797)


def build(candidate: Candidate) -> nn.Module:
    """The network of a candidate: the one that is trained is the one whose latency is predicted."""
    kernels = [int(candidate[name]) for name in ("kernel1", "kernel2")]
    filters = [int(candidate[name]) for name in ("filters1", "filters2")]
    first = nn.Conv2d(1, filters[0], kernels[0], padding="same")
    second = nn.Conv2d(filters[0], filters[1], kernels[1], padding="same")
    convolutions = [first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU()]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16 * filters[1], 10))


def error(rows: torch.Tensor, candidate: Candidate, context: TrialContext) -> float:
    """Trains a candidate; per cent of these images that it then tells wrong."""
    torch.manual_seed(context.seed)
    network = build(candidate)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for epoch in range(round(context.budget["epochs"])):
        for batch in TRAINING[torch.randperm(len(TRAINING))].split(50):
            loss = nn.functional.cross_entropy(network(IMAGES[batch]), LABELS[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        context.report(epoch, loss.item())
    with torch.inference_mode():
        return 100 * (network(IMAGES[rows]).argmax(1) != LABELS[rows]).float().mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--profile", default="raspberry-pi-3b")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    profile = ProfileStore([Path(hw_profiles.__path__[0])]).get(asked.profile)
    estimator = Estimator(profile)

    def latency(candidate: Candidate, _: TrialContext) -> float:
        """Predicted milliseconds; nothing is trained for it."""
        return estimator.latency_ms(from_torch(build(candidate), (1, 1, 8, 8))[0])

    objectives = [
        Objective("error", "%", lambda c, t: error(VALIDATION, c, t), needs_training=True),
        Objective("latency", "ms", latency, needs_training=False, origin=profile.digest),
    ]
    settings = Settings(
        initial_trials=asked.candidates // 2, refine_trials=asked.candidates // 4, pool=8,
        max_trials=asked.candidates, budgets=({"epochs": asked.epochs},),
        finetune_budget={"epochs": 2 * asked.epochs},
    )  # fmt: skip
    path = Path("digits.study")
    if path.exists():  # killed before, or finished
        study = StudyRecorder.open(path)
    else:
        study = create_study(path, space=SPACE, objectives=objectives, settings=settings)
    with study:
        run(study, Task(objectives, finetune=lambda c, t: {"test": error(TEST, c, t)}))
        tested = {each.trial: each.values["test"] for each in study.finetuned()}
        for trial in study.front():
            wrong = f"{trial.values['error']:4.1f} % wrong, {tested[trial.number]:.1f} % of test"
            print(f"{1e3 * trial.values['latency']:5.1f} µs, {wrong}: {dict(trial.parameters)}")
