"""One clip of one second at 16 kHz from whatever an audio file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kws.errors import InputError
from kws.words import CLIP_SAMPLES, SAMPLE_RATE_HZ

RATES_HZ = (4_000, 384_000)
"""Sample rates taken for real."""

CUT, PADDED = "cut to one second", "padded to one second"
"""Among the adjustments."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Samples [16000] in -1..1, and what had to be done to get there."""

    samples: npt.NDArray[np.float32]
    adjustments: tuple[str, ...]


def read_clip(path: Path, start: int = 0) -> Clip:
    """A second of a ``.wav`` or ``.flac`` file, as mono at 16 kHz.

    Several channels are averaged, another sample rate is converted, a shorter clip gets zeros at
    its end, of a longer one the first second is read and the rest is not.

    Args:
        path: The file.
        start: Where the second begins, in samples at 16 kHz.

    Raises:
        InputError: for a clip that cannot be used; the message says why and not which.

    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, frames = int(file.samplerate), int(file.frames)
            _check(rate_hz, frames)
            if start:
                skipped = min(start * rate_hz // SAMPLE_RATE_HZ, frames)
                file.seek(skipped)
                frames -= skipped
            samples = file.read(rate_hz, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", None) or error
        raise InputError(f"unreadable: {str(reason).strip()}") from None
    if len(samples) < min(frames, rate_hz):
        raise InputError(f"cut off after {len(samples)} of {frames} samples")
    if not np.isfinite(samples).all():
        raise InputError("has samples that are not finite numbers")
    adjustments: list[str] = []
    if samples.shape[1] > 1:
        adjustments.append("mixed down to mono")
    mono = samples.mean(axis=1, dtype=np.float32)
    if rate_hz != SAMPLE_RATE_HZ:
        adjustments.append("resampled to 16 kHz")
        mono = _resampled(mono, rate_hz)
    if frames != rate_hz:
        adjustments.append(PADDED if frames < rate_hz else CUT)
    fitted = np.zeros(CLIP_SAMPLES, np.float32)
    fitted[: len(mono)] = mono[:CLIP_SAMPLES]
    return Clip(fitted, tuple(adjustments))


def length_of(path: Path) -> int:
    """Samples at 16 kHz that a file holds, whole ones; errors as of `read_clip`."""
    import soundfile

    try:
        found = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"unreadable: {error}") from None
    rate_hz, frames = int(found.samplerate), int(found.frames)
    _check(rate_hz, frames)
    return frames * SAMPLE_RATE_HZ // rate_hz


def _check(rate_hz: int, frames: int) -> None:
    if frames == 0:
        raise InputError("empty: it has no samples")
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise InputError(
            f"has a sample rate of {rate_hz} Hz; {RATES_HZ[0]} to {RATES_HZ[1]} are accepted"
        )


def _resampled(mono: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    import soxr

    resampled: npt.NDArray[np.float32] = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    return resampled
