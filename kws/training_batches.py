"""What each iteration of a training sees: normalised features, augmented, and their labels."""

from __future__ import annotations

import numpy as np
import torch

from kws.augmentation import Augmentation
from kws.augmented import augment_features, augment_sound
from kws.batch_mfcc import BatchMfcc
from kws.batch_order import BatchOrder, derived_seed
from kws.clip_audio import FULL_SCALE
from kws.features import FeatureSet
from kws.noise import EXPONENTS, coloured_noise
from kws.training_settings import TrainingSettings
from kws.words import SAMPLE_RATE_HZ

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
        self._device = device
        self._bands = data.settings.bands
        self.labels = torch.from_numpy(data.labels("training")).to(device)
        self._order = BatchOrder(len(self.labels), settings.batch, seed)
        if self._augmentation.changes_sound:
            self._sound = data.audio("training")
            if device.type != "cpu":
                self._sound_there = torch.from_numpy(np.array(self._sound)).to(device)
            self._noise = torch.from_numpy(_noise(data, seed)).to(device)
            self._mfcc = BatchMfcc(data.settings, device)
            self._mean = torch.from_numpy(data.normalisation.mean).to(device)[:, None]
            self._std = data.normalisation.std
        else:
            self._features = torch.from_numpy(data.normalised("training")).to(device)

    def at(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [N, 1, H, W], channels last, and labels [N] of an iteration, from 0."""
        rows = self._order.rows(iteration).to(self._device)
        augmentation = self._augmentation
        if augmentation == Augmentation():
            batch = self._features.index_select(0, rows)[:, None]
        else:
            number = derived_seed(self._seed, "augmentation", iteration)
            generator = torch.Generator().manual_seed(number)
            batch = self._changed(rows, generator)
        batch = batch.contiguous(memory_format=torch.channels_last)
        return batch, self.labels.index_select(0, rows)

    def _changed(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        augmentation = self._augmentation
        if augmentation.changes_sound:
            samples = self._samples(rows).to(torch.float32) / FULL_SCALE
            samples = augment_sound(samples, self._noise, augmentation, generator)
            batch = (self._mfcc(samples) - self._mean) / self._std
        else:
            batch = self._features.index_select(0, rows)
        return augment_features(batch[:, None], augmentation, generator, bands=self._bands)

    def _samples(self, rows: torch.Tensor) -> torch.Tensor:
        """16-bit samples [N, S]; on a CPU out of the file that they are mapped from."""
        if self._device.type == "cpu":
            return torch.from_numpy(self._sound[rows.numpy()])
        return self._sound_there.index_select(0, rows)


def _noise(data: FeatureSet, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples [T]: the data set's own recordings of noise, then every colour of synthetic noise."""
    generator = np.random.default_rng(derived_seed(seed, "noise"))
    count = _NOISE_SECONDS * SAMPLE_RATE_HZ
    colours = [_NOISE_LEVEL * coloured_noise(each, count, generator) for each in EXPONENTS]
    recorded = data.noise().reshape(-1).astype(np.float32) / FULL_SCALE
    return np.concatenate([recorded, *colours]).astype(np.float32)
