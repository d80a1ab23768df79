"""The settings of a search: how long it lasts, how it narrows, what a trial may use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from search.errors import InputError
from search.sampler import STARTUP_TRIALS


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How Algorithm 1 is run; kept in the study, so that a resumed one goes on alike."""

    seed: int = 0
    """The one source of every random choice."""

    initial_trials: int = 300
    """Candidates trained in the initial phase (300 in the paper)."""

    refine_trials: int = 500
    """Candidates trained in each refined phase (500 in the paper)."""

    startup_trials: int = STARTUP_TRIALS
    """Random candidates, the starting point among them, before the sampler has its say."""

    freeze_per_phase: int = 1
    """Parameters frozen after each phase."""

    max_phases: int | None = None
    """Phases in all, the initial one counted; None goes on until every parameter is frozen."""

    max_trials: int | None = None
    """Candidates trained in all phases together; None leaves it to the phases."""

    minutes: float | None = None
    """Wall-clock time of all phases together, resumes included (what a killed trial took after its
    last report is not counted); the trial that is running when it is over is finished, and
    fine-tuning comes on top. None sets no limit."""

    finetune_minutes: float | None = None
    """Wall-clock time of a run after which no further member of the front is fine-tuned; those of
    the least error come first, and one is in any case. None sets no limit."""

    budgets: Sequence[Mapping[str, float]] = field(default_factory=lambda: ({},))
    """What a trial may use, phase by phase, handed to the objectives: ({"iterations": 400}, ...);
    the last one serves all later phases."""

    finetune_budget: Mapping[str, float] = field(default_factory=dict)
    """What the fine-tuning of a member of the front may use."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            _check_whole(name, getattr(self, name), least)
        for name in ("minutes", "finetune_minutes"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise InputError(f"{name} must be a positive number, got {limit}")
        if not self.budgets:
            raise InputError("budgets must name at least one phase's, got none")
        object.__setattr__(self, "budgets", tuple(dict(budget) for budget in self.budgets))
        object.__setattr__(self, "finetune_budget", dict(self.finetune_budget))

    def planned_trials(self, phase: int) -> int:
        """Candidates to be trained in a phase, from 0."""
        return self.initial_trials if phase == 0 else self.refine_trials

    def budget(self, phase: int) -> Mapping[str, float]:
        """What a trial of a phase may use."""
        return self.budgets[min(phase, len(self.budgets) - 1)]

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `from_json` makes equal settings."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Settings:
        """The settings that `to_json` described; InputError naming a setting it does not know."""
        known = {each.name for each in fields(cls)}
        for name in document:
            if name not in known:
                raise InputError(f"unknown setting {name!r}; known are {', '.join(sorted(known))}")
        return cls(**document)


_LEAST = {
    "seed": 0,
    "initial_trials": 1,
    "refine_trials": 1,
    "startup_trials": 1,
    "freeze_per_phase": 1,
    "max_phases": 1,
    "max_trials": 1,
}
_MAY_BE_NONE = ("max_phases", "max_trials")


def _check_whole(name: str, value: object, least: int) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
