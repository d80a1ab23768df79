"""A study as a search leaves it, its front fine-tuned: made by hand, in no time."""

from dataclasses import asdict, replace
from pathlib import Path

from kws.architecture import Architecture, parameters_of
from kws.model_file import load_model, write_model
from kws.module import to_module
from search.creation import create_study
from search.objective import ObjectiveSpec
from search.settings import Settings
from search.space import Integer, Space
from search.study import FineTuned
from tools.job import FORMAT, Request, models_dir

SPECS = (
    ObjectiveSpec("error", "share of validation clips", needs_training=True),
    ObjectiveSpec("latency:host-cpu", "ms", needs_training=False),
)

FRONT = {"3x3,6 1x1,4": 0.3, "3x3,8 3x3,8": 0.125, "2x4,9 3x3,5": 0.2}
"""Architectures of trials 0 to 2, all on the front, and their errors after fine-tuning."""


def finetuned_study(path: Path, like: Path, data: Path, *, finetuned: bool = True) -> Path:
    """A study of `FRONT`, whose models know the words of the model ``like``."""
    space = Space(
        tuple(Integer(name, 1, 9) for name in parameters_of(Architecture.parse("1x1,1 1x1,1")))
    )
    request = Request(
        profile="host-cpu", objective="latency", data=str(data), candidates=3, iterations=10,
        finetune_iterations=10 if finetuned else 0,
    )  # fmt: skip
    known = load_model(like)
    with create_study(
        path, space=space, objectives=SPECS, settings=Settings(),
        metadata={"format": FORMAT, "request": asdict(request)},
    ) as study:  # fmt: skip
        study.start_phase(len(FRONT))
        for number, (text, error) in enumerate(FRONT.items()):
            architecture = Architecture.parse(text)
            trial = study.start_trial(0, parameters_of(architecture), seed=number)
            study.finish_trial(
                trial, "finished", {"error": 0.5 - 0.1 * number, "latency:host-cpu": 1.0 + number}
            )
            if not finetuned:
                continue
            study.record_finetuned(
                FineTuned(number, "finished", {"error": error}, trial.started, "far-away")
            )
            module = to_module(architecture, len(known.words), seed=number).eval()
            write_model(
                models_dir(path) / f"trial-{number:05d}.pt",
                replace(known, architecture=architecture, module=module),
            )
    return path
