"""Batches of training clips changed so that the word stays what it is, from a seed.

Some changes are made to the features, which costs next to nothing; speed, noise and loudness
cannot be, and are made to the sound, whose features are then computed anew (`kws.batch_mfcc`).
Draws are made on the CPU, all else where the batch is. Shapes: N clips, S samples of a clip, T
samples of noise, H coefficients, W frames.
"""

from __future__ import annotations

import torch

from kws.augmentation import Augmentation
from kws.mfcc import dct_matrix
from kws.words import SAMPLE_RATE_HZ

_SMALLEST_POWER = 1e-8
"""Mean square of a silent clip, for a ratio to noise: -80 dB under full scale."""


def augment_sound(
    samples: torch.Tensor,
    noise: torch.Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> torch.Tensor:
    """Changed copies of samples [N, S] in -1..1, with stretches of ``noise`` [T], T > S."""
    if augmentation.speed or augmentation.time_shift_ms:
        samples = _moved(samples, augmentation, generator)
    if augmentation.noise_share:
        samples = _with_noise(samples, noise, augmentation, generator)
    if augmentation.loudness_db:
        most_db = augmentation.loudness_db
        gains_db = _uniform(-most_db, most_db, len(samples), generator)
        samples = samples * (10 ** (gains_db / 20)).to(samples.device)
    return samples


def augment_features(
    batch: torch.Tensor, augmentation: Augmentation, generator: torch.Generator, *, bands: int
) -> torch.Tensor:
    """A changed copy of normalised features [N, 1, H, W] that were made of so many mel bands."""
    if augmentation.time_shift_frames:
        batch = _shifted(batch, augmentation.time_shift_frames, generator)
    if augmentation.time_mask_frames:
        keep = _keep(len(batch), batch.shape[3], augmentation.time_mask_frames, generator)
        batch = batch * keep[:, None, None, :].to(batch.device)
    if augmentation.frequency_mask:
        batch = _without_bands(batch, bands, augmentation.frequency_mask, generator)
    return batch


def _moved(
    samples: torch.Tensor, augmentation: Augmentation, generator: torch.Generator
) -> torch.Tensor:
    """Played faster or slower about the middle, and moved, by linear interpolation."""
    count, length = samples.shape
    most = augmentation.time_shift_ms * SAMPLE_RATE_HZ / 1000
    speed = _uniform(1 - augmentation.speed, 1 + augmentation.speed, count, generator)
    shift = _uniform(-most, most, count, generator)
    middle = (length - 1) / 2
    steps = torch.arange(length, dtype=torch.float32) - middle
    places = (middle + steps * speed + shift).to(samples.device)
    floor = places.floor()
    share = places - floor
    padded = torch.nn.functional.pad(samples, (1, 2))  # beyond the ends is silence
    left = (floor.long() + 1).clamp(0, length + 1)
    return padded.gather(1, left) * (1 - share) + padded.gather(1, left + 1) * share


def _with_noise(
    samples: torch.Tensor,
    noise: torch.Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> torch.Tensor:
    count, length = samples.shape
    starts = torch.randint(0, len(noise) - length, (count, 1), generator=generator)
    stretches = noise[(starts + torch.arange(length)).to(noise.device)]
    snr_db = _uniform(*augmentation.noise_snr_db, count, generator).to(samples.device)
    chosen = torch.rand((count, 1), generator=generator) < augmentation.noise_share
    power = samples.square().mean(dim=1, keepdim=True).clamp_min(_SMALLEST_POWER)
    noise_power = stretches.square().mean(dim=1, keepdim=True).clamp_min(_SMALLEST_POWER)
    level = (power / noise_power * 10 ** (-snr_db / 10)).sqrt()
    return samples + stretches * level * chosen.to(samples.device)


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draws [count, 1]."""
    return low + (high - low) * torch.rand((count, 1), generator=generator)


def _shifted(batch: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    width = batch.shape[3]
    shifts = torch.randint(-most, most + 1, (len(batch), 1), generator=generator)
    columns = (torch.arange(width) + shifts).clamp(0, width - 1).to(batch.device)
    return batch.gather(3, columns[:, None, None, :].expand(batch.shape))


def _without_bands(
    batch: torch.Tensor, bands: int, most: int, generator: torch.Generator
) -> torch.Tensor:
    """Mel bands set to the mean: back from the coefficients, masked, and forth again."""
    keep = _keep(len(batch), bands, most, generator)
    matrix = torch.from_numpy(dct_matrix(bands, batch.shape[2]))
    masks = (matrix * keep[:, None, :]) @ matrix.T  # [N, H, H]
    return masks[:, None].to(batch.device) @ batch


def _keep(count: int, extent: int, most: int, generator: torch.Generator) -> torch.Tensor:
    """Rows [count, extent]: zero at a random run of up to ``most`` places, one elsewhere."""
    length = torch.randint(0, min(most, extent) + 1, (count, 1), generator=generator)
    start = (torch.rand((count, 1), generator=generator) * (extent - length + 1)).long()
    places = torch.arange(extent)
    return ((places < start) | (places >= start + length)).to(torch.float32)
