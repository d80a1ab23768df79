"""One iteration of a training, as work that is the same every time.

What differs between iterations is written into a few tensors that stay where they are; all else
follows from these, on the device that trains, without asking the CPU. On a GPU it is therefore a
CUDA graph (`kws.cuda_graph`), and the CPU runs ahead. Random numbers are drawn on the CPU on every
device. Shapes: N clips, D draws a clip.

torch.compile is not used: on a CPU (Zen 4, bfloat16, one thread) it made iterations of kws7 and
kws12 shorter by 1.6 and 0.5 %, for 24 and 9 seconds of compiling, which tens of thousands of
iterations earn back; a candidate has fewer.

On a GPU convolutions compute in TF32 where bfloat16 is not asked for, which is torch's default.
cuDNN chooses algorithms by its heuristics: to time them (``torch.backends.cudnn.benchmark``) costs
each candidate anew, whose shapes are its own and whose training is over in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from kws.cuda_graph import Work, recorded
from kws.kept_weights import KeptWeights, weight_groups
from kws.module import KeywordNet
from kws.training_batches import TrainingBatches
from kws.training_settings import TrainingSettings


class TrainingStep:
    """What an iteration does to a module, its average and the optimiser; all on one device."""

    def __init__(
        self,
        module: KeywordNet,
        kept: KeptWeights,
        batches: TrainingBatches,
        settings: TrainingSettings,
    ) -> None:
        device = batches.labels.device
        self.loss_sum = torch.zeros((), device=device)
        """Of all iterations since it was last set to zero."""
        self._module = module
        self._kept = kept
        self._batches = batches
        self._settings = settings
        self._on_gpu = device.type == "cuda"
        self._chosen = batches.chosen(0).to(device)
        # A GPU's fused AdamW reads a rate of float32; a CPU's computes with double.
        rate_type = torch.float32 if self._on_gpu else torch.float64
        self._rate = torch.zeros((), dtype=rate_type, device=device)
        self._optimiser = torch.optim.AdamW(
            weight_groups(module, settings.weight_decay), lr=settings.learning_rate, fused=True
        )
        self._own_optimiser()
        self._graph: Work | None = None
        self._is_recorded = False

    def __call__(self, iteration: int) -> None:
        """Does an iteration, from 0; the module must be in training mode."""
        self._feed(iteration)
        if not self._is_recorded:
            self._graph = recorded(self._work, self._tensors, self.loss_sum)
            self._is_recorded = True
        (self._graph or self._work)()

    def state(self) -> dict[str, Any]:
        """What `restore` needs but the module and its average."""
        return self._optimiser.state_dict()

    def restore(self, optimiser: Mapping[str, Any], loss_sum: torch.Tensor) -> None:
        """Goes on where `state` was taken, also on another device."""
        self._optimiser.load_state_dict(dict(optimiser))
        self._own_optimiser()
        self.loss_sum.copy_(loss_sum)
        self._is_recorded = False  # the graph is of the optimiser's old tensors

    def _own_optimiser(self) -> None:
        """Has the optimiser read its rate from the tensor that `_feed` writes."""
        for group in self._optimiser.param_groups:
            group.update(lr=self._rate, capturable=self._on_gpu)

    def _feed(self, iteration: int) -> None:
        """Everything that differs between iterations."""
        chosen = self._batches.chosen(iteration)
        if self._on_gpu:  # from pinned memory a copy waits for nothing, and nothing for it
            chosen = chosen.pin_memory()
        self._chosen.copy_(chosen, non_blocking=True)
        self._rate.fill_(self._settings.rate_at(iteration))
        self._kept.weigh(iteration)

    def _work(self) -> None:
        """Everything that is the same: what a graph records."""
        settings = self._settings
        batch, labels = self._batches.made(self._chosen)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(
            batch.device.type, torch.bfloat16, enabled=settings.bfloat16, cache_enabled=False
        ):
            logits = self._module(batch)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._kept.follow()
        self.loss_sum += loss.detach()

    def _tensors(self) -> list[torch.Tensor]:
        """Everything that `_work` changes."""
        moments = [each for state in self._optimiser.state.values() for each in state.values()]
        module = (*self._module.parameters(), *self._module.buffers())
        return [*module, *self._kept.tensors(), *moments, self.loss_sum]
