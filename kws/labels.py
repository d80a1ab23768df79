"""What a network is to tell apart: which words are labels of their own, and which clips carry them.

The twelve labels of the Speech Commands benchmark, built as its reference implementation does
(TensorFlow, examples/speech_commands/input_data.py; Warden 2018, arXiv 1804.03209, section 7):

- The ten keywords: all of their clips, by split.
- ``_unknown_``: clips of all other words, a tenth as many as the split has keyword clips, rounded
  up; those that come first when the other words' clips are shuffled by a fixed seed, validation
  before testing before training.
- ``_silence_``: as many again, of background noise; see `kws.silence`.

Speech Commands v0.02 tests 4,074 keyword clips, so 408 of each: the 4,890 clips of the published
test set. Which other words' clips those are cannot be had again: the reference shuffles them in
the order in which the file system listed them. Here they are sorted by name first, so that the
same folder gives the same set on every machine.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kws.errors import InputError
from kws.silence import silence_clips
from kws.speech_commands import ClipFile, Listing, list_clips, word_folders
from kws.splits import Split
from kws.words import KEYWORDS

SILENCE = "_silence_"
UNKNOWN = "_unknown_"

OTHERS_PERCENT = 10
"""Clips of each of these two for 100 clips of keywords (the benchmark's silence_percentage and
unknown_percentage)."""

DRAW_SEED = 59185
"""The benchmark's RANDOM_SEED."""

DRAW_ORDER: tuple[Split, ...] = ("validation", "testing", "training")
"""In which the benchmark draws; all of its draws come from one generator."""


@dataclass(frozen=True)
class LabelSet:
    """Labels to tell apart; get it from `parse_labels`.

    Raises:
        InputError: for a word that is given twice, or fewer than two labels.

    """

    words: tuple[str, ...] | None
    """Words with a label each, in this order; None is every word folder of the data, sorted."""

    silence: bool = False
    """Whether background noise is a label."""

    unknown: bool = False
    """Whether other words are a label, all of them one."""

    def __post_init__(self) -> None:
        if self.words is None:
            return
        for word, count in Counter(self.words).items():
            if count > 1:
                raise InputError(f"the word '{word}' is given {count} times; once is enough")
        if len(self._labels(self.words)) < 2:
            raise InputError(
                f"at least 2 labels are needed to tell apart, got {len(self._labels(self.words))}"
            )

    @classmethod
    def of(cls, labels: Sequence[str]) -> LabelSet:
        """The set with these labels in this order, as of a trained network.

        Raises:
            InputError: where ``_silence_`` and ``_unknown_`` are not the first, in this order.

        """
        made = cls(
            tuple(each for each in labels if each not in (SILENCE, UNKNOWN)),
            silence=SILENCE in labels,
            unknown=UNKNOWN in labels,
        )
        if made._labels(made.words or ()) != tuple(labels):
            raise InputError(
                f"the labels {', '.join(labels)} are out of order: '{SILENCE}' comes first, then "
                f"'{UNKNOWN}', then the words, each once"
            )
        return made

    def labels(self, root: Path) -> tuple[str, ...]:
        """The labels in their order, those of the folder ``root`` where it decides."""
        if self.words is not None:
            return self._labels(self.words)
        words = word_folders(root)
        if len(words) < 2:
            raise InputError(
                f"{root} has {len(words)} folders of words; at least 2 are needed to tell apart"
            )
        return self._labels(words)

    def _labels(self, words: Sequence[str]) -> tuple[str, ...]:
        """Silence and unknown first, as in the benchmark."""
        silence = (SILENCE,) if self.silence else ()
        unknown = (UNKNOWN,) if self.unknown else ()
        return (*silence, *unknown, *words)


TEN = LabelSet(KEYWORDS)
"""The ten keywords of the paper."""

TWELVE = LabelSet(KEYWORDS, silence=True, unknown=True)
"""The benchmark's."""

ALL = LabelSet(None)
"""Every folder of words."""

NAMED = {"ten": TEN, "twelve": TWELVE, "all": ALL}


def parse_labels(text: str) -> LabelSet:
    """The labels that a person names: ``ten``, ``twelve``, ``all``, or words with commas between.

    Among the words ``_silence_`` and ``_unknown_`` stand for background noise and for all words
    that are not named; their labels come first wherever they are written.
    """
    named = NAMED.get(text.strip())
    if named is not None:
        return named
    words = [word.strip() for word in text.split(",")]
    if "" in words or len(words) < 2:
        raise InputError(
            f"'{text}' names no labels; write {', '.join(NAMED)}, or two words or more with "
            "commas between, as in: yes,no,_unknown_,_silence_"
        )
    for extra in (SILENCE, UNKNOWN):
        if words.count(extra) > 1:
            raise InputError(f"the label '{extra}' is given {words.count(extra)} times")
    return LabelSet(
        tuple(word for word in words if word not in (SILENCE, UNKNOWN)),
        silence=SILENCE in words,
        unknown=UNKNOWN in words,
    )


def labelled_clips(root: Path, labels: LabelSet) -> Listing:
    """The clips of every label under ``root``, each in its split, in the order of their names.

    Raises:
        InputError: as `list_clips`; for ``_unknown_`` without other words, for ``_silence_``
            without background noise.

    """
    words = [each for each in labels.labels(root) if each not in (SILENCE, UNKNOWN)]
    found = list_clips(root, words)
    counts = Counter(clip.split for clip in found.clips)
    wanted = {split: math.ceil(counts[split] * OTHERS_PERCENT / 100) for split in DRAW_ORDER}
    clips, left_out = list(found.clips), list(found.left_out)
    if labels.unknown:
        others = _other_words(root, words)
        left_out += others.left_out
        clips += _drawn(others.clips, wanted)
    if labels.silence:
        clips += silence_clips(root, wanted, label=SILENCE, seed=DRAW_SEED)
    clips.sort(key=lambda clip: (clip.name, clip.part))
    return Listing(root, tuple(clips), tuple(left_out))


def _other_words(root: Path, words: Sequence[str]) -> Listing:
    others = [word for word in word_folders(root) if word not in words]
    if not others:
        raise InputError(
            f"{root} has no folder of another word, of which '{UNKNOWN}' would be made; "
            "choose labels without it"
        )
    return list_clips(root, others)


def _drawn(others: Sequence[ClipFile], wanted: dict[Split, int]) -> list[ClipFile]:
    """As many clips of other words as wanted in each split, or all where there are fewer."""
    generator = random.Random(DRAW_SEED)  # noqa: S311 - the benchmark's own draw
    drawn: list[ClipFile] = []
    for split in DRAW_ORDER:
        clips = sorted((clip for clip in others if clip.split == split), key=lambda clip: clip.name)
        generator.shuffle(clips)
        drawn += [replace(clip, label=UNKNOWN) for clip in clips[: wanted[split]]]
    return drawn
