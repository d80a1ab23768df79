"""Tells a person what a search is doing: bars on a terminal, a line a trial everywhere."""

from __future__ import annotations

import time

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
    TrialStarted,
)
from search.study import Trial
from tools.console import Stages
from tools.task import ERROR, FLOPS, architecture_of

REASONS = {
    "frozen": "every parameter is frozen",
    "phases": "all phases are done",
    "trials": "all candidates are trained",
    "time": "the time is up",
    "no front": "no candidate was feasible",
}


class Narrator:
    """Receives a search's events and the trainer's iterations."""

    def __init__(self, stages: Stages, *, candidates: int, done: int) -> None:
        self._stages = stages
        self._candidates = candidates
        self._done = done
        self._begun = done
        self._started = time.monotonic()
        self._front = 0
        self._training = ""

    def on_iteration(self, number: int, done: int, total: int) -> None:
        """Shows where the running training is."""
        del number
        if self._stages.live:
            self._stages.update("training", done, total, self._training)

    def __call__(self, event: Event) -> None:  # noqa: C901, PLR0912 - one line an event
        """Shows one event."""
        stages = self._stages
        match event:
            case PhaseStarted():
                frozen = ", ".join(f"{k}={v}" for k, v in event.frozen.items()) or "nothing"
                stages.line(
                    f"phase {event.phase}: {event.planned} candidates over {len(event.free)} free "
                    f"parameters; frozen: {frozen}"
                )
            case TrialStarted():
                architecture = architecture_of(event.parameters)
                self._training = str(architecture)
                if event.again:
                    stages.line(f"trial {event.number} goes on after an interruption")
                stages.update("candidates", self._done, self._candidates, self._note())
            case TrialFinished():
                self._done += 1
                stages.line(
                    f"{self._count()} {_figures(event.trial)}"
                    f"{'  on the front' if event.on_front else ''}"
                )
                stages.drop("training")
                stages.update("candidates", self._done, self._candidates, self._note())
            case TrialFailed():
                self._done += 1
                stages.line(f"{self._count()} failed: {event.trial.error}")
            case TrialInfeasible():
                stages.line(
                    f"trial {event.trial.number} not trained: {_figures(event.trial)}"
                    " breaks a constraint"
                )
            case Frozen():
                f = event.freeze
                stages.line(
                    f"froze {f.parameter} = {f.value}: {f.count} of {f.front} on the front "
                    f"({f.share:.0%}), runner-up {f.runner_up}"
                )
            case PhaseFinished():
                stages.line(
                    f"phase {event.phase} done: {event.trials} trials, {event.front} on the front"
                )
            case SearchStopped():
                stages.line(f"search done: {REASONS[event.reason]}")
            case FineTuneStarted():
                architecture = architecture_of(event.trial.parameters)
                self._training = f"{event.position + 1}/{event.count} {architecture}"
            case FineTuneFinished():
                stages.drop("training")
                result = event.result
                if result.error:
                    stages.line(f"fine-tuning trial {result.trial} failed: {result.error}")
                else:
                    stages.line(
                        f"fine-tuned trial {result.trial}: validation error "
                        f"{result.values['error']:.1%}, test error "
                        f"{result.values['test_error']:.1%}"
                    )
            case _:
                pass

    def _count(self) -> str:
        return f"[{self._done}/{self._candidates}]"

    def _note(self) -> str:
        new = self._done - self._begun
        if not new:
            return ""
        left = (time.monotonic() - self._started) / new * (self._candidates - self._done)
        return f"about {left / 60:.0f} min left"


def _figures(trial: Trial) -> str:
    """Architecture, error and cost of a trial, as far as they are known."""
    parts = [str(architecture_of(trial.parameters))]
    for name, value in trial.values.items():
        if name == ERROR:
            parts.append(f"error {value:.1%}")
        elif name == FLOPS:
            parts.append(f"{value / 1e6:.1f} MFLOP")
        else:
            parts.append(f"{value:.3f} ms")
    return "  ".join(parts)
