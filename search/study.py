"""A study as it can be read at any time, also while a search is writing it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from search import pareto, schema
from search.freeze import Freeze, Judged
from search.objective import Constraint, ObjectiveSpec
from search.settings import Settings
from search.space import Space, Value
from search.work import Stage

TrialState = Literal["running", "finished", "infeasible", "stopped", "failed"]
PhaseKind = Literal["tuning", "architecture"]

ANNOTATION = "annotation:"
"""Before the keys of what callers keep in a study, to hold them apart from its own."""


@dataclass(frozen=True)
class Trial:
    """A candidate and what became of it."""

    number: int
    phase: int
    parameters: Mapping[str, Value]
    state: TrialState
    """``running`` in a study that nobody writes: killed, to be run again on a resume."""
    values: Mapping[str, float]
    """Objective values by name, in the objectives' units; an infeasible trial may lack some."""
    seed: int
    started: str
    """Time of day in ISO 8601, UTC."""
    finished: str | None
    host: str
    error: str | None = None
    """One line, of a failed trial (and of one that is to be tried again)."""
    traceback: str | None = None
    attempts: int = 1
    """Times it was begun: a kill or a worker that dies makes it begin again."""

    @property
    def seconds(self) -> float | None:
        """From its last beginning to its end; None while it runs."""
        if self.finished is None:
            return None
        span = datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)
        return span.total_seconds()


@dataclass(frozen=True)
class Phase:
    """A phase of the search and what was frozen at its end."""

    number: int
    planned: int
    """Candidates to be trained in it; fewer when the space runs dry or the search stops."""
    started: str
    finished: str | None
    """None while the phase goes on."""
    trials: int
    """Trials so far, infeasible and failed ones counted."""
    frozen: tuple[Freeze, ...]
    kind: PhaseKind = "architecture"
    """``tuning``: the one of the optimiser's parameters."""
    held: Mapping[str, Value] = field(default_factory=dict)
    """Settings that held for this phase alone."""
    report: tuple[Judged, ...] = ()
    """What was looked at when it ended, parameter by parameter, and why it was frozen or not."""


@dataclass(frozen=True)
class FineTuned:
    """What the fine-tuning of a member of the front gave."""

    trial: int
    state: Literal["finished", "failed"]
    values: Mapping[str, float]
    finished: str
    host: str
    error: str | None = None
    traceback: str | None = None


class Study:
    """Everything that is known of a search: one SQLite file, read afresh with every call.

    Opened with `Study.open`, which needs no lock; to write, see `search.recorder.StudyRecorder`.
    A context manager that closes the file.
    """

    _writing = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = schema.connect(path, writing=self._writing)
        self._documents: dict[str, Any] = {
            key: json.loads(text) for key, text in self._rows("SELECT key, value FROM study")
        }

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The study at ``path``.

        Raises InputError when the file is missing, no study, or of another version.
        """
        return cls(Path(path))

    def close(self) -> None:
        """Closes the file; further calls fail."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def space(self) -> Space:
        """The whole space, nothing frozen; `current_space` has what is frozen by now."""
        return Space.from_json(self._documents["space"])

    @property
    def settings(self) -> Settings:
        """How the search runs."""
        return Settings.from_json(self._documents["settings"])

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller kept here when the study was made; `search` does not look into it."""
        return dict(self._documents["metadata"])

    def annotation(self, key: str) -> Any:  # noqa: ANN401 (the caller knows what it kept)
        """What the caller kept under a key with `StudyRecorder.annotate`; None where nothing is."""
        rows = self._rows("SELECT value FROM study WHERE key = ?", (f"{ANNOTATION}{key}",))
        return json.loads(rows[0][0]) if rows else None

    @property
    def start(self) -> dict[str, Value] | None:
        """The seed candidate, tried first."""
        start: dict[str, Value] | None = self._documents["start"]
        return start

    @property
    def elapsed_minutes(self) -> float:
        """Wall-clock time spent in its phases so far, all runs together."""
        [[seconds]] = self._rows("SELECT value FROM study WHERE key = 'elapsed_s'")
        return float(seconds) / 60

    @property
    def objectives(self) -> tuple[ObjectiveSpec, ...]:
        """What is minimised, in the order given."""
        return tuple(
            ObjectiveSpec(name, unit, bool(needs_training), origin, direction)
            for name, unit, needs_training, origin, direction in self._rows(
                "SELECT name, unit, needs_training, origin, direction "
                "FROM objective ORDER BY position"
            )
        )

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What candidates must hold to."""
        rows = self._rows(
            "SELECT name, upper_bound FROM objective WHERE upper_bound NOT NULL ORDER BY position"
        )
        return tuple(Constraint(name, bound) for name, bound in rows)

    @property
    def current_space(self) -> Space:
        """The space with everything frozen so far."""
        frozen = self._rows("SELECT parameter, value FROM frozen ORDER BY position")
        return self.space.freeze({parameter: json.loads(value) for parameter, value in frozen})

    def trials(self) -> list[Trial]:
        """All trials by number."""
        # Trials before values: one that ends in between is still running here, not without values.
        rows = self._rows(
            "SELECT number, phase, candidate, state, seed, started, finished, host, error, "
            "traceback, attempts FROM trial ORDER BY number"
        )
        values: dict[int, dict[str, float]] = {}
        for number, objective, value in self._rows(
            "SELECT trial, objective, value.value FROM value "
            "JOIN objective ON objective.name = value.objective ORDER BY trial, position"
        ):
            values.setdefault(number, {})[objective] = value
        return [
            Trial(number, phase, self._parameters(text), state, values.get(number, {}), *rest)
            for number, phase, text, state, *rest in rows
        ]

    def phases(self) -> list[Phase]:
        """All phases begun so far, in order."""
        frozen: dict[int, list[Freeze]] = {}
        for phase, parameter, value, *counts in self._rows(
            "SELECT phase, parameter, value, count, front, runner_up, chance "
            "FROM frozen ORDER BY position"
        ):
            frozen.setdefault(phase, []).append(Freeze(parameter, json.loads(value), *counts))
        rows = self._rows(
            "SELECT number, planned, started, finished, "
            "(SELECT count(*) FROM trial WHERE trial.phase = phase.number), kind, held, report "
            "FROM phase ORDER BY number"
        )
        return [
            Phase(
                number, planned, started, finished, trials, tuple(frozen.get(number, ())), kind,
                json.loads(held), tuple(Judged(**each) for each in json.loads(report or "[]")),
            )
            for number, planned, started, finished, trials, kind, held, report in rows
        ]  # fmt: skip

    def front(self) -> list[Trial]:
        """The finished, feasible trials that no other dominates, by the first objective."""
        return front(self.trials(), self.objectives)

    def curve(self, number: int, stage: Stage = "search") -> list[tuple[int, float]]:
        """The learning curve of a trial: (step, value) by step."""
        rows = self._rows(
            "SELECT step, value FROM curve WHERE trial = ? AND stage = ? ORDER BY step",
            (number, stage),
        )
        return [(step, math.nan if value is None else value) for step, value in rows]

    def rungs(self) -> dict[int, dict[float, float]]:
        """Of each trial that has some: the trained objective's value by share of the training."""
        found: dict[int, dict[float, float]] = {}
        for trial, share, value in self._rows(
            "SELECT trial, share, value FROM rung ORDER BY trial, share"
        ):
            found.setdefault(trial, {})[share] = value
        return found

    def finetuned(self) -> list[FineTuned]:
        """Results of the fine-tunings so far, by trial."""
        return [
            FineTuned(trial, state, json.loads(values), *rest)
            for trial, state, values, *rest in self._rows(
                'SELECT trial, state, "values", finished, host, error, traceback '
                "FROM finetuned ORDER BY trial"
            )
        ]

    def directory(self, number: int, stage: Stage = "search") -> Path:
        """The folder of a trial that is running: ``<study>.d/trial-00012``."""
        label = "trial" if stage == "search" else "finetune"
        return self.path.with_name(self.path.name + ".d") / f"{label}-{number:05d}"

    def _parameters(self, text: str) -> dict[str, Value]:
        settings = json.loads(text)
        return {
            each["name"]: settings[each["name"]] for each in self._documents["space"]["parameters"]
        }

    def _rows(self, statement: str, arguments: Iterable[Any] = ()) -> list[Any]:
        with schema.translated(self.path):
            return self._connection.execute(statement, tuple(arguments)).fetchall()


def front(trials: Sequence[Trial], objectives: Sequence[ObjectiveSpec]) -> list[Trial]:
    """The finished trials that no other dominates, by the cost of the first objective."""
    finished = [trial for trial in trials if trial.state == "finished"]
    if not finished:
        return []
    costs = [costs_of(trial, objectives) for trial in finished]
    members = [
        (cost, t) for cost, t, on in zip(costs, finished, pareto.front(costs), strict=True) if on
    ]
    return [trial for _, trial in sorted(members, key=lambda pair: (pair[0], pair[1].number))]


def costs_of(trial: Trial, objectives: Sequence[ObjectiveSpec]) -> tuple[float, ...]:
    """What the trial costs, one number an objective, to be minimised."""
    return tuple(objective.cost(trial.values[objective.name]) for objective in objectives)
