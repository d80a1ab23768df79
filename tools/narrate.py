"""Tells a person what a search is doing: bars on a terminal, a line a trial everywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from search.events import (
    Event,
    FineTuneFinished,
    FineTuneStarted,
    Frozen,
    PhaseFinished,
    PhaseStarted,
    SearchStopped,
    TrialFailed,
    TrialFinished,
    TrialInfeasible,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from search.space import Value
from search.study import FineTuned, Study, Trial
from tools.console import Stages
from tools.recipe import TUNING
from tools.task import ERROR, FLOPS, architecture_of

REASONS = {
    "frozen": "every parameter is frozen",
    "phases": "all phases are done",
    "trials": "all candidates are trained",
    "time": "the time is up",
    "no front": "no candidate was feasible",
    "nothing clear": "the front agrees on nothing that could be frozen",
}


class Narrator:
    """Receives a search's events."""

    def __init__(self, stages: Stages, *, candidates: int, done: int, iterations: float) -> None:
        """``iterations``: of a fine-tuning; a candidate's are told with it."""
        self._stages = stages
        self._candidates = candidates
        self._done = done
        self._begun = done
        self._started = time.monotonic()
        self._finetune_iterations = iterations
        self._running: dict[int, tuple[str, float]] = {}
        """What is trained, and its iterations, by trial."""

    @classmethod
    def of(cls, study: Study, stages: Stages) -> Narrator:
        """The one of a study that begins or goes on."""
        settings = study.settings
        candidates = settings.max_trials or 0
        done = sum(trial.state in ("finished", "stopped", "failed") for trial in study.trials())
        iterations = settings.finetune_budget.get("iterations", 0)
        return cls(stages, candidates=candidates, done=done, iterations=iterations)

    def __call__(self, event: Event) -> None:  # noqa: C901 - one case an event
        """Shows one event."""
        line = self._stages.line
        match event:
            case PhaseStarted():
                line(_phase_words(event))
            case TrialStarted():
                if event.again:
                    line(f"trial {event.number} goes on after an interruption")
                self._begins(event.number, event.parameters, event.budget.get("iterations", 0))
            case TrialProgress():
                self._shows(event)
            case TrialFinished() | TrialStopped() | TrialFailed() | TrialInfeasible():
                self._ends(event)
            case Frozen():
                froze = event.freeze
                line(f"froze {froze.parameter} = {froze.value}: {froze.reason}")
            case PhaseFinished():
                line(f"phase {event.phase} done: {event.trials} trials, {event.front} on the front")
                if event.judged and not any(each.frozen for each in event.judged):
                    best = event.judged[0]
                    line(
                        f"nothing frozen; the front agrees most on {best.parameter} = "
                        f"{best.value}: {best.reason}"
                    )
            case SearchStopped():
                line(f"search done: {REASONS[event.reason]}")
            case FineTuneStarted():
                self._begins(
                    event.trial.number, event.trial.parameters, self._finetune_iterations,
                    f"{event.position + 1}/{event.count} ",
                )  # fmt: skip
            case FineTuneFinished():
                self._ends_tuning(event.result)

    def _begins(
        self, number: int, parameters: Mapping[str, Value], iterations: float, before: str = ""
    ) -> None:
        self._running[number] = (f"{before}{architecture_of(parameters)}", iterations)
        self._stages.update("candidates", self._done, self._candidates, self._note())

    def _shows(self, event: TrialProgress) -> None:
        text, iterations = self._running.get(event.number, ("", 0))
        if self._stages.live and iterations:
            self._stages.update(f"training {event.number}", event.step, round(iterations), text)

    def _ends(self, event: TrialFinished | TrialStopped | TrialFailed | TrialInfeasible) -> None:
        trial, line = event.trial, self._stages.line
        self._running.pop(trial.number, None)
        self._stages.drop(f"training {trial.number}")
        if isinstance(event, TrialInfeasible):
            line(f"trial {trial.number} not trained: {_figures(trial)} breaks a constraint")
            return
        self._done += 1
        match event:
            case TrialFinished():
                line(f"{self._count()} {_figures(trial)}{'  on the front' * event.on_front}")
            case TrialStopped():
                share = max(event.rungs, default=0.0)
                line(
                    f"{self._count()} {_figures(trial)}  stopped after {share:.0%}: "
                    f"error {event.rungs.get(share, math.nan):.1%}"
                )
            case TrialFailed():
                line(f"{self._count()} failed: {trial.error}")
        self._stages.update("candidates", self._done, self._candidates, self._note())

    def _ends_tuning(self, result: FineTuned) -> None:
        self._running.pop(result.trial, None)
        self._stages.drop(f"training {result.trial}")
        if result.error:
            self._stages.line(f"fine-tuning trial {result.trial} failed: {result.error}")
        else:
            self._stages.line(
                f"fine-tuned trial {result.trial}: validation error {result.values['error']:.1%}, "
                f"test error {result.values['test_error']:.1%}"
            )

    def _count(self) -> str:
        return f"[{self._done}/{self._candidates}]"

    def _note(self) -> str:
        new = self._done - self._begun
        if not new:
            return ""
        left = (time.monotonic() - self._started) / new * (self._candidates - self._done)
        return f"about {left / 60:.0f} min left"


def _phase_words(event: PhaseStarted) -> str:
    if event.kind == "tuning":
        return (
            f"phase {event.phase}: {event.planned} candidates for the optimiser's parameters "
            f"({', '.join(event.free)})"
        )
    frozen = ", ".join(f"{k}={v}" for k, v in event.frozen.items()) or "nothing"
    return (
        f"phase {event.phase}: {event.planned} candidates over {len(event.free)} free "
        f"parameters; frozen: {frozen}"
    )


def _figures(trial: Trial) -> str:
    """What is known of a trial: architecture, searched optimiser parameters, error and cost."""
    parts = [str(architecture_of(trial.parameters))]
    parts += [f"{name}={trial.parameters[name]}" for name in TUNING if name in trial.parameters]
    for name, value in trial.values.items():
        if name == ERROR:
            parts.append(f"error {value:.1%}")
        elif name == FLOPS:
            parts.append(f"{value / 1e6:.1f} MFLOP")
        else:
            parts.append(f"{value:.3f} ms")
    return "  ".join(parts)
