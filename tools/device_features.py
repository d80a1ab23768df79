"""The features of `kws.mfcc` as arrays that the cost model writes a kernel from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmodel.mfcc.kernel import MfccPlan
    from kws.features import Normalisation
    from kws.mfcc import MfccSettings


def plan_of(settings: MfccSettings, normalisation: Normalisation | None = None) -> MfccPlan:
    """Hann window, Slaney mel bands and orthonormal DCT-II, as `kws.mfcc.mfcc` has librosa do it.

    Without ``normalisation`` the features are as `kws.mfcc.mfcc` gives them. Raises InputError
    for a window that no kernel is written for.
    """
    import numpy as np
    from librosa.filters import get_window

    from costmodel.mfcc.kernel import MfccPlan
    from kws.mfcc import dct_matrix, mel_bands
    from kws.words import CLIP_SAMPLES

    nothing = np.zeros(settings.coefficients, np.float32)
    return MfccPlan(
        samples=CLIP_SAMPLES,
        window=get_window("hann", settings.window_samples, fftbins=True).astype(np.float32),
        hop=settings.hop_samples,
        mel=mel_bands(settings),
        cosines=dct_matrix(settings.bands, settings.coefficients),
        mean=normalisation.mean if normalisation else nothing,
        std=normalisation.std if normalisation else 1.0,
    )
