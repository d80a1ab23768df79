"""How a network is trained, however long, and which settings of the optimiser may be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from search.space import Choice, Parameter, Value

if TYPE_CHECKING:
    from kws.training import TrainingSettings

RATE, BATCH, SHARE, DROP = "rate", "batch", "iterations_share", "drop_every"
TUNING = (RATE, BATCH, SHARE, DROP)
"""Parameters of the optimiser (Algorithm 1, step 2), by name."""

SEARCH_DROP_EVERY = 0.7
"""Share of a candidate's iterations after which the rate drops, once: a search's short trainings
never reach the paper's 10,000, and end several points lower without a drop."""

FINETUNE_DROP_EVERY = 0.25
"""The paper's 40,000 iterations drop the rate every 10,000; shorter ones as often in all."""

CURVE_POINTS = 20
"""Reported of a training: enough for its curve and for a bar that moves."""


class Tunable(Protocol):
    """Settings that a search for better ones begins with."""

    @property
    def learning_rate(self) -> float:
        """Of Adam at the beginning."""
        ...

    @property
    def batch(self) -> int:
        """Clips an iteration."""
        ...


def tuning_parameters(settings: Tunable) -> tuple[Parameter, ...]:
    """The optimiser's parameters around ``settings``, which are among the options.

    No option trains on more clips than the settings do: a larger batch has fewer iterations (see
    `Recipe.settings`), since more of both would win for its cost alone.
    """
    rates = [float(settings.learning_rate * factor) for factor in (0.25, 0.5, 1, 2, 4)]
    batches = {max(1, round(settings.batch * factor)) for factor in (0.5, 1, 2, 4)}
    return (
        Choice(RATE, tuple(rate for rate in rates if rate <= 1)),
        Choice(BATCH, tuple(sorted(batches))),
        Choice(SHARE, (0.5, 0.75, 1.0)),
        Choice(DROP, (0.25, 0.4, SEARCH_DROP_EVERY, 1.0)),
    )


def tuning_start(settings: Tunable) -> dict[str, Value]:
    """The options of `tuning_parameters` that are the settings themselves."""
    return {
        RATE: float(settings.learning_rate),
        BATCH: settings.batch,
        SHARE: 1.0,
        DROP: SEARCH_DROP_EVERY,
    }


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How networks are trained, however long."""

    learning_rate: float
    """Of Adam at the beginning."""
    batch: int
    """Clips an iteration."""
    drop_every: float
    """Share of the iterations after which, each time, the rate drops; 1 for never."""
    bfloat16: bool = False
    """Whether convolutions train in bfloat16."""
    time_shift_frames: int = 0
    """Augmentation: clips are shifted by up to this many frames."""

    def settings(
        self, iterations: int, parameters: Mapping[str, Value], shares: Sequence[float] = ()
    ) -> TrainingSettings:
        """The settings of a training of so many iterations with this recipe's batch.

        Args:
            iterations: Those of the budget; with another batch there are as many clips in all.
            parameters: A candidate's: those in `TUNING` replace the recipe's.
            shares: Shares of the training after which there is an evaluation.

        """
        from kws.augmentation import Augmentation
        from kws.training import TrainingSettings

        batch = int(parameters.get(BATCH, self.batch))
        clips = iterations * self.batch * float(parameters.get(SHARE, 1.0))
        length = max(1, round(clips / batch))
        drop_every = float(parameters.get(DROP, self.drop_every))
        return TrainingSettings(
            learning_rate=float(parameters.get(RATE, self.learning_rate)),
            batch=batch,
            iterations=length,
            decay_iterations=max(1, round(drop_every * length)),
            evaluate_iterations=length,
            evaluate_at=tuple(after(share, length) for share in shares),
            curve_iterations=max(1, length // CURVE_POINTS),
            bfloat16=self.bfloat16,
            augmentation=Augmentation(time_shift_frames=self.time_shift_frames),
        )


def after(share: float, iterations: int) -> int:
    """The iteration, from 1, at which a share of the training is done."""
    return max(1, round(share * iterations))
