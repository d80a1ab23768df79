"""Changes to a training batch that leave the word what it is, from a seed.

Shapes: N clips, H coefficients, W frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kws.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far each clip of a batch may be changed; the default changes nothing.

    Raises:
        InputError: for a negative setting.

    """

    time_shift_frames: int = 0
    """Most frames by which a clip moves to the left or right; the edge frame is repeated."""

    time_mask_frames: int = 0
    """Most consecutive frames set to the mean (SpecAugment, Park et al. 2019)."""

    frequency_mask: int = 0
    """Most consecutive coefficients set to the mean."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is not int or value < 0:
                raise InputError(
                    f"augmentation {name} is {value!r}; whole numbers from 0 are allowed"
                )

    def apply(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A changed copy of normalised features [N, 1, H, W]; the draws are made on the CPU."""
        if self.time_shift_frames:
            batch = _shifted(batch, self.time_shift_frames, generator)
        if self.time_mask_frames:
            batch = batch * _keep(batch, 3, self.time_mask_frames, generator)
        if self.frequency_mask:
            batch = batch * _keep(batch, 2, self.frequency_mask, generator)
        return batch


def _shifted(batch: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    width = batch.shape[3]
    shifts = torch.randint(-most, most + 1, (len(batch), 1), generator=generator)
    columns = (torch.arange(width) + shifts).clamp(0, width - 1).to(batch.device)
    return batch.gather(3, columns[:, None, None, :].expand(batch.shape))


def _keep(
    batch: torch.Tensor, dimension: int, most: int, generator: torch.Generator
) -> torch.Tensor:
    """Zeros [N, 1, H or 1, W or 1] at a random run of up to ``most`` places, ones elsewhere."""
    extent = batch.shape[dimension]
    length = torch.randint(0, min(most, extent) + 1, (len(batch), 1), generator=generator)
    start = (torch.rand((len(batch), 1), generator=generator) * (extent - length + 1)).long()
    places = torch.arange(extent)
    keep = (places < start) | (places >= start + length)
    shape = (len(batch), 1, extent, 1) if dimension == 2 else (len(batch), 1, 1, extent)
    return keep.reshape(shape).to(batch.device, batch.dtype)
