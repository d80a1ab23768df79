"""A study as one of Optuna's, so that optuna-dashboard and Optuna itself can open it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from search import schema
from search.errors import InputError
from search.objective import Constraint, ObjectiveSpec
from search.optuna_storage import writable
from search.space import Choice, Parameter, Value
from search.study import FineTuned, Study, Trial, front

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

EXPORTED = "ponas"
"""User attribute of the studies that were made here: only these are ever replaced."""

_CONSTRAINTS = "constraints"
"""System attribute of a trial, a list: the form that Optuna's samplers kept theirs in up to 4, and
that optuna-dashboard reads (0.21). Optuna 5 writes another one and reads both."""

_STATES = {
    "running": "RUNNING",
    "finished": "COMPLETE",
    "infeasible": "PRUNED",
    "stopped": "PRUNED",
    "failed": "FAIL",
}


def export_to_optuna(
    study: Study,
    storage: str,
    *,
    replace: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> str:
    """Writes the study into one of Optuna's storages, under the name of its file without suffix.

    A finished trial is COMPLETE, one that was stopped or never trained is PRUNED, a failed one
    FAIL. Curves (or else the values at the rungs, by percent of the training) are intermediate
    values, bounds are constraints (feasible where no more than 0); units and origins, hosts,
    seeds, errors and fine-tunings are user attributes. A study that cannot be written whole is
    removed again, and a new file with it. It is to be looked at: Optuna's own TPE cannot go on from
    pruned trials of several objectives. Optuna takes tens of milliseconds for a trial of an
    SQLite database, and a few for one of a journal.

    Args:
        study: May be written by a search meanwhile; what it holds now is exported.
        storage: See `search.optuna_storage.writable`.
        replace: Whether an earlier export of this study may be replaced.
        progress: Told how many trials are written.

    Returns:
        The name of the study in the storage.

    Raises:
        InputError: Optuna is not installed; there is a study of that name, and it is not to be
            replaced or was not exported from here; the file is something else.
        StudyError: The storage cannot be written.

    """
    name = study.path.stem
    with writable(storage) as opened:
        _make_room(opened, name, storage, replace=replace)
        _write(study, name, opened, progress)
    return name


def _write(study: Study, name: str, storage: BaseStorage, progress: Callable[[int], None]) -> None:
    import optuna

    directions = [each.direction for each in study.objectives]
    made = optuna.create_study(study_name=name, storage=storage, directions=directions)
    try:
        for key, value in _attributes(study).items():
            made.set_user_attr(key, value)
        made.set_metric_names([_named(each.name, each.unit) for each in study.objectives])
        for done, trial in enumerate(_trials(study), start=1):
            made.add_trial(trial)
            progress(done)
    except BaseException:
        optuna.delete_study(study_name=name, storage=storage)
        raise


def _make_room(storage: BaseStorage, name: str, where: str, *, replace: bool) -> None:
    """Deletes an earlier export; InputError where that is not to be."""
    import optuna

    try:
        earlier = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return
    if EXPORTED not in earlier.user_attrs:
        raise InputError(
            f"storage {where} holds a study {name!r} that ponas did not export; "
            "give another storage"
        )
    if not replace:
        raise InputError(
            f"storage {where} holds study {name!r} already; "
            "replace it with --replace, or give another storage"
        )
    optuna.delete_study(study_name=name, storage=storage)


def _attributes(study: Study) -> dict[str, Any]:
    """What Optuna has no place of its own for."""
    return {
        EXPORTED: {"study": study.path.name, "version": schema.VERSION},
        "units": {each.name: each.unit for each in study.objectives},
        "origins": {each.name: each.origin for each in study.objectives},
        "constraints": {each.objective_name: each.upper_bound for each in study.constraints},
        "frozen": dict(study.current_space.frozen),
        "settings": study.settings.to_json(),
        "start": study.start,
    }


def _trials(study: Study) -> Iterator[FrozenTrial]:
    parameters, objectives, bounds = study.space.parameters, study.objectives, study.constraints
    finetuned = {each.trial: each for each in study.finetuned()}
    trials, rungs = study.trials(), study.rungs()
    members = {trial.number for trial in front(trials, objectives)}
    for trial in trials:
        attributes = _trial_attributes(trial, objectives, finetuned.get(trial.number))
        steps = dict(study.curve(trial.number)) or {
            round(100 * share): value for share, value in rungs.get(trial.number, {}).items()
        }
        attributes["on_front"] = trial.number in members
        yield _trial(trial, parameters, objectives, attributes, steps, _excesses(bounds, trial))


def _trial(
    trial: Trial,
    parameters: Sequence[Parameter],
    objectives: Sequence[ObjectiveSpec],
    attributes: Mapping[str, Any],
    steps: Mapping[int, float],
    excesses: Sequence[float],
) -> FrozenTrial:
    from optuna.trial import FrozenTrial, TrialState

    finished = trial.state == "finished"
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=TrialState[_STATES[trial.state]],
        value=None,
        values=[trial.values[each.name] for each in objectives] if finished else None,
        datetime_start=_local(trial.started),
        datetime_complete=_local(trial.finished) if trial.finished else None,
        params={each.name: _setting(each, trial.parameters[each.name]) for each in parameters},
        distributions={each.name: _distribution(each) for each in parameters},
        user_attrs=dict(attributes),
        system_attrs={_CONSTRAINTS: list(excesses)} if excesses else {},
        intermediate_values=dict(steps),
    )


def _trial_attributes(
    trial: Trial, objectives: Sequence[ObjectiveSpec], finetuned: FineTuned | None
) -> dict[str, Any]:
    """Also what is known of a trial that has no values in Optuna's sense, not having finished."""
    found: dict[str, Any] = {
        "phase": trial.phase,
        "state": trial.state,
        "seed": trial.seed,
        "host": trial.host,
        "attempts": trial.attempts,
    }
    if trial.error is not None:
        found["error"] = trial.error
    if trial.state != "finished":
        units = {each.name: each.unit for each in objectives}
        found |= {_named(name, units[name]): value for name, value in trial.values.items()}
    if finetuned is not None:
        found["finetuned"] = dict(finetuned.values) or finetuned.error
    return found


def _excesses(constraints: Sequence[Constraint], trial: Trial) -> list[float]:
    """By how much each bound is passed, in its objective's unit; [] where one cannot be told."""
    names = [each.objective_name for each in constraints]
    if any(name not in trial.values for name in names):
        return []
    return [trial.values[each.objective_name] - each.upper_bound for each in constraints]


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(parameter, Choice):
        return CategoricalDistribution([_setting(parameter, each) for each in parameter.options])
    highest = parameter.low + parameter.step * (parameter.count - 1)
    return IntDistribution(parameter.low, highest, step=parameter.step)


def _setting(parameter: Parameter, value: Value) -> Value:
    """The value as Optuna keeps it: as JSON text where it would take two options for one.

    Optuna compares with ``==``, by which 1, 1.0 and True are the same.
    """
    if isinstance(parameter, Choice) and len(set(parameter.options)) < parameter.count:
        return json.dumps(value)
    return value


def _named(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def _local(time: str) -> datetime:
    """Optuna's times are local ones without a zone."""
    return datetime.fromisoformat(time).astimezone().replace(tzinfo=None)
