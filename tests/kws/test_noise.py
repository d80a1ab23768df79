import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.noise import EXPONENTS, coloured_noise, mix, with_power_one


@pytest.mark.parametrize(("color", "exponent"), EXPONENTS.items())
def test_the_spectrum_falls_as_the_color_says(color, exponent):
    noise = coloured_noise(color, 2**18, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(2**18, 1 / 16000)
    band = (frequencies > 100) & (frequencies < 5000)
    slope = np.polyfit(np.log(frequencies[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)
    assert np.mean(noise**2) == pytest.approx(1.0)


@given(snr_db=st.floats(-10, 40), onset=st.integers(0, 12000))
def test_speech_is_mixed_at_the_ratio_asked_for(snr_db, onset):
    speech = 300 * np.sin(np.arange(4000) * 0.1)
    noise = coloured_noise("pink", 16000, np.random.default_rng(1))
    mixed = mix(speech, noise, onset=onset, snr_db=snr_db)
    rest = mixed.copy()
    rest[onset : onset + 4000] -= speech
    ratio_db = 10 * np.log10(np.mean(speech**2) / np.mean(rest**2))
    assert ratio_db == pytest.approx(snr_db, abs=1e-6)


def test_silence_stays_silence():
    assert not with_power_one(np.zeros(10)).any()
