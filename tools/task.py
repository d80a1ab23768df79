"""Keyword spotting as a problem for `search`: its space, its objectives, its fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

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
from search.objective import Constraint, Objective, ObjectiveSpec, TrialContext
from search.space import Integer, Parameter, Space, Value
from search.work import Task
from tools.recipe import TUNING, Recipe, after

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from kws.evaluation import Accuracy
    from kws.features import FeatureSet
    from kws.training import TrainingResult

ERROR = "error"
FLOPS = "flops"
UNITS = 6
PAPER_FIRST_KERNEL = (4, 10)
"""Largest kernel of the first unit in the paper's bounds (section 4; Table II has 5x5 there)."""


def latency_name(profile: str) -> str:
    """Name of the latency objective for a device."""
    return f"latency:{profile}"


def make_space(
    bounds: Bounds, *, filters_low: int, filters_step: int, tuning: Sequence[Parameter] = ()
) -> Space:
    """Kernel height, kernel width and filters of each of the six units, as integers.

    ``tuning``: parameters of the optimiser that are searched too: `tools.recipe.tuning_parameters`.
    """
    parameters: list[Parameter] = []
    for name, (low, high) in bounds.ranges(UNITS).items():
        if name.endswith("_m"):
            parameters.append(Integer(name, min(filters_low, high), high, filters_step))
        else:
            parameters.append(Integer(name, low, high))
    return Space((*parameters, *tuning))


def start_of(space: Space, tuning: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """The search's first candidate: the seed architecture, or what in the space is nearest to it.

    ``tuning``: the optimiser's settings that it starts with; see `tools.recipe.tuning_start`.
    """
    wanted = {**parameters_of(SEED), **(tuning or {})}
    return space.validate(
        {
            each.name: _nearest(each, int(wanted[each.name]))
            if isinstance(each, Integer)
            else wanted[each.name]
            for each in space.parameters
        }
    )


def _nearest(parameter: Integer, value: int) -> Value:
    within = min(max(value, parameter.low), parameter.high)
    return parameter.at(min(round((within - parameter.low) / parameter.step), parameter.count - 1))


def architecture_of(parameters: Mapping[str, Value]) -> Architecture:
    """The architecture that a candidate stands for."""
    return architecture_from(
        {name: int(value) for name, value in parameters.items() if name not in TUNING}
    )


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


MODEL_FILE = ".pt"
"""Ending of the files that `kws.model_file` writes."""


def model_name(number: int) -> str:
    """What the fine-tuned model of a trial is called."""
    return f"trial-{number:05d}"


CHECKPOINT_SECONDS = 5.0
"""What a kill costs at most."""


@dataclass(frozen=True, kw_only=True)
class SpeechTask:
    """Training of candidates on a speech set: all that a worker needs, picklable.

    Called, it makes the task where it runs (a `search.work.MakeTask`), without estimator and
    compiler: costs are computed by the search's own process, which has them from `task`.
    """

    data: FeatureSet
    costs: tuple[ObjectiveSpec, ...]
    """The objectives beside the error, none of which needs training."""
    search: Recipe
    """Of a candidate."""
    finetune: Recipe | None
    """Of a member of the final front; None leaves fine-tuning out. What the search found for the
    optimiser is not used here: it holds for trainings as short as the search's, with its batch;
    the paper, too, fine-tunes by a schedule of its own (section 4)."""
    models: Path
    """Folder of the fine-tuned models: each ``trial-<number>.pt``, on the machine it trained on."""
    constraints: tuple[Constraint, ...] = ()
    device: str = "cpu"
    """Torch device that trains."""
    threads: int | None = None
    """CPU threads of a training; None leaves them as they are."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _in_plain_arrays(self.data))

    def carrying_sound(self) -> SpeechTask:
        """The same task for machines that do not have the files of the clips' samples.

        The samples go along in memory, where trainings change the sound at all.
        """
        recipes = [each for each in (self.search, self.finetune) if each is not None]
        if not any(each.augmentation.changes_sound for each in recipes):
            return self
        data = self.data
        splits = dict(data.splits)
        splits["training"] = replace(splits["training"], audio=np.array(data.audio("training")))
        return replace(self, data=replace(data, splits=splits, background=np.array(data.noise())))

    def __call__(self) -> Task:
        return self.task([_computed_elsewhere(spec) for spec in self.costs])

    def task(self, costs: Sequence[Objective]) -> Task:
        """The task of a process that computes the costs itself."""
        error = Objective(
            name=ERROR,
            unit="share of validation clips",
            evaluate=self._error,
            needs_training=True,
            origin=f"data {self.data.digest}",
        )
        finetune = self._finetune if self.finetune is not None else None
        return Task([error, *costs], self.constraints, finetune)

    def _error(self, parameters: Mapping[str, Value], context: TrialContext) -> float:
        """Share of the validation clips that the trained candidate gets wrong."""
        return 1.0 - self._train(self.search, parameters, context).validation.top1

    def _finetune(self, parameters: Mapping[str, Value], context: TrialContext) -> dict[str, float]:
        """Trains a member of the front from the start with the long budget, and tests it once."""
        from kws.evaluation import evaluate
        from kws.model_file import save_model

        assert self.finetune is not None
        architecture = {name: v for name, v in parameters.items() if name not in TUNING}
        result = self._train(self.finetune, architecture, context)
        test = evaluate(result.module, self.data, "testing")
        self.models.mkdir(parents=True, exist_ok=True)
        save_model(
            self.models / f"{model_name(context.number)}{MODEL_FILE}",
            architecture=architecture_of(parameters),
            module=result.module,
            data=self.data,
        )
        return {
            "error": 1 - result.validation.top1,
            "error_top5": 1 - result.validation.top5,
            "test_error": 1 - test.top1,
            "test_clips": float(test.clips),
        }

    def _train(
        self, recipe: Recipe, parameters: Mapping[str, Value], context: TrialContext
    ) -> TrainingResult:
        from kws.training import train

        shares = sorted(context.rungs)
        settings = recipe.settings(round(context.budget["iterations"]), parameters, shares)

        def check(iteration: int, validation: Accuracy) -> None:
            for share in shares:
                if after(share, settings.iterations) == iteration:
                    context.check(share, 1.0 - validation.top1)

        return train(
            architecture_of(parameters),
            self.data,
            settings,
            seed=context.seed,
            device=self.device,
            threads=self.threads,
            checkpoint=context.directory / "checkpoint.pt",
            checkpoint_seconds=CHECKPOINT_SECONDS,
            on_progress=lambda progress: context.report(progress.iteration, progress.loss),
            on_evaluation=check,
        )


MakeNetwork = Callable[[Architecture], Network]
"""From an architecture to the network that is lowered: with the outputs that the labels need."""


def latency_objective(estimator: Estimator, network: MakeNetwork = to_network) -> Objective:
    """Predicted latency on the profile's device."""
    return Objective(
        name=latency_name(estimator.profile.name),
        unit="ms",
        evaluate=lambda parameters, _: estimator.latency_ms(network(architecture_of(parameters))),
        needs_training=False,
        origin=f"profile {estimator.profile.name} {estimator.profile.digest}",
    )


def flops_objective(network: MakeNetwork = to_network) -> Objective:
    """Operations by the paper's Equation 1."""
    return Objective(
        name=FLOPS,
        unit="operations",
        evaluate=lambda parameters, _: float(
            operations.flops(network(architecture_of(parameters)))
        ),
        needs_training=False,
        origin="Equation 1",
    )


def _computed_elsewhere(spec: ObjectiveSpec) -> Objective:
    """A cost in a worker, which is told its value and never asks for it."""

    def refuse(parameters: Mapping[str, Value], context: TrialContext) -> NoReturn:
        del parameters, context
        raise AssertionError(f"{spec.name} is computed by the search's own process")

    return Objective(
        name=spec.name,
        unit=spec.unit,
        evaluate=refuse,
        needs_training=spec.needs_training,
        origin=spec.origin,
        direction=spec.direction,
    )


def _in_plain_arrays(data: FeatureSet) -> FeatureSet:
    """The same set, its features no longer of the type of a mapped file.

    Arrays proper are sent, and placed on a machine once for all its workers, without a copy.
    """
    splits = {
        split: replace(part, features=np.asarray(part.features), labels=np.asarray(part.labels))
        for split, part in data.splits.items()
    }
    return replace(data, splits=splits)
