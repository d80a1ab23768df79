"""Words spoken by the eSpeak NG library, each from a state that nothing before can influence.

eSpeak keeps oscillator and random state between words in static variables, seeds its own random
numbers with the time of day and draws others from the C library's ``rand``. Measured on 1.52:
with 87 of its 99 voices the same word comes out differently after another. So each
`Synthesiser` loads the library anew (about 3 ms) and sets both seeds before a word; one that is
opened for one clip makes that clip reproducible.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from kws.errors import KwsError, MissingToolError

# From espeak-ng/speak_lib.h, interface of version 1.52.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_FULL_VOLUME = 100
_RAND_SEED = 1

_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How a word is spoken."""

    accent: str
    """A language of eSpeak, such as ``en-us``."""

    variant: str
    """A voice variant of eSpeak, such as ``f3``."""

    pitch: int
    """Base pitch, 0 to 99; 50 is the variant's own."""

    pitch_range: int
    """How far the pitch moves, 0 to 99; 50 is the variant's own."""

    words_per_minute: int
    """Speaking rate, 80 to 450."""


class Synthesiser:
    """One freshly loaded copy of the library; get it from `open_synthesiser`."""

    def __init__(self, library: ctypes.CDLL, data: Path) -> None:
        """Initialises ``library`` with the voices under ``data``."""
        self._library = library
        self._c_library = ctypes.CDLL(None)
        self._pieces: list[bytes] = []
        self._callback = _CALLBACK(self._receive)  # held here: the library keeps no reference
        self.sample_rate_hz: int = library.espeak_Initialize(
            _SYNCHRONOUS, 0, str(data).encode(), _DONT_EXIT
        )
        if self.sample_rate_hz <= 0:
            raise MissingToolError(
                f"the speech synthesiser finds no voices in {data}; "
                "install them again with: pip install --force-reinstall espeakng-loader"
            )
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_Info.restype = ctypes.c_char_p
        self.version: str = library.espeak_Info(None).decode()

    def say(self, word: str, delivery: Delivery) -> npt.NDArray[np.int16]:
        """Samples [n] of a word at `sample_rate_hz`, silence before and after it included.

        Raises:
            KwsError: for a voice the library does not have.

        """
        library = self._library
        voice = f"{delivery.accent}+{delivery.variant}"
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise KwsError(f"this speech synthesiser has no voice '{voice}'")
        for parameter, value in (
            (_RATE, delivery.words_per_minute),
            (_VOLUME, _FULL_VOLUME),
            (_PITCH, delivery.pitch),
            (_RANGE, delivery.pitch_range),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        text = word.encode() + b"\0"
        library.espeak_ng_SetRandSeed(ctypes.c_long(_RAND_SEED))
        self._c_library.srand(_RAND_SEED)
        library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        return np.frombuffer(b"".join(self._pieces), dtype=np.int16)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0


@contextmanager
def open_synthesiser() -> Iterator[Synthesiser]:
    """The library, loaded for this block and unloaded after it.

    Not for two threads at once: the library's state is the process's.

    Raises:
        MissingToolError: where the package espeakng-loader or its library is not there.

    """
    loader = _loader()
    try:
        library = ctypes.CDLL(loader.get_library_path())
    except OSError as error:
        raise MissingToolError(
            f"the speech synthesiser cannot be loaded ({error}); "
            "install it again with: pip install --force-reinstall espeakng-loader"
        ) from None
    try:
        synthesiser = Synthesiser(library, Path(loader.get_data_path()))
        yield synthesiser
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def synthesiser_version() -> str:
    """Name and version of the library, such as ``espeak-ng 1.52.0``."""
    with open_synthesiser() as synthesiser:
        return f"espeak-ng {synthesiser.version}"


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError:
        raise MissingToolError(
            "no speech synthesiser here; install it with: pip install espeakng-loader"
        ) from None
    loader: ModuleType = espeakng_loader
    return loader
