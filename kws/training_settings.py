"""How a network is trained: the optimiser's settings and what changes them on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from kws.augmentation import Augmentation
from kws.errors import InputError

Schedule = Literal["steps", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a candidate is trained; the defaults are those of the paper's search (section 4).

    Raises:
        InputError: for a setting out of range.

    """

    learning_rate: float = 1e-3
    """Of Adam: at the beginning, or after the warm-up."""

    batch: int = 25
    """Clips an iteration."""

    iterations: int = 8_000
    """Steps of the optimiser."""

    schedule: Schedule = "steps"
    """``steps``: the rate drops at intervals, as in the paper. ``cosine``: it falls along half a
    cosine, to nothing at the end (Loshchilov and Hutter 2017, without restarts)."""

    decay_iterations: int = 10_000
    """Of ``steps``: iterations after which, each time, the rate drops."""

    decay: float = 0.7
    """Of ``steps``: part of the rate that is lost at each drop: 0.7 is a drop by 70 %."""

    warm_up_iterations: int = 0
    """Iterations over which the rate rises from nothing."""

    weight_decay: float = 0.0
    """Share of a weight that goes with each iteration, times the rate (AdamW, Loshchilov and
    Hutter 2019); biases and batch normalisation are spared."""

    averaging: float = 0.0
    """Of an exponential moving average of the weights: the share of the past, 0 for none. The
    network that is evaluated and returned is then the average (Polyak and Juditsky 1992)."""

    keep_best: bool = False
    """Whether the network returned is that of the best evaluation in place of the last."""

    curve_iterations: int = 100
    """Iterations over which the training loss is averaged to one point of the curve."""

    evaluate_iterations: int = 1_000
    """Iterations between two evaluations for the curve; the last iteration has one in any case."""

    evaluate_at: tuple[int, ...] = ()
    """Iterations that have an evaluation besides; which ones changes nothing of the weights."""

    bfloat16: bool = False
    """Whether convolutions compute in bfloat16, with weights and the rest in float32: measured
    1.5 to 1.9 times the iterations a second on a CPU with AVX-512 BF16, slower without."""

    augmentation: Augmentation = field(default_factory=Augmentation)
    """How training clips are changed; by default not at all, as in the paper."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate <= 1:
            raise InputError(
                f"learning_rate is {self.learning_rate}; above 0 and up to 1 is allowed"
            )
        if self.schedule not in get_args(Schedule):
            raise InputError(
                f"schedule is '{self.schedule}'; {' or '.join(get_args(Schedule))} is allowed"
            )
        for name in ("decay", "averaging", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; 0 and more, below 1 is allowed")
        self._check_iterations()

    def _check_iterations(self) -> None:
        names = ("batch", "iterations", "decay_iterations", "curve_iterations",
                 "evaluate_iterations")  # fmt: skip
        numbers = [(name, getattr(self, name)) for name in names]
        for name, value in (*numbers, *(("evaluate_at", each) for each in self.evaluate_at)):
            if type(value) is not int or value < 1:
                raise InputError(f"{name} is {value!r}; whole numbers from 1 are allowed")
        warm_up = self.warm_up_iterations
        if type(warm_up) is not int or not 0 <= warm_up < self.iterations:
            raise InputError(
                f"warm_up_iterations is {warm_up!r}; whole numbers from 0 and below the "
                f"{self.iterations} iterations are allowed"
            )

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        if iteration < self.warm_up_iterations:
            return self.learning_rate * (iteration + 1) / (self.warm_up_iterations + 1)
        if self.schedule == "steps":
            return self.learning_rate * (1 - self.decay) ** (iteration // self.decay_iterations)
        gone = iteration - self.warm_up_iterations
        share = gone / (self.iterations - self.warm_up_iterations)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


PAPER_FINETUNE = TrainingSettings(learning_rate=5e-4, batch=100, iterations=40_000)
"""The paper's settings for its seed and for the members of its final front (section 4)."""
