"""One candidate's evaluation: what is cheap first, training only for what is feasible."""

from __future__ import annotations

import errno
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search.errors import StudyError
from search.objective import Constraint, Objective, TrialContext, TrialStopped, violation
from search.space import Value


@dataclass(frozen=True)
class Evaluation:
    """What a candidate turned out to be."""

    state: Literal["finished", "infeasible", "stopped", "failed", "lost"]
    """``stopped``: its training ended early (see `TrialContext.check`); ``lost``: the worker died
    that trained it, which says nothing of the candidate yet."""
    values: Mapping[str, float]
    """By objective; all of them when finished, those known when not."""
    error: str | None = None
    """One line, when failed or lost."""
    traceback: str | None = None
    environment: bool = False
    """Whether what failed is no fault of the candidate (a full disk): no other would fare better,
    so the search stops with this error."""


def evaluate(
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    parameters: Mapping[str, Value],
    context: TrialContext,
    known: Mapping[str, float],
) -> Evaluation:
    """The candidate's objective values, those ``known`` taken as they are.

    Objectives that need no training are evaluated first, and the constraints checked after each
    kind: an infeasible candidate is not trained. What an objective raises makes the trial a
    failed one.
    """
    values = dict(known)
    try:
        for training in (False, True):
            for objective in objectives:
                if objective.needs_training == training and objective.name not in values:
                    values[objective.name] = _number(objective, parameters, context)
            if violation(constraints, values) > 0:
                return Evaluation("infeasible", values)
    except TrialStopped:
        return Evaluation("stopped", values)
    except Exception as error:
        return failed(error, values)
    return Evaluation("finished", values)


def failed(error: Exception, values: Mapping[str, float]) -> Evaluation:
    """The evaluation that ended with ``error``, called while it is handled."""
    text, trace = one_line(error), traceback.format_exc()
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = f"disk is full ({text}): make room there and resume the search"
        return Evaluation("failed", values, text, trace, environment=True)
    if isinstance(error, StudyError):
        return Evaluation("failed", values, str(error), trace, environment=True)
    return Evaluation("failed", values, text, trace)


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
