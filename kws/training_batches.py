"""What each iteration of a training sees: normalised features, augmented, and their labels.

In two parts: a few numbers are chosen on the CPU (`TrainingBatches.chosen`), and the batch is made
of them where the training is, without asking the CPU anything (`TrainingBatches.made`). Shapes: N
clips, D draws a clip, S samples, H coefficients, W frames.
"""

from __future__ import annotations

import numpy as np
import torch

from kws.augmentation import Augmentation
from kws.augmented import augment_features, augment_sound, drawn
from kws.batch_mfcc import BatchMfcc
from kws.batch_order import BatchOrder, derived_seed
from kws.clip_audio import FULL_SCALE, Samples16
from kws.features import FeatureSet
from kws.mfcc import dct_matrix
from kws.noise import EXPONENTS, coloured_noise
from kws.training_settings import TrainingSettings
from kws.words import CLIP_SAMPLES, SAMPLE_RATE_HZ

_NOISE_SECONDS = 20
"""Of each colour of synthetic noise, beside the recordings that a data set has."""
_NOISE_LEVEL = 0.1


class TrainingBatches:
    """Batches of the training split as a function of the iteration, on the device that trains."""

    def __init__(
        self, data: FeatureSet, settings: TrainingSettings, *, seed: int, device: torch.device
    ) -> None:
        self._augmentation = settings.augmentation
        self._seed = seed
        self._settings = data.settings
        self.labels = torch.from_numpy(data.labels("training")).to(device)
        self._order = BatchOrder(len(self.labels), settings.batch, seed)
        self._noise = torch.zeros(0, device=device)
        if self._augmentation.changes_sound:
            self._sound = _Sound(data.audio("training"), device)
            self._noise = torch.from_numpy(_noise(data, seed)).to(device)
            self._mfcc = BatchMfcc(data.settings, device)
            self._mean = torch.from_numpy(data.normalisation.mean).to(device)[:, None]
            self._std = data.normalisation.std
        else:
            self._features = torch.from_numpy(data.normalised("training")).to(device)
        dct = dct_matrix(data.settings.bands, data.settings.coefficients)
        self._dct = torch.from_numpy(dct).to(device)
        self._names = tuple(self._draws(0))

    def chosen(self, iteration: int) -> torch.Tensor:
        """What is random about an iteration, from 0: [1 + D, N], float64, on the CPU.

        First the clips' places in the training split, then their draws (`kws.augmented.drawn`).
        """
        rows = self._order.rows(iteration).double()
        draws = self._draws(iteration).values()
        return torch.stack([rows, *(numbers[:, 0] for numbers in draws)])

    def made(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [N, 1, H, W], channels last, and labels [N] of what was `chosen`.

        Args:
            chosen: As `chosen` gives it, on the device that trains.

        """
        rows = chosen[0].long()
        draws = dict(zip(self._names, chosen[1:, :, None], strict=True))
        if self._augmentation.changes_sound:
            samples = augment_sound(self._sound.at(rows), self._noise, draws)
            batch = (self._mfcc(samples) - self._mean) / self._std
        else:
            batch = self._features.index_select(0, rows)
        batch = augment_features(batch[:, None], self._dct, draws)
        batch = batch.contiguous(memory_format=torch.channels_last)
        return batch, self.labels.index_select(0, rows)

    def _draws(self, iteration: int) -> dict[str, torch.Tensor]:
        if self._augmentation == Augmentation():
            return {}
        generator = torch.Generator()
        generator.manual_seed(derived_seed(self._seed, "augmentation", iteration))
        return drawn(
            self._augmentation,
            generator,
            clips=self._order.batch,
            starts=len(self._noise) - CLIP_SAMPLES,
            frames=self._settings.shape[1],
            bands=self._settings.bands,
        )


class _Sound:
    """The clips' samples: in a GPU's memory; for a CPU in the file that they are mapped from."""

    def __init__(self, samples: Samples16, device: torch.device) -> None:
        self._mapped = samples
        self._there: torch.Tensor | None = None
        if device.type != "cpu":
            self._there = torch.from_numpy(np.array(samples)).to(device)

    def at(self, rows: torch.Tensor) -> torch.Tensor:
        """Samples [N, S] in -1..1, float32, at places [N]."""
        if self._there is None:
            chosen = torch.from_numpy(self._mapped[rows.numpy()])
        else:
            chosen = self._there.index_select(0, rows)
        return chosen.to(torch.float32) / FULL_SCALE


def _noise(data: FeatureSet, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples [T]: the data set's own recordings of noise, then every colour of synthetic noise."""
    generator = np.random.default_rng(derived_seed(seed, "noise"))
    count = _NOISE_SECONDS * SAMPLE_RATE_HZ
    colours = [_NOISE_LEVEL * coloured_noise(each, count, generator) for each in EXPONENTS]
    recorded = data.noise().reshape(-1).astype(np.float32) / FULL_SCALE
    return np.concatenate([recorded, *colours]).astype(np.float32)
