"""What an executor is given and gives back: one candidate's training, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.evaluation import Evaluation, evaluate, failed
from search.objective import Constraint, Objective, TrialContext
from search.space import Value

Stage = Literal["search", "finetune"]
FineTune = Callable[[Mapping[str, Value], TrialContext], Mapping[str, float]]
"""Trains a member of the front to the end and gives its values by name."""


@dataclass(frozen=True)
class Task:
    """The code behind a study: what is run for a candidate."""

    objectives: Sequence[Objective]
    """The study's, in its order."""
    constraints: Sequence[Constraint] = ()
    finetune: FineTune | None = None
    """Called for members of the final front; None leaves them as they are."""


MakeTask = Callable[[], Task]
"""Makes the task where it runs; executors that use other processes pickle this, not the task."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One candidate to be trained."""

    number: int
    """The trial's."""
    stage: Stage
    phase: int
    parameters: Mapping[str, Value]
    known: Mapping[str, float]
    """Values of the objectives that need no training, by name: they are not evaluated again."""
    seed: int
    budget: Mapping[str, float]
    directory: Path
    """Private to the trial, there already."""
    rungs: Mapping[float, float]
    """See `TrialContext.rungs`."""


@dataclass(frozen=True)
class Report:
    """Something that a training tells while it runs."""

    number: int
    stage: Stage
    kind: Literal["point", "rung"]
    """A point of the learning curve at a step, or the objective's value after a share."""
    at: float
    value: float


OnReport = Callable[[Report], None]


def perform(task: Task, work: Work, report: OnReport) -> Evaluation:
    """The candidate's values; whatever goes wrong with it is told in what comes back."""

    def tell(kind: Literal["point", "rung"]) -> Callable[[float, float], None]:
        return lambda at, value: report(
            Report(work.number, work.stage, kind, float(at), float(value))
        )

    context = TrialContext(
        number=work.number,
        phase=work.phase,
        seed=work.seed,
        budget=work.budget,
        directory=work.directory,
        report=tell("point"),
        rungs=work.rungs,
        note=tell("rung"),
    )
    if work.stage == "search":
        return evaluate(task.objectives, task.constraints, work.parameters, context, work.known)
    if task.finetune is None:
        raise ValueError("the task has no fine-tuning, which this work is")
    try:
        values = task.finetune(work.parameters, context)
        return Evaluation("finished", {name: float(value) for name, value in values.items()})
    except Exception as error:
        return failed(error, {})
