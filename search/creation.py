"""How a study comes to be: checked, and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search import schema
from search.errors import InputError
from search.objective import Constraint, Objective, ObjectiveSpec, check_objectives
from search.recorder import StudyRecorder
from search.settings import Settings
from search.space import Space, Value


def create_study(
    path: str | Path,
    *,
    space: Space,
    objectives: Sequence[Objective | ObjectiveSpec],
    settings: Settings,
    constraints: Sequence[Constraint] = (),
    start: Mapping[str, Value] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> StudyRecorder:
    """A new study at ``path``, whole or not at all.

    Args:
        path: Must not exist; its folder is made when missing.
        space: What is searched, nothing frozen.
        objectives: What is minimised, in the order of reports.
        settings: How the search runs.
        constraints: At most one for an objective.
        start: The seed candidate, tried first.
        metadata: Anything JSON can carry; kept, not looked into.

    Raises:
        InputError: ``path`` is taken, or one of the parts does not fit the others.
        StudyError: The disk is full.

    """
    path = Path(path)
    specs = [each.spec if isinstance(each, Objective) else each for each in objectives]
    check_objectives(specs, constraints)
    _check_tuning(space, settings, start)
    documents = {
        "space": space.to_json(),
        "settings": settings.to_json(),
        "start": None if start is None else space.validate(start),
        "metadata": dict(metadata or {}),
        "elapsed_s": 0.0,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"no study can be made at {path}: {error.strerror}; give another path"
        ) from error
    with schema.locked(path):
        if path.exists():
            raise InputError(
                f"{path} exists already; resume it with: ponas search --resume --study {path}, "
                "or give another path"
            )
        _write_whole(path, documents, specs, constraints)
    return StudyRecorder(path)


def _check_tuning(space: Space, settings: Settings, start: Mapping[str, Value] | None) -> None:
    """Raises InputError where the phase of the optimiser's parameters cannot be."""
    for name in settings.tuning:
        space.parameter(name)
    if settings.tuning and start is None:
        raise InputError(
            "a phase of the optimiser's parameters needs a start: the candidate they are tried on"
        )


def _write_whole(
    path: Path,
    documents: Mapping[str, Any],
    objectives: Sequence[ObjectiveSpec],
    constraints: Sequence[Constraint],
) -> None:
    """Makes the file beside its place and renames it, so that there is never half a study."""
    bounds = {each.objective_name: each.upper_bound for each in constraints}
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    try:
        with schema.translated(path):
            schema.create_tables(unfinished)
        connection = schema.connect(unfinished, writing=True)
        with schema.translated(path):
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO study VALUES (?, ?)",
                [(key, json.dumps(document)) for key, document in documents.items()],
            )
            connection.executemany(
                "INSERT INTO objective VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (i, o.name, o.unit, o.needs_training, o.origin, o.direction, bounds.get(o.name))
                    for i, o in enumerate(objectives)
                ],
            )
            connection.execute("COMMIT")
            connection.close()
        unfinished.replace(path)
        schema.sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)
