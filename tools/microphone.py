"""Sound from a microphone, block by block, until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from kws.errors import MissingToolError
from kws.sound import Converter

BLOCK_SECONDS = 0.125
"""Taken at once: what a detection can be late by, beside the network's own second."""


def listen(
    *, seconds: float | None, on_loss: Callable[[], None]
) -> Iterator[npt.NDArray[np.float32]]:
    """Mono blocks [n] at 16 kHz in -1..1 from the default microphone.

    Args:
        seconds: After which it ends; None is never.
        on_loss: Told each time that sound was lost because it was not fetched in time.

    Raises:
        MissingToolError: without the package, its library, or a microphone.

    """
    sounddevice = load_sounddevice()
    try:
        rate_hz = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        stream = sounddevice.InputStream(samplerate=rate_hz, channels=1, dtype="float32")
    except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no input at all
        raise MissingToolError(
            f"no microphone can be opened here ({_one_line(error)}); connect one, or give a file: "
            "ponas spot MODEL FILE.wav"
        ) from None
    with stream:
        yield from _blocks(stream, rate_hz, seconds, on_loss)


def _blocks(
    stream: Any,  # noqa: ANN401 - sounddevice has no types
    rate_hz: int,
    seconds: float | None,
    on_loss: Callable[[], None],
) -> Iterator[npt.NDArray[np.float32]]:
    converter, heard = Converter(rate_hz), 0
    size = round(BLOCK_SECONDS * rate_hz)
    while seconds is None or heard < seconds * rate_hz:
        block, lost = stream.read(size)
        if lost:
            on_loss()
        heard += len(block)
        yield converter.convert(block)


def load_sounddevice() -> ModuleType:
    """The package and the library below it; MissingToolError with the cure without them."""
    try:
        import sounddevice
    except ImportError:
        raise MissingToolError(
            "a microphone needs the package sounddevice; "
            "install it with: pip install 'ponas[audio]'"
        ) from None
    except OSError as error:  # the package is there, the library that it loads is not
        raise MissingToolError(
            f"a microphone needs the library PortAudio ({_one_line(error)}); install it, on Debian "
            "with: apt install libportaudio2"
        ) from None
    module: ModuleType = sounddevice
    return module


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
