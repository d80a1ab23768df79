"""How a network is trained, however long, and which settings of the optimiser may be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from kws.augmentation import Augmentation
from search.space import Choice, Parameter, Value

if TYPE_CHECKING:
    from kws.training_settings import Schedule, TrainingSettings

RATE, BATCH, SHARE, DROP = "rate", "batch", "iterations_share", "drop_every"
TUNING = (RATE, BATCH, SHARE, DROP)
"""Parameters of the optimiser (Algorithm 1, step 2), by name."""

SEARCH_DROP_EVERY = 0.7
"""Share of a candidate's iterations after which the rate drops, once: a search's short trainings
never reach the paper's 10,000, and end several points lower without a drop."""

FINETUNE_DROP_EVERY = 0.25
"""The paper's 40,000 iterations drop the rate every 10,000; shorter ones as often in all."""

MODERN_RATE = 3.0
"""Of the modern schedule's rate to the paper's: it is at its height for a moment alone."""

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
    schedule: Schedule = "steps"
    """With ``cosine`` the rate falls all the time and `drop_every` means nothing."""
    warm_up: float = 0.0
    """Share of the iterations over which the rate rises from nothing."""
    weight_decay: float = 0.0
    """Share of a weight that goes with each iteration, times the rate."""
    averaging: float = 0.0
    """Share of the iterations over which weights are averaged; 0 for not at all."""
    evaluations: int = 1
    """How often a network is evaluated in its training; of several the best is kept."""
    bfloat16: bool = False
    """Whether convolutions train in bfloat16."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How training clips are changed."""

    def settings(
        self, iterations: int, parameters: Mapping[str, Value], shares: Sequence[float] = ()
    ) -> TrainingSettings:
        """The settings of a training of so many iterations with this recipe's batch.

        Args:
            iterations: Those of the budget; with another batch there are as many clips in all.
            parameters: A candidate's: those in `TUNING` replace the recipe's.
            shares: Shares of the training after which there is an evaluation.

        """
        from kws.training_settings import TrainingSettings

        batch = int(parameters.get(BATCH, self.batch))
        clips = iterations * self.batch * float(parameters.get(SHARE, 1.0))
        length = max(1, round(clips / batch))
        drop_every = float(parameters.get(DROP, self.drop_every))
        averaged = self.averaging * length
        return TrainingSettings(
            learning_rate=float(parameters.get(RATE, self.learning_rate)),
            batch=batch,
            iterations=length,
            schedule=self.schedule,
            decay_iterations=max(1, round(drop_every * length)),
            warm_up_iterations=min(round(self.warm_up * length), length - 1),
            weight_decay=self.weight_decay,
            averaging=1 - 1 / averaged if averaged > 1 else 0.0,
            keep_best=self.evaluations > 1,
            evaluate_iterations=max(1, length // self.evaluations),
            evaluate_at=tuple(after(share, length) for share in shares),
            curve_iterations=max(1, length // CURVE_POINTS),
            bfloat16=self.bfloat16,
            augmentation=self.augmentation,
        )


def modern(recipe: Recipe) -> Recipe:
    """The same recipe with what training has learned since the paper, for fine-tuning.

    Warm-up and cosine, weight decay, averaged weights, the best of several evaluations. Compared
    with the paper's steps by ``python -m tools.bench_fine_tuning``.
    """
    return replace(
        recipe,
        learning_rate=min(1.0, recipe.learning_rate * MODERN_RATE),
        schedule="cosine",
        warm_up=0.05,
        weight_decay=0.05,
        averaging=0.02,
        evaluations=20,
    )


def after(share: float, iterations: int) -> int:
    """The iteration, from 1, at which a share of the training is done."""
    return max(1, round(share * iterations))
