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
    """Candidates before the sampler has its say: the starting point, neighbours of it, then random
    ones."""

    pool: int = 32
    """Suggestions drawn for each candidate that is trained, where some of its cost is known before
    training: the one that promises most is taken."""

    rungs: Sequence[float] = ()
    """Shares of a training, each above 0 and below 1, after which it may be stopped; see
    `search.early_stopping`."""

    freeze_per_phase: int | None = None
    """Parameters frozen after each phase at most; None freezes every one that is clear."""

    freeze_always: bool = False
    """Whether one is frozen also where the front's agreement is no more than chance, as in the
    paper; otherwise such a phase is followed by another one over the same space."""

    tuning: Sequence[str] = ()
    """Parameters of the optimiser: searched in a phase of their own, before all others and with
    the rest at the start's settings, and frozen at the best found (Algorithm 1, step 2)."""

    tuning_trials: int = 12
    """Candidates trained in that phase."""

    max_phases: int | None = None
    """Phases in all, the initial one counted; None goes on until every parameter is frozen."""

    max_trials: int | None = None
    """Candidates trained in all phases together; None leaves it to the phases."""

    minutes: float | None = None
    """Wall-clock time of all phases together, resumes included (what a killed trial took after its
    last report is not counted); trials that are running when it is over are finished, and
    fine-tuning comes on top. None sets no limit."""

    phase_minutes: float | None = None
    """The same of each phase by itself, within one run: when it is over, the next one follows."""

    finetune_minutes: float | None = None
    """Wall-clock time of a run after which no further member of the front is fine-tuned; those of
    the least error come first, and one is in any case. None sets no limit."""

    budgets: Sequence[Mapping[str, float]] = field(default_factory=lambda: ({},))
    """What a trial may use, phase by phase, handed to the objectives: ({"iterations": 400}, ...);
    the last one serves all later phases."""

    growth: float = 1.0
    """By what a budget has grown when the whole space is frozen; it grows with the share of the
    parameters that are, as a power of it: the smaller the space, the longer a training."""

    finetune_budget: Mapping[str, float] = field(default_factory=dict)
    """What the fine-tuning of a member of the front may use."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            _check_whole(name, getattr(self, name), least)
        for name in ("minutes", "phase_minutes", "finetune_minutes", "growth"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise InputError(f"{name} must be a positive number, got {limit}")
        for share in self.rungs:
            if not 0 < share < 1:
                raise InputError(
                    f"rungs are shares of a training, above 0 and below 1: not {share}"
                )
        object.__setattr__(self, "rungs", tuple(sorted(float(share) for share in self.rungs)))
        object.__setattr__(self, "tuning", tuple(self.tuning))
        if not self.budgets:
            raise InputError("budgets must name at least one phase's, got none")
        object.__setattr__(self, "budgets", tuple(dict(budget) for budget in self.budgets))
        object.__setattr__(self, "finetune_budget", dict(self.finetune_budget))

    def planned_trials(self, phase: int) -> int:
        """Candidates to be trained in a phase, from 0; that of `tuning` does not count."""
        return self.initial_trials if phase == 0 else self.refine_trials

    def budget(self, phase: int, frozen_share: float = 0.0) -> Mapping[str, float]:
        """What a trial of a phase may use, with a share of the parameters frozen."""
        grown = self.growth**frozen_share
        amounts = self.budgets[min(phase, len(self.budgets) - 1)]
        return {name: amount * grown for name, amount in amounts.items()} if grown != 1 else amounts

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
    "pool": 1,
    "freeze_per_phase": 1,
    "tuning_trials": 1,
    "max_phases": 1,
    "max_trials": 1,
}
_MAY_BE_NONE = ("freeze_per_phase", "max_phases", "max_trials")


def _check_whole(name: str, value: object, least: int) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
