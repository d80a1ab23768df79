"""What a search tells while it runs, for a user interface to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from search.freeze import Judged
from search.space import Value
from search.study import FineTuned, PhaseKind, Trial
from search.work import Stage

StopReason = Literal["frozen", "phases", "trials", "time", "no front", "nothing clear"]
"""Every parameter is frozen; ``max_phases``, ``max_trials`` or ``minutes`` is reached; a phase
ended without a single feasible trial, so that there is nothing to go by; or nothing was clear
enough to be frozen, phase after phase."""


@dataclass(frozen=True)
class PhaseStarted:
    """A phase begins, or goes on after a resume."""

    phase: int
    kind: PhaseKind
    planned: int
    """Candidates to be trained in it."""
    done: int
    """Those of them that were trained before a resume."""
    free: tuple[str, ...]
    frozen: Mapping[str, Value]


@dataclass(frozen=True)
class TrialStarted:
    """A candidate is about to be evaluated."""

    number: int
    phase: int
    parameters: Mapping[str, Value]
    budget: Mapping[str, float]
    again: bool
    """Whether an earlier run was killed in it, or its worker died."""


@dataclass(frozen=True)
class TrialProgress:
    """A point of a learning curve."""

    number: int
    stage: Stage
    step: int
    value: float


@dataclass(frozen=True)
class TrialFinished:
    """A candidate has all its values."""

    trial: Trial
    on_front: bool
    """Whether nothing found so far dominates it."""


@dataclass(frozen=True)
class TrialInfeasible:
    """A candidate broke a constraint; it counts for a budget only if it was trained before."""

    trial: Trial


@dataclass(frozen=True)
class TrialStopped:
    """A candidate's training ended early: it would not have joined the front."""

    trial: Trial
    rungs: Mapping[float, float]
    """The objective's value by share of the training."""


@dataclass(frozen=True)
class TrialFailed:
    """A candidate's evaluation raised; ``trial.error`` says what."""

    trial: Trial


@dataclass(frozen=True)
class Frozen:
    """A parameter was frozen at the end of a phase."""

    phase: int
    freeze: Judged


@dataclass(frozen=True)
class PhaseFinished:
    """A phase has ended and its parameters are frozen."""

    phase: int
    kind: PhaseKind
    trials: int
    front: int
    """Members of the front by now."""
    judged: tuple[Judged, ...]
    """What was looked at for freezing, and why it was frozen or not."""


@dataclass(frozen=True)
class SearchStopped:
    """All phases are over; fine-tuning follows, if asked for."""

    reason: StopReason


@dataclass(frozen=True)
class FineTuneStarted:
    """A member of the front is about to be fine-tuned."""

    trial: Trial
    position: int
    """From 0, of ``count``."""
    count: int


@dataclass(frozen=True)
class FineTuneFinished:
    """A member of the front is fine-tuned, or failed to be (see ``result.state``)."""

    result: FineTuned


Event = (
    PhaseStarted
    | TrialStarted
    | TrialProgress
    | TrialFinished
    | TrialInfeasible
    | TrialStopped
    | TrialFailed
    | Frozen
    | PhaseFinished
    | SearchStopped
    | FineTuneStarted
    | FineTuneFinished
)
OnEvent = Callable[[Event], None]
