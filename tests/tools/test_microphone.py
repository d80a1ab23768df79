"""A microphone that is a module of our own in place of sounddevice."""

import sys
from types import ModuleType

import numpy as np
import pytest

from kws.errors import MissingToolError
from tools.microphone import listen


class PortAudioError(Exception):
    pass


class Stream:
    """A tone of 440 Hz, as long as it is asked for."""

    def __init__(self, samplerate, channels, dtype):
        assert (channels, dtype) == (1, "float32")
        self.rate_hz, self.at, self.open = samplerate, 0, False

    def __enter__(self):
        self.open = True
        return self

    def __exit__(self, *_):
        self.open = False

    def read(self, size):
        assert self.open
        times = np.arange(self.at, self.at + size) / self.rate_hz
        self.at += size
        lost = self.at == 3 * size
        return np.sin(2 * np.pi * 440 * times).astype(np.float32)[:, None], lost


def with_device(monkeypatch, device, stream=Stream):
    module = ModuleType("sounddevice")
    module.PortAudioError, module.InputStream = PortAudioError, stream

    def query_devices(kind):
        assert kind == "input"
        if isinstance(device, Exception):
            raise device
        return device

    module.query_devices = query_devices
    monkeypatch.setitem(sys.modules, "sounddevice", module)


@pytest.mark.parametrize("rate_hz", [16_000.0, 44_100.0, 48_000.0])
def test_it_gives_blocks_at_16_khz_whatever_the_microphone_does(monkeypatch, rate_hz):
    with_device(monkeypatch, {"default_samplerate": rate_hz})
    losses = []
    blocks = list(listen(seconds=2, on_loss=lambda: losses.append(1)))
    sound = np.concatenate(blocks)
    assert 32_000 - 400 < len(sound) < 32_000 + 2_100  # a resampler holds some back
    middle = np.arange(2_000, 30_000)
    assert np.abs(sound[middle] - np.sin(2 * np.pi * 440 * middle / 16_000)).max() < 0.01
    assert losses == [1]


def test_it_ends_only_when_it_is_told_to(monkeypatch):
    with_device(monkeypatch, {"default_samplerate": 16_000.0})
    blocks = listen(seconds=None, on_loss=lambda: None)
    assert [len(next(blocks)) for _ in range(100)] == [2_000] * 100
    blocks.close()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingToolError, match=r"pip install 'ponas\[audio\]'"):
        next(listen(seconds=1, on_loss=lambda: None))


def test_without_its_library_that_is_named(monkeypatch):
    class Finder:
        def find_spec(self, name, *_):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(MissingToolError, match=r"PortAudio library not found.*libportaudio2"):
        next(listen(seconds=1, on_loss=lambda: None))


@pytest.mark.parametrize(
    "device", [PortAudioError("Error querying device -1"), ValueError("no input device")]
)
def test_without_a_microphone_a_file_is_offered(monkeypatch, device):
    with_device(monkeypatch, device)
    with pytest.raises(MissingToolError, match=r"no microphone can be opened.*FILE\.wav"):
        next(listen(seconds=1, on_loss=lambda: None))


def test_a_microphone_that_another_program_holds_is_told(monkeypatch):
    def busy(**_):
        raise PortAudioError("Device unavailable\n[PaErrorCode -9985]")

    with_device(monkeypatch, {"default_samplerate": 48_000.0}, busy)
    with pytest.raises(MissingToolError, match=r"Device unavailable \[PaErrorCode -9985\]"):
        next(listen(seconds=1, on_loss=lambda: None))
