"""Trained networks that a person names: of a study, those that were fine-tuned; or one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kws.errors import InputError
from kws.model_file import SavedModel, load_model
from search.study import FineTuned, Study
from tools.destinations import is_study
from tools.job import models_dir, request_of
from tools.networks import widest_bounds
from tools.task import MODEL_FILE, architecture_of, model_name


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A trained network and where it comes from."""

    name: str
    """For files made of it: ``trial-00012`` in a study, else its file's name without the ending."""

    model: SavedModel

    trial: int | None = None
    """Its number in the study; None where it was named as a file."""

    error: float | None = None
    """Share of validation clips wrong, by the study."""

    data: str | None = None
    """The speech set of the study."""


def find_model(named: Path, which: str | None = None) -> TrainedModel:
    """The one network that is meant.

    Args:
        named: A file that ponas wrote, by its ending; anything else is taken for a study.
        which: Of a study: a trial's number, or an architecture; None is the one of the lowest
            validation error.

    Raises:
        InputError: where there is no such network; the message says which there are.

    """
    _check_named(named)
    if named.suffix == MODEL_FILE:
        if which is not None:
            raise InputError(f"{named} is one model, so '{which}' says nothing of it; leave it out")
        return TrainedModel(name=named.stem, model=load_model(named))
    with Study.open(named) as study:
        return _load(study, _chosen(study, _finetuned(study), which))


def find_models(named: Path) -> list[TrainedModel]:
    """All networks that are meant: of a study those on its front by trial; or the one of a file.

    Raises:
        InputError: where there is none.

    """
    _check_named(named)
    if named.suffix == MODEL_FILE:
        return [find_model(named)]
    with Study.open(named) as study:
        return [_load(study, each) for each in _finetuned(study).values()]


def _check_named(named: Path) -> None:
    """Raises InputError for what is neither a study nor a model's file."""
    wanted = f"give a study, or the {MODEL_FILE} file of a model"
    if not named.exists():
        raise InputError(f"there is no file {named}; {wanted}")
    if named.is_dir():
        raise InputError(f"{named} is a folder; {wanted}")
    if named.suffix != MODEL_FILE and not is_study(named):
        raise InputError(f"{named} is neither a study nor a model of ponas; {wanted}")


def _finetuned(study: Study) -> dict[int, FineTuned]:
    """What has been fine-tuned of the study's front, by the trial's number."""
    front = {trial.number for trial in study.front()}
    found = {
        each.trial: each
        for each in study.finetuned()
        if each.state == "finished" and each.trial in front
    }
    if found:
        return found
    if not front:
        raise InputError(
            f"study {study.path} has no candidate that was trained to its end, so no model; see "
            f"why with: ponas trials {study.path}"
        )
    if not request_of(study).finetune_iterations:
        raise InputError(
            f"the search of study {study.path} was to fine-tune nothing, so it has no models; "
            "begin one with --finetune-iterations above 0"
        )
    raise InputError(
        f"study {study.path} has no fine-tuned model yet; "
        f"go on with it: ponas search --resume --study {study.path}"
    )


def _chosen(study: Study, finetuned: dict[int, FineTuned], which: str | None) -> FineTuned:
    if which is None:
        return min(finetuned.values(), key=lambda each: (each.values["error"], each.trial))
    if which.isdecimal():
        found = finetuned.get(int(which))
        what = f"trial {which}"
    else:
        from kws.architecture import Architecture

        wanted = Architecture.parse(which, bounds=widest_bounds())
        texts = _architectures(study)
        found = next((each for n, each in finetuned.items() if texts[n] == str(wanted)), None)
        what = f"'{wanted}'"
    if found is None:
        numbers = ", ".join(map(str, finetuned))
        raise InputError(
            f"study {study.path} has no fine-tuned model of {what}; it has those of the trials "
            f"{numbers}, shown by: ponas trials {study.path}"
        )
    return found


def _load(study: Study, finetuned: FineTuned) -> TrainedModel:
    name = model_name(finetuned.trial)
    path = models_dir(study.path) / f"{name}{MODEL_FILE}"
    if not path.exists():
        raise InputError(
            f"the model of trial {finetuned.trial} is not at {path}; it was trained on the machine "
            f"'{finetuned.host}': copy it from the same folder there"
        )
    return TrainedModel(
        name=name,
        model=load_model(path),
        trial=finetuned.trial,
        error=finetuned.values["error"],
        data=request_of(study).data,
    )


def _architectures(study: Study) -> dict[int, str]:
    return {trial.number: str(architecture_of(trial.parameters)) for trial in study.trials()}
