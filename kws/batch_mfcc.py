"""MFCC of a batch of clips in torch, on the device that trains: for sound changed while training.

The same features as `kws.mfcc.mfcc`, which stays the reference. Shapes: N clips, S samples of a
clip, W frames, H coefficients.
"""

from __future__ import annotations

import numpy as np
import torch

from kws.mfcc import MfccSettings, dct_matrix, mel_bands

_SMALLEST_POWER = 1e-10
"""Below it decibels stop falling; librosa's ``amin``."""
_RANGE_DB = 80.0
"""No band is taken for quieter than this below the clip's loudest; librosa's ``top_db``."""


class BatchMfcc:
    """Turns samples [N, S] in -1..1 into features [N, H, W], both float32 on one device."""

    def __init__(self, settings: MfccSettings, device: torch.device | str = "cpu") -> None:
        dct = dct_matrix(settings.bands, settings.coefficients)
        self._settings = settings
        self._window = torch.hann_window(settings.window_samples, device=device)
        self._mel = torch.from_numpy(np.ascontiguousarray(mel_bands(settings).T)).to(device)
        self._dct = torch.from_numpy(np.ascontiguousarray(dct.T)).to(device)

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """The features; windows are centred on multiples of the hop, zeros beyond the ends."""
        settings = self._settings
        half = settings.window_samples // 2
        padded = torch.nn.functional.pad(samples, (half, half))
        frames = padded.unfold(1, settings.window_samples, settings.hop_samples)
        spectrum = torch.fft.rfft(frames * self._window)
        power = spectrum.real.square() + spectrum.imag.square()
        decibels = 10 * torch.log10((power @ self._mel).clamp_min(_SMALLEST_POWER))
        floor = decibels.amax(dim=(1, 2), keepdim=True) - _RANGE_DB
        features: torch.Tensor = (torch.maximum(decibels, floor) @ self._dct).transpose(1, 2)
        return features
