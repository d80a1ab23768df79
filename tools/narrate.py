"""What a search does, in lines that stay: one a trial, a phase, a parameter that is frozen."""

from __future__ import annotations

import math
from collections.abc import Callable

from search.events import (
    Event,
    FineTuneFinished,
    Frozen,
    PhaseFinished,
    PhaseStarted,
    SearchStopped,
    TrialFailed,
    TrialFinished,
    TrialInfeasible,
    TrialStarted,
    TrialStopped,
)
from search.study import FineTuned, Study, Trial
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
    """Receives a search's events and says them."""

    def __init__(self, line: Callable[[str], None], *, candidates: int, done: int) -> None:
        self._line = line
        self._candidates = candidates
        self._done = done

    @classmethod
    def of(cls, study: Study, line: Callable[[str], None]) -> Narrator:
        """The one of a study that begins or goes on."""
        return cls(line, candidates=study.settings.max_trials or 0, done=trained(study))

    def __call__(self, event: Event) -> None:
        """Says one event."""
        line = self._line
        match event:
            case PhaseStarted():
                line(_phase_words(event))
            case TrialStarted() if event.again:
                line(f"trial {event.number} goes on after an interruption")
            case TrialFinished() | TrialStopped() | TrialFailed() | TrialInfeasible():
                self._ends(event)
            case Frozen():
                froze = event.freeze
                line(f"froze {froze.parameter} = {froze.value}: {froze.reason}")
            case PhaseFinished():
                self._ends_phase(event)
            case SearchStopped():
                line(f"search done: {REASONS[event.reason]}")
            case FineTuneFinished():
                line(_tuned_words(event.result))

    def _ends(self, event: TrialFinished | TrialStopped | TrialFailed | TrialInfeasible) -> None:
        trial, line = event.trial, self._line
        if isinstance(event, TrialInfeasible):
            line(f"trial {trial.number} not trained: {_figures(trial)} breaks a constraint")
            return
        self._done += 1
        count = f"[{self._done}/{self._candidates}]"
        match event:
            case TrialFinished():
                line(f"{count} {_figures(trial)}{'  on the front' * event.on_front}")
            case TrialStopped():
                share = max(event.rungs, default=0.0)
                line(
                    f"{count} {_figures(trial)}  stopped after {share:.0%}: "
                    f"error {event.rungs.get(share, math.nan):.1%}"
                )
            case TrialFailed():
                line(f"{count} failed: {trial.error}")

    def _ends_phase(self, event: PhaseFinished) -> None:
        self._line(f"phase {event.phase} done: {event.trials} trials, {event.front} on the front")
        if event.judged and not any(each.frozen for each in event.judged):
            best = event.judged[0]
            self._line(
                f"nothing frozen; the front agrees most on {best.parameter} = "
                f"{best.value}: {best.reason}"
            )


def trained(study: Study) -> int:
    """Candidates of the study that are over and count for its limit."""
    return sum(trial.state in ("finished", "stopped", "failed") for trial in study.trials())


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


def _tuned_words(result: FineTuned) -> str:
    if result.error:
        return f"fine-tuning trial {result.trial} failed: {result.error}"
    return (
        f"fine-tuned trial {result.trial}: validation error {result.values['error']:.1%}, "
        f"test error {result.values['test_error']:.1%}"
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
