"""The trials so far, as the sampler is told of them and as early stopping learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

from search.early_stopping import Training, limits, projected
from search.objective import Constraint, ObjectiveSpec, violation
from search.sampler import Observation
from search.study import Trial, costs_of


@dataclass(frozen=True)
class History:
    """All trials at one moment of a search."""

    trials: Sequence[Trial]
    rungs: Mapping[int, Mapping[float, float]]
    """See `Study.rungs`."""
    objectives: Sequence[ObjectiveSpec]
    constraints: Sequence[Constraint]

    def observations(self) -> list[Observation]:
        """What the sampler is told of each trial."""
        return [self._observation(trial) for trial in self.trials]

    def limits(self, shares: Sequence[float], costs: Sequence[float]) -> dict[float, float]:
        """See `TrialContext.rungs`, for a candidate of these known ``costs``.

        Empty unless there is one trained objective, which is minimised.
        """
        trained = [spec for spec in self.objectives if spec.needs_training]
        if not shares or len(trained) != 1 or trained[0].direction != "minimize":
            return {}
        return limits(shares, self._trainings, costs)

    def _observation(self, trial: Trial) -> Observation:
        match trial.state:
            case "finished":
                return Observation(trial.parameters, costs_of(trial, self.objectives))
            case "stopped":
                value = projected(self.rungs.get(trial.number, {}), self._trainings)
                values = {**{s.name: value for s in self.objectives}, **trial.values}
                costs = tuple(spec.cost(values[spec.name]) for spec in self.objectives)
                return Observation(trial.parameters, costs)
            case "infeasible":
                broken = violation(self.constraints, trial.values)
                return Observation(trial.parameters, None, broken)
            case "running":
                return Observation(trial.parameters, None, pending=True)
            case "failed":
                return Observation(trial.parameters, None, float("inf"))
            case _:
                assert_never(trial.state)

    @cached_property
    def _trainings(self) -> list[Training]:
        """The whole trainings; none where several objectives are trained."""
        trained = [spec for spec in self.objectives if spec.needs_training]
        cheap = [spec for spec in self.objectives if not spec.needs_training]
        if len(trained) != 1:
            return []
        return [
            Training(
                costs_of(trial, cheap),
                costs_of(trial, trained)[0],
                self.rungs.get(trial.number, {}),
            )
            for trial in self.trials
            if trial.state == "finished"
        ]
