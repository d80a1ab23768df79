"""The speech set that a person names: a folder, an archive, or `generated`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools.console import Stages
from tools.places import cache_dir

if TYPE_CHECKING:
    from kws.features import FeatureSet

GENERATED = "generated"
GENERATED_CLIPS = 4000
GENERATED_SEED = 0


def generated_folder(clips: int = GENERATED_CLIPS, seed: int = GENERATED_SEED) -> Path:
    """Where the generated set of this size and seed lies, or will."""
    return cache_dir() / f"generated-{clips}-{seed}"


def locate(data: str, stages: Stages) -> Path:
    """The folder or archive of ``data``; `generated` is made where it is missing."""
    if data != GENERATED:
        return Path(data).expanduser().resolve()
    from kws.generated_speech import generate

    return generate(
        generated_folder(),
        clips=GENERATED_CLIPS,
        seed=GENERATED_SEED,
        on_progress=lambda done, total: stages.update("speaking clips", done, total),
    )


def load(data: str, keywords: Sequence[str], stages: Stages) -> FeatureSet:
    """The features of ``data``, from the cache where they have been computed before.

    Clips that are left out are named, one line each (the first ten).
    """
    from kws.features import prepare

    found = prepare(
        locate(data, stages),
        cache_dir=cache_dir(),
        keywords=tuple(keywords),
        on_progress=lambda done, total: stages.update("computing MFCC", done, total),
    )
    for left_out in found.left_out[:10]:
        stages.line(f"left out {left_out.name}: {left_out.reason}")
    if len(found.left_out) > 10:
        stages.line(f"left out {len(found.left_out) - 10} more clips; see: ponas data info {data}")
    return found
