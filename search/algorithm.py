"""Algorithm 1 of the paper: search, front, freeze, refine until frozen, fine-tune the front."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from search.errors import InputError, SpaceExhaustedError, StudyError
from search.evaluation import evaluate, one_line, raise_if_environment
from search.events import (
    Event,
    FineTuneFinished,
    FineTuneStarted,
    Frozen,
    OnEvent,
    PhaseFinished,
    PhaseStarted,
    SearchStopped,
    StopReason,
    TrialFailed,
    TrialFinished,
    TrialInfeasible,
    TrialProgress,
    TrialStarted,
)
from search.freeze import next_frozen
from search.objective import Objective, TrialContext
from search.recorder import StudyRecorder, finetuned_now
from search.sampler import Sampler, suggest_unseen, trial_seed
from search.space import Value
from search.study import Phase, Stage, Trial, observation

FineTune = Callable[[Mapping[str, Value], TrialContext], Mapping[str, float]]
"""Trains a member of the front to the end and gives its values by name."""

SAME_ERRORS = 3
"""Trials that must fail alike, with none that ended well, for a search to stop: the fault is then
in the objective and not in a candidate."""

INFEASIBLE_PER_TRIAL = 20
"""Infeasible candidates a phase may meet for each one it is to train, before it ends: they cost
next to nothing, but a bound that nothing meets must not keep a search busy for ever."""


@dataclass(frozen=True)
class Outcome:
    """How a search ended."""

    reason: StopReason
    front: tuple[Trial, ...]
    """Its Pareto-optimal trials, by the first objective."""


def run(
    study: StudyRecorder,
    objectives: Sequence[Objective],
    *,
    finetune: FineTune | None = None,
    on_event: OnEvent = lambda _: None,
    sampler: Sampler | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Begins the study's search or goes on with it, to the end.

    It may be killed at any moment: the next call runs the trial again that was running (same
    number, seed and folder) and ends with the trials that an undisturbed search would have had.
    A trial that raises is recorded as failed and the search goes on.

    Args:
        study: Says what is searched, how, and what is done already.
        objectives: The code behind the study's objectives, the same ones.
        finetune: Called for each member of the final front that has not been fine-tuned yet.
        on_event: Told of everything that happens, in this thread.
        sampler: TPE for several objectives when None.
        clock: Seconds; for the limit in minutes.

    Raises:
        InputError: The objectives are not those of the study.
        StudyError: The disk is full; or the first trials all failed with one and the same error.

    """
    _check_same(study, objectives)
    search = _Search(study, objectives, sampler or _tpe(study), on_event, clock)
    reason = search.phases()
    on_event(SearchStopped(reason))
    if finetune is not None:
        search.finetune(finetune)
    return Outcome(reason, tuple(study.front()))


class _StopError(Exception):
    """A limit on the whole search is reached in the middle of a phase."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


class _Search:
    """One run of a study: reads what is done, does the next thing, records it."""

    def __init__(
        self,
        study: StudyRecorder,
        objectives: Sequence[Objective],
        sampler: Sampler,
        on_event: OnEvent,
        clock: Callable[[], float],
    ) -> None:
        self._study = study
        self._objectives = objectives
        self._specs = study.objectives
        self._constraints = study.constraints
        self._settings = study.settings
        self._sampler = sampler
        self._tell = on_event
        self._clock = clock
        self._clock_zero = clock() - 60 * study.elapsed_minutes

    def phases(self) -> StopReason:
        """All phases that are left."""
        try:
            while True:
                phase = self._open_phase()
                self._run_phase(phase)
                self._close_phase(phase)
        except _StopError as stop:
            return stop.reason
        finally:
            self._study.record_elapsed(self._elapsed_minutes())

    def finetune(self, finetune: FineTune) -> None:
        """Fine-tunes the members of the front that have not been, as far as time allows."""
        done = {each.trial for each in self._study.finetuned() if each.state == "finished"}
        left = [trial for trial in self._study.front() if trial.number not in done]
        limit, began = self._settings.finetune_minutes, self._clock()
        if limit is not None:
            trained = [spec.name for spec in self._specs if spec.needs_training]
            left.sort(key=lambda trial: [trial.values[name] for name in trained])
        for position, trial in enumerate(left):
            if limit is not None and position and self._clock() - began >= 60 * limit:
                break
            self._tell(FineTuneStarted(trial, position, len(left)))
            context = self._context(trial, "finetune")
            try:
                values = {
                    name: float(value)
                    for name, value in finetune(trial.parameters, context).items()
                }
                result = finetuned_now(trial.number, values)
            except Exception as error:
                raise_if_environment(error)
                text, trace = one_line(error), traceback.format_exc()
                result = finetuned_now(trial.number, {}, text, trace)
            self._study.record_finetuned(result)
            self._tell(FineTuneFinished(result))

    def _open_phase(self) -> Phase:
        """The phase that goes on, or the next one; stops where there is none."""
        phases = self._study.phases()
        phase = phases[-1] if phases and phases[-1].finished is None else None
        space = self._study.current_space
        if phase is None:
            if not space.free:
                raise _StopError("frozen")
            if phases and not phases[-1].frozen:
                raise _StopError("no front")
            if self._settings.max_phases is not None and len(phases) >= self._settings.max_phases:
                raise _StopError("phases")
            self._check_limits(self._study.trials())
            phase = self._study.start_phase(self._settings.planned_trials(len(phases)))
        done = self._counted(_in(self._study.trials(), phase))
        free = tuple(parameter.name for parameter in space.free)
        self._tell(PhaseStarted(phase.number, phase.planned, done, free, space.frozen))
        return phase

    def _run_phase(self, phase: Phase) -> None:
        """Runs trials until the phase has had all of its own, or the space holds no more."""
        for trial in self._study.trials():
            if trial.state == "running":
                self._run_trial(trial, again=True)
        space = self._study.current_space
        while True:
            trials = self._study.trials()
            met = _in(trials, phase)
            counted = self._counted(met)
            untrained = len(met) - counted
            if counted >= phase.planned or untrained >= INFEASIBLE_PER_TRIAL * phase.planned:
                return
            self._check_limits(trials)
            try:
                candidate = suggest_unseen(
                    self._sampler,
                    space,
                    [observation(each, self._specs, self._constraints) for each in trials],
                    seed=self._settings.seed,
                    number=len(trials),
                    start=self._study.start,
                )
            except SpaceExhaustedError:
                return
            seed = trial_seed(self._settings.seed, len(trials))
            self._run_trial(self._study.start_trial(phase.number, candidate, seed), again=False)

    def _close_phase(self, phase: Phase) -> None:
        """Freezes what the front agrees on most."""
        members = [trial.parameters for trial in self._study.front()]
        space = self._study.current_space
        frozen = next_frozen(space, members, self._settings.freeze_per_phase)
        self._study.finish_phase(phase.number, frozen)
        for each in frozen:
            self._tell(Frozen(phase.number, each))
        trials = _in(self._study.trials(), phase)
        self._tell(PhaseFinished(phase.number, len(trials), len(members)))

    def _run_trial(self, trial: Trial, *, again: bool) -> None:
        self._tell(TrialStarted(trial.number, trial.phase, trial.parameters, again))
        context = self._context(trial, "search")
        found = evaluate(self._objectives, self._constraints, trial.parameters, context)
        ended = self._study.finish_trial(
            trial, found.state, found.values, found.error, found.traceback
        )
        self._study.record_elapsed(self._elapsed_minutes())
        self._tell(self._ended(ended))
        if ended.state == "failed":
            self._stop_if_all_fail_alike()

    def _ended(self, trial: Trial) -> Event:
        if trial.state == "infeasible":
            return TrialInfeasible(trial)
        if trial.state == "failed":
            return TrialFailed(trial)
        numbers = [each.number for each in self._study.front()]
        return TrialFinished(trial, on_front=trial.number in numbers)

    def _stop_if_all_fail_alike(self) -> None:
        """Stops, and has the failed trials run again on a resume, once the fault is mended."""
        ended = [each for each in self._study.trials() if each.state in ("finished", "failed")]
        errors = {self._bare(each) for each in ended}
        if len(ended) < SAME_ERRORS or len(errors) > 1 or None in errors:
            return
        self._study.reopen_failed(each.number for each in ended)
        raise StudyError(
            f"every one of the first {len(ended)} trials failed with {ended[-1].error}; "
            "mend that and resume: they are then run again"
        )

    def _bare(self, trial: Trial) -> str | None:
        """The error without the trial's folder, in which alone two texts may differ."""
        folder = str(self._study.directory(trial.number))
        return trial.error.replace(folder, "") if trial.error else None

    def _context(self, trial: Trial, stage: Stage) -> TrialContext:
        searching = stage == "search"
        settings = self._settings

        def report(step: int, value: float) -> None:
            self._study.record_point(trial.number, stage, step, value)
            if searching:
                self._study.record_elapsed(self._elapsed_minutes())
            self._tell(TrialProgress(trial.number, stage, int(step), float(value)))

        return TrialContext(
            number=trial.number,
            phase=trial.phase if searching else len(self._study.phases()),
            seed=trial.seed,
            budget=settings.budget(trial.phase) if searching else settings.finetune_budget,
            directory=self._study.make_directory(trial.number, stage),
            report=report,
        )

    def _check_limits(self, trials: Sequence[Trial]) -> None:
        limit = self._settings.max_trials
        if limit is not None and self._counted(trials) >= limit:
            raise _StopError("trials")
        if self._settings.minutes is not None and self._elapsed_minutes() >= self._settings.minutes:
            raise _StopError("time")

    def _counted(self, trials: Sequence[Trial]) -> int:
        """Trials that count for a budget: all but the infeasible ones that were never trained."""
        trained = {spec.name for spec in self._specs if spec.needs_training}
        return sum(
            trial.state != "infeasible" or not trained.isdisjoint(trial.values) for trial in trials
        )

    def _elapsed_minutes(self) -> float:
        return (self._clock() - self._clock_zero) / 60


def _in(trials: Sequence[Trial], phase: Phase) -> list[Trial]:
    return [trial for trial in trials if trial.phase == phase.number]


def _tpe(study: StudyRecorder) -> Sampler:
    from search.tpe import TpeSampler

    return TpeSampler(study.settings.startup_trials)


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
