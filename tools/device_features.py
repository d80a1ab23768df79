"""The features of `kws.mfcc` as arrays that the cost model writes a kernel from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmodel.mfcc import MfccPlan
    from kws.features import Normalisation
    from kws.mfcc import MfccSettings


def plan_of(settings: MfccSettings, normalisation: Normalisation | None = None) -> MfccPlan:
    """Hann window, Slaney mel bands and orthonormal DCT-II, as `kws.mfcc.mfcc` has librosa do it.

    Without ``normalisation`` the features are as `kws.mfcc.mfcc` gives them. Raises InputError
    for a window that no kernel is written for.
    """
    import numpy as np
    import scipy.fft
    from librosa.filters import get_window, mel

    from costmodel.mfcc import MfccPlan
    from kws.words import CLIP_SAMPLES, SAMPLE_RATE_HZ

    length, bands = settings.window_samples, settings.bands
    cosines = scipy.fft.dct(np.eye(bands), type=2, norm="ortho", axis=0)[: settings.coefficients]
    nothing = np.zeros(settings.coefficients, np.float32)
    return MfccPlan(
        samples=CLIP_SAMPLES,
        window=get_window("hann", length, fftbins=True).astype(np.float32),
        hop=settings.hop_samples,
        mel=mel(sr=SAMPLE_RATE_HZ, n_fft=length, n_mels=bands),
        cosines=cosines,
        mean=normalisation.mean if normalisation else nothing,
        std=normalisation.std if normalisation else 1.0,
    )
