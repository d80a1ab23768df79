"""Samples and features of clips, computed by several processes at once.

Features [H coefficients, W frames] are returned; samples, of which there are many more, are
written to the file of their split as they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kws import clip_audio
from kws.audio import CUT, Clip, read_clip
from kws.clip_audio import Samples16, to_int16
from kws.errors import InputError
from kws.mfcc import MfccSettings, mfcc
from kws.speech_commands import ClipFile, Listing
from kws.splits import SPLITS, Split


@dataclass(frozen=True, eq=False)
class Computed:
    """What came of a clip."""

    features: npt.NDArray[np.float32] | None
    """None where it cannot be used."""
    adjustments: tuple[str, ...] = ()
    fault: str = ""


def create_audio(folder: Path, listing: Listing) -> list[tuple[ClipFile, int]]:
    """A file of samples for each split; each clip with the row in it that it is to fill."""
    counts: Counter[Split] = Counter()
    rows: list[tuple[ClipFile, int]] = []
    for clip in listing.clips:
        rows.append((clip, counts[clip.split]))
        counts[clip.split] += 1
    for split in SPLITS:
        clip_audio.create(audio_path(folder, split), counts[split])
    return rows


def audio_path(folder: Path, split: Split) -> Path:
    """The file of a split's samples."""
    return folder / f"{split}_audio.npy"


def compute_batch(
    batch: Sequence[tuple[ClipFile, int]], *, root: Path, folder: Path, settings: MfccSettings
) -> list[Computed]:
    """The features of a batch of clips, each with its row in the files of samples in ``folder``."""
    from threadpoolctl import threadpool_limits

    computed: list[Computed] = []
    samples: dict[Split, dict[int, Samples16]] = {}
    with threadpool_limits(limits=1):  # one thread a process; sums keep one order
        for clip, row in batch:
            try:
                audio = _read(root, clip)
            except InputError as error:
                computed.append(Computed(None, fault=str(error)))
            else:
                computed.append(Computed(mfcc(audio.samples, settings), audio.adjustments))
                samples.setdefault(clip.split, {})[row] = to_int16(audio.samples)
    for split, rows in samples.items():
        clip_audio.write_rows(audio_path(folder, split), rows)
    return computed


def _read(root: Path, clip: ClipFile) -> Clip:
    """The samples of a clip; that a part was cut from its recording is not worth telling."""
    if clip.part is None:
        return read_clip(root / clip.name)
    audio = read_clip(root / clip.name, clip.part.start)
    told = tuple(each for each in audio.adjustments if each != CUT)
    return Clip(audio.samples * np.float32(clip.part.volume), told)
