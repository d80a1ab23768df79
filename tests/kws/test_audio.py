import numpy as np
import pytest
import soundfile

from kws.audio import length_of, read_clip
from kws.errors import InputError


def tone(rate_hz, seconds=1.0, frequency_hz=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * seconds)) / rate_hz)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        (".wav", "PCM_U8"),
        (".wav", "PCM_16"),
        (".wav", "PCM_24"),
        (".wav", "FLOAT"),
        (".wav", "DOUBLE"),
        (".flac", "PCM_16"),
        (".flac", "PCM_24"),
    ],
)
def test_every_sample_format_is_read_as_the_same_sound(tmp_path, suffix, subtype):
    path = tmp_path / f"a clip with ünïcode{suffix}"
    soundfile.write(path, tone(16000), 16000, subtype=subtype)
    clip = read_clip(path)
    assert clip.adjustments == ()
    np.testing.assert_allclose(clip.samples, tone(16000), atol=1 / 100)


def test_stereo_is_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(16000), np.zeros(16000)], 1), 16000)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.adjustments == ("mixed down to mono",)
    np.testing.assert_allclose(clip.samples, tone(16000) / 2, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_another_sample_rate_is_converted(tmp_path, rate_hz):
    soundfile.write(tmp_path / "a.wav", tone(rate_hz), rate_hz)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.adjustments == ("resampled to 16 kHz",)
    assert clip.samples.shape == (16000,)
    np.testing.assert_allclose(clip.samples[500:-500], tone(16000)[500:-500], atol=0.01)


def test_a_short_clip_gets_zeros_at_its_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000, 0.25), 16000)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.adjustments == ("padded to one second",)
    assert not clip.samples[4000:].any()
    np.testing.assert_allclose(clip.samples[:4000], tone(16000, 0.25), atol=1e-3)


def test_of_a_long_clip_the_first_second_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000, 60), 16000)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.adjustments == ("cut to one second",)
    np.testing.assert_allclose(clip.samples, tone(16000), atol=1e-3)


def test_of_an_hour_a_second_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000, subtype="PCM_16")
    header = bytearray((tmp_path / "a.wav").read_bytes())
    seconds, place = 3600, header.index(b"data") + 4
    header[place : place + 4] = (32000 * seconds).to_bytes(4, "little")
    header[4:8] = (32000 * seconds + place - 4).to_bytes(4, "little")
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(header)
        file.truncate(place + 4 + 32000 * seconds)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.adjustments == ("cut to one second",)
    np.testing.assert_allclose(clip.samples, tone(16000), atol=1e-3)
    assert length_of(tmp_path / "a.wav") == 16000 * seconds


@pytest.mark.parametrize(("rate_hz", "atol"), [(16000, 1e-3), (8000, 0.02), (44100, 0.02)])
def test_a_second_from_the_middle_is_that_of_the_whole(tmp_path, rate_hz, atol):
    soundfile.write(tmp_path / "a.wav", tone(rate_hz, 3), rate_hz)
    assert length_of(tmp_path / "a.wav") == 48000
    middle = read_clip(tmp_path / "a.wav", start=17600).samples
    np.testing.assert_allclose(middle[500:-500], tone(16000, 3)[18100:33100], atol=atol)
    end = read_clip(tmp_path / "a.wav", start=40000)
    assert "padded to one second" in end.adjustments
    assert not end.samples[8010:].any()


def write_bytes(path, content):
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: write_bytes(path, b""), "unreadable"),
        (lambda path: write_bytes(path, b"RIFF but not a sound"), "unreadable"),
        (lambda path: soundfile.write(path, np.zeros(0), 16000), "empty: it has no samples"),
        (
            lambda path: soundfile.write(path, np.full(16000, np.nan), 16000, subtype="FLOAT"),
            "not finite",
        ),
        (lambda path: soundfile.write(path, np.zeros(10), 10), "sample rate of 10 Hz"),
        (lambda path: path.mkdir(), "unreadable"),
    ],
)
def test_a_broken_clip_says_why(tmp_path, write, message):
    write(tmp_path / "a.wav")
    with pytest.raises(InputError, match=message):
        read_clip(tmp_path / "a.wav")
    if message in ("unreadable", "empty: it has no samples", "sample rate of 10 Hz"):
        with pytest.raises(InputError, match=message):
            length_of(tmp_path / "a.wav")
