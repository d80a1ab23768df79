"""The speech set that a person names: a folder, an archive, a published set, or `generated`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools.console import Stages
from tools.places import cache_dir

if TYPE_CHECKING:
    from kws.features import FeatureSet
    from kws.labels import LabelSet
    from kws.mfcc import MfccSettings
    from kws.speech_commands import MissingWordError

GENERATED = "generated"
GENERATED_CLIPS = 4000
GENERATED_SEED = 0


def generated_folder(clips: int = GENERATED_CLIPS, seed: int = GENERATED_SEED) -> Path:
    """Where the generated set of this size and seed lies, or will."""
    return cache_dir() / f"generated-{clips}-{seed}"


def locate(data: str, stages: Stages) -> Path:
    """The folder or archive of ``data``; `generated` is made where it is missing.

    Raises InputError for a published set that has not been fetched: that takes long, and is done
    only where it is asked for.
    """
    from kws.published import PUBLISHED, fetched_folder

    if data in PUBLISHED:
        return fetched_folder(PUBLISHED[data], cache_dir())
    if data != GENERATED:
        return Path(data).expanduser().resolve()
    from kws.generated_speech import generate

    return generate(
        generated_folder(),
        clips=GENERATED_CLIPS,
        seed=GENERATED_SEED,
        on_progress=lambda done, total: stages.update("speaking clips", done, total),
    )


def features_of(
    data: str, labels: LabelSet, stages: Stages, settings: MfccSettings | None = None
) -> FeatureSet:
    """As `load`, with nothing said; features by ``settings``, such as those of a network."""
    from kws.features import prepare

    return prepare(
        locate(data, stages),
        cache_dir=cache_dir(),
        labels=labels,
        settings=settings,
        on_progress=lambda done, total: stages.update("computing MFCC", done, total),
    )


def known_by(words: Sequence[str], settings: MfccSettings, data: str, stages: Stages) -> FeatureSet:
    """The features of ``data`` that a network of these labels and features takes.

    Raises InputError also for data without one of the words.
    """
    from kws.errors import InputError
    from kws.labels import LabelSet
    from kws.speech_commands import MissingWordError

    try:
        return features_of(data, LabelSet.of(words), stages, settings)
    except MissingWordError as error:
        raise InputError(
            f"{named(error, data)}; the network knows {', '.join(words)}: give data of these words "
            "with --data"
        ) from None


def named(error: MissingWordError, data: str) -> str:
    """The error with the set as it was named, in place of where it has been unpacked."""
    return str(error).replace(str(error.root), data, 1)


def load(data: str, labels: LabelSet, stages: Stages) -> FeatureSet:
    """The features of ``data``, from the cache where they have been computed before.

    Clips that are left out are named, one line each (the first ten); what else was done to clips
    is counted, but for zeros at the end of short ones, which Speech Commands has by the thousand.
    """
    from kws.audio import PADDED
    from kws.errors import InputError
    from kws.speech_commands import MissingWordError

    try:
        found = features_of(data, labels, stages)
    except MissingWordError as error:
        raise InputError(
            f"{named(error, data)}; other words are chosen with --labels, all of them with "
            "--labels all"
        ) from None
    for left_out in found.left_out[:10]:
        stages.line(f"left out {left_out.name}: {left_out.reason}")
    if len(found.left_out) > 10:
        stages.line(f"left out {len(found.left_out) - 10} more clips; see: ponas data info {data}")
    for what, count in found.adjusted.items():
        if what != PADDED:
            stages.line(f"{what}: {count} clips")
    return found
