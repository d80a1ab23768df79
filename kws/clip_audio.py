"""The samples of a split's clips, 16 bit, in one file that is written by row and then mapped.

Shape: N clips of 16000 samples, one second each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from kws.storage import new_file
from kws.words import CLIP_SAMPLES

FULL_SCALE = 32768
"""Of 16-bit samples: what 1.0 stands for in floating-point ones."""

Samples16 = npt.NDArray[np.int16]


def to_int16(samples: npt.NDArray[np.float32]) -> Samples16:
    """Samples in -1..1 rounded to 16 bits; what is louder is clipped.

    Exact for a clip that came with 16 bits, at 16 kHz and mono; else off by at most half a
    step, 1/65536 of full scale (and by one step at +1.0, which has no 16-bit number).
    """
    steps = np.rint(samples * np.float32(FULL_SCALE)).clip(-FULL_SCALE, FULL_SCALE - 1)
    rounded: Samples16 = steps.astype(np.int16)
    return rounded


def create(path: Path, clips: int) -> None:
    """A new file of ``clips`` clips, all zeros until they are written."""
    with path.open("wb") as file:
        _write_header(file, clips)
        file.truncate(file.tell() + clips * CLIP_SAMPLES * 2)


def write_rows(path: Path, clips: Mapping[int, Samples16]) -> None:
    """Puts clips [16000] in their rows; several processes may do so at once.

    Written and not mapped: on a full disk a mapped file ends the process without a word.
    """
    with path.open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        first = file.tell()
        for row, clip in clips.items():
            file.seek(first + row * CLIP_SAMPLES * 2)
            file.write(clip.astype("<i2").tobytes())


def keep_rows(path: Path, rows: Sequence[int]) -> None:
    """Drops all rows but these."""
    before = load(path)
    if len(rows) == len(before):
        return
    with new_file(path) as file:
        _write_header(file, len(rows))
        for row in rows:
            file.write(before[row].tobytes())


def load(path: Path) -> Samples16:
    """The clips [N, 16000], mapped from disk.

    Raises:
        OSError: where the file is not there.
        ValueError: for one that holds something else.

    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if len(shape) != 2 or shape[1] != CLIP_SAMPLES or dtype != np.dtype("<i2"):
        raise ValueError(f"{path.name} has samples of shape {shape} and type {dtype}")
    clips: Samples16 = np.load(
        path,
        mmap_mode="r" if shape[0] else None,  # nothing cannot be mapped
        allow_pickle=False,
    )
    return clips


def _write_header(file: IO[bytes], clips: int) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<i2", "fortran_order": False, "shape": (clips, CLIP_SAMPLES)}
    )
