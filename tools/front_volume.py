"""The hypervolume of a search's front as it grows, as a share of one box from beginning to end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search import pareto
from search.objective import Objective, ObjectiveSpec, untrained
from search.study import Study, Trial, costs_of

ALL_WRONG = 1.0
"""The error at the box's corner: every clip wrong."""


@dataclass(frozen=True)
class Box:
    """From nothing to every clip wrong, and to the costs of the candidate that a search starts at.

    It is the same for all of a search, so that what the front fills of it never shrinks.
    """

    objectives: tuple[ObjectiveSpec, ...]
    corner: tuple[float, ...]
    """One cost an objective."""

    @classmethod
    def of(cls, study: Study, costs: Sequence[Objective]) -> Box | None:
        """The box of a study; ``costs`` are its objectives beside the error.

        None of a study without a start, or whose start costs nothing: there is no box then.
        """
        if study.start is None:
            return None
        context = untrained(study.directory(0))
        known = {cost.name: cost.evaluate(study.start, context) for cost in costs}
        corner = tuple(known.get(spec.name, ALL_WRONG) for spec in study.objectives)
        return cls(study.objectives, corner) if all(each > 0 for each in corner) else None

    def share(self, trials: Sequence[Trial]) -> float:
        """What the finished ones of the trials dominate of the box, in [0, 1]."""
        costs = [costs_of(t, self.objectives) for t in trials if t.state == "finished"]
        return pareto.hypervolume(costs, self.corner) / math.prod(self.corner) if costs else 0.0

    def telling(self, front: Sequence[Trial], most: int) -> list[Trial]:
        """The ``most`` members that the box would lose most without, in the front's order."""
        if len(front) <= most:
            return list(front)
        costs = [costs_of(trial, self.objectives) for trial in front]
        lost = pareto.contributions(costs, self.corner)
        kept = sorted(range(len(front)), key=lambda index: (-lost[index], index))[:most]
        return [front[index] for index in sorted(kept)]


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """The finished trials in the order in which they ended."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return sorted(finished, key=lambda trial: (trial.finished or "", trial.number))
