"""A search's trials for experiment trackers: what is told, and that nothing is told twice."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from search.events import (
    Event,
    FineTuneFinished,
    OnEvent,
    SearchStopped,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStopped,
)
from search.space import Value
from search.study import FineTuned, Study, Trial
from search.work import Stage
from tools.front_volume import Box, in_order
from tools.task import ERROR, architecture_of

if TYPE_CHECKING:
    from tools.job import Job

LOSS, VOLUME = "loss", "hypervolume"
SEARCH = "search"
"""The run that holds what is of the whole search."""
SECONDS = 5.0
"""How long points are gathered before they are written."""

State = Literal["finished", "stopped", "failed"]
Figures = Callable[[Trial], Mapping[str, float]]
"""Error, latency and operations of a trial that is over, by name with the unit."""


@dataclass(frozen=True)
class Run:
    """A training, or the search itself, as trackers know it."""

    name: str
    """``trial-00012``, ``trial-00012-finetuned``, or `SEARCH`; the same after a resume."""
    started: float
    """Seconds since 1970."""
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A value at a step."""

    key: str
    step: int
    value: float
    at: float
    """Seconds since 1970."""


class TrackingError(RuntimeError):
    """A tracker that cannot be written now: what is missing there is told later."""


class Tracker(ABC):
    """Where runs are kept. Every method but `open` raises TrackingError where that fails."""

    name: str
    """As people know it."""

    @abstractmethod
    def open(self, study: str) -> None:
        """Turns to a study, by a name that no other has; called before everything else."""

    @abstractmethod
    def state(self, run: str) -> State | None:
        """How the run of this name ended there; None where it did not, or is not there."""

    @abstractmethod
    def points(self, run: str) -> set[tuple[str, int]]:
        """Keys and steps that are there already."""

    @abstractmethod
    def write(self, run: Run, points: Sequence[Point]) -> None:
        """Adds points, none of which is there; makes the run where it is missing."""

    @abstractmethod
    def end(self, run: Run, state: State, at: float) -> None:
        """The run is over."""

    @abstractmethod
    def close(self) -> None:
        """The search ends, for now or for good."""


class Tracking:
    """Receives a search's events and tells one tracker of them.

    What is in the study and not in the tracker is made up for at the first event, so that a
    tracker may join at a resume; what is in both is left alone, so that a training that goes on
    from its checkpoint is not told twice. A tracker that cannot be reached does not stop the
    search: ``line`` says so once, and all that is missing is told when it can be reached again.
    """

    def __init__(
        self,
        study: Study,
        tracker: Tracker,
        *,
        box: Box | None,
        figures: Figures,
        line: Callable[[str], None],
    ) -> None:
        self._study, self._tracker, self._line = study, tracker, line
        self._box, self._figures = box, figures
        self._is_level = False
        """Whether the tracker has all that the study has, but for what is gathered."""
        self._was_told = False
        self._gathered: dict[str, tuple[Run, list[Point]]] = {}
        self._known: dict[str, set[tuple[str, int]]] = {}
        self._written_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Tells of one event, if it is one to be told of."""
        match event:
            case TrialProgress():
                self._try(self._progress, event)
            case TrialFinished() | TrialStopped() | TrialFailed():
                self._try(self._trial, event.trial)
            case FineTuneFinished():
                self._try(self._finetuned, event.result)
            case SearchStopped():
                self._try(self._flush)
            case _:
                pass

    def close(self) -> None:
        """Tells what is left."""
        self._try(self._flush)
        self._try(self._tracker.close)

    def _try(self, tell: Callable[..., None], *what: object) -> None:
        """A failure puts the tracker behind; the next thing to tell tries to make up for it."""
        if not self._study.trials():
            return
        try:
            if not self._is_level:
                self._catch_up()
            tell(*what)
        except TrackingError as error:
            self._is_level = False
            self._known.clear()
            self._gathered.clear()
            if not self._was_told:
                self._line(f"{self._tracker.name} is behind ({error}); the search goes on")
            self._was_told = True

    def _catch_up(self) -> None:
        study = self._study
        self._tracker.open(identity(study))
        for trial in study.trials():
            if trial.state == "running":
                self._add(_run(trial, "search"), self._curve(trial, "search"))
            elif trial.state != "infeasible" or study.curve(trial.number):
                self._trial(trial)
        for result in study.finetuned():
            self._finetuned(result)
        self._is_level, self._was_told = True, False

    def _progress(self, event: TrialProgress) -> None:
        trial = self._study.trials()[event.number]
        self._add(_run(trial, event.stage), [Point(LOSS, event.step, event.value, time.time())])
        if time.monotonic() - self._written_at >= SECONDS:
            self._flush()

    def _trial(self, trial: Trial) -> None:
        state: State = "finished" if trial.state == "infeasible" else _ended(trial.state)
        figures = self._figures(trial)
        self._end(_run(trial, "search"), state, _seconds(trial.finished), trial, figures)
        if trial.state == "finished" and self._box is not None:
            self._grow(self._box)
            self._flush()

    def _grow(self, box: Box) -> None:
        """The front's hypervolume after each finished trial, in the order in which they ended."""
        trials = self._study.trials()
        search = Run(SEARCH, _seconds(trials[0].started))
        self._add(search, [])
        known = self._known[SEARCH]
        ended = in_order(trials)
        for step in range(1, len(ended) + 1):
            if (VOLUME, step) not in known:
                share, at = box.share(ended[:step]), _seconds(ended[step - 1].finished)
                self._add(search, [Point(VOLUME, step, share, at)])

    def _finetuned(self, result: FineTuned) -> None:
        trial = self._study.trials()[result.trial]
        run, at = _run(trial, "finetune"), _seconds(result.finished)
        self._end(run, _ended(result.state), at, trial, result.values)

    def _end(
        self, run: Run, state: State, at: float, trial: Trial, figures: Mapping[str, float]
    ) -> None:
        """A run is over: all of its curve, then its figures, then that it is over."""
        if self._tracker.state(run.name) == state:
            return
        stage: Stage = "finetune" if run.name.endswith(FINETUNED) else "search"
        self._add(run, self._curve(trial, stage))
        self._add(run, [Point(key, 0, value, at) for key, value in figures.items()])
        self._flush()
        self._tracker.end(run, state, at)

    def _curve(self, trial: Trial, stage: Stage) -> list[Point]:
        at = _seconds(trial.finished or trial.started)
        return [Point(LOSS, *each, at) for each in self._study.curve(trial.number, stage)]

    def _add(self, run: Run, points: Iterable[Point]) -> None:
        if run.name not in self._known:
            self._known[run.name] = self._tracker.points(run.name)
        known = self._known[run.name]
        new = [point for point in points if (point.key, point.step) not in known]
        known.update((point.key, point.step) for point in new)
        self._gathered.setdefault(run.name, (run, []))[1].extend(new)

    def _flush(self) -> None:
        self._written_at = time.monotonic()
        for name in list(self._gathered):
            run, points = self._gathered[name]
            self._tracker.write(run, points)
            del self._gathered[name]


FINETUNED = "-finetuned"


def identity(study: Study) -> str:
    """A name of the study that another one at the same path does not have."""
    begun = study.phases()[0].started
    return f"{study.path.stem}-{re.sub('[^0-9]', '', begun)[:14]}"


def figures_of(job: Job) -> Figures:
    """Error, latency and operations (Equation 1) of the trials of a job."""
    from costmodel import operations

    def figures(trial: Trial) -> dict[str, float]:
        network = job.network(architecture_of(trial.parameters))
        found = {
            "latency_ms": job.estimator.latency_ms(network),
            "flops": float(operations.flops(network)),
        }
        return found | ({ERROR: trial.values[ERROR]} if ERROR in trial.values else {})

    return figures


def together(receivers: Sequence[OnEvent]) -> OnEvent:
    """One receiver that tells all of these."""

    def tell(event: Event) -> None:
        for receiver in receivers:
            receiver(event)

    return tell


def _run(trial: Trial, stage: Stage) -> Run:
    name = f"trial-{trial.number:05d}{FINETUNED if stage == 'finetune' else ''}"
    parameters = {"architecture": str(architecture_of(trial.parameters)), **trial.parameters}
    return Run(name, _seconds(trial.started), parameters)


def _ended(state: str) -> State:
    match state:
        case "finished" | "stopped" | "failed":
            return state
    raise AssertionError(f"a run does not end as {state!r}")


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else time.time()
