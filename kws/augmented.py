"""Batches of training clips changed so that the word stays what it is, from a seed.

Some changes are made to the features, which costs next to nothing; speed, noise and loudness
cannot be, and are made to the sound, whose features are then computed anew (`kws.batch_mfcc`).
What is random about a batch is drawn first, on the CPU, as a few numbers a clip (`drawn`); the
changes follow from it where the batch is, and ask nothing of the CPU. Shapes: N clips, S samples
of a clip, T samples of noise, H coefficients, B mel bands, W frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from kws.augmentation import Augmentation
from kws.words import SAMPLE_RATE_HZ

Draws = Mapping[str, torch.Tensor]
"""Names of `drawn` -> numbers [N, 1], float64."""

_SMALLEST_POWER = 1e-8
"""Mean square of a silent clip, for a ratio to noise: -80 dB under full scale."""


def drawn(
    augmentation: Augmentation,
    generator: torch.Generator,
    *,
    clips: int,
    starts: int,
    frames: int,
    bands: int,
) -> dict[str, torch.Tensor]:
    """Everything random about the changes of a batch: by name, [N, 1] on the CPU.

    Numbers are drawn as float32 or int64, in an order that stays, and given as float64, which
    holds both exactly: one tensor can carry them all to where the batch is.

    Args:
        augmentation: What is changed; what is not needs no numbers.
        generator: Where they come from.
        clips: N.
        starts: Places in the noise where a stretch of S may begin: T - S.
        frames: W.
        bands: B.

    """
    size = (clips, 1)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator)

    def whole(low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high, size, generator=generator)

    found: dict[str, torch.Tensor] = {}
    if augmentation.speed or augmentation.time_shift_ms:
        most = augmentation.time_shift_ms * SAMPLE_RATE_HZ / 1000
        found["speed"] = uniform(1 - augmentation.speed, 1 + augmentation.speed)
        found["shift"] = uniform(-most, most)
    if augmentation.noise_share:
        found["noise_start"] = whole(0, starts)
        found["snr_db"] = uniform(*augmentation.noise_snr_db)
        found["noisy"] = uniform(0, 1) < augmentation.noise_share
    if augmentation.loudness_db:
        found["gain_db"] = uniform(-augmentation.loudness_db, augmentation.loudness_db)
    if most_frames := augmentation.time_shift_frames:
        found["frame_shift"] = whole(-most_frames, most_frames + 1)
    for what, extent, longest in (
        ("frames", frames, augmentation.time_mask_frames),
        ("bands", bands, augmentation.frequency_mask),
    ):
        if longest:
            found[f"masked_{what}"] = whole(0, min(longest, extent) + 1)
            found[f"masked_{what}_from"] = uniform(0, 1)
    return {name: numbers.double() for name, numbers in found.items()}


def augment_sound(samples: torch.Tensor, noise: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Changed copies of samples [N, S] in -1..1, with stretches of ``noise`` [T], T > S."""
    if "speed" in draws:
        samples = _moved(samples, draws)
    if "noisy" in draws:
        samples = _with_noise(samples, noise, draws)
    if "gain_db" in draws:
        samples = samples * 10 ** (draws["gain_db"].float() / 20)
    return samples


def augment_features(batch: torch.Tensor, dct: torch.Tensor, draws: Draws) -> torch.Tensor:
    """A changed copy of normalised features [N, 1, H, W] that were made by ``dct`` [H, B]."""
    if "frame_shift" in draws:
        batch = _shifted(batch, draws["frame_shift"].long())
    if "masked_frames" in draws:
        batch = batch * _keep(batch.shape[3], "frames", draws)[:, None, None, :]
    if "masked_bands" in draws:  # back from the coefficients to the bands, masked, and forth again
        masks = (dct * _keep(dct.shape[1], "bands", draws)[:, None, :]) @ dct.T  # [N, H, H]
        batch = masks[:, None] @ batch
    return batch


def _moved(samples: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Played faster or slower about the middle, and moved, by linear interpolation."""
    length = samples.shape[1]
    middle = (length - 1) / 2
    steps = torch.arange(length, dtype=torch.float32, device=samples.device) - middle
    places = middle + steps * draws["speed"].float() + draws["shift"].float()
    floor = places.floor()
    share = places - floor
    padded = torch.nn.functional.pad(samples, (1, 2))  # beyond the ends is silence
    left = (floor.long() + 1).clamp(0, length + 1)
    return padded.gather(1, left) * (1 - share) + padded.gather(1, left + 1) * share


def _with_noise(samples: torch.Tensor, noise: torch.Tensor, draws: Draws) -> torch.Tensor:
    steps = torch.arange(samples.shape[1], device=samples.device)
    stretches = noise[draws["noise_start"].long() + steps]
    power = samples.square().mean(dim=1, keepdim=True).clamp_min(_SMALLEST_POWER)
    noise_power = stretches.square().mean(dim=1, keepdim=True).clamp_min(_SMALLEST_POWER)
    level = (power / noise_power * 10 ** (-draws["snr_db"].float() / 10)).sqrt()
    return samples + stretches * level * draws["noisy"].float()


def _shifted(batch: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    width = batch.shape[3]
    columns = (torch.arange(width, device=batch.device) + shifts).clamp(0, width - 1)
    return batch.gather(3, columns[:, None, None, :].expand(batch.shape))


def _keep(extent: int, what: str, draws: Draws) -> torch.Tensor:
    """Rows [N, extent]: zero at the run of places that was drawn, one elsewhere."""
    length = draws[f"masked_{what}"].long()
    start = (draws[f"masked_{what}_from"].float() * (extent - length + 1)).long()
    places = torch.arange(extent, device=length.device)
    return ((places < start) | (places >= start + length)).to(torch.float32)
