import numpy as np
import pytest
import scipy.fft

from kws.errors import InputError
from kws.mfcc import MfccSettings, mfcc


def mel(hz):
    """Slaney's scale: linear to 1 kHz, logarithmic above."""
    hz = np.asarray(hz, float)
    return np.where(
        hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4)
    )


def mel_to_hz(m):
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


def slow_mfcc(samples):
    """The definition, frame by frame: 128 ms Hann frames every 32 ms, 40 mel bands, dB, DCT."""
    edges = mel_to_hz(np.linspace(mel(0), mel(8000), 42))
    bins = np.linspace(0, 8000, 1025)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    padded = np.pad(samples.astype(float), 1024)
    frames = []
    for start in range(0, 16001, 512):
        power = np.abs(np.fft.rfft(padded[start : start + 2048] * window)) ** 2
        bands = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
            triangle = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
            bands.append(triangle @ power)
        frames.append(bands)
    decibels = 10 * np.log10(np.maximum(1e-10, np.array(frames).T))
    decibels = np.maximum(decibels, decibels.max() - 80)
    return scipy.fft.dct(decibels, axis=0, norm="ortho")


def test_features_are_those_of_the_definition():
    generator = np.random.default_rng(0)
    envelope = np.linspace(0, 1, 16000) ** 2
    samples = (generator.standard_normal(16000) * envelope * 0.1).astype(np.float32)
    features = mfcc(samples)
    assert features.shape == (40, 32)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, slow_mfcc(samples), rtol=1e-3, atol=0.05)


def test_shape_follows_from_the_settings():
    settings = MfccSettings(coefficients=13, hop_samples=160, window_samples=400)
    assert settings.shape == (13, 101)
    assert mfcc(np.ones(16000, np.float32), settings).shape == settings.shape


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"bands": 0}, "bands is 0; 1 to 512"),
        ({"coefficients": 41}, "coefficients is 41; 1 to 40"),
        ({"hop_samples": 16001}, "hop_samples is 16001"),
        ({"window_samples": 2.5}, "window_samples is 2.5"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        MfccSettings(**setting)
