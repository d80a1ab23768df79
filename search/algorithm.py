"""Algorithm 1 of the paper: search, front, freeze, refine until frozen, fine-tune the front."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.errors import InputError
from search.events import (
    Frozen,
    OnEvent,
    PhaseFinished,
    PhaseStarted,
    SearchStopped,
    StopReason,
)
from search.executors.contract import Executor
from search.executors.inline import InlineExecutor
from search.freeze import Judged, judge
from search.objective import Objective
from search.recorder import StudyRecorder
from search.running import Running
from search.sampler import Sampler
from search.study import Phase, Trial
from search.tuning import judge_tuning
from search.work import Task

PATIENCE = 3
"""Phases in a row on whose fronts nothing was clear enough to be frozen, after which a search ends
that has no limit on trials, time or phases."""


@dataclass(frozen=True)
class Outcome:
    """How a search ended."""

    reason: StopReason
    front: tuple[Trial, ...]
    """Its Pareto-optimal trials, by the first objective."""


def run(
    study: StudyRecorder,
    task: Task,
    *,
    executor: Executor | None = None,
    on_event: OnEvent = lambda _: None,
    sampler: Sampler | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Begins the study's search or goes on with it, to the end.

    It may be killed at any moment: the next call runs the trials again that were running (same
    number, seed and folder). With one candidate at a time it ends with the trials that an
    undisturbed search would have had; with several, which of them ends first decides what is
    tried next. A trial that raises is recorded as failed and the search goes on.

    Args:
        study: Says what is searched, how, and what is done already.
        task: The code behind the study's objectives, the same ones, and the fine-tuning: called
            for each member of the final front that has not been fine-tuned yet.
        executor: Trains the candidates, with the same task; None trains them in this process,
            one after the other. What needs no training is evaluated in this process always.
        on_event: Told of everything that happens, in this thread.
        sampler: Ours for several objectives (`search.sampling.front_sampler`) when None.
        clock: Seconds; for the limits in minutes.

    Raises:
        InputError: The objectives are not those of the study.
        StudyError: The disk is full; or the first trials all failed with one and the same error.

    """
    _check_same(study, task.objectives)
    executor = executor or InlineExecutor(task)
    running = Running(study, task, executor, sampler or _sampler(study), on_event, clock)
    reason = _phases(study, running, on_event)
    on_event(SearchStopped(reason))
    if task.finetune is not None:
        running.finetune()
    return Outcome(reason, tuple(study.front()))


def _phases(study: StudyRecorder, running: Running, tell: OnEvent) -> StopReason:
    """All phases that are left."""
    try:
        while True:
            phase = _open_phase(study, running)
            if isinstance(phase, str):
                return phase
            space = study.current_space.freeze(phase.held)
            free = tuple(parameter.name for parameter in space.free)
            done = running.counted_in(phase)
            tell(PhaseStarted(phase.number, phase.kind, phase.planned, done, free, space.frozen))
            reason = running.phase(phase, space)
            if reason is not None:
                return reason
            _close_phase(study, phase, tell)
    finally:
        running.record_elapsed()


def _open_phase(study: StudyRecorder, running: Running) -> Phase | StopReason:
    """The phase that goes on, or the next one, or why there is none."""
    phases, settings, space = study.phases(), study.settings, study.current_space
    if phases and phases[-1].finished is None:
        return phases[-1]
    reason = _end(study) or running.limit()
    if reason is not None:
        return reason
    if settings.tuning and not phases:
        start = study.start or {}
        held = {p.name: start[p.name] for p in space.free if p.name not in settings.tuning}
        return study.start_phase(settings.tuning_trials, "tuning", held)
    return study.start_phase(settings.planned_trials(len(_architectural(phases))))


def _end(study: StudyRecorder) -> StopReason | None:
    """Why no phase follows, but for the limits on trials and time."""
    phases, settings = study.phases(), study.settings
    if not study.current_space.free:
        return "frozen"
    if phases and not study.front():
        return "no front"
    done = _architectural(phases)
    if settings.max_phases is not None and len(done) >= settings.max_phases:
        return "phases"
    unlimited = settings.max_trials is settings.minutes is settings.max_phases is None
    last = done[-PATIENCE:]
    if unlimited and len(last) == PATIENCE and not any(phase.frozen for phase in last):
        return "nothing clear"
    return None


def _architectural(phases: Sequence[Phase]) -> list[Phase]:
    """All but that of the optimiser's parameters."""
    return [phase for phase in phases if phase.kind == "architecture"]


def _close_phase(study: StudyRecorder, phase: Phase, tell: OnEvent) -> None:
    """Freezes what the front agrees on, or the optimiser's best parameters."""
    front = study.front()
    judged = _judged(study, phase, front)
    study.finish_phase(phase.number, judged)
    for each in judged:
        if each.frozen:
            tell(Frozen(phase.number, each))
    met = [trial for trial in study.trials() if trial.phase == phase.number]
    tell(PhaseFinished(phase.number, phase.kind, len(met), len(front), tuple(judged)))


def _judged(study: StudyRecorder, phase: Phase, front: Sequence[Trial]) -> Sequence[Judged]:
    settings, space = study.settings, study.current_space
    if phase.kind == "architecture":
        members = [trial.parameters for trial in front]
        return judge(
            space, members, at_most=settings.freeze_per_phase, always=settings.freeze_always
        )
    trained = [spec for spec in study.objectives if spec.needs_training]
    found = [
        (tuple(spec.cost(trial.values[spec.name]) for spec in trained), trial.parameters)
        for trial in study.trials()
        if trial.phase == phase.number and trial.state == "finished"
    ]
    return judge_tuning(space, settings.tuning, found)


def _sampler(study: StudyRecorder) -> Sampler:
    from search.sampling.front_sampler import FrontSampler

    return FrontSampler(study.settings.startup_trials, study.settings.pool)


def _check_same(study: StudyRecorder, objectives: Sequence[Objective]) -> None:
    """Raises InputError unless the objectives are those the study was made with."""
    given = {objective.name: objective.spec for objective in objectives}
    kept = {spec.name: spec for spec in study.objectives}
    if list(given) != list(kept):
        raise InputError(
            f"study {study.path} minimises {', '.join(kept)}, not {', '.join(given)}; "
            "give those, or start a new study at another path"
        )
    for name, spec in kept.items():
        if given[name] != spec:
            raise InputError(
                f"objective {name!r} of study {study.path} was {spec}, and is {given[name]} now: "
                "numbers of both cannot be compared; start a new study at another path"
            )
