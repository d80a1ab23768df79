"""A library that `ponas export --format tvm` wrote for this machine, called from Python."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kws.errors import InputError
from kws.features import Normalisation
from kws.mfcc import MfccSettings
from kws.storage import read_json
from kws.words import CLIP_SAMPLES

DESCRIPTION = "model.json"
FORMAT = 1

Floats = npt.NDArray[np.float32]


class TvmEngine:
    """A network in a library, with its features: from any thread, one call at a time.

    Shapes: N clips, H coefficients, W frames, K words.
    """

    def __init__(self, library: ctypes.CDLL, description: dict[str, Any]) -> None:
        self.words: tuple[str, ...] = tuple(description["words"])
        self.settings = MfccSettings(**description["features"])
        facts = description["normalisation"]
        self.normalisation = Normalisation(np.array(facts["mean"], np.float32), facts["std"])
        self._lock = threading.Lock()
        pointer = ctypes.POINTER(ctypes.c_float)
        self._functions = {}
        for name in ("features", "classify", "listen"):
            function = getattr(library, f"{description['name']}_{name}")
            function.argtypes, function.restype = [pointer, pointer], ctypes.c_int
            self._functions[name] = function

    def __call__(self, features: Floats) -> Floats:
        """Normalised features [N, H, W] to logits [N, K]."""
        logits = [self._call("classify", f, self.settings.shape, len(self.words)) for f in features]
        return np.array(logits, np.float32).reshape(-1, len(self.words))

    def features(self, samples: Floats) -> Floats:
        """A clip [16000] in -1..1 to normalised features [H, W]."""
        h, w = self.settings.shape
        return self._call("features", samples, (CLIP_SAMPLES,), h * w).reshape(h, w)

    def listen(self, samples: Floats) -> Floats:
        """A clip [16000] in -1..1 to the confidence [K] of each word."""
        return self._call("listen", samples, (CLIP_SAMPLES,), len(self.words))

    def _call(self, name: str, given: Floats, shape: tuple[int, ...], count: int) -> Floats:
        if given.shape != shape:
            raise InputError(f"this library takes an array of shape {shape}, got {given.shape}")
        read, answer = np.ascontiguousarray(given, np.float32), np.empty(count, np.float32)
        pointer = ctypes.POINTER(ctypes.c_float)
        with self._lock:
            status = self._functions[name](
                read.ctypes.data_as(pointer), answer.ctypes.data_as(pointer)
            )
        if status:
            raise MemoryError(f"the library's '{name}' failed with status {status}: out of memory")
        return answer


def load_engine(folder: Path) -> TvmEngine:
    """The engine in a folder that `tools.tvm_export.export_tvm` wrote for this machine.

    Raises:
        InputError: for a folder that is none, or is of another version or processor.

    """
    mend = "export it again: ponas export MODEL --format tvm --profile host-cpu"
    known = (folder / DESCRIPTION).is_file()
    description = read_json(folder / DESCRIPTION) if known else None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError(f"{folder} is no folder of this version's TVM export; {mend}")
    try:
        library = ctypes.CDLL(str(folder.absolute() / f"lib{description['name']}.so"))
        return TvmEngine(library, description)
    except OSError as error:
        raise InputError(f"{folder} cannot be loaded on this machine ({error}); {mend}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} is damaged ({error!r}); {mend}") from None
