"""What a search minimises and what it must hold to: objectives, constraints, a trial's context."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from search.errors import InputError
from search.space import Value

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class TrialContext:
    """What an objective is told about the trial it is evaluated for."""

    number: int
    """The trial's number in its study, from 0; the same after a resume."""
    phase: int
    """The phase of the search, from 0; for a fine-tuning the number of phases before it."""
    seed: int
    """Seed of every random choice in the trial, in 0..2³²-1; the same after a resume."""
    budget: Mapping[str, float]
    """What the trial may use, as the settings give it for the phase: {"iterations": 400}."""
    directory: Path
    """Private to the trial; survives a kill and is removed when the trial ends."""
    report: Callable[[int, float], None]
    """``report(step, value)`` stores a point of the learning curve."""
    rungs: Mapping[float, float] = field(default_factory=dict)
    """Shares of the training, each above 0 and below 1, after which it is to call `check`, and the
    largest value with which it is worth going on."""
    note: Callable[[float, float], None] = field(default_factory=lambda: _unheard)
    """``note(share, value)`` stores what `check` is told."""

    def check(self, share: float, value: float) -> None:
        """Tells the objective's value after a share of the training, one of `rungs`.

        Raises TrialStopped where it would need an implausible jump to be of use: to be let
        through, it ends the training.
        """
        self.note(share, value)
        if value > self.rungs.get(share, math.inf):
            raise TrialStopped(share, value)


def untrained(directory: Path) -> TrialContext:
    """The context for objectives that need no training, which have no use for it."""
    return TrialContext(
        number=0, phase=0, seed=0, budget={}, directory=directory, report=_unheard
    )  # fmt: skip


def _unheard(*_: float) -> None:
    pass


class TrialStopped(Exception):  # noqa: N818 - no error: a training that is not worth its end
    """A training that ends early; see `TrialContext.check`."""

    def __init__(self, share: float, value: float) -> None:
        super().__init__(share, value)
        self.share, self.value = share, value


Evaluate = Callable[[Mapping[str, Value], TrialContext], float]


@dataclass(frozen=True)
class ObjectiveSpec:
    """What a study remembers of an objective: all but the code that evaluates it."""

    name: str
    unit: str
    needs_training: bool
    origin: str = ""
    direction: Direction = "minimize"

    def cost(self, value: float) -> float:
        """The value as something to minimise."""
        return value if self.direction == "minimize" else -value


@dataclass(frozen=True)
class Objective:
    """A number to be minimised (or maximised), and how to come by it for a candidate."""

    name: str
    """How people see it and constraints name it: ``error``, ``latency:host-cpu``."""
    unit: str
    """Unit of the value, ``ms`` or ``%``; empty for a bare number."""
    evaluate: Evaluate
    """Called with the candidate and its trial's context; must give a finite number."""
    needs_training: bool
    """Those that need none are evaluated first; an infeasible candidate is not trained."""
    origin: str = ""
    """Where the numbers come from: a profile and its digest. Must be the same on a resume."""
    direction: Direction = "minimize"

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("an objective needs a name")
        if self.direction not in ("minimize", "maximize"):
            raise InputError(
                f"direction of objective {self.name!r} is {self.direction!r}: "
                "minimize or maximize is wanted"
            )

    @property
    def spec(self) -> ObjectiveSpec:
        """All of it but the code."""
        return ObjectiveSpec(self.name, self.unit, self.needs_training, self.origin, self.direction)


@dataclass(frozen=True)
class Constraint:
    """A candidate is feasible only while the objective's value is at most ``upper_bound``."""

    objective_name: str
    upper_bound: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.upper_bound):
            raise InputError(
                f"bound of {self.objective_name!r} must be a finite number, got {self.upper_bound}"
            )

    def violation(self, values: Mapping[str, float]) -> float:
        """By how much the bound is passed, relative to it; 0 where it holds or is not known."""
        excess = values.get(self.objective_name, self.upper_bound) - self.upper_bound
        return max(0.0, excess) / (abs(self.upper_bound) or 1.0)


def violation(constraints: Sequence[Constraint], values: Mapping[str, float]) -> float:
    """Sum of the relative violations of all constraints; 0 exactly when feasible."""
    return sum(constraint.violation(values) for constraint in constraints)


def check_objectives(
    objectives: Sequence[Objective] | Sequence[ObjectiveSpec], constraints: Sequence[Constraint]
) -> None:
    """Raises InputError unless names are unique and each constraint names one of them."""
    names = [objective.name for objective in objectives]
    if not names:
        raise InputError("a search needs at least one objective")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"objective {name!r} is given twice")
    for constraint in constraints:
        if constraint.objective_name not in names:
            raise InputError(
                f"constraint on {constraint.objective_name!r}, which is no objective; "
                f"objectives are {', '.join(names)}"
            )
