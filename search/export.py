"""A study for other programs: all of it as one JSON document, its trials as a CSV table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from boltons.fileutils import atomic_save

from search import schema
from search.space import Value
from search.study import FineTuned, Phase, Study, Trial, front

_BEFORE = ("number", "phase", "state", "on_front")
_AFTER = ("seed", "started", "finished", "seconds", "host", "attempts", "error")


def document(study: Study, annotations: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is known of a search, as plain JSON.

    Numbers that JSON cannot write (the loss of a training that went astray) are None. Times of
    day are in ISO 8601, UTC.

    Args:
        study: May be written by a search meanwhile.
        annotations: Keys of what the caller kept in it (`Study.annotation`), to be written too.

    """
    trials, objectives, rungs = study.trials(), study.objectives, study.rungs()
    members = {trial.number for trial in front(trials, objectives)}
    bounds = {each.objective_name: each.upper_bound for each in study.constraints}
    found = {
        "study": study.path.name,
        "version": schema.VERSION,
        "space": study.space.to_json(),
        "settings": study.settings.to_json(),
        "start": study.start,
        "metadata": study.metadata,
        "annotations": {key: study.annotation(key) for key in annotations},
        "elapsed_minutes": study.elapsed_minutes,
        "objectives": [
            {**asdict(each), "upper_bound": bounds.get(each.name)} for each in objectives
        ],
        "phases": [_phase(phase) for phase in study.phases()],
        "front": sorted(members),
        "trials": [
            _trial(study, trial, rungs.get(trial.number, {}), on_front=trial.number in members)
            for trial in trials
        ],
        "finetuned": [_finetuned(study, each) for each in study.finetuned()],
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def table(study: Study) -> Iterator[list[str]]:
    """The trials by number, a row each, after a row of column names.

    A column is ``parameter.NAME``, ``value.OBJECTIVE [unit]``, ``rung.SHARE [unit]`` (the trained
    objective's value after that share of the training) or one of ``number``, ``phase``,
    ``state``, ``on_front``, ``seed``, ``started``, ``finished``, ``seconds``, ``host``,
    ``attempts`` and ``error``. What is not known is empty; numbers read back as they were.
    """
    trials, objectives, rungs = study.trials(), study.objectives, study.rungs()
    parameters = [each.name for each in study.space.parameters]
    shares = sorted({share for found in rungs.values() for share in found})
    members = {trial.number for trial in front(trials, objectives)}
    trained = [each.unit for each in objectives if each.needs_training]
    yield [
        *_BEFORE,
        *(f"parameter.{name}" for name in parameters),
        *(_with_unit(f"value.{each.name}", each.unit) for each in objectives),
        *(_with_unit(f"rung.{share:g}", trained[0] if trained else "") for share in shares),
        *_AFTER,
    ]
    for trial in trials:
        at_rungs = rungs.get(trial.number, {})
        yield [
            *map(_cell, (trial.number, trial.phase, trial.state, trial.number in members)),
            *(_cell(trial.parameters[name]) for name in parameters),
            *(_cell(trial.values.get(each.name)) for each in objectives),
            *(_cell(at_rungs.get(share)) for share in shares),
            *(_cell(getattr(trial, name)) for name in _AFTER),
        ]


def print_csv(study: Study, stream: TextIO) -> None:
    """Writes `table` as CSV (RFC 4180, but for the ends of lines, which are the stream's)."""
    csv.writer(stream, lineterminator="\n").writerows(table(study))


def write_csv(study: Study, path: Path) -> None:
    """Writes `table` as a CSV file in UTF-8, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    print_csv(study, text)
    with atomic_save(str(path), overwrite_part=True) as file:
        file.write(text.getvalue().encode())


def _trial(
    study: Study, trial: Trial, rungs: Mapping[float, float], *, on_front: bool
) -> dict[str, Any]:
    return {
        **asdict(trial),
        "seconds": trial.seconds,
        "on_front": on_front,
        "rungs": [{"share": share, "value": value} for share, value in rungs.items()],
        "curve": study.curve(trial.number),
    }


def _phase(phase: Phase) -> dict[str, Any]:
    """With what was frozen, by how much, and what was said of every parameter."""
    frozen = [{**asdict(f), "share": f.share, "margin": f.margin} for f in phase.frozen]
    return {**asdict(phase), "frozen": frozen}


def _finetuned(study: Study, found: FineTuned) -> dict[str, Any]:
    return {**asdict(found), "curve": study.curve(found.trial, "finetune")}


def _plain(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with None for numbers that are not finite, and lists for tuples."""
    match part:
        case Mapping():
            return {name: _plain(each) for name, each in part.items()}
        case list() | tuple():
            return [_plain(each) for each in part]
        case float() if not math.isfinite(part):
            return None
    return part


def _with_unit(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def _cell(value: Value | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)
