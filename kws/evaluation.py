"""How often a network is right."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from kws.features import FeatureSet
from kws.splits import Split

TOP = 5
CHUNK = 256
"""Clips evaluated at once; more needs memory and gains nothing."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Right answers among ``clips``: the best guess, and the five best guesses."""

    correct_top1: int
    correct_top5: int
    clips: int

    @property
    def top1(self) -> float:
        """Share of clips whose best guess is right."""
        return self.correct_top1 / self.clips

    @property
    def top5(self) -> float:
        """Share of clips whose word is among the five best guesses."""
        return self.correct_top5 / self.clips


def evaluate(module: nn.Module, data: FeatureSet, split: Split) -> Accuracy:
    """Accuracy on every clip of a split, on the device where the module is.

    The module is left in the mode, training or evaluation, in which it came. Of an empty split
    the counts are zero and there are no shares to read.
    """
    return accuracy(
        module, torch.from_numpy(data.normalised(split)), torch.from_numpy(data.labels(split))
    )


def accuracy(module: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> Accuracy:
    """As `evaluate`, for normalised features [N, H, W] and labels [N]."""
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    correct = torch.zeros(2, dtype=torch.int64, device=device)  # counted there, asked for once
    try:
        with torch.inference_mode():
            chunks = zip(torch.split(features, CHUNK), torch.split(labels, CHUNK), strict=True)
            for x, y in chunks:
                logits = module(x[:, None].to(device))
                best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
                hits = best == y[:, None].to(device)
                correct += torch.stack([hits[:, 0].sum(), hits.any(dim=1).sum()])
    finally:
        module.train(training)
    top1, top5 = correct.tolist()
    return Accuracy(correct_top1=top1, correct_top5=top5, clips=len(labels))
