"""Which weights of a training are evaluated and kept: the last or an average, of which moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from kws.evaluation import Accuracy
from kws.module import KeywordNet
from kws.training_settings import TrainingSettings

State = Mapping[str, Any]


class KeptWeights:
    """Follows the module that is trained; what is evaluated and returned comes from here."""

    def __init__(self, module: KeywordNet, settings: TrainingSettings) -> None:
        self._trained = module
        self._average: KeywordNet | None = None
        self._averaging = settings.averaging
        self._share = torch.zeros((), device=next(module.parameters()).device)
        self._best: tuple[Accuracy, State] | None = None
        self._keeps_best = settings.keep_best
        if settings.averaging:
            self._average = deepcopy(module)

    def weigh(self, iteration: int) -> None:
        """Says how much of the average the weights after this iteration, from 0, shall be.

        The average moves to them by ``1 - averaging``, at first by more. Among the first n
        iterations the past weighs at most (1 + n) / (10 + n), as TensorFlow's
        ExponentialMovingAverage has it: an average that begins with random weights forgets them.
        """
        past = min(self._averaging, (1 + iteration) / (10 + iteration)) if iteration else 0.0
        if self._average is not None:
            self._share.fill_(1 - past)

    @torch.no_grad()
    def follow(self) -> None:
        """Takes in the weights after an iteration, by the share that `weigh` said."""
        if self._average is None:
            return
        for mean, value in zip(_tensors(self._average), _tensors(self._trained), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, self._share)
            else:
                mean.copy_(value)

    def tensors(self) -> list[torch.Tensor]:
        """All that `follow` changes."""
        return [] if self._average is None else list(_tensors(self._average))

    @property
    def module(self) -> KeywordNet:
        """The network to be evaluated: the average, where there is one."""
        return self._trained if self._average is None else self._average

    def evaluated(self, validation: Accuracy) -> None:
        """Notes an evaluation of `module`; of equally good ones the later is kept."""
        if self._keeps_best and (
            self._best is None or validation.correct_top1 >= self._best[0].correct_top1
        ):
            state = {name: value.clone() for name, value in self.module.state_dict().items()}
            self._best = validation, state

    def result(self, last: Accuracy) -> tuple[KeywordNet, Accuracy]:
        """The network that is kept and its evaluation, ``last`` being that of the last one."""
        if self._best is None:
            return self.module, last
        self.module.load_state_dict(self._best[1])
        return self.module, self._best[0]

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs but the trained module itself."""
        best = self._best
        return {
            "average": None if self._average is None else self._average.state_dict(),
            "best": None if best is None else {"validation": vars(best[0]), "state": best[1]},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state`` was taken."""
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if (best := state["best"]) is not None:
            self._best = Accuracy(**best["validation"]), best["state"]


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """Weights and the statistics of batch normalisation."""
    yield from module.parameters()
    yield from module.buffers()


def weight_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's groups: weights, which decay, and what does not: biases and the like."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
