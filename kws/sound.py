"""Sound of any length as mono blocks at 16 kHz, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kws.audio import RATES_HZ
from kws.errors import InputError
from kws.words import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]

BLOCK_SECONDS = 1
"""Read at once."""


class Converter:
    """Blocks [n, channels] at one rate to mono blocks [m] at 16 kHz, without seams."""

    def __init__(self, rate_hz: int) -> None:
        import soxr

        self._stream = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )

    def convert(self, block: Samples, *, last: bool = False) -> Samples:
        """The next samples; with ``last``, also those that the resampler still holds back."""
        mono: Samples = block.mean(axis=1, dtype=np.float32)
        if self._stream is None:
            return mono
        converted: Samples = self._stream.resample_chunk(mono, last=last)
        return converted


@dataclass(frozen=True, eq=False)
class Sound:
    """An open sound file; get it from `open_sound`."""

    path: Path
    rate_hz: int
    channels: int
    frames: int
    """Samples of each channel, as the file says."""

    file: Any

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.rate_hz

    @property
    def adjustments(self) -> tuple[str, ...]:
        """What is done to it on the way to mono at 16 kHz."""
        mixed = (f"{self.channels} channels mixed down to mono",) if self.channels > 1 else ()
        rate = f"resampled from {self.rate_hz} Hz to 16 kHz"
        if self.rate_hz < SAMPLE_RATE_HZ:
            rate += (
                f", above {self.rate_hz // 2} Hz it holds nothing, which networks may take amiss"
            )
        return (*mixed, *((rate,) if self.rate_hz != SAMPLE_RATE_HZ else ()))

    def blocks(self) -> Iterator[Samples]:
        """The sound from its beginning, mono [m] at 16 kHz in -1..1.

        Raises:
            InputError: where the file ends before its time, or holds what is no number.

        """
        import soundfile

        converter, read = Converter(self.rate_hz), 0
        while read < self.frames:
            try:
                block = self.file.read(
                    self.rate_hz * BLOCK_SECONDS, dtype="float32", always_2d=True
                )
            except soundfile.SoundFileError as error:
                raise InputError(f"{self.path} is damaged: {_reason(error)}") from None
            read += len(block)
            if len(block) == 0:
                raise InputError(
                    f"{self.path} is cut off: it holds {read / self.rate_hz:.2f} s and says "
                    f"{self.seconds:.2f} s; copy it again"
                )
            if not np.isfinite(block).all():
                raise InputError(
                    f"{self.path} has samples that are not finite numbers; write it again, with "
                    "numbers from -1 to 1"
                )
            yield converter.convert(block, last=read >= self.frames)


@contextmanager
def open_sound(path: Path) -> Iterator[Sound]:
    """A sound file that libsndfile reads (WAV, FLAC, OGG, MP3 ...), open for this block.

    Raises:
        InputError: for a file that is not there, is no sound, is empty, or has a sample rate
            outside of `RATES_HZ`.

    """
    import soundfile

    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"there is no file {path}"
        raise InputError(f"{what}; give a sound file, such as a .wav or .flac")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a .raw file
        raise InputError(
            f"{path} cannot be read as sound ({_reason(error)}); give a .wav or .flac file"
        ) from None
    with file:
        sound = Sound(path, int(file.samplerate), int(file.channels), int(file.frames), file)
        if sound.frames == 0:
            raise InputError(f"{path} is empty: it has no samples; record it again")
        if not RATES_HZ[0] <= sound.rate_hz <= RATES_HZ[1]:
            raise InputError(
                f"{path} has a sample rate of {sound.rate_hz} Hz; "
                f"{RATES_HZ[0]} to {RATES_HZ[1]} are accepted"
            )
        yield sound


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", None) or error).strip().rstrip(".")
