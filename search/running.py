"""The trials of a search while it runs: proposes them, gives them out, records what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from search.errors import SpaceExhaustedError, StudyError
from search.evaluation import Evaluation
from search.events import (
    Event,
    FineTuneFinished,
    FineTuneStarted,
    OnEvent,
    StopReason,
    TrialFailed,
    TrialFinished,
    TrialInfeasible,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from search.executors.contract import Ended, Executor
from search.foresight import Foresight
from search.history import History
from search.recorder import StudyRecorder, finetuned_now
from search.sampler import (
    START_NEIGHBOURS,
    Sampler,
    suggest_unseen,
    trial_seed,
)
from search.space import Space
from search.study import Phase, Trial, costs_of
from search.work import Report, Stage, Task, Work

SAME_ERRORS = 3
"""Trials that must fail alike, with none that ended well, for a search to stop: the fault is then
in the objective and not in a candidate. A first phase of fewer trials stops when all have."""

INFEASIBLE_PER_TRIAL = 20
"""Infeasible candidates a phase may meet for each one it is to train, before it ends: they cost
next to nothing, but a bound that nothing meets must not keep a search busy for ever."""

ATTEMPTS = 3
"""Times that a candidate is given out whose worker dies: once may be chance, three times is it."""


class Running:
    """The candidates of one run of a study, as many at a time as the executor takes."""

    def __init__(
        self,
        study: StudyRecorder,
        task: Task,
        executor: Executor,
        sampler: Sampler,
        on_event: OnEvent,
        clock: Callable[[], float],
    ) -> None:
        self._study = study
        self._specs = study.objectives
        self._constraints = study.constraints
        self._settings = study.settings
        self._foresight = Foresight(task.objectives, self._constraints, study.directory(0))
        self._executor = executor
        self._sampler = sampler
        self._tell = on_event
        self._clock = clock
        self._clock_zero = clock() - 60 * study.elapsed_minutes
        self._out: dict[int, Trial] = {}
        """Trials that the executor has."""
        self._killed = [trial for trial in study.trials() if trial.state == "running"]
        """Those of an earlier run that are to be run again."""

    def phase(self, phase: Phase, space: Space) -> StopReason | None:
        """Runs a phase's trials; why the search is to stop, or None where it goes on."""
        until = self._phase_end()
        reason: StopReason | None = None
        while True:
            room = self._executor.slots - len(self._out)
            is_over = reason is not None or (until is not None and self._clock() >= until)
            if room > 0 and self._killed:
                self._give_out(self._study.restart_trial(self._killed.pop(0)), again=True)
            elif room > 0 and not is_over and self._is_wanting(phase):
                reason = self.limit()
                if reason is None and not self._propose(phase, space):
                    until = self._clock()
            elif self._out:
                self._record(*self._wait())
            else:
                return reason

    def finetune(self) -> None:
        """Fine-tunes the members of the front that have not been, as far as time allows."""
        done = {each.trial for each in self._study.finetuned() if each.state == "finished"}
        left = [trial for trial in self._study.front() if trial.number not in done]
        limit, began = self._settings.finetune_minutes, self._clock()
        if limit is not None:
            trained = [spec for spec in self._specs if spec.needs_training]
            left.sort(key=lambda trial: costs_of(trial, trained))
        count, given = len(left), 0
        losses: dict[int, int] = {}
        while left or self._out:
            is_late = limit is not None and given and self._clock() - began >= 60 * limit
            if left and not is_late and len(self._out) < self._executor.slots:
                trial = left.pop(0)
                self._tell(FineTuneStarted(trial, given, count))
                given += trial.number not in losses
                phase, budget = len(self._study.phases()), self._settings.finetune_budget
                self._start(trial, "finetune", phase, budget, {})
            elif self._out:
                trial, ended = self._wait()
                losses[trial.number] = losses.get(trial.number, 0) + 1
                if ended.evaluation.state == "lost" and losses[trial.number] < ATTEMPTS:
                    left.insert(0, trial)
                else:
                    self._record_finetuned(ended)
            else:
                return

    def counted_in(self, phase: Phase) -> int:
        """A phase's trials that count for its budget, the running ones among them."""
        return self._counted(self._met(phase))

    def limit(self) -> StopReason | None:
        """Which limit on the whole search is reached, if any."""
        most = self._settings.max_trials
        if most is not None and self._counted(self._study.trials()) >= most:
            return "trials"
        if self._settings.minutes is not None and self._elapsed_minutes() >= self._settings.minutes:
            return "time"
        return None

    def record_elapsed(self) -> None:
        """Keeps the time spent so far."""
        self._study.record_elapsed(self._elapsed_minutes())

    def _is_wanting(self, phase: Phase) -> bool:
        met = self._met(phase)
        counted = self._counted(met)
        untrained = len(met) - counted
        return counted < phase.planned and untrained < INFEASIBLE_PER_TRIAL * phase.planned

    def _propose(self, phase: Phase, space: Space) -> bool:
        """Begins the next trial; False where the space holds no more."""
        history = self._history()
        number = len(history.trials)
        try:
            candidate = suggest_unseen(
                self._sampler, space, history.observations(), seed=self._settings.seed,
                number=number, start=self._study.start, foresee=self._foresight,
                near=min(START_NEIGHBOURS, self._settings.startup_trials // 2),
            )  # fmt: skip
        except SpaceExhaustedError:
            return False
        seed = trial_seed(self._settings.seed, number)
        self._give_out(self._study.start_trial(phase.number, candidate, seed), again=False)
        return True

    def _give_out(self, trial: Trial, *, again: bool) -> None:
        """Has the trial trained, unless that is not worth while."""
        budget = self._settings.budget(trial.phase, self._narrowed())
        self._tell(TrialStarted(trial.number, trial.phase, trial.parameters, budget, again))
        known = self._foresight.evaluation(trial.parameters)
        _raise_if_environment(known)
        if known.state != "finished":
            self._end(trial, known, None)
            return
        costs = [cost for cost in self._foresight(trial.parameters).costs if cost is not None]
        rungs = self._history().limits(self._settings.rungs, costs)
        self._start(trial, "search", trial.phase, budget, rungs)

    def _start(
        self,
        trial: Trial,
        stage: Stage,
        phase: int,
        budget: Mapping[str, float],
        rungs: Mapping[float, float],
    ) -> None:
        """Has the executor train."""
        self._out[trial.number] = trial
        self._executor.start(
            Work(
                number=trial.number,
                stage=stage,
                phase=phase,
                parameters=trial.parameters,
                known=self._foresight.evaluation(trial.parameters).values,
                seed=trial.seed,
                budget=budget,
                directory=self._study.make_directory(trial.number, stage),
                rungs=rungs,
            )
        )

    def _wait(self) -> tuple[Trial, Ended]:
        """The next that is over. Raises StudyError where that is no fault of its own."""
        ended = self._executor.wait(self._on_report)
        _raise_if_environment(ended.evaluation)
        return self._out.pop(ended.work.number), ended

    def _record(self, trial: Trial, ended: Ended) -> None:
        if ended.evaluation.state == "lost" and trial.attempts < ATTEMPTS:
            self._give_out(self._study.restart_trial(trial), again=True)
        else:
            self._end(trial, ended.evaluation, ended.host)

    def _end(self, trial: Trial, found: Evaluation, host: str | None) -> None:
        """Records how a trial ended."""
        state = "failed" if found.state == "lost" else found.state
        ended = self._study.finish_trial(
            trial, state, found.values, found.error, found.traceback, host=host
        )
        self.record_elapsed()
        self._tell(self._ended(ended))
        if ended.state == "failed":
            self._stop_if_all_fail_alike()

    def _ended(self, trial: Trial) -> Event:
        match trial.state:
            case "infeasible":
                return TrialInfeasible(trial)
            case "stopped":
                return TrialStopped(trial, self._study.rungs().get(trial.number, {}))
            case "failed":
                return TrialFailed(trial)
            case "finished":
                numbers = [each.number for each in self._study.front()]
                return TrialFinished(trial, on_front=trial.number in numbers)
            case "running":
                raise AssertionError("an ended trial does not run")
            case _:
                assert_never(trial.state)

    def _record_finetuned(self, ended: Ended) -> None:
        found = ended.evaluation
        result = finetuned_now(
            ended.work.number, found.values, found.error, found.traceback, host=ended.host
        )
        self._study.record_finetuned(result)
        self._tell(FineTuneFinished(result))

    def _on_report(self, report: Report) -> None:
        if report.kind == "rung":
            self._study.record_rung(report.number, report.at, report.value)
            return
        self._study.record_point(report.number, report.stage, int(report.at), report.value)
        if report.stage == "search":
            self.record_elapsed()
        self._tell(TrialProgress(report.number, report.stage, int(report.at), report.value))

    def _stop_if_all_fail_alike(self) -> None:
        """Stops, and has the failed trials run again on a resume, once the fault is mended."""
        ended = [
            each for each in self._study.trials()
            if each.state in ("finished", "stopped", "failed")
        ]  # fmt: skip
        errors = {self._bare(each) for each in ended}
        enough = min(SAME_ERRORS, self._study.phases()[0].planned)
        if len(ended) < enough or len(errors) > 1 or None in errors:
            return
        self._study.reopen_failed(each.number for each in ended)
        raise StudyError(
            f"{_first(len(ended))} failed with {ended[-1].error}; "
            "mend that and resume: they are then run again"
        )

    def _bare(self, trial: Trial) -> str | None:
        """The error without the trial's folder, in which alone two texts may differ."""
        folder = str(self._study.directory(trial.number))
        return trial.error.replace(folder, "") if trial.error else None

    def _history(self) -> History:
        study = self._study
        return History(study.trials(), study.rungs(), self._specs, self._constraints)

    def _met(self, phase: Phase) -> list[Trial]:
        return [trial for trial in self._study.trials() if trial.phase == phase.number]

    def _counted(self, trials: Sequence[Trial]) -> int:
        """Trials that count for a budget: all but the infeasible ones that were never trained."""
        trained = {spec.name for spec in self._specs if spec.needs_training}
        return sum(
            trial.state != "infeasible" or not trained.isdisjoint(trial.values) for trial in trials
        )

    def _narrowed(self) -> float:
        """Share of the parameters that are frozen, the optimiser's left out."""
        space, tuning = self._study.current_space, self._settings.tuning
        names = [p.name for p in space.parameters if p.name not in tuning]
        return sum(name in space.frozen for name in names) / max(1, len(names))

    def _phase_end(self) -> float | None:
        minutes = self._settings.phase_minutes
        return None if minutes is None else self._clock() + 60 * minutes

    def _elapsed_minutes(self) -> float:
        return (self._clock() - self._clock_zero) / 60


def _raise_if_environment(found: Evaluation) -> None:
    """Raises StudyError for what is no fault of the candidate."""
    if found.environment:
        raise StudyError(found.error or "")


def _first(count: int) -> str:
    return "the first trial" if count == 1 else f"every one of the first {count} trials"
