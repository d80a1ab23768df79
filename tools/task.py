"""Keyword spotting as a problem for `search`: its space, its objectives, its fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from costmodel import operations
from costmodel.network import Network
from kws.architecture import (
    SEED,
    Architecture,
    Bounds,
    architecture_from,
    parameters_of,
    to_network,
)
from search.errors import InputError
from search.objective import Objective, TrialContext
from search.space import Integer, Space, Value

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from kws.features import FeatureSet
    from kws.training import TrainingResult, TrainingSettings

ERROR = "error"
FLOPS = "flops"
UNITS = 6
PAPER_FIRST_KERNEL = (4, 10)
"""Largest kernel of the first unit in the paper's bounds (section 4; Table II has 5x5 there)."""


def latency_name(profile: str) -> str:
    """Name of the latency objective for a device."""
    return f"latency:{profile}"


def make_space(bounds: Bounds, *, filters_low: int, filters_step: int) -> Space:
    """Kernel height, kernel width and filters of each of the six units, as integers."""
    parameters = []
    for name, (low, high) in bounds.ranges(UNITS).items():
        if name.endswith("_m"):
            parameters.append(Integer(name, min(filters_low, high), high, filters_step))
        else:
            parameters.append(Integer(name, low, high))
    return Space(tuple(parameters))


def start_of(space: Space) -> dict[str, Value] | None:
    """The seed architecture as the search's first candidate, where the space holds it."""
    try:
        return space.validate(dict(parameters_of(SEED)))
    except InputError:
        return None


def architecture_of(parameters: Mapping[str, Value]) -> Architecture:
    """The architecture that a candidate stands for."""
    return architecture_from({name: int(value) for name, value in parameters.items()})


def sample_paper_space(generator: np.random.Generator) -> tuple[str, Network]:
    """A random architecture of the paper's bounds: what calibration learns from."""
    bounds = Bounds(first_kernel=PAPER_FIRST_KERNEL)
    parameters = {
        name: int(generator.integers(low, high + 1))
        for name, (low, high) in bounds.ranges(UNITS).items()
    }
    architecture = architecture_from(parameters)
    return str(architecture), to_network(architecture)


PAPER_SPACE = "the paper's bounds: 6 units, 1 to 100 filters, kernels to 4x10 and 5x5"


@dataclass(frozen=True)
class Training:
    """How candidates are trained: what objectives and fine-tuning share."""

    data: FeatureSet
    settings: TrainingSettings
    """With ``iterations`` replaced by the budget of the trial."""
    device: str
    threads: int | None
    on_iteration: Callable[[int, int, int], None]
    """Told the trial's number, iterations done and iterations in all."""


CHECKPOINT_SECONDS = 5.0
"""What a kill costs at most."""


def error_objective(training: Training) -> Objective:
    """Share of the validation clips that the trained candidate gets wrong."""

    def evaluate(parameters: Mapping[str, Value], context: TrialContext) -> float:
        result = _train(training, training.settings, parameters, context)
        return 1.0 - result.validation.top1

    return Objective(
        name=ERROR,
        unit="share of validation clips",
        evaluate=evaluate,
        needs_training=True,
        origin=f"data {training.data.digest}",
    )


def latency_objective(estimator: Estimator) -> Objective:
    """Predicted latency on the profile's device."""
    return Objective(
        name=latency_name(estimator.profile.name),
        unit="ms",
        evaluate=lambda parameters, _: estimator.latency_ms(
            to_network(architecture_of(parameters))
        ),
        needs_training=False,
        origin=f"profile {estimator.profile.name} {estimator.profile.digest}",
    )


def flops_objective() -> Objective:
    """Operations by the paper's Equation 1."""
    return Objective(
        name=FLOPS,
        unit="operations",
        evaluate=lambda parameters, _: float(
            operations.flops(to_network(architecture_of(parameters)))
        ),
        needs_training=False,
        origin="Equation 1",
    )


def finetuning(
    training: Training, settings: TrainingSettings, models: Path
) -> Callable[[Mapping[str, Value], TrialContext], dict[str, float]]:
    """Trains a member of the front from the start with the long budget, and tests it once.

    The model is saved as ``trial-<number>.pt`` in ``models``.
    """

    def finetune(parameters: Mapping[str, Value], context: TrialContext) -> dict[str, float]:
        from kws.evaluation import evaluate
        from kws.model_file import save_model

        result = _train(training, settings, parameters, context)
        test = evaluate(result.module, training.data, "testing")
        models.mkdir(parents=True, exist_ok=True)
        save_model(
            models / f"trial-{context.number:05d}.pt",
            architecture=architecture_of(parameters),
            module=result.module,
            data=training.data,
        )
        return {
            "error": 1 - result.validation.top1,
            "error_top5": 1 - result.validation.top5,
            "test_error": 1 - test.top1,
            "test_clips": float(test.clips),
        }

    return finetune


def _train(
    training: Training,
    settings: TrainingSettings,
    parameters: Mapping[str, Value],
    context: TrialContext,
) -> TrainingResult:
    from kws.training import Progress, train

    def on_progress(progress: Progress) -> None:
        context.report(progress.iteration, progress.loss)
        training.on_iteration(context.number, progress.iteration, progress.iterations)

    iterations = int(context.budget["iterations"])
    return train(
        architecture_of(parameters),
        training.data,
        replace(settings, iterations=iterations),
        seed=context.seed,
        device=training.device,
        threads=training.threads,
        checkpoint=context.directory / "checkpoint.pt",
        checkpoint_seconds=CHECKPOINT_SECONDS,
        on_progress=on_progress,
    )
