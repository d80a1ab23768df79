"""The background noise of a data set, to train with: its recordings, cut into seconds.

Those of them that may be heard in training: a short recording belongs to one split, long ones, of
which silence is made in every split, to all (see `kws.silence`).
"""

from __future__ import annotations

from pathlib import Path

from kws import clip_audio
from kws.audio import read_clip
from kws.errors import InputError
from kws.silence import noise_recordings
from kws.speech_commands import NOISE_FOLDER
from kws.words import CLIP_SAMPLES

MOST_SECONDS = 1_200
"""Of noise that is kept: 40 MB; Speech Commands has 400."""


def noise_files(root: Path) -> list[tuple[Path, int]]:
    """The recordings under ``root`` that may be heard in training, with their samples at 16 kHz."""
    return [
        (root / NOISE_FOLDER / each.name, each.samples)
        for each in noise_recordings(root)
        if each.belongs_to("training")
    ]


def write_noise(path: Path, root: Path) -> None:
    """Writes the noise under ``root`` as clips of a second (`kws.clip_audio`), maybe none."""
    clips: list[clip_audio.Samples16] = []
    for file, samples in noise_files(root):
        for start in range(0, max(1, samples - CLIP_SAMPLES + 1), CLIP_SAMPLES):
            if len(clips) == MOST_SECONDS:
                break
            try:
                clips.append(clip_audio.to_int16(read_clip(file, start).samples))
            except InputError:  # cut off within: what was read of it stays
                break
    clip_audio.create(path, len(clips))
    clip_audio.write_rows(path, dict(enumerate(clips)))
