"""The official rule of Speech Commands for who is trained, validated and tested on."""

from __future__ import annotations

import hashlib
import re
from typing import Literal, get_args

Split = Literal["training", "validation", "testing"]
SPLITS: tuple[Split, ...] = get_args(Split)

VALIDATION_PERCENT = 10.0
TESTING_PERCENT = 10.0

_BUCKETS = 2**27 - 1
"""Most clips a word may have in the published rule (its MAX_NUM_WAVS_PER_CLASS)."""


def speaker_of(name: str) -> str:
    """The part of a clip's file name that the official rule hashes: all before ``_nohash_``."""
    return re.sub(r"_nohash_.*$", "", name)


def official_split(name: str) -> Split:
    """The split of a clip by its file name, so that all clips of a speaker share one.

    Source: Speech Commands v0.02, README.md, ``which_set``: SHA-1 of the speaker as a number,
    modulo 2^27, as a percentage; under 10 validation, under 20 testing, training otherwise.
    """
    digest = hashlib.sha1(speaker_of(name).encode(), usedforsecurity=False).hexdigest()
    percent = int(digest, 16) % (_BUCKETS + 1) * (100.0 / _BUCKETS)
    if percent < VALIDATION_PERCENT:
        return "validation"
    if percent < VALIDATION_PERCENT + TESTING_PERCENT:
        return "testing"
    return "training"
