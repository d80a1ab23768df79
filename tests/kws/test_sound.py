import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from kws.errors import InputError
from kws.sound import Converter, open_sound


def tone(rate_hz, seconds, frequency_hz=440):
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def heard(path):
    with open_sound(path) as sound:
        blocks = list(sound.blocks())
    return sound, np.concatenate(blocks)


@pytest.mark.parametrize(
    ("suffix", "subtype", "error"),
    [("wav", "PCM_U8", 8e-3), ("wav", "PCM_16", 4e-5), ("wav", "PCM_24", 1e-6),
     ("wav", "FLOAT", 1e-7), ("flac", "PCM_16", 4e-5)],
)  # fmt: skip
def test_samples_of_any_width_are_read(tmp_path, suffix, subtype, error):
    path = tmp_path / f"straße und мир.{suffix}"
    soundfile.write(path, tone(16_000, 2.3), 16_000, subtype=subtype)
    sound, samples = heard(path)
    assert samples.dtype == np.float32
    assert np.abs(samples - tone(16_000, 2.3)).max() < error
    assert sound.seconds == pytest.approx(2.3)
    assert sound.adjustments == ()


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_are_converted_block_by_block_as_at_once(tmp_path, rate_hz):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate_hz, 3.21), rate_hz, subtype="FLOAT")
    sound, samples = heard(path)
    whole = soxr.resample(tone(rate_hz, 3.21).astype(np.float32), rate_hz, 16_000)
    assert len(samples) == len(whole) == round(3.21 * 16_000)
    assert np.abs(samples - whole).max() < 1e-4
    middle = slice(1_600, -1_600)
    assert np.abs(samples - tone(16_000, 3.21))[middle].max() < 1e-3
    (said,) = sound.adjustments
    assert said.startswith(f"resampled from {rate_hz} Hz to 16 kHz")
    assert (f"above {rate_hz // 2} Hz it holds nothing" in said) is (rate_hz < 16_000)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "three.wav"
    channels = np.stack([tone(16_000, 1.5), -tone(16_000, 1.5), 0.6 * tone(16_000, 1.5)], axis=1)
    soundfile.write(path, channels, 16_000, subtype="FLOAT")
    sound, samples = heard(path)
    assert np.abs(samples - 0.2 * tone(16_000, 1.5)).max() < 1e-6
    assert sound.adjustments == ("3 channels mixed down to mono",)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", samplerate=8_000, channels=1) as file:
        for _ in range(10):
            file.write(np.zeros(60 * 8_000, np.int16))
    tracemalloc.start()
    with open_sound(path) as sound:
        samples = sum(len(block) for block in sound.blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 600 * 16_000
    assert peak < 2**20  # the whole would be 38 MB


def test_a_converter_gives_what_it_holds_back_at_the_end():
    converter = Converter(8_000)
    blocks = np.split(tone(8_000, 1).astype(np.float32)[:, None], 10)
    parts = [converter.convert(block, last=index == 9) for index, block in enumerate(blocks)]
    assert sum(map(len, parts)) == 16_000


def wav(samples, rate_hz=16_000, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", **options)
    return file.getvalue()


def with_rate(rate_hz):
    content = bytearray(wav(np.zeros(100)))
    content[24:28] = struct.pack("<I", rate_hz)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "empty.wav cannot be read as sound"),
        ("text.wav", b"this is no sound at all" * 9, "text.wav cannot be read as sound"),
        ("bare.raw", b"\0" * 99, "bare.raw cannot be read as sound"),
        ("head.wav", wav(np.zeros(100))[:20], "head.wav cannot be read as sound"),
        ("none.wav", wav(np.zeros(0)), "none.wav is empty: it has no samples"),
        ("slow.wav", with_rate(100), "sample rate of 100 Hz; 4000 to 384000 are accepted"),
        ("nan.wav", wav(np.array([0, np.nan]), subtype="FLOAT"), "samples that are not finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sound_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        heard(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path):
    for path, what in ((tmp_path, "is a folder"), (tmp_path / "absent.wav", "there is no file")):
        with pytest.raises(InputError, match=f"{what}.*give a sound file"), open_sound(path):
            pass


def test_a_file_that_ends_before_its_time_is_refused_after_what_it_holds(tmp_path):
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 80_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_sound(path) as sound:
        blocks = sound.blocks()
        assert len(next(blocks)) == 16_000
        with pytest.raises(InputError, match=r"cut\.flac is (cut off|damaged)"):
            list(blocks)
