"""MFCC: what the networks see of one second of speech."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kws.errors import InputError
from kws.words import CLIP_SAMPLES, SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class MfccSettings:
    """How features are made; the defaults are the paper's (section 4): 40 x 32 for a second.

    Raises:
        InputError: for a setting out of range.

    """

    bands: int = 40
    """Mel bands."""

    coefficients: int = 40
    """Cosine coefficients kept: the rows H of the features; at most ``bands``."""

    window_samples: int = 2048
    """Of one frame: 128 ms at 16 kHz."""

    hop_samples: int = 512
    """From frame to frame: 32 ms at 16 kHz."""

    def __post_init__(self) -> None:
        for name, value, highest in (
            ("bands", self.bands, 512),
            ("coefficients", self.coefficients, self.bands),
            ("window_samples", self.window_samples, CLIP_SAMPLES),
            ("hop_samples", self.hop_samples, CLIP_SAMPLES),
        ):
            if type(value) is not int or not 1 <= value <= highest:
                raise InputError(f"MFCC setting {name} is {value!r}; 1 to {highest} are allowed")

    @property
    def shape(self) -> tuple[int, int]:
        """(H coefficients, W frames) of the features of a clip."""
        return self.coefficients, 1 + CLIP_SAMPLES // self.hop_samples


def mfcc(
    samples: npt.NDArray[np.float32], settings: MfccSettings | None = None
) -> npt.NDArray[np.float32]:
    """Features [H, W] of a clip [16000] by librosa: Slaney mel bands, decibels, DCT-II.

    Frames are centred on multiples of the hop, the clip being continued by zeros.
    """
    import librosa

    settings = settings or MfccSettings()
    features: npt.NDArray[np.float32] = librosa.feature.mfcc(
        y=samples,
        sr=SAMPLE_RATE_HZ,
        n_mfcc=settings.coefficients,
        n_mels=settings.bands,
        n_fft=settings.window_samples,
        hop_length=settings.hop_samples,
    )
    return features.astype(np.float32, copy=False)


def mel_bands(settings: MfccSettings) -> npt.NDArray[np.float32]:
    """Share [B, N / 2 + 1] of each frequency in each Slaney mel band."""
    from librosa.filters import mel

    bands: npt.NDArray[np.float32] = mel(
        sr=SAMPLE_RATE_HZ, n_fft=settings.window_samples, n_mels=settings.bands
    )
    return bands


@functools.cache
def dct_matrix(bands: int, coefficients: int) -> npt.NDArray[np.float32]:
    """Matrix [H coefficients, B bands] of the orthonormal DCT-II; not to be written to."""
    import scipy.fft

    matrix = scipy.fft.dct(np.eye(bands), type=2, norm="ortho", axis=0)[:coefficients]
    rounded: npt.NDArray[np.float32] = matrix.astype(np.float32)
    return rounded
