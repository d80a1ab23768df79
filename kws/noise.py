"""Background noise by colour, and its mixing at a signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Colour -> a of a power spectrum that falls as 1 / f^a."""


def coloured_noise(
    color: str, count: int, generator: np.random.Generator, *, sample_rate_hz: int = 16_000
) -> Samples:
    """Noise [count] of mean power 1 with a power spectrum as in `EXPONENTS`.

    Below 20 Hz, where nothing is heard, the spectrum is cut so that it cannot take up the power.
    """
    spectrum = np.fft.rfft(generator.standard_normal(count))
    frequencies_hz = np.fft.rfftfreq(count, 1 / sample_rate_hz)
    audible = frequencies_hz >= 20.0
    spectrum[audible] *= frequencies_hz[audible] ** (-EXPONENTS[color] / 2)
    spectrum[~audible] = 0.0
    return with_power_one(np.fft.irfft(spectrum, count))


def with_power_one(samples: Samples) -> Samples:
    """The samples scaled to a mean square of 1; silence stays silence."""
    amplitude = math.sqrt(float(np.mean(samples**2)))
    return samples / amplitude if amplitude > 0 else samples


def mix(speech: Samples, noise: Samples, *, onset: int, snr_db: float) -> Samples:
    """Speech [n], from sample ``onset`` on, over noise [m] of mean power 1.

    The ratio is of mean powers, that of speech being taken over its own length.
    """
    level = math.sqrt(float(np.mean(speech**2)) * 10 ** (-snr_db / 10))
    mixed = noise * level
    mixed[onset : onset + len(speech)] += speech
    return mixed
