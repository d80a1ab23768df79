import numpy as np
import pytest
import torch

from kws.batch_mfcc import BatchMfcc
from kws.mfcc import MfccSettings, mfcc
from kws.words import CLIP_SAMPLES


def clips() -> np.ndarray:
    """Noise, a tone, a click, near silence and silence."""
    generator = np.random.default_rng(0)
    time = np.arange(CLIP_SAMPLES) / 16_000
    click = np.zeros(CLIP_SAMPLES)
    click[8_000] = 1.0
    return np.stack(
        [
            generator.normal(0, 0.2, CLIP_SAMPLES),
            np.sin(2 * np.pi * 440 * time),
            click,
            generator.normal(0, 1e-6, CLIP_SAMPLES),
            np.zeros(CLIP_SAMPLES),
        ]
    ).astype(np.float32)


@pytest.mark.parametrize(
    "settings",
    [
        MfccSettings(),
        MfccSettings(bands=20, coefficients=13, window_samples=400, hop_samples=160),
        MfccSettings(bands=10, coefficients=10, window_samples=513, hop_samples=257),
    ],
)
def test_features_of_a_batch_are_those_of_its_clips(settings: MfccSettings) -> None:
    samples = clips()
    batch = BatchMfcc(settings)(torch.from_numpy(samples)).numpy()
    alone = np.stack([mfcc(clip, settings) for clip in samples])
    assert batch.shape == (len(samples), *settings.shape)
    # In decibels, of some hundreds; float32 sums of other orders.
    np.testing.assert_allclose(batch, alone, atol=2e-3)


def test_a_clip_is_told_nothing_by_the_others() -> None:
    samples = torch.from_numpy(clips())
    together, alone = BatchMfcc(MfccSettings())(samples), BatchMfcc(MfccSettings())(samples[:1])
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-5)
