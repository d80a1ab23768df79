"""The options that say what is searched, and how it is trained: of `search` and `compare`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kws.augmentation import AUGMENTATIONS
from tools.networks import MOST_FILTERS
from tools.number_types import Number, Whole

if TYPE_CHECKING:
    from tools.execution import Execution
    from tools.job import Request

SETS = tuple(AUGMENTATIONS)
"""Of augmentations, by name."""


def _kernel(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, int]:
    """A kernel bound such as 5x10."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(p.isdecimal() and int(p) >= 1 for p in parts):
        raise click.BadParameter(f"'{text}' is no kernel size; write it as 5x10")
    from kws.architecture import INPUT_SHAPE

    rows, columns = int(parts[0]), int(parts[1])
    if rows > INPUT_SHAPE[0] or columns > INPUT_SHAPE[1]:
        raise click.BadParameter(
            f"{text} is larger than the features; at most {INPUT_SHAPE[0]}x{INPUT_SHAPE[1]}"
        )
    return rows, columns


def execution_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where a run trains: of this run alone, so a resume may say something else."""
    options = [
        click.option("--workers", type=Whole(min=1),
                     help="Candidates trained at a time. [default: 1; what a cluster has room for]"
        ),
        click.option("--executor", type=click.Choice(["local", "ray"]), default="local",
                     show_default=True, help="Processes here, or a Ray cluster."),
        click.option("--address", metavar="HOST:PORT",
                     help="The Ray cluster's. [default: one is started here]"),
        click.option("--gpus", type=Number(min=0), default=0, show_default=True,
                     help="GPUs of the cluster that one training takes; 0.25: four share one."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def execution_of(options: dict[str, Any]) -> Execution:
    """Takes those options out of all."""
    from tools.execution import Execution

    names = ("workers", "executor", "address", "gpus")
    return Execution(**{name: options.pop(name) for name in names})


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `search` and `compare` share."""
    positive, minutes = Whole(min=1), Number(min=0, min_open=True)
    options = [
        click.option("--profile", metavar="NAME", default="host-cpu", show_default=True,
                     help="Device by name; see: ponas profiles."),
        click.option("--data", default="generated", show_default=True,
                     help="Folder or archive in the Speech Commands layout, a published set "
                     "(speech-commands-v2), or 'generated'."),
        click.option("--labels", default="ten", show_default=True,
                     help="What is told apart: ten (the paper's), twelve (the benchmark's, with "
                     "_silence_ and _unknown_), all (every folder), or yes,no,_unknown_"),
        click.option("--candidates", type=positive, default=40, show_default=True,
                     help="Candidates trained in all phases together."),
        click.option("--initial", type=positive, help="Those of the first phase. [default: half]"
        ),
        click.option("--refine", type=positive,
                     help="Those of each later phase. [default: an eighth]"),
        click.option("--freeze", type=positive,
                     help="Parameters frozen after each phase at most. [default: all clear ones]"),
        click.option("--freeze-always/--freeze-clear", default=False, show_default=True,
                     help="Freeze one also where the front's agreement is no more than chance."),
        click.option("--tuning", type=Whole(min=0), default=0, show_default=True,
                     help="Candidates trained beforehand to find the optimiser's parameters."),
        click.option("--pool", type=positive, default=32, show_default=True,
                     help="Suggestions drawn for a candidate; the most promising one is trained."),
        click.option("--early-stopping/--no-early-stopping", default=True, show_default=True,
                     help="End trainings that cannot join the front."),
        click.option("--minutes", type=minutes,
                     help="Minutes after which no further candidate is begun; fine-tuning has a "
                     "limit of its own. [default: none]"),
        click.option("--phase-minutes", type=minutes,
                     help="Minutes after which a phase begins no further one. [default: none]"),
        click.option("--grow", type=minutes, default=1.0, show_default=True,
                     help="Times as long as at first that a candidate is trained once all is "
                     "frozen; in between it grows step by step."),
        click.option("--iterations", type=positive, default=400, show_default=True,
                     help="Training iterations of a candidate."),
        click.option("--finetune-iterations", type=Whole(min=0), default=1500,
                     show_default=True,
                     help="Training iterations of each member of the front; 0: no fine-tuning."),
        click.option("--finetune-minutes", type=minutes,
                     help="Minutes after which no further member is fine-tuned. [default: none]"),
        click.option("--learning-rate", type=Number(0, 1, min_open=True), default=1e-3,
                     show_default=True, help="Adam's, at the beginning of a training."),
        click.option("--batch", type=positive, default=25, show_default=True,
                     help="Clips in an iteration of a candidate's training."),
        click.option("--finetune-batch", type=positive, default=100, show_default=True,
                     help="Clips in an iteration of fine-tuning."),
        click.option("--seed", type=Whole(min=0), default=0, show_default=True,
                     help="Seed of every random choice."),
        click.option("--max-filters", type=Whole(1, MOST_FILTERS), default=100, show_default=True,
                     help="Largest number of filters of a unit."),
        click.option("--filters-step", type=positive, default=10, show_default=True,
                     help="Filters are multiples of this."),
        click.option("--first-kernel", metavar="ROWSxCOLUMNS", default="5x10", show_default=True,
                     callback=_kernel,
                     help="Largest kernel of the first unit: coefficients x time frames."),
        click.option("--later-kernel", metavar="ROWSxCOLUMNS", default="5x5", show_default=True,
                     callback=_kernel,
                     help="Largest kernel of the other units."),
        click.option("--device", default="cpu", show_default=True,
                     help="Torch device that trains, such as cuda."),
        click.option("--threads", type=positive,
                     help="CPU threads of a training. [default: the cores, shared]"),
        click.option("--bfloat16/--float32", default=None,
                     help="Number format of the convolutions in training. [default: bfloat16 where "
                     "the processor computes with it]"),
        click.option("--augmentation", type=click.Choice(SETS), default="none", show_default=True,
                     help="How a candidate's training clips are changed."),
        click.option("--finetune-augmentation", type=click.Choice(SETS), default="sound",
                     show_default=True, help="The same in fine-tuning."),
        click.option("--finetune-schedule", type=click.Choice(["paper", "modern"]),
                     default="modern", show_default=True,
                     help="The rate in steps, or warm-up, cosine, weight decay and averaging."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def asked_for(
    objective: str, options: dict[str, Any], *, max_latency_ms: float | None = None
) -> Request:
    """What the options of `search_options` ask for."""
    from kws.number_format import bfloat16_pays
    from tools.job import Request

    if options["bfloat16"] is None:
        options = {**options, "bfloat16": bfloat16_pays(options["device"])}
    return Request(objective=objective, max_latency_ms=max_latency_ms, **options)


def given(context: click.Context, name: str) -> bool:
    """Whether the command line itself says something of the option."""
    return context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
