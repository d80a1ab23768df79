"""One candidate's evaluation: what is cheap first, training only for what is feasible."""

from __future__ import annotations

import errno
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search.errors import StudyError
from search.objective import Constraint, Objective, TrialContext, violation
from search.space import Value


@dataclass(frozen=True)
class Evaluation:
    """What a candidate turned out to be."""

    state: Literal["finished", "infeasible", "failed"]
    values: Mapping[str, float]
    """By objective; all of them when finished, those known when not."""
    error: str | None = None
    """One line, when failed."""
    traceback: str | None = None


def evaluate(
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    parameters: Mapping[str, Value],
    context: TrialContext,
) -> Evaluation:
    """The candidate's objective values.

    Objectives that need no training are evaluated first, and the constraints checked after each
    kind: an infeasible candidate is not trained. What an objective raises makes the trial a
    failed one; only StudyError and a full disk, which no other candidate would escape, get out.
    """
    values: dict[str, float] = {}
    try:
        for training in (False, True):
            for objective in objectives:
                if objective.needs_training == training:
                    values[objective.name] = _number(objective, parameters, context)
            if violation(constraints, values) > 0:
                return Evaluation("infeasible", values)
    except Exception as error:
        raise_if_environment(error)
        return Evaluation("failed", values, one_line(error), traceback.format_exc())
    return Evaluation("finished", values)


def raise_if_environment(error: Exception) -> None:
    """Raises StudyError for what is no fault of the candidate: the study itself, a full disk."""
    if isinstance(error, StudyError):
        raise error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise StudyError(
            f"disk is full ({one_line(error)}): make room there and resume the search"
        ) from error


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    text = str(error).strip()
    kind = type(error).__name__
    return f"{kind}: {text.splitlines()[0]}" if text else kind


def _number(objective: Objective, parameters: Mapping[str, Value], context: TrialContext) -> float:
    value = float(objective.evaluate(parameters, context))
    if not math.isfinite(value):
        raise ValueError(f"objective {objective.name!r} gave {value}, no finite number")
    return value
