"""Clips of the label ``_silence_``: seconds of background noise, drawn once and for all.

The benchmark (see `kws.labels`) takes, for every such clip, one of the recordings in
``_background_noise_``, a second of it from a random place, at a random volume between 0 and 1; its
first version did so in training alone and evaluated on digital zeros, which any network tells
apart. Here it is done for all splits, and the draw is kept: the same clips in every epoch and
every evaluation. As in the benchmark the splits share the recordings, but for those that are no
longer than a clip (the benchmark refuses them): of these the same second would come back in
another split, so each belongs to one, by the hash of its name.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kws.audio import length_of
from kws.errors import InputError
from kws.speech_commands import NOISE_FOLDER, ClipFile, Part, audio_names
from kws.splits import SPLITS, Split, official_split
from kws.words import CLIP_SAMPLES


@dataclass(frozen=True)
class Recording:
    """A file of background noise."""

    name: str
    samples: int
    """At 16 kHz."""

    def belongs_to(self, split: Split) -> bool:
        """Whether it may be heard in ``split``: a long one in all of them, a short one in one."""
        return self.samples > CLIP_SAMPLES or official_split(self.name) == split


def silence_clips(
    root: Path, wanted: Mapping[Split, int], *, label: str, seed: int
) -> list[ClipFile]:
    """As many pieces of the noise under ``root`` as each split wants, named ``label``.

    Recordings that cannot be read are passed over.

    Raises:
        InputError: where there is no recording that can be read.

    """
    found = noise_recordings(root)
    if not found:
        raise InputError(
            f"{root / NOISE_FOLDER} has no .wav or .flac recording of noise that can be read, of "
            "which silence would be made; put some there, or choose labels without it"
        )
    clips: list[ClipFile] = []
    for split in SPLITS:
        generator = random.Random(f"{seed} {split}")  # noqa: S311 - nothing secret is drawn
        choice = [each for each in found if each.belongs_to(split)] or found
        for number in range(wanted[split]):
            recording = generator.choice(choice)
            start = generator.randrange(max(1, recording.samples - CLIP_SAMPLES))
            part = Part(start, generator.uniform(0, 1), number)
            clips.append(ClipFile(f"{NOISE_FOLDER}/{recording.name}", label, split, part))
    return clips


def noise_recordings(root: Path) -> list[Recording]:
    """The recordings of noise under ``root`` that can be read, by name; maybe none."""
    folder = root / NOISE_FOLDER
    found: list[Recording] = []
    for name in sorted(audio_names(folder)) if folder.is_dir() else ():
        try:
            found.append(Recording(name, length_of(folder / name)))
        except InputError:
            continue
    return found
