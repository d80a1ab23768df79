"""Who says what in a generated speech set: voices, splits and words, from a seed.

A speaker is an accent with a voice variant, a pitch and a rate of its own. A variant belongs to
one split alone, so that voices in validation and testing are unlike any in training.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kws.errors import InputError
from kws.splits import SPLITS, Split, official_split
from kws.synthesis import Delivery
from kws.words import KEYWORDS, OTHER_WORDS

SPEAKERS = 240
"""Voices in a set, or as many as it has clips."""

SHARES: dict[Split, float] = {"training": 0.8, "validation": 0.1, "testing": 0.1}
"""Of clips, speakers and variants; the 80:10:10 of Speech Commands."""

KEYWORD_SHARE = 0.9
SMALLEST_SET = 120  # the smallest with every keyword in every split

ACCENTS = (
    "en", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp",
    "en-us", "en-us-nyc",
)  # fmt: skip
"""The English accents of eSpeak NG 1.52."""

VARIANTS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo",
    "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "adam", "anika",
    "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed",
    "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "ian", "iven",
    "john", "kaukovalta", "klatt", "klatt2", "klatt3", "linda", "m1", "m2", "m3", "m4", "m5",
    "m6", "m7", "m8", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
)  # fmt: skip
"""The variants of eSpeak NG 1.52 that sound like people: no robots, whispers or croaks."""

PITCH = (30, 70)
PITCH_RANGE = (30, 70)
WORDS_PER_MINUTE = (130, 210)
CLIP_PITCH_JITTER = 5
CLIP_RATE_JITTER = 12
"""How far one clip of a speaker may be from that speaker's own pitch and rate."""

_STREAMS = {"speakers": 0, "words": 1, "clip": 2, "noise": 3, "jitter": 4}


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """One clip to be made."""

    number: int
    """Its place in the set, from which with the seed its randomness comes."""

    path: str
    """``<word>/<speaker>_nohash_<n>.wav``"""

    word: str
    split: Split
    delivery: Delivery

    neighbours: tuple[Delivery, ...]
    """Voices of the same split, for babble behind the word."""


@dataclass(frozen=True)
class Speaker:
    """A name of eight hex digits and a voice."""

    name: str
    delivery: Delivery


def derived_generator(seed: int, stream: str, number: int = 0) -> np.random.Generator:
    """The random numbers of one purpose and one item, independent of all others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS[stream], number)))


def plan_clips(*, clips: int, seed: int) -> list[ClipPlan]:
    """The clips of a set; the words of each split are as even as their number allows.

    Raises:
        InputError: for fewer than 120 clips or a negative seed.

    """
    if clips < SMALLEST_SET:
        raise InputError(
            f"a generated set needs at least {SMALLEST_SET} clips, to have every keyword in "
            f"every split; got {clips}"
        )
    if seed < 0:
        raise InputError(f"a seed is a whole number from 0, got {seed}")
    plan: list[ClipPlan] = []
    words_generator = derived_generator(seed, "words")
    speakers = _speakers(min(SPEAKERS, clips), seed)
    for split, count in _shared_out(clips).items():
        spoken: Counter[tuple[str, str]] = Counter()
        voices = speakers[split]
        neighbours = tuple(speaker.delivery for speaker in voices[:16])
        for index, word in enumerate(_deck(count, words_generator)):
            speaker = voices[index % len(voices)]
            path = f"{word}/{speaker.name}_nohash_{spoken[speaker.name, word]}.wav"
            spoken[speaker.name, word] += 1
            number = len(plan)
            delivery = _jittered(speaker.delivery, derived_generator(seed, "jitter", number))
            plan.append(
                ClipPlan(
                    number=number,
                    path=path,
                    word=word,
                    split=split,
                    delivery=delivery,
                    neighbours=neighbours,
                )
            )
    return plan


def _speakers(count: int, seed: int) -> dict[Split, list[Speaker]]:
    generator = derived_generator(seed, "speakers")
    variants = list(generator.permutation(VARIANTS))
    names = _names(seed)
    taken = 0
    speakers: dict[Split, list[Speaker]] = {}
    for (split, voices), own in zip(
        _shared_out(count).items(), _shared_out(len(VARIANTS)).values(), strict=True
    ):
        pairs = [(a, str(v)) for v in variants[taken : taken + own] for a in ACCENTS]
        taken += own
        chosen = generator.choice(len(pairs), size=voices, replace=False)
        speakers[split] = [
            Speaker(next(names[split]), _voice(pairs[index], generator)) for index in chosen
        ]
    return speakers


def _voice(pair: tuple[str, str], generator: np.random.Generator) -> Delivery:
    return Delivery(
        accent=pair[0],
        variant=pair[1],
        pitch=int(generator.integers(*PITCH, endpoint=True)),
        pitch_range=int(generator.integers(*PITCH_RANGE, endpoint=True)),
        words_per_minute=int(generator.integers(*WORDS_PER_MINUTE, endpoint=True)),
    )


def _jittered(delivery: Delivery, generator: np.random.Generator) -> Delivery:
    def jitter(most: int) -> int:
        return int(generator.integers(-most, most, endpoint=True))

    return replace(
        delivery,
        pitch=delivery.pitch + jitter(CLIP_PITCH_JITTER),
        words_per_minute=delivery.words_per_minute + jitter(CLIP_RATE_JITTER),
    )


def _names(seed: int) -> dict[Split, Iterator[str]]:
    """Endless speaker names for each split, chosen so that the official hash agrees with it."""

    def of(split: Split) -> Iterator[str]:
        for number in range(2**32):
            name = hashlib.sha1(f"{seed} {number}".encode(), usedforsecurity=False).hexdigest()[:8]
            if official_split(f"{name}_nohash_0.wav") == split:
                yield name

    return {split: of(split) for split in SPLITS}


def _deck(count: int, generator: np.random.Generator) -> list[str]:
    """``count`` words in random order, keywords and other words each as evenly as can be."""
    others = round(count * (1 - KEYWORD_SHARE))
    cards = [*_cycled(KEYWORDS, count - others), *_cycled(OTHER_WORDS, others)]
    return [str(word) for word in generator.permutation(cards)]


def _cycled(words: Sequence[str], count: int) -> list[str]:
    return [words[index % len(words)] for index in range(count)]


def _shared_out(count: int) -> dict[Split, int]:
    held_out: dict[Split, int] = {
        "validation": round(count * SHARES["validation"]),
        "testing": round(count * SHARES["testing"]),
    }
    return {"training": count - sum(held_out.values()), **held_out}
