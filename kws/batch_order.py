"""The order of clips in training, as a function of the seed and the iteration alone."""

from __future__ import annotations

import numpy as np
import torch

_STREAMS = {"weights": 0, "epoch": 1, "augmentation": 2, "noise": 3}


class BatchOrder:
    """Which clips each iteration sees: seeded permutations of all clips, one after another."""

    def __init__(self, clips: int, batch: int, seed: int) -> None:
        self.batch = batch
        self._clips = clips
        self._seed = seed
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def rows(self, iteration: int) -> torch.Tensor:
        """Places [batch] in the training split."""
        start = iteration * self.batch
        parts: list[torch.Tensor] = []
        while start < (iteration + 1) * self.batch:
            epoch, offset = divmod(start, self._clips)
            count = min(self._clips - offset, (iteration + 1) * self.batch - start)
            parts.append(self._permuted(epoch)[offset : offset + count])
            start += count
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permuted(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            seed = derived_seed(self._seed, "epoch", epoch)
            generator = torch.Generator().manual_seed(seed)
            self._permutation = torch.randperm(self._clips, generator=generator)
            self._epoch = epoch
        return self._permutation


def derived_seed(seed: int, stream: str, number: int = 0) -> int:
    """A seed for torch that one purpose and one number of a run have to themselves."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAMS[stream], number))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
