"""A minute of generated speech with known words at known times, and what was heard in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kws.detection import Detection
from kws.generated_speech import speak
from kws.generation_plan import plan_clips
from kws.noise import EXPONENTS, coloured_noise, with_power_one
from kws.synthesis import Delivery, open_synthesiser
from kws.words import KEYWORDS, OTHER_WORDS, SAMPLE_RATE_HZ

SECONDS = 60
NEW_WORDS = ("backward", "forward", "follow", "learn", "visual")
"""Of Speech Commands v0.02 (Warden 2018, arXiv 1804.03209), never spoken in a generated set."""

SNR_DB = (5.0, 25.0)
"""Each word over the noise of its minute: the noisier part of what a generated set holds."""

PEAK = 0.5
"""Loudest sample of the minute."""

NEAR_SECONDS = 0.5
"""A detection this close to a word's middle is of that word."""


@dataclass(frozen=True)
class SpokenWord:
    """A word and the time of its middle."""

    time_s: float
    word: str


@dataclass(frozen=True, eq=False)
class Scene:
    """Samples [n] in -1..1 and the words in them, in order."""

    samples: npt.NDArray[np.float32]
    spoken: tuple[SpokenWord, ...]


@dataclass(frozen=True)
class Score:
    """Keywords heard and not heard; detections of no keyword that was said there."""

    hits: int
    misses: int
    false_alarms: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
        )


def held_out_voices(clips: int, seed: int) -> list[Delivery]:
    """The voices of the testing split of a generated set, which training on it never heard."""
    return [clip.delivery for clip in plan_clips(clips=clips, seed=seed) if clip.split == "testing"]


def make_scene(seed: int, voices: Sequence[Delivery]) -> Scene:
    """Every keyword once among all other words, a voice each, in the noise of one colour.

    Each word has an equal part of the minute and begins anywhere in it.
    """
    generator = np.random.default_rng(seed)
    words = [str(w) for w in generator.permutation([*KEYWORDS, *OTHER_WORDS, *NEW_WORDS])]
    colour = list(EXPONENTS)[generator.integers(len(EXPONENTS))]
    samples = coloured_noise(colour, SECONDS * SAMPLE_RATE_HZ, generator)
    part = len(samples) // len(words)
    spoken = []
    for index, word in enumerate(words):
        with open_synthesiser() as synthesiser:
            speech = speak(synthesiser, word, voices[int(generator.integers(len(voices)))])
        onset = index * part + int(generator.integers(part - len(speech) + 1))
        level = 10 ** (generator.uniform(*SNR_DB) / 20)
        samples[onset : onset + len(speech)] += level * with_power_one(speech)
        spoken.append(SpokenWord((onset + len(speech) / 2) / SAMPLE_RATE_HZ, word))
    loudest = float(np.abs(samples).max())
    return Scene((samples * (PEAK / loudest)).astype(np.float32), tuple(spoken))


def score(detections: Sequence[Detection], spoken: Sequence[SpokenWord]) -> Score:
    """Each keyword is hit once at most; every detection that hits none is a false alarm."""
    open_words = [each for each in spoken if each.word in KEYWORDS]
    hits = 0
    for detection in detections:
        near = [
            each
            for each in open_words
            if each.word == detection.word and abs(each.time_s - detection.time_s) <= NEAR_SECONDS
        ]
        if near:
            open_words.remove(near[0])
            hits += 1
    return Score(hits, len(open_words), len(detections) - hits)
