"""What is known of a candidate before it is trained, each candidate looked at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.evaluation import Evaluation, evaluate
from search.objective import Constraint, Objective, untrained, violation
from search.sampler import Foreseen
from search.space import Value, candidate_key


@dataclass
class Foresight:
    """Evaluates the objectives that need no training; a `search.sampler.Foresee`."""

    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    directory: Path
    """Told to the objectives, which have no use for it."""

    def __post_init__(self) -> None:
        self._cheap = [each for each in self.objectives if not each.needs_training]
        self._seen: dict[str, Evaluation] = {}

    def __call__(self, candidate: Mapping[str, Value]) -> Foreseen:
        found = self.evaluation(candidate)
        costs = tuple(
            each.spec.cost(found.values[each.name]) if each.name in found.values else None
            for each in self.objectives
        )
        broken = math.inf if found.state == "failed" else violation(self.constraints, found.values)
        return Foreseen(costs, broken)

    def evaluation(self, candidate: Mapping[str, Value]) -> Evaluation:
        """``finished`` with the values that are known, ``infeasible`` or ``failed``."""
        key = candidate_key(candidate)
        if key not in self._seen:
            context = untrained(self.directory)
            self._seen[key] = evaluate(self._cheap, self.constraints, candidate, context, {})
        return self._seen[key]
