"""A stream of samples as overlapping windows of one second."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kws.words import CLIP_SAMPLES

Samples = npt.NDArray[np.float32]

MARGIN_SAMPLES = CLIP_SAMPLES // 2
"""Silence put before the beginning and after the end, so that a word there is in the middle of a
window too."""


class SlidingWindows:
    """Takes blocks of any size and gives windows [n, 16000], ``step_samples`` apart.

    The first window has its middle at the first sample, the last one at or before the last: after
    S samples and `finish` there have been 1 + ⌊(S - 1) / step⌋, and none of nothing.
    """

    def __init__(self, step_samples: int) -> None:
        self._step = step_samples
        self._rest = np.zeros(MARGIN_SAMPLES, np.float32)
        self.samples = 0
        """Taken so far."""

    @property
    def held_samples(self) -> int:
        """Kept for windows to come."""
        return len(self._rest)

    def add(self, block: Samples) -> Samples:
        """The windows that are complete with ``block``."""
        self.samples += len(block)
        return self._cut(block)

    def finish(self) -> Samples:
        """The windows that reach beyond the end."""
        return self._cut(np.zeros(MARGIN_SAMPLES - 1, np.float32))

    def _cut(self, block: Samples) -> Samples:
        held = np.concatenate([self._rest, block])
        count = max(0, 1 + (len(held) - CLIP_SAMPLES) // self._step)
        if count == 0:
            self._rest = held
            return np.empty((0, CLIP_SAMPLES), np.float32)
        self._rest = held[count * self._step :].copy()
        return np.lib.stride_tricks.sliding_window_view(held, CLIP_SAMPLES)[:: self._step][:count]
